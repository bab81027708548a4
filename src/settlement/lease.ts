/**
 * At most one submitter at a time, by a lease on the database's clock.
 *
 * The lease alone proves nothing to somebody who was stopped and goes on late: so every write of the outbox carries the token
 * and is refused, in the same statement, once the token has changed (see outbox). The contract refuses a second settlement in
 * any case; the lease saves gas and keeps nonces in order.
 */
import type { Pool } from 'pg';

export type Lease = { readonly owner: string; readonly token: number };

/** Takes the lease when it is free or ours, or renews it. Undefined while somebody else holds it. */
export async function acquireLease(
  pool: Pool,
  owner: string,
  held: Lease | undefined,
  durationMs: number,
): Promise<Lease | undefined> {
  if (held !== undefined) {
    const renewed = await pool.query(
      `UPDATE submitter_lease SET lease_until = clock_timestamp() + $3 * interval '1 millisecond'
       WHERE owner = $1 AND token = $2`,
      [held.owner, held.token, durationMs],
    );
    if (renewed.rowCount === 1) return held;
  }
  const taken = await pool.query<{ token: string | number }>(
    `UPDATE submitter_lease SET owner = $1, token = token + 1, lease_until = clock_timestamp() + $2 * interval '1 millisecond'
     WHERE lease_until < clock_timestamp() RETURNING token`,
    [owner, durationMs],
  );
  const row = taken.rows[0];
  return row === undefined ? undefined : { owner, token: Number(row.token) };
}

/** Gives the lease back, so that the next one need not wait for its end. */
export async function releaseLease(pool: Pool, lease: Lease): Promise<void> {
  await pool.query("UPDATE submitter_lease SET lease_until = 'epoch' WHERE owner = $1 AND token = $2", [
    lease.owner,
    lease.token,
  ]);
}
