/** Balances of an account, and the moment of the journal and of the chain at which they stand. */
import type { Balance } from '../../domain/events.ts';
import type { Address, ChainEventSequence, JournalSequence, Quanta } from '../../domain/units.ts';
import { bytesOf, integer, optionalInteger, type Queryable, type SqlInteger } from './rows.ts';

export type BalanceRow = Balance & {
  readonly asset: number;
  /** Deposited on chain, not final or not credited yet, in quanta. */
  readonly pendingDeposit: Quanta;
};

export type AccountBalances = {
  /** Ascending by asset; only assets the account ever had. */
  readonly balances: readonly BalanceRow[];
  /** Last command that the figures contain. */
  readonly journalSequence: JournalSequence;
  /** Last vault event that `settled` contains; what the vault's books show right after it. */
  readonly chainEventSequence: ChainEventSequence;
  /** Block of that event; undefined before the first one. */
  readonly blockNumber: number | undefined;
};

/** Everything in one statement, so that figures and positions belong together. */
export async function accountBalances(db: Queryable, account: Address): Promise<AccountBalances> {
  const { rows } = await db.query<BalanceSql>(
    `WITH cursor AS (SELECT journal_sequence, chain_event_sequence FROM projection_cursor),
     incoming AS (
       SELECT (payload ->> 'asset')::integer AS asset, sum((payload ->> 'amount')::bigint)::bigint AS amount
       FROM chain_events, cursor
       WHERE event_sequence > cursor.chain_event_sequence
         AND payload ->> 'kind' = 'depositCredited' AND payload ->> 'account' = $2
       GROUP BY 1
     ),
     held AS (SELECT * FROM balances WHERE account = $1)
     SELECT coalesce(held.asset, incoming.asset) AS asset, held.available, held.locked, held.pending_withdrawal,
       held.unsettled_in, held.unsettled_out, held.settled, incoming.amount AS pending_deposit,
       cursor.journal_sequence AS at_sequence, cursor.chain_event_sequence AS at_event,
       (SELECT block_number FROM chain_events WHERE event_sequence = cursor.chain_event_sequence) AS at_block
     FROM cursor LEFT JOIN (held FULL JOIN incoming ON incoming.asset = held.asset) ON true
     ORDER BY 1`,
    [bytesOf(account), account],
  );
  const first = rows[0];
  return {
    balances: rows.flatMap((row) => (row.asset === null ? [] : [balanceOf(row, row.asset)])),
    journalSequence: integer<JournalSequence>(first?.at_sequence ?? 0),
    chainEventSequence: integer<ChainEventSequence>(first?.at_event ?? 0),
    blockNumber: optionalInteger(first?.at_block ?? null),
  };
}

type BalanceSql = {
  asset: number | null;
  available: SqlInteger | null;
  locked: SqlInteger | null;
  pending_withdrawal: SqlInteger | null;
  unsettled_in: SqlInteger | null;
  unsettled_out: SqlInteger | null;
  settled: SqlInteger | null;
  pending_deposit: SqlInteger | null;
  at_sequence: SqlInteger;
  at_event: SqlInteger;
  at_block: SqlInteger | null;
};

function balanceOf(row: BalanceSql, asset: number): BalanceRow {
  return {
    asset,
    available: integer<Quanta>(row.available ?? 0),
    locked: integer<Quanta>(row.locked ?? 0),
    pendingWithdrawal: integer<Quanta>(row.pending_withdrawal ?? 0),
    unsettledIn: integer<Quanta>(row.unsettled_in ?? 0),
    unsettledOut: integer<Quanta>(row.unsettled_out ?? 0),
    settled: integer<Quanta>(row.settled ?? 0),
    pendingDeposit: integer<Quanta>(row.pending_deposit ?? 0),
  };
}
