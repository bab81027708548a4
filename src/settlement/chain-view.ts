/**
 * What the submitter knows of the chain at one moment, all of it read from one node and at one block hash, so that the sender's
 * nonce and the vault's last batch belong together.
 */

import type { Finality } from '../chain/finality.ts';
import { bytesToHex } from '../chain/hex.ts';
import { inspectVault } from '../chain/inspect-vault.ts';
import { keccakText } from '../chain/keccak.ts';
import { type RpcCall, type RpcEndpoint, rpcFailure, rpcFailureReason } from '../chain/rpc-pool.ts';
import type { Address, Hash, Hex } from '../domain/units.ts';
import type { FeeHistory } from './fees.ts';
import type { Inclusion } from './outbox.ts';

export type ChainView = {
  readonly head: {
    readonly number: number;
    readonly hash: Hash;
    readonly timestampMs: number;
    /** Most gas that the transactions of a block may use together. */
    readonly gasLimit: bigint;
  };
  /** Highest final block; -1 when there is none yet. */
  readonly finalNumber: number;
  /** Id of the last batch that the vault has settled. */
  readonly lastBatchId: number;
  /** Its batch hash: the parent of what can be settled next. */
  readonly lastBatchHash: Hash;
  /** First nonce of the sender that is unused. */
  readonly txNonce: number;
  readonly balance: bigint;
};

export type SettledBatch = Inclusion & { readonly batchId: number; readonly contentHash: Hash };

/** @throws ExchangeError RPC_FAILED, retryable: a reorganisation between two requests shows as a missing block. */
export async function readChainView(
  endpoint: RpcEndpoint,
  place: { readonly vault: Address; readonly sender: Address; readonly finality: Finality },
): Promise<ChainView> {
  const calls: RpcCall[] = [{ method: 'eth_getBlockByNumber', params: ['latest', false] }];
  if (place.finality.kind === 'tag')
    calls.push({ method: 'eth_getBlockByNumber', params: [place.finality.tag, false] });
  const [latest, tagged] = await endpoint.batch(calls);
  const head = latest as { number: Hex; hash: Hash; timestamp: Hex; gasLimit: Hex } | null;
  if (head === null) throw rpcFailure('malformed', `${endpoint.name} has no latest block`);
  const at = { blockHash: head.hash };
  const [nonce, balance] = await endpoint.batch([
    { method: 'eth_getTransactionCount', params: [place.sender, at] },
    { method: 'eth_getBalance', params: [place.sender, at] },
  ]);
  const vault = await inspectVault(endpoint, place.vault, [], head.hash);
  const number = Number(head.number);
  return {
    head: {
      number,
      hash: head.hash,
      timestampMs: Number(head.timestamp) * 1000,
      gasLimit: BigInt(head.gasLimit),
    },
    finalNumber:
      place.finality.kind === 'confirmations'
        ? number - place.finality.count
        : Number((tagged as { number: Hex } | null)?.number ?? -1),
    lastBatchId: vault.batchId,
    lastBatchHash: vault.batchHash,
    txNonce: Number(nonce),
    balance: BigInt(balance as Hex),
  };
}

const BATCH_SETTLED_TOPIC = bytesToHex(keccakText('BatchSettled(uint64,uint64,uint64,bytes32,bytes32,bytes,bytes)'));
const LOG_RANGE_BLOCKS = 2_000;

/**
 * Finds the transactions that settled `batchIds`, searching from `toBlock` back to `fromBlock`. By the vault's event, never by
 * receipts of our own: a receipt may be missing though the transaction was mined, and anyone may have settled the batch.
 */
export async function findSettled(
  endpoint: RpcEndpoint,
  vault: Address,
  batchIds: readonly number[],
  range: { readonly fromBlock: number; readonly toBlock: number },
): Promise<Map<number, SettledBatch>> {
  const found = new Map<number, SettledBatch>();
  const topics = [BATCH_SETTLED_TOPIC, batchIds.map((id) => hexWord(id))];
  let width = LOG_RANGE_BLOCKS;
  for (let to = range.toBlock; to >= range.fromBlock && found.size < batchIds.length; ) {
    const from = Math.max(range.fromBlock, to - width + 1);
    const filter = { address: vault, topics, fromBlock: hexNumber(from), toBlock: hexNumber(to) };
    let logs: unknown;
    try {
      logs = await endpoint.request('eth_getLogs', [filter]);
    } catch (error) {
      if (rpcFailureReason(error) !== 'range_too_large' || to === from) throw error;
      width = Math.ceil((to - from + 1) / 2);
      continue;
    }
    to = from - 1;
    if (!Array.isArray(logs)) throw rpcFailure('malformed', `${endpoint.name} answered eth_getLogs without a list`);
    for (const log of logs as RawLog[]) {
      const batchId = Number(log.topics[1]);
      if (log.removed === true || log.topics[0] !== BATCH_SETTLED_TOPIC || !batchIds.includes(batchId)) continue;
      found.set(batchId, {
        batchId,
        // Words: event sequence, epoch, content hash.
        contentHash: `0x${log.data.slice(2 + 2 * 64, 2 + 3 * 64)}`,
        txHash: log.transactionHash,
        blockNumber: Number(log.blockNumber),
        blockHash: log.blockHash,
      });
    }
  }
  return found;
}

type RawLog = {
  readonly topics: readonly Hex[];
  readonly data: Hex;
  readonly transactionHash: Hash;
  readonly blockNumber: Hex;
  readonly blockHash: Hash;
  readonly removed?: boolean;
};

/** From here on a block is fuller than the protocol wants, and the base fee rises. */
const CONGESTED_RATIO = 0.5;

/**
 * Base fees of the last 20 blocks, and the median tips of those among them that were congested. Elsewhere a tip bought nothing: where few
 * others send, most tips are our own, and one that a moment of congestion had raised would be paid for ever.
 */
export async function readFeeHistory(endpoint: RpcEndpoint): Promise<FeeHistory> {
  const history = (await endpoint.request('eth_feeHistory', ['0x14', 'latest', [50]])) as {
    baseFeePerGas?: readonly Hex[];
    gasUsedRatio?: readonly number[];
    reward?: readonly (readonly Hex[])[] | null;
  };
  if (!Array.isArray(history.baseFeePerGas) || history.baseFeePerGas.length === 0) {
    throw rpcFailure('malformed', `${endpoint.name} answered eth_feeHistory without base fees`);
  }
  return {
    baseFees: history.baseFeePerGas.map((fee) => BigInt(fee)),
    tips: (history.reward ?? [])
      .filter((_, block) => (history.gasUsedRatio?.[block] ?? 1) >= CONGESTED_RATIO)
      .map((reward) => BigInt(reward[0] ?? '0x0')),
  };
}

/** Which of the transactions the node holds, waiting. One that was mined meanwhile counts too: it needs no sending. */
export async function readPool(endpoint: RpcEndpoint, txHashes: readonly Hash[]): Promise<Set<string>> {
  if (txHashes.length === 0) return new Set();
  const answers = await endpoint.batch(
    txHashes.map((hash) => ({ method: 'eth_getTransactionByHash', params: [hash] })),
  );
  return new Set(txHashes.filter((_, index) => answers[index] !== null));
}

/** Gas used and success; undefined while the node has no receipt, which says nothing about whether it was mined. */
export async function readReceipt(
  endpoint: RpcEndpoint,
  txHash: Hash,
): Promise<{ gasUsed: number; succeeded: boolean } | undefined> {
  const receipt = (await endpoint.request('eth_getTransactionReceipt', [txHash])) as {
    gasUsed: Hex;
    status: Hex;
  } | null;
  return receipt === null ? undefined : { gasUsed: Number(receipt.gasUsed), succeeded: receipt.status === '0x1' };
}

export const hexNumber = (value: number | bigint): Hex => `0x${value.toString(16)}`;
const hexWord = (value: number): Hex => `0x${value.toString(16).padStart(64, '0')}`;
