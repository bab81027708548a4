import assert from 'node:assert/strict';
import { createUser, PLENTY, VaultLab } from './support/vault-lab.ts';

describe('settlement', () => {
  const alice = createUser('alice');
  const bob = createUser('bob');
  let lab: VaultLab;

  before(async () => {
    lab = await VaultLab.create();
    for (const user of [alice, bob]) {
      for (const asset of [0, 1, 2, 3, 6]) await lab.fund(user, asset, PLENTY);
    }
  });

  it('moves base, quote and both fees at the price of the maker', async () => {
    const maker = await lab.order(bob, { side: 'sell', priceTicks: 100 });
    const taker = await lab.order(alice, { side: 'buy', priceTicks: 120 });
    const { skips, gasUsed } = await lab.settle({ fills: [{ taker, maker, size: 4 }] });
    assert.deepEqual(skips, []);
    console.log(gasUsed);
    // 4 lots × 100 ticks × 10 quanta; fees of 1,000 and 500 ppm, rounded down.
    assert.equal(await lab.balance(alice, 0), PLENTY + 4_000_000);
    assert.equal(await lab.balance(alice, 1), PLENTY - 4_000 - 4);
    assert.equal(await lab.balance(bob, 0), PLENTY - 4_000_000);
    assert.equal(await lab.balance(bob, 1), PLENTY + 4_000 - 2);
    const state = await lab.inspect([alice, bob]);
    assert.equal(state.assets[1].fees, 6n);
  });
});
