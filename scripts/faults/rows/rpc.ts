import { strict as assert } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  LOG_FAULTS,
  type ProxiedAnswer,
  type ProxiedCall,
  type TransportFault,
} from '../../../test/support/rpc-proxy.ts';
import { bending, breaking, FAULT_LASTS_MS, type Fault } from '../fault.ts';
import type { World } from '../world.ts';

/** How the logs lie, in words. `renumbered` fits only events that carry nothing but their number. */
const LOG_LIES: Readonly<Record<Exclude<keyof typeof LOG_FAULTS, 'renumbered'>, string>> = {
  dropLast: 'the last log dropped',
  dropFirst: 'the first log dropped',
  empty: 'no logs, from a node that lags',
  reverse: 'logs reordered',
  duplicate: 'logs duplicated',
  removed: 'logs marked as removed',
};

const BROKEN: readonly (readonly [name: string, fault: TransportFault])[] = [
  ['429', { kind: 'status', status: 429, retryAfterSeconds: 1 }],
  ['503', { kind: 'status', status: 503 }],
  ['no answer', { kind: 'hang' }],
  ['JSON cut', { kind: 'cut' }],
  ['connection reset', { kind: 'reset' }],
];

export const RPC_FAULTS: readonly Fault[] = [
  ...Object.entries(LOG_LIES).map(([lie, name]) =>
    rpcFault(name, ({ proxies }) => bending(proxies, LOG_FAULTS[lie as keyof typeof LOG_LIES])),
  ),
  rpcFault('the head goes back and forth', ({ proxies }) => bending(proxies, lagging())),
  ...BROKEN.map(([name, fault]) => rpcFault(name, ({ proxies }) => breaking(proxies, fault))),
  rpcFault('nodes disagree about blocks', ({ proxies: [, second] }) => bending([second], otherHashes)),
  rpcFault('failover while the first node is away', failOver),
];

function rpcFault(name: string, inject: (world: World) => Promise<number>): Fault {
  return { name, group: 'RPC', parts: ['rpc'], inject };
}

/** Every other answer about the head is the oldest one seen. */
function lagging(): (call: ProxiedCall, answer: ProxiedAnswer) => ProxiedAnswer {
  let old: ProxiedAnswer | undefined;
  let asked = 0;
  return ({ method, params }, answer) => {
    const isHead = method === 'eth_blockNumber' || (method === 'eth_getBlockByNumber' && params[0] === 'latest');
    if (!isHead || method === 'eth_blockNumber') return answer;
    old ??= answer;
    return ++asked % 2 === 0 ? { ...old } : answer;
  };
}

function otherHashes({ method, params }: ProxiedCall, answer: ProxiedAnswer): ProxiedAnswer {
  if (method !== 'eth_getBlockByNumber' || params[0] === '0x0' || typeof answer.result !== 'object') return answer;
  return { result: { ...answer.result, hash: `0x${'ab'.repeat(32)}` } };
}

/** The first node is away until a trade that was made meanwhile is final: the second one is enough. */
async function failOver({ proxies: [first], traffic }: World): Promise<number> {
  return breaking([first], { kind: 'reset' }, async () => {
    const trade = await traffic.nextTrade();
    const state = await Promise.race([trade.settled(), sleep(20 * FAULT_LASTS_MS, 'late')]);
    assert.notEqual(state, 'late', 'settlement goes on at the second node');
  });
}
