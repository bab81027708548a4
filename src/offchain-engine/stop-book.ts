/** Stop orders of one market that wait for their trigger, per direction sorted by trigger price, then arrival. */
import * as orders from './book/order-pool.ts';
import { type OrderPool, stopDirectionOf } from './book/order-pool.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { FLAGS, INT_SHIFT, LIFE_FLOAT_SHIFT, PLACED_AT, STOP_AT_OR_ABOVE, TERM_INT_SHIFT, TRIGGER_PRICE } = orders;

/** Most stop orders that wait in one market. */
export const STOPS_PER_MARKET_MAX = 10_000;

export class StopBook {
  /** Ids by trigger price ascending, then arrival. */
  readonly above: number[] = [];
  readonly below: number[] = [];
  readonly #pool: OrderPool;

  constructor(pool: OrderPool) {
    this.#pool = pool;
  }

  get count(): number {
    return this.above.length + this.below.length;
  }

  insert(id: number): void {
    const list = this.#listOf(id);
    list.splice(this.#position(list, id), 0, id);
  }

  remove(id: number): void {
    const list = this.#listOf(id);
    list.splice(this.#position(list, id), 1);
  }

  /** Takes out the ids that trades between `low` and `high` trigger, in order of arrival. */
  takeTriggered(low: number, high: number): number[] {
    const { termInts, lifeFloats } = this.#pool;
    const triggerOf = (id: number): number => termInts[(id << TERM_INT_SHIFT) | TRIGGER_PRICE]!;
    let reached = 0;
    while (reached < this.above.length && triggerOf(this.above[reached]!) <= high) reached++;
    let kept = this.below.length;
    while (kept > 0 && triggerOf(this.below[kept - 1]!) >= low) kept--;
    if (reached === 0 && kept === this.below.length) return [];
    const ids = [...this.above.splice(0, reached), ...this.below.splice(kept)];
    return ids.sort(
      (a, b) => lifeFloats[(a << LIFE_FLOAT_SHIFT) | PLACED_AT]! - lifeFloats[(b << LIFE_FLOAT_SHIFT) | PLACED_AT]!,
    );
  }

  #listOf(id: number): number[] {
    const flags = this.#pool.ints[(id << INT_SHIFT) | FLAGS]!;
    return stopDirectionOf(flags) === STOP_AT_OR_ABOVE ? this.above : this.below;
  }

  #position(list: readonly number[], id: number): number {
    const { termInts, lifeFloats } = this.#pool;
    const price = termInts[(id << TERM_INT_SHIFT) | TRIGGER_PRICE]!;
    const arrival = lifeFloats[(id << LIFE_FLOAT_SHIFT) | PLACED_AT]!;
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = list[middle]!;
      const otherPrice = termInts[(other << TERM_INT_SHIFT) | TRIGGER_PRICE]!;
      if (
        otherPrice < price ||
        (otherPrice === price && lifeFloats[(other << LIFE_FLOAT_SHIFT) | PLACED_AT]! < arrival)
      )
        low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
