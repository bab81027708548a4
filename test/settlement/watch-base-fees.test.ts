import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRpcPool } from '../../src/chain/rpc-pool.ts';
import { startBaseFeeWatch } from '../../src/settlement/watch-base-fees.ts';
import { useLocalNode } from '../support/local-node.ts';

describe('the watch on base fees', () => {
  const { node } = useLocalNode();
  const warnings: string[] = [];
  const onWarning = (message: string): void => {
    warnings.push(message);
  };
  const known = async (watch: { current: () => unknown }): Promise<void> => {
    for (let tries = 0; watch.current() === undefined && tries < 500; tries++) await sleep(10);
  };

  it("knows the next block's base fee and those before it, as a node tells them", async () => {
    const rpc = createRpcPool([node().rpcUrl]);
    for (let block = 0; block < 3; block++) await rpc.run((endpoint) => endpoint.request('anvil_mine', []));
    const watch = startBaseFeeWatch({ rpc, onWarning });
    await known(watch);
    const prices = watch.current();
    await watch.stop();
    assert.ok(prices !== undefined && prices.recent.length >= 3, 'three blocks at least');
    // Blocks without transactions: every base fee is below the one before.
    assert.ok(prices.recent.every((fee, index) => index === 0 || fee <= (prices.recent[index - 1] as bigint)));
    assert.ok(prices.now <= (prices.recent.at(-1) as bigint));
    assert.deepEqual(warnings, []);
  });

  it('forgets fees that have grown old, and warns once while no node answers', async () => {
    const rpc = createRpcPool([node().rpcUrl]);
    const failing = { ...rpc };
    const watch = startBaseFeeWatch({
      rpc: { ...rpc, run: (work) => failing.run(work) },
      everyMs: 10,
      staleAfterMs: 200,
      onWarning,
    });
    await known(watch);
    assert.notEqual(watch.current(), undefined);
    failing.run = createRpcPool(['http://127.0.0.1:1'], { backoffMaxMs: 10 }).run;
    await sleep(600);
    assert.equal(watch.current(), undefined);
    assert.equal(warnings.length, 1);
    await watch.stop();
  });
});
