import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { useTestDatabase } from '../support/database.ts';
import { useLocalNode } from '../support/local-node.ts';
import { type RpcProxy, startRpcProxy } from '../support/rpc-proxy.ts';
import type { SubmitterProcess } from './submitter-process.ts';
import { createVaultBench, SUBMITTER_KEY, type VaultBench } from './vault-bench.ts';

const PROGRAM = fileURLToPath(new URL('./submitter-process.ts', import.meta.url));

describe('a submitter process killed by SIGKILL', () => {
  let pool: pg.Pool;
  let bench: VaultBench;
  let proxy: RpcProxy;
  let child: ChildProcess;
  after(async () => {
    await proxy.stop();
    await pool.end();
  });
  const database = useTestDatabase();
  const local = useLocalNode({ flags: ['--no-mining'] });
  let batches = 0;

  before(async () => {
    pool = new pg.Pool({ connectionString: database.url() });
    bench = await createVaultBench(local.node().rpcUrl);
    proxy = await startRpcProxy(bench.rpcUrl);
  });
  afterEach(() => {
    child.kill('SIGKILL');
  });

  const start = (): void => {
    const given: SubmitterProcess = {
      databaseUrl: database.url(),
      rpcUrl: proxy.url,
      chainId: local.node().chainId,
      vault: bench.vault,
      deploymentBlock: bench.deploymentBlock,
      privateKey: SUBMITTER_KEY,
    };
    child = spawn(process.execPath, [PROGRAM], {
      env: { ...process.env, SUBMITTER_PROCESS: JSON.stringify(given) },
      stdio: 'inherit',
    });
  };
  const kill = async (): Promise<void> => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
    for (let waited = 0; !(await holds()); waited += 20) {
      assert.ok(waited < 20_000, 'it did not come to that within 20 s');
      await sleep(20);
    }
  };
  const transactions = async () =>
    (
      await pool.query<{ send_count: number }>('SELECT send_count FROM batch_transactions WHERE batch_id = $1', [
        batches,
      ])
    ).rows;
  /** Somebody waits for a lock that `locker` holds. */
  const isBlocked = async (): Promise<boolean> =>
    ((
      await pool.query("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
    ).rowCount ?? 0) > 0;

  /** Kills the process at one point of its work, starts another, and holds that the batch is settled once. */
  async function killAt(
    prepare: () => Promise<{ reached: () => boolean | Promise<boolean>; release: () => Promise<void> }>,
  ): Promise<void> {
    batches += 1;
    await bench.publish(pool, batches, batches);
    const point = await prepare();
    start();
    await until(point.reached);
    await kill();
    proxy.breakRequest = undefined;
    proxy.bendAnswer = undefined;
    await point.release();
    start();
    await until(async () => {
      await bench.mine();
      const { rows } = await pool.query<{ state: string }>('SELECT state FROM settlements WHERE batch_id = $1', [
        batches,
      ]);
      return rows[0]?.state === 'final';
    });
    assert.equal(await bench.lastBatchId(), batches);
  }

  /** A connection that can hold the table of transactions, so that whoever writes to it stands still there. */
  async function createLocker(): Promise<{ lock: () => Promise<unknown>; release: () => Promise<void> }> {
    const client = await pool.connect();
    return {
      lock: () => client.query('BEGIN; LOCK TABLE batch_transactions IN SHARE MODE'),
      release: async () => {
        await client.query('ROLLBACK');
        client.release();
      },
    };
  }

  it('between signing and persisting: signs again', async () => {
    await killAt(async () => {
      const locker = await createLocker();
      await locker.lock();
      return { reached: isBlocked, release: locker.release };
    });
    assert.equal((await transactions()).length, 1);
  });

  it('between persisting and sending: sends what was persisted', async () => {
    await killAt(async () => {
      let asked = false;
      proxy.breakRequest = (calls) => {
        if (!calls.some(({ method }) => method === 'eth_sendRawTransaction')) return undefined;
        asked = true;
        return { kind: 'hang' };
      };
      return { reached: () => asked, release: async () => undefined };
    });
    assert.equal((await transactions()).length, 1);
  });

  it('between sending and recording that it was sent: finds it in the pool', async () => {
    await killAt(async () => {
      const locker = await createLocker();
      let locking: Promise<unknown> | undefined;
      proxy.breakRequest = (calls) => {
        // It has persisted by now, and records after the reply, which the node has yet to give.
        if (calls.some(({ method }) => method === 'eth_sendRawTransaction')) locking ??= locker.lock();
        return undefined;
      };
      return { reached: async () => locking !== undefined && (await isBlocked()), release: locker.release };
    });
    assert.equal((await transactions()).length, 1);
  });

  it('after it was mined, before that was recorded: does not settle again', async () => {
    await killAt(async () => ({
      reached: async () => (await transactions())[0]?.send_count === 1,
      release: () => bench.mine(),
    }));
    assert.equal((await transactions()).length, 1);
  });
});
