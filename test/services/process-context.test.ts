import assert from 'node:assert/strict';
import { Registry } from 'prom-client';
import { deployLocal } from '../../scripts/deploy.ts';
import { rpcFailure } from '../../src/chain/rpc-pool.ts';
import type { Address } from '../../src/domain/units.ts';
import { observeIndexer, observeReconciliation } from '../../src/services/chain-metrics.ts';
import { readSettings } from '../../src/services/config.ts';
import { LOCAL_ACCOUNTS, localKey } from '../../src/services/local-keys.ts';
import { createLogger } from '../../src/services/logger.ts';
import { createProcessContext } from '../../src/services/process-context.ts';
import { useLocalNode } from '../support/local-node.ts';

describe('what a process is made of', () => {
  const right = useLocalNode();
  const other = useLocalNode();

  it('asks no node of another chain, and says which one that is', async () => {
    const { rpcUrl } = right.node();
    const { vault } = await deployLocal({ rpcUrl, deployerKey: localKey(LOCAL_ACCOUNTS.deployer) });
    const otherUrl = other.node().rpcUrl;
    const context = await createProcessContext({
      settings: readSettings({}),
      logger: createLogger('fatal', 'test'),
      databaseUrl: 'postgres://127.0.0.1:1/none',
      rpcUrls: [rpcUrl, otherUrl],
      vault: vault.toLowerCase() as Address,
      finality: { kind: 'confirmations', count: 2 },
      publicRpcUrl: undefined,
    });
    assert.equal(await context.rpc.run(async (endpoint) => endpoint.name), new URL(rpcUrl).host);
    const asked: string[] = [];
    const work = context.rpc.run(async (endpoint) => {
      asked.push(endpoint.name);
      throw rpcFailure('transport', 'nothing came back');
    });
    await assert.rejects(work, (error: Error & { code: string }) => {
      assert.equal(error.code, 'CHAIN_MISMATCH');
      assert.ok(error.message.startsWith(new URL(otherUrl).host), error.message);
      return true;
    });
    assert.deepEqual(asked, [new URL(rpcUrl).host]);
    await context.close();
  });
});

describe('metrics of those who look at the chain', () => {
  it('tell how far they are, which node is in trouble, and whether the books agree', async () => {
    const registry = new Registry();
    observeIndexer(registry, {
      status: () => ({
        state: 'following',
        head: 12,
        tip: { number: 11, hash: '0x11' },
        final: { number: 9, hash: '0x09' },
        lastEventSequence: 7 as never,
        reorgs: 3,
        deepestReorg: 2,
        silentMs: 1_500,
        lastError: undefined,
        nodes: [
          { name: 'a', failures: 0, lastError: undefined, frozen: false },
          { name: 'b', failures: 4, lastError: 'away', frozen: true },
        ],
      }),
    });
    observeReconciliation(registry, { lastReport: () => undefined });
    const text = await registry.metrics();
    for (const line of [
      'tallystick_indexer_following 1',
      'tallystick_indexer_head_block 12',
      'tallystick_indexer_indexed_block 11',
      'tallystick_indexer_final_block 9',
      'tallystick_indexer_last_event_sequence 7',
      'tallystick_indexer_reorganisations_total 3',
      'tallystick_indexer_deepest_reorganisation_blocks 2',
      'tallystick_indexer_silent_seconds 1.5',
      'tallystick_indexer_node_failures{node="b"} 4',
      'tallystick_indexer_node_frozen{node="a"} 0',
      'tallystick_indexer_node_frozen{node="b"} 1',
      'tallystick_reconciliation_drift 0',
    ])
      assert.ok(text.split('\n').includes(line), `${line} is missing in\n${text}`);
  });
});
