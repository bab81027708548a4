import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/services/embedded-postgres.ts';
import { runsWithArgument } from '../../src/services/running-process.ts';
import { useTemporaryDirectory } from '../support/temporary-directory.ts';

async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows;
  } finally {
    await client.end();
  }
}

/** Starts a server from another process, which is killed as soon as the server is up. Resolves to the server's process id. */
async function startAndKillStarter(dataDirectory: string, temporary: boolean): Promise<number> {
  const module = new URL('../../src/services/embedded-postgres.ts', import.meta.url).href;
  const source = `
    const { startEmbeddedPostgres } = await import(${JSON.stringify(module)});
    const server = await startEmbeddedPostgres(${JSON.stringify({ dataDirectory, temporary })});
    console.log(server.pid);`;
  const starter = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(starter.stdout, 'data')) as [Buffer];
  starter.kill('SIGKILL');
  await once(starter, 'exit');
  return Number(line.toString());
}

async function waitUntil(condition: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!(await condition())) {
    assert.ok(performance.now() < deadlineMs, 'waited 10 s in vain');
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

describe('embedded PostgreSQL', () => {
  const directory = useTemporaryDirectory();
  const running: EmbeddedPostgres[] = [];
  const start = async (
    name: string,
    options: { port?: number; temporary?: boolean } = {},
  ): Promise<EmbeddedPostgres> => {
    const server = await startEmbeddedPostgres({ dataDirectory: join(directory.path(), name), ...options });
    running.push(server);
    return server;
  };
  const runsIn = (name: string, pid: number): Promise<boolean> =>
    runsWithArgument(pid, join(directory.path(), name, 'cluster'));
  after(async () => {
    for (const server of running) await server.stop();
  });

  it('starts a durable server with the encoding and order of bytes, and keeps its data from one start to the next', async () => {
    const first = await start('kept');
    const settings = await query(
      first.url,
      `SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit, current_setting('server_encoding') AS encoding,
              (SELECT datcollate FROM pg_database WHERE datname = current_database()) AS collation, current_setting('listen_addresses') AS host`,
    );
    assert.deepEqual(settings, [{ fsync: 'on', commit: 'on', encoding: 'UTF8', collation: 'C', host: '127.0.0.1' }]);
    await query(first.url, 'CREATE TABLE kept AS SELECT 41 + 1 AS answer');
    await first.stop();
    assert.equal(await runsIn('kept', first.pid), false);

    const second = await start('kept');
    assert.equal(second.adopted, false);
    assert.deepEqual(await query(second.url, 'SELECT answer FROM kept'), [{ answer: 42 }]);
    await second.stop();
    await second.stop();
  });

  it('adopts the server that a killed process left running', async () => {
    const pid = await startAndKillStarter(join(directory.path(), 'orphan'), false);
    assert.equal(await runsIn('orphan', pid), true, 'the server outlives the process that started it');
    const adopted = await start('orphan');
    assert.equal(adopted.adopted, true);
    assert.equal(adopted.pid, pid);
    assert.deepEqual(await query(adopted.url, 'SELECT 1 AS one'), [{ one: 1 }]);
    await adopted.stop();
    assert.equal(await runsIn('orphan', pid), false);
  });

  it('recovers what was committed before the server itself was killed', async () => {
    const first = await start('crashed');
    await query(first.url, 'CREATE TABLE kept AS SELECT 7 AS answer');
    process.kill(first.pid, 'SIGKILL');
    await waitUntil(async () => !(await runsIn('crashed', first.pid)));
    const second = await start('crashed');
    assert.deepEqual(await query(second.url, 'SELECT answer FROM kept'), [{ answer: 7 }]);
    await second.stop();
  });

  it('starts although a crash left a postmaster.pid and a socket whose process id now belongs to something else', async () => {
    const first = await start('stale');
    const cluster = join(directory.path(), 'stale', 'cluster');
    const pidFile = join(cluster, 'postmaster.pid');
    const socketLock = join(cluster, `.s.PGSQL.${first.port}.lock`);
    const [pid, lock] = [await readFile(pidFile, 'utf8'), await readFile(socketLock, 'utf8')];
    await first.stop();
    await writeFile(pidFile, pid.replace(/^\d+/, `${process.pid}`));
    await writeFile(socketLock, lock.replace(/^\d+/, `${process.pid}`));
    const second = await start('stale', { port: first.port });
    assert.equal(second.adopted, false);
    assert.equal(second.port, first.port);
    await second.stop();
  });

  it('is reached through its Unix socket too, unless that has no address', async () => {
    const address = 'SELECT inet_server_addr()::text AS address';
    const near = await start('near');
    assert.deepEqual(await query(near.url, address), [{ address: '127.0.0.1/32' }]);
    assert.deepEqual(await query(near.socketUrl, address), [{ address: null }]);
    await near.stop();
    const far = await start('f'.repeat(100));
    assert.equal(far.socketUrl, far.url);
    assert.deepEqual(await query(far.socketUrl, address), [{ address: '127.0.0.1/32' }]);
    await far.stop();
  });

  it('refuses a directory that another start still uses', async () => {
    const first = await start('used');
    await assert.rejects(start('used'), { code: 'CONFIGURATION', message: /Another process uses the database/ });
    assert.deepEqual(await query(first.url, 'SELECT 1 AS one'), [{ one: 1 }], 'the first keeps working');
    await first.stop();
  });

  it('says which port is taken', async () => {
    const first = await start('port-holder');
    await assert.rejects(start('port-wanter', { port: first.port }), {
      code: 'CONFIGURATION',
      message: new RegExp(`did not start on port ${first.port}`),
    });
    await first.stop();
  });

  it('leaves nothing of a temporary server, neither when it is stopped nor when its process is killed', async () => {
    const stopped = await start('temporary', { temporary: true });
    await stopped.stop();
    assert.equal(existsSync(join(directory.path(), 'temporary')), false);

    const pid = await startAndKillStarter(join(directory.path(), 'abandoned'), true);
    await waitUntil(async () => !(await runsIn('abandoned', pid)) && !existsSync(join(directory.path(), 'abandoned')));
  });
});
