/** Random steps for two books side by side, and what keeps them comparable. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { BookLevels, BookOrder, BookOutcome, MatchingBook } from './naive-book.ts';

export const ACCOUNTS = 4;

export type Step =
  | { readonly kind: 'submit'; readonly order: BookOrder }
  | { readonly kind: 'cancel'; readonly pick: number }
  | { readonly kind: 'reduce'; readonly pick: number; readonly remaining: number }
  | { readonly kind: 'replace'; readonly pick: number; readonly order: BookOrder };

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
const pick = fc.nat(100_000);
/** Older orders are mostly gone; half of the picks are among so many of the newest. */
const NEWEST = 24;

export const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: placeable.map((order): Step => ({ kind: 'submit', order })) },
  { weight: 4, arbitrary: pick.map((drawn): Step => ({ kind: 'cancel', pick: drawn })) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(pick, fc.integer({ min: 0, max: 12 }))
      .map(([drawn, remaining]): Step => ({ kind: 'reduce', pick: drawn, remaining })),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(pick, placeable).map(([drawn, order]): Step => ({ kind: 'replace', pick: drawn, order })),
  },
);

/** Takes every step in both books and compares what they say to it. */
export class SideBySide {
  readonly #naive: MatchingBook;
  readonly #engine: MatchingBook;
  /** How often each kind of outcome was seen: so that a run can be shown to have tried everything. */
  readonly #seen: Map<string, number>;
  readonly #accounts = new Map<number, number>();
  #id = 0;

  constructor(naive: MatchingBook, engine: MatchingBook, seen = new Map<string, number>()) {
    this.#naive = naive;
    this.#engine = engine;
    this.#seen = seen;
  }

  /** @throws AssertionError when the books do not say the same */
  take(step: Step): void {
    this.#note(step.kind);
    switch (step.kind) {
      case 'cancel': {
        const id = this.#pick(step.pick);
        const cancelled = this.#engine.cancel(id);
        assert.equal(cancelled, this.#naive.cancel(id), `cancel ${id}`);
        if (cancelled) this.#note('cancelled');
        return;
      }
      case 'reduce': {
        const id = this.#pick(step.pick);
        const refused = this.#engine.reduce(id, step.remaining);
        assert.equal(refused, this.#naive.reduce(id, step.remaining), `reduce ${id} to ${step.remaining}`);
        this.#note(refused ?? 'reduced');
        return;
      }
      case 'submit': {
        const order = { ...step.order, id: ++this.#id };
        this.#accounts.set(order.id, order.account);
        this.#compare(this.#engine.submit(order), this.#naive.submit(order));
        return;
      }
      case 'replace': {
        const replaced = this.#pick(step.pick);
        const account = this.#accounts.get(replaced) ?? step.order.account;
        const order = { ...step.order, id: ++this.#id, account };
        this.#accounts.set(order.id, account);
        this.#compare(this.#engine.replace(replaced, order), this.#naive.replace(replaced, order));
      }
    }
  }

  /** @throws AssertionError when a price has another size, or another place, in one of them */
  compareLevels(): void {
    const [engine, naive] = [this.#engine.levels(), this.#naive.levels()];
    if (!isSameLevels(engine, naive)) assert.deepEqual(engine, naive);
  }

  /** One of the orders so far, live or not; an id that was never given while there are none. */
  #pick(drawn: number): number {
    const ids = Math.max(1, this.#id);
    const among = drawn % 2 === 0 ? Math.min(ids, NEWEST) : ids;
    return ids - (Math.floor(drawn / 2) % among);
  }

  #compare(engine: BookOutcome, naive: BookOutcome): void {
    // The slow comparison only where it has something to say.
    if (!isSameOutcome(engine, naive)) assert.deepEqual(engine, naive);
    if (engine.rejected !== undefined) this.#note(engine.rejected);
    if (engine.trades.length > 0) this.#note('trade', engine.trades.length);
    for (const done of engine.done) this.#note(done.slice(done.indexOf(' ') + 1));
  }

  #note(what: string, times = 1): void {
    this.#seen.set(what, (this.#seen.get(what) ?? 0) + times);
  }
}

function isSameOutcome(left: BookOutcome, right: BookOutcome): boolean {
  return left.rejected === right.rejected && isSame(left.trades, right.trades) && isSame(left.done, right.done);
}

function isSame(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((text, index) => text === right[index]);
}

function isSameLevels(left: BookLevels, right: BookLevels): boolean {
  return (['buy', 'sell'] as const).every(
    (side) =>
      left[side].length === right[side].length &&
      left[side].every(([price, size], index) => {
        const other = right[side][index];
        return other !== undefined && other[0] === price && other[1] === size;
      }),
  );
}
