/**
 * Writing the journal: one row, one autocommit statement, one answer.
 *
 * Invariants
 * 1. A row is written only by the leader of its epoch (P8), and only after the row that its maker built upon. Both are checked by
 *    the INSERT's own statement. The statement updates the leader row, which renews the lease and holds the row's lock until
 *    commit: a takeover waits for it, and reads the journal's tail only afterwards, so no late row can slip in between.
 * 2. The previous row is checked apart from the epoch, because the leader itself may be mistaken about it; the unique keys on
 *    sequence and previous hash refuse a fork even if both checks were wrong.
 * 3. The answer is never guessed. When it was lost, the row is looked up by its sequence: the same hash means committed, another
 *    one refused, none that the same bytes are sent again.
 */
import pg from 'pg';
import { ExchangeError } from '../../domain/errors.ts';
import type { TimestampMs } from '../../domain/units.ts';
import { toBytes } from '../../offchain-engine/sequencer/journal-row.ts';
import type { AppendOutcome, Journal, NewJournalRow } from '../../offchain-engine/sequencer/ports.ts';
import { PostgresJournalReader } from './read-journal.ts';
import { toParameters } from './rows.ts';

export type PostgresJournalOptions = {
  /** Of its own, with one or two connections: an append must never wait for a reader. */
  readonly pool: pg.Pool;
  /** Who leads; the same string as in the leadership. */
  readonly owner: string;
  readonly leaseMs?: number;
  /** How long a lost answer is looked for before the process has to end. */
  readonly giveUpAfterMs?: number;
};

export const LEASE_MS = 1_500;
const GIVE_UP_AFTER_MS = 15_000;
const RETRY_PAUSE_MS = 50;

const APPEND = `
  WITH held AS (
    UPDATE leader SET lease_until = clock_timestamp() + $9::float8 * interval '1 millisecond'
     WHERE epoch = $3::bigint AND owner = $10
    RETURNING epoch
  )
  INSERT INTO journal (first_sequence, last_sequence, epoch, rules_version, body, previous_hash, merkle_root, hash)
  SELECT $1::bigint, $2, held.epoch, $4, $5, $6::bytea, $7, $8
    FROM held
   WHERE CASE WHEN $1::bigint = 1
           THEN NOT EXISTS (SELECT FROM journal)
           ELSE EXISTS (SELECT FROM journal AS previous WHERE previous.last_sequence = $1 - 1 AND previous.hash = $6)
         END
  RETURNING committed_at`;

const UNIQUE_VIOLATION = '23505';
/** Classes of SQLSTATE after which the same statement may still succeed, or may have succeeded. */
const RETRYABLE_CLASSES: ReadonlySet<string> = new Set(['08', '25', '40', '53', '55', '57', '58']);

export class PostgresJournal extends PostgresJournalReader implements Journal {
  readonly #pool: pg.Pool;
  readonly #owner: string;
  readonly #leaseMs: number;
  readonly #giveUpAfterMs: number;

  constructor(options: PostgresJournalOptions) {
    super(options.pool);
    this.#pool = options.pool;
    this.#owner = options.owner;
    this.#leaseMs = options.leaseMs ?? LEASE_MS;
    this.#giveUpAfterMs = options.giveUpAfterMs ?? GIVE_UP_AFTER_MS;
  }

  async append(row: NewJournalRow): Promise<AppendOutcome> {
    const giveUpAt = performance.now() + this.#giveUpAfterMs;
    for (let answerLost = false; ; answerLost = true) {
      try {
        const standing = answerLost ? await this.#standing(row) : undefined;
        if (standing !== undefined) return standing;
        const committed = await this.#insert(row);
        if (committed !== undefined) return committed;
        return (await this.#standing(row)) ?? { kind: 'refused', reason: await this.#refusal(row) };
      } catch (error) {
        if (!mayHaveSucceeded(error)) throw error;
        if (performance.now() >= giveUpAt) {
          throw new ExchangeError(
            'STATUS_UNKNOWN',
            `whether the journal row at sequence ${row.firstSequence} was written is not known after ${this.#giveUpAfterMs} ms`,
            { cause: error },
          );
        }
        await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
      }
    }
  }

  async #insert(row: NewJournalRow): Promise<AppendOutcome | undefined> {
    const inserted = await this.#pool.query<{ committed_at: Date }>({
      name: 'journal-append',
      text: APPEND,
      values: [...toParameters(row), this.#leaseMs, this.#owner],
    });
    return inserted.rows[0] === undefined ? undefined : committedAt(inserted.rows[0].committed_at);
  }

  /** What stands where the row belongs; undefined when nothing does. */
  async #standing(row: NewJournalRow): Promise<AppendOutcome | undefined> {
    const found = await this.#pool.query<{ hash: Buffer; committed_at: Date }>(
      'SELECT hash, committed_at FROM journal WHERE last_sequence >= $1 ORDER BY last_sequence LIMIT 1',
      [row.firstSequence],
    );
    const standing = found.rows[0];
    if (standing === undefined) return undefined;
    if (standing.hash.equals(toBytes(row.hash))) return committedAt(standing.committed_at);
    return { kind: 'refused', reason: await this.#refusal(row) };
  }

  async #refusal(row: NewJournalRow): Promise<'leadership_lost' | 'foreign_row'> {
    const leader = await this.#pool.query('SELECT FROM leader WHERE epoch = $1 AND owner = $2', [
      row.epoch,
      this.#owner,
    ]);
    return leader.rowCount === 0 ? 'leadership_lost' : 'foreign_row';
  }
}

function committedAt(time: Date): AppendOutcome {
  return { kind: 'committed', committedAtMs: time.getTime() as TimestampMs };
}

/** Errors of the connection carry no SQLSTATE; a unique violation may come from this row's own first attempt. */
function mayHaveSucceeded(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError) || error.code === undefined) return true;
  return error.code === UNIQUE_VIOLATION || RETRYABLE_CLASSES.has(error.code.slice(0, 2));
}
