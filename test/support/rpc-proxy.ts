/**
 * A small strict JSON-RPC proxy: passes every call on to a real node, and lets a test bend what goes through. Batches are taken apart, so
 * that a fault hits single calls whichever way the client groups them.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

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
  const calls = Array.isArray(body) ? body : [body];
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
  const answers = await forward(proxy.upstream, calls);
  const bent = calls.map((call, index) => {
    const answer = answers[index] ?? { error: { code: -32603, message: 'the node left the call unanswered' } };
    const { result, error } = proxy.bendAnswer?.(call, answer) ?? answer;
    return { jsonrpc: '2.0', id: call.id, ...(error === undefined ? { result } : { error }) };
  });
  const text = JSON.stringify(Array.isArray(body) ? bent : bent[0]);
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(fault?.kind === 'cut' ? text.slice(0, Math.floor(text.length / 2)) : text);
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
