/** Sequencers over a real PostgreSQL for tests. */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { AppliedCommand } from '../../src/domain/events.ts';
import type { JournalRow } from '../../src/domain/journal.ts';
import type { TimestampMs } from '../../src/domain/units.ts';
import { SYSTEM_CLOCK } from '../../src/offchain-engine/sequencer/command-clock.ts';
import {
  type GenesisCommand,
  type Leading,
  type LeadOptions,
  leadJournal,
} from '../../src/offchain-engine/sequencer/lead.ts';
import type { RowSigner } from '../../src/offchain-engine/sequencer/ports.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresJournal } from '../../src/storage/journal/postgres-journal.ts';
import { PostgresLeadership } from '../../src/storage/leadership.ts';
import { PostgresSnapshots } from '../../src/storage/snapshots.ts';
import { RECORDING_FORM, type RecordingEngine } from './recording-engine.ts';

export const GENESIS: GenesisCommand = {
  kind: 'genesis',
  chainId: 31_337,
  vault: `0x${'cc'.repeat(20)}`,
  deployedAtMs: 1_800_000_000_000 as TimestampMs,
  limits: { openOrdersPerAccountMax: 100, batchesInFlightMax: 8, unsettledAgeMaxMs: 600_000, orderAgeMaxMs: 600_000 },
  defaultParameters: {
    makerFeePpm: 0,
    takerFeePpm: 0,
    minNotional: 0,
    priceBandPpm: 0,
  } as GenesisCommand['defaultParameters'],
  withdrawalFees: [],
};

/** A stand-in signature that names the row's root, so that tests can tell one from another. */
export const signRow: RowSigner = async (row) => `0x${createHash('sha256').update(row.merkleRoot).digest('hex')}`;

export const soon = (): { notAfterMs: TimestampMs } => ({ notAfterMs: (Date.now() + 60_000) as TimestampMs });
export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export type Led = Leading<RecordingEngine> & {
  readonly journal: PostgresJournal;
  readonly applied: AppliedCommand[];
  readonly rows: JournalRow[];
  readonly problems: string[];
  /** Stops the sequencer, if it runs, and closes its connections. */
  readonly close: () => Promise<void>;
};

let leaders = 0;

export async function startLeader(
  url: string,
  options: Partial<LeadOptions<RecordingEngine>> & { readonly leaseMs?: number } = {},
): Promise<Led> {
  const owner = `leader ${process.pid} ${++leaders}`;
  const pool = openDatabase({ url, applicationName: 'tallystick-test-leader', connectionsMax: 3 });
  const leaseMs = options.leaseMs ?? 1_500;
  const journal = new PostgresJournal({ pool, owner, leaseMs });
  const applied: AppliedCommand[] = [];
  const rows: JournalRow[] = [];
  const problems: string[] = [];
  try {
    const leading = await leadJournal<RecordingEngine>({
      journal,
      leadership: new PostgresLeadership({ pool, owner, leaseMs }),
      snapshots: new PostgresSnapshots({ pool }),
      form: RECORDING_FORM,
      wall: SYSTEM_CLOCK,
      genesis: GENESIS,
      sign: signRow,
      seal: () => ({ kind: 'wait', untilMs: undefined }),
      onApplied: (commands, row) => {
        applied.push(...commands);
        rows.push(row);
      },
      onLeading: () => undefined,
      onProblem: ({ message }) => problems.push(message),
      ...options,
    });
    const close = async (): Promise<void> => {
      await leading.sequencer.stop().catch(() => undefined);
      await pool.end();
    };
    return { ...leading, journal, applied, rows, problems, close };
  } catch (error) {
    await pool.end();
    throw error;
  }
}

/** Holds the leader row's lock, so that appends wait; `release` lets them go on. */
export async function blockAppends(pool: pg.Pool): Promise<{ readonly release: () => Promise<void> }> {
  const client = await pool.connect();
  await client.query('BEGIN; SELECT * FROM leader FOR UPDATE');
  return {
    release: async () => {
      await client.query('ROLLBACK');
      client.release();
    },
  };
}
