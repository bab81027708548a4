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

type NewClaim = Claim & { readonly account: Address; readonly clientOrderId: string };
type Waiting = {
  readonly claim: NewClaim;
  readonly resolve: (standing: Claim | undefined) => void;
  readonly reject: (error: unknown) => void;
};

/** Claims that come while one statement is under way share the next: the orders of a batch cost one round trip, not fifty. */
export class ClientOrderIdClaims {
  readonly #pool: Pool;
  #gathering: Waiting[] = [];
  #isRunning = false;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** Undefined when the id is now ours (or was before, for the same digest); else the claim that stands in the way. Earlier calls win. */
  claim(claim: NewClaim): Promise<Claim | undefined> {
    return new Promise((resolve, reject) => {
      this.#gathering.push({ claim, resolve, reject });
      if (this.#isRunning) return;
      this.#isRunning = true;
      setImmediate(() => void this.#run());
    });
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    while (this.#gathering.length > 0) {
      const group = this.#gathering;
      this.#gathering = [];
      try {
        const claimed = await insertClaims(
          this.#pool,
          group.map(({ claim }) => claim),
        );
        for (const { claim, resolve, reject } of group) {
          // One that stands in the way is rare, and is looked up by itself.
          if (claimed.delete(claimName(claim))) resolve(undefined);
          else this.#inTheWay(claim).then(resolve, reject);
        }
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#isRunning = false;
  }

  async #inTheWay(claim: NewClaim): Promise<Claim | undefined> {
    const standing = await standingClaim(this.#pool, claim);
    // Released between the two statements: whoever comes now finds it free.
    return standing === 'none' ? this.claim(claim) : standing;
  }
}

/** The claims that were free and are now made, by name. */
async function insertClaims(pool: Pool, claims: readonly NewClaim[]): Promise<Set<string>> {
  // In one order everywhere, so that two gateways never wait for each other; equal ids keep theirs.
  const sorted = claims.toSorted((a, b) => compare(a.account, b.account) || compare(a.clientOrderId, b.clientOrderId));
  // The claim need not survive a crash of the database: the order itself is in the journal by then, or was never placed.
  const { rows } = await pool.query<{ account: Buffer; client_order_id: string; digest: Buffer }>(
    `INSERT INTO client_order_ids (account, client_order_id, digest, content_hash, claimed_at_ms)
     SELECT claim.* FROM (SELECT set_config('synchronous_commit', 'off', true)) AS setting,
       unnest($1::bytea[], $2::text[], $3::bytea[], $4::bytea[], $5::bigint[]) AS claim
     ON CONFLICT DO NOTHING RETURNING account, client_order_id, digest`,
    [
      sorted.map(({ account }) => bytesOf(account)),
      sorted.map(({ clientOrderId }) => clientOrderId),
      sorted.map(({ digest }) => bytesOf(digest)),
      sorted.map(({ contentHash }) => bytesOf(contentHash)),
      sorted.map(({ claimedAtMs }) => claimedAtMs),
    ],
  );
  return new Set(
    rows.map((row) =>
      claimName({ account: hexOf(row.account), clientOrderId: row.client_order_id, digest: hexOf(row.digest) }),
    ),
  );
}

async function standingClaim(pool: Pool, claim: NewClaim): Promise<Claim | undefined | 'none'> {
  const { rows } = await pool.query<{ digest: Buffer; content_hash: Buffer; claimed_at_ms: string }>(
    'SELECT digest, content_hash, claimed_at_ms FROM client_order_ids WHERE account = $1 AND client_order_id = $2',
    [bytesOf(claim.account), claim.clientOrderId],
  );
  const row = rows[0];
  if (row === undefined) return 'none';
  const standing = {
    digest: hexOf(row.digest),
    contentHash: hexOf(row.content_hash),
    claimedAtMs: Number(row.claimed_at_ms),
  };
  return standing.digest === claim.digest && standing.contentHash === claim.contentHash ? undefined : standing;
}

function claimName({ account, clientOrderId, digest }: Pick<NewClaim, 'account' | 'clientOrderId' | 'digest'>): string {
  return `${account}/${digest}/${clientOrderId}`;
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Takes over a claim whose order never came to be. False when somebody else was faster. */
export async function takeOverClientOrderId(pool: Pool, from: Claim, claim: NewClaim): Promise<boolean> {
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
