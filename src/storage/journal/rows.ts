/** Journal rows as PostgreSQL holds them. */
import type { JournalRow } from '../../domain/journal.ts';
import type { JournalSequence, TimestampMs } from '../../domain/units.ts';
import { toBytes, toHex } from '../../offchain-engine/sequencer/journal-row.ts';
import type { NewJournalRow } from '../../offchain-engine/sequencer/ports.ts';

export type StoredRow = {
  readonly first_sequence: number;
  readonly last_sequence: number;
  readonly epoch: number;
  readonly rules_version: number;
  readonly body: Buffer;
  readonly previous_hash: Buffer;
  readonly merkle_root: Buffer;
  readonly hash: Buffer;
  readonly committed_at: Date;
};

export const ROW_COLUMNS =
  'first_sequence, last_sequence, epoch, rules_version, body, previous_hash, merkle_root, hash, committed_at';

export function fromStored(stored: StoredRow): JournalRow {
  return {
    firstSequence: stored.first_sequence as JournalSequence,
    lastSequence: stored.last_sequence as JournalSequence,
    epoch: stored.epoch,
    rulesVersion: stored.rules_version,
    body: stored.body,
    previousHash: toHex(stored.previous_hash),
    merkleRoot: toHex(stored.merkle_root),
    hash: toHex(stored.hash),
    committedAtMs: stored.committed_at.getTime() as TimestampMs,
  };
}

/** Statement parameters in the order of ROW_COLUMNS, without the time, which is the database's. */
export function toParameters(row: NewJournalRow): unknown[] {
  return [
    row.firstSequence,
    row.lastSequence,
    row.epoch,
    row.rulesVersion,
    Buffer.from(row.body.buffer, row.body.byteOffset, row.body.byteLength),
    toBytes(row.previousHash),
    toBytes(row.merkleRoot),
    toBytes(row.hash),
  ];
}
