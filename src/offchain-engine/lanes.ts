/**
 * What the engine remembers of every (account, lane): the highest sequence used, that order's digest, and the live order if
 * there is one. A hash table with open addressing in typed arrays; records leave it only when it is swept.
 *
 * A lane without a live order whose sequence is older than a new order may be is *dead*: no new order could reuse its nonce,
 * so a sweep drops it. Sweeps happen when the number of lanes reaches `sweepAt`, which is part of the state: replay and
 * snapshot agree on them.
 */
import type { Accounts } from './accounts.ts';
import { INT_SHIFT, LANE_SLOT, type OrderPool } from './book/order-pool.ts';

/** Fewest lanes at which a sweep is tried. */
export const LANE_SWEEP_MIN = 65_536;
const LANES = 65_536;

export class Lanes {
  count = 0;
  sweepAt = LANE_SWEEP_MIN;
  /** By position: account × 65,536 + lane, or −1 where empty. */
  keys: Float64Array;
  sequences: Float64Array;
  /** Id of the live order; 0 for none. */
  orders: Int32Array;
  digests: string[];
  #mask: number;

  constructor(capacity = 1024) {
    this.#mask = capacity - 1;
    this.keys = new Float64Array(capacity).fill(-1);
    this.sequences = new Float64Array(capacity);
    this.orders = new Int32Array(capacity);
    this.digests = Array.from({ length: capacity }, () => '');
  }

  /** Position of the lane's record; −1 when it has none. */
  find(account: number, lane: number): number {
    const key = account * LANES + lane;
    let at = hash(account, lane) & this.#mask;
    for (;;) {
      const there = this.keys[at]!;
      if (there === key) return at;
      if (there === -1) return -1;
      at = (at + 1) & this.#mask;
    }
  }

  /** Position of the lane's record, created empty when there is none. Positions of other lanes may change. */
  open(account: number, lane: number, pool: OrderPool): number {
    if (this.count * 2 >= this.keys.length) this.#rebuild(this.keys.length * 2, pool, () => true);
    const key = account * LANES + lane;
    let at = hash(account, lane) & this.#mask;
    while (this.keys[at] !== -1) at = (at + 1) & this.#mask;
    this.keys[at] = key;
    this.sequences[at] = 0;
    this.orders[at] = 0;
    this.digests[at] = '';
    this.count++;
    return at;
  }

  /** Drops dead lanes when enough lanes have gathered. @param oldestSequence a new order's sequence is at least this. */
  sweepIfDue(oldestSequence: number, pool: OrderPool, accounts: Accounts): void {
    if (this.count < this.sweepAt) return;
    this.#rebuild(this.keys.length, pool, (at) => {
      if (this.orders[at] !== 0 || this.sequences[at]! >= oldestSequence) return true;
      const account = Math.floor(this.keys[at]! / LANES);
      accounts.droppedSequence[account] = Math.max(accounts.droppedSequence[account]!, this.sequences[at]!);
      return false;
    });
    this.sweepAt = Math.max(LANE_SWEEP_MIN, this.count * 2);
  }

  #rebuild(capacity: number, pool: OrderPool, keep: (at: number) => boolean): void {
    const { keys, sequences, orders, digests } = this;
    const kept: number[] = [];
    for (let at = 0; at < keys.length; at++) if (keys[at] !== -1 && keep(at)) kept.push(at);
    this.#mask = capacity - 1;
    this.keys = new Float64Array(capacity).fill(-1);
    this.sequences = new Float64Array(capacity);
    this.orders = new Int32Array(capacity);
    this.digests = Array.from({ length: capacity }, () => '');
    this.count = kept.length;
    for (const from of kept) {
      const key = keys[from]!;
      const account = Math.floor(key / LANES);
      let at = hash(account, key - account * LANES) & this.#mask;
      while (this.keys[at] !== -1) at = (at + 1) & this.#mask;
      this.keys[at] = key;
      this.sequences[at] = sequences[from]!;
      this.orders[at] = orders[from]!;
      this.digests[at] = digests[from]!;
      if (orders[from] !== 0) pool.ints[(orders[from]! << INT_SHIFT) + LANE_SLOT] = at;
    }
  }
}

/** Account and lane of a record's key. */
export function laneOfKey(key: number): { account: number; lane: number } {
  const account = Math.floor(key / LANES);
  return { account, lane: key - account * LANES };
}

function hash(account: number, lane: number): number {
  let mixed = Math.imul(account, 0x9e3779b1) ^ Math.imul(lane + 1, 0x85ebca6b);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed, 0x2c1b3c6d);
  return mixed ^ (mixed >>> 13);
}
