/** What the outbox holds of batches that were published, for those who publish: their links and signatures. */
import type { Pool } from 'pg';
import { GENESIS_PARENT } from '../chain/batch-codec.ts';
import { bytesToHex } from '../chain/hex.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { Hash, Hex } from '../domain/units.ts';
import type { BatchKey } from './outbox.ts';

export type PublishedBatch = {
  readonly batchId: number;
  readonly parentHash: Hash;
  readonly contentHash: Hash;
  /** The next batch's parent. */
  readonly batchHash: Hash;
  readonly engineSignature: Hex;
};

export type KnownBatch = { readonly published: PublishedBatch; readonly epoch: number; readonly isFinal: boolean };

export async function readPublished(
  pool: Pool,
  { batchId, journalSequence }: BatchKey,
): Promise<KnownBatch | undefined> {
  const { rows } = await pool.query<{
    parent_hash: Buffer;
    content_hash: Buffer;
    batch_hash: Buffer;
    engine_signature: Buffer;
    epoch: string | number;
    is_final: boolean;
  }>(
    `SELECT b.parent_hash, b.content_hash, b.batch_hash, b.engine_signature, b.epoch, coalesce(s.state = 'final', false) AS is_final
       FROM batches b LEFT JOIN settlements s USING (batch_id) WHERE b.batch_id = $1 AND b.journal_sequence = $2`,
    [batchId, journalSequence],
  );
  const row = rows[0];
  if (row === undefined) return undefined;
  const published = {
    batchId,
    parentHash: bytesToHex(row.parent_hash),
    contentHash: bytesToHex(row.content_hash),
    batchHash: bytesToHex(row.batch_hash),
    engineSignature: bytesToHex(row.engine_signature),
  };
  return { published, epoch: Number(row.epoch), isFinal: row.is_final };
}

/**
 * Batch hash of the batch before, when that is in flight no more or was published by another process: the only content of its id, or of
 * several the one that the final chain has settled.
 */
export async function readParent(pool: Pool, batchId: number): Promise<Hash> {
  if (batchId === 1) return GENESIS_PARENT;
  const { rows } = await pool.query<{ batch_hash: Buffer; settled: boolean }>(
    `SELECT b.batch_hash, coalesce(e.final, false) AS settled
       FROM batches b LEFT JOIN (
         SELECT decode(substr(payload ->> 'contentHash', 3), 'hex') AS content_hash, final
           FROM chain_events JOIN chain_blocks ON number = block_number
          WHERE payload ->> 'kind' = 'batchSettled' AND (payload ->> 'batchId')::bigint = $1) e
         ON e.content_hash = b.content_hash
      WHERE b.batch_id = $1 ORDER BY settled DESC, b.journal_sequence DESC`,
    [batchId - 1],
  );
  const [parent] = rows;
  if (parent === undefined || !(parent.settled || rows.length === 1))
    throw new ExchangeError('NOT_READY', `batch ${batchId} cannot be published before batch ${batchId - 1}`);
  return bytesToHex(parent.batch_hash);
}
