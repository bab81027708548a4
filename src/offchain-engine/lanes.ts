/**
 * What the engine remembers of every (account, lane): the highest sequence used, that order's digest, and the live order if
 * there is one. Records of 64 bytes without gaps, a cache line each, found through a table of their positions (open addressing, eight
 * bytes an entry: hash and position), so that a look-up reads no record but the lane's own. Records leave only when the lanes are swept.
 *
 * A lane without a live order whose sequence is older than a new order may be is *dead*, and a sweep drops it. Its nonce stays
 * used: the account keeps the highest sequence of its dropped lanes, and a lane that is not in the table takes only later
 * ones. That matters to orders registered on chain, which may be older, and when the limit on orders' age is raised. Sweeps happen when the number of lanes reaches `sweepAt`, which is part of the state: replay and
 * snapshot agree on them.
 */
import type { Accounts } from './accounts.ts';
import * as accountTable from './accounts.ts';
import type { BinaryWriter } from './binary.ts';
import type { OrderPool } from './book/order-pool.ts';
import * as orders from './book/order-pool.ts';
import { copyDigest, sameDigest } from './digest-words.ts';
import { RecordTable, touchPages } from './record-table.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { ACCOUNT_INT_SHIFT, DROPPED_SEQUENCE, FIRST_LANE } = accountTable;
const { LANE_SLOT, LIFE_INT_SHIFT } = orders;

/** Fewest lanes at which a sweep is tried. */
export const LANE_SWEEP_MIN = 65_536;
const LANES = 65_536;

/** Float64 slots of a record: its key, account × 65,536 + lane + 1; the highest sequence used. */
const KEY = 0;
const SEQUENCE = 1;
/** Int32 slots: id of the live order, 0 for none; position of the account's next linked lane, 0 after the last; 1 when linked itself. */
const ORDER = 4;
const NEXT_OF_ACCOUNT = 5;
const LINKED = 6;
/** First of eight: the digest of the order that used the lane last. */
const DIGEST = 8;
const LANE_SHIFT = 6;
const LANE_FLOAT_SHIFT = 3;
export const LANE_INT_SHIFT = 4;

/** Int32 slots of an entry of the table of positions: hash, position. */
const ENTRY_SLOTS = 2;
const ENTRY_SHIFT = 1;
const POSITION = 1;

/** Records entered into a table that has grown, per lane that is opened. */
const ENTERED_PER_OPEN = 64;

/** Records that `sorted` looks at in one step, less one. */
const STEP_MASK = 0x3fff;

export class Lanes {
  count = 0;
  sweepAt = LANE_SWEEP_MIN;
  /** Records. Reread after `open`, as `positions`. */
  ints: Int32Array;
  /** Hash and position of a record, by hash; position 0 where there is none; at most half full. Record 0 is never used. */
  positions: Int32Array;
  #mask: number;
  /** The table before the last growth, while records are still entered into the present one, a few with each lane that is opened. */
  #before: Int32Array | undefined;
  /** Records up to here are in the present table; all of them when there is none before it. */
  #entered = 0;
  #table: RecordTable;
  #floats: Float64Array;
  #spare: LaneTable | undefined;

  /** @param capacity lanes there is room for at first; a power of two */
  constructor(capacity = 256) {
    this.positions = new Int32Array(capacity * 2 * ENTRY_SLOTS);
    this.#mask = this.positions.length - 1;
    this.#table = new RecordTable(LANE_SHIFT, capacity);
    this.#floats = this.#table.floats;
    this.ints = this.#table.ints;
  }

  /** Position of the lane's record; 0 when it has none. */
  find(account: number, lane: number): number {
    const key = account * LANES + lane + 1;
    const hashed = hash(account, lane);
    const slot = this.#probe(this.positions, hashed, key);
    return slot !== 0 || this.#before === undefined ? slot : this.#probe(this.#before, hashed, key);
  }

  #probe(positions: Int32Array, hashed: number, key: number): number {
    const mask = positions.length - 1;
    let at = (hashed << ENTRY_SHIFT) & mask;
    for (;;) {
      const slot = positions[at | POSITION]!;
      if (slot === 0) return 0;
      if (positions[at] === hashed && this.#floats[(slot << LANE_FLOAT_SHIFT) | KEY] === key) return slot;
      at = (at + ENTRY_SLOTS) & mask;
    }
  }

  /** Where in `positions` the search for the lane begins. */
  searchFrom(account: number, lane: number): number {
    return (hash(account, lane) << ENTRY_SHIFT) & this.#mask;
  }

  /** `find` by hash alone: a position that is almost certainly the lane's, without a look at the record. */
  guess(account: number, lane: number): number {
    const { positions } = this;
    const hashed = hash(account, lane);
    let at = (hashed << ENTRY_SHIFT) & this.#mask;
    while (positions[at | POSITION] !== 0 && positions[at] !== hashed) at = (at + ENTRY_SLOTS) & this.#mask;
    return positions[at | POSITION]!;
  }

  /** Position of a record for the lane, which has none. */
  open(account: number, lane: number): number {
    const slot = ++this.count;
    this.#reserve(slot + 1);
    this.#floats[(slot << LANE_FLOAT_SHIFT) | KEY] = account * LANES + lane + 1;
    this.#floats[(slot << LANE_FLOAT_SHIFT) | SEQUENCE] = 0;
    this.ints[(slot << LANE_INT_SHIFT) | ORDER] = 0;
    // A sweep may have left another lane's record here.
    this.ints[(slot << LANE_INT_SHIFT) | LINKED] = 0;
    this.#enter(slot);
    if (this.#before !== undefined) this.#enterMore();
    return slot;
  }

  sequence(slot: number): number {
    return this.#floats[(slot << LANE_FLOAT_SHIFT) | SEQUENCE]!;
  }

  /** Id of the live order; 0 for none. */
  order(slot: number): number {
    return this.ints[(slot << LANE_INT_SHIFT) | ORDER]!;
  }

  /** The account's order `id` takes the lane. */
  takeBy(slot: number, id: number, account: number, accounts: Accounts): void {
    const at = slot << LANE_INT_SHIFT;
    this.ints[at | ORDER] = id;
    if (this.ints[at | LINKED] === 0) this.#link(slot, account, accounts);
  }

  /** Its order has ended. The lane stays linked until somebody looks for the account's orders. */
  free(slot: number): void {
    this.ints[(slot << LANE_INT_SHIFT) | ORDER] = 0;
  }

  /**
   * Adds the ids of the account's live orders, in no particular order. Looks at every lane that an order took since it last looked,
   * and lets go of the free ones: so it costs no more than placing those orders did.
   */
  collectOrders(account: number, accounts: Accounts, ids: number[]): void {
    const ints = this.ints;
    const first = (account << ACCOUNT_INT_SHIFT) | FIRST_LANE;
    let kept = 0;
    for (let slot = accounts.ints[first]!; slot !== 0; ) {
      const at = slot << LANE_INT_SHIFT;
      const next = ints[at | NEXT_OF_ACCOUNT]!;
      const id = ints[at | ORDER]!;
      if (id === 0) ints[at | LINKED] = 0;
      else {
        ids.push(id);
        ints[at | NEXT_OF_ACCOUNT] = kept;
        kept = slot;
      }
      slot = next;
    }
    accounts.ints[first] = kept;
  }

  /** Whether the order that used the lane last has this digest: eight words of `digests` from `at` on. */
  hasDigest(slot: number, digests: Int32Array, at: number): boolean {
    return sameDigest(this.ints, (slot << LANE_INT_SHIFT) | DIGEST, digests, at);
  }

  /** Notes the order that uses the lane now. */
  use(slot: number, sequence: number, digests: Int32Array, at: number): void {
    this.#floats[(slot << LANE_FLOAT_SHIFT) | SEQUENCE] = sequence;
    copyDigest(this.ints, (slot << LANE_INT_SHIFT) | DIGEST, digests, at);
  }

  /** Drops dead lanes when enough lanes have gathered. @param oldestSequence a new order's sequence is at least this. */
  sweepIfDue(oldestSequence: number, pool: OrderPool, accounts: Accounts): void {
    if (this.count < this.sweepAt) return;
    const before = this.count;
    this.#before = undefined;
    this.positions.fill(0);
    this.count = 0;
    for (let account = 0; account < accounts.count; account++)
      accounts.ints[(account << ACCOUNT_INT_SHIFT) | FIRST_LANE] = 0;
    for (let slot = 1; slot <= before; slot++) {
      const sequence = this.sequence(slot);
      if (this.order(slot) !== 0 || sequence >= oldestSequence) this.#keep(slot, pool, accounts);
      else accounts.raise(laneOfKey(this.#floats[slot << LANE_FLOAT_SHIFT]!).account, DROPPED_SEQUENCE, sequence);
    }
    this.sweepAt = Math.max(LANE_SWEEP_MIN, this.count * 2);
  }

  /** Gets the memory for the next copy, in short steps. @param more lanes at most that are opened until then */
  *makeReady(more: number): Generator<undefined, undefined, undefined> {
    const slots = this.count + 1 + more;
    if (this.#spare !== undefined && this.#spare.capacity >= slots) return;
    const spare = new LaneTable(slots);
    yield* spare.touch();
    this.#spare = spare;
  }

  /** The lanes as they are now. */
  copy(): LaneTable {
    const spare = this.#spare;
    this.#spare = undefined;
    const copy = spare !== undefined && spare.capacity > this.count ? spare : new LaneTable(this.#table.capacity);
    copy.set(this.ints, this.count);
    return copy;
  }

  /** Takes a copy back that nobody reads any more, for the next one. */
  takeBack(copy: LaneTable): void {
    this.#spare = copy;
  }

  /** Moves a record to the end of those that stay. */
  #keep(slot: number, pool: OrderPool, accounts: Accounts): void {
    const to = ++this.count;
    if (to !== slot) {
      const from = slot << LANE_INT_SHIFT;
      this.ints.copyWithin(to << LANE_INT_SHIFT, from, from + (1 << LANE_INT_SHIFT));
      const id = this.order(to);
      if (id !== 0) pool.lifeInts[(id << LIFE_INT_SHIFT) | LANE_SLOT] = to;
    }
    this.#enter(to);
    this.ints[(to << LANE_INT_SHIFT) | LINKED] = 0;
    if (this.order(to) !== 0)
      this.#link(to, laneOfKey(this.#floats[(to << LANE_FLOAT_SHIFT) | KEY]!).account, accounts);
  }

  #link(slot: number, account: number, accounts: Accounts): void {
    const at = (account << ACCOUNT_INT_SHIFT) + FIRST_LANE;
    this.ints[(slot << LANE_INT_SHIFT) | NEXT_OF_ACCOUNT] = accounts.ints[at]!;
    this.ints[(slot << LANE_INT_SHIFT) | LINKED] = 1;
    accounts.ints[at] = slot;
  }

  #enter(slot: number): void {
    const { account, lane } = laneOfKey(this.#floats[(slot << LANE_FLOAT_SHIFT) | KEY]!);
    const hashed = hash(account, lane);
    let at = (hashed << ENTRY_SHIFT) & this.#mask;
    while (this.positions[at | POSITION] !== 0) at = (at + ENTRY_SLOTS) & this.#mask;
    this.positions[at] = hashed;
    this.positions[at | POSITION] = slot;
  }

  #reserve(records: number): void {
    if (!this.#table.reserve(records)) return;
    this.#floats = this.#table.floats;
    this.ints = this.#table.ints;
    this.#before = this.positions;
    this.#entered = 0;
    this.positions = new Int32Array(this.#table.capacity * 2 * ENTRY_SLOTS);
    this.#mask = this.positions.length - 1;
  }

  /** Long before the next growth all are entered: that many lanes are opened until then, each entering several. */
  #enterMore(): void {
    const records = (this.#before as Int32Array).length / (2 * ENTRY_SLOTS);
    const end = Math.min(this.#entered + ENTERED_PER_OPEN, records);
    // The one with which the table grew, and those after it, were entered when they were opened.
    for (let slot = this.#entered + 1; slot < end; slot++) this.#enter(slot);
    this.#entered = end - 1;
    if (end === records) this.#before = undefined;
  }
}

/** A copy of the lanes, to be read while they go on. */
export class LaneTable {
  readonly #ints: Int32Array;
  readonly #floats: Float64Array;
  #count = 0;

  constructor(capacity: number) {
    this.#ints = new Int32Array(capacity << LANE_INT_SHIFT);
    this.#floats = new Float64Array(this.#ints.buffer);
  }

  get capacity(): number {
    return this.#ints.length >>> LANE_INT_SHIFT;
  }

  *touch(): Generator<undefined, undefined, undefined> {
    yield* touchPages(this.#ints);
  }

  set(ints: Int32Array, count: number): void {
    this.#ints.set(ints.subarray(0, (count + 1) << LANE_INT_SHIFT));
    this.#count = count;
  }

  /**
   * Positions by account and lane, each as lane × 2^32 + position; `ends` holds where each account's part ends. Sorted by
   * counting per account, then within each: the steps between are short, so that the caller can do something else.
   */
  *sorted(accounts: number): Generator<undefined, { order: Float64Array; ends: Int32Array }, undefined> {
    const ends = new Int32Array(accounts);
    for (let slot = 1; slot <= this.#count; slot++) {
      ends[laneOfKey(this.#floats[slot << LANE_FLOAT_SHIFT]!).account]!++;
      if ((slot & STEP_MASK) === STEP_MASK) yield;
    }
    for (let account = 0, start = 0; account < accounts; account++) {
      const size = ends[account]!;
      ends[account] = start;
      start += size;
    }
    const order = new Float64Array(this.#count);
    for (let slot = 1; slot <= this.#count; slot++) {
      const { account, lane } = laneOfKey(this.#floats[slot << LANE_FLOAT_SHIFT]!);
      order[ends[account]!++] = lane * 2 ** 32 + slot;
      if ((slot & STEP_MASK) === STEP_MASK) yield;
    }
    return { order, ends };
  }

  sequence(slot: number): number {
    return this.#floats[(slot << LANE_FLOAT_SHIFT) | SEQUENCE]!;
  }

  order(slot: number): number {
    return this.#ints[(slot << LANE_INT_SHIFT) | ORDER]!;
  }

  writeDigest(out: BinaryWriter, slot: number): void {
    out.digest(this.#ints, (slot << LANE_INT_SHIFT) | DIGEST);
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
