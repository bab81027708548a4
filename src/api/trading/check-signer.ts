/** Whether the signer may sign for the account: a quick look that gives a clear error. The engine decides in the end. */
import type { Pool } from 'pg';
import type { CheckedSignature } from '../../chain/check-signature.ts';
import { SIGNATURE_PROBLEMS } from '../../chain/compact-signature.ts';
import type { SignaturePool } from '../../chain/signature-pool.ts';
import type { Address } from '../../domain/units.ts';
import { findSessionKey } from '../../storage/queries/listings.ts';
import { toChecksum } from '../addresses.ts';
import { invalidSignature } from '../auth/authenticate.ts';

/** A key seen valid is not looked up again for this long; the engine refuses what was revoked meanwhile. */
const SEEN_MS = 2_000;
const SEEN_MAX = 10_000;
const seen = new WeakMap<Pool, Map<string, number>>();

export type SignerCheck = { readonly pool: Pool; readonly signatures: SignaturePool; readonly clock: () => number };

/** @throws ProblemError INVALID_SIGNATURE with expected account, recovered signer, digest and domain */
export async function checkSigner(checked: CheckedSignature, market: number, using: SignerCheck): Promise<void> {
  const { account, signer, digest, problem } = checked;
  const { domain } = using.signatures;
  if (signer === undefined) {
    const reason = problem ?? 'not_recoverable';
    throw invalidSignature({ account, signer, digest, domain, code: reason, message: SIGNATURE_PROBLEMS[reason] });
  }
  if (signer === account) return;
  const message = await sessionKeyProblem(account, signer, market, using);
  if (message !== undefined) throw invalidSignature({ account, signer, digest, domain, ...message });
}

async function sessionKeyProblem(
  account: Address,
  signer: Address,
  market: number,
  using: SignerCheck,
): Promise<{ code?: string; message?: string } | undefined> {
  const nowMs = using.clock();
  const known = seen.get(using.pool) ?? new Map<string, number>();
  seen.set(using.pool, known);
  const name = `${account}/${signer}/${market}`;
  if ((known.get(name) ?? 0) > nowMs) return undefined;
  const key = await findSessionKey(using.pool, account, signer);
  if (key === undefined) return {};
  const who = `${toChecksum(signer)} is a session key of ${toChecksum(account)}`;
  if (key.validUntil * 1000 <= nowMs) {
    return { code: 'session_key_ended', message: `${who}, but it has expired or was revoked.` };
  }
  const allowsMarket = ((key.marketMask >> 255n) & 1n) === 1n || ((key.marketMask >> BigInt(market)) & 1n) === 1n;
  if (!allowsMarket) return { code: 'session_key_market', message: `${who}, but not for this market.` };
  if (known.size >= SEEN_MAX) known.clear();
  known.set(name, Math.min(nowMs + SEEN_MS, key.validUntil * 1000));
  return undefined;
}
