/** The projector against a real PostgreSQL and the real engine: its tables say what the engine knows, exactly once. */
import assert from 'node:assert/strict';
import type pg from 'pg';
import type { Engine } from '../../src/offchain-engine/engine.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresJournalReader } from '../../src/storage/journal/read-journal.ts';
import type { LiveRow } from '../../src/storage/projections/live-rows.ts';
import { clearProjections, Projector, type ProjectorOptions } from '../../src/storage/projections/projector.ts';
import { accountBalances } from '../../src/storage/queries/balances.ts';
import type { OrderRow } from '../../src/storage/queries/orders.ts';
import { listOrders } from '../../src/storage/queries/orders.ts';
import { ProjectionWaiter, projectionCursor } from '../../src/storage/queries/progress.ts';
import { PostgresSnapshots } from '../../src/storage/snapshots.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { account, ENGINE_FORM, ExchangeScript, seeded } from './exchange-script.ts';

const ACCOUNTS = 8;
const TABLES = ['orders', 'trades', 'balances', 'deposits', 'withdrawals', 'exits', 'listed_assets', 'listed_markets'];

describe('the projector', () => {
  let database: TestDatabase;
  let pool: pg.Pool;
  let script: ExchangeScript;
  const running = new Set<Projector<Engine>>();

  beforeEach(async () => {
    database = await createTestDatabase();
    pool = openDatabase({ url: database.url, applicationName: 'test', onIdleError: () => undefined });
    script = new ExchangeScript(pool, 7);
  });
  afterEach(async () => {
    await Promise.all([...running].map((projector) => projector.stop()));
    running.clear();
    await pool.end();
    await database.drop();
  });

  function startProjector(options: Partial<ProjectorOptions<Engine>> = {}): Projector<Engine> {
    const projector = new Projector({
      pool,
      journal: new PostgresJournalReader(pool),
      snapshots: new PostgresSnapshots({ pool }),
      form: ENGINE_FORM,
      onProblem: () => undefined,
      pollMs: 5,
      ...options,
    });
    running.add(projector);
    projector.start();
    return projector;
  }

  async function stop(projector: Projector<Engine>): Promise<void> {
    running.delete(projector);
    await projector.stop();
  }

  async function reached(): Promise<void> {
    assert.ok(
      await new ProjectionWaiter(pool).waitFor(script.engine.lastSequence, 20_000),
      'the projector did not arrive',
    );
  }

  /** Every row of every projection, as text. */
  async function tables(): Promise<Record<string, string[]>> {
    const content: Record<string, string[]> = {};
    for (const table of [...TABLES, 'session_keys', 'engine_status', 'projection_cursor']) {
      const { rows } = await pool.query<{ row: string }>(`SELECT t::text AS row FROM ${table} t ORDER BY 1`);
      content[table] = rows.map(({ row }) => row);
    }
    return content;
  }

  async function assertMatchesEngine(): Promise<void> {
    const { engine } = script;
    for (let i = 0; i < ACCOUNTS; i++) {
      const shown = await accountBalances(pool, account(i));
      for (const { asset, pendingDeposit: _, ...balance } of shown.balances) {
        assert.deepEqual(balance, engine.balance(account(i), asset), `balance of ${account(i)} in ${asset}`);
      }
      const open = await listOrders(
        pool,
        { account: account(i), statuses: ['open', 'partially_filled'] },
        { limit: 500 },
      );
      assert.deepEqual(
        open.rows.map(liveTerms).toSorted(byDigest),
        engine
          .liveOrders(account(i))
          .map(({ digest, remaining, lane }) => ({ digest, remaining, lane }))
          .toSorted(byDigest),
      );
    }
    const cursor = await projectionCursor(pool);
    assert.equal(cursor.journalSequence, engine.lastSequence);
    assert.equal(cursor.chainEventSequence, engine.lastChainEventSequence);
  }

  it('shows what the engine knows after a long random history', async () => {
    startProjector();
    await script.open(ACCOUNTS);
    for (let i = 0; i < 60; i++) await script.randomRow(ACCOUNTS);
    await reached();
    await assertMatchesEngine();
    const { rows } = await pool.query<{ state: string; count: number }>(
      'SELECT state, count(*) FROM trades GROUP BY 1',
    );
    const states = Object.fromEntries(rows.map(({ state, count }) => [state, count]));
    assert.ok((states['final'] ?? 0) > 20 && (states['voided'] ?? 0) > 0, JSON.stringify(states));
  });

  it('gives the same tables from nothing, wherever it was stopped and wherever runs were cut', async () => {
    await script.open(ACCOUNTS);
    const random = seeded(3);
    for (let i = 0; i < 40; i++) {
      await script.randomRow(ACCOUNTS);
      if (random() < 0.1) await script.snapshot();
      if (random() < 0.3) {
        const projector = startProjector();
        if (random() < 0.5) await reached();
        else await new Promise((resolve) => setTimeout(resolve, random() * 30));
        await stop(projector);
      }
    }
    const last = startProjector();
    await reached();
    await stop(last);
    const before = await tables();
    assert.ok((before['trades']?.length ?? 0) > 50);

    await clearProjections(pool);
    assert.equal((await tables())['orders']?.length, 0);
    startProjector();
    await reached();
    assert.deepEqual(await tables(), before);
    await assertMatchesEngine();
  });

  it('builds again while it runs when the projections are cleared', async () => {
    startProjector();
    await script.open(ACCOUNTS);
    for (let i = 0; i < 10; i++) await script.randomRow(ACCOUNTS);
    await reached();
    const before = await tables();
    await clearProjections(pool);
    await script.row([{ kind: 'tick' }]);
    await reached();
    const after = await tables();
    for (const table of TABLES) assert.deepEqual(after[table], before[table], table);
  });

  it('gives the same tables from rows that the engine offers, wherever some are missing', async () => {
    const projector = startProjector();
    const random = seeded(11);
    let offered = 0;
    script.onRow = (row) => {
      // Now and then one is lost, and that side has to read the journal until it has come close again.
      if (random() < 0.05) return;
      offered++;
      projector.offer(row);
    };
    await script.open(ACCOUNTS);
    for (let i = 0; i < 60; i++) {
      await script.randomRow(ACCOUNTS);
      if (random() < 0.2) await reached();
    }
    await reached();
    await stop(projector);
    assert.ok(offered > 40 && offered < 62, `${offered} rows were offered`);
    const live = await tables();
    await clearProjections(pool);
    startProjector();
    await reached();
    assert.deepEqual(await tables(), live);
    await assertMatchesEngine();
  });

  it('reads the journal when the engine in its process offers no more', async () => {
    const projector = startProjector();
    script.onRow = (row) => projector.offer(row);
    await script.open(ACCOUNTS);
    await script.randomRow(ACCOUNTS);
    await reached();
    // From here on another process leads.
    script.onRow = () => undefined;
    for (let i = 0; i < 5; i++) await script.randomRow(ACCOUNTS);
    await reached();
    await assertMatchesEngine();
  });

  it('keeps no engine of its own while offers come, although the journal had one of them earlier', async () => {
    let created = 0;
    const create = (): Engine => {
      created++;
      return ENGINE_FORM.create();
    };
    const form = { ...ENGINE_FORM, create };
    let held: LiveRow | undefined;
    // The offer comes while the projector looks whether the journal is ahead, and sees that it is.
    const journal = new (class extends PostgresJournalReader {
      override async *rowsFrom(sequence: number): ReturnType<PostgresJournalReader['rowsFrom']> {
        for await (const row of super.rowsFrom(sequence)) {
          if (held !== undefined) projector.offer(held);
          held = undefined;
          yield row;
        }
      }
    })(pool);
    const projector = startProjector({ form, journal });
    script.onRow = (row) => projector.offer(row);
    await script.open(ACCOUNTS);
    await reached();
    const createdBefore = created;
    script.onRow = (row) => {
      held = row;
    };
    await script.randomRow(ACCOUNTS);
    while (held !== undefined) await new Promise((resolve) => setTimeout(resolve, 1));
    script.onRow = (row) => projector.offer(row);
    // Longer than an offer may be late, and never quiet.
    for (const endMs = performance.now() + 2_500; performance.now() < endMs; ) await script.randomRow(ACCOUNTS);
    await reached();
    assert.equal(created, createdBefore);
    await assertMatchesEngine();
  });

  it('hands over to a second one that waits, without repeating or losing anything', async () => {
    const first = startProjector();
    startProjector();
    await script.open(ACCOUNTS);
    for (let i = 0; i < 10; i++) await script.randomRow(ACCOUNTS);
    await reached();
    await stop(first);
    for (let i = 0; i < 10; i++) await script.randomRow(ACCOUNTS);
    await reached();
    await assertMatchesEngine();
  });

  it('survives the loss of its connection', async () => {
    const problems: unknown[] = [];
    startProjector({ onProblem: ({ cause }) => problems.push(cause) });
    await script.open(ACCOUNTS);
    for (let i = 0; i < 30; i++) {
      await script.randomRow(ACCOUNTS);
      if (i % 10 === 5) {
        await pool.query(
          `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()`,
        );
      }
    }
    await reached();
    assert.ok(problems.length > 0);
    await assertMatchesEngine();
  });

  it('names a journal that ends before the cursor', async () => {
    const problems: unknown[] = [];
    await script.open(ACCOUNTS);
    await pool.query('UPDATE projection_cursor SET journal_sequence = 1000');
    startProjector({ onProblem: ({ cause }) => problems.push(cause) });
    const deadline = Date.now() + 10_000;
    while (problems.length === 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.match(String(problems[0]), /journal row at sequence 1000/);
  });
});

function liveTerms({ digest, remainingLots, lane }: OrderRow): { digest: string; remaining: number; lane: number } {
  return { digest, remaining: remainingLots, lane };
}

function byDigest(a: { digest: string }, b: { digest: string }): number {
  return a.digest < b.digest ? -1 : 1;
}
