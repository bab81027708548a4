/**
 * What operators decide, on its way into the journal: a row here is a wish, the journaled command is the decision.
 *
 * Whoever asks needs the database only; the engine's process picks requests up in the order of their ids.
 */
import type { Pool, PoolClient } from 'pg';
import type { OperatorCommand } from '../domain/commands.ts';

type ResealCommand = Extract<OperatorCommand, { kind: 'resealBatch' }>;

/** A reseal as it is asked for: what it replaces besides, and by which hashes that was published, the engine's process adds. */
export type ResealRequest = Omit<ResealCommand, 'contentHashes'> & {
  /** The command that sealed the content which cannot land: of another content of that id the engine cuts nothing. */
  readonly sealedAt: number;
};

/** What may be asked for; the other operator commands are the sequencer's own. */
export type OperatorDecision = ResealRequest | PlainDecision;

/** Journaled as it is asked for. */
type PlainDecision = Extract<
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

/**
 * For services that ask again and again for a reseal: does nothing once the same content was asked for, except that a refusal is doubted
 * after `RESEAL_DOUBT_MINUTES`.
 * @returns what became of the request: undefined while it waits
 */
export async function requestReseal(
  db: Pool | PoolClient,
  request: NewOperatorRequest & { readonly command: ResealRequest },
): Promise<string | undefined> {
  const { batchId, sealedAt } = request.command;
  const { rows } = await db.query<{ outcome: string | null; is_old: boolean | null }>(
    `SELECT outcome, handled_at < clock_timestamp() - $3 * interval '1 minute' AS is_old FROM operator_requests
      WHERE command ->> 'kind' = 'resealBatch' AND (command ->> 'batchId')::bigint = $1 AND (command ->> 'sealedAt')::bigint = $2
      ORDER BY id DESC LIMIT 1`,
    [batchId, sealedAt, RESEAL_DOUBT_MINUTES],
  );
  const [last] = rows;
  if (last !== undefined && !(last.is_old === true && last.outcome !== 'journaled')) return last.outcome ?? undefined;
  await addOperatorRequest(db, request);
  return undefined;
}

const RESEAL_DOUBT_MINUTES = 10;

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
