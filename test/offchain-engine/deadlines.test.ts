/** The deadline wheel against a plain map, with ids that are given out again and entries that are dropped late. */
import assert from 'node:assert/strict';
import { DUE, LIFE_FLOAT_SHIFT, OrderPool } from '../../src/offchain-engine/book/order-pool.ts';
import { Deadlines } from '../../src/offchain-engine/deadlines.ts';
import { seededRandom } from '../support/random.ts';

const START_SECONDS = 1_800_000_000;
const DAY_SECONDS = 86_400;
/** So many in a bucket that entries are dropped late. */
const MANY = 20_000;

/** A wheel with orders of nothing but a deadline. */
class Waiting {
  readonly #pool = new OrderPool(1 << 4);
  readonly deadlines = new Deadlines(this.#pool);

  /** How often the wheel takes up the records of orders while `work` is done: once for every entry that it looks at. */
  looksDuring(work: () => void): number {
    const { lifeInts } = this.#pool;
    let looks = 0;
    Object.defineProperty(this.#pool, 'lifeInts', {
      configurable: true,
      get: () => {
        looks++;
        return lifeInts;
      },
    });
    work();
    Object.defineProperty(this.#pool, 'lifeInts', { value: lifeInts, writable: true, configurable: true });
    return looks;
  }

  add(due: number): number {
    this.#pool.begin();
    const id = this.#pool.allocate();
    this.#pool.lifeFloats[(id << LIFE_FLOAT_SHIFT) | DUE] = due;
    this.deadlines.insert(id);
    return id;
  }

  remove(id: number): void {
    this.deadlines.remove(id);
    this.#pool.release(id);
  }
}

describe('the deadline wheel', () => {
  for (const [span, seconds] of Object.entries({ 'a minute': 60, weeks: 40 * DAY_SECONDS }))
    it(`knows what is due and what is first, with deadlines up to ${span} away`, () => {
      const waiting = new Waiting();
      const { deadlines } = waiting;
      const due = new Map<number, number>();
      const add = (at: number): void => {
        const id = waiting.add(at);
        due.set(id, at);
        highest = Math.max(highest, id);
      };
      const remove = (id: number): void => {
        due.delete(id);
        waiting.remove(id);
      };
      const random = seededRandom(5);
      let nowSeconds = START_SECONDS;
      let fired = 0;
      let highest = 0;
      for (let step = 0; step < 80_000; step++) {
        // It grows to thousands and shrinks to nothing by turns, so that at times most entries of a bucket are old ones.
        const growing = step % 40_000 < 20_000;
        if (random(100) < (growing ? 80 : 10)) add(nowSeconds + 1 + random(seconds));
        else {
          const id = random(highest + 1);
          if (due.has(id)) remove(id);
        }
        if (step % 500 > 0) continue;
        assert.equal(deadlines.first(), Math.min(Number.POSITIVE_INFINITY, ...due.values()), `step ${step}`);
        if (step % 1_000 > 0) continue;
        nowSeconds += random(seconds / 20);
        const expected = [...due].filter(([, at]) => at <= nowSeconds).map(([id]) => id);
        if (expected.length === 0) continue;
        assert.ok(deadlines.mayBeDue(nowSeconds * 1_000));
        const found = deadlines.due(nowSeconds);
        assert.deepEqual(new Set(found), new Set(expected));
        assert.equal(found.length, expected.length);
        fired += found.length;
        for (const id of found) remove(id);
      }
      assert.ok(fired > 100, `${fired} fell due`);
    });

  it('does not take an id for the order that had it before, at the same place of another bucket', () => {
    const waiting = new Waiting();
    const gone = waiting.add(START_SECONDS + 1_000);
    const later = Array.from({ length: MANY }, () => waiting.add(START_SECONDS + 1_000));
    waiting.remove(gone);
    const sooner = waiting.add(START_SECONDS);
    assert.equal(sooner, gone);
    assert.deepEqual(waiting.deadlines.due(START_SECONDS + 1_000), [sooner, ...later]);
  });

  it('looks at few old entries when all but a few orders have left, and at a bounded number with each that leaves', () => {
    const waiting = new Waiting();
    const [first = 0, second = 0, ...rest] = Array.from({ length: 3 * MANY }, () => waiting.add(START_SECONDS));
    const mostLooks = Math.max(...rest.map((id) => waiting.looksDuring(() => waiting.remove(id))));
    assert.ok(mostLooks < 300, `${mostLooks} looks`);
    const looks = waiting.looksDuring(() => assert.equal(waiting.deadlines.first(), START_SECONDS));
    assert.ok(looks < 50, `${looks} looks`);
    const found = waiting.deadlines.due(START_SECONDS);
    assert.deepEqual(new Set(found), new Set([first, second]));
    const looksForAll = waiting.looksDuring(() => waiting.deadlines.due(START_SECONDS));
    assert.ok(looksForAll < 50, `${looksForAll} looks`);
  });

  for (const staying of [1, MANY])
    it(`does not remember those that have left while ${staying} stay`, () => {
      const waiting = new Waiting();
      const stay = Array.from({ length: staying }, () => waiting.add(START_SECONDS));
      const comeAndGo = (times: number): void => {
        for (let time = 0; time < times; time++) waiting.remove(waiting.add(START_SECONDS));
      };
      comeAndGo(1_000);
      const before = process.memoryUsage().arrayBuffers;
      comeAndGo(500_000);
      assert.ok(process.memoryUsage().arrayBuffers - before < 300_000);
      assert.deepEqual(new Set(waiting.deadlines.due(START_SECONDS)), new Set(stay));
    });
});
