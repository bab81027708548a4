import assert from 'node:assert/strict';
import type { JournalSequence, TimestampMs } from '../../src/domain/units.ts';
import { LIVE_COMMANDS_MAX, type LiveRow, LiveRows } from '../../src/storage/projections/live-rows.ts';

describe('rows offered by the engine of the same process', () => {
  let live: LiveRows;

  beforeEach(() => {
    live = new LiveRows();
    live.follow(true);
  });

  function row(first: number, count = 1): LiveRow {
    const place = (index: number) => ({
      sequence: (first + index) as JournalSequence,
      timestampMs: 1_700_000_000_000 as TimestampMs,
    });
    const indices = [...Array(count).keys()];
    return {
      commands: indices.map((index) => ({ ...place(index), command: { kind: 'tick' } })),
      applied: indices.map((index) => ({ ...place(index), events: [] })),
    };
  }

  /** Sequences of the first commands. */
  function firsts(rows: readonly LiveRow[] | undefined): number[] | undefined {
    return rows?.map(({ commands }) => commands[0]?.sequence as number);
  }

  it('are given once, from the row that follows on', () => {
    for (const first of [1, 4, 7]) live.offer(row(first, 3));
    assert.deepEqual(firsts(live.takeAfter(3, 100)), [4, 7]);
    assert.deepEqual(firsts(live.takeAfter(9, 100)), []);
    assert.equal(live.takeAfter(3, 100), undefined);
  });

  it('are given in runs of about the commands that were asked for', () => {
    for (const first of [1, 4, 7]) live.offer(row(first, 3));
    assert.deepEqual(firsts(live.takeAfter(0, 4)), [1, 4]);
    assert.deepEqual(firsts(live.takeAfter(6, 4)), [7]);
  });

  it('are not known at a place that was never offered', () => {
    assert.equal(live.takeAfter(0, 100), undefined);
    live.offer(row(10));
    assert.equal(live.takeAfter(5, 100), undefined);
    assert.equal(live.takeAfter(11, 100), undefined);
  });

  it('start anew after a gap', () => {
    live.offer(row(1));
    live.offer(row(5));
    assert.equal(live.takeAfter(0, 100), undefined);
    assert.deepEqual(firsts(live.takeAfter(4, 100)), [5]);
  });

  it('are kept only while somebody follows', () => {
    live.follow(false);
    live.offer(row(1));
    live.follow(true);
    live.offer(row(2));
    assert.equal(live.takeAfter(0, 100), undefined);
    assert.deepEqual(firsts(live.takeAfter(1, 100)), [2]);
  });

  it('are forgotten, the oldest first, beyond the bound', () => {
    live.offer(row(1, 10));
    live.offer(row(11, LIVE_COMMANDS_MAX));
    assert.equal(live.takeAfter(0, 100), undefined);
    assert.deepEqual(firsts(live.takeAfter(10, 100)), [11]);
  });
});
