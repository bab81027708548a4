/**
 * When live orders must be looked at again (expiry, or the end of the session key that signed them): a wheel of buckets of
 * 64 seconds over 48 days, longer than an order may live, so that entry and removal cost the same whatever rests.
 */
import { BitLadder } from './book/bit-ladder.ts';
import type { OrderPool } from './book/order-pool.ts';
import * as orders from './book/order-pool.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { DUE, DUE_AT, LIFE_FLOAT_SHIFT, LIFE_INT_SHIFT } = orders;

const BUCKETS = 65_536;
const BUCKET_SECONDS = 64;
/** A bucket that has been larger gives its memory back when it is empty: there are 65,536 of them. */
const FIRST_ENTRIES = 16;

/** Ids in no particular order: one that leaves gives its entry to the last. An order knows its entry (`DUE_AT`). */
class Bucket {
  ids = new Int32Array(FIRST_ENTRIES);
  count = 0;

  /** @returns the entry */
  append(id: number): number {
    if (this.count === this.ids.length) {
      const grown = new Int32Array(this.ids.length * 2);
      grown.set(this.ids);
      this.ids = grown;
    }
    this.ids[this.count] = id;
    return this.count++;
  }

  takeLast(): number {
    return this.ids[--this.count]!;
  }
}

export class Deadlines {
  readonly #pool: OrderPool;
  readonly #buckets: (Bucket | undefined)[] = Array.from({ length: BUCKETS });
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
    const due = this.#pool.lifeFloats[(id << LIFE_FLOAT_SHIFT) | DUE]!;
    const number = bucketOf(due);
    let bucket = this.#buckets[number];
    if (bucket === undefined || bucket.count === 0) {
      bucket ??= new Bucket();
      this.#buckets[number] = bucket;
      this.#bits.add(number);
    }
    this.#pool.lifeInts[(id << LIFE_INT_SHIFT) | DUE_AT] = bucket.append(id);
    if (due < this.#notBefore) {
      this.#notBefore = due;
      this.#stale = false;
    }
  }

  remove(id: number): void {
    const { lifeInts, lifeFloats } = this.#pool;
    const due = lifeFloats[(id << LIFE_FLOAT_SHIFT) | DUE]!;
    const number = bucketOf(due);
    const bucket = this.#buckets[number]!;
    const at = lifeInts[(id << LIFE_INT_SHIFT) | DUE_AT]!;
    const last = bucket.takeLast();
    if (last !== id) {
      bucket.ids[at] = last;
      lifeInts[(last << LIFE_INT_SHIFT) | DUE_AT] = at;
    }
    if (bucket.count === 0) {
      this.#bits.delete(number);
      if (bucket.ids.length > FIRST_ENTRIES) this.#buckets[number] = undefined;
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
    const { lifeFloats } = this.#pool;
    const ids: number[] = [];
    const last = Math.floor(nowSeconds / BUCKET_SECONDS);
    let bucket = Math.floor(this.#notBefore / BUCKET_SECONDS);
    if (last - bucket >= BUCKETS) bucket = last - BUCKETS + 1;
    for (; bucket <= last; bucket++) {
      bucket = this.#nextBucket(bucket);
      if (bucket < 0 || bucket > last) break;
      const { ids: waiting, count } = this.#buckets[bucket & (BUCKETS - 1)]!;
      for (let index = 0; index < count; index++) {
        const id = waiting[index]!;
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
    const { lifeFloats } = this.#pool;
    const { ids, count } = this.#buckets[bucket & (BUCKETS - 1)]!;
    // Nothing is due before `notBefore`: one that is due then is a first, and many may share a second.
    for (let index = 0; index < count && first > notBefore; index++)
      first = Math.min(first, lifeFloats[(ids[index]! << LIFE_FLOAT_SHIFT) | DUE]!);
    return first;
  }
}

function bucketOf(due: number): number {
  return Math.floor(due / BUCKET_SECONDS) & (BUCKETS - 1);
}
