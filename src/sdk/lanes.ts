/**
 * Hands out order nonces. A lane holds one live order, so each live order of this client keeps a lane until it ends;
 * free lanes are reused lowest first, because a used lane's storage slot is the cheap one (lane 0 the cheapest).
 *
 * Sequences are milliseconds since the vault's deployment and rise strictly within the client, so that
 * "cancel everything before T" is one number.
 */
import { LANE_MAX } from '../domain/units.ts';
import { TallystickError } from './errors.ts';

export class LaneAllocator {
  readonly #deployedAtMs: number;
  readonly #now: () => number;
  readonly #busy = new Set<number>();
  readonly #firstLane: number;
  readonly #lastLane: number;
  #lastSequence = 0;

  /** Two clients of one account must be given ranges of lanes that do not overlap. */
  constructor(options: { deployedAtMs: number; now: () => number; firstLane?: number; lastLane?: number }) {
    this.#deployedAtMs = options.deployedAtMs;
    this.#now = options.now;
    this.#firstLane = options.firstLane ?? 0;
    this.#lastLane = options.lastLane ?? LANE_MAX;
  }

  /** The lowest free lane, now taken. @throws TallystickError INVALID_ARGUMENT when every lane holds a live order. */
  take(): number {
    for (let lane = this.#firstLane; lane <= this.#lastLane; lane++) {
      if (!this.#busy.has(lane)) {
        this.#busy.add(lane);
        return lane;
      }
    }
    throw new TallystickError('INVALID_ARGUMENT', 'every lane of this client holds a live order; cancel one first');
  }

  /** Marks a lane as holding a live order (found open when the client connected). */
  occupy(lane: number): void {
    this.#busy.add(lane);
  }

  /** The order in the lane has ended. */
  release(lane: number): void {
    this.#busy.delete(lane);
  }

  /** A sequence never handed out before by this client. */
  nextSequence(): number {
    const now = Math.max(1, Math.floor(this.#now()) - this.#deployedAtMs);
    this.#lastSequence = Math.max(now, this.#lastSequence + 1);
    return this.#lastSequence;
  }
}
