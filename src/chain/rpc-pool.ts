/**
 * Several JSON-RPC endpoints of one chain behind one function.
 *
 * `run(work)` gives `work` one endpoint, so that everything it reads comes from the same node, and repeats it on the next
 * endpoint when it fails with a retryable error. An endpoint is verified (chain identity) before its first use and again
 * after every failure. Endpoints that fail wait longer each time; the first one listed is preferred when it is well. One whose head stands
 * still while another's goes on is frozen: its answers are good, and old, so that no failure shows it; it is asked last.
 *
 * What comes back is checked for shape only: cut JSON, missing or foreign ids and HTTP errors are failures, never answers.
 * Whether an answer is *true* is for the caller to check (block hashes, parents, event sequence).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ExchangeError } from '../domain/errors.ts';

export type RpcCall = { readonly method: string; readonly params: readonly unknown[] };

/** One node. Throws ExchangeError RPC_FAILED with `details.reason`, one of RpcFailureReason. */
export type RpcEndpoint = {
  /** Host only: the rest of the URL may hold an API key. */
  readonly name: string;
  readonly request: (method: string, params: readonly unknown[]) => Promise<unknown>;
  /** One HTTP request per 100 calls; answers in the order asked. Fails when any call fails. */
  readonly batch: (calls: readonly RpcCall[]) => Promise<unknown[]>;
};

export type RpcFailureReason =
  | 'transport'
  | 'rate_limited'
  | 'malformed'
  | 'range_too_large'
  /** Answers that do not fit together, or not to what is known. */
  | 'inconsistent'
  /** Logs that the vault's numbering proves to be missing, or to be others. */
  | 'events_missing'
  | 'reverted'
  | 'refused';

export type RpcPool = {
  /**
   * Runs `work` on the best endpoint, then on the others while it fails retryably.
   * @throws the last error when every endpoint failed, or the first one that is not retryable.
   */
  readonly run: <T>(work: (endpoint: RpcEndpoint) => Promise<T>) => Promise<T>;
  readonly endpoints: readonly RpcEndpoint[];
  /** In the order of `endpoints`. */
  readonly health: () => readonly RpcHealth[];
};

type RpcHealth = {
  readonly name: string;
  /** Since it last answered well. */
  readonly failures: number;
  readonly lastError: string | undefined;
  /** Its head has not moved for a while, and another node's has. */
  readonly frozen: boolean;
};

export type RpcPoolOptions = {
  readonly timeoutMs?: number;
  /** Called before an endpoint's first use and after its failures; throws when it serves another chain. */
  readonly verify?: (endpoint: RpcEndpoint) => Promise<void>;
  /** Longest wait after repeated failures of an endpoint. */
  readonly backoffMaxMs?: number;
  /** A node whose head stands still so long, while another's goes on, is asked last. 30 s by default. */
  readonly frozenAfterMs?: number;
};

const FROZEN_AFTER_MS = 30_000;
/** Heads are looked at so many times within that. */
const HEAD_LOOKS = 6;

const BATCH_CALLS_MAX = 100;
const BACKOFF_FIRST_MS = 100;

export function rpcFailure(
  reason: RpcFailureReason,
  message: string,
  details: Readonly<Record<string, unknown>> = {},
  cause?: unknown,
): ExchangeError {
  return new ExchangeError('RPC_FAILED', message, { cause, details: { ...details, reason } });
}

/** Reason of a failure made by `rpcFailure`; undefined for any other error. */
export function rpcFailureReason(error: unknown): RpcFailureReason | undefined {
  if (!(error instanceof ExchangeError) || error.code !== 'RPC_FAILED') return undefined;
  return error.details['reason'] as RpcFailureReason;
}

/** @throws ExchangeError CONFIGURATION when there is no URL or one is not a URL. */
export function createRpcPool(urls: readonly string[], options: RpcPoolOptions = {}): RpcPool {
  if (urls.length === 0) throw new ExchangeError('CONFIGURATION', 'at least one RPC URL is needed');
  const backoffMaxMs = options.backoffMaxMs ?? 10_000;
  const members = urls.map((url) => ({
    endpoint: createRpcEndpoint(url, options.timeoutMs),
    failures: 0,
    notBefore: 0,
    verified: options.verify === undefined,
    lastError: undefined as string | undefined,
  }));
  type Member = (typeof members)[number];
  const heads = watchHeights(
    members.map(({ endpoint }) => endpoint),
    options.frozenAfterMs ?? FROZEN_AFTER_MS,
  );

  const fail = (member: Member, error: unknown): void => {
    member.failures += 1;
    member.verified = options.verify === undefined;
    member.lastError = error instanceof Error ? error.message : String(error);
    const asked = error instanceof ExchangeError ? Number(error.details['retryAfterMs'] ?? 0) : 0;
    const wait = Math.min(backoffMaxMs, Math.max(asked, BACKOFF_FIRST_MS * 2 ** Math.min(member.failures - 1, 10)));
    member.notBefore = performance.now() + wait;
  };

  const attempt = async <T>(member: Member, work: (endpoint: RpcEndpoint) => Promise<T>): Promise<T> => {
    if (!member.verified && options.verify !== undefined) {
      await options.verify(member.endpoint);
      member.verified = true;
    }
    const result = await work(member.endpoint);
    member.failures = 0;
    member.lastError = undefined;
    return result;
  };

  return {
    endpoints: members.map((member) => member.endpoint),
    health: () =>
      members.map(({ endpoint, failures, lastError }) => ({
        name: endpoint.name,
        failures,
        lastError,
        frozen: heads.isFrozen(endpoint),
      })),
    run: async (work) => {
      heads.look();
      const untried = new Set(members);
      let lastError: unknown;
      while (untried.size > 0) {
        const now = performance.now();
        const rested = [...untried].filter((member) => member.notBefore <= now);
        const ready = rested.find((member) => !heads.isFrozen(member.endpoint)) ?? rested[0];
        if (ready === undefined) {
          const earliest = Math.min(...[...untried].map((member) => member.notBefore));
          await sleep(Math.max(1, earliest - now));
          continue;
        }
        untried.delete(ready);
        try {
          return await attempt(ready, work);
        } catch (error) {
          fail(ready, error);
          if (!shouldTryNext(error)) throw error;
          lastError = error;
        }
      }
      throw lastError;
    },
  };
}

/** Heights of several nodes' heads, looked at now and then while they are in use; of one node nothing can be said. */
function watchHeights(
  endpoints: readonly RpcEndpoint[],
  frozenAfterMs: number,
): { readonly look: () => void; readonly isFrozen: (endpoint: RpcEndpoint) => boolean } {
  const heads = new Map<RpcEndpoint, { readonly height: number; readonly sinceMs: number }>();
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  const readHeight = async (endpoint: RpcEndpoint): Promise<void> => {
    const height = Number(await endpoint.request('eth_blockNumber', []));
    if (heads.get(endpoint)?.height !== height) heads.set(endpoint, { height, sinceMs: performance.now() });
  };
  return {
    look: () => {
      if (endpoints.length < 2 || performance.now() - lookedAtMs < frozenAfterMs / HEAD_LOOKS) return;
      lookedAtMs = performance.now();
      // A node that does not answer here will not answer its next user either, who reports it.
      for (const endpoint of endpoints) readHeight(endpoint).catch(() => undefined);
    },
    isFrozen: (endpoint) => {
      const own = heads.get(endpoint);
      if (own === undefined || performance.now() - own.sinceMs < frozenAfterMs) return false;
      return [...heads.values()].some(({ height, sinceMs }) => height > own.height && sinceMs > own.sinceMs);
    },
  };
}

/** A node of another chain is passed over like one that is down; when all are, the last error says so. */
function shouldTryNext(error: unknown): boolean {
  if (!(error instanceof ExchangeError)) return false;
  if (error.code === 'CHAIN_MISMATCH') return true;
  return (
    error.code === 'RPC_FAILED' &&
    error.details['reason'] !== 'reverted' &&
    error.details['reason'] !== 'range_too_large'
  );
}

/** @throws ExchangeError CONFIGURATION when `url` is not an http(s) URL. */
export function createRpcEndpoint(url: string, timeoutMs = 10_000): RpcEndpoint {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new ExchangeError('CONFIGURATION', 'an RPC URL must be http(s)', { details: { length: url.length } });
  }
  const name = new URL(url).host;
  let nextId = 1;

  const batch = async (calls: readonly RpcCall[]): Promise<unknown[]> => {
    const answers: unknown[] = [];
    for (let start = 0; start < calls.length; start += BATCH_CALLS_MAX) {
      const chunk = calls.slice(start, start + BATCH_CALLS_MAX);
      const firstId = nextId;
      nextId += chunk.length;
      const body = chunk.map((call, index) => ({
        jsonrpc: '2.0',
        id: firstId + index,
        method: call.method,
        params: call.params,
      }));
      const parsed = await post(url, name, JSON.stringify(body.length === 1 ? body[0] : body), timeoutMs);
      answers.push(...matchAnswers(Array.isArray(parsed) ? parsed : [parsed], chunk, firstId, name));
    }
    return answers;
  };
  return { name, batch, request: async (method, params) => (await batch([{ method, params }]))[0] };
}

async function post(url: string, name: string, body: string, timeoutMs: number): Promise<unknown> {
  let response: Response;
  let text: string;
  try {
    const headers = { 'content-type': 'application/json' };
    response = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(timeoutMs) });
    text = await response.text();
  } catch (error) {
    throw rpcFailure(
      'transport',
      `${name} did not answer: ${error instanceof Error ? error.message : String(error)}`,
      {},
      error,
    );
  }
  if (response.status === 429) {
    const retryAfterMs = Number(response.headers.get('retry-after') ?? '0') * 1000;
    throw rpcFailure('rate_limited', `${name} asks to slow down (429)`, {
      retryAfterMs: Number.isFinite(retryAfterMs) ? retryAfterMs : 0,
    });
  }
  // Some providers send a JSON-RPC error with a status of its own; it says more than the status.
  if (!response.ok && !isRpcError(text)) throw rpcFailure('transport', `${name} answered HTTP ${response.status}`);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw rpcFailure('malformed', `${name} answered with ${text.length} characters that are not JSON`, {}, error);
  }
}

function isRpcError(text: string): boolean {
  if (text.length > 100_000 || !/^\s*\{.*"error"\s*:\s*\{/s.test(text)) return false;
  try {
    return typeof (JSON.parse(text) as RpcAnswer).error?.message === 'string';
  } catch {
    return false;
  }
}

type RpcAnswer = { id?: unknown; result?: unknown; error?: { code?: unknown; message?: unknown; data?: unknown } };

function matchAnswers(
  answers: readonly unknown[],
  calls: readonly RpcCall[],
  firstId: number,
  name: string,
): unknown[] {
  const byId = new Map<unknown, RpcAnswer>();
  for (const answer of answers) {
    if (typeof answer === 'object' && answer !== null) byId.set((answer as RpcAnswer).id, answer as RpcAnswer);
  }
  return calls.map((call, index) => {
    const answer = byId.get(firstId + index);
    if (answer === undefined) {
      const lone = answers.length === 1 ? (answers[0] as RpcAnswer | null) : undefined;
      if (lone?.error !== undefined) throw answerFailure(lone.error, call, name);
      throw rpcFailure('malformed', `${name} left ${call.method} unanswered`);
    }
    if (answer.error !== undefined) throw answerFailure(answer.error, call, name);
    if (answer.result === undefined) throw rpcFailure('malformed', `${name} answered ${call.method} without a result`);
    return answer.result;
  });
}

/** Providers word "too many logs" differently and use -32005, -32602 or -32000 for it, so the words decide. */
const RANGE_WORDS =
  /more than \d+ results|max(imum)? results|\branges?\b|response (is )?too (large|big)|response size|query timeout|too many (logs|results|blocks)/i;

/** A quantity such as `0x1a`. @throws ExchangeError RPC_FAILED, retryable, when it is none: another node may know better. */
function quantityOf(value: unknown, what: string): bigint {
  if (typeof value === 'string' && /^0x[0-9a-f]{1,64}$/i.test(value)) return BigInt(value);
  throw rpcFailure('malformed', `${what} came as ${JSON.stringify(value)?.slice(0, 80)}, not as a quantity`);
}

/** A quantity that is a safe integer. @throws ExchangeError RPC_FAILED */
export function numberOf(value: unknown, what: string): number {
  const quantity = quantityOf(value, what);
  if (quantity <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(quantity);
  throw rpcFailure('malformed', `${what} came as ${quantity}, beyond any that can be`);
}

function answerFailure(error: NonNullable<RpcAnswer['error']>, call: RpcCall, name: string): ExchangeError {
  const message = String(error.message ?? 'no message');
  const details = { method: call.method, rpcCode: error.code, data: error.data };
  const text = `${name} refused ${call.method}: ${message}`;
  if (call.method === 'eth_getLogs' && RANGE_WORDS.test(message)) return rpcFailure('range_too_large', text, details);
  if (error.code === 3 || /revert/i.test(message)) return rpcFailure('reverted', text, details);
  if (error.code === -32005 || error.code === 429) return rpcFailure('rate_limited', text, details);
  return rpcFailure('refused', text, details);
}
