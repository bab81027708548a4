/**
 * A small strict JSON-RPC proxy: passes every call on to a real node, and lets a test bend what goes through. Batches are taken apart, so
 * that a fault hits single calls whichever way the client groups them.
 *
 * Strict where the local node is not: a transaction that replaces another in the pool must offer a tenth more on both fees.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type Hex,
  keccak256,
  parseTransaction,
  recoverTransactionAddress,
  type TransactionSerializedEIP1559,
} from 'viem';

export type ProxiedCall = { readonly method: string; readonly params: readonly unknown[] };
export type ProxiedAnswer = { result?: unknown; error?: { code: number; message: string; data?: unknown } };

/** What happens to a whole HTTP request instead of an answer. */
export type TransportFault =
  | { readonly kind: 'hang' }
  | { readonly kind: 'status'; readonly status: number; readonly retryAfterSeconds?: number }
  /** The answer's text is cut in the middle. */
  | { readonly kind: 'cut' }
  | { readonly kind: 'reset' };

export type RpcProxy = {
  readonly url: string;
  /** Calls seen so far, by method. */
  readonly seen: Map<string, number>;
  /** Bends answers: gets the call and the node's answer, returns what the client shall see. Undefined lets everything through. */
  bendAnswer: ((call: ProxiedCall, answer: ProxiedAnswer) => ProxiedAnswer) | undefined;
  /** Breaks whole requests; undefined lets this one through. */
  breakRequest: ((calls: readonly ProxiedCall[]) => TransportFault | undefined) | undefined;
  /** Answers calls itself, which then never reach the node; undefined, or a promise of it, passes the call on. */
  intercept: ((call: ProxiedCall) => Promise<ProxiedAnswer | undefined>) | undefined;
  /** Points the proxy at another node, as a load balancer would. */
  upstream: string;
  readonly stop: () => Promise<void>;
};

type RpcBody = ProxiedCall & { readonly id: unknown };

export async function startRpcProxy(upstream: string): Promise<RpcProxy> {
  const server = createServer((request, response) => {
    handle(proxy, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const proxy: RpcProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen: new Map(),
    bendAnswer: undefined,
    breakRequest: undefined,
    intercept: undefined,
    upstream,
    stop: () =>
      new Promise((stopped) => {
        server.close(() => stopped());
        server.closeAllConnections();
      }),
  };
  return proxy;
}

async function handle(proxy: RpcProxy, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as RpcBody | RpcBody[];
  const calls = (Array.isArray(body) ? body : [body]).map((call) => ({ ...call, params: call.params ?? [] }));
  for (const { method } of calls) proxy.seen.set(method, (proxy.seen.get(method) ?? 0) + 1);
  const fault = proxy.breakRequest?.(calls);
  if (fault?.kind === 'hang') return;
  if (fault?.kind === 'reset') {
    response.destroy();
    return;
  }
  if (fault?.kind === 'status') {
    const headers = fault.retryAfterSeconds === undefined ? {} : { 'retry-after': `${fault.retryAfterSeconds}` };
    response.writeHead(fault.status, headers).end('{}');
    return;
  }
  const own = await Promise.all(
    calls.map(async (call) => (await proxy.intercept?.(call)) ?? refuseUnderpriced(proxy, call)),
  );
  const passedOn = calls.filter((_, index) => own[index] === undefined);
  const answers = passedOn.length === 0 ? [] : await forward(proxy.upstream, passedOn);
  const bent = calls.map((call, index) => {
    const answer = own[index] ??
      answers[passedOn.indexOf(call)] ?? { error: { code: -32603, message: 'the node left the call unanswered' } };
    const { result, error } = proxy.bendAnswer?.(call, answer) ?? answer;
    return { jsonrpc: '2.0', id: call.id, ...(error === undefined ? { result } : { error }) };
  });
  const text = JSON.stringify(Array.isArray(body) ? bent : bent[0]);
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(fault?.kind === 'cut' ? text.slice(0, Math.floor(text.length / 2)) : text);
}

type Offer = { readonly hash: Hex; readonly maxFeePerGas: bigint; readonly maxPriorityFeePerGas: bigint };

/** Best offers seen by sender and nonce, of all proxies: they stand for one network. */
const offers = new Map<string, Offer>();
const OFFERS_MAX = 10_000;
const UNDERPRICED: ProxiedAnswer = { error: { code: -32_000, message: 'replacement transaction underpriced' } };

/** What a real node answers to a replacement that pays too little; undefined when it would take the transaction. */
async function refuseUnderpriced(proxy: RpcProxy, { method, params }: ProxiedCall): Promise<ProxiedAnswer | undefined> {
  if (method !== 'eth_sendRawTransaction') return undefined;
  const raw = params[0] as TransactionSerializedEIP1559;
  if (!raw.startsWith('0x02')) return undefined;
  const { nonce = 0, maxFeePerGas = 0n, maxPriorityFeePerGas = 0n } = parseTransaction(raw);
  const key = `${proxy.upstream} ${await recoverTransactionAddress({ serializedTransaction: raw })} ${nonce}`;
  const offer = { hash: keccak256(raw), maxFeePerGas, maxPriorityFeePerGas };
  const before = offers.get(key);
  if (before !== undefined && before.hash !== offer.hash && (await isPending(proxy.upstream, before.hash))) {
    const fits = (now: bigint, then: bigint): boolean => now * 10n >= then * 11n;
    if (!fits(maxFeePerGas, before.maxFeePerGas) || !fits(maxPriorityFeePerGas, before.maxPriorityFeePerGas))
      return UNDERPRICED;
  }
  offers.set(key, offer);
  for (const oldest of offers.keys()) if (offers.size > OFFERS_MAX) offers.delete(oldest);
  return undefined;
}

async function isPending(upstream: string, hash: Hex): Promise<boolean> {
  const [answer] = await forward(upstream, [{ id: 0, method: 'eth_getTransactionByHash', params: [hash] }]);
  return (answer?.result as { blockNumber: string | null } | null | undefined)?.blockNumber === null;
}

/** Answers in the order of the calls. A node that is down breaks the connection to the client too. */
async function forward(upstream: string, calls: readonly RpcBody[]): Promise<(ProxiedAnswer | undefined)[]> {
  const body = JSON.stringify(calls.map(({ method, params }, id) => ({ jsonrpc: '2.0', id, method, params })));
  const answer = await fetch(upstream, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  const answers = (await answer.json()) as (ProxiedAnswer & { id: number })[];
  return calls.map((_, id) => answers.find((candidate) => candidate.id === id));
}

/** A log as a node gives it, as far as faults need it. */
type Log = { logIndex: string; data: string; removed?: boolean };

/** Ready-made lies about logs, for `bendAnswer`. Each leaves every other call alone. */
export const LOG_FAULTS = {
  empty: logs(() => []),
  dropLast: logs((list) => list.slice(0, -1)),
  dropFirst: logs((list) => list.slice(1)),
  duplicate: logs((list) => list.flatMap((log) => [log, log])),
  reverse: logs((list) => list.toReversed()),
  /** The numbers of events that carry nothing but their number are shifted by one. */
  renumbered: logs((list) =>
    list.map((log) => ({ ...log, data: `0x${(BigInt(log.data) + 1n).toString(16).padStart(64, '0')}` })),
  ),
  removed: logs((list) => list.map((log) => ({ ...log, removed: true }))),
} as const;

function logs(bend: (list: Log[]) => Log[]): NonNullable<RpcProxy['bendAnswer']> {
  return (call, answer) => {
    if (call.method !== 'eth_getLogs' || !Array.isArray(answer.result)) return answer;
    return { result: bend(answer.result as Log[]) };
  };
}
