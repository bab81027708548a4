/**
 * A real PostgreSQL for tests: one temporary server for the whole test process, started by the first test that asks, and a database of its
 * own for each `describe` that wants one. Set `TEST_DATABASE_URL` to a superuser's connection string to use another server.
 */
import { existsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runner as migrate } from 'node-pg-migrate';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/services/embedded-postgres.ts';

const MIGRATIONS = fileURLToPath(new URL('../../src/storage/migrations', import.meta.url));

let server: Promise<EmbeddedPostgres> | undefined;
let databasesCreated = 0;

async function serverUrl(): Promise<string> {
  const given = process.env['TEST_DATABASE_URL'];
  if (given !== undefined && given !== '') return given;
  server ??= mkdtemp(join(tmpdir(), 'tallystick-postgres-')).then((dataDirectory) =>
    startEmbeddedPostgres({ dataDirectory, temporary: true }),
  );
  return (await server).url;
}

/** Stops the server that tests started, if they did. The test runner calls it at the very end. */
export async function stopTestServer(): Promise<void> {
  await (await server)?.stop();
  server = undefined;
}

export type TestDatabase = {
  readonly url: string;
  /** Ends every session of the database and removes it. */
  readonly drop: () => Promise<void>;
};

/**
 * Creates a database, by default with the project's tables in it.
 *
 * @param options.migrated whether the migrations are run; they are skipped where there are none
 */
export async function createTestDatabase(options: { readonly migrated?: boolean } = {}): Promise<TestDatabase> {
  const adminUrl = await serverUrl();
  databasesCreated++;
  const name = `test_${process.pid}_${databasesCreated}`;
  await onServer(adminUrl, `CREATE DATABASE ${name}`);
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  if ((options.migrated ?? true) && existsSync(MIGRATIONS)) await runMigrations(url.href);
  return { url: url.href, drop: () => onServer(adminUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) };
}

async function onServer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

async function runMigrations(databaseUrl: string): Promise<void> {
  await migrate({
    databaseUrl,
    dir: MIGRATIONS,
    direction: 'up',
    migrationsTable: 'migrations',
    checkOrder: true,
    log: () => undefined,
  });
}

/** A database of its own for the tests of the enclosing `describe`. */
export function useTestDatabase(options: { readonly migrated?: boolean } = {}): { readonly url: () => string } {
  let database: TestDatabase | undefined;
  before(async () => {
    database = await createTestDatabase(options);
  });
  after(async () => {
    await database?.drop();
  });
  return {
    url: () => {
      if (database === undefined) throw new Error('the database exists only while tests run');
      return database.url;
    },
  };
}
