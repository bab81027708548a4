/** What reconciliation found, and the incidents that are open. */
import type { Address, ChainEventSequence, Hash, Quanta, TimestampMs } from '../../domain/units.ts';
import {
  hexOf,
  integer,
  type Page,
  type PageRequest,
  pageOf,
  positionBefore,
  type Queryable,
  type SqlInteger,
} from './rows.ts';

export type DriftRow = {
  /** `total`: the asset's booked total differs from the ledger's sum. */
  readonly account: Address | 'total';
  readonly asset: number;
  readonly ledger: Quanta;
  readonly vault: Quanta;
};

/** Token base units as decimal integers. */
export type SolvencyRow = {
  readonly asset: number;
  readonly booked: string;
  readonly fees: string;
  readonly balanceOf: string;
};

export type ReconciliationRow = {
  readonly id: number;
  readonly batchId: number;
  readonly blockNumber: number;
  readonly blockHash: Hash;
  readonly eventSequence: ChainEventSequence;
  readonly accountsCompared: number;
  readonly balancesCompared: number;
  readonly fullSweep: boolean;
  readonly drifted: boolean;
  readonly drift: readonly DriftRow[];
  readonly solvency: readonly SolvencyRow[];
  readonly checkedAtMs: TimestampMs;
};

export type IncidentRow = {
  readonly id: number;
  readonly kind: string;
  readonly summary: string;
  readonly details: unknown;
  readonly openedAtMs: TimestampMs;
  /** Undefined while it is open. */
  readonly closedAtMs: TimestampMs | undefined;
  readonly resolution: string | undefined;
};

export type ReconciliationStatus = {
  readonly latest: ReconciliationRow | undefined;
  /** Comparisons ever made. */
  readonly total: number;
  readonly openIncidents: readonly IncidentRow[];
  /** Why withdrawals are halted; undefined while they are not. */
  readonly withdrawalsHalted: string | undefined;
};

export async function reconciliationStatus(db: Queryable): Promise<ReconciliationStatus> {
  const latest = await db.query<ReconciliationSql>('SELECT * FROM reconciliations ORDER BY id DESC LIMIT 1');
  const total = await db.query<{ count: SqlInteger }>('SELECT count(*) AS count FROM reconciliations');
  const incidents = await db.query<IncidentSql>(
    'SELECT * FROM incidents WHERE closed_at IS NULL ORDER BY id DESC LIMIT 100',
  );
  const halted = await db.query<{ value: { halted: boolean; reason: string } }>(
    `SELECT value FROM engine_status WHERE name = 'withdrawals'`,
  );
  const withdrawals = halted.rows[0]?.value;
  return {
    latest: latest.rows[0] === undefined ? undefined : reconciliationOf(latest.rows[0]),
    total: integer(total.rows[0]?.count ?? 0),
    openIncidents: incidents.rows.map(incidentOf),
    withdrawalsHalted: withdrawals?.halted === true ? withdrawals.reason : undefined,
  };
}

/** Newest first. */
export async function listReconciliations(db: Queryable, page: PageRequest): Promise<Page<ReconciliationRow>> {
  const { rows } = await db.query<ReconciliationSql>(
    'SELECT * FROM reconciliations WHERE id < $1 ORDER BY id DESC LIMIT $2',
    [positionBefore(page), page.limit + 1],
  );
  return pageOf(rows.map(reconciliationOf), page, (row) => row.id);
}

/** Newest first, closed ones included. */
export async function listIncidents(db: Queryable, page: PageRequest): Promise<Page<IncidentRow>> {
  const { rows } = await db.query<IncidentSql>('SELECT * FROM incidents WHERE id < $1 ORDER BY id DESC LIMIT $2', [
    positionBefore(page),
    page.limit + 1,
  ]);
  return pageOf(rows.map(incidentOf), page, (row) => row.id);
}

type ReconciliationSql = {
  id: SqlInteger;
  batch_id: SqlInteger;
  block_number: SqlInteger;
  block_hash: Buffer;
  event_sequence: SqlInteger;
  accounts_compared: number;
  balances_compared: number;
  full_sweep: boolean;
  drifted: boolean;
  drift: readonly DriftRow[];
  solvency: readonly SolvencyRow[];
  checked_at: Date;
};

type IncidentSql = {
  id: SqlInteger;
  kind: string;
  summary: string;
  details: unknown;
  opened_at: Date;
  closed_at: Date | null;
  resolution: string | null;
};

function reconciliationOf(row: ReconciliationSql): ReconciliationRow {
  return {
    id: integer(row.id),
    batchId: integer(row.batch_id),
    blockNumber: integer(row.block_number),
    blockHash: hexOf(row.block_hash),
    eventSequence: integer<ChainEventSequence>(row.event_sequence),
    accountsCompared: row.accounts_compared,
    balancesCompared: row.balances_compared,
    fullSweep: row.full_sweep,
    drifted: row.drifted,
    drift: row.drift,
    solvency: row.solvency,
    checkedAtMs: row.checked_at.getTime() as TimestampMs,
  };
}

function incidentOf(row: IncidentSql): IncidentRow {
  return {
    id: integer(row.id),
    kind: row.kind,
    summary: row.summary,
    details: row.details,
    openedAtMs: row.opened_at.getTime() as TimestampMs,
    closedAtMs: row.closed_at === null ? undefined : (row.closed_at.getTime() as TimestampMs),
    resolution: row.resolution ?? undefined,
  };
}
