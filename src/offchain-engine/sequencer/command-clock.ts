/**
 * The time that commands carry. It expires orders, so a clock that is set wrongly must not be able to make it jump.
 *
 * Invariants
 * 1. Time never goes back. While the wall clock is behind the last command, time stands still.
 * 2. Between two looks the wall clock may step by at most CLOCK_STEP_MAX_MS against the monotonic clock. A larger step, in either
 *    direction, is not followed: time goes on at the monotonic clock's pace from where it was, `onJump` is told, and an
 *    operator's `acceptJump` adopts the wall clock. A forward step with nothing to expire is followed at once.
 * 3. At a start there is no earlier look to compare with, and time has passed rightly. The database's clock is the witness:
 *    the wall clock is taken when both agree within CLOCK_STEP_MAX_MS, or nothing can expire, or an operator said so.
 */
import { ExchangeError } from '../../domain/errors.ts';
import type { TimestampMs } from '../../domain/units.ts';
import type { WallClock } from './ports.ts';

export const CLOCK_STEP_MAX_MS = 5_000;

/** How far the wall clock stepped against the monotonic one; negative is back. */
export type ClockJump = { readonly stepMs: number };

export type CommandClockOptions = {
  readonly wall: WallClock;
  /** Time of the last command in the journal; 0 when there is none. */
  readonly lastTimestampMs: number;
  readonly onJump?: ((jump: ClockJump) => void) | undefined;
  /** Infinity switches the check off: a laptop that slept is no incident. */
  readonly stepMaxMs?: number | undefined;
};

export class CommandClock {
  readonly #wall: WallClock;
  readonly #onJump: (jump: ClockJump) => void;
  readonly #stepMaxMs: number;
  #wallSeenMs: number;
  #monotonicSeenMs: number;
  /** Wall clock minus time: steps that were not accepted. */
  #refusedMs = 0;
  #lastMs: number;

  constructor(options: CommandClockOptions) {
    this.#wall = options.wall;
    this.#onJump = options.onJump ?? (() => undefined);
    this.#stepMaxMs = options.stepMaxMs ?? CLOCK_STEP_MAX_MS;
    this.#wallSeenMs = options.wall.nowMs();
    this.#monotonicSeenMs = options.wall.monotonicMs();
    this.#lastMs = options.lastTimestampMs;
    // A journal far ahead of this clock: go on from the journal's time instead of standing still for hours.
    const behindMs = this.#lastMs - this.#wallSeenMs;
    if (behindMs > this.#stepMaxMs) {
      this.#refusedMs = -behindMs;
      this.#onJump({ stepMs: -behindMs });
    }
  }

  /** @param nextDeadlineMs the engine's; undefined when nothing can expire */
  now(nextDeadlineMs: number | undefined): TimestampMs {
    const wallMs = this.#wall.nowMs();
    const monotonicMs = this.#wall.monotonicMs();
    const stepMs = wallMs - this.#wallSeenMs - (monotonicMs - this.#monotonicSeenMs);
    this.#wallSeenMs = wallMs;
    this.#monotonicSeenMs = monotonicMs;
    const harmless = stepMs > 0 && nextDeadlineMs === undefined;
    if (Math.abs(stepMs) > this.#stepMaxMs && !harmless) {
      this.#refusedMs += stepMs;
      this.#onJump({ stepMs });
    } else if (Math.abs(stepMs) > this.#stepMaxMs && this.#refusedMs < 0) {
      // The clock comes back from where time did not follow it: only what is beyond that is a step of time.
      this.#refusedMs = Math.min(0, this.#refusedMs + stepMs);
    }
    this.#lastMs = Math.max(this.#lastMs, Math.floor(wallMs - this.#refusedMs));
    return this.#lastMs as TimestampMs;
  }

  /** How far the wall clock is ahead of time by steps that were not followed; 0 when time follows the wall clock. */
  get refusedMs(): number {
    return Math.round(this.#refusedMs);
  }

  /** The operator's word: the wall clock is right. */
  acceptJump(): void {
    this.#refusedMs = 0;
  }
}

/**
 * Checks invariant 3.
 * @throws ExchangeError CONFIGURATION when the clocks disagree and orders could expire by it
 */
export function checkClockAtStart(start: {
  readonly wallMs: number;
  readonly databaseMs: number;
  readonly nextDeadlineMs: number | undefined;
  readonly accepted: boolean;
}): void {
  const apartMs = start.wallMs - start.databaseMs;
  if (start.accepted || start.nextDeadlineMs === undefined || Math.abs(apartMs) <= CLOCK_STEP_MAX_MS) return;
  throw new ExchangeError(
    'CONFIGURATION',
    `this machine's clock is ${apartMs} ms ahead of the database's, and orders expire by it; set the clocks, or accept this one explicitly`,
    { details: { apartMs } },
  );
}

/** The machine's own clocks. */
export const SYSTEM_CLOCK: WallClock = { nowMs: () => Date.now(), monotonicMs: () => performance.now() };
