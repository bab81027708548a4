/** P5: a command that was acknowledged is never lost: it was committed to the journal first. */
import assert from 'node:assert/strict';
import pg from 'pg';
import { Replica } from '../../src/offchain-engine/sequencer/replica.ts';
import { ENGINE_FORM } from '../../src/services/engine-form.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresJournalReader } from '../../src/storage/journal/read-journal.ts';
import { PostgresSnapshots } from '../../src/storage/snapshots.ts';
import { blockAppends, sleep, soon } from '../sequencer/leading.ts';
import { tradingCommand } from '../sequencer/trading-commands.ts';
import { resetJournal } from '../storage/journal-rows.ts';
import { useTestDatabase } from '../support/database.ts';
import {
  type Acknowledged,
  type EngineProcess,
  startEngineLeader,
  startEngineProcess,
} from './support/engine-leaders.ts';

describe('P5 Durability', () => {
  const database = useTestDatabase();
  let pool: pg.Pool;

  before(() => {
    pool = openDatabase({ url: database.url(), applicationName: 'tallystick-test-promises' });
  });
  beforeEach(() => resetJournal(pool));
  after(() => pool.end());

  const committedUpTo = async (): Promise<number> =>
    Number((await pool.query('SELECT coalesce(max(last_sequence), 0) AS last FROM journal')).rows[0]?.last);

  it('P5: while the commit is held up, nothing is acknowledged, applied or shown; afterwards everything is', async () => {
    const leader = await startEngineLeader(database.url(), { leaseMs: 60_000 });
    try {
      const standing = leader.engine.lastSequence;
      const shown = leader.applied.length;
      const committed = await committedUpTo();
      const block = await blockAppends(pool);
      let acknowledged = 0;
      const replies = Array.from({ length: 10 }, async (_, index) => {
        const reply = await leader.sequencer.submit(tradingCommand(index, 1, Date.now()), soon());
        acknowledged++;
        return reply;
      });
      await sleep(300);
      assert.deepEqual([acknowledged, leader.engine.lastSequence, leader.applied.length], [0, standing, shown]);
      assert.equal(await committedUpTo(), committed);
      await block.release();
      for (const reply of await Promise.all(replies)) {
        if (reply.kind !== 'committed') assert.fail(`answered ${reply.kind}`);
        assert.ok(reply.sequence <= (await committedUpTo()));
      }
      assert.equal(acknowledged, 10);
    } finally {
      await leader.close();
    }
  });

  it('P5: every acknowledgement finds its command committed at the moment it arrives', async () => {
    const leader = await startEngineLeader(database.url());
    try {
      for (let index = 0; index < 60; index++) {
        const command = tradingCommand(index, 2, Date.now());
        const reply = await leader.sequencer.submit(command, soon());
        if (reply.kind !== 'committed') assert.fail(`answered ${reply.kind}`);
        const { rows } = await pool.query(
          'SELECT hash FROM journal WHERE first_sequence <= $1 AND last_sequence >= $1',
          [reply.sequence],
        );
        assert.equal(`0x${rows[0]?.hash.toString('hex')}`, reply.receipt.rowHash);
        assert.deepEqual((await leader.journal.readCommand(reply.sequence)).command, command);
      }
    } finally {
      await leader.close();
    }
  });

  it('P5: kill -9 of the engine, twice, loses nothing that was acknowledged, and leaves one state', async () => {
    const all: Acknowledged[] = [];
    const running: EngineProcess[] = [];
    try {
      for (const salt of [1, 2]) {
        const engine = startEngineProcess(database.url(), salt);
        running.push(engine);
        await engine.leading;
        while (engine.acknowledged.length < 250 * salt) await sleep(5);
        engine.child.kill('SIGKILL');
        await engine.exited;
        all.push(...engine.acknowledged);
      }
    } finally {
      for (const { child } of running) child.kill('SIGKILL');
    }
    assert.ok(all.length >= 750);
    const journal = new PostgresJournalReader(pool);
    const commands = await journal.readCommands(all.map(({ sequence }) => sequence));
    for (const { sequence, digest } of all) {
      const command = commands.get(sequence)?.command;
      assert.ok(command !== undefined, `the command acknowledged at ${sequence} is in the journal`);
      assert.equal(command.kind === 'placeOrder' ? command.order.digest : undefined, digest, `at ${sequence}`);
    }
    assert.equal(new Set(all.map(({ sequence }) => sequence)).size, all.length, 'no place was given twice');
    const recover = async (): Promise<string> => {
      const snapshots = new PostgresSnapshots({ pool });
      const onProblem = ({ cause }: { cause: unknown }) => assert.fail(String(cause));
      return ENGINE_FORM.stateHash(
        (await Replica.recover({ journal, snapshots, form: ENGINE_FORM, onProblem })).engine,
      );
    };
    const fromSnapshot = await recover();
    await pool.query('TRUNCATE snapshots CASCADE');
    assert.equal(await recover(), fromSnapshot);
  });

  it('P5: an engine does not recover from a journal that lost its end, as an older snapshot shows', async () => {
    const leader = await startEngineLeader(database.url());
    for (let index = 0; index < 300; index++)
      await leader.sequencer.submit(tradingCommand(index, 3, Date.now()), soon());
    await leader.close();
    const { rows } = await pool.query('SELECT max(sequence) AS last FROM snapshots');
    assert.ok(Number(rows[0]?.last) > 0, 'a snapshot was taken');
    await pool.query('DELETE FROM journal WHERE last_sequence >= $1', [rows[0]?.last]);
    await assert.rejects(startEngineLeader(database.url()), { code: 'JOURNAL_CORRUPT' });
  });

  it('P5: no engine leads over a database that would forget commits in a crash', async () => {
    const client = new pg.Client({ connectionString: database.url() });
    await client.connect();
    const name = new URL(database.url()).pathname.slice(1);
    await client.query(`ALTER DATABASE ${name} SET synchronous_commit = off`);
    try {
      await assert.rejects(startEngineLeader(database.url()), { code: 'CONFIGURATION' });
    } finally {
      await client.query(`ALTER DATABASE ${name} RESET synchronous_commit`);
      await client.end();
    }
  });
});
