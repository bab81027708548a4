/**
 * Standing by: the replica follows the journal until the lease is free, then takes over in one transaction.
 *
 * Meanwhile it checks itself against the leader: the newest snapshot, led on to where the replica stands, must give the
 * replica's state. Two machines that replay one journal to different states are the worst thing that can happen here, and this
 * is where it is seen before a takeover makes it matter.
 */
import { encodeSequencedCommand } from '../../domain/command-codec.ts';
import type { Command, OperatorCommand, SequencedCommand } from '../../domain/commands.ts';
import { ExchangeError } from '../../domain/errors.ts';
import type { JournalRow } from '../../domain/journal.ts';
import type { JournalSequence } from '../../domain/units.ts';
import { CommandClock, checkClockAtStart } from './command-clock.ts';
import { buildRow, corrupt, JOURNAL_START, type JournalPosition, lastTimestampOf } from './journal-row.ts';
import type {
  EngineForm,
  JournalReader,
  Leadership,
  LeadingEngine,
  NewJournalRow,
  ProblemListener,
  SequencedEngine,
  SnapshotStore,
  WallClock,
} from './ports.ts';
import { Replica, type ReplicaOptions } from './replica.ts';

export type GenesisCommand = Extract<OperatorCommand, { readonly kind: 'genesis' }>;

export type StandbyOptions<Engine extends LeadingEngine> = {
  readonly journal: JournalReader;
  readonly leadership: Leadership;
  readonly snapshots: SnapshotStore;
  readonly form: EngineForm<Engine>;
  readonly wall: WallClock;
  /** Command 1 of an empty journal; of any other, its chain and vault must be these. */
  readonly genesis: GenesisCommand;
  readonly onProblem: ProblemListener;
  /** The operator's word that this machine's clock is right. */
  readonly acceptClock?: boolean;
  /** See CommandClock. */
  readonly clockStepMaxMs?: number;
  /** How often a standby reads new rows and looks at the lease. */
  readonly pollMs?: number;
  /** How often a standby compares itself with the newest snapshot. */
  readonly compareEveryMs?: number;
  /** A journal that ends before this sequence has lost its tail: something outside it has seen that command. */
  readonly knownSequence?: number;
  readonly signal?: AbortSignal;
};

const POLL_MS = 150;
const COMPARE_EVERY_MS = 60_000;

/** Resolves with the epoch once this process leads. @throws ExchangeError; the signal's reason when aborted */
export async function standBy<Engine extends LeadingEngine>(
  options: StandbyOptions<Engine>,
  replica: Replica<Engine>,
): Promise<number> {
  const comparisons = compareFromTimeToTime(options, replica);
  try {
    for (;;) {
      options.signal?.throwIfAborted();
      await replica.catchUp();
      comparisons.check();
      const acquisition = await options.leadership.tryAcquire((last, epoch, databaseMs) => {
        checkClockAtStart({
          wallMs: options.wall.nowMs(),
          databaseMs,
          nextDeadlineMs: replica.engine.nextDeadlineMs,
          accepted: options.acceptClock ?? options.clockStepMaxMs === Infinity,
        });
        return openingRow(options, replica.position, last, epoch);
      });
      if (acquisition.kind === 'acquired') return acquisition.epoch;
      const pauseMs = Math.min(options.pollMs ?? POLL_MS, Math.max(acquisition.remainingMs, 10));
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  } finally {
    comparisons.end();
  }
}

/** Beside the following, not in between: a comparison takes as long as a recovery, and the lease may end meanwhile. */
function compareFromTimeToTime<Engine extends LeadingEngine>(
  options: StandbyOptions<Engine>,
  replica: Replica<Engine>,
): { readonly check: () => void; readonly end: () => void } {
  const compareEveryMs = options.compareEveryMs ?? COMPARE_EVERY_MS;
  const ended = new AbortController();
  let dueMs = options.wall.monotonicMs() + compareEveryMs;
  let failure: { readonly cause: unknown } | undefined;
  const compare = async (): Promise<void> => {
    dueMs = Infinity;
    try {
      await compareWithSnapshot(options, replica, ended.signal);
    } catch (cause) {
      failure = { cause };
    }
    dueMs = options.wall.monotonicMs() + compareEveryMs;
  };
  return {
    /** Starts one that is due. @throws what an earlier one found */
    check: () => {
      if (failure !== undefined) throw failure.cause;
      if (options.wall.monotonicMs() >= dueMs) void compare();
    },
    end: () => ended.abort(),
  };
}

/** Genesis on an empty journal, and the start of the epoch. */
function openingRow<Engine extends LeadingEngine>(
  options: StandbyOptions<Engine>,
  position: JournalPosition,
  last: JournalRow | undefined,
  epoch: number,
): NewJournalRow {
  const lastSequence = last?.lastSequence ?? 0;
  const known = Math.max(options.knownSequence ?? 0, position.lastSequence);
  if (lastSequence < known)
    corrupt('missing_row', lastSequence + 1, `command ${known} has been seen, but is not there`);
  const lastTimestampMs = last === undefined ? 0 : lastTimestampOf(last);
  const clock = new CommandClock({ wall: options.wall, lastTimestampMs, stepMaxMs: options.clockStepMaxMs });
  const timestampMs = clock.now(undefined);
  const start: Command = { kind: 'epochStarted', epoch };
  const commands: Command[] = last === undefined ? [options.genesis, start] : [start];
  const encoded = commands.map((command, index): Uint8Array => {
    const sequenced: SequencedCommand = {
      sequence: (lastSequence + 1 + index) as JournalSequence,
      timestampMs,
      command,
    };
    return encodeSequencedCommand(sequenced);
  });
  return buildRow(last?.hash ?? JOURNAL_START.hash, epoch, lastSequence + 1, encoded).row;
}

/**
 * Leads the newest snapshot on to where the replica stands; the replica may go on meanwhile.
 * @param signal ends the comparison at its next row, without a verdict
 * @throws ExchangeError SNAPSHOT_CORRUPT when that gives another state
 */
export async function compareWithSnapshot<Engine extends SequencedEngine>(
  options: ReplicaOptions<Engine>,
  replica: Replica<Engine>,
  signal?: AbortSignal,
): Promise<void> {
  const { lastSequence } = replica.position;
  const own = options.form.stateHash(replica.engine);
  const other = await Replica.recover({
    form: options.form,
    journal: journalUpTo(options.journal, lastSequence, signal),
    // The leader may save one of a row that the replica has not read yet.
    snapshots: snapshotsUpTo(options.snapshots, lastSequence),
    onProblem: (problem) => {
      if (signal?.aborted !== true) options.onProblem(problem);
    },
  });
  const led = options.form.stateHash(other.engine);
  if (own === led) return;
  throw new ExchangeError(
    'SNAPSHOT_CORRUPT',
    `the journal and the newest snapshot give different states at sequence ${lastSequence}: ${own} and ${led}. Stop trading and replay both from command 1`,
    { details: { sequence: lastSequence, replayed: own, fromSnapshot: led } },
  );
}

function journalUpTo(journal: JournalReader, sequence: number, signal: AbortSignal | undefined): JournalReader {
  return {
    lastRow: () => journal.lastRow(),
    async *rowsFrom(first) {
      for await (const row of journal.rowsFrom(first)) {
        signal?.throwIfAborted();
        if (row.lastSequence > sequence) return;
        yield row;
      }
    },
  };
}

function snapshotsUpTo(snapshots: SnapshotStore, sequence: number): SnapshotStore {
  return {
    save: (snapshot) => snapshots.save(snapshot),
    async *newestFirst() {
      for await (const snapshot of snapshots.newestFirst()) if (snapshot.sequence <= sequence) yield snapshot;
    },
  };
}
