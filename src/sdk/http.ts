/** Requests to the API: problem documents become TallystickError, retries send the same bytes. */
import { TallystickError } from './errors.ts';

export type RequestOptions = {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** Safe to send again after a lost answer: reads, cancels, and signed requests that the API deduplicates. */
  readonly repeatable?: boolean;
};

export type HttpClient = {
  request<T>(path: string, options?: RequestOptions): Promise<T>;
};

type Sign = (request: { method: string; path: string; body: string }) => Promise<Record<string, string>>;

const TIMEOUT_MS = 10_000;
const ATTEMPTS_MAX = 6;

/**
 * @param baseUrl e.g. `http://127.0.0.1:3000`
 * @param authorize adds authentication headers to each attempt (times differ between attempts, the body never does).
 */
export function createHttpClient(baseUrl: string, authorize?: Sign): HttpClient {
  const root = baseUrl.replace(/\/$/, '');

  async function attempt(url: string, path: string, body: string, options: RequestOptions): Promise<Response> {
    const method = options.method ?? 'GET';
    const headers: Record<string, string> = { accept: 'application/json', ...options.headers };
    if (body !== '') headers['content-type'] = 'application/json';
    if (authorize !== undefined) Object.assign(headers, await authorize({ method, path, body }));
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    const signal = options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
    return fetch(url, { method, headers, signal, ...(body === '' ? {} : { body }) });
  }

  return {
    async request<T>(path: string, options: RequestOptions = {}): Promise<T> {
      const query = new URLSearchParams();
      for (const [name, value] of Object.entries(options.query ?? {})) {
        if (value !== undefined) query.set(name, String(value));
      }
      const target = query.size === 0 ? path : `${path}?${query}`;
      const body = options.body === undefined ? '' : JSON.stringify(options.body);
      const repeatable = options.repeatable ?? (options.method ?? 'GET') === 'GET';
      for (let tries = 1; ; tries++) {
        let failure: TallystickError;
        try {
          const response = await attempt(`${root}${target}`, target, body, options);
          if (response.ok) return (response.status === 204 ? undefined : await response.json()) as T;
          failure = await problemOf(response);
        } catch (cause) {
          if (options.signal?.aborted) throw cause;
          failure =
            cause instanceof TallystickError
              ? cause
              : new TallystickError('NETWORK', `${options.method ?? 'GET'} ${path} got no answer from ${root}`, {
                  cause,
                  retryable: true,
                });
        }
        if (!failure.retryable || !repeatable || tries >= ATTEMPTS_MAX) throw failure;
        await pause(retryDelayMs(tries, failure), options.signal);
      }
    },
  };
}

async function problemOf(response: Response): Promise<TallystickError> {
  const text = await response.text();
  let problem: Record<string, unknown> = {};
  try {
    problem = JSON.parse(text) as Record<string, unknown>;
  } catch {
    problem = { title: response.statusText, detail: text.slice(0, 300) };
  }
  const fields = Array.isArray(problem['errors']) ? (problem['errors'] as { code?: string; message?: string }[]) : [];
  const sentence = String(problem['detail'] ?? problem['title'] ?? response.statusText);
  return new TallystickError(String(problem['code'] ?? `HTTP_${response.status}`), withReasons(sentence, fields), {
    docsUrl: typeof problem['type'] === 'string' ? problem['type'] : undefined,
    retryable: problem['retryable'] === true || response.status === 502 || response.status === 504,
    details: { ...problem, status: response.status, retryAfter: response.headers.get('retry-after') ?? undefined },
  });
}

/** The sentence, and of the reasons only what it does not say already: it mostly repeats the first. */
function withReasons(sentence: string, fields: readonly { code?: string; message?: string }[]): string {
  const unsaid = fields
    .filter(({ code, message }) => !sentence.includes(message ?? code ?? ''))
    .map(({ code, message }) => [code, message].filter((part) => part !== undefined && part !== '').join(': '));
  return unsaid.length === 0 ? sentence : `${sentence} (${unsaid.join('; ')})`;
}

/** 50 ms doubling up to 2 s, or what the server asked for up to 5 s. */
function retryDelayMs(tries: number, failure: TallystickError): number {
  const asked = Number(failure.details['retryAfter'] ?? Number.NaN) * 1000;
  return Number.isFinite(asked) ? Math.min(Math.max(asked, 50), 5000) : Math.min(50 * 2 ** tries, 2000);
}

export async function pause(delayMs: number, signal?: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason instanceof Error ? signal.reason : new Error('aborted'));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, delayMs);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
}
