import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BATCH_TRADES_MAX } from '../../src/domain/batches.ts';
import { EngineBook } from './support/engine-book.ts';
import { type BookOrder, type MatchingBook, NaiveBook } from './support/naive-book.ts';

const ACCOUNTS = 4;

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

    it('cancels once', () => {
      book.submit(order(1, 'sell', 5, 100));
      assert.equal(book.cancel(1), true);
      assert.equal(book.cancel(1), false);
      assert.deepEqual(book.levels(), { buy: [], sell: [] });
    });
  });
}

describe('the engine against the naive book', () => {
  type Step =
    | { kind: 'submit'; order: BookOrder }
    | { kind: 'cancel'; pick: number }
    | { kind: 'replace'; pick: number; order: BookOrder };
  const terms = fc.record({
    account: fc.nat(ACCOUNTS - 1),
    side: fc.constantFrom('buy' as const, 'sell' as const),
    size: fc.integer({ min: 1, max: 12 }),
    price: fc.oneof(
      { weight: 8, arbitrary: fc.integer({ min: 95, max: 105 }) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 1_000_000 }) },
    ),
    timeInForce: fc.constantFrom(
      'gtc' as const,
      'gtc' as const,
      'gtc' as const,
      'ioc' as const,
      'fok' as const,
      'gtd' as const,
    ),
    postOnly: fc.integer({ min: 0, max: 7 }).map((draw) => draw === 0),
    selfTradePrevention: fc.constantFrom(
      'cancel_newest' as const,
      'cancel_oldest' as const,
      'cancel_both' as const,
      'decrement' as const,
    ),
  });
  const placeable = terms.map((drawn): BookOrder => {
    const rests = drawn.timeInForce === 'gtc' || drawn.timeInForce === 'gtd';
    return { ...drawn, id: 0, postOnly: drawn.postOnly && rests };
  });
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 6, arbitrary: placeable.map((drawn): Step => ({ kind: 'submit', order: drawn })) },
    { weight: 2, arbitrary: fc.nat(1000).map((pick): Step => ({ kind: 'cancel', pick })) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.nat(1000), placeable)
        .map(([pick, drawn]): Step => ({ kind: 'replace', pick, order: drawn })),
    },
  );

  it('gives the same trades, ends and levels for any sequence of orders', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 120 }), (steps) => {
        const naive = new NaiveBook();
        const engine = new EngineBook(ACCOUNTS);
        const accounts = new Map<number, number>();
        let id = 0;
        for (const { kind, ...rest } of steps) {
          if (kind === 'cancel') {
            const pick = 'pick' in rest ? (rest.pick % Math.max(1, id)) + 1 : 1;
            assert.equal(engine.cancel(pick), naive.cancel(pick));
          } else if ('order' in rest) {
            const replaced = 'pick' in rest ? (rest.pick % Math.max(1, id)) + 1 : undefined;
            const account =
              replaced === undefined ? rest.order.account : (accounts.get(replaced) ?? rest.order.account);
            const next: BookOrder = { ...rest.order, id: ++id, account };
            accounts.set(id, account);
            if (replaced === undefined || replaced === id) assert.deepEqual(engine.submit(next), naive.submit(next));
            else assert.deepEqual(engine.replace(replaced, next), naive.replace(replaced, next));
          }
          assert.deepEqual(engine.levels(), naive.levels());
        }
      }),
      { numRuns: 150 },
    );
  });
});
