import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { Replica } from '../../src/offchain-engine/sequencer/replica.ts';
import { ENGINE_FORM } from '../../src/services/engine-form.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresJournalReader } from '../../src/storage/journal/read-journal.ts';
import { PostgresSnapshots } from '../../src/storage/snapshots.ts';
import { resetJournal } from '../storage/journal-rows.ts';
import { useTestDatabase } from '../support/database.ts';
import { sleep } from './leading.ts';

const PROGRAM = fileURLToPath(new URL('./engine-process.ts', import.meta.url));

type Acknowledged = { readonly sequence: number; readonly digest?: string; readonly root: string };
type EngineProcess = {
  readonly child: ChildProcess;
  readonly started: Promise<void>;
  readonly leading: Promise<{ readonly epoch: number; readonly atMs: number }>;
  readonly acknowledged: Acknowledged[];
  readonly said: { kind: string }[];
  readonly exited: Promise<void>;
};

describe('an engine process that is killed', function () {
  this.timeout(60_000);
  const database = useTestDatabase();
  const running: EngineProcess[] = [];
  let pool: pg.Pool;

  before(() => {
    pool = openDatabase({ url: database.url(), applicationName: 'tallystick-test-kill' });
  });
  beforeEach(() => resetJournal(pool));
  afterEach(async () => {
    for (const { child, exited } of running.splice(0)) {
      child.kill('SIGKILL');
      await exited;
    }
  });
  after(() => pool.end());

  function start(salt: number): EngineProcess {
    const child = spawn(process.execPath, [PROGRAM, database.url(), String(salt)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const started = Promise.withResolvers<void>();
    const leading = Promise.withResolvers<{ epoch: number; atMs: number }>();
    const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
    const acknowledged: Acknowledged[] = [];
    const said: { kind: string }[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => {
      // A process killed in the middle of a line leaves half of one, which nobody would have read.
      if (!line.endsWith('}')) return;
      const word = JSON.parse(line) as { kind: string };
      if (word.kind === 'acknowledged') acknowledged.push(word as never);
      else said.push(word);
      if (word.kind === 'started') started.resolve();
      if (word.kind === 'leading') leading.resolve(word as never);
    });
    const process_ = { child, started: started.promise, leading: leading.promise, acknowledged, said, exited };
    running.push(process_);
    return process_;
  }

  async function untilTrading(engine: EngineProcess, more: number): Promise<void> {
    await engine.leading;
    for (const target = engine.acknowledged.length + more; engine.acknowledged.length < target; ) await sleep(5);
  }

  async function stateHashOf(snapshots: 'with snapshots' | 'without'): Promise<string> {
    if (snapshots === 'without') await pool.query('TRUNCATE snapshots CASCADE');
    const replica = await Replica.recover({
      journal: new PostgresJournalReader(pool),
      snapshots: new PostgresSnapshots({ pool }),
      form: ENGINE_FORM,
      onProblem: ({ cause }) => assert.fail(String(cause)),
    });
    return ENGINE_FORM.stateHash(replica.engine);
  }

  /** Everything acknowledged stands in the journal, at its place, with its content. */
  async function checkNothingLost(acknowledged: readonly Acknowledged[]): Promise<void> {
    const journal = new PostgresJournalReader(pool);
    const commands = await journal.readCommands(acknowledged.map(({ sequence }) => sequence));
    for (const { sequence, digest } of acknowledged) {
      const command = commands.get(sequence)?.command;
      assert.equal(
        command?.kind === 'placeOrder' ? command.order.digest : undefined,
        digest,
        `at sequence ${sequence}`,
      );
    }
    assert.equal(new Set(acknowledged.map(({ sequence }) => sequence)).size, acknowledged.length, 'no place twice');
    assert.equal(await stateHashOf('with snapshots'), await stateHashOf('without'));
  }

  it('loses nothing it acknowledged, kill after kill, and a standby leads within 3 s', async () => {
    const all: Acknowledged[] = [];
    let leader = start(0);
    let worstMs = 0;
    for (let kill = 1; kill <= 4; kill++) {
      await leader.leading;
      const standby = start(kill);
      await standby.started;
      await untilTrading(leader, 300 + kill * 37);
      const killedAtMs = Date.now();
      leader.child.kill('SIGKILL');
      await leader.exited;
      all.push(...leader.acknowledged);
      const { atMs, epoch } = await standby.leading;
      assert.equal(epoch, kill + 1);
      worstMs = Math.max(worstMs, atMs - killedAtMs);
      leader = standby;
    }
    await untilTrading(leader, 200);
    leader.child.kill('SIGKILL');
    await leader.exited;
    all.push(...leader.acknowledged);
    assert.ok(all.length > 1_500, `${all.length} acknowledged`);
    await checkNothingLost(all);
    const trades = await pool.query('SELECT count(*)::int AS rows FROM journal');
    assert.ok(trades.rows[0].rows > 10);
    assert.ok(worstMs < 3_000, `the slowest takeover took ${worstMs} ms`);
  });

  it('is refused when it was only stopped and comes back, and ends', async () => {
    const old = start(0);
    await old.leading;
    const standby = start(1);
    await standby.started;
    await untilTrading(old, 500);
    const stoppedAtMs = Date.now();
    old.child.kill('SIGSTOP');
    const { atMs } = await standby.leading;
    assert.ok(atMs - stoppedAtMs < 3_000, `the takeover took ${atMs - stoppedAtMs} ms`);
    await untilTrading(standby, 200);
    old.child.kill('SIGCONT');
    await old.exited;
    assert.equal(old.child.exitCode, 3);
    assert.match(JSON.stringify(old.said), /LEADERSHIP_LOST/);
    standby.child.kill('SIGKILL');
    await standby.exited;
    await checkNothingLost([...old.acknowledged, ...standby.acknowledged]);
  });
});
