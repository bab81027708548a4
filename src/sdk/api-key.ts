/**
 * API keys: one wallet signature makes one, then requests are signed by HMAC-SHA256 so that reads and cancels need no wallet.
 * WebCrypto only, so that it runs in browsers as it does in Node.
 */
import type { Eip712Domain } from '../domain/typed-data.ts';
import { API_KEY_TYPES } from '../domain/typed-data.ts';
import type { HttpClient } from './http.ts';
import type { Signer } from './signers.ts';

export type ApiKeyCredentials = { readonly keyId: string; readonly secret: string };

/** Makes a key of scopes read and cancel that lives for `lifetimeMs`. One signature. */
export async function createApiKey(options: {
  http: HttpClient;
  signer: Signer;
  domain: Eip712Domain;
  nowMs: number;
  lifetimeMs: number;
}): Promise<ApiKeyCredentials> {
  const { http, signer, domain, nowMs, lifetimeMs } = options;
  const message = { account: signer.address, scopes: 'read,cancel', expiry: nowMs + lifetimeMs, timestamp: nowMs };
  const signature = await signer.signTypedData({
    domain,
    types: API_KEY_TYPES,
    primaryType: 'ApiKey',
    message: { ...message, expiry: BigInt(message.expiry), timestamp: BigInt(message.timestamp) },
  });
  const created = await http.request<{ keyId: string; secret: string }>('/api/v1/auth/keys', {
    method: 'POST',
    body: { ...message, signature },
    repeatable: true,
  });
  return { keyId: created.keyId, secret: created.secret };
}

/** Headers that authenticate one request: hex HMAC over method, path with query, time in milliseconds and SHA-256 of the body. */
export async function signRequest(
  credentials: ApiKeyCredentials,
  request: { method: string; path: string; body: string; nowMs: number },
): Promise<Record<string, string>> {
  const encoder = new TextEncoder();
  const bodyHash = hex(await crypto.subtle.digest('SHA-256', encoder.encode(request.body)));
  const text = `${request.method}\n${request.path}\n${request.nowMs}\n${bodyHash}`;
  const key = await crypto.subtle.importKey(
    'raw',
    encoder.encode(credentials.secret),
    { name: 'HMAC', hash: 'SHA-256' },
    false,
    ['sign'],
  );
  return {
    'tallystick-key': credentials.keyId,
    'tallystick-timestamp': String(request.nowMs),
    'tallystick-signature': hex(await crypto.subtle.sign('HMAC', key, encoder.encode(text))),
  };
}

/** The message that logs a WebSocket in. */
export async function signLogin(credentials: ApiKeyCredentials, nowMs: number): Promise<object> {
  const headers = await signRequest(credentials, { method: 'GET', path: '/ws', body: '', nowMs });
  return { op: 'login', key: credentials.keyId, timestamp: nowMs, signature: headers['tallystick-signature'] };
}

function hex(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
