/**
 * Who is asking. Two ways, both proven per request:
 * - an API key: `tallystick-key`, `tallystick-timestamp`, `tallystick-signature` (and `tallystick-receive-window`);
 * - the wallet itself, for cancels without a key: `tallystick-account`, `tallystick-timestamp`, `tallystick-wallet-signature`
 *   over the EIP-712 message Cancel(account, scope, timestamp).
 * Neither can withdraw or trade: orders and withdrawals carry their own signature.
 */
import { SIGNATURE_PROBLEMS } from '../../chain/compact-signature.ts';
import type { Digester } from '../../chain/digests.ts';
import { recoverSigner } from '../../chain/recover.ts';
import type { Eip712Domain } from '../../domain/typed-data.ts';
import type { Address, Hash } from '../../domain/units.ts';
import { toChecksum } from '../addresses.ts';
import { ProblemError } from '../problem.ts';
import type { ApiKeyScope, ApiKeyStore } from './api-keys.ts';
import { apiKeySecret, isSameSignature, requestText, signRequest } from './api-keys.ts';

export const RECEIVE_WINDOW_DEFAULT_MS = 5_000;
export const RECEIVE_WINDOW_MAX_MS = 60_000;
/** A wallet's pop-up takes a person's time: its signatures are taken for five minutes. */
export const WALLET_WINDOW_MS = 300_000;
/** A clock may run ahead of ours by this much. */
const CLOCK_AHEAD_MAX_MS = 2_000;

export type Caller = {
  readonly account: Address;
  readonly scopes: ReadonlySet<ApiKeyScope>;
  /** Undefined for a wallet signature. */
  readonly keyId: string | undefined;
};

export type Credentials = {
  readonly keys: ApiKeyStore;
  readonly masterKey: string;
  readonly digester: Digester;
  readonly clock: () => number;
};

export type SignedRequest = {
  readonly method: string;
  /** With its query string, as it was sent. */
  readonly path: string;
  readonly body: string | Uint8Array;
  readonly header: (name: string) => string | undefined;
};

/** @throws ProblemError UNAUTHENTICATED without or with bad credentials, FORBIDDEN when the key lacks the scope. */
export async function authenticateKey(request: SignedRequest, scope: ApiKeyScope, using: Credentials): Promise<Caller> {
  const keyId = request.header('tallystick-key');
  const signature = request.header('tallystick-signature');
  if (keyId === undefined) {
    throw unauthenticated(
      'header/tallystick-key',
      'missing',
      'Sign the request with an API key (see /docs#authentication).',
    );
  }
  if (signature === undefined) {
    throw unauthenticated('header/tallystick-signature', 'missing', 'The request has a key but no signature.');
  }
  const timestampMs = checkTimestamp(request.header('tallystick-timestamp'), receiveWindow(request), using.clock());
  const key = /^tk_[0-9a-f]{24}$/.test(keyId) ? await using.keys.find(keyId) : undefined;
  const expected = signRequest(apiKeySecret(using.masterKey, keyId), requestText({ ...request, timestampMs }));
  // An unknown key and a wrong signature read alike, so that key ids cannot be probed.
  if (!isSameSignature(expected, signature) || key === undefined) {
    throw unauthenticated(
      'header/tallystick-signature',
      'bad_signature',
      'The signature does not match; it is the hex HMAC-SHA256 over method, path with query, timestamp and SHA-256 of the body, joined by newlines.',
    );
  }
  if (key.revokedAtMs !== undefined)
    throw unauthenticated('header/tallystick-key', 'revoked', 'This API key was revoked.');
  if (key.expiresAtMs <= using.clock())
    throw unauthenticated('header/tallystick-key', 'expired', 'This API key has expired.');
  if (!key.scopes.includes(scope)) {
    throw new ProblemError('FORBIDDEN', `This API key has the scopes ${key.scopes.join(', ')}; this needs ${scope}.`, {
      errors: [{ pointer: 'header/tallystick-key', code: 'missing_scope', message: `Needs the scope ${scope}.` }],
    });
  }
  return { account: key.account, scopes: new Set(key.scopes), keyId: key.keyId };
}

/** Whether the request brings a wallet's own Cancel signature. */
export function hasWalletSignature(request: SignedRequest): boolean {
  return request.header('tallystick-wallet-signature') !== undefined;
}

/**
 * A cancel that the wallet itself signed, for exactly this scope (`order:<id>`, `market:<symbol>`, `all`, `cancel-after:<timeoutMs>`, `login`).
 * @throws ProblemError UNAUTHENTICATED or INVALID_SIGNATURE
 */
export function authenticateWallet(request: SignedRequest, scope: string, using: Credentials): Caller {
  const account = request.header('tallystick-account') ?? '';
  if (!/^0x[0-9a-fA-F]{40}$/.test(account)) {
    throw unauthenticated(
      'header/tallystick-account',
      'missing',
      'Name the account that signed, as 0x and 40 hex digits.',
    );
  }
  const timestampMs = checkTimestamp(request.header('tallystick-timestamp'), WALLET_WINDOW_MS, using.clock());
  const message = { account: account.toLowerCase() as Address, scope, timestamp: BigInt(timestampMs) };
  const digest = using.digester.cancel(message);
  requireSigner(message.account, digest, request.header('tallystick-wallet-signature') ?? '', using.digester.domain);
  return { account: message.account, scopes: new Set(['read', 'cancel']), keyId: undefined };
}

/** @throws ProblemError INVALID_SIGNATURE saying who was expected, who signed, over what digest, under which domain. */
export function requireSigner(account: Address, digest: Hash, signature: string, domain: Eip712Domain): void {
  const recovered = recoverSigner(digest, signature);
  if (recovered.kind === 'malformed') {
    throw invalidSignature({
      account,
      signer: undefined,
      digest,
      domain,
      message: SIGNATURE_PROBLEMS[recovered.reason],
      code: recovered.reason,
    });
  }
  if (recovered.signer !== account) throw invalidSignature({ account, signer: recovered.signer, digest, domain });
}

/** The signature error of this API: opaque ones are the commonest complaint about exchanges with signed orders. */
export function invalidSignature(found: {
  readonly account: Address;
  readonly signer: Address | undefined;
  readonly digest: Hash;
  readonly domain: Eip712Domain;
  readonly code?: string;
  readonly message?: string;
}): ProblemError {
  const message =
    found.message ??
    `The signature recovers to ${found.signer === undefined ? 'nobody' : toChecksum(found.signer)}, expected ${toChecksum(found.account)} or one of its session keys. ` +
      'A signer that changes with every attempt means that another message, chain or vault was signed: compare digest and domain.';
  return new ProblemError('INVALID_SIGNATURE', message, {
    errors: [{ pointer: '/signature', code: found.code ?? 'wrong_signer', message }],
    extensions: {
      signature: {
        expectedAccount: toChecksum(found.account),
        recoveredSigner: found.signer === undefined ? null : toChecksum(found.signer),
        digest: found.digest,
        domain: { ...found.domain, verifyingContract: toChecksum(found.domain.verifyingContract) },
      },
    },
  });
}

/** Milliseconds; within the window before now, and not ahead of our clock. */
export function checkTimestamp(text: string | undefined, windowMs: number, nowMs: number): number {
  if (text === undefined || !/^[0-9]{12,14}$/.test(text)) {
    throw unauthenticated(
      'header/tallystick-timestamp',
      'missing',
      'Send the time in milliseconds since the Unix epoch.',
    );
  }
  const timestampMs = Number(text);
  if (timestampMs < nowMs - windowMs || timestampMs > nowMs + CLOCK_AHEAD_MAX_MS) {
    throw unauthenticated(
      'header/tallystick-timestamp',
      'outside_window',
      `The timestamp ${timestampMs} is ${timestampMs - nowMs} ms from our clock (${nowMs}); it may be at most ${windowMs} ms old. GET /api/v1/time tells our time.`,
    );
  }
  return timestampMs;
}

function receiveWindow(request: SignedRequest): number {
  const text = request.header('tallystick-receive-window');
  if (text === undefined) return RECEIVE_WINDOW_DEFAULT_MS;
  const windowMs = /^[0-9]{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (!(windowMs >= 1 && windowMs <= RECEIVE_WINDOW_MAX_MS)) {
    throw unauthenticated(
      'header/tallystick-receive-window',
      'bad_value',
      `The window must be 1 to ${RECEIVE_WINDOW_MAX_MS} ms.`,
    );
  }
  return windowMs;
}

function unauthenticated(pointer: string, code: string, message: string): ProblemError {
  return new ProblemError('UNAUTHENTICATED', message, { errors: [{ pointer, code, message }] });
}
