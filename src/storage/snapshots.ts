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

export class PostgresSnapshots implements SnapshotStore {
  readonly #pool: pg.Pool;
  readonly #kept: number;

  constructor(options: { readonly pool: pg.Pool; readonly kept?: number }) {
    this.#pool = options.pool;
    this.#kept = options.kept ?? SNAPSHOTS_KEPT;
  }

  /** The older ones beyond the number kept are deleted in the same statement. */
  async save(snapshot: Snapshot): Promise<void> {
    await this.#pool.query(
      `WITH saved AS (
         INSERT INTO snapshots (sequence, rules_version, state_hash, journal_hash, body) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (sequence) DO UPDATE SET rules_version = excluded.rules_version, state_hash = excluded.state_hash,
           journal_hash = excluded.journal_hash, body = excluded.body, taken_at = clock_timestamp()
       )
       DELETE FROM snapshots WHERE sequence IN (
         SELECT sequence FROM snapshots WHERE sequence <> $1 ORDER BY sequence DESC OFFSET $6
       )`,
      [
        snapshot.sequence,
        snapshot.rulesVersion,
        toBytes(snapshot.stateHash),
        toBytes(snapshot.journalHash),
        Buffer.from(snapshot.body.buffer, snapshot.body.byteOffset, snapshot.body.byteLength),
        this.#kept - 1,
      ],
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
      // It may have been deleted meanwhile by a leader that saved newer ones.
      if (found.rows[0] !== undefined) yield fromStored(found.rows[0]);
    }
  }
}

function fromStored(stored: StoredSnapshot): Snapshot {
  return {
    sequence: stored.sequence as JournalSequence,
    rulesVersion: stored.rules_version,
    stateHash: toHex(stored.state_hash),
    journalHash: toHex(stored.journal_hash),
    body: stored.body,
  };
}
