/** Price levels outside the book's ladder, one side, sorted by price: correct for any price, meant for few. */
export class FarLevels {
  /** Ascending. */
  readonly prices: number[] = [];
  readonly heads: number[] = [];
  readonly tails: number[] = [];
  readonly sizes: number[] = [];

  /** Index of `price`, or the complement of the index where it belongs. */
  find(price: number): number {
    let low = 0;
    let high = this.prices.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.prices[middle]! < price) low = middle + 1;
      else high = middle;
    }
    return this.prices[low] === price ? low : ~low;
  }

  insertAt(index: number, price: number, head: number, tail: number, size: number): void {
    this.prices.splice(index, 0, price);
    this.heads.splice(index, 0, head);
    this.tails.splice(index, 0, tail);
    this.sizes.splice(index, 0, size);
  }

  removeAt(index: number): void {
    this.prices.splice(index, 1);
    this.heads.splice(index, 1);
    this.tails.splice(index, 1);
    this.sizes.splice(index, 1);
  }

  clear(): void {
    this.prices.length = 0;
    this.heads.length = 0;
    this.tails.length = 0;
    this.sizes.length = 0;
  }
}
