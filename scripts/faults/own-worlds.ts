/** Faults that leave their world unusable, or need one of another kind: each gets one of its own. */
import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { readOpenIncidents } from '../../src/storage/incidents.ts';
import type { FaultRow } from './fault-table.ts';
import { createJudge } from './judge.ts';
import { headOf, reorganise } from './rows/chain.ts';
import { startWorld, until, type World, type WorldOptions } from './world.ts';

const run = promisify(execFile);
const DEEP = 64;
const DISK_MEGABYTES = 300;

export const OWN_WORLD_FAULTS: readonly { readonly name: string; readonly measure: () => Promise<FaultRow> }[] = [
  { name: 'chain: reorg 64 deep', measure: () => inWorld({ seed: 64, finality: DEEP + 6 }, reorgDeep) },
  { name: 'chain: past finality: halted with an alarm', measure: () => inWorld({ seed: 65 }, goPastFinality) },
  { name: 'engine: disk full', measure: fillDisk },
];

async function inWorld(options: WorldOptions, measure: (world: World) => Promise<FaultRow>): Promise<FaultRow> {
  const world = await startWorld(options);
  try {
    return await measure(world);
  } finally {
    await world.stop();
  }
}

/** Everything that settlement had mined is gone at once, and comes back. */
async function reorgDeep(world: World): Promise<FaultRow> {
  const judge = createJudge(world);
  const mark = await judge.mark();
  await (await world.traffic.nextTrade()).settled();
  await reorganise(world, DEEP);
  const liftedMs = performance.now();
  await (await world.traffic.nextTrade()).settled();
  const drift = await judge.countDrift(mark);
  const recoveryMs = Math.round(performance.now() - liftedMs);
  const { rows } = await world.pool.query<{ reorgs: boolean }>('SELECT true AS reorgs FROM chain_blocks LIMIT 1');
  assert.equal(rows.length, 1);
  return { name: `chain: reorg ${DEEP} deep`, injections: 1, ...(await judge.check()), drift, recoveryMs };
}

/**
 * Final blocks are reorganised. There is an alarm, and from then on nothing of that chain is taken for true: no block is stored, no fact
 * reaches the engine, no batch is sent. Recovery is the time to the alarm; going on is an operator's decision.
 */
async function goPastFinality(world: World): Promise<FaultRow> {
  const name = 'chain: past finality: halted with an alarm';
  const judge = createJudge(world);
  await (await world.traffic.nextTrade()).settled();
  const lost = (await judge.check()).lost;
  const injectedMs = performance.now();
  const headBefore = await headOf(world);
  await reorganise(world, 12);
  await until('the alarm', async () => (await readOpenIncidents(world.pool)).some(({ kind }) => kind === 'deep_reorg'));
  const recoveryMs = Math.round(performance.now() - injectedMs);
  await until('the indexer having ended', async () => world.services.indexer.log().includes('DEEP_REORG'));
  // What was under way when the alarm was raised may still be written.
  await sleep(1_000);
  const halted = await progressOf(world);
  await until('the chain going on', async () => (await headOf(world)) > headBefore + 5);
  assert.deepEqual(await progressOf(world), halted, 'nothing of the other chain is taken for true');
  assert.ok(world.services.indexer.starts() > 1, 'the indexer was started again, and halted again');
  return { name, injections: 1, lost, double: 0, drift: 0, recoveryMs };
}

async function progressOf({ pool }: World): Promise<unknown> {
  const { rows } = await pool.query(
    `SELECT (SELECT max(number) FROM chain_blocks) AS block, (SELECT max(event_sequence) FROM chain_events) AS event,
            (SELECT count(*) FROM batch_transactions) AS transactions, (SELECT max(event_sequence) FROM reconciliations) AS reconciled`,
  );
  return rows[0];
}

/** The database's disk, a small file system in memory, is filled up while the exchange trades, and freed again. */
async function fillDisk(): Promise<FaultRow> {
  const name = 'engine: disk full';
  const directory = await mkdtemp(join(tmpdir(), 'tallystick-disk-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MEGABYTES}m`, 'tmpfs', directory]);
  } catch (error) {
    await rm(directory, { recursive: true });
    throw new Error('a file system in memory cannot be mounted here: run as root to see this row', { cause: error });
  }
  try {
    return await inWorld({ seed: 66, databaseDirectory: join(directory, 'postgres') }, async (world) => {
      const judge = createJudge(world);
      const mark = await judge.mark();
      await (await world.traffic.nextTrade()).settled();
      const ballast = join(directory, 'ballast');
      await fill(ballast);
      await until('the journal standing still', () => standsStill(world));
      await rm(ballast);
      const liftedMs = performance.now();
      await world.postgres.restartWhenDead();
      await (await world.traffic.nextTrade()).settled();
      const drift = await judge.countDrift(mark);
      const recoveryMs = Math.round(performance.now() - liftedMs);
      return { name, injections: 1, ...(await judge.check()), drift, recoveryMs };
    });
  } finally {
    await run('umount', [directory]);
    await rm(directory, { recursive: true, force: true });
  }
}

/** Grows the file until the disk is full. */
async function fill(file: string): Promise<void> {
  for (const bytes of [1 << 20, 1 << 12]) {
    for (;;) {
      try {
        await writeFile(file, Buffer.alloc(bytes), { flag: 'a' });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        break;
      }
    }
  }
  assert.ok((await stat(file)).size > 0);
}

/** A database that is down stands still too. */
async function standsStill({ pool }: World): Promise<boolean> {
  const last = async (): Promise<number | undefined> => {
    const { rows } = await pool.query<{ last: number }>('SELECT max(last_sequence) AS last FROM journal');
    return rows[0]?.last;
  };
  try {
    const before = await last();
    await sleep(2_000);
    return (await last()) === before;
  } catch {
    // Out of room for its log, the server ends: nothing can be committed then.
    return true;
  }
}
