import assert from 'node:assert/strict';
import type pg from 'pg';
import type { SequencedCommand } from '../../src/domain/commands.ts';
import type { TimestampMs } from '../../src/domain/units.ts';
import { JOURNAL_START, receiptProves, verifyRow } from '../../src/offchain-engine/sequencer/journal-row.ts';
import type { NewJournalRow, SequencerReply } from '../../src/offchain-engine/sequencer/ports.ts';
import { sealByCountAndAge } from '../../src/offchain-engine/sequencer/sealing.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresJournal } from '../../src/storage/journal/postgres-journal.ts';
import { PostgresJournalReader } from '../../src/storage/journal/read-journal.ts';
import { PostgresLeadership } from '../../src/storage/leadership.ts';
import { resetJournal } from '../storage/journal-rows.ts';
import { useTestDatabase } from '../support/database.ts';
import { blockAppends, type Led, signRow, sleep, soon, startLeader } from './leading.ts';
import { cancel, cancelAfter, place, withdraw } from './recording-engine.ts';

const EAGER = { tradesMin: 1, tradeAgeMs: 60_000, withdrawalAgeMs: 60_000 };
const RESEAL = {
  kind: 'resealBatch',
  batchId: 1,
  tradesMax: 1,
  withdrawalsMax: 1,
  contentHashes: [],
  reason: 'a test',
} as const;

type Committed = Extract<SequencerReply, { kind: 'committed' }>;

function committed(reply: SequencerReply): Committed {
  assert.equal(reply.kind, 'committed', JSON.stringify(reply));
  return reply as Committed;
}

describe('the sequencer', () => {
  const database = useTestDatabase();
  let pool: pg.Pool;
  const open: Led[] = [];

  async function leader(
    ...options: Parameters<typeof startLeader> extends [string, ...infer Rest] ? Rest : never
  ): Promise<Led> {
    const led = await startLeader(database.url(), ...options);
    open.push(led);
    return led;
  }

  async function journaled(): Promise<SequencedCommand[]> {
    const commands: SequencedCommand[] = [];
    let position = JOURNAL_START;
    for await (const row of new PostgresJournalReader(pool).rowsFrom(1)) {
      const verified = verifyRow(position, row);
      position = verified.position;
      commands.push(...verified.commands);
    }
    return commands;
  }

  const kindsOf = (commands: readonly SequencedCommand[]) => commands.map(({ command }) => command.kind);

  before(() => {
    pool = openDatabase({ url: database.url(), applicationName: 'tallystick-test-sequencer' });
  });
  beforeEach(() => resetJournal(pool));
  afterEach(async () => {
    for (const led of open.splice(0)) await led.close();
  });
  after(() => pool.end());

  it('opens an empty journal with genesis as command 1 and the start of the epoch, and answers with a receipt', async () => {
    const { sequencer, engine } = await leader();
    const reply = committed(await sequencer.submit(place(1), soon()));
    assert.deepEqual(kindsOf(await journaled()), ['genesis', 'epochStarted', 'placeOrder']);
    assert.equal(reply.sequence, 3);
    assert.deepEqual(reply.events, [{ kind: 'withdrawalsHalted', reason: 'placeOrder 3' }]);
    assert.equal(engine.lastSequence, 3);
  });

  it('writes what queued up during a commit as one row, and proves each command of it', async () => {
    const { sequencer, rows, journal } = await leader();
    const block = await blockAppends(pool);
    const first = sequencer.submit(place(1), soon());
    await sleep(50);
    const others = Array.from({ length: 200 }, (_, index) => sequencer.submit(place(index + 2), soon()));
    await sleep(50);
    assert.equal(rows.length, 0);
    await block.release();
    const replies = (await Promise.all([first, ...others])).map(committed);
    assert.equal(rows.length, 2);
    assert.deepEqual(
      replies.map(({ sequence }) => sequence),
      Array.from({ length: 201 }, (_, index) => index + 3),
    );
    for (const reply of [replies[0], replies[1], replies[100], replies[200]]) {
      const { receipt } = reply as Committed;
      const sequenced = await journal.readCommand(receipt.sequence);
      assert.ok(receiptProves(receipt, sequenced));
      assert.ok(!receiptProves(receipt, { ...sequenced, timestampMs: (sequenced.timestampMs + 1) as TimestampMs }));
      const row = rows.find(({ hash }) => hash === receipt.rowHash);
      assert.equal(receipt.merkleRoot, row?.merkleRoot);
      assert.equal(receipt.signature, await signRow(row as never));
    }
  });

  it('applies and answers nothing before the commit', async () => {
    const { sequencer, engine, applied } = await leader();
    const block = await blockAppends(pool);
    let answered = false;
    const reply = sequencer.submit(place(1), soon()).finally(() => {
      answered = true;
    });
    await sleep(200);
    assert.deepEqual([answered, engine.lastSequence, applied.length], [false, 2, 0]);
    await block.release();
    committed(await reply);
    assert.deepEqual([engine.lastSequence, applied.length], [3, 1]);
  });

  it('refuses what its queue cannot hold with a time to wait, and lets cancels through first', async () => {
    const { sequencer } = await leader({ bounds: { operator: 5, cancel: 5, chain: 5, order: 10 } });
    const block = await blockAppends(pool);
    const first = sequencer.submit(place(1), soon());
    await sleep(30);
    const orders = Array.from({ length: 12 }, (_, index) => sequencer.submit(place(index + 2), soon()));
    const cancelled = sequencer.submit(cancel(1_000), soon());
    const refused = await Promise.all(orders.slice(10));
    for (const reply of refused) {
      assert.ok(
        reply.kind === 'overloaded' && reply.retryAfterMs >= 50 && reply.retryAfterMs <= 5_000,
        JSON.stringify(reply),
      );
    }
    await block.release();
    assert.equal(committed(await first).sequence, 3);
    assert.equal(committed(await cancelled).sequence, 4);
    assert.equal(committed((await Promise.all(orders.slice(0, 10)))[9] as SequencerReply).sequence, 14);
    assert.equal((await journaled()).length, 14);
  });

  it('does not journal a command after its time', async () => {
    const { sequencer } = await leader();
    const block = await blockAppends(pool);
    const first = sequencer.submit(place(1), soon());
    await sleep(30);
    const late = sequencer.submit(place(2), { notAfterMs: (Date.now() + 20) as TimestampMs });
    await sleep(60);
    await block.release();
    committed(await first);
    assert.equal((await late).kind, 'overloaded');
    assert.equal(
      (await sequencer.submit(place(3), { notAfterMs: (Date.now() - 1) as TimestampMs })).kind,
      'overloaded',
    );
    assert.deepEqual(kindsOf(await journaled()), ['genesis', 'epochStarted', 'placeOrder']);
  });

  it('refuses a value that the journal cannot hold before it is queued', async () => {
    const { sequencer } = await leader();
    await assert.rejects(sequencer.submit(cancel(-1), soon()), RangeError);
    await assert.rejects(sequencer.submitOperator({ kind: 'epochStarted', epoch: 9 }), RangeError);
    await assert.rejects(sequencer.submitOperator({ kind: 'activateRules', version: 99 }), RangeError);
    committed(await sequencer.submit(place(1), soon()));
  });

  it('ticks when a deadline is due, once, and not before', async () => {
    const { sequencer } = await leader();
    const deadlineMs = Date.now() + 300;
    committed(await sequencer.submit(cancelAfter(deadlineMs), soon()));
    await sleep(150);
    assert.deepEqual(kindsOf(await journaled()).slice(2), ['cancelAfter']);
    await sleep(350);
    const commands = await journaled();
    assert.deepEqual(kindsOf(commands).slice(2), ['cancelAfter', 'tick']);
    const lateMs = (commands[3]?.timestampMs ?? 0) - deadlineMs;
    assert.ok(lateMs >= 0 && lateMs < 200, `the tick came ${lateMs} ms late`);
  });

  it('seals by count, by age and on request, always as the last command of the row', async () => {
    const { sequencer, rows } = await leader({
      seal: sealByCountAndAge({ tradesMin: 5, tradeAgeMs: 700, withdrawalAgeMs: 400, tradesMax: 50 }),
    });
    await Promise.all([1, 2, 3, 4, 5].map((sequence) => sequencer.submit(place(sequence), soon())));
    await sleep(100);
    assert.equal(kindsOf(await journaled()).filter((kind) => kind === 'sealBatch').length, 1, 'by count');
    await sequencer.submit(withdraw(1), soon());
    await sleep(700);
    assert.equal(
      kindsOf(await journaled()).filter((kind) => kind === 'sealBatch').length,
      2,
      'because a withdrawal waits',
    );
    await sequencer.submit(place(6), soon());
    await sleep(900);
    assert.equal(kindsOf(await journaled()).filter((kind) => kind === 'sealBatch').length, 3, 'by age');
    await sequencer.submit(place(7), soon());
    sequencer.requestSeal();
    await sleep(300);
    const commands = await journaled();
    const seals = commands.filter(({ command }) => command.kind === 'sealBatch');
    assert.equal(seals.length, 4, 'on request');
    for (const { sequence } of seals) assert.ok(rows.some(({ lastSequence }) => lastSequence === sequence));
    assert.deepEqual(seals[0]?.command, { kind: 'sealBatch', tradesMax: 50, withdrawalsMax: 50 });
  });

  it('seals nothing while somebody wants sealing to rest, though it was asked to, and does so afterwards', async () => {
    const { sequencer, engine } = await leader({ seal: sealByCountAndAge(EAGER) });
    const [resume, resumeAgain] = [sequencer.restSealing(), sequencer.restSealing()];
    await sequencer.submit(place(1), soon());
    sequencer.requestSeal();
    await sequencer.submit(place(2), soon());
    resume();
    resume();
    await sleep(100);
    assert.ok(!engine.kinds.includes('sealBatch'));
    resumeAgain();
    await sleep(100);
    assert.deepEqual(kindsOf(await journaled()).slice(2), ['placeOrder', 'placeOrder', 'sealBatch']);
  });

  it('journals what is decided alone in a row of its own, at a state that lacks nothing', async () => {
    const { sequencer, engine, rows } = await leader();
    const block = await blockAppends(pool);
    const first = sequencer.submit(place(1), soon());
    await sleep(50);
    const seen: number[] = [];
    const alone = sequencer.submitAlone(() => {
      seen.push(engine.lastSequence);
      return RESEAL;
    });
    await assert.rejects(
      sequencer.submitAlone(() => undefined),
      /another command waits/,
    );
    const second = sequencer.submit(place(2), soon());
    await block.release();
    const replies = (await Promise.all([first, alone, second])).map((reply) => committed(reply as SequencerReply));
    assert.deepEqual([seen, replies.map(({ sequence }) => sequence)], [[3], [3, 4, 5]]);
    assert.deepEqual(
      rows.map(({ firstSequence, lastSequence }) => [firstSequence, lastSequence]),
      [
        [3, 3],
        [4, 4],
        [5, 5],
      ],
    );

    assert.equal(await sequencer.submitAlone(() => undefined), undefined);
    await assert.rejects(
      sequencer.submitAlone(() => {
        throw new Error('no decision');
      }),
      /no decision/,
    );
    committed(await sequencer.submit(place(3), soon()));
    await sequencer.stop();
    assert.equal((await sequencer.submitAlone(() => RESEAL))?.kind, 'overloaded');
  });

  it('takes facts from the chain and words of the operator on the same way', async () => {
    const { sequencer } = await leader();
    committed(await sequencer.submitChain({ kind: 'chainEventNoted', eventSequence: 1 as never, name: 'Paused' }));
    committed(await sequencer.submitOperator({ kind: 'haltWithdrawals', reason: 'drift' }));
    assert.deepEqual(kindsOf(await journaled()).slice(2), ['chainEventNoted', 'haltWithdrawals']);
  });

  it('writes everything that queued up when it is stopped, and hands over at once', async () => {
    const first = await leader({ leaseMs: 60_000 });
    const replies = Array.from({ length: 20 }, (_, index) => first.sequencer.submit(place(index + 1), soon()));
    await first.sequencer.stop();
    assert.equal((await Promise.all(replies)).map(committed).length, 20);
    assert.equal((await first.sequencer.submit(place(99), soon())).kind, 'overloaded');
    const startedMs = performance.now();
    const second = await leader({ leaseMs: 60_000 });
    assert.ok(performance.now() - startedMs < 1_000);
    assert.equal(second.epoch, 2);
    assert.deepEqual(second.engine.state.lastSequence, 23);
  });

  describe('deposed', () => {
    it('is refused, says that nothing was executed, and stops', async () => {
      const old = await leader();
      await pool.query(`UPDATE leader SET lease_until = 'epoch'`);
      const successor = await leader();
      assert.equal(successor.epoch, 2);
      const reply = await old.sequencer.submit(place(1), soon());
      assert.equal(reply.kind, 'overloaded');
      await assert.rejects(old.sequencer.stopped, { code: 'LEADERSHIP_LOST' });
      committed(await successor.sequencer.submit(place(2), soon()));
      assert.deepEqual(kindsOf(await journaled()), ['genesis', 'epochStarted', 'epochStarted', 'placeOrder']);
      assert.equal(old.engine.lastSequence, 2);
    });

    it('notices it when idle, too', async () => {
      const old = await leader({ renewEveryMs: 50 });
      await pool.query(`UPDATE leader SET epoch = epoch + 1, owner = 'somebody'`);
      await assert.rejects(Promise.race([old.sequencer.stopped, sleep(3_000)]), { code: 'LEADERSHIP_LOST' });
    });
  });

  it('notices when its clock is set, also while no command comes', async () => {
    const jumps: number[] = [];
    let setBackMs = 0;
    const led = await leader({
      renewEveryMs: 20,
      wall: { nowMs: () => Date.now() - setBackMs, monotonicMs: () => performance.now() },
      onClockJump: ({ stepMs }) => jumps.push(stepMs),
    });
    await led.sequencer.submit(place(1), soon());
    setBackMs = 3_600_000;
    for (let waited = 0; jumps.length === 0 && waited < 5_000; waited += 20) await sleep(20);
    assert.equal(Math.round((jumps[0] ?? 0) / 60_000), -60);
    assert.equal(jumps.length, 1);
  });

  it('goes on through the loss of its database connections', async () => {
    const { sequencer } = await leader();
    for (let round = 0; round < 5; round++) {
      const replies = Array.from({ length: 40 }, (_, index) => sequencer.submit(place(round * 100 + index), soon()));
      await pool.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tallystick-test-leader'`,
      );
      (await Promise.all(replies)).map(committed);
    }
    assert.equal((await journaled()).length, 202);
  });

  it('answers for each row by itself when a large one fails at once, while the one before it waits to be applied', async () => {
    class FailingJournal extends PostgresJournal {
      fails = false;
      override append(row: NewJournalRow): ReturnType<PostgresJournal['append']> {
        return this.fails ? Promise.reject(new Error('the socket is gone')) : super.append(row);
      }
    }
    const owner = { pool, owner: 'failing', leaseMs: 1_500 };
    const journal = new FailingJournal(owner);
    const { sequencer, engine } = await leader({ journal, leadership: new PostgresLeadership(owner) });
    const unheard: unknown[] = [];
    const hear = (cause: unknown): void => void unheard.push(cause);
    process.on('unhandledRejection', hear);
    const block = await blockAppends(pool);
    const first = sequencer.submit(place(1), soon());
    await sleep(50);
    journal.fails = true;
    const others = Array.from({ length: 200 }, (_, index) => sequencer.submit(place(index + 2), soon()));
    await block.release();
    assert.equal(committed(await first).sequence, 3);
    assert.deepEqual(new Set((await Promise.all(others)).map(({ kind }) => kind)), new Set(['unknown']));
    await assert.rejects(sequencer.stopped, /the socket is gone/);
    assert.equal(engine.lastSequence, 3);
    process.off('unhandledRejection', hear);
    assert.deepEqual(unheard, []);
  });

  it('stops when a row cannot be signed, leaving its commands journaled and their outcome unknown to clients', async () => {
    const { sequencer, problems } = await leader({
      sign: async () => {
        throw new Error('the signer is gone');
      },
    });
    assert.equal((await sequencer.submit(place(1), soon())).kind, 'unknown');
    assert.match(problems.join(), /could not be signed/);
    await assert.rejects(sequencer.stopped, /the signer is gone/);
    assert.deepEqual(kindsOf(await journaled()).slice(2), ['placeOrder']);
  });
});
