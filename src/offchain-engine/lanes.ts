/**
 * What the engine remembers of every (account, lane): the highest sequence used, that order's digest, and the live order if
 * there is one. A hash table with open addressing, a record of 64 bytes per lane, so that finding, using and freeing a lane touch
 * one cache line. Records leave it only when it is swept.
 *
 * A lane without a live order whose sequence is older than a new order may be is *dead*, and a sweep drops it. Its nonce stays
 * used: the account keeps the highest sequence of its dropped lanes, and a lane that is not in the table takes only later
 * ones. That matters to orders registered on chain, which may be older, and when the limit on orders' age is raised. Sweeps happen when the number of lanes reaches `sweepAt`, which is part of the state: replay and
 * snapshot agree on them.
 */
import type { Hash } from '../domain/units.ts';
import type { Accounts } from './accounts.ts';
import * as accountTable from './accounts.ts';
import type { OrderPool } from './book/order-pool.ts';
import * as orders from './book/order-pool.ts';
import { copyDigest, readDigest, sameDigest } from './digest-words.ts';
import { RecordTable } from './record-table.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { DROPPED_SEQUENCE } = accountTable;
const { LANE_SLOT, LIFE_INT_SHIFT } = orders;

/** Fewest lanes at which a sweep is tried. */
export const LANE_SWEEP_MIN = 65_536;
const LANES = 65_536;

/** Float64 slots of a record: first its key, account × 65,536 + lane + 1, or 0 where empty; then the highest sequence used. */
const SEQUENCE = 1;
/** Int32 slot: id of the live order, 0 for none. */
const ORDER = 4;
/** Int32 slot: first of eight, the digest of the order that used the lane last. */
const LAST_DIGEST = 8;
const LANE_SHIFT = 6;
const LANE_FLOAT_SHIFT = 3;
const LANE_INT_SHIFT = 4;

/** Records that `sorted` looks at in one step, less one. */
const STEP_MASK = 0x3fff;

export class Lanes {
  count = 0;
  sweepAt = LANE_SWEEP_MIN;
  #floats: Float64Array;
  #ints: Int32Array;
  #spare: Int32Array | undefined;
  #capacity: number;

  /** @param capacity a power of two. */
  constructor(capacity = 256) {
    this.#capacity = capacity;
    const table = new RecordTable(LANE_SHIFT, capacity);
    this.#floats = table.floats;
    this.#ints = table.ints;
  }

  /** Position of the lane's record; −1 when it has none. */
  find(account: number, lane: number): number {
    const key = account * LANES + lane + 1;
    const floats = this.#floats;
    const mask = this.#capacity - 1;
    let at = hash(account, lane) & mask;
    for (;;) {
      const there = floats[at << LANE_FLOAT_SHIFT]!;
      if (there === key) return at;
      if (there === 0) return -1;
      at = (at + 1) & mask;
    }
  }

  /** Position of the lane's record, created empty when there is none. Positions of other lanes may change. */
  open(account: number, lane: number, pool: OrderPool): number {
    if (this.count * 2 >= this.#capacity) this.#rebuild(this.#capacity * 2, pool, () => true);
    this.count++;
    return this.#insert(account, lane);
  }

  sequence(slot: number): number {
    return this.#floats[(slot << LANE_FLOAT_SHIFT) + SEQUENCE]!;
  }

  /** Id of the live order; 0 for none. */
  order(slot: number): number {
    return this.#ints[(slot << LANE_INT_SHIFT) + ORDER]!;
  }

  setOrder(slot: number, id: number): void {
    this.#ints[(slot << LANE_INT_SHIFT) + ORDER] = id;
  }

  /** Whether the order that used the lane last has this digest: eight words of `digests` from `at` on. */
  hasDigest(slot: number, digests: Int32Array, at: number): boolean {
    return sameDigest(this.#ints, (slot << LANE_INT_SHIFT) + LAST_DIGEST, digests, at);
  }

  /** Notes the order that uses the lane now. */
  use(slot: number, sequence: number, digests: Int32Array, at: number): void {
    this.#floats[(slot << LANE_FLOAT_SHIFT) + SEQUENCE] = sequence;
    copyDigest(this.#ints, (slot << LANE_INT_SHIFT) + LAST_DIGEST, digests, at);
  }

  /** Drops dead lanes when enough lanes have gathered. @param oldestSequence a new order's sequence is at least this. */
  sweepIfDue(oldestSequence: number, pool: OrderPool, accounts: Accounts): void {
    if (this.count < this.sweepAt) return;
    this.#rebuild(this.#capacity, pool, (slot) => {
      const sequence = this.sequence(slot);
      if (this.order(slot) !== 0 || sequence >= oldestSequence) return true;
      const { account } = laneOfKey(this.#floats[slot << LANE_FLOAT_SHIFT]!);
      accounts.raise(account, DROPPED_SEQUENCE, sequence);
      return false;
    });
    this.sweepAt = Math.max(LANE_SWEEP_MIN, this.count * 2);
  }

  /** The table as it is now. */
  copy(): LaneTable {
    const spare = this.#spare;
    this.#spare = undefined;
    const ints = spare !== undefined && spare.length === this.#ints.length ? spare : new Int32Array(this.#ints.length);
    ints.set(this.#ints);
    return new LaneTable(ints);
  }

  /** Takes a copy back that nobody reads any more, for the next one. */
  takeBack(copy: LaneTable): void {
    this.#spare = copy.ints;
  }

  /** An empty record for the lane, which has none. */
  #insert(account: number, lane: number): number {
    const mask = this.#capacity - 1;
    let at = hash(account, lane) & mask;
    while (this.#floats[at << LANE_FLOAT_SHIFT] !== 0) at = (at + 1) & mask;
    this.#floats[at << LANE_FLOAT_SHIFT] = account * LANES + lane + 1;
    return at;
  }

  #rebuild(capacity: number, pool: OrderPool, keep: (slot: number) => boolean): void {
    const ints = this.#ints;
    const floats = this.#floats;
    const kept: number[] = [];
    for (let slot = 0; slot < this.#capacity; slot++) {
      if (floats[slot << LANE_FLOAT_SHIFT] !== 0 && keep(slot)) kept.push(slot);
    }
    this.#capacity = capacity;
    const table = new RecordTable(LANE_SHIFT, capacity);
    this.#floats = table.floats;
    this.#ints = table.ints;
    this.count = kept.length;
    for (const from of kept) {
      const { account, lane } = laneOfKey(floats[from << LANE_FLOAT_SHIFT]!);
      const to = this.#insert(account, lane);
      const at = from << LANE_INT_SHIFT;
      this.use(to, floats[(from << LANE_FLOAT_SHIFT) + SEQUENCE]!, ints, at + LAST_DIGEST);
      const id = ints[at + ORDER]!;
      this.setOrder(to, id);
      if (id !== 0) pool.lifeInts[(id << LIFE_INT_SHIFT) + LANE_SLOT] = to;
    }
  }
}

/** A copy of the table, to be read while the table itself goes on. */
export class LaneTable {
  readonly floats: Float64Array;
  readonly ints: Int32Array;

  constructor(ints: Int32Array) {
    this.ints = ints;
    this.floats = new Float64Array(ints.buffer);
  }

  /**
   * Positions by account and lane, each as lane × 2^32 + position; `ends` holds where each account's part ends. Sorted by
   * counting per account, then within each: the steps between are short, so that the caller can do something else.
   */
  *sorted(accounts: number): Generator<undefined, { order: Float64Array; ends: Int32Array }, undefined> {
    const floats = this.floats;
    const capacity = floats.length >>> LANE_FLOAT_SHIFT;
    const ends = new Int32Array(accounts);
    let count = 0;
    for (let slot = 0; slot < capacity; slot++) {
      const key = floats[slot << LANE_FLOAT_SHIFT]!;
      if (key !== 0) {
        ends[Math.floor((key - 1) / LANES)]!++;
        count++;
      }
      if ((slot & STEP_MASK) === STEP_MASK) yield;
    }
    for (let account = 0, start = 0; account < accounts; account++) {
      const size = ends[account]!;
      ends[account] = start;
      start += size;
    }
    const order = new Float64Array(count);
    for (let slot = 0; slot < capacity; slot++) {
      const key = floats[slot << LANE_FLOAT_SHIFT]!;
      if (key !== 0) {
        const { account, lane } = laneOfKey(key);
        order[ends[account]!++] = lane * 2 ** 32 + slot;
      }
      if ((slot & STEP_MASK) === STEP_MASK) yield;
    }
    return { order, ends };
  }

  sequence(slot: number): number {
    return this.floats[(slot << LANE_FLOAT_SHIFT) + SEQUENCE]!;
  }

  order(slot: number): number {
    return this.ints[(slot << LANE_INT_SHIFT) + ORDER]!;
  }

  digest(slot: number): Hash {
    return readDigest(this.ints, (slot << LANE_INT_SHIFT) + LAST_DIGEST);
  }
}

function laneOfKey(key: number): { account: number; lane: number } {
  const account = Math.floor((key - 1) / LANES);
  return { account, lane: key - 1 - account * LANES };
}

function hash(account: number, lane: number): number {
  let mixed = Math.imul(account, 0x9e3779b1) ^ Math.imul(lane + 1, 0x85ebca6b);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed, 0x2c1b3c6d);
  return mixed ^ (mixed >>> 13);
}
