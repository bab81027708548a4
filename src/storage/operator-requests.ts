/**
 * What operators decide, on its way into the journal: a row here is a wish, the journaled command is the decision.
 *
 * Whoever asks needs the database only; the engine's process picks requests up in the order of their ids.
 */
import type { Pool, PoolClient } from 'pg';
import type { OperatorCommand } from '../domain/commands.ts';

/** What may be asked for; the other operator commands are the sequencer's own. */
export type OperatorDecision = Extract<
  OperatorCommand,
  {
    kind:
      | 'haltWithdrawals'
      | 'resumeWithdrawals'
      | 'setMarketState'
      | 'setMarketParameters'
      | 'setFeeTiers'
      | 'setLimits'
      | 'setWithdrawalTerms'
      | 'acceptClockJump';
  }
>;

export type NewOperatorRequest = {
  readonly command: OperatorDecision;
  readonly reason: string;
  /** A person or a service. */
  readonly requestedBy: string;
};

export type OperatorRequest = NewOperatorRequest & {
  readonly id: number;
  readonly requestedAt: Date;
  /** The journal's last command before it was first handed over; undefined before that. */
  readonly submittedAfter: number | undefined;
  readonly handledAt: Date | undefined;
  /** Of its command; undefined until it is handled, and when it was refused. */
  readonly journalSequence: number | undefined;
  /** `journaled`, or `refused: ` and why; undefined until it is handled. */
  readonly outcome: string | undefined;
};

type Row = {
  readonly id: number | string;
  readonly command: OperatorDecision;
  readonly reason: string;
  readonly requested_by: string;
  readonly requested_at: Date;
  readonly submitted_after: number | string | null;
  readonly handled_at: Date | null;
  readonly journal_sequence: number | string | null;
  readonly outcome: string | null;
};

const COLUMNS =
  'id, command, reason, requested_by, requested_at, submitted_after, handled_at, journal_sequence, outcome';

/** @returns the request's id */
export async function addOperatorRequest(db: Pool | PoolClient, request: NewOperatorRequest): Promise<number> {
  const { rows } = await db.query<{ id: number | string }>(
    'INSERT INTO operator_requests (command, reason, requested_by) VALUES ($1, $2, $3) RETURNING id',
    [JSON.stringify(request.command), request.reason, request.requestedBy],
  );
  return Number(rows[0]?.id);
}

/** For services that ask again and again: does nothing while the same command waits already. */
export async function requestOperatorCommand(db: Pool | PoolClient, request: NewOperatorRequest): Promise<void> {
  await db.query(
    `INSERT INTO operator_requests (command, reason, requested_by)
     SELECT $1::jsonb, $2, $3
      WHERE NOT EXISTS (SELECT FROM operator_requests WHERE handled_at IS NULL AND command = $1::jsonb)`,
    [JSON.stringify(request.command), request.reason, request.requestedBy],
  );
}

/** Oldest first: decisions are journaled in the order in which they were taken. */
export async function waitingOperatorRequests(db: Pool | PoolClient, limit: number): Promise<OperatorRequest[]> {
  const { rows } = await db.query<Row>(
    `SELECT ${COLUMNS} FROM operator_requests WHERE handled_at IS NULL ORDER BY id LIMIT $1`,
    [limit],
  );
  return rows.map(fromRow);
}

export async function readOperatorRequest(db: Pool | PoolClient, id: number): Promise<OperatorRequest | undefined> {
  const { rows } = await db.query<Row>(`SELECT ${COLUMNS} FROM operator_requests WHERE id = $1`, [id]);
  return rows[0] === undefined ? undefined : fromRow(rows[0]);
}

/** Written before the request is first handed over; a later attempt leaves the first one's mark. */
export async function markOperatorRequestSubmitted(
  db: Pool | PoolClient,
  id: number,
  journalSequence: number,
): Promise<void> {
  await db.query('UPDATE operator_requests SET submitted_after = $2 WHERE id = $1 AND submitted_after IS NULL', [
    id,
    journalSequence,
  ]);
}

export async function markOperatorRequestHandled(
  db: Pool | PoolClient,
  id: number,
  outcome: { readonly journalSequence: number } | { readonly refused: string },
): Promise<void> {
  const isJournaled = 'journalSequence' in outcome;
  await db.query(
    `UPDATE operator_requests SET handled_at = clock_timestamp(), journal_sequence = $2, outcome = $3
      WHERE id = $1 AND handled_at IS NULL`,
    [id, isJournaled ? outcome.journalSequence : null, isJournaled ? 'journaled' : `refused: ${outcome.refused}`],
  );
}

function fromRow(row: Row): OperatorRequest {
  const optional = (value: number | string | null): number | undefined => (value === null ? undefined : Number(value));
  return {
    id: Number(row.id),
    command: row.command,
    reason: row.reason,
    requestedBy: row.requested_by,
    requestedAt: row.requested_at,
    submittedAfter: optional(row.submitted_after),
    handledAt: row.handled_at ?? undefined,
    journalSequence: optional(row.journal_sequence),
    outcome: row.outcome ?? undefined,
  };
}
