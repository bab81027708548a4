/** P6: the same journal under the same rules gives the same state hash and the same unsigned batches, byte for byte. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import type pg from 'pg';
import { contentHash } from '../../src/chain/batch-codec.ts';
import type { Command } from '../../src/domain/commands.ts';
import type { AppliedCommand } from '../../src/domain/events.ts';
import type { JournalSequence, TimestampMs } from '../../src/domain/units.ts';
import { Engine } from '../../src/offchain-engine/engine.ts';
import { Replica } from '../../src/offchain-engine/sequencer/replica.ts';
import { decodeSnapshot, encodeSnapshot, stateHash } from '../../src/offchain-engine/snapshot.ts';
import { ENGINE_FORM } from '../../src/services/engine-form.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresJournalReader } from '../../src/storage/journal/read-journal.ts';
import { PostgresSnapshots } from '../../src/storage/snapshots.ts';
import { Life, lives } from '../offchain-engine/support/random-exchange.ts';
import { sleep, soon } from '../sequencer/leading.ts';
import { DEPLOYED_AT_MS, listingsAndDeposits, TRADING_GENESIS, tradingCommand } from '../sequencer/trading-commands.ts';
import { useTestDatabase } from '../support/database.ts';
import { startEngineLeader } from './support/engine-leaders.ts';
import { unsignedBatches, unsignedContent } from './support/unsigned-batches.ts';

const REPLAY = fileURLToPath(new URL('./support/replay-process.ts', import.meta.url));

/** Of rules version 1; never to be changed together with the engine: a change of behaviour is a new version. */
const GOLDEN_BATCHES_HASH = '0xf25b2fa8cbbd4fe7134bf8cb341e9cb36d9f1aa8fe30442eae4bb84301498f68';

describe('P6 Determinism', () => {
  const database = useTestDatabase();
  let pool: pg.Pool;

  before(() => {
    pool = openDatabase({ url: database.url(), applicationName: 'tallystick-test-promises' });
  });
  after(() => pool.end());

  it('P6: whatever happened, a replay gives the same events, state hash and batches, in one go or through a snapshot anywhere', () => {
    fc.assert(
      fc.property(lives(110), fc.nat(1_000), (steps, cut) => {
        const life = new Life();
        for (const step of steps) life.take(step);
        const { journal, engine } = life.exchange;
        const whole = new Engine();
        const applied = journal.map((command) => whole.apply(command));
        assert.equal(stateHash(whole), stateHash(engine));
        const half = cut % journal.length;
        const first = new Engine();
        for (const command of journal.slice(0, half)) first.apply(command);
        const second = decodeSnapshot(encodeSnapshot(first));
        assert.deepEqual(second.batchesInFlight().map(unsignedContent), first.batchesInFlight().map(unsignedContent));
        const rest = journal.slice(half).map((command) => second.apply(command));
        assert.deepEqual(rest, applied.slice(half));
        assert.deepEqual(unsignedBatches(rest), unsignedBatches(applied.slice(half)));
        assert.equal(stateHash(second), stateHash(engine));
      }),
      { numRuns: 60, seed: 6, endOnFailure: true },
    );
  });

  it('P6: state hash and batches of a leader come out again in another process, later and in another place, and after recovery', async () => {
    const leader = await startEngineLeader(database.url());
    try {
      for (let round = 0; round < 7; round++) {
        const commands = Array.from({ length: 40 }, (_, index) => tradingCommand(round * 40 + index, 6, Date.now()));
        await Promise.all(commands.map((command) => leader.sequencer.submit(command, soon())));
        await sleep(270);
        const waiting = leader.engine.batchesInFlight()[0];
        if (waiting === undefined) continue;
        const settled = {
          kind: 'batchSettled',
          batchId: waiting.batchId,
          contentHash: contentHash(unsignedContent(waiting)),
        } as const;
        const skips = waiting.trades.length > 2 ? [{ trade: 1, reason: 7 }] : [];
        const eventSequence = (leader.engine.lastChainEventSequence + 1) as never;
        await leader.sequencer.submitChain({ ...settled, skips, withdrawals: [], eventSequence });
      }
    } finally {
      await leader.close();
    }
    const expected = { stateHash: ENGINE_FORM.stateHash(leader.engine), batches: unsignedBatches(leader.applied) };
    assert.ok(expected.batches.length >= 5, `${expected.batches.length} batches`);
    await sleep(1_100);
    const elsewhere = { ...process.env, TZ: 'Pacific/Kiritimati', LC_ALL: 'tr_TR.UTF-8' };
    const { stdout } = await promisify(execFile)(process.execPath, [REPLAY, database.url()], { env: elsewhere });
    assert.deepEqual(JSON.parse(stdout), expected);

    const recover = async (): Promise<Engine> => {
      const parts = { journal: new PostgresJournalReader(pool), snapshots: new PostgresSnapshots({ pool }) };
      const onProblem = ({ cause }: { cause: unknown }) => assert.fail(String(cause));
      return (await Replica.recover({ ...parts, form: ENGINE_FORM, onProblem })).engine;
    };
    const inFlight = leader.engine.batchesInFlight().map(unsignedContent);
    for (const snapshots of ['with snapshots', 'without'] as const) {
      if (snapshots === 'without') await pool.query('TRUNCATE snapshots CASCADE');
      const recovered = await recover();
      assert.equal(ENGINE_FORM.stateHash(recovered), expected.stateHash, snapshots);
      assert.deepEqual(recovered.batchesInFlight().map(unsignedContent), inFlight, snapshots);
    }
  });

  it('P6: the journal of rules version 1 that is kept here still gives the batches that it gave when it was written', () => {
    const engine = new Engine();
    const applied: AppliedCommand[] = [];
    const apply = (command: Command, timestampMs: number): void => {
      const sequence = (engine.lastSequence + 1) as JournalSequence;
      applied.push(engine.apply({ sequence, timestampMs: timestampMs as TimestampMs, command }));
    };
    const startMs = DEPLOYED_AT_MS + 86_400_000;
    apply(TRADING_GENESIS, startMs);
    apply({ kind: 'epochStarted', epoch: 1 }, startMs);
    for (const fact of listingsAndDeposits()) apply(fact, startMs);
    for (let index = 0; index < 600; index++) {
      const nowMs = startMs + index * 37;
      apply(tradingCommand(index, 1, nowMs), nowMs);
      if (index % 60 !== 59) continue;
      apply({ kind: 'sealBatch', tradesMax: 25, withdrawalsMax: 10 }, nowMs);
      const [batch] = engine.batchesInFlight();
      if (batch === undefined) continue;
      const eventSequence = (engine.lastChainEventSequence + 1) as never;
      const settled = {
        kind: 'batchSettled',
        batchId: batch.batchId,
        contentHash: contentHash(unsignedContent(batch)),
      } as const;
      apply({ ...settled, skips: [{ trade: 0, reason: 7 }], withdrawals: [], eventSequence }, nowMs);
    }
    const lines = unsignedBatches(applied);
    assert.equal(lines.length, 10);
    assert.equal(contentHash(new TextEncoder().encode(lines.join('\n'))), GOLDEN_BATCHES_HASH);
  });
});
