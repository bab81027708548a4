/**
 * What surrounds the engine in a simulation, in memory: clocks, the journal with its leader row, snapshots. Everything that goes wrong here
 * is drawn from the seed.
 *
 * The journal holds what PostgreSQL holds: a row is taken only from the epoch that leads and only on top of the row it names. A commit
 * takes a few turns of the event loop, so that commands gather meanwhile; its answer can be lost, before the write or after.
 */
import { mock } from 'node:test';
import { ExchangeError } from '../../src/domain/errors.ts';
import type { JournalRow } from '../../src/domain/journal.ts';
import type { TimestampMs } from '../../src/domain/units.ts';
import { JOURNAL_START } from '../../src/offchain-engine/sequencer/journal-row.ts';
import type {
  AppendOutcome,
  Journal,
  JournalReader,
  Leadership,
  NewJournalRow,
  Snapshot,
  SnapshotStore,
  WallClock,
} from '../../src/offchain-engine/sequencer/ports.ts';

export type Random = (below: number) => number;

/** What happens to the next append instead of success. */
export type AppendFault = 'dies before the write' | 'dies after the write' | 'answer lost' | 'not written';
export const APPEND_FAULTS: readonly AppendFault[] = [
  'dies before the write',
  'dies after the write',
  'answer lost',
  'not written',
];

const SNAPSHOTS_KEPT = 3;
export const START_MS = 1_700_000_000_000;

const TICK_MAX_MS = 3_600_000;

export class FaultyWorld {
  readonly rows: JournalRow[] = [];
  readonly snapshots: Snapshot[] = [];
  readonly random: Random;
  epoch = 0;
  nextAppend: AppendFault | undefined;
  /** The time that has really passed. */
  trueMs = START_MS;
  /** By how much the machine's clock is wrong. */
  clockErrorMs = 0;
  /** Grows with everything that the sequencer asks of its surroundings. */
  activity = 0;
  readonly counts = { appends: 0, refused: 0, snapshots: 0 };

  constructor(random: Random) {
    this.random = random;
  }

  readonly clock: WallClock = {
    nowMs: () => {
      this.activity++;
      return this.trueMs + this.clockErrorMs;
    },
    monotonicMs: () => this.trueMs - START_MS,
  };

  get lastSequence(): number {
    return this.rows.at(-1)?.lastSequence ?? 0;
  }

  /** Lets time pass; timers that are due fire. */
  pass(ms: number): void {
    this.trueMs += ms;
    // Timers ask for an hour at most; those of the days in between would all fire for nothing.
    mock.timers.tick(Math.min(ms, TICK_MAX_MS));
  }

  /** Waits until nothing goes on any more. */
  async settle(): Promise<void> {
    for (let quiet = 0, seen = -1; quiet < 4; quiet = seen === this.activity ? quiet + 1 : 0) {
      seen = this.activity;
      await turn();
    }
  }

  /** A view of the journal for one process; after `isDead` it never answers. */
  journal(isDead: () => boolean): Journal {
    return { ...readerOf(this.rows), append: (row) => this.#append(row, isDead) };
  }

  leadership(isDead: () => boolean): Leadership {
    return {
      tryAcquire: async (opening) => {
        const epoch = this.epoch + 1;
        const row = opening(this.rows.at(-1), epoch, this.trueMs as TimestampMs);
        this.epoch = epoch;
        this.#write(row);
        return { kind: 'acquired', epoch };
      },
      renew: async () => {
        if (isDead()) await forever();
      },
      release: async () => undefined,
    };
  }

  readonly snapshotStore: SnapshotStore = {
    save: async (snapshot) => {
      this.activity++;
      if (this.random(10) === 0) throw new Error('the disk is full');
      this.counts.snapshots++;
      this.snapshots.unshift(snapshot);
      this.snapshots.length = Math.min(this.snapshots.length, SNAPSHOTS_KEPT);
    },
    newestFirst: () => streamOf(this.snapshots),
  };

  /** Flips one bit of the newest snapshot. */
  damageNewestSnapshot(): void {
    const [newest] = this.snapshots;
    if (newest !== undefined) this.snapshots[0] = { ...newest, body: withFlippedBit(newest.body, this.random) };
  }

  async #append(row: NewJournalRow, isDead: () => boolean): Promise<AppendOutcome> {
    this.activity++;
    this.counts.appends++;
    const fault = this.nextAppend;
    this.nextAppend = undefined;
    for (let turns = this.random(3); turns > 0; turns--) await turn();
    if (isDead() || fault === 'dies before the write') return forever();
    if (fault === 'not written') throw statusUnknown();
    if (row.epoch !== this.epoch) {
      this.counts.refused++;
      return { kind: 'refused', reason: 'leadership_lost' };
    }
    if (row.previousHash !== (this.rows.at(-1)?.hash ?? JOURNAL_START.hash))
      return { kind: 'refused', reason: 'foreign_row' };
    this.#write(row);
    await turn();
    this.activity++;
    if (isDead() || fault === 'dies after the write') return forever();
    if (fault === 'answer lost') throw statusUnknown();
    return { kind: 'committed', committedAtMs: this.trueMs as TimestampMs };
  }

  #write(row: NewJournalRow): void {
    this.rows.push({ ...row, committedAtMs: this.trueMs as TimestampMs });
  }
}

export function readerOf(rows: readonly JournalRow[]): JournalReader {
  return {
    lastRow: async () => rows.at(-1),
    rowsFrom: (sequence) => streamOf(rows, (row) => row.lastSequence >= sequence),
  };
}

/** The journal with one piece of damage that recovery must notice; undefined when it is too short to be damaged. */
export function damaged(rows: readonly JournalRow[], random: Random): JournalRow[] | undefined {
  if (rows.length < 4) return undefined;
  const copy = [...rows];
  const at = 1 + random(rows.length - 2);
  const row = copy[at] as JournalRow;
  const kind = random(4);
  if (kind === 0) copy.splice(at, 1);
  else if (kind === 1) copy.splice(at, 2, copy[at + 1] as JournalRow, row);
  else if (kind === 2) copy[at] = { ...row, body: withFlippedBit(row.body, random) };
  else copy[at] = { ...row, body: row.body.slice(0, random(row.body.length)) };
  return copy;
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function withFlippedBit(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const at = random(copy.length);
  copy[at] = (copy[at] ?? 0) ^ (1 << random(8));
  return copy;
}

async function* streamOf<Item>(
  items: readonly Item[],
  wanted: (item: Item) => boolean = () => true,
): AsyncIterable<Item> {
  for (const item of items) if (wanted(item)) yield item;
}

function forever(): Promise<never> {
  return new Promise(() => undefined);
}

function statusUnknown(): ExchangeError {
  return new ExchangeError('STATUS_UNKNOWN', 'the database did not say whether the row was written');
}
