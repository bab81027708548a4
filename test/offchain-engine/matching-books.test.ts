import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import fc from 'fast-check';
import { BATCH_TRADES_MAX } from '../../src/domain/batches.ts';
import { ACCOUNTS, SideBySide, type Step, steps } from './support/book-steps.ts';
import { EngineBook } from './support/engine-book.ts';
import { type BookOrder, type BookOutcome, type MatchingBook, NaiveBook } from './support/naive-book.ts';

/** Account 0 unless told otherwise. */
function order(
  id: number,
  side: 'buy' | 'sell',
  size: number,
  price: number,
  more: Partial<BookOrder> = {},
): BookOrder {
  return {
    id,
    account: 0,
    side,
    size,
    price,
    timeInForce: 'gtc',
    postOnly: false,
    selfTradePrevention: 'cancel_newest',
    ...more,
  };
}

const BOOKS: [string, () => MatchingBook][] = [
  ['the naive book', () => new NaiveBook()],
  ['the engine', () => new EngineBook(ACCOUNTS)],
];

for (const [name, create] of BOOKS) {
  describe(`matching, as ${name} does it`, () => {
    let book: MatchingBook;
    beforeEach(() => {
      book = create();
    });

    it('rests an order that meets nothing', () => {
      assert.deepEqual(book.submit(order(1, 'buy', 5, 100)), { rejected: undefined, trades: [], done: [] });
      assert.deepEqual(book.levels(), { buy: [[100, 5]], sell: [] });
    });

    it('trades at the price of the maker, best price first, then oldest', () => {
      book.submit(order(1, 'sell', 5, 102));
      book.submit(order(2, 'sell', 5, 101));
      book.submit(order(3, 'sell', 5, 101));
      const { trades, done } = book.submit(order(4, 'buy', 12, 103, { account: 1 }));
      assert.deepEqual(trades, ['4>2 5@101', '4>3 5@101', '4>1 2@102']);
      assert.deepEqual(done, ['2 filled', '3 filled', '4 filled']);
      assert.deepEqual(book.levels(), { buy: [], sell: [[102, 3]] });
    });

    it('rests the remainder when a GTC order partly crosses', () => {
      book.submit(order(1, 'sell', 5, 100));
      book.submit(order(2, 'buy', 8, 100, { account: 1 }));
      assert.deepEqual(book.levels(), { buy: [[100, 3]], sell: [] });
    });

    it('cancels the remainder of an IOC order', () => {
      book.submit(order(1, 'sell', 5, 100));
      const { done } = book.submit(order(2, 'buy', 8, 100, { account: 1, timeInForce: 'ioc' }));
      assert.deepEqual(done, ['1 filled', '2 ioc_remainder']);
      assert.deepEqual(book.levels(), { buy: [], sell: [] });
    });

    it('fills a FOK order whole or refuses it', () => {
      book.submit(order(1, 'sell', 5, 100));
      book.submit(order(2, 'sell', 5, 101));
      assert.equal(
        book.submit(order(3, 'buy', 6, 100, { account: 1, timeInForce: 'fok' })).rejected,
        'fill_or_kill_unfillable',
      );
      assert.deepEqual(book.submit(order(4, 'buy', 6, 101, { account: 1, timeInForce: 'fok' })).trades, [
        '4>1 5@100',
        '4>2 1@101',
      ]);
    });

    it('refuses a post-only order that would trade, and rests one that would not', () => {
      book.submit(order(1, 'sell', 5, 100));
      assert.equal(
        book.submit(order(2, 'buy', 1, 100, { account: 1, postOnly: true })).rejected,
        'post_only_would_cross',
      );
      assert.equal(book.submit(order(3, 'buy', 1, 99, { account: 1, postOnly: true })).rejected, undefined);
    });

    it('stops a run at the trades that one batch holds, and cancels the rest', () => {
      for (let id = 1; id <= BATCH_TRADES_MAX + 1; id++) book.submit(order(id, 'sell', 1, 100));
      const { trades, done } = book.submit(order(999, 'buy', BATCH_TRADES_MAX + 9, 100, { account: 1 }));
      assert.equal(trades.length, BATCH_TRADES_MAX);
      assert.equal(done.at(-1), '999 too_many_trades');
      assert.deepEqual(book.levels(), { buy: [], sell: [[100, 1]] });
    });

    const PREVENTIONS = [
      {
        mode: 'cancel_newest',
        done: ['1 filled', '9 self_trade_prevention'],
        trades: ['9>1 5@100'],
        sell: [[100, 14]],
        buy: [],
      },
      {
        mode: 'cancel_oldest',
        done: ['1 filled', '2 self_trade_prevention', '9 filled'],
        trades: ['9>1 5@100', '9>3 3@100'],
        sell: [[100, 4]],
        buy: [],
      },
      {
        mode: 'cancel_both',
        done: ['1 filled', '2 self_trade_prevention', '9 self_trade_prevention'],
        trades: ['9>1 5@100'],
        sell: [[100, 7]],
        buy: [],
      },
      {
        mode: 'decrement',
        done: ['1 filled', '9 self_trade_prevention'],
        trades: ['9>1 5@100'],
        sell: [[100, 11]],
        buy: [],
      },
    ] as const;
    for (const { mode, done, trades, sell, buy } of PREVENTIONS) {
      it(`prevents a self-trade after a partial fill: ${mode}`, () => {
        book.submit(order(1, 'sell', 5, 100));
        book.submit(order(2, 'sell', 7, 100, { account: 1 }));
        book.submit(order(3, 'sell', 7, 100));
        const outcome = book.submit(order(9, 'buy', 8, 100, { account: 1, selfTradePrevention: mode }));
        assert.deepEqual(outcome, { rejected: undefined, trades, done });
        assert.deepEqual(book.levels(), { buy, sell });
      });
    }

    it('keeps the place in the queue when a replace shrinks at the same price', () => {
      book.submit(order(1, 'sell', 5, 100));
      book.submit(order(2, 'sell', 5, 100));
      assert.deepEqual(book.replace(1, order(3, 'sell', 4, 100)).done, ['1 replaced']);
      assert.deepEqual(book.levels(), { buy: [], sell: [[100, 9]] });
      assert.deepEqual(book.submit(order(4, 'buy', 6, 100, { account: 1 })).trades, ['4>3 4@100', '4>2 2@100']);
    });

    it('loses the place in the queue when a replace grows or moves', () => {
      book.submit(order(1, 'sell', 5, 100));
      book.submit(order(2, 'sell', 5, 100));
      book.replace(1, order(3, 'sell', 6, 100));
      assert.deepEqual(book.submit(order(4, 'buy', 6, 100, { account: 1 })).trades, ['4>2 5@100', '4>3 1@100']);
    });

    it('leaves the replaced order alone when the new one is refused', () => {
      book.submit(order(1, 'sell', 5, 100));
      book.submit(order(2, 'buy', 5, 99, { account: 1 }));
      assert.equal(
        book.replace(2, order(3, 'buy', 5, 100, { account: 1, postOnly: true })).rejected,
        'post_only_would_cross',
      );
      assert.deepEqual(book.levels(), { buy: [[99, 5]], sell: [[100, 5]] });
    });

    it('does not count the replaced order as the other side', () => {
      book.submit(order(1, 'sell', 5, 100));
      assert.equal(book.replace(1, order(2, 'buy', 5, 100, { postOnly: true })).rejected, undefined);
      assert.deepEqual(book.levels(), { buy: [[100, 5]], sell: [] });
    });

    it('keeps the place in the queue when it is reduced, and refuses what is not less', () => {
      book.submit(order(1, 'sell', 5, 100));
      book.submit(order(2, 'sell', 5, 100));
      assert.equal(book.reduce(1, 3), undefined);
      assert.equal(book.reduce(1, 3), 'not_smaller');
      assert.equal(book.reduce(1, 0), 'not_smaller');
      assert.equal(book.reduce(7, 1), 'order_not_found');
      assert.deepEqual(book.levels(), { buy: [], sell: [[100, 8]] });
      assert.deepEqual(book.submit(order(3, 'buy', 4, 100, { account: 1 })).trades, ['3>1 3@100', '3>2 1@100']);
    });

    it('cancels once', () => {
      book.submit(order(1, 'sell', 5, 100));
      assert.equal(book.cancel(1), true);
      assert.equal(book.cancel(1), false);
      assert.deepEqual(book.levels(), { buy: [], sell: [] });
    });
  });
}

/** A fresh one every time, so that each run of the tests tries another million. */
const SEED = Number(process.env['SEED'] ?? randomInt(2 ** 31));
const OPERATIONS = 1_000_000;
const STEPS_PER_LIFE = 2_000;
/** Comparing all levels costs as much as matching; what differs once differs until the level is gone, and every life ends with it. */
const LEVELS_COMPARED_EVERY = 8;

describe(`the engine against the naive book (SEED=${SEED})`, () => {
  const play = (life: readonly Step[], books: SideBySide, comparedEvery: number): void => {
    for (const [index, step] of life.entries()) {
      books.take(step);
      if (index % comparedEvery === 0) books.compareLevels();
    }
    books.compareLevels();
  };

  it('gives the same trades, ends and levels for any sequence of orders', () => {
    fc.assert(
      fc.property(fc.array(steps, { minLength: 20, maxLength: 120 }), (life) =>
        play(life, new SideBySide(new NaiveBook(), new EngineBook(ACCOUNTS)), 1),
      ),
      { numRuns: 150, seed: SEED },
    );
  });

  it(`gives the same over ${OPERATIONS.toLocaleString('en')} operations, in which everything happens`, function () {
    this.timeout(600_000);
    const seen = new Map<string, number>();
    let operations = 0;
    const life = fc.array(steps, { minLength: STEPS_PER_LIFE, maxLength: STEPS_PER_LIFE, size: 'max' });
    fc.assert(
      fc.property(life, (drawn) => {
        operations += drawn.length;
        play(drawn, new SideBySide(new NaiveBook(), new EngineBook(ACCOUNTS), seen), LEVELS_COMPARED_EVERY);
      }),
      // Without shrinking a failure is told at once, by its seed; the smaller lives above shrink.
      { numRuns: OPERATIONS / STEPS_PER_LIFE, seed: SEED, endOnFailure: true },
    );
    assert.ok(operations >= OPERATIONS, `${operations} operations`);
    const least: Readonly<Record<string, number>> = {
      submit: 0.4,
      trade: 0.15,
      filled: 0.15,
      cancelled: 0.02,
      reduced: 0.004,
      not_smaller: 0.01,
      replaced: 0.015,
      order_not_found: 0.05,
      ioc_remainder: 0.01,
      self_trade_prevention: 0.02,
      post_only_would_cross: 0.01,
      fill_or_kill_unfillable: 0.01,
    };
    const tooSeldom = Object.entries(least).filter(([what, share]) => (seen.get(what) ?? 0) < share * operations);
    assert.deepEqual(tooSeldom, [], JSON.stringify([...seen]));
  });

  /** Flaws of the kind that a fast book has; the same property that holds above must not hold with them. */
  const FLAWS: readonly (readonly [what: string, flawed: () => MatchingBook])[] = [
    [
      'a reduced order loses its place',
      () =>
        new (class extends NaiveBook {
          override reduce(id: number, remaining: number): string | undefined {
            const refused = super.reduce(id, remaining);
            if (refused === undefined) this.toBack(id);
            return refused;
          }
        })(),
    ],
    [
      'a cancelled order is left behind when it is the tenth',
      () =>
        new (class extends NaiveBook {
          override cancel(id: number): boolean {
            return id % 10 === 0 ? this.levels().buy.length > 0 : super.cancel(id);
          }
        })(),
    ],
    [
      'fill-or-kill counts the orders of its own account',
      () =>
        new (class extends NaiveBook {
          override submit(order: BookOrder): BookOutcome {
            const mode = order.timeInForce === 'fok' ? 'cancel_oldest' : order.selfTradePrevention;
            return super.submit({ ...order, selfTradePrevention: mode });
          }
        })(),
    ],
    [
      'post-only takes what stands at its own price',
      () =>
        new (class extends NaiveBook {
          override submit(order: BookOrder): BookOutcome {
            return super.submit({ ...order, postOnly: order.postOnly && order.price % 7 > 0 });
          }
        })(),
    ],
  ];
  for (const [what, flawed] of FLAWS)
    it(`would notice that ${what}`, () => {
      const result = fc.check(
        fc.property(fc.array(steps, { minLength: 300, maxLength: 300, size: 'max' }), (life) =>
          play(life, new SideBySide(flawed(), new EngineBook(ACCOUNTS)), LEVELS_COMPARED_EVERY),
        ),
        { numRuns: 100, seed: SEED, endOnFailure: true },
      );
      assert.equal(result.failed, true);
    });
});
