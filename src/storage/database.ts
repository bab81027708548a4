/**
 * PostgreSQL: connections with the project's settings, and the tables.
 *
 * Every pool bounds how long a connection, a statement and a lock may take: a database that hangs must become an error, because
 * a service that waits for ever looks alive. `bigint` columns hold sequences, times and quanta, all below 2^53, and are
 * read as numbers; one that is not raises an error instead of losing digits.
 */
import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';
import pg from 'pg';

export type DatabaseOptions = {
  readonly url: string;
  /** Shown in pg_stat_activity: which service holds the connection. */
  readonly applicationName: string;
  readonly connectionsMax?: number;
  readonly connectTimeoutMs?: number;
  readonly statementTimeoutMs?: number;
  readonly lockTimeoutMs?: number;
  /** An idle connection was lost; the pool replaces it by itself. */
  readonly onIdleError?: (error: Error) => void;
};

const MIGRATIONS_DIRECTORY = fileURLToPath(new URL('./migrations', import.meta.url));
const INT8_OID = 20;

const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === INT8_OID && format !== 'binary'
      ? parseSafeInteger
      : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
};

/** @throws RangeError outside ±(2^53 − 1). */
function parseSafeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`expected a bigint within ±(2^53 − 1), got ${text}`);
  return value;
}

/** Connections are opened on demand; end the pool with `pool.end()`. */
export function openDatabase(options: DatabaseOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: options.url,
    application_name: options.applicationName,
    max: options.connectionsMax ?? 8,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 5_000,
    statement_timeout: options.statementTimeoutMs ?? 15_000,
    // The server's timeout comes first; this one is for a server that no longer answers.
    query_timeout: (options.statementTimeoutMs ?? 15_000) + 5_000,
    lock_timeout: options.lockTimeoutMs ?? 5_000,
    idle_in_transaction_session_timeout: 30_000,
    keepAlive: true,
    types,
  });
  // Without a listener the loss of an idle connection would end the process.
  pool.on('error', (error) => options.onIdleError?.(error));
  // The same for one in use: the query under way, or the next one, fails and says so.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/**
 * Brings the database's tables up to date. Safe to run from several processes at once: they wait for each other.
 * @returns names of the migrations that were run, in order
 */
export async function migrate(databaseUrl: string): Promise<string[]> {
  const applied = await runner({
    databaseUrl,
    dir: MIGRATIONS_DIRECTORY,
    direction: 'up',
    migrationsTable: 'migrations',
    checkOrder: true,
    advisoryLockMode: 'wait',
    log: () => undefined,
  });
  return applied.map((migration) => migration.name);
}
