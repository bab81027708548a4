/**
 * Takes a snapshot every so many commands, always at the end of a row. The engine stands still only while its state is fixed;
 * it goes on between the steps of encoding and hashing, a few milliseconds each, and while the database writes. A snapshot that
 * is still being written is not followed by another.
 */
import { createHash } from 'node:crypto';
import { RULES_VERSION } from '../../domain/commands.ts';
import type { JournalRow } from '../../domain/journal.ts';
import type { Hash } from '../../domain/units.ts';
import { toHex } from './journal-row.ts';
import { nextTurn } from './next-turn.ts';
import type { EngineForm, ProblemListener, SequencedEngine, SnapshotStore } from './ports.ts';

export type SnapshotTakerOptions<Engine extends SequencedEngine> = {
  readonly engine: Engine;
  readonly form: EngineForm<Engine>;
  readonly store: SnapshotStore;
  /** Commands between two snapshots. */
  readonly everyCommands: number;
  readonly onProblem: ProblemListener;
};

const HASH_SLICE_BYTES = 1 << 20;
/** How long encoding keeps the thread at a time. */
const TASK_MAX_MS = 4;

export class SnapshotTaker<Engine extends SequencedEngine = SequencedEngine> {
  readonly #options: SnapshotTakerOptions<Engine>;
  #lastSequence: number;
  #writing: Promise<void> | undefined;
  #madeReady = false;

  constructor(options: SnapshotTakerOptions<Engine>) {
    this.#options = options;
    this.#lastSequence = options.engine.lastSequence;
  }

  /**
   * Called when the engine stands exactly at the end of `row`; it must stay there until this is done, which copies the state in a
   * task of its own. Whether the memory for it is there yet does not decide on a row.
   */
  async offer(row: JournalRow): Promise<void> {
    if (this.#writing !== undefined) return;
    const commands = row.lastSequence - this.#lastSequence;
    if (commands >= this.#options.everyCommands) {
      await nextTurn();
      this.#take(row);
    } else if (commands >= this.#options.everyCommands / 2) this.#makeReady();
  }

  #take(row: JournalRow): void {
    this.#lastSequence = row.lastSequence;
    this.#madeReady = false;
    const { onProblem } = this.#options;
    this.#writing = this.#save(row)
      // A missing snapshot costs time at the next recovery, nothing else.
      .catch((cause: unknown) =>
        onProblem({ message: `the snapshot at sequence ${row.lastSequence} was not saved`, cause }),
      )
      .finally(() => {
        this.#writing = undefined;
      });
  }

  /** Once between two snapshots: the memory for the copies is there by the next. */
  #makeReady(): void {
    if (this.#madeReady) return;
    this.#madeReady = true;
    const { engine, form, everyCommands, onProblem } = this.#options;
    // Half of these are to come, and those of the row in which it is due.
    finish(form.makeReady(engine, everyCommands)).catch((cause: unknown) =>
      onProblem({ message: 'there was no memory for the next snapshot', cause }),
    );
  }

  /** The state is fixed at once, before the first step; where there is no memory for it, that is a missing snapshot too. */
  async #save(row: JournalRow): Promise<void> {
    const { engine, form } = this.#options;
    const body = await finish(form.encodeInSteps(engine));
    await this.#options.store.save({
      sequence: row.lastSequence,
      rulesVersion: RULES_VERSION,
      stateHash: await hashInSlices(body),
      journalHash: row.hash,
      body,
    });
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    await this.#writing;
  }
}

async function finish<Result>(encoding: Iterator<undefined, Result, undefined>): Promise<Result> {
  for (;;) {
    await nextTurn();
    const startMs = performance.now();
    do {
      const step = encoding.next();
      if (step.done === true) return step.value;
    } while (performance.now() - startMs < TASK_MAX_MS);
  }
}

/** SHA-256; the engine goes on between the slices, a millisecond or two each. */
async function hashInSlices(body: Uint8Array): Promise<Hash> {
  const hash = createHash('sha256');
  for (let start = 0; start < body.length; start += HASH_SLICE_BYTES) {
    hash.update(body.subarray(start, start + HASH_SLICE_BYTES));
    await nextTurn();
  }
  return toHex(hash.digest());
}
