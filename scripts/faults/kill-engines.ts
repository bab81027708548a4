/**
 * Engine processes that are killed, stopped and cut off while they trade: a leader and a standby over a real PostgreSQL, each with a load
 * of its own. After every blow the standby leads, and in the end the journal is held against everything that was acknowledged.
 */
import { strict as assert } from 'node:assert';
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { Engine } from '../../src/offchain-engine/engine.ts';
import { JOURNAL_START, verifyRow } from '../../src/offchain-engine/sequencer/journal-row.ts';
import { Replica } from '../../src/offchain-engine/sequencer/replica.ts';
import { ENGINE_FORM } from '../../src/services/engine-form.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresJournalReader } from '../../src/storage/journal/read-journal.ts';
import { PostgresSnapshots } from '../../src/storage/snapshots.ts';
import { seededRandom } from '../../test/support/random.ts';
import { layWire, type Wire } from './wire.ts';

const PROGRAM = fileURLToPath(new URL('../../test/sequencer/engine-process.ts', import.meta.url));
/** No blow keeps the exchange from being led for as long, on the slowest machine. */
const TAKEOVER_PATIENCE_MS = 60_000;

export const BLOWS = ['SIGKILL', 'SIGSTOP', 'connection lost', 'stopped inside a transaction'] as const;
export type Blow = (typeof BLOWS)[number];

export type KillReport = {
  readonly kills: number;
  readonly acknowledged: number;
  /** Acknowledged, and not in the journal at that place with that content. */
  readonly lost: number;
  /** Orders accepted twice, places acknowledged twice, rows of a deposed leader. */
  readonly double: number;
  /** From the blow to the next leader. */
  readonly worstTakeoverMs: number;
};

type Word = { readonly kind: string; readonly atMs?: number; readonly sequence?: number; readonly digest?: string };

class EngineProcess {
  readonly child: ChildProcess;
  readonly acknowledged: Word[] = [];
  /** Recovered, and following the journal. */
  readonly following = Promise.withResolvers<void>();
  readonly leading = Promise.withResolvers<number>();
  readonly ended: Promise<void>;
  readonly wire: Wire;

  constructor(wire: Wire, salt: number) {
    this.wire = wire;
    this.child = spawn(process.execPath, [PROGRAM, wire.url, String(salt)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.ended = new Promise((resolve) => this.child.once('close', () => resolve()));
    createInterface({ input: this.child.stdout as NonNullable<ChildProcess['stdout']> }).on('line', (line) => {
      // A process killed in the middle of a line leaves half of one, which nobody would have read.
      if (!line.endsWith('}')) return;
      const word = JSON.parse(line) as Word;
      if (word.kind === 'acknowledged') this.acknowledged.push(word);
      if (word.kind === 'following') this.following.resolve();
      if (word.kind === 'leading') this.leading.resolve(word.atMs ?? 0);
    });
  }

  async trades(more: number): Promise<void> {
    const target = this.acknowledged.length + more;
    await within('trading', async () => this.acknowledged.length >= target);
  }

  async end(): Promise<void> {
    // A stopped process dies of this too.
    this.child.kill('SIGKILL');
    await this.ended;
    this.wire.cut();
  }
}

/** @param options.seed decides which blow falls when; `onBlow` hears of each */
export async function killEngines(options: {
  readonly databaseUrl: string;
  readonly kills: number;
  readonly seed: number;
  readonly onBlow?: (blow: { readonly kill: number; readonly blow: Blow; readonly takeoverMs: number }) => void;
}): Promise<KillReport> {
  const random = seededRandom(options.seed);
  const pool = openDatabase({ url: options.databaseUrl, applicationName: 'tallystick-kill-engines' });
  const running = new Set<EngineProcess>();
  let salt = 0;
  const start = async (): Promise<EngineProcess> => {
    const engine = new EngineProcess(await layWire(options.databaseUrl), ++salt);
    running.add(engine);
    return engine;
  };
  const all: Word[] = [];
  let worstTakeoverMs = 0;
  try {
    let leader = await start();
    for (let kill = 1; kill <= options.kills; kill++) {
      await withinTime('the first leader', leader.leading.promise);
      const standby = await start();
      // A standby that is still recovering is none yet.
      await withinTime('a standby that follows', standby.following.promise);
      await leader.trades(20 + random(200));
      const blow = BLOWS[(kill - 1) % BLOWS.length] as Blow;
      const atMs = Date.now();
      await strike(pool, leader, blow);
      const ledAtMs = await withinTime(`a leader after ${blow}`, standby.leading.promise);
      const takeoverMs = ledAtMs - atMs;
      worstTakeoverMs = Math.max(worstTakeoverMs, takeoverMs);
      await standby.trades(20);
      // The one that was deposed wakes up, and finds that it leads no more.
      leader.child.kill('SIGCONT');
      await sleep(random(50));
      await leader.end();
      running.delete(leader);
      all.push(...leader.acknowledged);
      options.onBlow?.({ kill, blow, takeoverMs });
      leader = standby;
    }
    await leader.end();
    all.push(...leader.acknowledged);
    return { kills: options.kills, acknowledged: all.length, ...(await judge(pool, all)), worstTakeoverMs };
  } finally {
    await Promise.all([...running].map((engine) => engine.end()));
    await pool.end();
  }
}

/** After it the process does not lead, or is about to find out. */
async function strike(pool: pg.Pool, engine: EngineProcess, blow: Blow): Promise<void> {
  switch (blow) {
    case 'SIGKILL':
      engine.child.kill('SIGKILL');
      return;
    case 'SIGSTOP':
      engine.child.kill('SIGSTOP');
      return;
    case 'connection lost':
      engine.wire.cut();
      return;
    case 'stopped inside a transaction':
      await stopInsideTransaction(pool, engine);
      return;
  }
}

/** Stops the process while its append holds, or waits for, the leader row: the statement stays open in the database. */
async function stopInsideTransaction(pool: pg.Pool, engine: EngineProcess): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN; SELECT * FROM leader FOR UPDATE');
    await within('an append that waits', async () => {
      const { rowCount } = await pool.query(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      return (rowCount ?? 0) > 0;
    });
    engine.child.kill('SIGSTOP');
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
}

/** Holds the journal against what was acknowledged. @throws when it does not verify, or replay gives two states */
async function judge(pool: pg.Pool, acknowledged: readonly Word[]): Promise<{ lost: number; double: number }> {
  const journal = new PostgresJournalReader(pool);
  const digests = new Map<number, string | undefined>();
  const accepted = new Map<string, number>();
  const engine = new Engine();
  let position = JOURNAL_START;
  for await (const row of journal.rowsFrom(1)) {
    // Epochs that fall, gaps and forks are refused here.
    const verified = verifyRow(position, row);
    position = verified.position;
    for (const sequenced of verified.commands) {
      const { command } = sequenced;
      digests.set(sequenced.sequence, command.kind === 'placeOrder' ? command.order.digest : undefined);
      for (const event of engine.apply(sequenced).events)
        if (event.kind === 'orderAccepted')
          accepted.set(event.order.digest, (accepted.get(event.order.digest) ?? 0) + 1);
    }
  }
  const lost = acknowledged.filter(
    ({ sequence = 0, digest }) => !digests.has(sequence) || digests.get(sequence) !== digest,
  ).length;
  const places = new Set(acknowledged.map(({ sequence }) => sequence)).size;
  const twice = [...accepted.values()].filter((times) => times > 1).length;
  const recovered = await Replica.recover({
    journal,
    snapshots: new PostgresSnapshots({ pool }),
    form: ENGINE_FORM,
    onProblem: ({ cause }) => assert.fail(String(cause)),
  });
  assert.equal(ENGINE_FORM.stateHash(recovered.engine), ENGINE_FORM.stateHash(engine), 'snapshot and journal differ');
  return { lost, double: acknowledged.length - places + twice };
}

async function within(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const deadlineMs = performance.now() + TAKEOVER_PATIENCE_MS; !(await holds()); await sleep(10))
    if (performance.now() > deadlineMs) throw new Error(`${what} did not come about`);
}

async function withinTime<Result>(what: string, promise: Promise<Result>): Promise<Result> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${what} did not come about`)), TAKEOVER_PATIENCE_MS);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
