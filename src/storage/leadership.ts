/**
 * One leader at a time (P8): a lease by the database's clock, and an epoch that only rises.
 *
 * The lease decides when a successor may try; the epoch decides who may write. A deposed leader that does not know it yet is
 * refused by its own INSERT (see postgres-journal), so a wrong clock or a stopped process can cost time, never a second
 * writer. Takeover is one transaction: lock the leader row, read the journal's tail, raise the epoch, insert the epoch's opening
 * row. Whoever holds the row's lock meanwhile (an old leader stopped in the middle of a statement) has its backend ended.
 */
import type pg from 'pg';
import { ExchangeError } from '../domain/errors.ts';
import type { TimestampMs } from '../domain/units.ts';
import type { Acquisition, Leadership, OpeningRow } from '../offchain-engine/sequencer/ports.ts';
import { LEASE_MS } from './journal/postgres-journal.ts';
import { fromStored, ROW_COLUMNS, type StoredRow, toParameters } from './journal/rows.ts';

export type PostgresLeadershipOptions = {
  /** Needs two connections for a takeover. */
  readonly pool: pg.Pool;
  /** Unique per process and start: a restarted leader is another one. */
  readonly owner: string;
  readonly leaseMs?: number;
};

type LeaderRow = {
  readonly epoch: number;
  readonly owner: string;
  readonly remaining_ms: number;
  readonly now_ms: number;
};

/** Marks connections in a takeover, so that two successors do not end each other. */
const TAKEOVER_NAME = 'tallystick-takeover';
const LOCK_TIMEOUT_MS = 2_000;
const CLEAR_LOCK_EVERY_MS = 200;
const LOCK_NOT_AVAILABLE = '55P03';

const LEADER = `
  SELECT epoch, owner,
         ceil(extract(epoch FROM lease_until - clock_timestamp()) * 1000)::float8 AS remaining_ms,
         floor(extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now_ms
    FROM leader`;

export class PostgresLeadership implements Leadership {
  readonly #pool: pg.Pool;
  readonly #owner: string;
  readonly #leaseMs: number;
  #epoch = 0;

  constructor(options: PostgresLeadershipOptions) {
    this.#pool = options.pool;
    this.#owner = options.owner;
    this.#leaseMs = options.leaseMs ?? LEASE_MS;
  }

  async tryAcquire(opening: OpeningRow): Promise<Acquisition> {
    const seen = await this.#pool.query<LeaderRow>(LEADER);
    const held = this.#heldByAnother(seen.rows[0]);
    if (held !== undefined) return held;
    const client = await this.#pool.connect();
    try {
      const acquisition = await this.#takeOver(client, opening);
      client.release();
      return acquisition;
    } catch (error) {
      // The connection goes with its transaction, whatever state that is in.
      client.release(true);
      if ((error as { code?: unknown }).code === LOCK_NOT_AVAILABLE) return { kind: 'held', remainingMs: 0 };
      throw error;
    }
  }

  async renew(): Promise<void> {
    const renewed = await this.#pool.query(
      `UPDATE leader SET lease_until = clock_timestamp() + $3::float8 * interval '1 millisecond' WHERE epoch = $1 AND owner = $2`,
      [this.#epoch, this.#owner, this.#leaseMs],
    );
    if (renewed.rowCount !== 1) throw leadershipLost(this.#epoch);
  }

  async release(): Promise<void> {
    await this.#pool.query('UPDATE leader SET lease_until = clock_timestamp() WHERE epoch = $1 AND owner = $2', [
      this.#epoch,
      this.#owner,
    ]);
  }

  async #takeOver(client: pg.PoolClient, opening: OpeningRow): Promise<Acquisition> {
    await client.query(
      `BEGIN; SET LOCAL application_name = '${TAKEOVER_NAME}'; SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS};
       SET LOCAL idle_in_transaction_session_timeout = ${LOCK_TIMEOUT_MS}`,
    );
    const leader = await this.#lockLeader(client);
    const held = this.#heldByAnother(leader);
    if (held !== undefined) {
      await client.query('ROLLBACK');
      return held;
    }
    const last = await client.query<StoredRow>(
      `SELECT ${ROW_COLUMNS} FROM journal ORDER BY last_sequence DESC LIMIT 1`,
    );
    const epoch = leader.epoch + 1;
    const lastRow = last.rows[0] === undefined ? undefined : fromStored(last.rows[0]);
    await client.query(
      `INSERT INTO journal (first_sequence, last_sequence, epoch, rules_version, body, previous_hash, merkle_root, hash)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
      toParameters(opening(lastRow, epoch, leader.now_ms as TimestampMs)),
    );
    await client.query(
      `UPDATE leader SET epoch = $1, owner = $2, lease_until = clock_timestamp() + $3::float8 * interval '1 millisecond'`,
      [epoch, this.#owner, this.#leaseMs],
    );
    await client.query('COMMIT');
    this.#epoch = epoch;
    return { kind: 'acquired', epoch };
  }

  /** Waits for the row's lock, and meanwhile ends the backends that hold it, other successors excepted. */
  async #lockLeader(client: pg.PoolClient): Promise<LeaderRow> {
    const self = await client.query<{ pid: number; durability: string }>(
      `SELECT pg_backend_pid() AS pid, current_setting('synchronous_commit') AS durability`,
    );
    if (self.rows[0]?.durability === 'off') {
      throw new ExchangeError(
        'CONFIGURATION',
        'PostgreSQL runs with synchronous_commit=off, so that a crash would lose acknowledged commands; switch it on',
      );
    }
    const clearing = setInterval(() => {
      this.#pool
        .query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE pid = ANY (pg_blocking_pids($1)) AND application_name <> '${TAKEOVER_NAME}'`,
          [self.rows[0]?.pid],
        )
        // Nothing is lost: the next try follows, and the lock timeout ends the takeover at last.
        .catch(() => undefined);
    }, CLEAR_LOCK_EVERY_MS);
    try {
      const locked = await client.query<LeaderRow>(`${LEADER} FOR UPDATE`);
      const leader = locked.rows[0];
      if (leader === undefined)
        throw new ExchangeError('CONFIGURATION', 'the table leader has no row; run the migrations');
      return leader;
    } finally {
      clearInterval(clearing);
    }
  }

  /** A lease of this very owner is its own: the answer to its takeover was lost. */
  #heldByAnother(leader: LeaderRow | undefined): Acquisition | undefined {
    if (leader === undefined || leader.remaining_ms <= 0 || leader.owner === this.#owner) return undefined;
    return { kind: 'held', remainingMs: leader.remaining_ms };
  }
}

export function leadershipLost(epoch: number): ExchangeError {
  return new ExchangeError('LEADERSHIP_LOST', `another engine leads; epoch ${epoch} has ended`, { details: { epoch } });
}
