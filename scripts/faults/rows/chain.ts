import { strict as assert } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRpcEndpoint } from '../../../src/chain/rpc-pool.ts';
import type { Hex } from '../../../src/domain/units.ts';
import { startLocalNode } from '../../../src/services/local-node.ts';
import { closeIncident, readOpenIncidents } from '../../../src/storage/incidents.ts';
import type { Fault } from '../fault.ts';
import { until, type World } from '../world.ts';

export const CHAIN_FAULTS: readonly Fault[] = [
  chainFault('reorg 1 deep, empty', (world) => reorganise(world, 1)),
  chainFault('reorg 3 deep, empty', (world) => reorganise(world, 3)),
  {
    ...chainFault('reorg 3 deep, its transactions back in the pool', async (world) => {
      const transactions = await ourTransactionsSince(world, (await headOf(world)) - 2);
      await reorganise(world, 3);
      // What a real node does, and the local one does not. Those that a block took again meanwhile are refused.
      for (const raw of transactions) await world.rpc.request('eth_sendRawTransaction', [raw]).catch(() => undefined);
    }),
    // It asks the database for them.
    parts: ['node', 'postgres'],
  },
  chainFault('reorg with a conflicting transaction of the same nonce', async (world) => {
    const before = (await headOf(world)) - 2;
    const used = await world.rpc.request('eth_getTransactionCount', [
      world.submitter.address,
      `0x${before.toString(16)}`,
    ]);
    await reorganise(world, 3, [await signForeign(world, Number(used))]);
  }),
  {
    ...chainFault('reorg while the indexer is down', async (world) => {
      await world.services.indexer.down();
      await reorganise(world, 3);
      await sleep(500);
      world.services.indexer.up();
    }),
    parts: ['node', 'indexer'],
  },
  chainFault('two reorgs in a row', async (world) => {
    await reorganise(world, 2);
    await reorganise(world, 3);
    return 2;
  }),
  chainFault('a shorter chain', (world) => world.rpc.request('anvil_rollback', [3])),
  {
    name: 'a new genesis under the same chain id',
    group: 'chain',
    parts: ['node', 'rpc', 'settlement', 'indexer', 'engine'],
    alone: true,
    inject: newGenesis,
  },
];

function chainFault(name: string, work: (world: World) => Promise<unknown>): Fault {
  const inject = async (world: World): Promise<number> => {
    const times = await work(world);
    return typeof times === 'number' ? times : 1;
  };
  return { name, group: 'chain', parts: ['node'], inject };
}

/** @param transactions raw, for the first of the new blocks */
export function reorganise(world: World, depth: number, transactions: readonly Hex[] = []): Promise<unknown> {
  return world.rpc.request('anvil_reorg', [depth, transactions.map((raw) => [raw, 0])]);
}

export async function headOf(world: World): Promise<number> {
  return Number(await world.rpc.request('eth_blockNumber', []));
}

/** A transaction of the submitter's key that the submitter knows nothing of, paying well enough to be taken. */
export function signForeign(world: World, nonce: number): Promise<Hex> {
  const gwei = 10n ** 9n;
  return world.submitter.signTransaction({
    chainId: world.node.chainId,
    type: 'eip1559',
    to: world.submitter.address,
    value: 1n,
    nonce,
    gas: 21_000n,
    maxFeePerGas: 500n * gwei,
    maxPriorityFeePerGas: 50n * gwei,
  });
}

/** The submitter's own in the blocks from that one on. */
async function ourTransactionsSince(world: World, block: number): Promise<Hex[]> {
  const { rows } = await world.pool.query<{ raw: Buffer }>(
    'SELECT raw FROM batch_transactions JOIN settlements USING (tx_hash) WHERE block_number >= $1 ORDER BY tx_nonce',
    [block],
  );
  return rows.map(({ raw }): Hex => `0x${raw.toString('hex')}`);
}

/** All nodes show another chain: nothing of it may be stored or sent to, there is an alarm, and the right chain is followed again. */
async function newGenesis(world: World): Promise<number> {
  const { proxies, pool, node } = world;
  const other = await startLocalNode({ blockTimeSeconds: 1 });
  try {
    for (const proxy of proxies) proxy.upstream = other.rpcUrl;
    await until('an alarm', async () => (await readOpenIncidents(pool)).some(({ kind }) => kind === 'chain_mismatch'));
    const stored = await lastBlock(world);
    await sleep(3_000);
    assert.equal(await lastBlock(world), stored, 'nothing of the other chain is stored');
    const count = [world.submitter.address, 'pending'];
    const used = await createRpcEndpoint(other.rpcUrl).request('eth_getTransactionCount', count);
    assert.equal(Number(used), 0, 'nothing is sent to the other chain');
  } finally {
    for (const proxy of proxies) proxy.upstream = node.rpcUrl;
    await other.stop();
  }
  await until('the right chain being followed', async () => (await lastBlock(world)) > 0);
  // The operator's word, once the chain is the right one again.
  for (const { id, kind } of await readOpenIncidents(pool))
    if (kind === 'chain_mismatch') await closeIncident(pool, id, 'the nodes show the right chain again');
  return 1;
}

async function lastBlock({ pool }: World): Promise<number> {
  const { rows } = await pool.query<{ number: number }>('SELECT max(number) AS number FROM chain_blocks');
  return rows[0]?.number ?? 0;
}
