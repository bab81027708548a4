/** Money in and out of the vault: deposits, withdrawals, exits. */
import type { Address, ChainEventSequence, Hash, JournalSequence, Quanta, TimestampMs } from '../../domain/units.ts';
import {
  bytesOf,
  hexOf,
  integer,
  optionalHex,
  optionalInteger,
  type Page,
  type PageRequest,
  pageOf,
  positionBefore,
  type Queryable,
  type SqlInteger,
} from './rows.ts';

export type DepositRow = {
  readonly eventSequence: ChainEventSequence;
  readonly account: Address;
  readonly asset: number;
  readonly amount: Quanta;
  /** `pending` until the block is final and the engine has credited it. A pending one disappears if its block is reorganised. */
  readonly state: 'pending' | 'credited';
  readonly txHash: Hash | undefined;
  readonly blockNumber: number | undefined;
  /** Blocks on top of and including the deposit's, as far as the chain was followed. */
  readonly confirmations: number;
  /** Block time while pending, time of the credit afterwards. */
  readonly createdAtMs: TimestampMs;
};

/** Newest first, pending ones included. */
export async function listDeposits(db: Queryable, account: Address, page: PageRequest): Promise<Page<DepositRow>> {
  const { rows } = await db.query<DepositSql>(
    `WITH cursor AS (SELECT chain_event_sequence FROM projection_cursor),
     head AS (SELECT max(number) AS number FROM chain_blocks),
     mine AS (
       SELECT event_sequence, asset, amount, 'credited' AS state, created_at_ms FROM deposits WHERE account = $1
       UNION ALL
       SELECT event_sequence, (payload ->> 'asset')::integer, (payload ->> 'amount')::bigint, 'pending',
         (extract(epoch FROM block_time) * 1000)::bigint
       FROM cursor, chain_events JOIN chain_blocks ON number = block_number
       WHERE event_sequence > cursor.chain_event_sequence
         AND payload ->> 'kind' = 'depositCredited' AND payload ->> 'account' = $2
     )
     SELECT mine.*, e.tx_hash, e.block_number, coalesce(head.number - e.block_number + 1, 0) AS confirmations
     FROM mine CROSS JOIN head LEFT JOIN chain_events e USING (event_sequence)
     WHERE event_sequence < $3 ORDER BY event_sequence DESC LIMIT $4`,
    [bytesOf(account), account, positionBefore(page), page.limit + 1],
  );
  const deposits = rows.map((row) => ({
    eventSequence: integer<ChainEventSequence>(row.event_sequence),
    account,
    asset: row.asset,
    amount: integer<Quanta>(row.amount),
    state: row.state,
    txHash: optionalHex(row.tx_hash),
    blockNumber: optionalInteger(row.block_number),
    confirmations: integer(row.confirmations),
    createdAtMs: integer<TimestampMs>(row.created_at_ms),
  }));
  return pageOf(deposits, page, (deposit) => deposit.eventSequence);
}

export type WithdrawalState = 'pending' | 'batched' | 'submitted' | 'included' | 'executed' | 'failed';

export type WithdrawalRow = {
  readonly digest: Hash;
  readonly account: Address;
  readonly asset: number;
  /** Debited in total; the recipient receives amount − fee. */
  readonly amount: Quanta;
  readonly fee: Quanta;
  readonly recipient: Address;
  /** Paid out as the chain's own coin instead of its wrapping token. */
  readonly native: boolean;
  readonly state: WithdrawalState;
  /** Why it failed; undefined otherwise. */
  readonly reason: string | undefined;
  readonly batchId: number | undefined;
  readonly txHash: Hash | undefined;
  readonly blockNumber: number | undefined;
  readonly journalSequence: JournalSequence;
  readonly createdAtMs: TimestampMs;
  readonly updatedAtMs: TimestampMs;
};

/** Newest first. */
export async function listWithdrawals(
  db: Queryable,
  account: Address,
  page: PageRequest,
): Promise<Page<WithdrawalRow>> {
  const { rows } = await db.query<WithdrawalSql>(
    `${SELECT_WITHDRAWALS} WHERE w.account = $1 AND w.journal_sequence < $2
     ORDER BY w.journal_sequence DESC LIMIT $3`,
    [bytesOf(account), positionBefore(page), page.limit + 1],
  );
  return pageOf(rows.map(withdrawalOf), page, (withdrawal) => withdrawal.journalSequence);
}

export async function findWithdrawal(db: Queryable, digest: Hash): Promise<WithdrawalRow | undefined> {
  const { rows } = await db.query<WithdrawalSql>(`${SELECT_WITHDRAWALS} WHERE w.digest = $1`, [bytesOf(digest)]);
  return rows[0] === undefined ? undefined : withdrawalOf(rows[0]);
}

export async function listBatchWithdrawals(db: Queryable, batchId: number): Promise<readonly WithdrawalRow[]> {
  const { rows } = await db.query<WithdrawalSql>(
    `${SELECT_WITHDRAWALS} WHERE w.batch_id = $1 ORDER BY w.journal_sequence`,
    [batchId],
  );
  return rows.map(withdrawalOf);
}

export type ExitRow = {
  readonly account: Address;
  readonly asset: number;
  readonly status: 'requested' | 'cancelled' | 'executed';
  /** Paid out when executed, in quanta; else 0. */
  readonly amount: Quanta;
  readonly updatedAtMs: TimestampMs;
};

/** The account's latest exit per asset. */
export async function listExits(db: Queryable, account: Address): Promise<readonly ExitRow[]> {
  const { rows } = await db.query<ExitSql>(
    'SELECT asset, status, amount, updated_at_ms FROM exits WHERE account = $1 ORDER BY asset',
    [bytesOf(account)],
  );
  return rows.map((row) => ({
    account,
    asset: row.asset,
    status: row.status,
    amount: integer<Quanta>(row.amount),
    updatedAtMs: integer<TimestampMs>(row.updated_at_ms),
  }));
}

const SELECT_WITHDRAWALS = `SELECT w.*,
       CASE WHEN w.state <> 'batched' THEN w.state
            WHEN e.block_number IS NOT NULL OR s.state IN ('included', 'final') THEN 'included'
            WHEN s.state = 'submitted' THEN 'submitted'
            ELSE 'batched' END AS progress,
       coalesce(e.tx_hash, s.tx_hash) AS tx_hash,
       coalesce(e.block_number, s.block_number) AS block_number
     FROM withdrawals w
     LEFT JOIN settlements s ON s.batch_id = w.batch_id
     LEFT JOIN chain_events e ON e.payload ->> 'kind' = 'batchSettled' AND (e.payload ->> 'batchId')::bigint = w.batch_id`;

type DepositSql = {
  event_sequence: SqlInteger;
  asset: number;
  amount: SqlInteger;
  state: 'pending' | 'credited';
  created_at_ms: SqlInteger;
  tx_hash: Buffer | null;
  block_number: SqlInteger | null;
  confirmations: SqlInteger;
};

type WithdrawalSql = {
  digest: Buffer;
  account: Buffer;
  asset: number;
  amount: SqlInteger;
  fee: SqlInteger;
  recipient: Buffer;
  native: boolean;
  progress: WithdrawalState;
  reason: string | null;
  batch_id: SqlInteger | null;
  tx_hash: Buffer | null;
  block_number: SqlInteger | null;
  journal_sequence: SqlInteger;
  created_at_ms: SqlInteger;
  updated_at_ms: SqlInteger;
};

type ExitSql = { asset: number; status: ExitRow['status']; amount: SqlInteger; updated_at_ms: SqlInteger };

function withdrawalOf(row: WithdrawalSql): WithdrawalRow {
  return {
    digest: hexOf(row.digest),
    account: hexOf(row.account),
    asset: row.asset,
    amount: integer<Quanta>(row.amount),
    fee: integer<Quanta>(row.fee),
    recipient: hexOf(row.recipient),
    native: row.native,
    state: row.progress,
    reason: row.reason ?? undefined,
    batchId: optionalInteger(row.batch_id),
    txHash: optionalHex(row.tx_hash),
    blockNumber: optionalInteger(row.block_number),
    journalSequence: integer<JournalSequence>(row.journal_sequence),
    createdAtMs: integer<TimestampMs>(row.created_at_ms),
    updatedAtMs: integer<TimestampMs>(row.updated_at_ms),
  };
}
