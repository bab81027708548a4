import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startLocalNode } from '../../src/services/local-node.ts';
import { startRunningExchange } from '../support/running-exchange.ts';

const START = fileURLToPath(new URL('../../src/services/start.ts', import.meta.url));

type Contracts = { readonly vault: string; readonly chainId: number };
type Status = { readonly journalSequence: number; readonly openIncidents: number };

async function get<T>(url: string, path: string): Promise<T> {
  const response = await fetch(`${url}/api/v1${path}`);
  assert.equal(response.status, 200, path);
  return (await response.json()) as T;
}

/** Runs until it ends by itself. */
function runToEnd(environment: Readonly<Record<string, string>>): Promise<{ code: number; errors: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [START],
      { env: { ...process.env, ...environment }, timeout: 60_000 },
      (error, _output, errors) => resolve({ code: error === null ? 0 : Number(error.code), errors }),
    );
  });
}

describe('npm start', () => {
  let dataDirectory = '';

  before(async () => {
    dataDirectory = await mkdtemp(join(tmpdir(), 'tallystick-start-'));
  });
  after(() => rm(dataDirectory, { recursive: true, force: true }));

  it('stops cleanly on Ctrl-C, and continues the same journal and chain when started again, killed or not', async function () {
    this.timeout(240_000);
    const first = await startRunningExchange({ dataDirectory });
    const { vault } = await get<Contracts>(first.url, '/contracts');
    const page = await fetch(first.url);
    assert.match(await page.text(), /<title>Tallystick<\/title>/);
    assert.match(first.output(), /Wallets with test tokens.*0x[0-9a-fA-F]{40} +0x[0-9a-f]{64}/s);
    const ready = await fetch(`${first.operationsUrl}/readyz`);
    assert.equal(ready.status, 200, await ready.text());
    const before = await get<Status>(first.url, '/status');
    await first.stop('SIGINT');
    assert.equal(await first.exited, 0);

    const second = await startRunningExchange({ dataDirectory });
    assert.equal((await get<Contracts>(second.url, '/contracts')).vault, vault);
    const again = await get<Status>(second.url, '/status');
    assert.ok(again.journalSequence > before.journalSequence, 'the journal goes on');
    await second.stop('SIGKILL');

    const third = await startRunningExchange({ dataDirectory });
    assert.equal((await get<Contracts>(third.url, '/contracts')).vault, vault);
    assert.equal((await get<Status>(third.url, '/status')).openIncidents, 0);
    await third.stop('SIGINT');
    assert.equal(await third.exited, 0);
  });

  it('tells every setting that is wrong at once', async () => {
    const { code, errors } = await runToEnd({ PORT: 'many', SEAL_TRADES: '0', RPC_URL: 'node:8545' });
    assert.equal(code, 1);
    for (const name of ['PORT', 'SEAL_TRADES', 'RPC_URL']) assert.match(errors, new RegExp(`  ${name}: `));
  });

  it('says in a sentence, without a stack, that its directory or its database cannot be used', async function () {
    this.timeout(90_000);
    const badDirectory = await runToEnd({ DATA_DIRECTORY: join(START, 'below a file') });
    assert.deepEqual([badDirectory.code, /^ +at /m.test(badDirectory.errors)], [1, false], badDirectory.errors);
    assert.match(badDirectory.errors, /cannot be written.*DATA_DIRECTORY/);
    const noDatabase = await runToEnd({
      DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
      DATA_DIRECTORY: join(dataDirectory, 'alone'),
    });
    assert.deepEqual([noDatabase.code, /^ +at /m.test(noDatabase.errors)], [1, false], noDatabase.errors);
    assert.match(noDatabase.errors, /does not answer.*DATABASE_URL/);
  });

  it('starts when the first of several nodes is away, and says which one', async function () {
    this.timeout(120_000);
    const node = await startLocalNode({ blockTimeSeconds: 1, flags: ['--mixed-mining'] });
    try {
      const exchange = await startRunningExchange({
        environment: { RPC_URL: `http://127.0.0.1:1/key,${node.rpcUrl}` },
      });
      try {
        assert.match(
          exchange.output(),
          /chain +id 31337 at 127\.0\.0\.1:\d+; passed over: 127\.0\.0\.1:1 did not answer/,
        );
        assert.equal(exchange.rpcUrl, node.rpcUrl);
      } finally {
        await exchange.stop();
      }
    } finally {
      await node.stop();
    }
  });

  it('says of each node why it cannot be used when there is none', async function () {
    this.timeout(90_000);
    const { code, errors } = await runToEnd({
      RPC_URL: 'http://127.0.0.1:1,http://127.0.0.1:2',
      DATA_DIRECTORY: join(dataDirectory, 'no-node'),
    });
    assert.deepEqual([code, /^ +at /m.test(errors)], [1, false], errors);
    assert.match(errors, /127\.0\.0\.1:1 did not answer.*127\.0\.0\.1:2 did not answer.*Check RPC_URL/);
  });

  it('says what to do when its port is taken', async function () {
    this.timeout(90_000);
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((listening) => other.once('listening', listening));
    const { port } = other.address() as { port: number };
    try {
      const DATA_DIRECTORY = join(dataDirectory, 'taken');
      const { code, errors } = await runToEnd({ PORT: `${port}`, OPERATIONS_PORT: '0', DATA_DIRECTORY });
      assert.equal(code, 1);
      assert.match(errors, /port is taken.*Set PORT/is);
    } finally {
      other.close();
    }
  });
});
