/**
 * Batches as the settlement outbox holds them, with what the chain and the settlement service know of them: one per id, the one that landed
 * or, before any has, the one that is to. Contents that a reseal replaced are not shown.
 */
import type { Hash, Hex, JournalSequence, TimestampMs } from '../../domain/units.ts';
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

export type BatchState = 'sealed' | 'submitted' | 'included' | 'final';

export type BatchRow = {
  readonly batchId: number;
  readonly epoch: number;
  /** The seal's own command. */
  readonly journalSequence: JournalSequence;
  readonly journalHash: Hash;
  readonly parentHash: Hash;
  readonly contentHash: Hash;
  /** The next batch's parent. */
  readonly batchHash: Hash;
  readonly engineSignature: Hex;
  readonly tradeCount: number;
  readonly withdrawalCount: number;
  /** Trades that the contract skipped; known once final. */
  readonly voidedCount: number;
  readonly sealedAtMs: TimestampMs;
  /** `final` once the engine has applied it. */
  readonly state: BatchState;
  readonly txHash: Hash | undefined;
  readonly blockNumber: number | undefined;
  readonly blockHash: Hash | undefined;
  readonly gasUsed: number | undefined;
};

export type BatchDetail = BatchRow & {
  /** The packed calldata content whose keccak256 is `contentHash`. */
  readonly content: Hex;
  /** Every transaction that was ever signed for it, oldest first. */
  readonly transactions: readonly BatchTransactionRow[];
};

export type BatchTransactionRow = {
  readonly txHash: Hash;
  readonly sender: Hex;
  readonly txNonce: number;
  readonly createdAtMs: TimestampMs;
  readonly lastSentAtMs: TimestampMs | undefined;
  readonly sendCount: number;
};

/** Newest first. */
export async function listBatches(db: Queryable, page: PageRequest): Promise<Page<BatchRow>> {
  const { rows } = await db.query<BatchSql>(`${SELECT_BATCHES} AND b.batch_id < $1 ORDER BY b.batch_id DESC LIMIT $2`, [
    positionBefore(page),
    page.limit + 1,
  ]);
  return pageOf(rows.map(batchOf), page, (batch) => batch.batchId);
}

export async function findBatch(db: Queryable, batchId: number): Promise<BatchDetail | undefined> {
  const { rows } = await db.query<BatchSql & { content: Buffer }>(
    `${SELECT_BATCHES.replace('SELECT', 'SELECT b.content,')} AND b.batch_id = $1`,
    [batchId],
  );
  const row = rows[0];
  if (row === undefined) return undefined;
  const transactions = await db.query<TransactionSql>(
    `SELECT tx_hash, sender, tx_nonce, created_at, last_sent_at, send_count
     FROM batch_transactions WHERE batch_id = $1 ORDER BY created_at`,
    [batchId],
  );
  return { ...batchOf(row), content: hexOf(row.content), transactions: transactions.rows.map(transactionOf) };
}

/** The content of the id that is to be settled; undefined when none waits: it has settled, or was never published. */
export async function findPendingBatch(
  db: Queryable,
  batchId: number,
): Promise<Pick<BatchRow, 'journalSequence' | 'tradeCount' | 'withdrawalCount'> | undefined> {
  const { rows } = await db.query<Pick<BatchSql, 'journal_sequence' | 'trade_count' | 'withdrawal_count'>>(
    `SELECT journal_sequence, trade_count, withdrawal_count FROM pending_batches JOIN batches USING (batch_id, journal_sequence)
      WHERE batch_id = $1`,
    [batchId],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const journalSequence = integer<JournalSequence>(row.journal_sequence);
  return { journalSequence, tradeCount: row.trade_count, withdrawalCount: row.withdrawal_count };
}

/** The batch that a transaction carried, or is to carry. */
export async function findBatchIdOfTransaction(db: Queryable, txHash: Hash): Promise<number | undefined> {
  const { rows } = await db.query<{ batch_id: SqlInteger }>(
    `SELECT (payload ->> 'batchId')::bigint AS batch_id FROM chain_events
     WHERE tx_hash = $1 AND payload ->> 'kind' = 'batchSettled'
     UNION SELECT batch_id FROM batch_transactions WHERE tx_hash = $1 LIMIT 1`,
    [bytesOf(txHash)],
  );
  return rows[0] === undefined ? undefined : integer(rows[0].batch_id);
}

const SELECT_BATCHES = `SELECT b.batch_id, b.epoch, b.journal_sequence, b.journal_hash, b.parent_hash, b.content_hash,
       b.batch_hash, b.engine_signature, b.trade_count, b.withdrawal_count, b.sealed_at, s.gas_used,
       CASE WHEN e.event_sequence <= (SELECT chain_event_sequence FROM projection_cursor) THEN 'final'
            WHEN e.event_sequence IS NOT NULL OR s.state IN ('included', 'final') THEN 'included'
            ELSE coalesce(s.state, 'sealed') END AS state,
       coalesce(e.tx_hash, s.tx_hash) AS tx_hash,
       coalesce(e.block_number, s.block_number) AS block_number,
       coalesce(k.hash, s.block_hash) AS block_hash,
       (SELECT count(*) FROM trades t WHERE t.batch_id = b.batch_id AND t.state = 'voided') AS voided_count
     FROM batches b
     LEFT JOIN settlements s ON s.batch_id = b.batch_id
     LEFT JOIN chain_events e ON e.payload ->> 'kind' = 'batchSettled' AND (e.payload ->> 'batchId')::bigint = b.batch_id
     LEFT JOIN chain_blocks k ON k.number = e.block_number
     WHERE (b.journal_sequence = (
         SELECT max(o.journal_sequence) FROM batches o
          WHERE o.batch_id = b.batch_id AND o.content_hash = decode(substr(e.payload ->> 'contentHash', 3), 'hex'))
       OR (b.batch_id, b.journal_sequence) IN (SELECT p.batch_id, p.journal_sequence FROM pending_batches p))`;

type BatchSql = {
  batch_id: SqlInteger;
  epoch: SqlInteger;
  journal_sequence: SqlInteger;
  journal_hash: Buffer;
  parent_hash: Buffer;
  content_hash: Buffer;
  batch_hash: Buffer;
  engine_signature: Buffer;
  trade_count: number;
  withdrawal_count: number;
  voided_count: SqlInteger;
  sealed_at: Date;
  state: BatchState;
  tx_hash: Buffer | null;
  block_number: SqlInteger | null;
  block_hash: Buffer | null;
  gas_used: SqlInteger | null;
};

type TransactionSql = {
  tx_hash: Buffer;
  sender: Buffer;
  tx_nonce: SqlInteger;
  created_at: Date;
  last_sent_at: Date | null;
  send_count: number;
};

function batchOf(row: BatchSql): BatchRow {
  return {
    batchId: integer(row.batch_id),
    epoch: integer(row.epoch),
    journalSequence: integer<JournalSequence>(row.journal_sequence),
    journalHash: hexOf(row.journal_hash),
    parentHash: hexOf(row.parent_hash),
    contentHash: hexOf(row.content_hash),
    batchHash: hexOf(row.batch_hash),
    engineSignature: hexOf(row.engine_signature),
    tradeCount: row.trade_count,
    withdrawalCount: row.withdrawal_count,
    voidedCount: integer(row.voided_count),
    sealedAtMs: row.sealed_at.getTime() as TimestampMs,
    state: row.state,
    txHash: optionalHex(row.tx_hash),
    blockNumber: optionalInteger(row.block_number),
    blockHash: optionalHex(row.block_hash),
    gasUsed: optionalInteger(row.gas_used),
  };
}

function transactionOf(row: TransactionSql): BatchTransactionRow {
  return {
    txHash: hexOf(row.tx_hash),
    sender: hexOf(row.sender),
    txNonce: integer(row.tx_nonce),
    createdAtMs: row.created_at.getTime() as TimestampMs,
    lastSentAtMs: row.last_sent_at === null ? undefined : (row.last_sent_at.getTime() as TimestampMs),
    sendCount: row.send_count,
  };
}
