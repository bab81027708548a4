/**
 * The settlement tables: batches waiting for the chain, the transactions that stand for them, and how far each has come.
 *
 * An id has one content, or several once a batch was resealed: any of them may land, and the first that does wins. So a batch is named by
 * its id and by the command that sealed it (`BatchKey`), and only its settlement by the id alone.
 *
 * Every write names the submitter's lease and happens only while that lease's token is the current one: the check and the write are
 * one statement, so a submitter that was replaced while it was stopped can write nothing.
 */
import type { Pool } from 'pg';
import { bytesToHex } from '../chain/hex.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { Address, Hash, Hex } from '../domain/units.ts';
import type { Fees } from './fees.ts';
import type { Lease } from './lease.ts';

export type SettlementState = 'sealed' | 'submitted' | 'included' | 'final';

/** One content of an id. */
export type BatchKey = {
  readonly batchId: number;
  /** The command that sealed it. */
  readonly journalSequence: number;
};

/** A batch as the outbox holds it, without its content. */
export type OutboxBatch = BatchKey & {
  readonly parentHash: Hash;
  readonly contentHash: Hash;
  /** The next batch's parent. */
  readonly batchHash: Hash;
  readonly sealedAtMs: number;
  /** Of the id, whichever content it is about: so are the fields below. */
  readonly state: SettlementState;
  readonly blockNumber: number | undefined;
  readonly blockHash: Hash | undefined;
  readonly gasUsed: number | undefined;
};

/** Everything `settle` takes. */
export type BatchToSettle = BatchKey & {
  readonly epoch: number;
  readonly parentHash: Hash;
  readonly journalHash: Hash;
  readonly content: Hex;
  readonly engineSignature: Hex;
  readonly tradeCount: number;
  readonly withdrawalCount: number;
};

/** A signed transaction, persisted before it was sent. */
export type OutboxTransaction = BatchKey & {
  readonly txHash: Hash;
  readonly txNonce: number;
  readonly raw: Hex;
  readonly fees: Fees;
  readonly gasLimit: bigint;
  readonly createdAtMs: number;
  readonly lastSentAtMs: number | undefined;
  readonly sendCount: number;
  readonly lastError: string | undefined;
};

export type Inclusion = { readonly txHash: Hash; readonly blockNumber: number; readonly blockHash: Hash };

/** Every content of the ids that are not final: ids ascending, the contents of each oldest first. */
export async function readOpenBatches(pool: Pool): Promise<OutboxBatch[]> {
  const { rows } = await pool.query<BatchSql>(
    `SELECT b.batch_id, b.journal_sequence, b.parent_hash, b.content_hash, b.batch_hash, b.sealed_at,
       coalesce(s.state, 'sealed') AS state, s.block_number, s.block_hash, s.gas_used
     FROM batches b LEFT JOIN settlements s USING (batch_id)
     WHERE coalesce(s.state, 'sealed') <> 'final' ORDER BY b.batch_id, b.journal_sequence`,
  );
  return rows.map((row) => ({
    batchId: Number(row.batch_id),
    journalSequence: Number(row.journal_sequence),
    parentHash: bytesToHex(row.parent_hash),
    contentHash: bytesToHex(row.content_hash),
    batchHash: bytesToHex(row.batch_hash),
    sealedAtMs: row.sealed_at.getTime(),
    state: row.state,
    blockNumber: row.block_number === null ? undefined : Number(row.block_number),
    blockHash: row.block_hash === null ? undefined : bytesToHex(row.block_hash),
    gasUsed: row.gas_used === null ? undefined : Number(row.gas_used),
  }));
}

/** The last batch that is final, and its block. */
export async function readLastFinal(pool: Pool): Promise<{ batchId: number; blockNumber: number } | undefined> {
  const { rows } = await pool.query<{ batch_id: Integer; block_number: Integer }>(
    "SELECT batch_id, block_number FROM settlements WHERE state = 'final' ORDER BY batch_id DESC LIMIT 1",
  );
  const row = rows[0];
  return row === undefined ? undefined : { batchId: Number(row.batch_id), blockNumber: Number(row.block_number) };
}

/** Whether a batch of that id and batch hash was ever published; true for what stands before the first batch. */
export async function isPublished(pool: Pool, batch: { batchId: number; batchHash: Hash }): Promise<boolean> {
  if (batch.batchId === 0) return true;
  const { rowCount } = await pool.query('SELECT FROM batches WHERE batch_id = $1 AND batch_hash = $2', [
    batch.batchId,
    bytes(batch.batchHash),
  ]);
  return rowCount !== 0;
}

export async function readBatchToSettle(pool: Pool, { batchId, journalSequence }: BatchKey): Promise<BatchToSettle> {
  const { rows } = await pool.query<ContentSql>(
    `SELECT epoch, parent_hash, journal_hash, content, engine_signature, trade_count, withdrawal_count
     FROM batches WHERE batch_id = $1 AND journal_sequence = $2`,
    [batchId, journalSequence],
  );
  const row = rows[0];
  if (row === undefined) throw new ExchangeError('INTERNAL', `batch ${batchId} vanished from the outbox`);
  return {
    batchId,
    journalSequence,
    epoch: Number(row.epoch),
    parentHash: bytesToHex(row.parent_hash),
    journalHash: bytesToHex(row.journal_hash),
    content: bytesToHex(row.content),
    engineSignature: bytesToHex(row.engine_signature),
    tradeCount: row.trade_count,
    withdrawalCount: row.withdrawal_count,
  };
}

/** Transactions of `sender` that may still be mined: nonce at or above `txNonce`. Oldest first. */
export async function readTransactionsFrom(pool: Pool, sender: Address, txNonce: number): Promise<OutboxTransaction[]> {
  const { rows } = await pool.query<TransactionSql>(
    `SELECT * FROM batch_transactions WHERE sender = $1 AND tx_nonce >= $2 ORDER BY created_at, tx_hash`,
    [bytes(sender), txNonce],
  );
  return rows.map(transactionOf);
}

/** Transactions of `sender` for one batch, oldest first. */
export async function readTransactionsOf(pool: Pool, sender: Address, batch: BatchKey): Promise<OutboxTransaction[]> {
  const { rows } = await pool.query<TransactionSql>(
    `SELECT * FROM batch_transactions WHERE sender = $1 AND batch_id = $2 AND journal_sequence = $3
     ORDER BY created_at, tx_hash`,
    [bytes(sender), batch.batchId, batch.journalSequence],
  );
  return rows.map(transactionOf);
}

/**
 * Persists a signed transaction and marks its batch submitted, in one statement.
 * @throws ExchangeError LEADERSHIP_LOST when another submitter has taken over: the transaction must not be sent.
 */
export async function persistTransaction(
  pool: Pool,
  lease: Lease,
  sender: Address,
  transaction: Omit<OutboxTransaction, 'createdAtMs' | 'lastSentAtMs' | 'sendCount' | 'lastError'>,
): Promise<void> {
  const { rowCount } = await pool.query(
    `WITH lease AS (${HELD}), persisted AS (
       INSERT INTO batch_transactions
         (tx_hash, batch_id, sender, tx_nonce, raw, max_fee_per_gas, max_priority_fee_per_gas, gas_limit, journal_sequence)
       SELECT $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM lease ON CONFLICT (tx_hash) DO NOTHING RETURNING batch_id)
     INSERT INTO settlements (batch_id, state) SELECT $4, 'submitted' FROM lease
     ON CONFLICT (batch_id) DO UPDATE SET state = 'submitted', updated_at = clock_timestamp()
       WHERE settlements.state IN ('sealed', 'submitted')`,
    [
      lease.owner,
      lease.token,
      bytes(transaction.txHash),
      transaction.batchId,
      bytes(sender),
      transaction.txNonce,
      bytes(transaction.raw),
      transaction.fees.maxFeePerGas.toString(),
      transaction.fees.maxPriorityFeePerGas.toString(),
      transaction.gasLimit.toString(),
      transaction.journalSequence,
    ],
  );
  if (rowCount !== 1) throw leaseLost(lease);
}

/** Notes that a transaction was sent, and what the node said when it refused. */
export async function recordSend(pool: Pool, txHash: Hash, error: string | undefined): Promise<void> {
  await pool.query(
    `UPDATE batch_transactions SET last_sent_at = clock_timestamp(), send_count = send_count + 1, last_error = $2 WHERE tx_hash = $1`,
    [bytes(txHash), error ?? null],
  );
}

/**
 * A batch of that id stands in a block of the canonical chain; `final` once that block is final.
 * @param landed the content that landed; its `journalSequence` is undefined when it is none of ours
 * @throws ExchangeError LEADERSHIP_LOST
 */
export async function recordInclusion(
  pool: Pool,
  lease: Lease,
  landed: { readonly batchId: number; readonly journalSequence: number | undefined },
  inclusion: Inclusion,
  state: 'included' | 'final',
  gasUsed: number | undefined,
): Promise<void> {
  const { rowCount } = await pool.query(
    `WITH lease AS (${HELD})
     INSERT INTO settlements (batch_id, state, tx_hash, block_number, block_hash, gas_used, journal_sequence)
     SELECT $3, $4, $5, $6, $7, $8, $9 FROM lease
     ON CONFLICT (batch_id) DO UPDATE SET state = $4, tx_hash = $5, block_number = $6, block_hash = $7,
       gas_used = coalesce($8, settlements.gas_used), journal_sequence = $9, updated_at = clock_timestamp()`,
    [
      lease.owner,
      lease.token,
      landed.batchId,
      state,
      bytes(inclusion.txHash),
      inclusion.blockNumber,
      bytes(inclusion.blockHash),
      gasUsed ?? null,
      landed.journalSequence ?? null,
    ],
  );
  if (rowCount !== 1) throw leaseLost(lease);
}

/** A reorganisation took the batch off the chain: back to submitted, or to sealed when no transaction of ours stands for it. */
export async function recordReorganised(pool: Pool, lease: Lease, batchId: number): Promise<void> {
  const { rowCount } = await pool.query(
    `WITH lease AS (${HELD})
     UPDATE settlements s SET tx_hash = NULL, block_number = NULL, block_hash = NULL, gas_used = NULL, journal_sequence = NULL,
       updated_at = clock_timestamp(),
       state = CASE WHEN EXISTS (SELECT 1 FROM batch_transactions t WHERE t.batch_id = s.batch_id) THEN 'submitted' ELSE 'sealed' END
     FROM lease WHERE s.batch_id = $3 AND s.state = 'included'`,
    [lease.owner, lease.token, batchId],
  );
  if (rowCount !== 1) throw leaseLost(lease);
}

/** Row of the lease while it is ours; locked, so that it cannot change hands before the statement ends. */
const HELD = 'SELECT 1 FROM submitter_lease WHERE owner = $1 AND token = $2 FOR SHARE';

function leaseLost(lease: Lease): ExchangeError {
  return new ExchangeError('LEADERSHIP_LOST', 'another submitter has taken over', {
    details: { owner: lease.owner, token: lease.token },
  });
}

type Integer = string | number;
type BatchSql = {
  batch_id: Integer;
  journal_sequence: Integer;
  parent_hash: Buffer;
  content_hash: Buffer;
  batch_hash: Buffer;
  sealed_at: Date;
  state: SettlementState;
  block_number: Integer | null;
  block_hash: Buffer | null;
  gas_used: Integer | null;
};
type ContentSql = {
  epoch: Integer;
  parent_hash: Buffer;
  journal_hash: Buffer;
  content: Buffer;
  engine_signature: Buffer;
  trade_count: number;
  withdrawal_count: number;
};
type TransactionSql = {
  tx_hash: Buffer;
  batch_id: Integer;
  journal_sequence: Integer;
  tx_nonce: Integer;
  raw: Buffer;
  max_fee_per_gas: string;
  max_priority_fee_per_gas: string;
  gas_limit: Integer;
  created_at: Date;
  last_sent_at: Date | null;
  send_count: number;
  last_error: string | null;
};

function transactionOf(row: TransactionSql): OutboxTransaction {
  return {
    txHash: bytesToHex(row.tx_hash),
    batchId: Number(row.batch_id),
    journalSequence: Number(row.journal_sequence),
    txNonce: Number(row.tx_nonce),
    raw: bytesToHex(row.raw),
    fees: { maxFeePerGas: BigInt(row.max_fee_per_gas), maxPriorityFeePerGas: BigInt(row.max_priority_fee_per_gas) },
    gasLimit: BigInt(row.gas_limit),
    createdAtMs: row.created_at.getTime(),
    lastSentAtMs: row.last_sent_at?.getTime(),
    sendCount: row.send_count,
    lastError: row.last_error ?? undefined,
  };
}

const bytes = (hex: Hex): Buffer => Buffer.from(hex.slice(2), 'hex');
