import assert from 'node:assert/strict';
import { RecentMap } from '../../src/domain/recent-map.ts';

describe('a map of recent entries', () => {
  it('keeps the latest entries, and never more than twice as many', () => {
    const map = new RecentMap<number, string>(10);
    for (let key = 0; key < 1_000; key++) {
      map.set(key, String(key));
      for (let recent = Math.max(0, key - 9); recent <= key; recent++) assert.equal(map.get(recent), String(recent));
      assert.equal(map.get(key - 20), undefined);
    }
  });

  it('shows the latest value of a key and nothing after its deletion', () => {
    const map = new RecentMap<string, number>(2);
    map.set('a', 1);
    map.set('b', 1);
    map.set('c', 1);
    map.set('a', 2);
    assert.equal(map.get('a'), 2);
    map.delete('a');
    assert.equal(map.get('a'), undefined);
  });
});
