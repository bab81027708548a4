/** Incidents: what stopped or alarmed a service, opened by whoever finds it, closed by an operator's word. */
import type { Pool, PoolClient } from 'pg';

export type IncidentKind =
  | 'drift'
  | 'insolvent'
  | 'deep_reorg'
  | 'chain_mismatch'
  | 'chain_stalled'
  | 'event_gap'
  | (string & {});

export type Incident = {
  readonly id: number;
  readonly kind: IncidentKind;
  readonly summary: string;
  readonly details: unknown;
  readonly openedAt: Date;
};

/**
 * Opens an incident, or finds the open one of the same kind and summary, so that a repeated finding does not pile up.
 * @returns its id, and whether it is new
 */
export async function openIncident(
  db: Pool | PoolClient,
  incident: { readonly kind: IncidentKind; readonly summary: string; readonly details: unknown },
): Promise<{ id: number; isNew: boolean }> {
  const known = await db.query<{ id: string }>(
    'SELECT id FROM incidents WHERE kind = $1 AND summary = $2 AND closed_at IS NULL ORDER BY id LIMIT 1',
    [incident.kind, incident.summary],
  );
  if (known.rows[0] !== undefined) return { id: Number(known.rows[0].id), isNew: false };
  const details = JSON.stringify(incident.details, (_key, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  );
  const opened = await db.query<{ id: string }>(
    'INSERT INTO incidents (kind, summary, details) VALUES ($1, $2, $3) RETURNING id',
    [incident.kind, incident.summary, details],
  );
  return { id: Number(opened.rows[0]?.id), isNew: true };
}

export async function readOpenIncidents(db: Pool | PoolClient): Promise<Incident[]> {
  const { rows } = await db.query<{ id: string; kind: string; summary: string; details: unknown; opened_at: Date }>(
    'SELECT id, kind, summary, details, opened_at FROM incidents WHERE closed_at IS NULL ORDER BY id',
  );
  return rows.map(({ id, kind, summary, details, opened_at }) => ({
    id: Number(id),
    kind,
    summary,
    details,
    openedAt: opened_at,
  }));
}

/** @returns false when there is no such open incident */
export async function closeIncident(db: Pool | PoolClient, id: number, resolution: string): Promise<boolean> {
  const { rowCount } = await db.query(
    'UPDATE incidents SET closed_at = clock_timestamp(), resolution = $2 WHERE id = $1 AND closed_at IS NULL',
    [id, resolution],
  );
  return rowCount === 1;
}
