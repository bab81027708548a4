import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { Redis } from 'ioredis';
import pg from 'pg';
import { useTestDatabase } from '../support/database.ts';
import { useLocalNode } from '../support/local-node.ts';
import { useTestRedis } from '../support/redis.ts';
import { useTemporaryDirectory } from '../support/temporary-directory.ts';

async function tablesOf(url: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename`,
  );
  await client.end();
  return rows.map((row) => row.name);
}

describe('what tests run against', () => {
  const migrated = useTestDatabase();
  const empty = useTestDatabase({ migrated: false });
  const redis = useTestRedis();
  const node = useLocalNode();
  const directory = useTemporaryDirectory();

  it('is a database of its own, with the tables of the project or without any', async () => {
    assert.notEqual(migrated.url(), empty.url());
    assert.deepEqual(await tablesOf(empty.url()), []);
    const migrationsExist = existsSync(new URL('../../src/storage/migrations', import.meta.url));
    assert.equal((await tablesOf(migrated.url())).length > 1, migrationsExist);
  });

  it('is a Redis server that can be killed and comes back empty', async () => {
    const client = new Redis(redis.redis().url, { maxRetriesPerRequest: null });
    client.on('error', () => undefined);
    await client.set('key', 'value');
    assert.equal(await client.get('key'), 'value');
    await redis.redis().kill();
    await redis.redis().start();
    assert.equal(await client.get('key'), null);
    client.disconnect();
  });

  it('is a node of its own', async () => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_blockNumber', params: [] });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(node.node().rpcUrl, { method: 'POST', headers, body });
    assert.deepEqual(await answer.json(), { jsonrpc: '2.0', id: 1, result: '0x0' });
  });

  it('is a directory that exists', () => {
    assert.ok(existsSync(directory.path()));
  });
});
