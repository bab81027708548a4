import assert from 'node:assert/strict';
import { measureAll, regressions } from '../../bench/gas.ts';

describe('gas', () => {
  it('costs no more than the snapshot, in scenarios that take a few seconds', async () => {
    const results = await measureAll('single,sweep50,lane20,deposit,exit');
    assert.equal(Object.keys(results).length, 5);
    assert.deepEqual(await regressions(results), []);
  });
});
