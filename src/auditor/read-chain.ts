/**
 * The auditor's own reading of the chain: the vault's events by block range, each with its block's time, and the transactions of batches.
 * Nothing is taken over from the indexer. What a node leaves out shows in the vault's numbering and in its state at the last block.
 */
import { decodeEventLog, decodeFunctionData, decodeFunctionResult, encodeFunctionData } from 'viem';
import { type RpcCall, type RpcPool, rpcFailure, rpcFailureReason } from '../chain/rpc-pool.ts';
import type { Address, Hash, Hex } from '../domain/units.ts';
import { VAULT_CALLS, VAULT_EVENTS } from './vault-abi.ts';
import { type AuditEvent, lower, type VaultParameters } from './vault-model.ts';

export type ChainEvent = AuditEvent & {
  readonly eventSequence: number;
  readonly blockNumber: number;
  readonly blockHash: Hash;
};

export type BlockPoint = { readonly number: number; readonly hash: Hash; readonly time: number };

/** What `settle` was called with. */
export type SettleCall = {
  readonly id: number;
  readonly parent: Hash;
  readonly epoch: number;
  readonly journalSequence: number;
  readonly journalHash: Hash;
  readonly content: Hex;
  /** Compact form. */
  readonly engineSignature: Hex;
};

const hex = (value: number): Hex => `0x${value.toString(16)}`;

export async function readBlock(pool: RpcPool, block: number | 'latest'): Promise<BlockPoint> {
  const tag = block === 'latest' ? block : hex(block);
  const answer = (await pool.run((endpoint) =>
    endpoint.request('eth_getBlockByNumber', [tag, false]),
  )) as BlockAnswer | null;
  if (answer === null) throw rpcFailure('inconsistent', `the node has no block ${block}`);
  return pointOf(answer);
}

type BlockAnswer = { number: Hex; hash: Hash; timestamp: Hex };
const pointOf = (block: BlockAnswer): BlockPoint => ({
  number: Number(block.number),
  hash: block.hash,
  time: Number(block.timestamp),
});

/** Fixed parameters of the vault. @throws ExchangeError RPC_FAILED when there is no vault at the address. */
export async function readParameters(pool: RpcPool, vault: Address, at: BlockPoint): Promise<VaultParameters> {
  const names = ['DEPLOYED_AT', 'GRACE', 'EXIT_DELAY', 'WRAPPED_NATIVE'] as const;
  const calls = names.map((functionName): RpcCall => {
    const data = encodeFunctionData({ abi: VAULT_CALLS, functionName });
    return { method: 'eth_call', params: [{ to: vault, data }, { blockHash: at.hash }] };
  });
  const answers = await pool.run((endpoint) => endpoint.batch([{ method: 'eth_chainId', params: [] }, ...calls]));
  const read = (index: number): unknown => {
    const functionName = names[index] as (typeof names)[number];
    return decodeFunctionResult({ abi: VAULT_CALLS, functionName, data: answers[index + 1] as Hex });
  };
  return {
    chainId: Number(answers[0]),
    vault,
    deployedAt: Number(read(0)),
    grace: Number(read(1)),
    exitDelay: Number(read(2)),
    wrappedNative: lower(read(3)),
  };
}

/** First block at which the vault has code, by bisection. @throws ExchangeError RPC_FAILED when it has none at `last`. */
export async function findDeployment(pool: RpcPool, vault: Address, last: number): Promise<number> {
  const hasCode = async (block: number): Promise<boolean> =>
    (await pool.run((endpoint) => endpoint.request('eth_getCode', [vault, hex(block)]))) !== '0x';
  if (!(await hasCode(last))) throw rpcFailure('refused', `there is no contract at ${vault} in block ${last}`);
  let [low, high] = [0, last];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (await hasCode(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

type LogAnswer = {
  address: Address;
  topics: [Hex, ...Hex[]];
  data: Hex;
  blockNumber: Hex;
  blockHash: Hash;
  transactionHash: Hash;
  logIndex: Hex;
};

/** A range with more events than this is followed by a smaller one: all of a range stand in memory at once. */
const RANGE_EVENTS_MAX = 10_000;

/** The same node, asked again for what it could not answer for a moment: a long audit must not end at one lost answer. */
export function patient(pool: RpcPool): RpcPool {
  return {
    ...pool,
    run: async (work) => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await pool.run(work);
        } catch (error) {
          const reason = rpcFailureReason(error);
          if ((reason !== 'transport' && reason !== 'rate_limited') || attempt === ATTEMPTS_MAX) throw error;
        }
      }
    },
  };
}

/** The pool waits longer each time: about ten seconds in all. */
const ATTEMPTS_MAX = 8;

/** The vault's events of [from, to] in order; ranges shrink when the node finds them too large. */
export async function* readEvents(
  pool: RpcPool,
  vault: Address,
  from: number,
  to: number,
): AsyncGenerator<{ events: ChainEvent[]; block: number }> {
  let size = 2_000;
  for (let start = from; start <= to; ) {
    const end = Math.min(to, start + size - 1);
    try {
      const events = await readRange(pool, vault, start, end);
      yield { events, block: end };
      start = end + 1;
      size = events.length > RANGE_EVENTS_MAX ? Math.max(1, Math.floor(size / 2)) : Math.min(10_000, size * 2);
    } catch (error) {
      if (rpcFailureReason(error) !== 'range_too_large' || size === 1) throw error;
      size = Math.max(1, Math.floor(size / 4));
    }
  }
}

/** Sequence of the first event in [from, to]; undefined when there is none. */
export async function firstEvent(pool: RpcPool, vault: Address, from: number, to: number): Promise<number | undefined> {
  for await (const { events } of readEvents(pool, vault, from, to)) {
    const [first] = events;
    if (first !== undefined) return first.eventSequence;
  }
  return undefined;
}

async function readRange(pool: RpcPool, vault: Address, from: number, to: number): Promise<ChainEvent[]> {
  const filter = { address: vault, fromBlock: hex(from), toBlock: hex(to) };
  return pool.run(async (endpoint) => {
    const logs = (await endpoint.request('eth_getLogs', [filter])) as LogAnswer[];
    const numbers = [...new Set(logs.map((log) => log.blockNumber))];
    const blocks = await endpoint.batch(
      numbers.map((number) => ({ method: 'eth_getBlockByNumber', params: [number, false] })),
    );
    const points = new Map(blocks.map((block) => [(block as BlockAnswer).number, pointOf(block as BlockAnswer)]));
    const ordered = logs.toSorted(
      (a, b) => Number(a.blockNumber) - Number(b.blockNumber) || Number(a.logIndex) - Number(b.logIndex),
    );
    return ordered.map((log) => {
      const point = points.get(log.blockNumber);
      if (point === undefined || point.hash !== log.blockHash) {
        throw rpcFailure(
          'inconsistent',
          `the node served a log of block ${log.blockHash}, which is not its block ${Number(log.blockNumber)}`,
        );
      }
      return decodeLog(log, point);
    });
  });
}

function decodeLog(log: LogAnswer, point: BlockPoint): ChainEvent {
  const { name, args } = decodeOrRefuse(log);
  return {
    name,
    args,
    eventSequence: Number(args['eventSequence']),
    blockTime: point.time,
    blockNumber: point.number,
    blockHash: point.hash,
    transaction: log.transactionHash,
  };
}

/** The vault is immutable: what is not one of its events is the node's mistake. */
function decodeOrRefuse(log: LogAnswer): { name: string; args: Readonly<Record<string, unknown>> } {
  try {
    const { eventName, args } = decodeEventLog({ abi: VAULT_EVENTS, topics: log.topics, data: log.data });
    return { name: eventName, args: args as unknown as Readonly<Record<string, unknown>> };
  } catch (error) {
    const { transactionHash } = log;
    throw rpcFailure(
      'malformed',
      `a log of ${transactionHash} is not an event of the vault: ${String(error)}`,
      {},
      error,
    );
  }
}

/** The calls of `settle` behind batch events, by transaction; a sentence instead where the transaction is not one. */
export async function readSettleCalls(
  pool: RpcPool,
  vault: Address,
  transactions: readonly Hash[],
): Promise<Map<Hash, SettleCall | string>> {
  const answers = await pool.run((endpoint) =>
    endpoint.batch(transactions.map((hash) => ({ method: 'eth_getTransactionByHash', params: [hash] }))),
  );
  return new Map(transactions.map((hash, index) => [hash, settleCallOf(answers[index], hash, vault)]));
}

function settleCallOf(answer: unknown, hash: Hash, vault: Address): SettleCall | string {
  // Nodes forget where old transactions stand. That is nothing against the vault, whose event proves that there is one.
  if (answer === null || typeof answer !== 'object') {
    throw rpcFailure('refused', `the node does not have the transaction ${hash}: ask one that keeps all transactions`);
  }
  const { to, input } = answer as { to: string | null; input: Hex };
  if (to?.toLowerCase() !== vault) return `the transaction calls ${to ?? 'nothing'}, not the vault`;
  try {
    const { functionName, args } = decodeFunctionData({ abi: VAULT_CALLS, data: input });
    if (functionName !== 'settle') return `the transaction calls ${functionName}, not settle`;
    const [batch, content, r, vs] = args;
    return {
      id: Number(batch.id),
      parent: batch.parent,
      epoch: Number(batch.epoch),
      journalSequence: Number(batch.journalSequence),
      journalHash: batch.journalHash,
      content,
      engineSignature: `${r}${vs.slice(2)}`,
    };
  } catch (error) {
    return `the transaction's input is not a call of settle: ${error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)}`;
  }
}
