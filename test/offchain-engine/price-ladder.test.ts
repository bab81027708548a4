import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BitLadder } from '../../src/offchain-engine/book/bit-ladder.ts';
import { Book } from '../../src/offchain-engine/book/book.ts';
import {
  BUY,
  FLAGS,
  FLOAT_SHIFT,
  INT_SHIFT,
  NEXT,
  OrderPool,
  PRICE,
  REMAINING,
} from '../../src/offchain-engine/book/order-pool.ts';

describe('the bitmap of levels', () => {
  it('finds the same neighbours as a sorted list', () => {
    const size = 100_000;
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(size - 1), { maxLength: 60 }),
        fc.array(fc.nat(size - 1), { maxLength: 40 }),
        fc.array(fc.nat(59), { maxLength: 20 }),
        (values, probes, removed) => {
          const ladder = new BitLadder(size);
          for (const value of values) ladder.add(value);
          const gone = new Set(removed.map((index) => values[index]));
          for (const value of gone) if (value !== undefined) ladder.delete(value);
          const members = values.filter((value) => !gone.has(value)).sort((a, b) => a - b);
          for (const probe of [...probes, ...values, 0, size - 1]) {
            assert.equal(ladder.next(probe), members.find((member) => member >= probe) ?? -1);
            assert.equal(ladder.previous(probe), members.findLast((member) => member <= probe) ?? -1);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('the price ladder', () => {
  type Entry = { id: number; side: number; price: number; left: number };

  /** Bids and asks that never cross, around a middle that wanders. */
  class Both {
    readonly pool = new OrderPool(16);
    readonly book: Book;
    /** In time priority. */
    readonly entries: Entry[] = [];

    constructor(span: number) {
      this.book = new Book(this.pool, span);
    }

    insert(side: number, price: number, left: number): void {
      this.pool.begin();
      const id = this.pool.allocate();
      this.pool.ints[(id << INT_SHIFT) + PRICE] = price;
      this.pool.ints[(id << INT_SHIFT) + FLAGS] = side;
      this.pool.floats[(id << FLOAT_SHIFT) + REMAINING] = left;
      this.book.insert(id);
      this.entries.push({ id, side, price, left });
    }

    remove(index: number): void {
      const [entry] = this.entries.splice(index, 1);
      this.book.remove(entry!.id);
      this.pool.release(entry!.id);
    }

    levels(side: number): [number, number, number[]][] {
      const { book, pool } = this;
      const levels: [number, number, number[]][] = [];
      for (let price = side === BUY ? book.bestBid : book.bestAsk; price !== 0; price = book.nextPrice(side, price)) {
        const queue: number[] = [];
        for (let id = book.headAt(side, price); id !== 0; id = pool.ints[(id << INT_SHIFT) + NEXT]!) queue.push(id);
        levels.push([price, book.sizeAt(side, price), queue]);
      }
      return levels;
    }

    expected(side: number): [number, number, number[]][] {
      const prices = [...new Set(this.entries.filter((entry) => entry.side === side).map(({ price }) => price))];
      prices.sort((a, b) => (side === BUY ? b - a : a - b));
      return prices.map((price) => {
        const queue = this.entries.filter((entry) => entry.side === side && entry.price === price);
        return [price, queue.reduce((sum, { left }) => sum + left, 0), queue.map(({ id }) => id)];
      });
    }
  }

  const step = fc.record({
    what: fc.constantFrom(
      'insert' as const,
      'insert' as const,
      'insert' as const,
      'remove' as const,
      'reduce' as const,
      'shrink' as const,
    ),
    side: fc.nat(1),
    move: fc.integer({ min: -40, max: 40 }),
    distance: fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: 1, max: 30 }) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 5_000 }) },
    ),
    left: fc.integer({ min: 2, max: 100 }),
    pick: fc.nat(1_000),
  });

  it('holds the same levels and queues as a plain list, while prices wander through and beyond its span', () => {
    fc.assert(
      fc.property(fc.constantFrom(32, 64, 1_024), fc.array(step, { minLength: 50, maxLength: 200 }), (span, steps) => {
        const both = new Both(span);
        let middle = 10_000;
        for (const { what, side, move, distance, left, pick } of steps) {
          middle += move;
          const { entries, book } = both;
          if (what === 'insert') {
            const bound = side === BUY ? book.bestAsk : book.bestBid;
            const wanted = side === BUY ? middle - distance : middle + distance;
            const price =
              bound === 0 ? wanted : side === BUY ? Math.min(wanted, bound - 1) : Math.max(wanted, bound + 1);
            if (price >= 1) both.insert(side, price, left);
          } else if (entries.length > 0) {
            const entry = entries[pick % entries.length]!;
            if (what === 'remove') both.remove(pick % entries.length);
            else if (entry.left > 1) {
              book.reduce(entry.id, 1);
              entry.left -= 1;
            }
          }
          for (const which of [0, 1]) assert.deepEqual(both.levels(which), both.expected(which));
          assert.equal(book.head(0), both.expected(0)[0]?.[2][0] ?? 0);
          assert.equal(book.head(1), both.expected(1)[0]?.[2][0] ?? 0);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('keeps prices at both ends of the range', () => {
    const both = new Both(1_024);
    both.insert(0, 1, 5);
    both.insert(1, 2 ** 31 - 1, 7);
    both.insert(1, 2 ** 31 - 2, 7);
    assert.deepEqual([both.book.bestBid, both.book.bestAsk], [1, 2 ** 31 - 2]);
    both.remove(2);
    assert.deepEqual(both.levels(1), both.expected(1));
  });
});
