/**
 * An engine brought to where the journal stands, and kept there: recovery, standby and audit are all this.
 *
 * Recovery = the newest snapshot that verifies, then every row after it, each verified before it is applied. A snapshot that does
 * not verify is passed over for the one before, down to none; a journal that does not verify, or that ends before a
 * snapshot that was taken of it, stops recovery, because then something acknowledged is missing.
 */
import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import { CodecError } from '../../domain/byte-codec.ts';
import { RULES_VERSION } from '../../domain/commands.ts';
import { ExchangeError } from '../../domain/errors.ts';
import type { AppliedCommand } from '../../domain/events.ts';
import type { JournalRow } from '../../domain/journal.ts';
import {
  corrupt,
  JOURNAL_START,
  type JournalPosition,
  lastTimestampOf,
  verifyEncodedRow,
  verifyRow,
} from './journal-row.ts';
import type { EngineForm, JournalReader, ProblemListener, SequencedEngine, Snapshot, SnapshotStore } from './ports.ts';

export type ReplicaOptions<Engine extends SequencedEngine> = {
  readonly journal: JournalReader;
  readonly snapshots: SnapshotStore;
  readonly form: EngineForm<Engine>;
  readonly onProblem: ProblemListener;
};

/** How long a replay keeps the thread at most, one row apart. */
const TASK_MAX_MS = 8;

export type AppliedRow = (applied: readonly AppliedCommand[], row: JournalRow) => void;

export class Replica<Engine extends SequencedEngine> {
  readonly engine: Engine;
  readonly #journal: JournalReader;
  #position: JournalPosition;

  private constructor(engine: Engine, position: JournalPosition, journal: JournalReader) {
    this.engine = engine;
    this.#position = position;
    this.#journal = journal;
  }

  /** The last row that was verified and applied. */
  get position(): JournalPosition {
    return this.#position;
  }

  /** @throws ExchangeError JOURNAL_CORRUPT, with problem and sequence in its details */
  static async recover<Engine extends SequencedEngine>(options: ReplicaOptions<Engine>): Promise<Replica<Engine>> {
    const last = await options.journal.lastRow();
    for await (const snapshot of options.snapshots.newestFirst()) {
      if (snapshot.sequence > (last?.lastSequence ?? 0)) {
        corrupt('missing_row', snapshot.sequence, 'a snapshot was taken there, but the journal ends before it');
      }
      const replica = await Replica.#fromSnapshot(options, snapshot);
      if (replica === undefined) continue;
      await replica.catchUp();
      return replica;
    }
    const replica = new Replica(options.form.create(), JOURNAL_START, options.journal);
    await replica.catchUp();
    return replica;
  }

  static async #fromSnapshot<Engine extends SequencedEngine>(
    options: ReplicaOptions<Engine>,
    snapshot: Snapshot,
  ): Promise<Replica<Engine> | undefined> {
    try {
      if (snapshot.rulesVersion > RULES_VERSION) throw unknownRules(snapshot.rulesVersion, snapshot.sequence);
      // Before anything in it is believed: a flipped byte in a count or an index would ask for all memory there is.
      const bodyHash = `0x${createHash('sha256').update(snapshot.body).digest('hex')}`;
      if (bodyHash !== snapshot.stateHash) {
        throw new ExchangeError('SNAPSHOT_CORRUPT', `its bytes have the hash ${bodyHash}, not ${snapshot.stateHash}`);
      }
      const engine = options.form.restore(snapshot.body);
      const stateHash = options.form.stateHash(engine);
      if (stateHash !== snapshot.stateHash) {
        throw new ExchangeError('SNAPSHOT_CORRUPT', `its state hash is ${stateHash}, not ${snapshot.stateHash}`);
      }
      const position = await positionAt(options.journal, snapshot);
      return new Replica(engine, position, options.journal);
    } catch (cause) {
      options.onProblem({ message: `the snapshot at sequence ${snapshot.sequence} is passed over`, cause });
      return undefined;
    }
  }

  /**
   * Applies every row that is in the journal by now.
   * @returns the number of rows
   * @throws ExchangeError JOURNAL_CORRUPT, with problem and sequence in its details
   */
  async catchUp(onApplied?: AppliedRow): Promise<number> {
    let rows = 0;
    let yieldedMs = performance.now();
    for await (const row of this.#journal.rowsFrom(this.#position.lastSequence + 1)) {
      this.#applyRow(row, onApplied);
      rows++;
      // A long replay shares its thread with heartbeats and, in a single process, with the API.
      if (performance.now() - yieldedMs > TASK_MAX_MS) {
        await new Promise((resolve) => setImmediate(resolve));
        yieldedMs = performance.now();
      }
    }
    return rows;
  }

  #applyRow(row: JournalRow, onApplied: AppliedRow | undefined): void {
    if (row.rulesVersion > RULES_VERSION) throw unknownRules(row.rulesVersion, row.firstSequence);
    if (onApplied === undefined) {
      const { encoded, position } = verifyEncodedRow(this.#position, row);
      try {
        this.engine.executeEncoded(encoded);
      } catch (error) {
        // Decoded one by one, the command that cannot be is named.
        if (error instanceof CodecError) verifyRow(this.#position, row);
        throw error;
      }
      this.#standAt(position, row);
      return;
    }
    const { commands, position } = verifyRow(this.#position, row);
    const applied = commands.map((sequenced) => this.engine.apply(sequenced));
    this.#standAt(position, row);
    onApplied(applied, row);
  }

  #standAt(position: JournalPosition, row: JournalRow): void {
    assert.equal(
      this.engine.lastSequence,
      row.lastSequence,
      'the engine does not stand at the end of the row it applied',
    );
    this.#position = position;
  }
}

/** Where the journal stands at a snapshot. @throws ExchangeError when the snapshot is not of this journal */
async function positionAt(journal: JournalReader, snapshot: Snapshot): Promise<JournalPosition> {
  for await (const row of journal.rowsFrom(snapshot.sequence)) {
    if (row.lastSequence !== snapshot.sequence || row.hash !== snapshot.journalHash) break;
    return { lastSequence: row.lastSequence, hash: row.hash, epoch: row.epoch, timestampMs: lastTimestampOf(row) };
  }
  throw new ExchangeError(
    'SNAPSHOT_CORRUPT',
    `no journal row ends at ${snapshot.sequence} with hash ${snapshot.journalHash}`,
  );
}

function unknownRules(version: number, sequence: number): ExchangeError {
  return new ExchangeError(
    'CONFIGURATION',
    `sequence ${sequence} was written under rules version ${version}; this program knows ${RULES_VERSION} at most. Run a newer one`,
  );
}
