import { strict as assert } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import { keccak256, parseTransaction, type TransactionSerializedEIP1559 } from 'viem';
import { mnemonicToAccount } from 'viem/accounts';
import type { Hex } from '../../../src/domain/units.ts';
import { LOCAL_MNEMONIC } from '../../../src/services/local-node.ts';
import { readOpenIncidents } from '../../../src/storage/incidents.ts';
import type { ProxiedAnswer, ProxiedCall } from '../../../test/support/rpc-proxy.ts';
import { bending, during, FAULT_LASTS_MS, type Fault, intercepting, once, type Part, whileWaiting } from '../fault.ts';
import { until, type World } from '../world.ts';
import { signForeign } from './chain.ts';

/** Of the local node's mnemonic; no service uses it. */
const STRANGER = mnemonicToAccount(LOCAL_MNEMONIC, { addressIndex: 5 });
const WEALTH = '0x56bc75e2d63100000';
const SETTLEMENT = 'tallystick-settlement';
/** A node without traffic lets the base fee fall to nothing: fifty times that shuts nobody out. One gwei. */
const BASE_FEE_CALM = 10n ** 9n;
const BASE_FEE_SPIKE = 50n * BASE_FEE_CALM;
/** The submitter's lease is 3 s. */
const PAST_THE_LEASE_MS = 4_500;

export const SUBMITTER_FAULTS: readonly Fault[] = [
  submitterFault('sent, but the reply lost', ['rpc', 'sending'], ({ proxies }) =>
    bending(proxies, ({ method }, answer) =>
      method === 'eth_sendRawTransaction' ? { error: { code: -32_000, message: 'timeout' } } : answer,
    ),
  ),
  submitterFault('dropped from the mempool', ['sending'], dropSilently),
  submitterFault('receipt null though mined', ['rpc'], ({ proxies }) =>
    bending(proxies, ({ method }, answer) => (method === 'eth_getTransactionReceipt' ? { result: null } : answer)),
  ),
  submitterFault('key used by someone else', ['sending', 'node'], (world) =>
    during(async () => {
      const used = await world.rpc.request('eth_getTransactionCount', [world.submitter.address, 'latest']);
      await sendQuietly(world, await signForeign(world, Number(used)));
    }),
  ),
  submitterFault('nonce gap, filled by a foreign transaction behind it', ['sending', 'node'], async (world) => {
    const used = Number(await world.rpc.request('eth_getTransactionCount', [world.submitter.address, 'latest']));
    for (const ahead of [2, 4]) await sendQuietly(world, await signForeign(world, used + ahead));
    await sleep(FAULT_LASTS_MS);
    return 2;
  }),
  submitterFault('replacement underpriced', ['sending'], refuseAsUnderpriced),
  submitterFault('base fee × 50', ['sending', 'node'], async (world) => {
    await calmBaseFee(world);
    await setNextBaseFee(world, BASE_FEE_SPIKE);
    await sleep(FAULT_LASTS_MS);
    return 1;
  }),
  submitterFault('wallet drained, then refilled', ['sending', 'node'], drain),
  submitterFault('reverts: a stranger settles first', ['sending', 'node'], frontRun),
  submitterFault('killed between signing and persisting', ['sending', 'settlement', 'postgres'], (world) =>
    whileWaiting(world, { statement: 'LOCK TABLE batch_transactions IN SHARE MODE', waiter: SETTLEMENT }, () =>
      world.services.settlement.kill(),
    ),
  ),
  submitterFault('killed between persisting and sending', ['sending', 'settlement'], (world) =>
    killAtSend(world, async () => ({ error: { code: -32_000, message: 'gone' } })),
  ),
  submitterFault('killed between sending and recording', ['sending', 'settlement'], (world) =>
    killAtSend(world, async (raw) => ({ result: await world.rpc.request('eth_sendRawTransaction', [raw]) })),
  ),
  submitterFault('killed before it recorded what was mined', ['sending', 'settlement', 'postgres'], (world) =>
    whileWaiting(world, { statement: 'LOCK TABLE settlements IN SHARE MODE', waiter: SETTLEMENT }, () =>
      world.services.settlement.kill(),
    ),
  ),
  submitterFault('original and replacement racing', ['sending', 'node'], raceReplacement),
  submitterFault('two submitters', ['sending', 'settlement'], twoSubmitters),
];

function submitterFault(name: string, parts: readonly Part[], inject: Fault['inject']): Fault {
  return { name, group: 'submitter', parts, inject };
}

/** Straight to the node. It may have one of that nonce already: then this one loses. */
function sendQuietly(world: World, raw: Hex): Promise<unknown> {
  return world.rpc.request('eth_sendRawTransaction', [raw]).catch(() => undefined);
}

function isSend({ method }: ProxiedCall): boolean {
  return method === 'eth_sendRawTransaction';
}

/** Nodes take transactions and lose them. */
async function dropSilently({ proxies }: World): Promise<number> {
  let dropped = 0;
  await intercepting(proxies, async (call) => {
    if (!isSend(call)) return undefined;
    dropped++;
    return { result: keccak256(call.params[0] as Hex) };
  });
  return dropped;
}

async function refuseAsUnderpriced({ proxies }: World): Promise<number> {
  let refused = 0;
  await intercepting(proxies, async (call): Promise<ProxiedAnswer | undefined> => {
    if (!isSend(call)) return undefined;
    refused++;
    return { error: { code: -32_000, message: 'replacement transaction underpriced' } };
  });
  return refused;
}

/** What an earlier fault raised comes down at once, instead of by an eighth with each block. */
async function calmBaseFee(world: World): Promise<void> {
  await setNextBaseFee(world, BASE_FEE_CALM);
  await until('a calm base fee', async () => {
    const block = (await world.rpc.request('eth_getBlockByNumber', ['latest', false])) as { baseFeePerGas: string };
    return BigInt(block.baseFeePerGas) <= 2n * BASE_FEE_CALM;
  });
}

async function setNextBaseFee(world: World, fee: bigint): Promise<void> {
  await world.rpc.request('anvil_setNextBlockBaseFeePerGas', [`0x${fee.toString(16)}`]);
}

/** The wallet stays empty until there is an alarm; once it is filled, the alarm goes by itself. */
async function drain(world: World): Promise<number> {
  const { rpc, pool, submitter } = world;
  const alarmed = async (): Promise<boolean> =>
    (await readOpenIncidents(pool)).some(({ kind }) => kind === 'gas_wallet_empty');
  try {
    await rpc.request('anvil_setBalance', [submitter.address, '0x0']);
    await until('an alarm about the wallet', alarmed);
  } finally {
    await rpc.request('anvil_setBalance', [submitter.address, WEALTH]);
  }
  await until('the alarm being closed', async () => !(await alarmed()));
  return 1;
}

/** Someone takes the batch from the pool and settles it first, three times: ours reverts, and the batch counts as settled. */
async function frontRun(world: World): Promise<number> {
  let reverted = 0;
  await intercepting(
    world.proxies,
    async (call) => {
      if (!isSend(call) || reverted >= 3) return undefined;
      reverted++;
      const raw = call.params[0] as TransactionSerializedEIP1559;
      const { to, data, gas } = parseTransaction(raw);
      const nonce = Number(await world.rpc.request('eth_getTransactionCount', [STRANGER.address, 'pending']));
      const fees = { maxFeePerGas: 10n ** 12n, maxPriorityFeePerGas: 10n ** 11n };
      const copy = { chainId: world.node.chainId, type: 'eip1559', to, data, gas, nonce, ...fees } as const;
      await sendQuietly(world, await STRANGER.signTransaction(copy as Parameters<typeof STRANGER.signTransaction>[0]));
      return undefined;
    },
    () => until('transactions that revert', async () => reverted >= 3),
  );
  return reverted;
}

/** @param answer what becomes of the transaction at whose sending the process is killed */
async function killAtSend(world: World, answer: (raw: Hex) => Promise<ProxiedAnswer>): Promise<number> {
  let struck = false;
  await intercepting(
    world.proxies,
    async (call) => {
      if (!isSend(call) || struck) return undefined;
      struck = true;
      const answered = await answer(call.params[0] as Hex);
      await world.services.settlement.kill();
      return answered;
    },
    () => until('a transaction to be sent', async () => struck),
  );
  return 1;
}

/**
 * A transaction is taken from the pool's sight, a base fee above what it offers makes the submitter replace it, and then both go to the
 * node at once. Whichever wins, the batch settles once.
 */
async function raceReplacement(world: World): Promise<number> {
  // Above the most that may be offered nothing is replaced.
  await calmBaseFee(world);
  const held = new Map<number, Set<Hex>>();
  let offered = BASE_FEE_CALM;
  const rivals = (): Hex[] => [...([...held.values()].find((raws) => raws.size > 1) ?? [])];
  await intercepting(
    world.proxies,
    async (call) => {
      if (!isSend(call)) return undefined;
      const raw = call.params[0] as TransactionSerializedEIP1559;
      const { nonce = 0, maxFeePerGas = 0n } = parseTransaction(raw);
      held.set(nonce, (held.get(nonce) ?? new Set()).add(raw));
      if (maxFeePerGas > offered) offered = maxFeePerGas;
      return { result: keccak256(raw) };
    },
    async () => {
      await until('a transaction', async () => held.size > 0);
      // The tip counts too, so the offer may be far above twice the base fee. Block after block, until the submitter has looked.
      const spike = 2n * offered;
      await until('a replacement', async () => {
        await setNextBaseFee(world, spike);
        return rivals().length > 1;
      });
    },
  );
  await Promise.all(rivals().map((raw) => sendQuietly(world, raw)));
  await calmBaseFee(world);
  assert.ok(rivals().length > 1);
  return 1;
}

/** A second one stands by, takes over while the first is stopped, and the first finds out when it goes on. */
async function twoSubmitters(world: World): Promise<number> {
  const { settlement } = world.services;
  const second = world.startService('settlement');
  try {
    await until('the second submitter', async () => second.log().includes('settlement runs'));
    settlement.signal('SIGSTOP');
    await sleep(PAST_THE_LEASE_MS);
    settlement.signal('SIGCONT');
    await sleep(FAULT_LASTS_MS);
    return await once(second.down());
  } finally {
    settlement.signal('SIGCONT');
    await second.down();
  }
}
