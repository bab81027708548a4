/** Engine snapshots: a shortcut for recovery, never the truth. The newest few are kept, so that a damaged one can be passed over. */
import type pg from 'pg';
import type { JournalSequence } from '../domain/units.ts';
import { toBytes, toHex } from '../offchain-engine/sequencer/journal-row.ts';
import type { Snapshot, SnapshotStore } from '../offchain-engine/sequencer/ports.ts';

type StoredSnapshot = {
  readonly sequence: number;
  readonly rules_version: number;
  readonly state_hash: Buffer;
  readonly journal_hash: Buffer;
  readonly body: Buffer;
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
      const found = await this.#pool.query<StoredSnapshot>(
        'SELECT sequence, rules_version, state_hash, journal_hash, body FROM snapshots WHERE sequence = $1',
        [sequence],
      );
      const parts = await this.#pool.query<{ bytes: Buffer }>(
        'SELECT bytes FROM snapshot_parts WHERE sequence = $1 ORDER BY part',
        [sequence],
      );
      // It may have been deleted meanwhile by a leader that saved newer ones.
      if (found.rows[0] !== undefined) yield fromStored(found.rows[0], parts.rows);
    }
  }
}

function fromStored(stored: StoredSnapshot, parts: readonly { readonly bytes: Buffer }[]): Snapshot {
  return {
    sequence: stored.sequence as JournalSequence,
    rulesVersion: stored.rules_version,
    stateHash: toHex(stored.state_hash),
    journalHash: toHex(stored.journal_hash),
    body: parts.length === 0 ? stored.body : Buffer.concat([stored.body, ...parts.map(({ bytes }) => bytes)]),
  };
}

function pieceOf(body: Uint8Array, part: number): Buffer {
  const start = part * PART_BYTES;
  return Buffer.from(body.buffer, body.byteOffset + start, Math.min(PART_BYTES, body.length - start));
}
