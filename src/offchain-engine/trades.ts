/**
 * Trades from the match to finality, oldest first, as records of 64 bytes in one log. Sealed batches are ranges of it, so
 * sealing copies nothing; what is sealed and what waits for a batch are told apart by `head`.
 *
 *     start            head            tail
 *       | batch | batch | not sealed yet |
 *
 * A record names its two orders by pool id, and each order counts the records that name it, so that its terms are still
 * there whenever the batch's content is asked for. A voided record names its orders no more.
 */

import type { OrderPool } from './book/order-pool.ts';
import * as orders from './book/order-pool.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { LIFE_INT_SHIFT, REFERENCES, STATE, STATE_DONE } = orders;

/** Int32 slots of a record. */
export const TAKER = 0;
export const MAKER = 1;
export const TRADE_PRICE = 2;
export const TRADE_FLAGS = 3;
export const TAKER_FEE_PPM = 4;
export const MAKER_FEE_PPM = 5;
export const TRADE_MARKET = 6;
/** Float64 slots of a record. */
export const TRADE_SIZE = 4;
export const TRADE_TIME_MS = 5;
export const TRADE_ID = 6;

/** TRADE_FLAGS: bit 0 the taker's side; bit 1 first trade of its taker's run; bit 2 voided before it was sealed. */
export const TRADE_TAKER_SIDE = 1;
export const TRADE_STARTS_RUN = 2;
export const TRADE_VOIDED = 4;

export const TRADE_INT_SHIFT = 4;
export const TRADE_FLOAT_SHIFT = 3;

/** Most trades that may wait for a batch; beyond it the engine takes no new orders. */
export const UNSEALED_TRADES_MAX = 100_000;

export class TradeLog {
  ints = new Int32Array(256 << TRADE_INT_SHIFT);
  floats = new Float64Array(this.ints.buffer);
  /** Positions [start, head) hold trades in batches, [head, tail) those in none. */
  start = 0;
  head = 0;
  tail = 0;
  /** Those in no batch that are not voided. */
  count = 0;
  /** How far the positions have moved towards the start: position + moved names a record for good, its ordinal. */
  moved = 0;

  /** Position of a fresh record at the end. Views may change. */
  append(): number {
    if (this.tail << TRADE_INT_SHIFT === this.ints.length) this.#makeRoom();
    this.count++;
    return this.tail++;
  }

  isVoided(position: number): boolean {
    return (this.ints[(position << TRADE_INT_SHIFT) | TRADE_FLAGS]! & TRADE_VOIDED) !== 0;
  }

  /** Time of the oldest trade from `position` on that is not voided; Infinity when there is none. */
  oldestMs(position: number): number {
    for (let at = position; at < this.tail; at++) {
      if (!this.isVoided(at)) return this.floats[(at << TRADE_FLOAT_SHIFT) | TRADE_TIME_MS]!;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Releases the hold of the trade at `at` on its orders. */
  dropReferences(at: number, pool: OrderPool): void {
    dropReference(this.ints[(at << TRADE_INT_SHIFT) | TAKER]!, pool);
    dropReference(this.ints[(at << TRADE_INT_SHIFT) | MAKER]!, pool);
  }

  #makeRoom(): void {
    const from = this.start << TRADE_INT_SHIFT;
    if (this.start > this.tail >>> 1) {
      this.ints.copyWithin(0, from, this.tail << TRADE_INT_SHIFT);
    } else {
      const grown = new Int32Array(this.ints.length * 2);
      grown.set(this.ints.subarray(from));
      this.ints = grown;
      this.floats = new Float64Array(grown.buffer);
    }
    this.moved += this.start;
    this.tail -= this.start;
    this.head -= this.start;
    this.start = 0;
  }
}

/** One trade fewer names the order; the last one releases the record of an order that is done. */
function dropReference(id: number, pool: OrderPool): void {
  const lifeAt = id << LIFE_INT_SHIFT;
  const left = pool.lifeInts[lifeAt | REFERENCES]! - 1;
  pool.lifeInts[lifeAt | REFERENCES] = left;
  if (left === 0 && pool.lifeInts[lifeAt | STATE] === STATE_DONE) pool.release(id);
}
