/** A plain HTTP client for tests: JSON in and out, with the status and the headers kept. */
import { apiKeySecret, requestText, signRequest } from '../../../src/api/auth/api-keys.ts';
import { API_KEY_SECRET, apiKeyBody, type Wallet } from './api-exchange.ts';

// biome-ignore lint/suspicious/noExplicitAny: answers are read field by field in assertions
export type Json = any;
export type Answer = { readonly status: number; readonly headers: Headers; readonly body: Json };

export async function send(
  url: string,
  method: string,
  path: string,
  options: { readonly body?: unknown; readonly headers?: Record<string, string>; readonly raw?: string } = {},
): Promise<Answer> {
  const body = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...options.headers },
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  const isJson = (response.headers.get('content-type') ?? '').includes('json');
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}

export type KeyHolder = { readonly keyId: string; readonly secret: string };

export async function makeKey(url: string, wallet: Wallet, change: Record<string, unknown> = {}): Promise<KeyHolder> {
  const answer = await send(url, 'POST', '/api/v1/auth/keys', { body: await apiKeyBody(wallet, change) });
  if (answer.status !== 201) throw new Error(`no key: ${JSON.stringify(answer.body)}`);
  return answer.body as KeyHolder;
}

/** Headers of a request signed by an API key. */
export function keyHeaders(
  key: KeyHolder,
  method: string,
  path: string,
  body = '',
  timestampMs = Date.now(),
): Record<string, string> {
  return {
    'tallystick-key': key.keyId,
    'tallystick-timestamp': String(timestampMs),
    'tallystick-signature': signRequest(key.secret, requestText({ method, path, timestampMs, body })),
  };
}

export function signedSend(url: string, key: KeyHolder, method: string, path: string, body?: unknown): Promise<Answer> {
  const raw = body === undefined ? '' : JSON.stringify(body);
  return send(url, method, path, { headers: keyHeaders(key, method, path, raw), ...(raw === '' ? {} : { raw }) });
}

/** The secret that the server would derive. */
export function secretOf(keyId: string): string {
  return apiKeySecret(API_KEY_SECRET, keyId);
}
