/**
 * One reconciliation: the ledger as projected, against the vault at the block where the ledger's last vault event stands.
 *
 * Invariants:
 * 1. All rows of the ledger come from one REPEATABLE READ transaction, together with the vault event they stand at (the projection's cursor).
 * 2. The block compared with is final, and the last vault event up to and including it is exactly that event; else there is no comparison
 *    yet. So both sides have seen the same events, and what is left is a difference.
 * 3. Between sweeps only accounts whose settled balance changed since the last comparison are read, and those that drifted in it.
 */
import type { Pool, PoolClient } from 'pg';
import { inspectVault, type VaultState } from '../chain/inspect-vault.ts';
import { type RpcPool, rpcFailure } from '../chain/rpc-pool.ts';
import type { Address, ChainEventSequence, Hash, Quanta } from '../domain/units.ts';
import { inTransaction } from '../storage/transaction.ts';
import {
  type AssetSolvency,
  type Comparison,
  compareBooks,
  type Drift,
  FEE_ACCOUNT,
  type LedgerBalance,
} from './compare.ts';

export type ReconcileOptions = { readonly pool: Pool; readonly rpc: RpcPool; readonly vault: Address };

export type ReconciliationReport = {
  readonly batchId: number;
  readonly blockNumber: number;
  readonly blockHash: Hash;
  readonly eventSequence: ChainEventSequence;
  readonly fullSweep: boolean;
  readonly accountsCompared: number;
  readonly balancesCompared: number;
  readonly drift: readonly Drift[];
  readonly solvency: readonly AssetSolvency[];
};

export type ReconcileResult =
  /** Compared and recorded. */
  | { readonly kind: 'compared'; readonly report: ReconciliationReport }
  /** The ledger has not moved since the last comparison. */
  | { readonly kind: 'unchanged' }
  /** The ledger stands within a block, or the indexer is behind it: it will be possible soon. */
  | { readonly kind: 'not_yet'; readonly eventSequence: ChainEventSequence };

type LedgerView = {
  readonly eventSequence: ChainEventSequence;
  readonly block: { readonly number: number; readonly hash: Hash };
  readonly rows: readonly LedgerBalance[];
  readonly totals: ReadonlyMap<number, number> | undefined;
};

/**
 * Compares once and records the result in `reconciliations`.
 * @throws ExchangeError RPC_FAILED (retryable) when no node shows the vault at that block
 */
export async function reconcile(
  options: ReconcileOptions,
  mode: { readonly fullSweep: boolean },
): Promise<ReconcileResult> {
  const snapshot = 'ISOLATION LEVEL REPEATABLE READ READ ONLY';
  const view = await inTransaction(options.pool, (client) => readLedger(client, mode.fullSweep), snapshot);
  if ('kind' in view) return view;
  const accounts = [...new Set(view.rows.map((row) => row.account))].filter((account) => account !== FEE_ACCOUNT);
  const state = await options.rpc.run(async (endpoint) => {
    const got = await inspectVault(endpoint, options.vault, accounts, view.block.hash);
    if (got.eventSequence === view.eventSequence) return got;
    throw rpcFailure(
      'inconsistent',
      `${endpoint.name} shows event ${got.eventSequence} at block ${view.block.number}, not ${view.eventSequence}`,
    );
  });
  const comparison = compareBooks(view.rows, booksOf(state), view.totals);
  const report: ReconciliationReport = {
    batchId: state.batchId,
    blockNumber: view.block.number,
    blockHash: view.block.hash,
    eventSequence: view.eventSequence,
    fullSweep: mode.fullSweep,
    ...comparison,
  };
  await record(options.pool, report, comparison);
  return { kind: 'compared', report };
}

function booksOf(state: VaultState): Parameters<typeof compareBooks>[1] {
  return {
    balances: new Map(state.accounts.map(({ account, balances }) => [account, balances])),
    assets: state.assets,
  };
}

async function readLedger(
  client: PoolClient,
  fullSweep: boolean,
): Promise<LedgerView | Exclude<ReconcileResult, { kind: 'compared' }>> {
  const cursor = await client.query<{ sequence: string }>(
    'SELECT chain_event_sequence AS sequence FROM projection_cursor',
  );
  const eventSequence = Number(cursor.rows[0]?.sequence ?? 0) as ChainEventSequence;
  const previous = await client.query<{ sequence: string; drifted: boolean; drift: Drift[] }>(
    'SELECT event_sequence AS sequence, drifted, drift FROM reconciliations ORDER BY id DESC LIMIT 1',
  );
  const last = previous.rows[0];
  const since = Number(last?.sequence ?? 0);
  if (!fullSweep && eventSequence <= since) return { kind: 'unchanged' };
  // Of several final blocks that end with this event the newest is taken: nodes without archive keep its state longest.
  const blocks = await client.query<{ number: string; hash: string }>(
    `SELECT number, encode(hash, 'hex') AS hash FROM chain_blocks WHERE final AND last_event_sequence = $1 ORDER BY number DESC LIMIT 1`,
    [eventSequence],
  );
  const block = blocks.rows[0];
  if (block === undefined) return { kind: 'not_yet', eventSequence };
  const drifted = (last?.drifted === true ? last.drift : []).flatMap(({ account }) =>
    account === 'total' ? [] : [account],
  );
  const rows = await client.query<{ account: string; asset: number; settled: string }>(
    `SELECT encode(account, 'hex') AS account, asset, settled FROM balances
      WHERE $1 OR account IN (SELECT account FROM balances WHERE settled_changed_at > $2) OR account = ANY($3)`,
    [fullSweep, since, [FEE_ACCOUNT, ...drifted].map((account) => Buffer.from(account.slice(2), 'hex'))],
  );
  const ledger = rows.rows.map(
    (row): LedgerBalance => ({
      account: `0x${row.account}`,
      asset: row.asset,
      settled: Number(row.settled) as Quanta,
    }),
  );
  return {
    eventSequence,
    block: { number: Number(block.number), hash: `0x${block.hash}` },
    rows: ledger,
    totals: fullSweep ? totalsOf(ledger) : undefined,
  };
}

function totalsOf(rows: readonly LedgerBalance[]): Map<number, number> {
  const totals = new Map<number, number>();
  for (const { asset, settled } of rows) totals.set(asset, (totals.get(asset) ?? 0) + settled);
  return totals;
}

async function record(pool: Pool, report: ReconciliationReport, comparison: Comparison): Promise<void> {
  const solvency = comparison.solvency.map(({ asset, bookedUnits, feesUnits, heldUnits }) => ({
    asset,
    booked: bookedUnits.toString(),
    fees: feesUnits.toString(),
    balanceOf: heldUnits.toString(),
  }));
  await pool.query(
    `INSERT INTO reconciliations (batch_id, block_number, block_hash, event_sequence, accounts_compared, balances_compared, full_sweep, drifted, drift, solvency)
     VALUES ($1, $2, decode($3, 'hex'), $4, $5, $6, $7, $8, $9, $10)`,
    [
      report.batchId,
      report.blockNumber,
      report.blockHash.slice(2),
      report.eventSequence,
      report.accountsCompared,
      report.balancesCompared,
      report.fullSweep,
      report.drift.length > 0,
      JSON.stringify(report.drift),
      JSON.stringify(solvency),
    ],
  );
}
