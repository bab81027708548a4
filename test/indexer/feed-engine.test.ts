import assert from 'node:assert/strict';
import pg from 'pg';
import type { ChainCommand } from '../../src/domain/commands.ts';
import type { ChainEventSequence } from '../../src/domain/units.ts';
import { type Feed, startFeed } from '../../src/indexer/feed-engine.ts';
import { useTestDatabase } from '../support/database.ts';

const sequence = (value: number): ChainEventSequence => value as ChainEventSequence;

describe('feeding the engine', () => {
  let pool: pg.Pool;
  // Declared first, so that it runs before the database is dropped.
  after(() => pool.end());
  const database = useTestDatabase();
  let feed: Feed | undefined;

  before(() => {
    pool = new pg.Pool({ connectionString: database.url() });
  });
  beforeEach(async () => {
    await pool.query('TRUNCATE chain_blocks, chain_events');
  });
  afterEach(async () => {
    await feed?.stop();
    feed = undefined;
  });

  async function addBlock(number: number, events: readonly number[], final: boolean): Promise<void> {
    const hash = `decode(lpad(to_hex(${number}), 64, '0'), 'hex')`;
    await pool.query(`INSERT INTO chain_blocks VALUES ($1, ${hash}, ${hash}, now(), $2, $3)`, [
      number,
      events.at(-1) ?? 0,
      final,
    ]);
    for (const [index, event] of events.entries()) {
      const payload = event % 2 === 0 ? listing(event) : JSON.stringify({ kind: 'chainEventNoted', name: `e${event}` });
      await pool.query(`INSERT INTO chain_events VALUES ($1, $2, ${hash}, $3, 'x', $4)`, [
        event,
        number,
        index,
        payload,
      ]);
    }
  }

  const listing = (index: number): string =>
    JSON.stringify({
      kind: 'assetListed',
      asset: { index, token: '0x01', symbol: 'T', decimals: 18, quantumUnits: '1000000000000000000', minDeposit: 1 },
    });

  /** An engine as far as the feeder sees it: ignores what it has, refuses a gap, sometimes fails. */
  function engine(failEvery = 0): {
    applied: ChainCommand[];
    calls: number;
    submit: (command: ChainCommand) => Promise<void>;
  } {
    const state = {
      applied: [] as ChainCommand[],
      calls: 0,
      submit: async (command: ChainCommand): Promise<void> => {
        state.calls += 1;
        if (failEvery > 0 && state.calls % failEvery === 0) throw new Error('the leader changed');
        const last = state.applied.length;
        if (command.eventSequence <= last) return;
        if (command.eventSequence > last + 1) throw new Error(`gap after ${last}`);
        state.applied.push(command);
      },
    };
    return state;
  }

  async function until(condition: () => boolean): Promise<void> {
    const deadlineMs = performance.now() + 5_000;
    while (!condition()) {
      if (performance.now() > deadlineMs) assert.fail('the condition did not come true in time');
      await new Promise((wake) => setTimeout(wake, 5));
    }
  }

  const feedTo = (target: ReturnType<typeof engine>): Feed =>
    startFeed({
      pool,
      submit: target.submit,
      lastAppliedSequence: () => sequence(target.applied.length),
      inFlightMax: 3,
      pollIntervalMs: 20,
    });

  it('hands over final events only, in order, with their integers restored', async () => {
    await addBlock(1, [1, 2, 3], true);
    await addBlock(2, [4, 5], false);
    const target = engine();
    feed = feedTo(target);
    await until(() => target.applied.length === 3);
    await new Promise((wake) => setTimeout(wake, 60));
    assert.deepEqual(
      target.applied.map((command) => command.eventSequence),
      [1, 2, 3],
    );
    const second = target.applied[1];
    assert.ok(second?.kind === 'assetListed' && second.asset.quantumUnits === 10n ** 18n);
    await pool.query('UPDATE chain_blocks SET final = true');
    feed.wake();
    await until(() => target.applied.length === 5);
  });

  it('hands over each event once although every fifth call fails', async () => {
    const events = Array.from({ length: 40 }, (_, index) => index + 1);
    await addBlock(1, events, true);
    const target = engine(5);
    feed = feedTo(target);
    await until(() => target.applied.length === 40);
    assert.deepEqual(
      target.applied.map((command) => command.eventSequence),
      events,
    );
  });

  it('hands nothing over beyond a hole in the numbering', async () => {
    await addBlock(1, [1, 3], true);
    const target = engine();
    const warnings: unknown[] = [];
    feed = startFeed({
      pool,
      submit: target.submit,
      lastAppliedSequence: () => sequence(target.applied.length),
      pollIntervalMs: 20,
      onWarning: (_message, error) => warnings.push(error),
    });
    await until(() => warnings.length > 0);
    assert.equal(target.calls, 0);
    assert.match(String(warnings[0]), /expected vault event 2 in chain_events, found 3/);
  });
});
