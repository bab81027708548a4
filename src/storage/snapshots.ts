/** Engine snapshots: a shortcut for recovery, never the truth. The newest few are kept, so that a damaged one can be passed over. */
import type pg from 'pg';
import type { JournalSequence } from '../domain/units.ts';
import { toBytes, toHex } from '../offchain-engine/sequencer/journal-row.ts';
import type { Snapshot, SnapshotStore } from '../offchain-engine/sequencer/ports.ts';

/** The first piece comes with what the others belong to. */
type StoredPiece = {
  readonly rules_version: number;
  readonly state_hash: Buffer;
  readonly journal_hash: Buffer;
  readonly bytes: Buffer;
};

const SNAPSHOTS_KEPT = 3;
/** Sent in one message: laying it out takes a millisecond or two. */
const PART_BYTES = 1 << 18;

export class PostgresSnapshots implements SnapshotStore {
  readonly #pool: pg.Pool;
  readonly #kept: number;

  constructor(options: { readonly pool: pg.Pool; readonly kept?: number }) {
    this.#pool = options.pool;
    this.#kept = options.kept ?? SNAPSHOTS_KEPT;
  }

  /** All of it or nothing; the older ones beyond the number kept are deleted with it. */
  async save(snapshot: Snapshot): Promise<void> {
    const client = await this.#pool.connect();
    let failure: unknown;
    try {
      await client.query('BEGIN');
      await this.#write(client, snapshot);
      await client.query('COMMIT');
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      // A connection that may still be in the transaction is not used again.
      client.release(failure !== undefined);
    }
  }

  async #write(
    client: pg.ClientBase,
    { sequence, rulesVersion, stateHash, journalHash, body }: Snapshot,
  ): Promise<void> {
    await client.query('DELETE FROM snapshots WHERE sequence = $1', [sequence]);
    await client.query(
      'INSERT INTO snapshots (sequence, rules_version, state_hash, journal_hash, body) VALUES ($1, $2, $3, $4, $5)',
      [sequence, rulesVersion, toBytes(stateHash), toBytes(journalHash), pieceOf(body, 0)],
    );
    for (let part = 1; part * PART_BYTES < body.length; part++) {
      await client.query('INSERT INTO snapshot_parts (sequence, part, bytes) VALUES ($1, $2, $3)', [
        sequence,
        part,
        pieceOf(body, part),
      ]);
    }
    await client.query(
      `DELETE FROM snapshots WHERE sequence IN (
         SELECT sequence FROM snapshots WHERE sequence <> $1 ORDER BY sequence DESC OFFSET $2
       )`,
      [sequence, this.#kept - 1],
    );
  }

  async *newestFirst(): AsyncGenerator<Snapshot, void, undefined> {
    const sequences = await this.#pool.query<{ sequence: number }>(
      'SELECT sequence FROM snapshots ORDER BY sequence DESC',
    );
    for (const { sequence } of sequences.rows) {
      // All pieces by one statement: a leader that saves newer ones deletes it whole, perhaps meanwhile.
      const { rows } = await this.#pool.query<StoredPiece>(
        `SELECT 0 AS part, rules_version, state_hash, journal_hash, body AS bytes FROM snapshots WHERE sequence = $1
         UNION ALL
         SELECT part, NULL, NULL, NULL, bytes FROM snapshot_parts WHERE sequence = $1
         ORDER BY part`,
        [sequence],
      );
      if (rows[0] !== undefined) yield fromStored(sequence, rows[0], rows);
    }
  }
}

function fromStored(sequence: number, first: StoredPiece, pieces: readonly StoredPiece[]): Snapshot {
  return {
    sequence: sequence as JournalSequence,
    rulesVersion: first.rules_version,
    stateHash: toHex(first.state_hash),
    journalHash: toHex(first.journal_hash),
    body: pieces.length === 1 ? first.bytes : Buffer.concat(pieces.map(({ bytes }) => bytes)),
  };
}

function pieceOf(body: Uint8Array, part: number): Buffer {
  const start = part * PART_BYTES;
  return Buffer.from(body.buffer, body.byteOffset + start, Math.min(PART_BYTES, body.length - start));
}
