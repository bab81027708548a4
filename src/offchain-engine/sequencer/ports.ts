/** What the sequencer needs from the outside world. Storage implements the journal, the leadership and the snapshots. */
import type { SequencedCommand } from '../../domain/commands.ts';
import type { AppliedCommand, EngineEvent } from '../../domain/events.ts';
import type { JournalRow, Receipt } from '../../domain/journal.ts';
import type { Hex, JournalSequence, TimestampMs } from '../../domain/units.ts';

/** A row that may not be committed yet: the database gives it its time. */
export type NewJournalRow = Omit<JournalRow, 'committedAtMs'>;

export type AppendOutcome =
  | { readonly kind: 'committed'; readonly committedAtMs: TimestampMs }
  /** Certainly not written. `leadership_lost`: another epoch leads; `foreign_row`: the row before is not the one expected. */
  | { readonly kind: 'refused'; readonly reason: 'leadership_lost' | 'foreign_row' };

export type JournalReader = {
  /** Rows from the one that holds `sequence` on, in order, up to the tail of the moment. Not verified: see `verifyRow`. */
  rowsFrom(sequence: number): AsyncIterable<JournalRow>;
  /** The last row, undefined when the journal is empty. Not verified. */
  lastRow(): Promise<JournalRow | undefined>;
};

export type Journal = JournalReader & {
  /**
   * One durable write, or none. Resolves only when it is known which.
   * @throws ExchangeError STATUS_UNKNOWN when the database stays away too long: the process must end and recover.
   */
  append(row: NewJournalRow): Promise<AppendOutcome>;
};

export type Snapshot = {
  /** The last command that is in it; always the last of its journal row. */
  readonly sequence: JournalSequence;
  readonly rulesVersion: number;
  readonly stateHash: Hex;
  /** Hash of the row that ends at `sequence`. */
  readonly journalHash: Hex;
  readonly body: Uint8Array;
};

export type SnapshotStore = {
  save(snapshot: Snapshot): Promise<void>;
  /** Newest first, each loaded when asked for. Not verified. */
  newestFirst(): AsyncIterable<Snapshot>;
};

/** Builds the row that opens an epoch, on top of the journal's last row. */
export type OpeningRow = (last: JournalRow | undefined, epoch: number, databaseTimeMs: TimestampMs) => NewJournalRow;

export type Acquisition =
  | { readonly kind: 'acquired'; readonly epoch: number }
  /** Another leader's lease runs for so long yet, by the database's clock. */
  | { readonly kind: 'held'; readonly remainingMs: number };

export type Leadership = {
  /** One attempt, without waiting for the lease. On success the epoch is raised and the opening row is in the journal. */
  tryAcquire(opening: OpeningRow): Promise<Acquisition>;
  /** Renews the lease while there is nothing to write. @throws ExchangeError LEADERSHIP_LOST once another leads. */
  renew(): Promise<void>;
  /** Ends the lease at once, so that a successor need not wait for it. */
  release(): Promise<void>;
};

export type WallClock = {
  /** Milliseconds since the Unix epoch; may jump. */
  nowMs(): number;
  /** Milliseconds since some moment of this process; never jumps. */
  monotonicMs(): number;
};

/** Signs a row for receipts; the same signature serves every command of the row. */
export type RowSigner = (row: NewJournalRow) => Promise<Hex>;

/** What replaying a journal needs of an engine. */
export type SequencedEngine = {
  /** The last command applied; 0 before the first. */
  readonly lastSequence: number;
  /** @throws when the command contradicts the state: a broken invariant, after which the engine is unusable. */
  apply(command: SequencedCommand): AppliedCommand;
  /**
   * `apply` of commands as they stand in a row, for those who do not ask what happened.
   * @throws CodecError for bytes that are not exactly one command, before any is applied
   */
  executeEncoded(encoded: readonly Uint8Array[]): void;
};

/** What the sequencer's own decisions look at besides. */
export type LeadingEngine = SequencedEngine & {
  /** The moment at which something expires, undefined when nothing does. */
  readonly nextDeadlineMs: number | undefined;
  readonly unsealedTrades: number;
  readonly oldestUnsealedTimestampMs: number | undefined;
  readonly pendingWithdrawalCount: number;
  /** Whether a seal would give a batch now. */
  readonly canSeal: boolean;
};

/** How engines come into being and are written down. */
export type EngineForm<Engine extends SequencedEngine> = {
  /** Before command 1. */
  create(): Engine;
  /** @throws when the bytes are not a snapshot. */
  restore(body: Uint8Array): Engine;
  /** Canonical: equal states give equal bytes. */
  encode(engine: Engine): Uint8Array;
  /**
   * Gets the memory that fixing the state copies into, in steps of a millisecond: fresh memory takes longer than the copy.
   * @param commands how many commands come until then, at most
   */
  makeReady(engine: Engine, commands: number): Iterator<undefined, undefined, undefined>;
  /** The same bytes in short steps. The call itself fixes the state; between the steps the engine may go on. */
  encodeInSteps(engine: Engine): Iterator<undefined, Uint8Array, undefined>;
  /** SHA-256 of what `encode` gives. */
  stateHash(engine: Engine): Hex;
};

/** Where what is survived is reported. */
export type ProblemListener = (problem: { readonly message: string; readonly cause: unknown }) => void;

/** Same shape as the messaging port's reply. */
export type SequencerReply =
  | {
      readonly kind: 'committed';
      readonly sequence: JournalSequence;
      readonly timestampMs: TimestampMs;
      readonly events: readonly EngineEvent[];
      readonly receipt: Receipt;
    }
  | { readonly kind: 'overloaded'; readonly retryAfterMs: number }
  | { readonly kind: 'unknown' };
