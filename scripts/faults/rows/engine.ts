import { strict as assert } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import { addOperatorRequest, readOperatorRequest } from '../../../src/storage/operator-requests.ts';
import type { Fault, Part } from '../fault.ts';
import { whileWaiting } from '../fault.ts';
import { until, type World } from '../world.ts';

const ENGINE = 'tallystick-engine';
/** The leader's lease is 1.5 s. */
const PAST_THE_LEASE_MS = 3_000;
const HOUR_MS = 3_600_000;

export const ENGINE_FAULTS: readonly Fault[] = [
  engineFault('killed at any moment, three times', ['engine'], async (world) => {
    for (let kill = 0; kill < 3; kill++) {
      await (await world.leader()).kill();
      await sleep(700);
    }
    return 3;
  }),
  engineFault('killed while a row waits for its commit', ['engine', 'postgres'], (world) =>
    whileWaiting(world, { statement: 'SELECT * FROM leader FOR UPDATE', waiter: ENGINE }, async () =>
      (await world.leader()).kill(),
    ),
  ),
  engineFault('killed after a commit, before the answer', ['engine', 'postgres'], killAfterCommit),
  engineFault('killed between seal and outbox', ['engine', 'postgres'], (world) =>
    whileWaiting(world, { statement: 'LOCK TABLE batches IN SHARE MODE', waiter: ENGINE }, async () =>
      (await world.leader()).kill(),
    ),
  ),
  engineFault('killed after a reseal, before its batches are signed', ['engine'], killAfterReseal),
  engineFault('both engines killed', ['engine'], async ({ services }) => {
    await Promise.all([services.engine.kill(), services.standby.kill()]);
    return 2;
  }),
  engineFault('stopped past its lease, then going on', ['engine'], stopPastTheLease),
  engineFault('journal tail torn', ['engine', 'postgres'], (world) => damageTail(world, 'torn'), true),
  engineFault('journal tail flipped', ['engine', 'postgres'], (world) => damageTail(world, 'flipped'), true),
  engineFault('snapshots corrupt', ['engine', 'postgres'], corruptSnapshots),
  engineFault('clock jumps an hour ahead, and back', ['engine'], (world) => jumpClock(world, HOUR_MS), true),
  engineFault('clock jumps an hour back, and ahead', ['engine'], (world) => jumpClock(world, -HOUR_MS), true),
];

function engineFault(name: string, parts: readonly Part[], inject: Fault['inject'], alone = false): Fault {
  return { name, group: 'engine', parts, inject, alone };
}

async function lastSequence({ pool }: World): Promise<number> {
  const { rows } = await pool.query<{ last: number }>('SELECT max(last_sequence) AS last FROM journal');
  return rows[0]?.last ?? 0;
}

/** The row is in the journal, its author has not heard of it, and dies. */
async function killAfterCommit(world: World): Promise<number> {
  const { engineWire } = world.postgres;
  const leader = await world.leader();
  for (let attempt = 1; ; attempt++) {
    const before = await lastSequence(world);
    engineWire.holdAnswers();
    try {
      await until('a row that nobody heard of', async () => (await lastSequence(world)) > before, 1_500);
      await leader.kill();
      engineWire.drop();
      return 1;
    } catch (error) {
      // The answer that is held may be that of the row before, which nothing can follow.
      if (attempt === 5) throw error;
    } finally {
      engineWire.releaseAnswers();
    }
  }
}

/** A batch that may land at any moment is cut in two, and whoever cut it dies: which content lands is open. */
async function killAfterReseal(world: World): Promise<number> {
  const { pool } = world;
  await until('a reseal in the journal', async () => {
    const { rows } = await pool.query<{ batch_id: string; journal_sequence: string; trade_count: number }>(
      `SELECT batch_id, journal_sequence, trade_count FROM pending_batches JOIN batches USING (batch_id, journal_sequence)
        WHERE trade_count > 1 ORDER BY batch_id DESC LIMIT 1`,
    );
    const [batch] = rows;
    if (batch === undefined) return false;
    const reason = 'a drill';
    const id = await addOperatorRequest(pool, {
      command: {
        kind: 'resealBatch',
        batchId: Number(batch.batch_id),
        sealedAt: Number(batch.journal_sequence),
        tradesMax: Math.ceil(batch.trade_count / 2),
        withdrawalsMax: 50,
        reason,
      },
      reason,
      requestedBy: 'faults',
    });
    for (;;) {
      const request = await readOperatorRequest(pool, id);
      if (request?.outcome !== undefined) return request.outcome === 'journaled';
      await sleep(10);
    }
  });
  await (await world.leader()).kill();
  return 1;
}

/** Another leads meanwhile; the one that was stopped is refused, and ends. */
async function stopPastTheLease(world: World): Promise<number> {
  const leader = await world.leader();
  const starts = leader.starts();
  leader.signal('SIGSTOP');
  try {
    await sleep(PAST_THE_LEASE_MS);
    await until('another leader', async () => (await world.leader()) !== leader);
  } finally {
    leader.signal('SIGCONT');
  }
  await until('the deposed leader ending', async () => leader.starts() > starts);
  return 1;
}

/**
 * The last row is damaged while no engine runs: none may lead over it, and the loss is named. With the row as it was, they go on.
 * @param damage `torn`: the row is gone; `flipped`: one bit of it is another
 */
async function damageTail(world: World, damage: 'torn' | 'flipped'): Promise<number> {
  const { pool, services } = world;
  const engines = [services.engine, services.standby];
  await Promise.all(engines.map(({ down }) => down()));
  // Others must have seen the row, else its absence would be no loss.
  await until('the projector having read the last row', async () => {
    const { rows } = await pool.query<{ seen: number }>('SELECT journal_sequence AS seen FROM projection_cursor');
    return rows[0]?.seen === (await lastSequence(world));
  });
  const last = await lastSequence(world);
  await pool.query('CREATE TABLE kept AS SELECT * FROM journal WHERE last_sequence = $1', [last]).catch(async () => {
    throw new Error('a table named kept is left over');
  });
  const logged = services.engine.logFromNow();
  try {
    await pool.query(
      damage === 'torn'
        ? `DELETE FROM journal WHERE last_sequence = ${last}`
        : `UPDATE journal SET body = set_byte(body, 5, get_byte(body, 5) # 1) WHERE last_sequence = ${last}`,
    );
    services.engine.up();
    await until('the damage being named', async () => logged().includes('JOURNAL_CORRUPT'));
    assert.ok(!logged().includes('"leading"'), 'no engine leads over a damaged journal');
    await services.engine.down();
  } finally {
    await pool.query(`DELETE FROM journal WHERE last_sequence = ${last};
      INSERT INTO journal SELECT * FROM kept; DROP TABLE kept`);
    for (const { up } of engines) up();
  }
  return 1;
}

/** Every snapshot has a flipped bit: they are passed over, by name, and the journal alone gives the state. */
async function corruptSnapshots(world: World): Promise<number> {
  const { pool, services } = world;
  const engines = [services.engine, services.standby];
  await until('a snapshot', async () => (await pool.query('SELECT FROM snapshots LIMIT 1')).rowCount === 1);
  // Stopped first: a running leader might save another one, which would be sound.
  await Promise.all(engines.map(({ down }) => down()));
  const logs = engines.map(({ logFromNow }) => logFromNow());
  const { rowCount } = await pool.query(
    'UPDATE snapshots SET body = set_byte(body, length(body) / 2, get_byte(body, length(body) / 2) # 1)',
  );
  for (const { up } of engines) up();
  await until('the snapshots being passed over', async () =>
    logs.some((logged) => logged().includes('is passed over')),
  );
  return rowCount ?? 0;
}

/** Time stands still, or goes on at its own pace, and the jump is reported; nothing expires by it. */
async function jumpClock(world: World, offsetMs: number): Promise<number> {
  // Whichever leads says so: the leadership may change hands meanwhile.
  const engines = [world.services.engine, world.services.standby];
  const logs = engines.map(({ logFromNow }) => logFromNow());
  await world.shiftClock(offsetMs);
  try {
    await until('the jump being reported', async () => logs.some((logged) => logged().includes('"stepMs"')));
    await sleep(1_000);
  } finally {
    await world.shiftClock(0);
  }
  return 2;
}
