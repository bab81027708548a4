import assert from 'node:assert/strict';
import type pg from 'pg';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresJournalReader } from '../../src/storage/journal/read-journal.ts';
import { PostgresLeadership } from '../../src/storage/leadership.ts';
import { useTestDatabase } from '../support/database.ts';
import { lead, openWithOneRow, resetJournal, rowAfter } from './journal-rows.ts';

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('leadership', () => {
  const database = useTestDatabase();
  let pool: pg.Pool;

  before(() => {
    pool = openDatabase({ url: database.url(), applicationName: 'tallystick-test-leadership' });
  });
  beforeEach(() => resetJournal(pool));
  after(() => pool.end());

  it('opens every epoch with a row in the journal, in the same transaction', async () => {
    const first = await lead(pool, 'one', { leaseMs: 1 });
    const second = await lead(pool, 'two', { leaseMs: 1 });
    assert.deepEqual([first.epoch, second.epoch], [1, 2]);
    assert.deepEqual([first.last.epoch, second.last.epoch], [1, 2]);
    assert.equal(second.last.previousHash, first.last.hash);

    const failing = new PostgresLeadership({ pool, owner: 'three' });
    await sleep(5);
    await assert.rejects(
      failing.tryAcquire((last) => ({ ...rowAfter(last, 3), previousHash: '0x00' })),
      /previous_hash_check/,
    );
    const leader = await pool.query('SELECT epoch, owner FROM leader');
    assert.deepEqual(leader.rows, [{ epoch: 2, owner: 'two' }]);
  });

  it('leaves a running lease alone, says how long it runs, and lets renewal and appends prolong it', async () => {
    const leader = await lead(pool, 'one', { leaseMs: 400 });
    const other = new PostgresLeadership({ pool, owner: 'two', leaseMs: 400 });
    for (let round = 0; round < 3; round++) {
      await sleep(250);
      await leader.leadership.renew();
    }
    await sleep(250);
    await leader.journal.append(rowAfter(leader.last, leader.epoch));
    await sleep(250);
    const held = await other.tryAcquire(openWithOneRow);
    assert.ok(held.kind === 'held' && held.remainingMs > 0 && held.remainingMs <= 400, JSON.stringify(held));
    await sleep(held.remainingMs + 20);
    assert.equal((await other.tryAcquire(openWithOneRow)).kind, 'acquired');
    await assert.rejects(leader.leadership.renew(), { code: 'LEADERSHIP_LOST', retryable: true });
  });

  it('can be handed over at once', async () => {
    const leader = await lead(pool, 'one', { leaseMs: 60_000 });
    await leader.leadership.release();
    const other = new PostgresLeadership({ pool, owner: 'two' });
    assert.equal((await other.tryAcquire(openWithOneRow)).kind, 'acquired');
  });

  it('refuses a database that would forget what it has committed', async () => {
    const url = new URL(database.url());
    url.searchParams.set('options', '-c synchronous_commit=off');
    const forgetful = openDatabase({ url: url.href, applicationName: 'tallystick-test-forgetful' });
    const leadership = new PostgresLeadership({ pool: forgetful, owner: 'one' });
    await assert.rejects(leadership.tryAcquire(openWithOneRow), {
      code: 'CONFIGURATION',
      message: /synchronous_commit/,
    });
    await forgetful.end();
  });

  it('belongs to one of many that try at the same time', async () => {
    const candidates = Array.from({ length: 4 }, (_, index) => {
      const own = openDatabase({
        url: database.url(),
        applicationName: 'tallystick-test-candidate',
        connectionsMax: 2,
      });
      return { own, leadership: new PostgresLeadership({ pool: own, owner: `candidate ${index}` }) };
    });
    const outcomes = await Promise.all(candidates.map(({ leadership }) => leadership.tryAcquire(openWithOneRow)));
    assert.equal(outcomes.filter((outcome) => outcome.kind === 'acquired').length, 1, JSON.stringify(outcomes));
    assert.equal((await pool.query('SELECT epoch FROM leader')).rows[0].epoch, 1);
    await Promise.all(candidates.map(({ own }) => own.end()));
  });

  it('is taken from a leader that stopped inside an open transaction, without its row', async () => {
    const leader = await lead(pool, 'one', { leaseMs: 1_500 });
    const stopped = await pool.connect();
    const ended = new Promise((resolve) => stopped.on('error', resolve));
    await stopped.query('BEGIN');
    const row = rowAfter(leader.last, leader.epoch, 2);
    await stopped.query(`UPDATE leader SET lease_until = clock_timestamp() + interval '1500 milliseconds'`);
    await stopped.query(
      `INSERT INTO journal (first_sequence, last_sequence, epoch, rules_version, body, previous_hash, merkle_root, hash)
       SELECT 2, 3, 1, 1, $1, hash, sha256('root'), sha256('row') FROM journal`,
      [row.body],
    );

    const successor = await lead(pool, 'two', { leaseMs: 1_500 });
    await ended;
    stopped.release(true);
    assert.equal(successor.last.firstSequence, 2);
    assert.equal(successor.last.previousHash, leader.last.hash);
    let rows = 0;
    for await (const _ of new PostgresJournalReader(pool).rowsFrom(1)) rows++;
    assert.equal(rows, 2);
  });
});
