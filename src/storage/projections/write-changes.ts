/**
 * Writes a run of changes: one statement per table. Tables with rows for every order are given as binary columns; of the others all
 * rows travel as one JSON parameter, which PostgreSQL unfolds by itself. The caller holds the transaction and moves the cursor in it.
 */
import type { PoolClient } from 'pg';
import { type Columns, columnParameters, unnestOf } from './binary-columns.ts';
import type { ProjectionChanges } from './changes.ts';
import type { OrderInsert } from './order-changes.ts';

/** @returns the statements sent */
export async function writeChanges(client: PoolClient, changes: ProjectionChanges): Promise<number> {
  const { orders, settlements, accounts } = changes;
  let statements = 0;
  const write = async (name: string, text: string, rows: Iterable<unknown>): Promise<void> => {
    const list = [...rows];
    if (list.length === 0) return;
    statements++;
    await client.query({ name: `project-${name}`, text, values: [JSON.stringify(list)] });
  };
  const writeColumns = async (name: string, text: string, columns: Columns, rows: readonly object[]): Promise<void> => {
    if (rows.length === 0) return;
    statements++;
    await client.query({ name: `project-${name}`, text, values: columnParameters(columns, rows) });
  };
  await write('assets', ASSETS, changes.assets.values());
  const listed = [...changes.markets.values()];
  await write(
    'markets',
    MARKETS,
    listed.filter((market) => market.definition !== null),
  );
  await write(
    'market-changes',
    MARKET_CHANGES,
    listed.filter((market) => market.definition === null),
  );
  await writeColumns('orders', ORDERS, ORDER_TYPES, [...orders.inserts.values()].map(withStopText));
  await write('order-changes', ORDER_CHANGES, orders.updates.values());
  await write('trades', TRADES, settlements.trades.values());
  await write('trade-changes', TRADE_CHANGES, settlements.tradeUpdates.values());
  await writeColumns('balances', BALANCES, BALANCE_TYPES, [...accounts.balances.values()]);
  await write('deposits', DEPOSITS, accounts.deposits);
  await write('withdrawals', WITHDRAWALS, settlements.withdrawals.values());
  await write('withdrawal-changes', WITHDRAWAL_CHANGES, settlements.withdrawalUpdates.values());
  await write('exits', EXITS, accounts.exits.values());
  await write('volumes', VOLUMES, accounts.volumes.values());
  await write('session-keys', SESSION_KEYS, accounts.sessionKeys.values());
  await write('revoked-keys', REVOKED_KEYS, accounts.revokedKeys.values());
  await write('status', STATUS, changes.status.values());
  return statements;
}

const ASSETS = `
  INSERT INTO listed_assets (asset, definition)
  SELECT asset, definition FROM json_to_recordset($1) AS r (asset integer, definition jsonb)
  ON CONFLICT (asset) DO UPDATE SET definition = excluded.definition`;

const MARKETS = `
  INSERT INTO listed_markets (market, definition, state, state_reason, parameters)
  SELECT market, definition, state, state_reason, parameters
    FROM json_to_recordset($1)
      AS r (market integer, definition jsonb, state text, state_reason text, parameters jsonb)
  ON CONFLICT (market) DO UPDATE SET definition = excluded.definition, state = excluded.state,
    state_reason = excluded.state_reason, parameters = excluded.parameters`;

const MARKET_CHANGES = `
  UPDATE listed_markets AS m SET state = coalesce(r.state, m.state),
    state_reason = coalesce(r.state_reason, m.state_reason), parameters = coalesce(r.parameters, m.parameters)
    FROM json_to_recordset($1) AS r (market integer, state text, state_reason text, parameters jsonb)
   WHERE m.market = r.market`;

const ORDER_TYPES: Columns = {
  digest: 'bytea',
  account: 'bytea',
  signer: 'bytea',
  market: 'integer',
  side: 'text',
  size_lots: 'bigint',
  price_ticks: 'bigint',
  time_in_force: 'text',
  post_only: 'boolean',
  lane: 'integer',
  order_sequence: 'bigint',
  expiry: 'bigint',
  max_fee_ppm: 'integer',
  client_order_id: 'text',
  self_trade_prevention: 'text',
  stop: 'text',
  status: 'text',
  reason: 'text',
  filled_lots: 'bigint',
  remaining_lots: 'bigint',
  filled_notional: 'bigint',
  fees_paid: 'bigint',
  journal_sequence: 'bigint',
  created_at_ms: 'bigint',
  updated_at_ms: 'bigint',
};
const ORDER_COLUMNS = Object.keys(ORDER_TYPES).join(', ');

function withStopText(order: OrderInsert): object {
  return order.stop === null ? order : { ...order, stop: JSON.stringify(order.stop) };
}

// A refused order may come again and be accepted; an accepted one is never written over.
const ORDERS = `
  INSERT INTO orders (${ORDER_COLUMNS})
  SELECT ${ORDER_COLUMNS.replace('stop', 'stop::jsonb')} FROM ${unnestOf(ORDER_TYPES)}
  ON CONFLICT (digest) DO UPDATE SET client_order_id = excluded.client_order_id,
    self_trade_prevention = excluded.self_trade_prevention, stop = excluded.stop, signer = excluded.signer,
    status = excluded.status, reason = excluded.reason, filled_lots = excluded.filled_lots,
    remaining_lots = excluded.remaining_lots, filled_notional = excluded.filled_notional,
    fees_paid = excluded.fees_paid, journal_sequence = excluded.journal_sequence,
    created_at_ms = excluded.created_at_ms, updated_at_ms = excluded.updated_at_ms
  WHERE orders.status = 'rejected'`;

const ORDER_CHANGES = `
  UPDATE orders AS o SET
    status = coalesce(r.status, CASE WHEN r.filled > 0 THEN 'partially_filled' ELSE o.status END),
    reason = coalesce(r.reason, o.reason), filled_lots = o.filled_lots + r.filled,
    remaining_lots = coalesce(r.remaining, o.remaining_lots - r.remaining_less),
    filled_notional = o.filled_notional + r.notional, fees_paid = o.fees_paid + r.fees,
    updated_at_ms = r.updated_at_ms
    FROM json_to_recordset($1) AS r (digest bytea, status text, reason text, filled bigint, notional bigint,
      fees bigint, remaining bigint, remaining_less bigint, updated_at_ms bigint)
   WHERE o.digest = r.digest`;

const TRADE_COLUMNS = `trade_id, market, price_ticks, size_lots, notional, taker_side, taker_account, taker_digest,
    taker_fee, maker_account, maker_digest, maker_fee, journal_sequence, created_at_ms, state, void_reason, batch_id,
    batch_index`;

const TRADES = `
  INSERT INTO trades (${TRADE_COLUMNS})
  SELECT ${TRADE_COLUMNS}
    FROM json_to_recordset($1) AS r (trade_id bigint, market integer, price_ticks bigint, size_lots bigint,
      notional bigint, taker_side text, taker_account bytea, taker_digest bytea, taker_fee bigint,
      maker_account bytea, maker_digest bytea, maker_fee bigint, journal_sequence bigint, created_at_ms bigint,
      state text, void_reason text, batch_id bigint, batch_index integer)`;

/** What waits for a batch is in none, also when it was in one before; otherwise null leaves the batch as it is. */
const batchOr = (waiting: string, table: string, column: string): string =>
  `CASE WHEN r.state <> '${waiting}' THEN coalesce(r.${column}, ${table}.${column}) END`;

const TRADE_CHANGES = `
  UPDATE trades AS t SET state = r.state, void_reason = r.void_reason, batch_id = ${batchOr('matched', 't', 'batch_id')},
    batch_index = ${batchOr('matched', 't', 'batch_index')}
    FROM json_to_recordset($1)
      AS r (trade_id bigint, state text, void_reason text, batch_id bigint, batch_index integer)
   WHERE t.trade_id = r.trade_id`;

const BALANCE_TYPES: Columns = {
  account: 'bytea',
  asset: 'integer',
  available: 'bigint',
  locked: 'bigint',
  pending_withdrawal: 'bigint',
  unsettled_in: 'bigint',
  unsettled_out: 'bigint',
  settled: 'bigint',
  first_seen_at: 'bigint',
  last_changed_at: 'bigint',
  journal_sequence: 'bigint',
};

// A balance that was never seen counts as 0 settled, so that a first figure of 0 is no change.
const BALANCES = `
  INSERT INTO balances AS b (account, asset, available, locked, pending_withdrawal, unsettled_in, unsettled_out, settled,
    settled_changed_at, journal_sequence)
  SELECT r.account, r.asset, r.available, r.locked, r.pending_withdrawal, r.unsettled_in, r.unsettled_out, r.settled,
    coalesce(r.last_changed_at, CASE
      WHEN r.settled <> coalesce(before.settled, 0) THEN r.first_seen_at
      ELSE coalesce(before.settled_changed_at, 0) END),
    r.journal_sequence
    FROM ${unnestOf(BALANCE_TYPES)}
    LEFT JOIN balances AS before ON before.account = r.account AND before.asset = r.asset
  ON CONFLICT (account, asset) DO UPDATE SET available = excluded.available, locked = excluded.locked,
    pending_withdrawal = excluded.pending_withdrawal, unsettled_in = excluded.unsettled_in,
    unsettled_out = excluded.unsettled_out, settled = excluded.settled,
    settled_changed_at = excluded.settled_changed_at, journal_sequence = excluded.journal_sequence`;

const DEPOSITS = `
  INSERT INTO deposits (event_sequence, account, asset, amount, journal_sequence, created_at_ms)
  SELECT * FROM json_to_recordset($1) AS r (event_sequence bigint, account bytea, asset integer, amount bigint,
    journal_sequence bigint, created_at_ms bigint)`;

const WITHDRAWAL_COLUMNS = `digest, account, asset, amount, fee, recipient, native, state, reason, batch_id,
    journal_sequence, created_at_ms, updated_at_ms`;

const WITHDRAWALS = `
  INSERT INTO withdrawals (${WITHDRAWAL_COLUMNS})
  SELECT ${WITHDRAWAL_COLUMNS}
    FROM json_to_recordset($1) AS r (digest bytea, account bytea, asset integer, amount bigint, fee bigint,
      recipient bytea, native boolean, state text, reason text, batch_id bigint, journal_sequence bigint,
      created_at_ms bigint, updated_at_ms bigint)`;

const WITHDRAWAL_CHANGES = `
  UPDATE withdrawals AS w SET state = r.state, reason = r.reason, batch_id = ${batchOr('pending', 'w', 'batch_id')},
    updated_at_ms = r.updated_at_ms
    FROM json_to_recordset($1)
      AS r (digest bytea, state text, reason text, batch_id bigint, updated_at_ms bigint)
   WHERE w.digest = r.digest`;

const EXITS = `
  INSERT INTO exits (account, asset, status, amount, journal_sequence, updated_at_ms)
  SELECT * FROM json_to_recordset($1) AS r (account bytea, asset integer, status text, amount bigint,
    journal_sequence bigint, updated_at_ms bigint)
  ON CONFLICT (account, asset) DO UPDATE SET status = excluded.status, amount = excluded.amount,
    journal_sequence = excluded.journal_sequence, updated_at_ms = excluded.updated_at_ms`;

const VOLUMES = `
  INSERT INTO trading_volumes (account, asset, day, volume)
  SELECT * FROM json_to_recordset($1) AS r (account bytea, asset integer, day integer, volume bigint)
  ON CONFLICT (account, asset, day) DO UPDATE SET volume = excluded.volume`;

const SESSION_KEYS = `
  INSERT INTO session_keys (account, key, valid_until, market_mask)
  SELECT * FROM json_to_recordset($1) AS r (account bytea, key bytea, valid_until bigint, market_mask numeric)
  ON CONFLICT (account, key) DO UPDATE SET valid_until = excluded.valid_until, market_mask = excluded.market_mask`;

const REVOKED_KEYS = `
  UPDATE session_keys AS s SET valid_until = r.valid_until
    FROM json_to_recordset($1) AS r (account bytea, key bytea, valid_until bigint)
   WHERE s.account = r.account AND s.key = r.key`;

const STATUS = `
  INSERT INTO engine_status (name, value)
  SELECT * FROM json_to_recordset($1) AS r (name text, value jsonb)
  ON CONFLICT (name) DO UPDATE SET value = excluded.value`;
