/**
 * What lets the sequencer's own recovery and following (`Replica`) drive the projections: a journal and snapshots that end where
 * told, and an engine whose applied commands can be listened to.
 */
import { decodeSequencedCommand } from '../../domain/command-codec.ts';
import type { SequencedCommand } from '../../domain/commands.ts';
import type { AppliedCommand } from '../../domain/events.ts';
import type { JournalRow } from '../../domain/journal.ts';
import type { Hex } from '../../domain/units.ts';
import type {
  EngineForm,
  JournalReader,
  SequencedEngine,
  Snapshot,
  SnapshotStore,
} from '../../offchain-engine/sequencer/ports.ts';

/**
 * The journal up to a row for which `mayGoOn` says no. That row is kept, and the reading behind it goes on where it stood when
 * the next call asks for the row: pages of the journal are not read twice.
 */
export class BoundedJournal implements JournalReader {
  private readonly journal: JournalReader;
  private readonly mayGoOn: (row: JournalRow) => boolean;
  private held: { readonly row: JournalRow; readonly rest: AsyncIterator<JournalRow> } | undefined;

  constructor(journal: JournalReader, mayGoOn: (row: JournalRow) => boolean) {
    this.journal = journal;
    this.mayGoOn = mayGoOn;
  }

  async *rowsFrom(sequence: number): AsyncGenerator<JournalRow, void, undefined> {
    const { held } = this;
    this.held = undefined;
    const continues = held !== undefined && held.row.firstSequence === sequence;
    const rest = continues ? held.rest : this.journal.rowsFrom(sequence)[Symbol.asyncIterator]();
    let row = continues ? held.row : await nextOf(rest);
    for (; row !== undefined; row = await nextOf(rest)) {
      if (!this.mayGoOn(row)) {
        this.held = { row, rest };
        return;
      }
      yield row;
    }
  }

  lastRow(): Promise<JournalRow | undefined> {
    return this.journal.lastRow();
  }
}

async function nextOf(rows: AsyncIterator<JournalRow>): Promise<JournalRow | undefined> {
  const next = await rows.next();
  return next.done === true ? undefined : next.value;
}

/** Only the snapshots that are not beyond `sequence`. */
export function snapshotsUpTo(snapshots: SnapshotStore, sequence: number): SnapshotStore {
  return {
    save: (snapshot) => snapshots.save(snapshot),
    async *newestFirst(): AsyncGenerator<Snapshot, void, undefined> {
      for await (const snapshot of snapshots.newestFirst()) if (snapshot.sequence <= sequence) yield snapshot;
    },
  };
}

export type AppliedListener = (sequenced: SequencedCommand, applied: AppliedCommand) => void;

/** An engine that tells what it applied. */
export class ObservedEngine<Engine extends SequencedEngine> implements SequencedEngine {
  readonly inner: Engine;
  private readonly listener: AppliedListener;

  constructor(inner: Engine, listener: AppliedListener) {
    this.inner = inner;
    this.listener = listener;
  }

  get lastSequence(): number {
    return this.inner.lastSequence;
  }

  apply(sequenced: SequencedCommand): AppliedCommand {
    const applied = this.inner.apply(sequenced);
    this.listener(sequenced, applied);
    return applied;
  }

  /** Whoever replays may not want the events; the listener does. */
  executeEncoded(encoded: readonly Uint8Array[]): void {
    for (const sequenced of encoded.map(decodeSequencedCommand)) this.apply(sequenced);
  }
}

export function observed<Engine extends SequencedEngine>(
  form: EngineForm<Engine>,
  listener: AppliedListener,
): EngineForm<ObservedEngine<Engine>> {
  return {
    create: () => new ObservedEngine(form.create(), listener),
    restore: (body) => new ObservedEngine(form.restore(body), listener),
    encode: (engine): Uint8Array => form.encode(engine.inner),
    makeReady: (engine, commands) => form.makeReady(engine.inner, commands),
    encodeInSteps: (engine) => form.encodeInSteps(engine.inner),
    stateHash: (engine): Hex => form.stateHash(engine.inner),
  };
}
