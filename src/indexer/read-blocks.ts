/**
 * Reads blocks and the vault's events from one node, and refuses whatever does not fit together.
 *
 * A block's logs are asked for by the block's hash, so that a reorganisation between two requests cannot mix two chains. Completeness is
 * proven twice: the vault numbers its events without gaps, and its state at a block says which number was the last. A node that leaves
 * logs out, repeats them, reorders them or serves another block's is found by that; the result is a retryable failure with the reason
 * `inconsistent` or `events_missing`, and nothing of it is stored.
 */
import { numberOf, type RpcCall, type RpcEndpoint, rpcFailure, rpcFailureReason } from '../chain/rpc-pool.ts';
import type { VaultReader } from '../chain/vault-reader.ts';
import type { Address, ChainEventSequence, Hash, Hex, TimestampSeconds } from '../domain/units.ts';
import type { BlockRef, ChainTip, FollowedBlock, VaultEvent } from './chain-steps.ts';

/** A log as JSON-RPC gives it. */
export type RpcLog = {
  readonly address: Address;
  readonly topics: readonly Hex[];
  readonly data: Hex;
  readonly blockNumber: Hex;
  readonly blockHash: Hash;
  readonly transactionHash: Hash;
  readonly logIndex: Hex;
  readonly removed?: boolean;
};

export type Header = BlockRef & { readonly parentHash: Hash; readonly timestamp: TimestampSeconds };

export const hexNumber = (value: number): Hex => `0x${value.toString(16)}`;

/** Header of a JSON-RPC block; undefined for null. @throws RPC_FAILED when it is not one. */
export function parseHeader(block: unknown): Header | undefined {
  if (block === null) return undefined;
  const { number, hash, parentHash, timestamp } = block as Record<string, unknown>;
  if (!isHash(hash) || !isHash(parentHash)) throw rpcFailure('malformed', 'a block came without hash or parent hash');
  return {
    number: numberOf(number, "a block's number"),
    hash,
    parentHash,
    timestamp: numberOf(timestamp, "a block's timestamp") as TimestampSeconds,
  };
}

const isHash = (value: unknown): value is Hash => typeof value === 'string' && /^0x[0-9a-f]{64}$/.test(value);

export const blockByNumber = (block: number | 'latest' | 'finalized' | 'safe'): RpcCall => ({
  method: 'eth_getBlockByNumber',
  params: [typeof block === 'number' ? hexNumber(block) : block, false],
});

/** Headers by number; undefined where the node has no such block. */
export async function readHeaders(endpoint: RpcEndpoint, numbers: readonly number[]): Promise<(Header | undefined)[]> {
  const headers = (await endpoint.batch(numbers.map(blockByNumber))).map(parseHeader);
  for (const [index, header] of headers.entries()) {
    if (header !== undefined && header.number !== numbers[index]) {
      throw inconsistent(`asked for block ${numbers[index]}, got ${header.number}`);
    }
  }
  return headers;
}

/**
 * The blocks `headers`, which are gapless and sit on `parent`, with their events. Their links have been checked by the caller.
 * @throws RPC_FAILED `inconsistent` when logs are missing, foreign, repeated with other content, or marked removed.
 */
export async function readBlocks(
  endpoint: RpcEndpoint,
  reader: VaultReader,
  parent: ChainTip,
  headers: readonly Header[],
): Promise<FollowedBlock[]> {
  const last = headers.at(-1);
  if (last === undefined) return [];
  const calls: RpcCall[] = headers.map(({ hash }) => ({
    method: 'eth_getLogs',
    params: [{ blockHash: hash, address: reader.vault }],
  }));
  calls.push(lastEventAt(reader, { blockHash: last.hash }));
  const answers = await endpoint.batch(calls);
  let previous = parent.lastEventSequence;
  const blocks = headers.map((header, index) => {
    const events = eventsOfBlock(reader, header, asLogs(answers[index]), previous);
    previous = (previous + events.length) as ChainEventSequence;
    return { ...header, lastEventSequence: previous, events };
  });
  requireComplete(previous, lastEventIn(reader, answers[headers.length]), last.number);
  return blocks;
}

/** What a node said of the blocks (after, end.number], of which `end` is final. Not checked against the chain below yet. */
export type FetchedRange = {
  readonly after: number;
  readonly end: Header;
  /** Of blocks with logs, ascending. */
  readonly headers: readonly Header[];
  readonly logs: ReadonlyMap<number, readonly RpcLog[]>;
  readonly logCount: number;
  /** Number of the last event as the vault's state at `end` says; undefined where the node does not keep that state. */
  readonly stated: ChainEventSequence | undefined;
};

/**
 * Asks for the blocks with logs in (after, to], and block `to` itself, which is final.
 * @throws RPC_FAILED `range_too_large` when the node wants a smaller range, `inconsistent` when the answers do not fit together.
 */
export async function fetchRange(
  endpoint: RpcEndpoint,
  reader: VaultReader,
  after: number,
  to: number,
): Promise<FetchedRange> {
  const filter = { address: reader.vault, fromBlock: hexNumber(after + 1), toBlock: hexNumber(to) };
  const [answer, endBlock] = await endpoint.batch([{ method: 'eth_getLogs', params: [filter] }, blockByNumber(to)]);
  const end = parseHeader(endBlock);
  if (end === undefined) throw inconsistent(`block ${to} is said to be final, but the node does not have it`);
  const all = asLogs(answer);
  const logs = Map.groupBy(all, (log) => Number(log.blockNumber));
  const numbers = [...logs.keys()].sort((a, b) => a - b);
  const outside = numbers.find((number) => !(number > after && number <= to));
  if (outside !== undefined) throw inconsistent(`asked for logs up to block ${to}, got one of block ${outside}`);
  const [headers, stated] = await Promise.all([
    readHeaders(
      endpoint,
      numbers.filter((number) => number !== to),
    ),
    lastEventIfKnown(endpoint, reader, end.hash),
  ]);
  const known = headers.filter((header) => header !== undefined);
  if (known.length < headers.length) throw inconsistent('the node served a log of a block that it does not have');
  return { after, end, headers: known, logs, logCount: all.length, stated };
}

/**
 * A fetched range as blocks on top of `parent`, which is block `after`. Blocks without events are left out, except the last.
 * @throws RPC_FAILED `inconsistent` or `events_missing`, as above.
 */
export function blocksOfRange(reader: VaultReader, parent: ChainTip, range: FetchedRange): FollowedBlock[] {
  let previous = parent.lastEventSequence;
  const blocks = [...range.headers, range.end].map((header) => {
    const events = eventsOfBlock(reader, header, range.logs.get(header.number) ?? [], previous);
    previous = (previous + events.length) as ChainEventSequence;
    return { ...header, lastEventSequence: previous, events };
  });
  if (range.stated !== undefined) requireComplete(previous, range.stated, range.end.number);
  return blocks;
}

function eventsOfBlock(
  reader: VaultReader,
  header: BlockRef,
  logs: readonly RpcLog[],
  previous: ChainEventSequence,
): VaultEvent[] {
  const byIndex = new Map<number, RpcLog>();
  for (const log of logs) {
    if (log.removed === true) throw inconsistent(`the node served a removed log of block ${header.number}`);
    if (log.blockHash !== header.hash)
      throw inconsistent(`asked for logs of block ${header.hash}, got one of ${log.blockHash}`);
    if (log.address.toLowerCase() !== reader.vault)
      throw inconsistent(`asked for logs of the vault, got one of ${log.address}`);
    const index = Number(log.logIndex);
    const twin = byIndex.get(index);
    if (twin !== undefined && (twin.data !== log.data || twin.transactionHash !== log.transactionHash)) {
      throw inconsistent(`two logs of block ${header.number} claim index ${index}`);
    }
    byIndex.set(index, log);
  }
  // Logs that came twice or out of order lose nothing: the index orders them and the vault's numbering proves that all are there.
  const ordered = [...byIndex.entries()].sort(([a], [b]) => a - b);
  return ordered.map(([logIndex, log], position) => {
    const { eventSequence, fact } = decode(reader, log, header.number);
    if (eventSequence !== previous + 1 + position) {
      throw eventsMissing(`expected event ${previous + 1 + position} in block ${header.number}, got ${eventSequence}`);
    }
    return { eventSequence, txHash: log.transactionHash, logIndex, fact };
  });
}

/** The vault is immutable, so a log that does not decode is a node's mistake, or another contract's. */
function decode(reader: VaultReader, log: RpcLog, block: number): ReturnType<VaultReader['decodeLog']> {
  try {
    return reader.decodeLog(log);
  } catch (error) {
    throw rpcFailure('malformed', `a log of block ${block} is not an event of the vault: ${String(error)}`, {}, error);
  }
}

function asLogs(answer: unknown): RpcLog[] {
  if (!Array.isArray(answer)) throw rpcFailure('malformed', 'eth_getLogs did not answer with a list');
  const broken = answer.find((log) => !isLog(log));
  if (broken !== undefined) {
    throw rpcFailure('malformed', `eth_getLogs answered with ${String(JSON.stringify(broken)).slice(0, 200)}`);
  }
  return answer as RpcLog[];
}

/** What a node says may be anything; nothing of it must reach the database, or end the indexer, unless it has the form of a log. */
function isLog(value: unknown): value is RpcLog {
  if (typeof value !== 'object' || value === null) return false;
  const { address, topics, data, blockNumber, blockHash, transactionHash, logIndex } = value as Record<string, unknown>;
  return (
    typeof address === 'string' &&
    typeof data === 'string' &&
    Array.isArray(topics) &&
    topics.every((topic) => typeof topic === 'string') &&
    isQuantity(blockNumber) &&
    isQuantity(logIndex) &&
    isHash(blockHash) &&
    isHash(transactionHash)
  );
}

/** Positions in chain and block; more than eight digits are none. */
const isQuantity = (value: unknown): boolean => typeof value === 'string' && /^0x[0-9a-f]{1,8}$/i.test(value);

function requireComplete(got: ChainEventSequence, stated: ChainEventSequence, block: number): void {
  if (got !== stated) {
    throw eventsMissing(`the vault's last event at block ${block} is ${stated}, but its logs end with ${got}`);
  }
}

const lastEventAt = (reader: VaultReader, block: { blockHash: Hash }): RpcCall => ({
  method: 'eth_call',
  params: [{ to: reader.vault, data: reader.lastEventCall }, block],
});

/** A call to an address without code answers nothing: before the vault was deployed it had no events. */
function lastEventIn(reader: VaultReader, answer: unknown): ChainEventSequence {
  if (answer === '0x') return 0 as ChainEventSequence;
  try {
    return reader.decodeLastEvent(answer as Hex);
  } catch (error) {
    throw rpcFailure('malformed', `the vault's state does not decode: ${String(error)}`, {}, error);
  }
}

/** Nodes without archive do not answer for old blocks; then the numbering alone has to do, which shows a gap one range later. */
async function lastEventIfKnown(
  endpoint: RpcEndpoint,
  reader: VaultReader,
  blockHash: Hash,
): Promise<ChainEventSequence | undefined> {
  try {
    const { method, params } = lastEventAt(reader, { blockHash });
    return lastEventIn(reader, await endpoint.request(method, params));
  } catch (error) {
    if (rpcFailureReason(error) === 'refused') return undefined;
    throw error;
  }
}

export const inconsistent = (message: string): Error => rpcFailure('inconsistent', message);
const eventsMissing = (message: string): Error => rpcFailure('events_missing', message);
