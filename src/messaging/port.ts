/**
 * What the processes say to each other while they run: commands to the engine, the events it releases, and the books as they
 * stand. One port, two transports (in process, Redis); both are transport only. Nothing exists here alone: what is lost on the
 * way is in the journal, and a receiver that missed something learns it from a gap in the journal sequence.
 *
 * Promises of every transport:
 * - a command is delivered at least once or not at all; the same command delivered twice takes effect once;
 * - a command is not started after its `notAfterMs`;
 * - frames reach a subscriber in journal order, each at most once; a missing one is announced as a gap first.
 *
 * Not here: chain → engine and engine → settlement, which go through PostgreSQL tables with cursors.
 */
import type { UserCommand } from '../domain/commands.ts';
import type { AppliedCommand, EngineEvent } from '../domain/events.ts';
import type { Receipt } from '../domain/journal.ts';
import type { JournalSequence, Lots, PriceTicks, TimestampMs } from '../domain/units.ts';

export type CommandReply =
  /** Journaled and applied. A refusal by the engine is committed too: it is one of the `events`. */
  | {
      readonly kind: 'committed';
      readonly sequence: JournalSequence;
      readonly timestampMs: TimestampMs;
      /** The command's own events. */
      readonly events: readonly EngineEvent[];
      readonly receipt: Receipt;
    }
  /** Certainly not executed: the queue is full, nobody leads, or `notAfterMs` passed first. */
  | { readonly kind: 'overloaded'; readonly retryAfterMs: number }
  /** No answer in time: it may or may not have been executed. Look it up before sending it again. */
  | { readonly kind: 'unknown' };

export type SubmitOptions = {
  /** The engine does not start the command after this moment of its own clock. */
  readonly notAfterMs: TimestampMs;
};

export type CommandClient = {
  /** Never rejects: what goes wrong on the way is `overloaded` or `unknown`. Settles soon after `notAfterMs` at the latest. */
  submit(command: UserCommand, options: SubmitOptions): Promise<CommandReply>;
};

/** The engine's side; the sequencer's submit. A handler that throws is answered with `unknown`. */
export type CommandHandler = (command: UserCommand, options: SubmitOptions) => Promise<CommandReply>;

/** Ends what was started; waits for what is under way. */
export type Stop = () => Promise<void>;

export type CommandServer = {
  /** Only the leader serves. One handler at a time. */
  serveCommands(handler: CommandHandler): Promise<Stop>;
};

export type EventSubscriber = {
  /** Frames in journal order, the next sequence each. Must not throw; must not block for long. */
  readonly onApplied: (frames: readonly AppliedCommand[]) => void;
  /** Frames from `expected` up to before `got` were lost on the way: rebuild from a snapshot or the projections. */
  readonly onGap: (gap: { readonly expected: JournalSequence; readonly got: JournalSequence }) => void;
};

export type EventStream = {
  /**
   * Every applied command, in order, also those without events: a missing sequence is how a subscriber notices a loss.
   * Returns at once; a transport that is down drops the frames.
   */
  publish(frames: readonly AppliedCommand[]): void;
  /** What is published from now on. */
  subscribe(subscriber: EventSubscriber): Promise<Stop>;
};

/** Price and total resting size there. */
export type Level = readonly [price: PriceTicks, size: Lots];

export type BookLevels = {
  readonly market: number;
  /** Best (highest) first. */
  readonly bids: readonly Level[];
  /** Best (lowest) first. */
  readonly asks: readonly Level[];
};

/** Every book after the command at `sequence`: a gateway starts here and goes on with the frames after it. */
export type BookSnapshot = { readonly sequence: JournalSequence; readonly books: readonly BookLevels[] };

export type SnapshotServer = {
  /** Only the leader serves. `source` is called once per request, between two commands. */
  serveSnapshots(source: () => BookSnapshot): Promise<Stop>;
};

export type SnapshotClient = {
  /** Undefined when nobody answered within `timeoutMs`. */
  requestSnapshot(timeoutMs: number): Promise<BookSnapshot | undefined>;
};

export type Transport = CommandClient &
  CommandServer &
  EventStream &
  SnapshotServer &
  SnapshotClient & {
    /** Ends subscriptions, answers what is under way with `unknown`, and closes connections. */
    readonly close: Stop;
  };

/** Counters that all processes see, for what need not survive: rate limits. */
export type SharedCounters = {
  /**
   * Adds to the fields of one counter, which is forgotten `keptMs` after its last change.
   * @returns the new totals, in the order given
   * @throws Error when the counters cannot be reached; whether it was added is not known then
   */
  readonly add: (
    counter: string,
    added: readonly { readonly field: string; readonly by: number }[],
    keptMs: number,
  ) => Promise<readonly number[]>;
};

/** Where a transport reports what it survived: a lost connection, a malformed entry, a handler that threw. */
export type TransportProblem = (problem: { readonly message: string; readonly cause: unknown }) => void;
