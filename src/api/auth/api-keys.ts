/**
 * API keys: made once by a wallet's signature, then used to sign requests with HMAC-SHA256 so that bots need no wallet for
 * reads and cancels. A key never withdraws and never signs an order: those need the owner's (or a session key's) signature.
 *
 * The secret is HMAC(master key, key id): nothing secret is stored, and losing the table leaks nothing. Changing the master key
 * ends every API key.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Pool } from 'pg';
import type { Address, Hash } from '../../domain/units.ts';

export const API_KEY_SCOPES = ['read', 'cancel', 'trade'] as const;
export type ApiKeyScope = (typeof API_KEY_SCOPES)[number];

export type ApiKey = {
  readonly keyId: string;
  readonly account: Address;
  readonly scopes: readonly ApiKeyScope[];
  readonly expiresAtMs: number;
  readonly label: string;
  readonly createdAtMs: number;
  readonly revokedAtMs: number | undefined;
};

/** Base64url, 43 characters. */
export function apiKeySecret(masterKey: string | Uint8Array, keyId: string): string {
  return createHmac('sha256', masterKey).update(`tallystick api key\n${keyId}`).digest('base64url');
}

/** What a request's signature is computed over; `path` with its query string, as sent. */
export function requestText(request: {
  method: string;
  path: string;
  timestampMs: number;
  body: string | Uint8Array;
}): string {
  const bodyHash = createHash('sha256').update(request.body).digest('hex');
  return `${request.method.toUpperCase()}\n${request.path}\n${request.timestampMs}\n${bodyHash}`;
}

/** Hex HMAC-SHA256 of `requestText` under the key's secret. */
export function signRequest(secret: string, text: string): string {
  return createHmac('sha256', secret).update(text).digest('hex');
}

/** In constant time, whatever the length of what came. */
export function isSameSignature(expectedHex: string, got: string): boolean {
  const expected = Buffer.from(expectedHex, 'utf8');
  const actual = Buffer.from(got.toLowerCase(), 'utf8');
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}

export type ApiKeyStore = {
  /** The same digest again returns the key made the first time. */
  create(
    key: Omit<ApiKey, 'keyId' | 'revokedAtMs'> & { readonly digest: Hash },
  ): Promise<{ key: ApiKey; created: boolean }>;
  find(keyId: string): Promise<ApiKey | undefined>;
  list(account: Address): Promise<readonly ApiKey[]>;
  /** False when the account has no such live key. */
  revoke(account: Address, keyId: string, atMs: number): Promise<boolean>;
};

const CACHE_MS = 5_000;
const CACHE_MAX = 10_000;

/** Keys in PostgreSQL; lookups are cached for 5 s, so that a revocation at another gateway takes effect within that time. */
export function createApiKeyStore(pool: Pool, clock: () => number): ApiKeyStore {
  const cache = new Map<string, { readonly key: ApiKey | undefined; readonly readAtMs: number }>();

  return {
    async create(key) {
      const inserted = await pool.query<ApiKeyRow>(
        `INSERT INTO api_keys (key_id, account, scopes, expires_at_ms, digest, label, created_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (digest) DO NOTHING RETURNING *`,
        [
          `tk_${randomBytes(12).toString('hex')}`,
          toBytes(key.account),
          key.scopes,
          key.expiresAtMs,
          toBytes(key.digest),
          key.label,
          key.createdAtMs,
        ],
      );
      const row = inserted.rows[0];
      if (row !== undefined) return { key: fromRow(row), created: true };
      const existing = await pool.query<ApiKeyRow>('SELECT * FROM api_keys WHERE digest = $1', [toBytes(key.digest)]);
      return { key: fromRow(existing.rows[0] as ApiKeyRow), created: false };
    },

    async find(keyId) {
      const cached = cache.get(keyId);
      if (cached !== undefined && clock() - cached.readAtMs < CACHE_MS) return cached.key;
      const result = await pool.query<ApiKeyRow>('SELECT * FROM api_keys WHERE key_id = $1', [keyId]);
      const row = result.rows[0];
      const key = row === undefined ? undefined : fromRow(row);
      if (cache.size >= CACHE_MAX) cache.clear();
      cache.set(keyId, { key, readAtMs: clock() });
      return key;
    },

    async list(account) {
      const result = await pool.query<ApiKeyRow>(
        'SELECT * FROM api_keys WHERE account = $1 ORDER BY created_at_ms DESC LIMIT 200',
        [toBytes(account)],
      );
      return result.rows.map(fromRow);
    },

    async revoke(account, keyId, atMs) {
      cache.delete(keyId);
      const result = await pool.query(
        'UPDATE api_keys SET revoked_at_ms = $3 WHERE account = $1 AND key_id = $2 AND revoked_at_ms IS NULL',
        [toBytes(account), keyId, atMs],
      );
      return (result.rowCount ?? 0) > 0;
    },
  };
}

type ApiKeyRow = {
  key_id: string;
  account: Buffer;
  scopes: ApiKeyScope[];
  expires_at_ms: string;
  label: string;
  created_at_ms: string;
  revoked_at_ms: string | null;
};

function fromRow(row: ApiKeyRow): ApiKey {
  return {
    keyId: row.key_id,
    account: `0x${row.account.toString('hex')}`,
    scopes: row.scopes,
    // Milliseconds since the epoch stay far below 2^53; pg gives bigint columns as text.
    expiresAtMs: Number(row.expires_at_ms),
    label: row.label,
    createdAtMs: Number(row.created_at_ms),
    revokedAtMs: row.revoked_at_ms === null ? undefined : Number(row.revoked_at_ms),
  };
}

function toBytes(hex: string): Buffer {
  return Buffer.from(hex.slice(2), 'hex');
}
