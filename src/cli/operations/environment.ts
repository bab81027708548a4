/** Settings and database for the operator's commands: the same environment as the services, or beside `npm start` its embedded database. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Pool } from 'pg';
import { ExchangeError } from '../../domain/errors.ts';
import { readSettings, type Settings } from '../../services/config.ts';
import { openDatabase } from '../../storage/database.ts';

export { readSettings, type Settings };

/** Of DATABASE_URL, else the embedded server that runs on DATA_DIRECTORY; undefined when there is neither. */
export async function databaseUrl(settings: Settings): Promise<string | undefined> {
  if (settings.DATABASE_URL !== undefined) return settings.DATABASE_URL;
  const directory = join(resolve(settings.DATA_DIRECTORY), 'postgres');
  const [password, postmaster] = await Promise.all([
    readFile(join(directory, 'password'), 'utf8').catch(() => undefined),
    findPostmaster(directory),
  ]);
  // Line 4 of postmaster.pid is the port.
  const port = postmaster?.split('\n')[3]?.trim();
  if (password === undefined || port === undefined) return undefined;
  return `postgresql://tallystick:${password.trim()}@127.0.0.1:${port}/tallystick`;
}

function findPostmaster(directory: string): Promise<string | undefined> {
  return readFile(join(directory, 'cluster', 'postmaster.pid'), 'utf8').catch(() => undefined);
}

/** @throws ExchangeError CONFIGURATION when no database is named and none runs embedded */
export async function requireDatabase(settings: Settings): Promise<string> {
  const url = await databaseUrl(settings);
  if (url !== undefined) return url;
  throw new ExchangeError(
    'CONFIGURATION',
    `DATABASE_URL is not set, and no embedded database runs in ${resolve(settings.DATA_DIRECTORY)}: set DATABASE_URL, or DATA_DIRECTORY to the one of a running "npm start"`,
  );
}

/** Opens the database of the environment for `work`, and closes it. */
export async function withDatabase<T>(work: (pool: Pool, settings: Settings) => Promise<T>): Promise<T> {
  const settings = readSettings(process.env);
  const pool = openDatabase({
    url: await requireDatabase(settings),
    applicationName: 'tallystick-cli',
    connectionsMax: 2,
    statementTimeoutMs: 60_000,
  });
  try {
    return await work(pool, settings);
  } finally {
    await pool.end();
  }
}
