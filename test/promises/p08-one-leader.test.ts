/** P8: at most one engine writes in an epoch; a deposed leader's write is refused by the database, in the very statement that tries it. */
import assert from 'node:assert/strict';
import type pg from 'pg';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresJournal } from '../../src/storage/journal/postgres-journal.ts';
import { PostgresLeadership } from '../../src/storage/leadership.ts';
import { sleep, soon } from '../sequencer/leading.ts';
import { tradingCommand } from '../sequencer/trading-commands.ts';
import { lead, openWithOneRow, resetJournal, rowAfter } from '../storage/journal-rows.ts';
import { useTestDatabase } from '../support/database.ts';
import { startEngineLeader } from './support/engine-leaders.ts';

describe('P8 One leader', () => {
  const database = useTestDatabase();
  let pool: pg.Pool;

  before(() => {
    pool = openDatabase({ url: database.url(), applicationName: 'tallystick-test-promises', connectionsMax: 12 });
  });
  beforeEach(() => resetJournal(pool));
  after(() => pool.end());

  /** Epoch of every row, in order. */
  const epochs = async (): Promise<number[]> =>
    (await pool.query('SELECT epoch FROM journal ORDER BY last_sequence')).rows.map((row) => Number(row.epoch));

  it('P8: a deposed leader is refused by the statement itself, although it knows the journal’s last row', async () => {
    const old = await lead(pool, 'old', { leaseMs: 1 });
    const successor = await lead(pool, 'new', { leaseMs: 60_000 });
    assert.equal(successor.epoch, old.epoch + 1);
    // The chain of rows alone would take it: only the epoch in the INSERT is in the way.
    const row = rowAfter(successor.last, old.epoch);
    assert.deepEqual(await old.journal.append(row), { kind: 'refused', reason: 'leadership_lost' });
    assert.deepEqual(await epochs(), [old.epoch, successor.epoch]);
  });

  it('P8: a leader of the right epoch is refused as well when its row does not follow the last one', async () => {
    const { journal, epoch, last } = await lead(pool, 'leader', { leaseMs: 60_000 });
    const elsewhere = rowAfter({ lastSequence: last.lastSequence, hash: `0x${'11'.repeat(32)}` }, epoch);
    assert.deepEqual(await journal.append(elsewhere), { kind: 'refused', reason: 'foreign_row' });
    const beyond = rowAfter({ lastSequence: last.lastSequence + 3, hash: last.hash }, epoch);
    assert.deepEqual(await journal.append(beyond), { kind: 'refused', reason: 'foreign_row' });
    assert.deepEqual(await epochs(), [epoch]);
  });

  it('P8: a write that was under way while another took over is refused when its turn comes', async () => {
    const old = await lead(pool, 'old', { leaseMs: 60_000 });
    const takeover = await pool.connect();
    await takeover.query('BEGIN; SELECT * FROM leader FOR UPDATE');
    const late = old.journal.append(rowAfter(old.last, old.epoch));
    await sleep(100);
    await takeover.query(`UPDATE leader SET epoch = epoch + 1, owner = 'successor'`);
    await takeover.query('COMMIT');
    takeover.release();
    assert.deepEqual(await late, { kind: 'refused', reason: 'leadership_lost' });
    assert.deepEqual(await epochs(), [old.epoch]);
  });

  it('P8: speaking of the right epoch does not make a leader', async () => {
    const { epoch, last } = await lead(pool, 'leader', { leaseMs: 60_000 });
    const impostor = new PostgresJournal({ pool, owner: 'somebody else' });
    assert.deepEqual(await impostor.append(rowAfter(last, epoch)), { kind: 'refused', reason: 'leadership_lost' });
  });

  it('P8: of many that try at once one leads, in an epoch of its own, and epochs only rise', async () => {
    for (let round = 0; round < 3; round++) {
      const candidates = Array.from(
        { length: 5 },
        (_, index) => new PostgresLeadership({ pool, owner: `candidate ${round} ${index}`, leaseMs: 60_000 }),
      );
      const outcomes = await Promise.all(candidates.map((candidate) => candidate.tryAcquire(openWithOneRow)));
      const acquired = outcomes.flatMap((outcome) => (outcome.kind === 'acquired' ? [outcome.epoch] : []));
      assert.deepEqual(acquired, [round + 1], `round ${round}`);
      await pool.query(`UPDATE leader SET lease_until = 'epoch'`);
    }
    assert.deepEqual(await epochs(), [1, 2, 3], 'one opening row for each epoch, in order');
  });

  it('P8: while a leader holds its lease by the database’s clock, nobody takes over', async () => {
    await lead(pool, 'leader', { leaseMs: 60_000 });
    const other = new PostgresLeadership({ pool, owner: 'other' });
    const outcome = await other.tryAcquire(openWithOneRow);
    assert.equal(outcome.kind, 'held');
  });

  it('P8: an engine that was deposed stops at its next write, and acknowledges nothing of it', async () => {
    const old = await startEngineLeader(database.url(), { leaseMs: 60_000 });
    const reply = await old.sequencer.submit(tradingCommand(0, 8, Date.now()), soon());
    assert.equal(reply.kind, 'committed');
    const shown = old.applied.length;
    await pool.query(`UPDATE leader SET lease_until = 'epoch'`);
    const successor = await startEngineLeader(database.url(), { leaseMs: 60_000 });
    assert.equal(successor.epoch, old.epoch + 1);
    const late = await old.sequencer.submit(tradingCommand(1, 8, Date.now()), soon());
    assert.notEqual(late.kind, 'committed');
    await assert.rejects(old.sequencer.stopped, { code: 'LEADERSHIP_LOST' });
    assert.equal(old.applied.length, shown);
    assert.equal((await successor.sequencer.submit(tradingCommand(2, 8, Date.now()), soon())).kind, 'committed');
    await Promise.all([old.close(), successor.close()]);
    const seen = await epochs();
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
    );
  });
});
