/**
 * The resting orders of one market: price levels, each a queue of orders in time priority.
 *
 * Levels near the touch live in a ladder, an array indexed by price − base with a bitmap over it; bids and asks share it,
 * since every bid lies below every ask. Levels elsewhere live in a sorted list per side. When prices wander off, the
 * ladder is re-based. Which of the two holds a level is a matter of speed only and never of behaviour.
 *
 * Invariants: best bid < best ask when both exist; a level exists exactly when it has an order, and its size is the sum of
 * what its orders have left; a level's queue is in time priority, head first.
 * The book knows no accounts and no money, and it never matches by itself.
 */
import { BitLadder } from './bit-ladder.ts';
import { FarLevels } from './far-levels.ts';
import type { OrderPool } from './order-pool.ts';
import * as orders from './order-pool.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { BUY, FLAG_SIDE, FLAGS, FLOAT_SHIFT, INT_SHIFT, NEXT, PREVIOUS, PRICE, REMAINING } = orders;

/** Prices that the ladder spans; 16 bytes each. */
const LADDER_SPAN = 1 << 16;
/** A ladder level is 4 Int32 slots (head, tail) overlapping 2 Float64 slots, the second of which is the size. */
const LEVEL_INT_SHIFT = 2;
const TAIL = 1;

export class Book {
  /** 0 when there is no bid. */
  bestBid = 0;
  /** 0 when there is no ask. */
  bestAsk = 0;
  readonly #pool: OrderPool;
  readonly #span: number;
  readonly #links: Int32Array;
  readonly #sizes: Float64Array;
  readonly #bits: BitLadder;
  readonly #farBids = new FarLevels();
  readonly #farAsks = new FarLevels();
  /** Price of the ladder's first entry. */
  #base = 1;
  #ladderLevels = 0;
  #sinceRebase = 0;

  /** @param span prices held in the ladder; a multiple of 32. */
  constructor(pool: OrderPool, span = LADDER_SPAN) {
    this.#pool = pool;
    this.#span = span;
    const buffer = new ArrayBuffer(span << 4);
    this.#links = new Int32Array(buffer);
    this.#sizes = new Float64Array(buffer);
    this.#bits = new BitLadder(span);
  }

  /** Id of the order first in line on that side; 0 when the side is empty. */
  head(side: number): number {
    const price = side === BUY ? this.bestBid : this.bestAsk;
    if (price === 0) return 0;
    const offset = price - this.#base;
    if (offset >= 0 && offset < this.#span) return this.#links[offset << LEVEL_INT_SHIFT]!;
    const far = side === BUY ? this.#farBids : this.#farAsks;
    return far.heads[far.find(price)]!;
  }

  /** Id of the order last in line at a price near the touch, on whichever side it is; 0 when there is none, or it is elsewhere. */
  nearTail(price: number): number {
    const offset = price - this.#base;
    return offset >= 0 && offset < this.#span ? this.#links[(offset << LEVEL_INT_SHIFT) | TAIL]! : 0;
  }

  /** First order in line at a price; 0 when there is no such level. */
  headAt(side: number, price: number): number {
    const offset = price - this.#base;
    if (offset >= 0 && offset < this.#span)
      return this.#isOn(side, price) ? this.#links[offset << LEVEL_INT_SHIFT]! : 0;
    const far = side === BUY ? this.#farBids : this.#farAsks;
    const index = far.find(price);
    return index < 0 ? 0 : far.heads[index]!;
  }

  /** Lots resting at a price; 0 when there is no such level. */
  sizeAt(side: number, price: number): number {
    const offset = price - this.#base;
    if (offset >= 0 && offset < this.#span) return this.#isOn(side, price) ? this.#sizes[(offset << 1) + 1]! : 0;
    const far = side === BUY ? this.#farBids : this.#farAsks;
    const index = far.find(price);
    return index < 0 ? 0 : far.sizes[index]!;
  }

  /** The next worse price on that side after `price`; 0 when there is none. */
  nextPrice(side: number, price: number): number {
    return side === BUY ? this.#bidBelow(price) : this.#askAbove(price);
  }

  /** Puts the order `id` (PRICE, FLAGS, REMAINING set) last in line at its price. */
  insert(id: number): void {
    const ints = this.#pool.ints;
    const at = id << INT_SHIFT;
    const price = ints[at | PRICE]!;
    const side = ints[at | FLAGS]! & FLAG_SIDE;
    this.#sinceRebase++;
    let offset = price - this.#base;
    if (offset < 0 || offset >= this.#span) {
      if (!this.#rebaseFor(side, price)) {
        this.#insertFar(id, side, price);
        this.#improveBest(side, price);
        return;
      }
      offset = price - this.#base;
    }
    const size = this.#pool.floats[(id << FLOAT_SHIFT) | REMAINING]!;
    const links = this.#links;
    const level = offset << LEVEL_INT_SHIFT;
    ints[at | NEXT] = 0;
    if (links[level] === 0) {
      ints[at | PREVIOUS] = 0;
      links[level] = id;
      links[level + TAIL] = id;
      this.#sizes[(offset << 1) + 1] = size;
      this.#bits.add(offset);
      this.#ladderLevels++;
      this.#improveBest(side, price);
    } else {
      const tail = links[level + TAIL]!;
      ints[at | PREVIOUS] = tail;
      ints[(tail << INT_SHIFT) | NEXT] = id;
      links[level + TAIL] = id;
      this.#sizes[(offset << 1) + 1]! += size;
    }
  }

  /** Takes the order `id` out of its queue; REMAINING must still be what the level counts for it. */
  remove(id: number): void {
    const ints = this.#pool.ints;
    const at = id << INT_SHIFT;
    const price = ints[at | PRICE]!;
    const next = ints[at | NEXT]!;
    const previous = ints[at | PREVIOUS]!;
    if (next !== 0) ints[(next << INT_SHIFT) | PREVIOUS] = previous;
    if (previous !== 0) ints[(previous << INT_SHIFT) | NEXT] = next;
    const offset = price - this.#base;
    if (offset < 0 || offset >= this.#span) {
      this.#unlinkFar(id, ints[at | FLAGS]! & FLAG_SIDE, price, previous, next);
      return;
    }
    const level = offset << LEVEL_INT_SHIFT;
    if (previous === 0) this.#links[level] = next;
    if (next === 0) this.#links[level + TAIL] = previous;
    if (previous === 0 && next === 0) {
      this.#bits.delete(offset);
      this.#ladderLevels--;
      this.#leaveBest(ints[at | FLAGS]! & FLAG_SIDE, price);
    } else {
      this.#sizes[(offset << 1) + 1]! -= this.#pool.floats[(id << FLOAT_SHIFT) | REMAINING]!;
    }
  }

  /** Lowers what a resting order has left by `size`, keeping its place; it must have more than that. */
  reduce(id: number, size: number): void {
    this.#pool.floats[(id << FLOAT_SHIFT) | REMAINING]! -= size;
    const ints = this.#pool.ints;
    const at = id << INT_SHIFT;
    const price = ints[at | PRICE]!;
    const offset = price - this.#base;
    if (offset >= 0 && offset < this.#span) {
      this.#sizes[(offset << 1) + 1]! -= size;
      return;
    }
    const far = (ints[at | FLAGS]! & FLAG_SIDE) === BUY ? this.#farBids : this.#farAsks;
    far.sizes[far.find(price)]! -= size;
  }

  /** Gives the queue place of the resting order `old` to `id`, which has the same side and price and no more left. */
  takePlace(old: number, id: number): void {
    const { ints, floats } = this.#pool;
    const surplus = floats[(old << FLOAT_SHIFT) | REMAINING]! - floats[(id << FLOAT_SHIFT) | REMAINING]!;
    if (surplus !== 0) this.reduce(old, surplus);
    const next = ints[(old << INT_SHIFT) | NEXT]!;
    const previous = ints[(old << INT_SHIFT) | PREVIOUS]!;
    ints[(id << INT_SHIFT) | NEXT] = next;
    ints[(id << INT_SHIFT) | PREVIOUS] = previous;
    if (next !== 0) ints[(next << INT_SHIFT) | PREVIOUS] = id;
    if (previous !== 0) ints[(previous << INT_SHIFT) | NEXT] = id;
    const price = ints[(old << INT_SHIFT) | PRICE]!;
    const offset = price - this.#base;
    if (offset >= 0 && offset < this.#span) {
      const level = offset << LEVEL_INT_SHIFT;
      if (previous === 0) this.#links[level] = id;
      if (next === 0) this.#links[level + TAIL] = id;
      return;
    }
    const far = (ints[(old << INT_SHIFT) | FLAGS]! & FLAG_SIDE) === BUY ? this.#farBids : this.#farAsks;
    const index = far.find(price);
    if (previous === 0) far.heads[index] = id;
    if (next === 0) far.tails[index] = id;
  }

  #isOn(side: number, price: number): boolean {
    if (!(this.#links[(price - this.#base) << LEVEL_INT_SHIFT]! !== 0)) return false;
    return side === BUY ? price <= this.bestBid : this.bestAsk !== 0 && price >= this.bestAsk;
  }

  #improveBest(side: number, price: number): void {
    if (side === BUY) {
      if (price > this.bestBid) this.bestBid = price;
    } else if (this.bestAsk === 0 || price < this.bestAsk) this.bestAsk = price;
  }

  #leaveBest(side: number, price: number): void {
    if (side === BUY) {
      if (price === this.bestBid) this.bestBid = this.#bidBelow(price);
    } else if (price === this.bestAsk) this.bestAsk = this.#askAbove(price);
  }

  #bidBelow(price: number): number {
    const below = price - this.#base - 1;
    const found = this.#bits.previous(below >= this.#span ? this.#span - 1 : below);
    const inLadder = found < 0 ? 0 : this.#base + found;
    const far = this.#farBids.prices;
    if (far.length === 0) return inLadder;
    const index = this.#farBids.find(price);
    const farPrice = far[(index < 0 ? ~index : index) - 1] ?? 0;
    return Math.max(farPrice, inLadder);
  }

  #askAbove(price: number): number {
    const above = price - this.#base + 1;
    const found = this.#bits.next(Math.max(above, 0));
    const inLadder = found < 0 ? 0 : this.#base + found;
    const far = this.#farAsks.prices;
    if (far.length === 0) return inLadder;
    const index = this.#farAsks.find(price);
    const farPrice = far[index < 0 ? ~index : index + 1] ?? 0;
    return inLadder === 0 || (farPrice !== 0 && farPrice < inLadder) ? farPrice : inLadder;
  }

  #insertFar(id: number, side: number, price: number): void {
    const ints = this.#pool.ints;
    const far = side === BUY ? this.#farBids : this.#farAsks;
    const size = this.#pool.floats[(id << FLOAT_SHIFT) | REMAINING]!;
    const index = far.find(price);
    ints[(id << INT_SHIFT) | NEXT] = 0;
    if (index < 0) {
      ints[(id << INT_SHIFT) | PREVIOUS] = 0;
      far.insertAt(~index, price, id, id, size);
      return;
    }
    const tail = far.tails[index]!;
    ints[(id << INT_SHIFT) | PREVIOUS] = tail;
    ints[(tail << INT_SHIFT) | NEXT] = id;
    far.tails[index] = id;
    far.sizes[index]! += size;
  }

  #unlinkFar(id: number, side: number, price: number, previous: number, next: number): void {
    const far = side === BUY ? this.#farBids : this.#farAsks;
    const index = far.find(price);
    if (previous === 0 && next === 0) {
      far.removeAt(index);
      this.#leaveBest(side, price);
      return;
    }
    if (previous === 0) far.heads[index] = next;
    if (next === 0) far.tails[index] = previous;
    far.sizes[index]! -= this.#pool.floats[(id << FLOAT_SHIFT) | REMAINING]!;
  }

  /**
   * Moves the ladder so that it covers `price`, when that pays: the price is at or near the touch, and enough has happened
   * since the last move (or the ladder is empty), so that nobody can make the book move its ladder over and over.
   */
  #rebaseFor(side: number, price: number): boolean {
    const half = this.#span >>> 1;
    const best = side === BUY ? this.bestBid : this.bestAsk;
    const improves = best === 0 || (side === BUY ? price > best : price < best);
    const nearBid = this.bestBid !== 0 && Math.abs(price - this.bestBid) < half;
    const nearAsk = this.bestAsk !== 0 && Math.abs(price - this.bestAsk) < half;
    if (!improves && !nearBid && !nearAsk) return false;
    if (this.#ladderLevels !== 0 && this.#sinceRebase < this.#span >>> 4) return false;
    this.#rebase(Math.max(1, price - half));
    return true;
  }

  #rebase(base: number): void {
    const moved: { price: number; head: number; tail: number; size: number; side: number }[] = [];
    for (let offset = this.#bits.next(0); offset >= 0; offset = this.#bits.next(offset + 1)) {
      const level = offset << LEVEL_INT_SHIFT;
      const price = this.#base + offset;
      moved.push({
        price,
        head: this.#links[level]!,
        tail: this.#links[level + TAIL]!,
        size: this.#sizes[(offset << 1) + 1]!,
        side: price <= this.bestBid ? BUY : 1,
      });
      this.#links[level] = 0;
      this.#links[level + TAIL] = 0;
      this.#bits.delete(offset);
    }
    for (const [side, far] of [this.#farBids, this.#farAsks].entries()) {
      for (let i = 0; i < far.prices.length; i++) {
        moved.push({ price: far.prices[i]!, head: far.heads[i]!, tail: far.tails[i]!, size: far.sizes[i]!, side });
      }
      far.clear();
    }
    moved.sort((a, b) => a.price - b.price);
    this.#base = base;
    this.#ladderLevels = 0;
    this.#sinceRebase = 0;
    for (const { price, head, tail, size, side } of moved) {
      const offset = price - base;
      if (offset >= 0 && offset < this.#span) {
        this.#links[offset << LEVEL_INT_SHIFT] = head;
        this.#links[(offset << LEVEL_INT_SHIFT) | TAIL] = tail;
        this.#sizes[(offset << 1) + 1] = size;
        this.#bits.add(offset);
        this.#ladderLevels++;
      } else {
        const far = side === BUY ? this.#farBids : this.#farAsks;
        far.insertAt(far.prices.length, price, head, tail, size);
      }
    }
  }
}
