import assert from 'node:assert/strict';
import { proofContracts, prove, REFUTED } from '../../scripts/prove.ts';

describe('the arithmetic that the vault does not check at run time', function () {
  this.timeout(300_000);

  it('is proved by the SMTChecker for every input: notionals, fees, fields, lanes, places, books, stamps', async () => {
    const contracts = await proofContracts();
    assert.deepEqual(contracts, ['Arithmetic', 'Books', 'Stamps']);
    for (const contract of contracts) {
      const { proved, open } = await prove(contract);
      assert.deepEqual(open, []);
      assert.ok(proved >= 13, `${contract}: ${proved} checks`);
    }
  });

  it('and a claim that is false by a little is refuted', async () => {
    const { open } = await prove(REFUTED);
    assert.equal(open.length, 1);
    assert.match(open[0] ?? '', /Wrong\.sol:7: BMC: Assertion violation happens here/);
  });
});
