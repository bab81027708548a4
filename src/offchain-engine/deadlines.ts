/**
 * When live orders must be looked at again (expiry, or the end of the session key that signed them): a wheel of buckets of
 * 64 seconds over 48 days, longer than an order may live, so that entry and removal cost the same whatever rests.
 *
 * An order that leaves a large bucket only says so in its own record, which is at hand: to look up its entry would be to wait for far
 * memory with every order that ends. Its entry is dropped later, together with others.
 */
import { BitLadder } from './book/bit-ladder.ts';
import type { OrderPool } from './book/order-pool.ts';
import * as orders from './book/order-pool.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { DUE, DUE_AT, LIFE_FLOAT_SHIFT, LIFE_INT_SHIFT } = orders;

const BUCKETS = 65_536;
const BUCKET_SECONDS = 64;
/** A bucket that has been larger gives its memory back when nobody waits in it: there are 65,536 of them. */
const FIRST_ENTRIES = 16;
/** A bucket of fewer entries fits a near cache: there an entry is dropped with its order. */
const NEAR_ENTRIES = 8_192;
/** Entries of orders that have left are dropped at the latest once a bucket has so many times as many entries as orders. */
const ENTRIES_PER_ORDER_MAX = 3;
/** Entries looked at together, so that their loads overlap. */
const SWEPT_ENTRIES = 64;
/** `DUE_AT` of an order that is in no bucket. */
const NOWHERE = -1;

/** What was read, combined: a figure without meaning, kept so that no read is left out. */
const read = new Int32Array(1);

/**
 * Ids in no particular order. An order knows which entry is its own (`DUE_AT`); whatever else has its id is an old entry. One that
 * is dropped leaves its place to the last.
 */
class Bucket {
  readonly #number: number;
  readonly #pool: OrderPool;
  #ids = new Int32Array(FIRST_ENTRIES);
  #entries = 0;
  /** Orders that wait: as many as entries, unless some are old. */
  #orders = 0;
  #sweptTo = 0;

  constructor(number: number, pool: OrderPool) {
    this.#number = number;
    this.#pool = pool;
  }

  get isEmpty(): boolean {
    return this.#orders === 0;
  }

  add(id: number): void {
    if (this.#entries === this.#ids.length) {
      const grown = new Int32Array(this.#ids.length * 2);
      grown.set(this.#ids);
      this.#ids = grown;
    }
    this.#ids[this.#entries] = id;
    this.#pool.lifeInts[(id << LIFE_INT_SHIFT) | DUE_AT] = this.#entries++;
    this.#orders++;
  }

  leave(id: number): void {
    const { lifeInts } = this.#pool;
    const entry = lifeInts[(id << LIFE_INT_SHIFT) | DUE_AT]!;
    lifeInts[(id << LIFE_INT_SHIFT) | DUE_AT] = NOWHERE;
    this.#orders--;
    if (this.#orders === 0) {
      this.#clear();
      return;
    }
    if (this.#entries <= NEAR_ENTRIES) this.#drop(entry);
    if (this.#entries > ENTRIES_PER_ORDER_MAX * this.#orders) this.#sweep();
  }

  /** Visits the orders that wait, in no particular order, until a visit gives false. */
  visit(each: (id: number) => boolean): void {
    for (let entry = 0; entry < this.#entries; entry++) {
      const id = this.#ids[entry]!;
      if (this.#isOwn(entry, id) && !each(id)) return;
    }
  }

  #drop(entry: number): void {
    const last = --this.#entries;
    if (last === entry) return;
    const id = this.#ids[last]!;
    if (this.#entries === this.#orders || this.#isOwn(last, id))
      this.#pool.lifeInts[(id << LIFE_INT_SHIFT) | DUE_AT] = entry;
    this.#ids[entry] = id;
  }

  #clear(): void {
    this.#entries = 0;
    if (this.#ids.length > FIRST_ENTRIES) this.#ids = new Int32Array(FIRST_ENTRIES);
  }

  /** Drops what is old among the next few entries. */
  #sweep(): void {
    const { lifeInts } = this.#pool;
    let combined = 0;
    for (let next = 0; next < SWEPT_ENTRIES; next++)
      combined ^= lifeInts[(this.#ids[(this.#sweptTo + next) % this.#entries]! << LIFE_INT_SHIFT) | DUE_AT]!;
    read[0] = combined;
    for (let left = SWEPT_ENTRIES; left > 0; left--) {
      if (this.#sweptTo >= this.#entries) this.#sweptTo = 0;
      if (this.#isOwn(this.#sweptTo, this.#ids[this.#sweptTo]!)) this.#sweptTo++;
      else this.#drop(this.#sweptTo);
    }
  }

  #isOwn(entry: number, id: number): boolean {
    const { lifeInts, lifeFloats } = this.#pool;
    if (lifeInts[(id << LIFE_INT_SHIFT) | DUE_AT] !== entry) return false;
    // It may be at the same place of another bucket by now.
    return bucketOf(lifeFloats[(id << LIFE_FLOAT_SHIFT) | DUE]!) === this.#number;
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
    if (bucket === undefined) {
      bucket = new Bucket(number, this.#pool);
      this.#buckets[number] = bucket;
    }
    if (bucket.isEmpty) this.#bits.add(number);
    bucket.add(id);
    if (due < this.#notBefore) {
      this.#notBefore = due;
      this.#stale = false;
    }
  }

  remove(id: number): void {
    const due = this.#pool.lifeFloats[(id << LIFE_FLOAT_SHIFT) | DUE]!;
    const number = bucketOf(due);
    const bucket = this.#buckets[number]!;
    bucket.leave(id);
    if (bucket.isEmpty) this.#bits.delete(number);
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
      this.#buckets[bucket & (BUCKETS - 1)]!.visit((id) => {
        if (lifeFloats[(id << LIFE_FLOAT_SHIFT) | DUE]! <= nowSeconds) ids.push(id);
        return true;
      });
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
    // Nothing is due before `notBefore`: one that is due then is a first, and many may share a second.
    this.#buckets[bucket & (BUCKETS - 1)]!.visit((id) => {
      first = Math.min(first, lifeFloats[(id << LIFE_FLOAT_SHIFT) | DUE]!);
      return first > notBefore;
    });
    return first;
  }
}

function bucketOf(due: number): number {
  return Math.floor(due / BUCKET_SECONDS) & (BUCKETS - 1);
}
