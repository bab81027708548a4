/** Price levels of one side of a book, sorted best first in two parallel arrays. */
import type { Lots, PriceTicks } from '../domain/units.ts';
import type { Level } from './port.ts';

export class BookSide {
  private readonly prices: PriceTicks[] = [];
  private readonly sizes: Lots[] = [];
  /** 1 when lower prices are better (asks), −1 when higher ones are (bids). */
  private readonly direction: 1 | -1;

  constructor(side: 'bids' | 'asks', levels: readonly Level[] = []) {
    this.direction = side === 'asks' ? 1 : -1;
    for (const [price, size] of levels) this.set(price, size);
  }

  /** Size 0 removes the level; removing one that is not there changes nothing. */
  set(price: PriceTicks, size: Lots): void {
    const index = this.indexOf(price);
    const found = this.prices[index] === price;
    if (size === 0) {
      if (!found) return;
      this.prices.splice(index, 1);
      this.sizes.splice(index, 1);
    } else if (found) {
      this.sizes[index] = size;
    } else {
      this.prices.splice(index, 0, price);
      this.sizes.splice(index, 0, size);
    }
  }

  /** The best `count` levels. */
  top(count: number): readonly Level[] {
    const levels: Level[] = [];
    for (let i = 0; i < count; i++) {
      const price = this.prices[i];
      const size = this.sizes[i];
      if (price === undefined || size === undefined) break;
      levels.push([price, size]);
    }
    return levels;
  }

  /** Where the price stands, or would stand; best first. */
  private indexOf(price: PriceTicks): number {
    let low = 0;
    let high = this.prices.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const there = this.prices[middle];
      if (there !== undefined && (there - price) * this.direction < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
