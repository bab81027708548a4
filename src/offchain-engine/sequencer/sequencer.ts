/**
 * The one writer. Takes what has queued up, writes it to the journal as one row, applies it after the commit, and only then lets
 * anyone know.
 *
 * Invariants
 * 1. Nothing is applied, published or acknowledged before its row is durable (P5).
 * 2. One row is under way at a time, and rows are applied in their order. While a row syncs, the row before it is applied at the
 *    latest, and the next commands gather; so decisions that become commands (seal, tick) look at a state that lacks the row under way,
 *    and are not repeated while one of them is in it.
 * 3. A seal is the last command of its row, so that the batch's journal hash is the row's. A reseal is the only one of its row.
 * 4. A reply says what is certain: committed with a receipt, not executed, or unknown. After any failure the sequencer stops for
 *    good; the process ends and recovers from the journal.
 *
 * Not here: signature checks, duplicate detection (the engine refuses used nonces), and everything that happens to events.
 */
import { strict as assert } from 'node:assert';
import { BATCH_TRADES_MAX, BATCH_WITHDRAWALS_MAX } from '../../domain/batches.ts';
import { encodeCommand, sequenceEncoded } from '../../domain/command-codec.ts';
import {
  type ChainCommand,
  type Command,
  type OperatorCommand,
  RULES_VERSION,
  type SequencedCommand,
  type UserCommand,
} from '../../domain/commands.ts';
import { ExchangeError } from '../../domain/errors.ts';
import type { AppliedCommand } from '../../domain/events.ts';
import type { JournalRow } from '../../domain/journal.ts';
import type { Hex, JournalSequence, TimestampMs } from '../../domain/units.ts';
import type { CommandClock } from './command-clock.ts';
import { CommandQueue, type QueueBounds, type QueuedCommand } from './command-queue.ts';
import { type BuiltRow, buildRow, receiptFor } from './journal-row.ts';
import { nextTurn } from './next-turn.ts';
import type { Journal, Leadership, LeadingEngine, ProblemListener, RowSigner, SequencerReply } from './ports.ts';
import type { Replica } from './replica.ts';
import type { SealPolicy } from './sealing.ts';
import type { SnapshotTaker } from './snapshot-taker.ts';

/** A committed row, its commands, and what each of them did. */
export type AppliedListener = (
  applied: readonly AppliedCommand[],
  row: JournalRow,
  commands: readonly SequencedCommand[],
) => void;

export type SequencerOptions<Engine extends LeadingEngine> = {
  /** Caught up to the row that opened `epoch`. The sequencer goes on with its engine. */
  readonly replica: Replica<Engine>;
  readonly epoch: number;
  readonly journal: Journal;
  readonly leadership: Leadership;
  readonly clock: CommandClock;
  readonly sign: RowSigner;
  readonly seal: SealPolicy;
  readonly snapshots: SnapshotTaker;
  /** Called after each row is applied, in order, before its commands are acknowledged. Must not throw. */
  readonly onApplied: AppliedListener;
  readonly onProblem: ProblemListener;
  readonly bounds?: QueueBounds;
  /** Most commands in a row; 256 by default. */
  readonly rowCommandsMax?: number;
  /** How often the lease is renewed while nothing is written. */
  readonly renewEveryMs?: number;
};

type Row = {
  readonly built: BuiltRow;
  readonly commands: readonly SequencedCommand[];
  /** In the row's order; undefined for the sequencer's own commands. */
  readonly queued: readonly (QueuedCommand | undefined)[];
  readonly signature: ReturnType<RowSigner>;
};
type CommittedRow = Row & { readonly committedAtMs: TimestampMs };
/** See `submitAlone`. */
type Alone = {
  readonly decide: () => OperatorCommand | undefined;
  readonly settle: (reply: SequencerReply | undefined) => void;
  readonly fail: (error: unknown) => void;
};

/** Bounds how long the engine computes in one go, too: a row is built, or applied, without a pause. */
const ROW_COMMANDS_MAX = 256;
/** A row of so many commands is a sign of load: see `#rest`. */
const REST_AFTER_COMMANDS = 4;
const REST_MAX_MS = 5;
const REPLIES_PER_TURN = 64;
/** How often an idle leader renews its lease: several times before it runs out. */
export const RENEW_EVERY_MS = 400;
/** A seal that changed nothing is not repeated sooner. */
const SEAL_AGAIN_AFTER_MS = 250;
const WAKE_AFTER_MAX_MS = 60_000;
const RETRY_AFTER_MIN_MS = 50;
const RETRY_AFTER_MAX_MS = 5_000;

const SEAL_NOW = { kind: 'seal', tradesMax: BATCH_TRADES_MAX, withdrawalsMax: BATCH_WITHDRAWALS_MAX } as const;
const TICK: Command = { kind: 'tick' };

export class Sequencer<Engine extends LeadingEngine> {
  readonly #options: SequencerOptions<Engine>;
  readonly #renewEveryMs: number;
  readonly #engine: Engine;
  readonly #queue: CommandQueue;
  readonly #rowCommandsMax: number;
  /** The row that the next one follows: committed or under way. */
  #tail: { readonly lastSequence: number; readonly hash: JournalRow['hash'] };
  /** The row with the sequencer's own latest command, until it is applied. */
  #decisionUnderWay: BuiltRow | undefined;
  #finished: JournalRow | undefined;
  #failure: Error | undefined;
  #sealRequested = false;
  /** How many want sealing to rest. */
  #sealRests = 0;
  #alone: Alone | undefined;
  #lastSealMs: number | undefined;
  #withdrawalsSinceMs: number | undefined;
  #lastAppendMs = 0;
  /** Smoothed. */
  #appendMs = 0;
  #commandsPerMs = 1;
  #state: 'running' | 'stopping' | 'stopped' = 'running';
  #wake: () => void = () => undefined;
  /** Fulfilled after `stop`; rejected when the sequencer had to stop by itself, and the process with it. */
  readonly stopped: Promise<void>;

  constructor(options: SequencerOptions<Engine>) {
    this.#options = options;
    this.#engine = options.replica.engine;
    this.#queue = new CommandQueue(options.bounds);
    this.#rowCommandsMax = options.rowCommandsMax ?? ROW_COMMANDS_MAX;
    this.#renewEveryMs = options.renewEveryMs ?? RENEW_EVERY_MS;
    this.#tail = options.replica.position;
    this.stopped = this.#runUntilStopped();
    // Whoever waits for `stopped` hears of the failure; nobody need wait.
    this.stopped.catch(() => undefined);
  }

  get engine(): Engine {
    return this.#engine;
  }

  get queueLength(): number {
    return this.#queue.length;
  }

  /**
   * A user's command, whose signature was checked.
   * @throws RangeError for a value that the journal's format cannot hold, which the caller should have refused
   */
  submit(command: UserCommand, options: { readonly notAfterMs: TimestampMs }): Promise<SequencerReply> {
    return this.#enqueue(command, options.notAfterMs);
  }

  /** A fact of the final chain, in event order; one that is `overloaded` is submitted again before the next. */
  submitChain(command: ChainCommand): Promise<SequencerReply> {
    return this.#enqueue(command, undefined);
  }

  /** @throws RangeError for commands that only the sequencer itself may journal */
  async submitOperator(command: OperatorCommand): Promise<SequencerReply> {
    if (['genesis', 'epochStarted', 'sealBatch', 'resealBatch', 'tick'].includes(command.kind)) {
      throw new RangeError(`${command.kind} is not an operator's to submit`);
    }
    if (command.kind === 'activateRules' && (command.version < 1 || command.version > RULES_VERSION)) {
      throw new RangeError(`this program knows rules versions 1 to ${RULES_VERSION}, got ${command.version}`);
    }
    return this.#enqueue(command, undefined);
  }

  /**
   * Journals what `decide` makes of the engine's state, in a row of its own and when no row is under way: so the command meets
   * exactly the state that was looked at, which other commands cannot be sure of. Undefined when it decided for nothing.
   * @throws what `decide` throws, and RangeError for a command that the journal's format cannot hold; Error while another one waits
   */
  submitAlone(decide: () => OperatorCommand | undefined): Promise<SequencerReply | undefined> {
    if (this.#state !== 'running') return Promise.resolve(this.#overloaded());
    if (this.#alone !== undefined) return Promise.reject(new Error('another command waits to be journaled alone'));
    return new Promise((settle, fail) => {
      this.#alone = { decide, settle, fail };
      this.#wake();
    });
  }

  /** Seals nothing, whatever the policy says, until the function that it returns is called. */
  restSealing(): () => void {
    this.#sealRests++;
    let rests = true;
    return () => {
      if (rests) this.#sealRests--;
      rests = false;
      this.#wake();
    };
  }

  /** Seals whatever waits with the next row, whatever the policy says. */
  requestSeal(): void {
    this.#sealRequested = true;
    this.#wake();
  }

  /** Something the policy depends on has changed. */
  reconsiderSealing(): void {
    this.#wake();
  }

  /** Journals what has queued up, takes nothing new, hands the leadership over. */
  async stop(): Promise<void> {
    if (this.#state === 'running') this.#state = 'stopping';
    this.#wake();
    await this.stopped;
  }

  #enqueue(command: Command, notAfterMs: number | undefined): Promise<SequencerReply> {
    // What cannot be encoded throws in here, and so rejects.
    return new Promise((resolve) => {
      const encoded = encodeCommand(command);
      const accepted =
        this.#state === 'running' && this.#queue.offer({ command, encoded, notAfterMs, settle: resolve });
      if (accepted) this.#wake();
      else resolve(this.#overloaded());
    });
  }

  #overloaded(): SequencerReply {
    const drainMs = Math.ceil(this.#queue.length / this.#commandsPerMs);
    return { kind: 'overloaded', retryAfterMs: Math.min(Math.max(drainMs, RETRY_AFTER_MIN_MS), RETRY_AFTER_MAX_MS) };
  }

  async #runUntilStopped(): Promise<void> {
    const heartbeat = setInterval(() => this.#renew(), this.#renewEveryMs);
    try {
      await this.#run();
      await this.#options.snapshots.idle();
      await this.#options.leadership.release();
    } finally {
      clearInterval(heartbeat);
      this.#state = 'stopped';
      for (const { settle } of this.#queue.take(this.#queue.length)) settle(this.#overloaded());
      this.#alone?.settle(this.#overloaded());
    }
  }

  /** The loop of invariant 2. Every row under way is settled by it, also when it throws. */
  async #run(): Promise<void> {
    let committed: CommittedRow | undefined;
    for (;;) {
      if (this.#finished !== undefined) await this.#options.snapshots.offer(this.#finished);
      this.#finished = undefined;
      if (this.#failure !== undefined) {
        if (committed !== undefined) this.#finish(committed);
        throw this.#failure;
      }
      if (this.#alone !== undefined && committed !== undefined) {
        this.#finish(committed);
        committed = undefined;
      }
      const row = this.#gather();
      if (row === undefined) {
        if (committed !== undefined) {
          this.#finish(committed);
          committed = undefined;
        } else if (this.#state !== 'running') return;
        else await this.#untilWoken();
        continue;
      }
      const appended = this.#append(row);
      appended.catch(() => undefined); // Awaited below: not unheard meanwhile.
      try {
        if (committed !== undefined) {
          // Building a large row and applying the one before it would be one long task.
          if (committed.commands.length + row.commands.length > ROW_COMMANDS_MAX / 2) await nextTurn();
          this.#finish(committed);
        }
      } catch (error) {
        // The row under way may be committed: nobody can say so any more.
        await appended.catch(() => undefined);
        settleAll(row, { kind: 'unknown' });
        throw error;
      }
      committed = await appended;
      if (row.commands.length >= REST_AFTER_COMMANDS && this.#queue.length < this.#rowCommandsMax / 2) {
        this.#finish(committed);
        committed = undefined;
        await this.#rest(row.commands.length / 2);
      }
    }
  }

  /**
   * Under load the next row gathers for as long as the last ones took to write: a row costs the same for few commands as for many, and
   * on busy processors that limits the rate. It waits for half as many as the last row had at most: those who send only when they are
   * answered, half of them now and half with the row after, would wait for nothing.
   */
  async #rest(enoughCommands: number): Promise<void> {
    const restMs = Math.min(this.#appendMs, REST_MAX_MS);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, restMs);
      this.#wake = () => {
        if (this.#queue.length < enoughCommands && this.#state === 'running') return;
        clearTimeout(timer);
        resolve();
      };
      this.#wake();
    });
    this.#wake = () => undefined;
  }

  /** The next row, or undefined when there is nothing to write. */
  #gather(): Row | undefined {
    const nowMs = this.#options.clock.now(this.#engine.nextDeadlineMs);
    const firstSequence = this.#tail.lastSequence + 1;
    const queued: (QueuedCommand | undefined)[] = [];
    const commands: SequencedCommand[] = [];
    const encoded: Uint8Array[] = [];
    const add = (command: Command, from: QueuedCommand | undefined): void => {
      const sequence = (firstSequence + commands.length) as JournalSequence;
      commands.push({ sequence, timestampMs: nowMs, command });
      encoded.push(sequenceEncoded(from?.encoded ?? encodeCommand(command), sequence, nowMs));
      queued.push(from);
    };
    const alone = this.#takeAlone();
    if (alone !== undefined) add(alone.command, alone);
    const mayDecide = alone === undefined && this.#decisionUnderWay === undefined;
    const deadlineMs = this.#engine.nextDeadlineMs;
    if (mayDecide && deadlineMs !== undefined && deadlineMs <= nowMs) add(TICK, undefined);
    for (const candidate of alone === undefined ? this.#queue.take(this.#rowCommandsMax) : []) {
      if (candidate.notAfterMs !== undefined && nowMs > candidate.notAfterMs) candidate.settle(this.#overloaded());
      else add(candidate.command, candidate);
    }
    if (mayDecide) {
      const seal = this.#sealCommand(nowMs);
      if (seal !== undefined) add(seal, undefined);
    }
    if (commands.length === 0) return undefined;
    const built = buildRow(this.#tail.hash, this.#options.epoch, firstSequence, encoded);
    this.#tail = built.row;
    if (queued.includes(undefined)) this.#decisionUnderWay = built;
    const signature = this.#options.sign(built.row);
    // Awaited when the row is finished; a failure meanwhile must not end the process unheard.
    signature.catch(() => undefined);
    return { built, commands, queued, signature };
  }

  #takeAlone(): QueuedCommand | undefined {
    const alone = this.#alone;
    if (alone === undefined) return undefined;
    this.#alone = undefined;
    try {
      const command = alone.decide();
      if (command !== undefined)
        return { command, encoded: encodeCommand(command), notAfterMs: undefined, settle: alone.settle };
      alone.settle(undefined);
    } catch (error) {
      alone.fail(error);
    }
    return undefined;
  }

  #sealCommand(nowMs: number): Command | undefined {
    const pendingWithdrawals = this.#engine.pendingWithdrawalCount;
    if (pendingWithdrawals === 0) this.#withdrawalsSinceMs = undefined;
    else this.#withdrawalsSinceMs ??= nowMs;
    if (this.#sealRests > 0 || !this.#engine.canSeal || nowMs < this.#sealNotBeforeMs()) return undefined;
    const decision = this.#decideSeal(nowMs, pendingWithdrawals);
    if (decision.kind === 'wait') return undefined;
    this.#sealRequested = false;
    this.#lastSealMs = nowMs;
    this.#withdrawalsSinceMs = undefined;
    return { kind: 'sealBatch', tradesMax: decision.tradesMax, withdrawalsMax: decision.withdrawalsMax };
  }

  #decideSeal(nowMs: number, pendingWithdrawals: number): ReturnType<SealPolicy> {
    if (this.#sealRequested) return SEAL_NOW;
    const facts = {
      nowMs,
      unsealedTrades: this.#engine.unsealedTrades,
      oldestUnsealedTimestampMs: this.#engine.oldestUnsealedTimestampMs,
      pendingWithdrawals,
      withdrawalsSinceMs: this.#withdrawalsSinceMs,
      lastSealMs: this.#lastSealMs,
    };
    return this.#options.seal(facts);
  }

  #sealNotBeforeMs(): number {
    return this.#lastSealMs === undefined ? 0 : this.#lastSealMs + SEAL_AGAIN_AFTER_MS;
  }

  async #append(row: Row): Promise<CommittedRow> {
    const startedMs = performance.now();
    let outcome: Awaited<ReturnType<Journal['append']>>;
    try {
      outcome = await this.#options.journal.append(row.built.row);
    } catch (error) {
      settleAll(row, { kind: 'unknown' });
      throw error;
    }
    if (outcome.kind === 'refused') {
      settleAll(row, this.#overloaded());
      throw new ExchangeError(
        'LEADERSHIP_LOST',
        `the journal refused a row of epoch ${this.#options.epoch}: ${outcome.reason}`,
        {
          details: { reason: outcome.reason, sequence: row.built.row.firstSequence },
        },
      );
    }
    this.#lastAppendMs = performance.now();
    const tookMs = this.#lastAppendMs - startedMs;
    this.#appendMs = this.#appendMs * 0.8 + tookMs * 0.2;
    const rate = row.commands.length / Math.max(0.1, tookMs);
    this.#commandsPerMs = Math.max(0.01, this.#commandsPerMs * 0.9 + rate * 0.1);
    return { ...row, committedAtMs: outcome.committedAtMs };
  }

  /** Applies a committed row and lets its events and replies go. */
  #finish(committed: CommittedRow): void {
    const row: JournalRow = { ...committed.built.row, committedAtMs: committed.committedAtMs };
    let applied: AppliedCommand[];
    try {
      applied = committed.commands.map((sequenced) => this.#engine.apply(sequenced));
      assert.equal(
        this.#engine.lastSequence,
        row.lastSequence,
        'the engine does not stand at the end of the row it applied',
      );
      this.#options.onApplied(applied, row, committed.commands);
    } catch (error) {
      settleAll(committed, { kind: 'unknown' });
      throw error;
    }
    if (this.#decisionUnderWay === committed.built) this.#decisionUnderWay = undefined;
    committed.signature.then(
      (signature) => this.#acknowledge(committed, applied, signature, 0),
      (cause: unknown) => {
        this.#options.onProblem({ message: `the receipts of row ${row.hash} could not be signed`, cause });
        settleAll(committed, { kind: 'unknown' });
        this.#fail(cause);
      },
    );
    this.#finished = row;
  }

  /** What a reply sets off runs in the same turn of the event loop, so a large row is answered over several. */
  #acknowledge(committed: CommittedRow, applied: readonly AppliedCommand[], signature: Hex, first: number): void {
    const next = first + REPLIES_PER_TURN;
    for (const [offset, queued] of committed.queued.slice(first, next).entries()) {
      if (queued === undefined) continue;
      const { sequence, timestampMs, events } = applied[first + offset] as AppliedCommand;
      const receipt = receiptFor(committed.built, first + offset, signature);
      queued.settle({ kind: 'committed', sequence, timestampMs, events, receipt });
    }
    if (next < committed.queued.length) setImmediate(() => this.#acknowledge(committed, applied, signature, next));
  }

  /** Sleeps until a command arrives, a deadline is due, the sealing policy wants to be asked, or the sequencer is to stop. */
  async #untilWoken(): Promise<void> {
    const nowMs = this.#options.clock.now(this.#engine.nextDeadlineMs);
    // Everything is applied here: a request that finds nothing to seal is done.
    this.#sealRequested &&= this.#engine.canSeal;
    const waiting = this.#engine.canSeal && this.#sealRests === 0;
    const decision = waiting ? this.#decideSeal(nowMs, this.#engine.pendingWithdrawalCount) : undefined;
    const sealMs = decision?.kind === 'wait' ? (decision.untilMs ?? Infinity) : Infinity;
    const untilMs = Math.min(
      this.#engine.nextDeadlineMs ?? Infinity,
      waiting ? Math.max(decision?.kind === 'seal' ? nowMs : sealMs, this.#sealNotBeforeMs()) : Infinity,
    );
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.min(Math.max(1, untilMs - nowMs), WAKE_AFTER_MAX_MS));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.#state !== 'running' || this.#queue.length > 0 || this.#alone !== undefined) this.#wake();
    });
    this.#wake = () => undefined;
    // Commands come in groups: those of the same turn of the event loop share the row of the first.
    await nextTurn();
  }

  /** Every write renews the lease; this does it in quiet times. A database that is away is the next append's business. */
  #renew(): void {
    // A clock that jumped ahead lets every command come too late, so that none would look at it.
    this.#options.clock.now(this.#engine.nextDeadlineMs);
    if (performance.now() - this.#lastAppendMs < this.#renewEveryMs) return;
    this.#options.leadership.renew().catch((cause: unknown) => {
      if (cause instanceof ExchangeError && cause.code === 'LEADERSHIP_LOST') this.#fail(cause);
      else this.#options.onProblem({ message: 'the lease could not be renewed', cause });
    });
  }

  #fail(cause: unknown): void {
    this.#failure ??= cause instanceof Error ? cause : new Error(String(cause));
    this.#wake();
  }
}

function settleAll(row: Row, reply: SequencerReply): void {
  for (const queued of row.queued) queued?.settle(reply);
}
