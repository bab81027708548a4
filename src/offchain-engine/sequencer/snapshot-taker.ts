/**
 * Takes a snapshot every so many commands, always at the end of a row. The engine stands still only while its state is encoded;
 * the database writes it while the engine goes on, and one that is still being written is not followed by another.
 */
import { RULES_VERSION } from '../../domain/commands.ts';
import type { JournalRow } from '../../domain/journal.ts';
import { sha256, toHex } from './journal-row.ts';
import type { EngineForm, ProblemListener, SequencedEngine, SnapshotStore } from './ports.ts';

export type SnapshotTakerOptions<Engine extends SequencedEngine> = {
  readonly engine: Engine;
  readonly form: EngineForm<Engine>;
  readonly store: SnapshotStore;
  /** Commands between two snapshots. */
  readonly everyCommands: number;
  readonly onProblem: ProblemListener;
};

export class SnapshotTaker<Engine extends SequencedEngine = SequencedEngine> {
  readonly #options: SnapshotTakerOptions<Engine>;
  #lastSequence: number;
  #writing: Promise<void> | undefined;

  constructor(options: SnapshotTakerOptions<Engine>) {
    this.#options = options;
    this.#lastSequence = options.engine.lastSequence;
  }

  /** Called when the engine stands exactly at the end of `row`. */
  offer(row: JournalRow): void {
    const due = row.lastSequence - this.#lastSequence >= this.#options.everyCommands;
    if (!due || this.#writing !== undefined) return;
    this.#lastSequence = row.lastSequence;
    const { engine, form, store, onProblem } = this.#options;
    const body = form.encode(engine);
    const snapshot = {
      sequence: row.lastSequence,
      rulesVersion: RULES_VERSION,
      stateHash: toHex(sha256(body)),
      journalHash: row.hash,
      body,
    };
    this.#writing = store
      .save(snapshot)
      // A missing snapshot costs time at the next recovery, nothing else.
      .catch((cause: unknown) =>
        onProblem({ message: `the snapshot at sequence ${snapshot.sequence} was not saved`, cause }),
      )
      .finally(() => {
        this.#writing = undefined;
      });
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    await this.#writing;
  }
}
