/**
 * What the engine remembers of every (account, lane): the highest sequence used, that order's digest, and the live order if
 * there is one. A hash table with open addressing, a record of 32 bytes per lane so that finding and freeing a lane touch one
 * cache line; digests lie beside it, looked at only when a nonce comes again. Records leave it only when it is swept.
 *
 * A lane without a live order whose sequence is older than a new order may be is *dead*, and a sweep drops it. Its nonce stays
 * used: the account keeps the highest sequence of its dropped lanes, and a lane that is not in the table takes only later
 * ones. That matters to orders registered on chain, which may be older, and when the limit on orders' age is raised. Sweeps happen when the number of lanes reaches `sweepAt`, which is part of the state: replay and
 * snapshot agree on them.
 */
import { type Accounts, DROPPED_SEQUENCE } from './accounts.ts';
import { INT_SHIFT, LANE_SLOT, type OrderPool } from './book/order-pool.ts';

/** Fewest lanes at which a sweep is tried. */
export const LANE_SWEEP_MIN = 65_536;
const LANES = 65_536;

/** Float64 slots of a record: first its key, account × 65,536 + lane + 1, or 0 where empty; then the highest sequence used. */
const SEQUENCE = 1;
/** Int32 slot: id of the live order, 0 for none. */
const ORDER = 4;
const LANE_FLOAT_SHIFT = 2;
const LANE_INT_SHIFT = 3;

/** Records that `sorted` looks at in one step, less one. */
const STEP_MASK = 0x3fff;

export class Lanes {
  count = 0;
  sweepAt = LANE_SWEEP_MIN;
  #floats: Float64Array;
  #ints: Int32Array;
  #digests: string[];
  #spare: Float64Array | undefined;
  #capacity: number;

  /** @param capacity a power of two. */
  constructor(capacity = 1024) {
    this.#capacity = capacity;
    this.#floats = new Float64Array(capacity << LANE_FLOAT_SHIFT);
    this.#ints = new Int32Array(this.#floats.buffer);
    this.#digests = noDigests(capacity);
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

  /** Of the order that used the lane last. */
  digest(slot: number): string {
    return this.#digests[slot]!;
  }

  /** Notes the order that uses the lane now. */
  use(slot: number, sequence: number, digest: string): void {
    this.#floats[(slot << LANE_FLOAT_SHIFT) + SEQUENCE] = sequence;
    this.#digests[slot] = digest;
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
    const floats = spare !== undefined && spare.length === this.#floats.length ? spare : this.#floats.slice();
    if (floats === spare) floats.set(this.#floats);
    return new LaneTable(floats, this.#digests.slice());
  }

  /** Takes a copy back that nobody reads any more, for the next one. */
  takeBack(copy: LaneTable): void {
    this.#spare = copy.floats;
  }

  #insert(account: number, lane: number): number {
    const mask = this.#capacity - 1;
    let at = hash(account, lane) & mask;
    while (this.#floats[at << LANE_FLOAT_SHIFT] !== 0) at = (at + 1) & mask;
    this.#floats[at << LANE_FLOAT_SHIFT] = account * LANES + lane + 1;
    this.use(at, 0, '');
    this.setOrder(at, 0);
    return at;
  }

  #rebuild(capacity: number, pool: OrderPool, keep: (slot: number) => boolean): void {
    const floats = this.#floats;
    const ints = this.#ints;
    const digests = this.#digests;
    const kept: number[] = [];
    for (let slot = 0; slot < this.#capacity; slot++) {
      if (floats[slot << LANE_FLOAT_SHIFT] !== 0 && keep(slot)) kept.push(slot);
    }
    this.#capacity = capacity;
    this.#floats = new Float64Array(capacity << LANE_FLOAT_SHIFT);
    this.#ints = new Int32Array(this.#floats.buffer);
    this.#digests = noDigests(capacity);
    this.count = kept.length;
    for (const from of kept) {
      const { account, lane } = laneOfKey(floats[from << LANE_FLOAT_SHIFT]!);
      const to = this.#insert(account, lane);
      this.use(to, floats[(from << LANE_FLOAT_SHIFT) + SEQUENCE]!, digests[from]!);
      const id = ints[(from << LANE_INT_SHIFT) + ORDER]!;
      if (id === 0) continue;
      this.setOrder(to, id);
      pool.ints[(id << INT_SHIFT) + LANE_SLOT] = to;
    }
  }
}

/** A copy of the table, to be read while the table itself goes on. */
export class LaneTable {
  readonly floats: Float64Array;
  readonly #ints: Int32Array;
  readonly #digests: readonly string[];

  constructor(floats: Float64Array, digests: readonly string[]) {
    this.floats = floats;
    this.#ints = new Int32Array(floats.buffer);
    this.#digests = digests;
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
    return this.#ints[(slot << LANE_INT_SHIFT) + ORDER]!;
  }

  digest(slot: number): string {
    return this.#digests[slot]!;
  }
}

/** Filled from the front, so that the engine stores it as a plain row of strings. */
function noDigests(capacity: number): string[] {
  return Array.from({ length: capacity }, () => '');
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
