import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Pool } from 'pg';
import type { Address } from '../../domain/units.ts';
import { openDatabase } from '../../storage/database.ts';
import { readOpenIncidents } from '../../storage/incidents.ts';
import { reconciliationStatus } from '../../storage/queries/reconciliation.ts';
import { explainError } from '../exit-codes.ts';
import { redact } from './config-check.ts';
import type { Finding } from './doctor.ts';
import { databaseUrl, type Settings } from './environment.ts';

const VERSION_MIN = 14;
/** The database's clock gives leases their time. */
const CLOCK_DIFFERENCE_MAX_MS = 2_000;
const MIGRATIONS = fileURLToPath(new URL('../../storage/migrations', import.meta.url));

export type ExaminedDatabase = {
  readonly findings: readonly Finding[];
  /** That the database belongs to; undefined when it is not known. */
  readonly vault: Address | undefined;
};

export async function examineDatabase(settings: Settings): Promise<ExaminedDatabase> {
  const url = await databaseUrl(settings);
  if (url === undefined) {
    const found = 'DATABASE_URL is not set: "npm start" brings its own, which does not run now';
    return { findings: [{ name: 'database', state: 'skipped', found }], vault: undefined };
  }
  const pool = openDatabase({ url, applicationName: 'tallystick-doctor', connectionsMax: 1 });
  try {
    const findings = [await examineServer(pool, url)];
    if (findings[0]?.state === 'failed') return { findings, vault: undefined };
    findings.push(await examineDurability(pool), await examineClock(pool));
    const migrations = await examineMigrations(pool);
    findings.push(migrations);
    if (migrations.state === 'failed') return { findings, vault: undefined };
    findings.push(await examineLeader(pool), await examineIncidents(pool));
    return { findings, vault: await recordedVault(pool) };
  } catch (error) {
    const remedy = 'Check the server and its log.';
    return {
      findings: [{ name: 'database', state: 'failed', found: explainError(error).message, remedy }],
      vault: undefined,
    };
  } finally {
    await pool.end();
  }
}

async function examineServer(pool: Pool, url: string): Promise<Finding> {
  const name = 'database';
  try {
    const { rows } = await pool.query<{ version: string; number: number; standby: boolean }>(
      `SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
              pg_is_in_recovery() AS standby`,
    );
    const { version = 'unknown', number = 0, standby = false } = rows[0] ?? {};
    if (standby) {
      const remedy = 'Name the primary in DATABASE_URL.';
      return { name, state: 'failed', found: 'the server is a read-only standby', remedy };
    }
    if (number < VERSION_MIN * 10_000) {
      const remedy = `Use PostgreSQL ${VERSION_MIN} or newer.`;
      return { name, state: 'failed', found: `PostgreSQL ${version} is too old`, remedy };
    }
    return { name, state: 'ok', found: `PostgreSQL ${version} at ${redact('DATABASE_URL', url)}` };
  } catch (error) {
    const found = `${redact('DATABASE_URL', url)}: ${explainError(error).message}`;
    return { name, state: 'failed', found, remedy: 'Start the server, or correct DATABASE_URL and its password.' };
  }
}

async function examineDurability(pool: Pool): Promise<Finding> {
  const name = 'durability';
  const { rows } = await pool.query<{ commit: string; fsync: string; pages: string }>(
    `SELECT current_setting('synchronous_commit') AS commit, current_setting('fsync') AS fsync,
            current_setting('full_page_writes') AS pages`,
  );
  const { commit = '', fsync = '', pages = '' } = rows[0] ?? {};
  const off = [
    ...(commit === 'off' ? ['synchronous_commit'] : []),
    ...(fsync === 'off' ? ['fsync'] : []),
    ...(pages === 'off' ? ['full_page_writes'] : []),
  ];
  if (off.length === 0) return { name, state: 'ok', found: `synchronous_commit=${commit}, fsync=${fsync}` };
  return {
    name,
    state: 'failed',
    found: `${off.join(', ')} off: a crash of the database would lose acknowledged orders`,
    remedy: `Switch ${off.join(' and ')} on in postgresql.conf, or for the role or database that overrides it.`,
  };
}

async function examineClock(pool: Pool): Promise<Finding> {
  const name = "the database's clock";
  const before = Date.now();
  const { rows } = await pool.query<{ now: string }>(
    'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8::text AS now',
  );
  const difference = Math.round(Number(rows[0]?.now) - (before + Date.now()) / 2);
  const found = `${Math.abs(difference)} ms ${difference < 0 ? 'behind' : 'ahead of'} this machine's`;
  if (Math.abs(difference) <= CLOCK_DIFFERENCE_MAX_MS) return { name, state: 'ok', found };
  return { name, state: 'warning', found, remedy: 'Synchronise both machines with NTP.' };
}

async function examineMigrations(pool: Pool): Promise<Finding> {
  const name = 'tables';
  const files = (await readdir(MIGRATIONS)).map((file) => file.replace(/\.sql$/, '')).sort();
  const { rows: exists } = await pool.query<{ found: boolean }>(
    `SELECT to_regclass('migrations') IS NOT NULL AS found`,
  );
  const applied =
    exists[0]?.found === true ? (await pool.query<{ name: string }>('SELECT name FROM migrations')).rows : [];
  const names = new Set(applied.map((row) => row.name));
  const missing = files.filter((file) => !names.has(file));
  const unknown = [...names].filter((applied) => !files.includes(applied));
  if (missing.length > 0) {
    const found = `${missing.length} of ${files.length} migrations are missing: ${missing.join(', ')}`;
    return { name, state: 'failed', found, remedy: 'Run "tallystick migrate".' };
  }
  if (unknown.length > 0) {
    const found = `the database has migrations that this program does not know: ${unknown.join(', ')}`;
    return { name, state: 'failed', found, remedy: 'Use the newer program that made them.' };
  }
  return { name, state: 'ok', found: `all ${files.length} migrations are applied` };
}

async function examineLeader(pool: Pool): Promise<Finding> {
  const { rows } = await pool.query<{ epoch: number; owner: string; alive: boolean }>(
    'SELECT epoch, owner, lease_until > clock_timestamp() AS alive FROM leader',
  );
  const leader = rows[0];
  if (leader?.alive === true) {
    return { name: 'engine', state: 'ok', found: `leads epoch ${leader.epoch} (${leader.owner})` };
  }
  return {
    name: 'engine',
    state: 'warning',
    found: 'no engine leads: orders and operator requests wait',
    remedy: 'Start the exchange, or its engine service.',
  };
}

async function examineIncidents(pool: Pool): Promise<Finding> {
  const name = 'incidents';
  const [incidents, { withdrawalsHalted }] = await Promise.all([readOpenIncidents(pool), reconciliationStatus(pool)]);
  if (incidents.length === 0 && withdrawalsHalted === undefined) return { name, state: 'ok', found: 'none is open' };
  const first = incidents[0];
  const parts = [
    ...(withdrawalsHalted === undefined ? [] : [`withdrawals are halted: ${withdrawalsHalted}`]),
    ...(first === undefined ? [] : [`${incidents.length} open, the oldest ${first.kind}: ${first.summary}`]),
  ];
  return {
    name,
    state: 'warning',
    found: parts.join('; '),
    remedy:
      'See "tallystick operator incidents"; when the cause is mended, close them and run "tallystick operator resume-withdrawals".',
  };
}

async function recordedVault(pool: Pool): Promise<Address | undefined> {
  const { rows } = await pool.query<{ vault: Buffer }>('SELECT vault FROM chain_identity');
  return rows[0] === undefined ? undefined : (`0x${rows[0].vault.toString('hex')}` as Address);
}
