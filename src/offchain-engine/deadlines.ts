/**
 * When live orders must be looked at again (expiry, or the end of the session key that signed them): a wheel of buckets of
 * 64 seconds over 48 days, longer than an order may live, so that entry and removal cost the same whatever rests.
 */
import { BitLadder } from './book/bit-ladder.ts';
import type { OrderPool } from './book/order-pool.ts';
import * as orders from './book/order-pool.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { DUE, DUE_NEXT, DUE_PREVIOUS, LIFE_FLOAT_SHIFT, LIFE_INT_SHIFT } = orders;

const BUCKETS = 65_536;
const BUCKET_SECONDS = 64;

export class Deadlines {
  readonly #pool: OrderPool;
  readonly #heads = new Int32Array(BUCKETS);
  readonly #bits = new BitLadder(BUCKETS);
  /** No order is due before this (Unix seconds); Infinity when there is none. It may be earlier than the first deadline. */
  #notBefore = Number.POSITIVE_INFINITY;
  /** Whether an order due at `#notBefore` has left, so that the true first deadline may be later. */
  #stale = false;

  constructor(pool: OrderPool) {
    this.#pool = pool;
  }

  /** Cheap check for the hot path: false means that nothing is due. */
  mayBeDue(nowMs: number): boolean {
    return nowMs >= this.#notBefore * 1000;
  }

  insert(id: number): void {
    const { lifeInts, lifeFloats } = this.#pool;
    const due = lifeFloats[(id << LIFE_FLOAT_SHIFT) | DUE]!;
    const bucket = Math.floor(due / BUCKET_SECONDS) & (BUCKETS - 1);
    const head = this.#heads[bucket]!;
    const lifeAt = id << LIFE_INT_SHIFT;
    lifeInts[lifeAt | DUE_NEXT] = head;
    lifeInts[lifeAt | DUE_PREVIOUS] = 0;
    if (head === 0) this.#bits.add(bucket);
    else lifeInts[(head << LIFE_INT_SHIFT) | DUE_PREVIOUS] = id;
    this.#heads[bucket] = id;
    if (due < this.#notBefore) {
      this.#notBefore = due;
      this.#stale = false;
    }
  }

  remove(id: number): void {
    const { lifeInts, lifeFloats } = this.#pool;
    const lifeAt = id << LIFE_INT_SHIFT;
    const due = lifeFloats[(id << LIFE_FLOAT_SHIFT) | DUE]!;
    const next = lifeInts[lifeAt | DUE_NEXT]!;
    const previous = lifeInts[lifeAt | DUE_PREVIOUS]!;
    if (next !== 0) lifeInts[(next << LIFE_INT_SHIFT) | DUE_PREVIOUS] = previous;
    if (previous !== 0) lifeInts[(previous << LIFE_INT_SHIFT) | DUE_NEXT] = next;
    else {
      const bucket = Math.floor(due / BUCKET_SECONDS) & (BUCKETS - 1);
      this.#heads[bucket] = next;
      if (next === 0) this.#bits.delete(bucket);
    }
    if (due <= this.#notBefore) this.#stale = true;
  }

  /** First deadline in Unix seconds; Infinity when there is none. */
  first(): number {
    if (this.#stale) {
      this.#notBefore = this.#firstFrom(this.#notBefore);
      this.#stale = false;
    }
    return this.#notBefore;
  }

  /** Ids of the orders due at or before `nowSeconds`, in no particular order. They stay in. */
  due(nowSeconds: number): number[] {
    const { lifeInts, lifeFloats } = this.#pool;
    const ids: number[] = [];
    const last = Math.floor(nowSeconds / BUCKET_SECONDS);
    let bucket = Math.floor(this.#notBefore / BUCKET_SECONDS);
    if (last - bucket >= BUCKETS) bucket = last - BUCKETS + 1;
    for (; bucket <= last; bucket++) {
      bucket = this.#nextBucket(bucket);
      if (bucket < 0 || bucket > last) break;
      for (let id = this.#heads[bucket & (BUCKETS - 1)]!; id !== 0; id = lifeInts[(id << LIFE_INT_SHIFT) | DUE_NEXT]!) {
        if (lifeFloats[(id << LIFE_FLOAT_SHIFT) | DUE]! <= nowSeconds) ids.push(id);
      }
    }
    this.#stale = true;
    return ids;
  }

  /** First bucket with orders at or after `bucket`, one turn of the wheel at most; −1 for none. */
  #nextBucket(bucket: number): number {
    const start = bucket & (BUCKETS - 1);
    const found = this.#bits.next(start);
    if (found >= 0) return bucket + found - start;
    const wrapped = this.#bits.next(0);
    return wrapped < 0 || wrapped >= start ? -1 : bucket + BUCKETS - start + wrapped;
  }

  #firstFrom(notBefore: number): number {
    const bucket = this.#nextBucket(Math.floor(notBefore / BUCKET_SECONDS));
    if (bucket < 0) return Number.POSITIVE_INFINITY;
    let first = Number.POSITIVE_INFINITY;
    const { lifeInts, lifeFloats } = this.#pool;
    for (let id = this.#heads[bucket & (BUCKETS - 1)]!; id !== 0; id = lifeInts[(id << LIFE_INT_SHIFT) | DUE_NEXT]!) {
      first = Math.min(first, lifeFloats[(id << LIFE_FLOAT_SHIFT) | DUE]!);
    }
    return first;
  }
}
