/**
 * One client order id names one order of an account, across all gateways. It is claimed in the database before the order goes to
 * the engine, and released when the engine refuses the order. Only orders that carry an id pay for this.
 */
import { createHash } from 'node:crypto';
import type { Pool } from 'pg';
import type { Address, Hash } from '../../domain/units.ts';
import { bytesOf, hexOf } from '../../storage/queries/rows.ts';
import type { ReadOrder } from './read-signed.ts';

/** A claim this old without an accepted order belongs to a gateway that died in between. */
export const CLAIM_STALE_MS = 60_000;

export type Claim = { readonly digest: Hash; readonly contentHash: Hash; readonly claimedAtMs: number };

/** What an order says apart from nonce, expiry and signature, so that a re-signed retry counts as the same. */
export function contentHashOf({ message, options }: ReadOrder): Hash {
  const content = [
    message.side,
    message.baseToken,
    message.baseAmount,
    message.quoteToken,
    message.quoteAmount,
    message.timeInForce,
    message.postOnly,
    message.maxFeePpm,
    options.selfTradePrevention,
    options.stop?.direction ?? '',
    options.stop?.triggerPriceTicks ?? '',
  ];
  return `0x${createHash('sha256').update(content.join('\n')).digest('hex')}`;
}

/** Undefined when the id is now ours (or was before, for the same digest); else the claim that stands in the way. */
export async function claimClientOrderId(
  pool: Pool,
  claim: Claim & { readonly account: Address; readonly clientOrderId: string },
): Promise<Claim | undefined> {
  // The claim need not survive a crash of the database: the order itself is in the journal by then, or was never placed.
  const inserted = await pool.query(
    `INSERT INTO client_order_ids (account, client_order_id, digest, content_hash, claimed_at_ms)
     SELECT $1, $2, $3, $4, $5 FROM (SELECT set_config('synchronous_commit', 'off', true)) AS setting
     ON CONFLICT DO NOTHING`,
    [bytesOf(claim.account), claim.clientOrderId, bytesOf(claim.digest), bytesOf(claim.contentHash), claim.claimedAtMs],
  );
  if (inserted.rowCount === 1) return undefined;
  const { rows } = await pool.query<{ digest: Buffer; content_hash: Buffer; claimed_at_ms: string }>(
    'SELECT digest, content_hash, claimed_at_ms FROM client_order_ids WHERE account = $1 AND client_order_id = $2',
    [bytesOf(claim.account), claim.clientOrderId],
  );
  const row = rows[0];
  // Released between the two statements: whoever comes now finds it free.
  if (row === undefined) return claimClientOrderId(pool, claim);
  const standing = {
    digest: hexOf(row.digest),
    contentHash: hexOf(row.content_hash),
    claimedAtMs: Number(row.claimed_at_ms),
  };
  return standing.digest === claim.digest && standing.contentHash === claim.contentHash ? undefined : standing;
}

/** Takes over a claim whose order never came to be. False when somebody else was faster. */
export async function takeOverClientOrderId(
  pool: Pool,
  from: Claim,
  claim: Claim & { readonly account: Address; readonly clientOrderId: string },
): Promise<boolean> {
  const updated = await pool.query(
    `UPDATE client_order_ids SET digest = $3, content_hash = $4, claimed_at_ms = $5
     WHERE account = $1 AND client_order_id = $2 AND digest = $6 AND claimed_at_ms = $7`,
    [
      bytesOf(claim.account),
      claim.clientOrderId,
      bytesOf(claim.digest),
      bytesOf(claim.contentHash),
      claim.claimedAtMs,
      bytesOf(from.digest),
      from.claimedAtMs,
    ],
  );
  return updated.rowCount === 1;
}

export async function releaseClientOrderId(
  pool: Pool,
  account: Address,
  clientOrderId: string,
  digest: Hash,
): Promise<void> {
  await pool.query('DELETE FROM client_order_ids WHERE account = $1 AND client_order_id = $2 AND digest = $3', [
    bytesOf(account),
    clientOrderId,
    bytesOf(digest),
  ]);
}
