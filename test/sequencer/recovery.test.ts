import assert from 'node:assert/strict';
import type pg from 'pg';
import type { ExchangeError } from '../../src/domain/errors.ts';
import { Replica } from '../../src/offchain-engine/sequencer/replica.ts';
import { compareWithSnapshot } from '../../src/offchain-engine/sequencer/standby.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresJournalReader } from '../../src/storage/journal/read-journal.ts';
import { PostgresSnapshots } from '../../src/storage/snapshots.ts';
import { resetJournal } from '../storage/journal-rows.ts';
import { useTestDatabase } from '../support/database.ts';
import { GENESIS, type Led, sleep, soon, startLeader } from './leading.ts';
import { place, RECORDING_FORM, type RecordingEngine } from './recording-engine.ts';

describe('recovery of the engine', () => {
  const database = useTestDatabase();
  let pool: pg.Pool;
  const open: Led[] = [];

  before(() => {
    pool = openDatabase({ url: database.url(), applicationName: 'tallystick-test-recovery' });
  });
  beforeEach(() => resetJournal(pool));
  afterEach(async () => {
    for (const led of open.splice(0)) await led.close();
  });
  after(() => pool.end());

  async function leader(
    ...options: Parameters<typeof startLeader> extends [string, ...infer Rest] ? Rest : never
  ): Promise<Led> {
    const led = await startLeader(database.url(), ...options);
    open.push(led);
    return led;
  }

  /** A journal of `count` orders with snapshots after every ten commands or so; returns the state hash at its end. */
  async function journalWithSnapshots(count: number): Promise<string> {
    const led = await leader({ snapshotEveryCommands: 10, rowCommandsMax: 4 });
    for (let sequence = 1; sequence <= count; sequence += 5) {
      const orders = Array.from({ length: 5 }, (_, index) => led.sequencer.submit(place(sequence + index), soon()));
      await Promise.all(orders);
    }
    await led.sequencer.stop();
    return RECORDING_FORM.stateHash(led.engine);
  }

  async function recover(): Promise<{ replica: Replica<RecordingEngine>; problems: ExchangeError[] }> {
    const problems: ExchangeError[] = [];
    const replica = await Replica.recover({
      journal: new PostgresJournalReader(pool),
      snapshots: new PostgresSnapshots({ pool }),
      form: RECORDING_FORM,
      onProblem: ({ cause }) => problems.push(cause as ExchangeError),
    });
    return { replica, problems };
  }

  const snapshotSequences = async (): Promise<number[]> =>
    (await pool.query('SELECT sequence FROM snapshots ORDER BY sequence DESC')).rows.map(({ sequence }) => sequence);

  it('goes on leading when there is no memory to copy the state into', async () => {
    const noMemory = (): never => {
      throw new RangeError('Array buffer allocation failed');
    };
    const led = await leader({ snapshotEveryCommands: 10, form: { ...RECORDING_FORM, encodeInSteps: noMemory } });
    for (let sequence = 1; sequence <= 30; sequence++) {
      const reply = await led.sequencer.submit(place(sequence), soon());
      assert.equal(reply.kind, 'committed');
    }
    await led.sequencer.stop();
    assert.deepEqual(await snapshotSequences(), []);
    assert.match(led.problems[0] ?? '', /^the snapshot at sequence \d+ was not saved$/);
    assert.ok(led.problems.length >= 2, 'it tries again with the next one due');
  });

  it('gives the same state from a snapshot as from command 1', async () => {
    const stateHash = await journalWithSnapshots(60);
    const [newest] = await snapshotSequences();
    assert.ok(newest !== undefined && newest > 10);
    const { replica } = await recover();
    assert.equal(replica.engine.kinds.length, 62 - newest, 'it replayed only what follows the snapshot');
    assert.equal(RECORDING_FORM.stateHash(replica.engine), stateHash);
    await pool.query('TRUNCATE snapshots CASCADE');
    const { replica: replayed } = await recover();
    assert.equal(replayed.engine.kinds.length, 62);
    assert.equal(RECORDING_FORM.stateHash(replayed.engine), stateHash);
  });

  const damages: readonly (readonly [string, string])[] = [
    [
      'whose bytes were changed',
      `body = convert_to(replace(convert_from(body, 'UTF8'), '"unsealedTrades":', '"unsealedTrades":1'), 'UTF8')`,
    ],
    ['that is cut short', 'body = substring(body FOR 20)'],
    ['that belongs to another journal', `journal_hash = sha256('another')`],
    ['that a newer program wrote', 'rules_version = 99'],
  ];
  for (const [name, damage] of damages) {
    it(`passes over a snapshot ${name}, and takes the one before`, async () => {
      const stateHash = await journalWithSnapshots(40);
      const [newest, before] = await snapshotSequences();
      await pool.query(`UPDATE snapshots SET ${damage} WHERE sequence = $1`, [newest]);
      const { replica, problems } = await recover();
      assert.equal(problems.length, 1);
      assert.equal(replica.engine.kinds.length, 42 - (before ?? 0));
      assert.equal(RECORDING_FORM.stateHash(replica.engine), stateHash);
    });
  }

  it('halts when the journal ends before a snapshot that was taken of it', async () => {
    await journalWithSnapshots(40);
    const [newest] = await snapshotSequences();
    await pool.query('DELETE FROM journal WHERE last_sequence >= $1', [newest]);
    await assert.rejects(recover(), (error: ExchangeError) => {
      assert.equal(error.code, 'JOURNAL_CORRUPT');
      assert.deepEqual(error.details, { problem: 'missing_row', sequence: newest });
      return true;
    });
  });

  it('halts when the journal ends before a command that something else has seen', async () => {
    const led = await leader();
    await led.sequencer.submit(place(1), soon());
    await led.sequencer.stop();
    await assert.rejects(leader({ knownSequence: 4 }), { code: 'JOURNAL_CORRUPT' });
    assert.equal((await leader({ knownSequence: 3 })).epoch, 2);
  });

  it('halts at a damaged row after the snapshot, and names it', async () => {
    await journalWithSnapshots(40);
    await pool.query('UPDATE journal SET epoch = 7 WHERE last_sequence = 42');
    await assert.rejects(recover(), { code: 'JOURNAL_CORRUPT', message: /altered_row/ });
  });

  it('refuses to lead a journal of another chain or vault', async () => {
    await (await leader()).sequencer.stop();
    await assert.rejects(leader({ genesis: { ...GENESIS, chainId: 1 } }), { code: 'CHAIN_MISMATCH' });
    await assert.rejects(leader({ genesis: { ...GENESIS, vault: `0x${'dd'.repeat(20)}` } }), {
      code: 'CHAIN_MISMATCH',
    });
    assert.equal((await pool.query('SELECT epoch FROM leader')).rows[0].epoch, 1);
  });

  it('follows as a standby, and leads with everything that was acknowledged once the leader is gone', async () => {
    const first = await leader();
    const waiting = leader();
    for (let sequence = 1; sequence <= 50; sequence++) await first.sequencer.submit(place(sequence), soon());
    assert.deepEqual((await pool.query('SELECT epoch FROM leader')).rows[0], { epoch: 1 });
    await first.sequencer.stop();
    const second = await waiting;
    assert.equal(second.engine.kinds.filter((kind) => kind === 'placeOrder').length, 50);
    assert.equal(second.applied.length, 0, 'rows of the leader before are not published again');
    assert.equal((await second.sequencer.submit(place(51), soon())).kind, 'committed');
  });

  it('keeps its lease while it hands on what the leader before left, however long that takes', async () => {
    const slow = leader({ leaseMs: 500, renewEveryMs: 100, onLeading: () => sleep(1_500) });
    await sleep(300);
    const aborter = new AbortController();
    const rival = leader({ leaseMs: 500, signal: aborter.signal });
    const led = await slow;
    assert.equal((await led.sequencer.submit(place(1), soon())).kind, 'committed');
    aborter.abort(new Error('enough'));
    await assert.rejects(rival, /enough/);
  });

  it('compares itself with the newest snapshot while it stands by', async () => {
    await journalWithSnapshots(40);
    const { replica } = await recover();
    const compare = (): Promise<void> =>
      compareWithSnapshot(
        {
          journal: new PostgresJournalReader(pool),
          snapshots: new PostgresSnapshots({ pool }),
          form: RECORDING_FORM,
          onProblem: ({ cause }) => assert.fail(String(cause)),
        },
        replica,
      );
    await compare();
    // A snapshot that is sound in itself but not what the journal leads to: an engine that computed something else.
    const body = Buffer.from(JSON.stringify({ ...replica.engine.state, lastSequence: 42, unsealedTrades: 7 }));
    await pool.query(
      `UPDATE snapshots SET sequence = 42, body = $1, state_hash = sha256($1),
         journal_hash = (SELECT hash FROM journal WHERE last_sequence = 42)
        WHERE sequence = (SELECT max(sequence) FROM snapshots)`,
      [body],
    );
    await assert.rejects(compare(), { code: 'SNAPSHOT_CORRUPT', message: /different states at sequence 42/ });
  });

  it('takes over while it compares itself, however long that takes', async () => {
    const first = await leader();
    const comparing = Promise.withResolvers<void>();
    const never = new Promise<never>(() => undefined);
    const snapshots = new PostgresSnapshots({ pool });
    let readers = 0;
    const waiting = leader({
      compareEveryMs: 0,
      snapshots: {
        save: (snapshot) => snapshots.save(snapshot),
        async *newestFirst() {
          // Recovery reads them; the comparison does not come to its end.
          if (readers++ === 0) yield* snapshots.newestFirst();
          else {
            comparing.resolve();
            await never;
          }
        },
      },
    });
    await comparing.promise;
    await first.sequencer.submit(place(1), soon());
    await first.sequencer.stop();
    const second = await waiting;
    assert.deepEqual(second.engine.kinds.slice(-2), ['placeOrder', 'epochStarted']);
  });

  it('looks at no snapshot of a row that it has not read yet', async () => {
    await journalWithSnapshots(40);
    const { replica } = await recover();
    const led = await leader({ snapshotEveryCommands: 1 });
    await led.sequencer.submit(place(41), soon());
    await led.sequencer.stop();
    assert.ok((await snapshotSequences()).some((sequence) => sequence > replica.position.lastSequence));
    await compareWithSnapshot(
      {
        journal: new PostgresJournalReader(pool),
        snapshots: new PostgresSnapshots({ pool }),
        form: RECORDING_FORM,
        onProblem: ({ cause }) => assert.fail(String(cause)),
      },
      replica,
    );
  });

  it('stops waiting for the lease when it is told to', async () => {
    await leader({ leaseMs: 60_000 });
    const aborter = new AbortController();
    const waiting = leader({ signal: aborter.signal });
    aborter.abort(new Error('shutting down'));
    await assert.rejects(waiting, /shutting down/);
  });
});
