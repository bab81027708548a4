import assert from 'node:assert/strict';
import type pg from 'pg';
import type { ExchangeError } from '../../src/domain/errors.ts';
import type { JournalRow } from '../../src/domain/journal.ts';
import { JOURNAL_START, verifyRow } from '../../src/offchain-engine/sequencer/journal-row.ts';
import { migrate, openDatabase } from '../../src/storage/database.ts';
import { PostgresJournal } from '../../src/storage/journal/postgres-journal.ts';
import { useTestDatabase } from '../support/database.ts';
import { lead, noted, resetJournal, rowAfter } from './journal-rows.ts';

type Problem = { readonly problem: string; readonly sequence: number };

async function readVerified(journal: PostgresJournal): Promise<JournalRow[]> {
  const rows: JournalRow[] = [];
  let position = JOURNAL_START;
  for await (const row of journal.rowsFrom(1)) {
    position = verifyRow(position, row).position;
    rows.push(row);
  }
  return rows;
}

describe('the journal in PostgreSQL', () => {
  const database = useTestDatabase();
  let pool: pg.Pool;

  before(() => {
    pool = openDatabase({ url: database.url(), applicationName: 'tallystick-test-journal' });
  });
  beforeEach(() => resetJournal(pool));
  after(() => pool.end());

  it('has its tables after any number of migrations, also at once', async () => {
    const runs = await Promise.all([migrate(database.url()), migrate(database.url())]);
    assert.deepEqual(runs, [[], []]);
    const tables = await pool.query(`SELECT name FROM migrations ORDER BY run_on, name`);
    assert.ok(tables.rows.some((row) => row.name === '0001_journal'));
  });

  it('gives rows back as they were written, page after page, and knows its last one', async () => {
    const { journal, epoch, last } = await lead(pool, 'one');
    let previous = last;
    for (let count = 1; count <= 130; count++) {
      const row = rowAfter(previous, epoch, 1 + (count % 3));
      const outcome = await journal.append(row);
      assert.equal(outcome.kind, 'committed');
      previous = { ...row, committedAtMs: 0 as JournalRow['committedAtMs'] };
    }
    const rows = await readVerified(journal);
    assert.equal(rows.length, 131);
    assert.equal((await journal.lastRow())?.hash, previous.hash);
    assert.deepEqual(await journal.readCommand(77), noted(77));
    const several = await journal.readCommands([3, 4, 5, 200, 3]);
    assert.deepEqual(
      [...several.keys()].sort((a, b) => a - b),
      [3, 4, 5, 200],
    );
    await assert.rejects(journal.readCommand(100_000), /missing_row/);
  });

  it('answers a repeated append of the same bytes with committed, and of other bytes with refused', async () => {
    const { journal, epoch, last } = await lead(pool, 'one');
    const row = rowAfter(last, epoch);
    assert.equal((await journal.append(row)).kind, 'committed');
    assert.equal((await journal.append(row)).kind, 'committed');
    assert.deepEqual(await journal.append(rowAfter(last, epoch, 2)), { kind: 'refused', reason: 'foreign_row' });
    assert.equal((await readVerified(journal)).length, 2);
  });

  it('refuses a row that does not follow the last one', async () => {
    const { journal, epoch, last } = await lead(pool, 'one');
    const skipped = rowAfter({ lastSequence: 5, hash: last.hash }, epoch);
    assert.deepEqual(await journal.append(skipped), { kind: 'refused', reason: 'foreign_row' });
    const elsewhere = rowAfter({ lastSequence: last.lastSequence, hash: `0x${'11'.repeat(32)}` }, epoch);
    assert.deepEqual(await journal.append(elsewhere), { kind: 'refused', reason: 'foreign_row' });
    assert.equal((await readVerified(journal)).length, 1);
  });

  it('refuses a deposed leader, also for a row prepared before it was deposed', async () => {
    const old = await lead(pool, 'old', { leaseMs: 1 });
    const late = rowAfter(old.last, old.epoch);
    const successor = await lead(pool, 'new', { leaseMs: 60_000 });
    assert.equal(successor.epoch, old.epoch + 1);
    assert.deepEqual(await old.journal.append(late), { kind: 'refused', reason: 'leadership_lost' });
    await assert.rejects(old.leadership.renew(), { code: 'LEADERSHIP_LOST' });
    const row = rowAfter(successor.last, successor.epoch);
    assert.equal((await successor.journal.append(row)).kind, 'committed');
    assert.equal((await readVerified(successor.journal)).length, 3);
  });

  it('refuses a process that speaks of the right epoch but is not its leader', async () => {
    const { epoch, last } = await lead(pool, 'leader');
    const impostor = new PostgresJournal({ pool, owner: 'somebody else' });
    assert.deepEqual(await impostor.append(rowAfter(last, epoch)), { kind: 'refused', reason: 'leadership_lost' });
  });

  it('never lets two writers of one journal fork it', async () => {
    const { epoch, last } = await lead(pool, 'leader');
    // Two sequencers that both believe they lead: a broken deployment, not a normal takeover.
    const writers = [1, 2, 3].map(() => new PostgresJournal({ pool, owner: 'leader' }));
    const rows = [1, 2, 3].map((count) => rowAfter(last, epoch, count));
    const outcomes = await Promise.all(writers.map((writer, index) => writer.append(rows[index] as JournalRow)));
    assert.equal(outcomes.filter((outcome) => outcome.kind === 'committed').length, 1);
    assert.equal((await readVerified(writers[0] as PostgresJournal)).length, 2);
  });

  describe('when the answer is lost', () => {
    /** Ends the backends that are inside an append, once there is one. */
    async function terminateAppend(): Promise<void> {
      const giveUpAt = performance.now() + 5_000;
      for (let ended = 0; ended === 0; ) {
        assert.ok(performance.now() < giveUpAt, 'no append was seen');
        const result = await pool.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'tallystick-test-writer' AND state = 'active' AND query LIKE '%INSERT INTO journal%'`,
        );
        ended = result.rowCount ?? 0;
      }
    }

    async function withWriter(
      check: (writer: PostgresJournal) => Promise<void>,
      giveUpAfterMs = 10_000,
    ): Promise<void> {
      const writerPool = openDatabase({ url: database.url(), applicationName: 'tallystick-test-writer' });
      try {
        await check(new PostgresJournal({ pool: writerPool, owner: 'leader', giveUpAfterMs }));
      } finally {
        await writerPool.end();
      }
    }

    it('sends the same bytes again when the backend died before the commit', async () => {
      const { epoch, last } = await lead(pool, 'leader', { leaseMs: 60_000 });
      await withWriter(async (writer) => {
        const locker = await pool.connect();
        await locker.query('BEGIN; SELECT * FROM leader FOR UPDATE');
        const appended = writer.append(rowAfter(last, epoch));
        await terminateAppend();
        await locker.query('COMMIT');
        locker.release();
        assert.equal((await appended).kind, 'committed');
        assert.equal((await readVerified(writer)).length, 2);
      });
    });

    it('finds its row committed when only the answer was lost', async () => {
      const { epoch, last, journal } = await lead(pool, 'leader', { leaseMs: 60_000 });
      // The row is there although the writer never heard of it: exactly what a connection cut after the commit leaves.
      const row = rowAfter(last, epoch);
      assert.equal((await journal.append(row)).kind, 'committed');
      await withWriter(async (writer) => {
        const locker = await pool.connect();
        await locker.query('BEGIN; SELECT * FROM leader FOR UPDATE');
        const appended = writer.append(row);
        await terminateAppend();
        await locker.query('COMMIT');
        locker.release();
        assert.equal((await appended).kind, 'committed');
        assert.equal((await readVerified(writer)).length, 2);
      });
    });

    it('is refused when another leader took over before the bytes were sent again', async () => {
      const { epoch, last } = await lead(pool, 'leader', { leaseMs: 60_000 });
      await withWriter(async (writer) => {
        const successor = await pool.connect();
        await successor.query('BEGIN; SELECT * FROM leader FOR UPDATE');
        const appended = writer.append(rowAfter(last, epoch, 2));
        await terminateAppend();
        await successor.query(`UPDATE leader SET epoch = epoch + 1, owner = 'successor'`);
        await successor.query('COMMIT');
        successor.release();
        assert.deepEqual(await appended, { kind: 'refused', reason: 'leadership_lost' });
        assert.equal((await readVerified(writer)).length, 1);
      });
    });

    it('gives up with an error when the database stays away', async () => {
      const unreachable = openDatabase({ url: 'postgres://127.0.0.1:1/none', applicationName: 'tallystick-test' });
      const journal = new PostgresJournal({ pool: unreachable, owner: 'leader', giveUpAfterMs: 100 });
      await assert.rejects(journal.append(rowAfter(undefined, 1)), { code: 'STATUS_UNKNOWN' });
      await unreachable.end();
    });
  });

  describe('when it was damaged', () => {
    async function writeRows(): Promise<PostgresJournal> {
      const { journal, epoch, last } = await lead(pool, 'leader');
      let previous: { lastSequence: number; hash: JournalRow['hash'] } = last;
      for (let count = 0; count < 5; count++) {
        const row = rowAfter(previous, epoch, 3);
        await journal.append(row);
        previous = row;
      }
      return journal;
    }

    // Rows: 1, then 2–4, 5–7, 8–10, 11–13, 14–16.
    const cases: readonly (readonly [string, string, Problem])[] = [
      [
        'a flipped bit in a body',
        'UPDATE journal SET body = set_bit(body, 77, 1 - get_bit(body, 77)) WHERE first_sequence = 5',
        { problem: 'altered_row', sequence: 5 },
      ],
      [
        'a torn body',
        'UPDATE journal SET body = substring(body FOR length(body) - 4) WHERE first_sequence = 14',
        { problem: 'torn_row', sequence: 14 },
      ],
      ['a missing row', 'DELETE FROM journal WHERE first_sequence = 8', { problem: 'missing_row', sequence: 8 }],
      ['a missing first row', 'DELETE FROM journal WHERE first_sequence = 1', { problem: 'missing_row', sequence: 1 }],
      [
        'a changed epoch',
        'UPDATE journal SET epoch = 9 WHERE first_sequence = 11',
        { problem: 'altered_row', sequence: 11 },
      ],
      [
        'a changed Merkle root',
        `UPDATE journal SET merkle_root = sha256('x') WHERE first_sequence = 2`,
        { problem: 'altered_row', sequence: 2 },
      ],
    ];
    for (const [name, damage, expected] of cases) {
      it(`names ${name}`, async () => {
        const journal = await writeRows();
        await pool.query(damage);
        await assert.rejects(readVerified(journal), (error: ExchangeError) => {
          assert.equal(error.code, 'JOURNAL_CORRUPT');
          assert.deepEqual(error.details, expected);
          return true;
        });
      });
    }

    it('names a sound row that belongs to another journal', async () => {
      const journal = await writeRows();
      const foreign = rowAfter({ lastSequence: 13, hash: `0x${'22'.repeat(32)}` }, 1, 3);
      const unhex = (hex: string) => Buffer.from(hex.slice(2), 'hex');
      await pool.query(
        'UPDATE journal SET body = $1, previous_hash = $2, merkle_root = $3, hash = $4 WHERE first_sequence = 14',
        [foreign.body, unhex(foreign.previousHash), unhex(foreign.merkleRoot), unhex(foreign.hash)],
      );
      await assert.rejects(readVerified(journal), (error: ExchangeError) => {
        assert.deepEqual(error.details, { problem: 'foreign_row', sequence: 14 });
        return true;
      });
    });

    it('does not hand out a single command of an altered row', async () => {
      const journal = await writeRows();
      await pool.query('UPDATE journal SET body = set_bit(body, 77, 1 - get_bit(body, 77)) WHERE first_sequence = 5');
      await assert.rejects(journal.readCommand(6), { code: 'JOURNAL_CORRUPT' });
      assert.deepEqual(await journal.readCommand(8), noted(8));
    });
  });
});
