/**
 * Trades that are matched and in no batch yet, oldest first, as records of 64 bytes. A record names its two orders by pool
 * id, and each order counts the records that name it, so that its terms are still there when the batch is built.
 */
import { INT_SHIFT, type OrderPool, REFERENCES, STATE, STATE_DONE } from './book/order-pool.ts';

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

export class UnsealedTrades {
  ints = new Int32Array(256 << TRADE_INT_SHIFT);
  floats = new Float64Array(this.ints.buffer);
  /** Positions [head, tail) hold the trades. */
  head = 0;
  tail = 0;
  /** Those of them that are not voided. */
  count = 0;
  /** How far the positions have moved towards the start: position + moved names a record for good. */
  moved = 0;

  /** Position of a fresh record at the end. Views may change. */
  append(): number {
    if (this.tail << TRADE_INT_SHIFT === this.ints.length) this.#makeRoom();
    this.count++;
    return this.tail++;
  }

  /** Time of the oldest trade that is not voided; Infinity when there is none. */
  oldestMs(): number {
    for (let at = this.head; at < this.tail; at++) {
      if ((this.ints[(at << TRADE_INT_SHIFT) + TRADE_FLAGS]! & TRADE_VOIDED) === 0) {
        return this.floats[(at << TRADE_FLOAT_SHIFT) + TRADE_TIME_MS]!;
      }
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Releases the hold of the trade at `at` on its orders. */
  dropReferences(at: number, pool: OrderPool): void {
    dropReference(this.ints[(at << TRADE_INT_SHIFT) + TAKER]!, pool);
    dropReference(this.ints[(at << TRADE_INT_SHIFT) + MAKER]!, pool);
  }

  #makeRoom(): void {
    const from = this.head << TRADE_INT_SHIFT;
    if (this.head > this.tail >>> 1) {
      this.ints.copyWithin(0, from, this.tail << TRADE_INT_SHIFT);
    } else {
      const grown = new Int32Array(this.ints.length * 2);
      grown.set(this.ints.subarray(from));
      this.ints = grown;
      this.floats = new Float64Array(grown.buffer);
    }
    this.moved += this.head;
    this.tail -= this.head;
    this.head = 0;
  }
}

/** One trade fewer names the order; the last one releases the record of an order that is done. */
function dropReference(id: number, pool: OrderPool): void {
  const at = id << INT_SHIFT;
  const left = pool.ints[at + REFERENCES]! - 1;
  pool.ints[at + REFERENCES] = left;
  if (left === 0 && pool.ints[at + STATE] === STATE_DONE) pool.release(id);
}
