/** Reconciliation over everything real: vault and node, indexer, engine, journal and projector in PostgreSQL. */
import assert from 'node:assert/strict';
import type pg from 'pg';
import { createRpcPool } from '../../src/chain/rpc-pool.ts';
import { type Indexer, startIndexer } from '../../src/indexer/run-indexer.ts';
import { createStoredVaultReader } from '../../src/indexer/vault-reader.ts';
import type { Engine } from '../../src/offchain-engine/engine.ts';
import { FEE_ACCOUNT } from '../../src/reconciliation/compare.ts';
import { type ReconcileResult, type ReconciliationReport, reconcile } from '../../src/reconciliation/reconcile.ts';
import { type Reconciler, startReconciler } from '../../src/reconciliation/run-reconciler.ts';
import type { LocalNode } from '../../src/services/local-node.ts';
import { startLocalNode } from '../../src/services/local-node.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresJournalReader } from '../../src/storage/journal/read-journal.ts';
import { Projector } from '../../src/storage/projections/projector.ts';
import { ProjectionWaiter } from '../../src/storage/queries/progress.ts';
import { PostgresSnapshots } from '../../src/storage/snapshots.ts';
import { ENGINE_FORM } from '../storage/exchange-script.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { LabExchange } from '../support/lab-exchange.ts';
import { LAB_EXIT_DELAY, type LabUser, pageSlot, SettlementLab } from '../support/settlement-lab.ts';

describe('reconciliation', () => {
  let node: LocalNode;
  let database: TestDatabase;
  let pool: pg.Pool;
  let lab: SettlementLab;
  let exchange: LabExchange;
  let users: [LabUser, LabUser, LabUser];
  let indexer: Indexer;
  let projector: Projector<Engine>;
  let reconciler: Reconciler | undefined;
  let rowsStored = 0;

  beforeEach(async () => {
    [node, database] = await Promise.all([startLocalNode(), createTestDatabase()]);
    pool = openDatabase({ url: database.url, applicationName: 'test', connectionsMax: 12 });
    lab = await SettlementLab.create(node);
    users = [await lab.createFundedUser('ann'), await lab.createFundedUser('ben'), await lab.createFundedUser('cleo')];
    for (const user of users) for (const asset of [0, 1, 2]) await lab.deposit(user, asset, 1_000_000_000);
    exchange = await LabExchange.open(lab);
    indexer = startIndexer({
      pool,
      rpcUrls: [node.rpcUrl],
      place: { vault: lab.vault, deploymentBlock: lab.deploymentBlock },
      reader: await createStoredVaultReader(pool, lab.vault),
      finality: { kind: 'confirmations', count: 1 },
      pollIntervalMs: 10,
    });
    rowsStored = 0;
    const journal = new PostgresJournalReader(pool);
    const snapshots = new PostgresSnapshots({ pool });
    projector = new Projector({ pool, journal, snapshots, form: ENGINE_FORM, onProblem: () => undefined, pollMs: 5 });
    projector.start();
  });

  afterEach(async () => {
    await reconciler?.stop();
    reconciler = undefined;
    await Promise.all([indexer.stop(), projector.stop()]);
    await pool.end();
    await Promise.all([database.drop(), node.stop()]);
  });

  const options = (): Parameters<typeof reconcile>[0] => ({
    pool,
    vault: lab.vault,
    rpc: createRpcPool([node.rpcUrl]),
  });

  /** Stores the journal so far and waits until projector and indexer are there. */
  async function catchUp(): Promise<void> {
    for (const row of exchange.rows.slice(rowsStored)) {
      await pool.query(
        `INSERT INTO journal (last_sequence, first_sequence, epoch, rules_version, body, previous_hash, merkle_root, hash)
         VALUES ($1, $2, $3, $4, $5, decode($6, 'hex'), decode($7, 'hex'), decode($8, 'hex'))`,
        [
          row.lastSequence,
          row.firstSequence,
          row.epoch,
          row.rulesVersion,
          Buffer.from(row.body),
          row.previousHash.slice(2),
          row.merkleRoot.slice(2),
          row.hash.slice(2),
        ],
      );
    }
    rowsStored = exchange.rows.length;
    assert.ok(await new ProjectionWaiter(pool).waitFor(exchange.engine.lastSequence, 20_000));
    await lab.rpc.request('anvil_mine', ['0x3']);
    await until(async () => {
      const { rows } = await pool.query<{ last: number }>(
        'SELECT max(last_event_sequence) AS last FROM chain_blocks WHERE final',
      );
      return (rows[0]?.last ?? 0) >= exchange.engine.lastChainEventSequence;
    });
  }

  async function tradeAndSettle(): Promise<void> {
    const [ann, ben, cleo] = users;
    await exchange.place(ann, { side: 'sell', sizeLots: 10, priceTicks: 100 });
    await exchange.place(cleo, { side: 'buy', sizeLots: 7, priceTicks: 101, timeInForce: 'ioc' });
    await exchange.place(ben, { market: 1, side: 'buy', sizeLots: 7, priceTicks: 50 });
    await exchange.place(ann, { market: 1, side: 'sell', sizeLots: 4, priceTicks: 50, timeInForce: 'ioc' });
    await exchange.settle();
  }

  function reportOf(result: ReconcileResult): ReconciliationReport {
    if (result.kind !== 'compared') assert.fail(`nothing was compared: ${result.kind}`);
    return result.report;
  }

  /** Changes one balance on the vault's books behind its back. */
  async function tamper(user: LabUser, quanta: bigint): Promise<void> {
    const slot = pageSlot(user.address);
    const word = BigInt((await lab.rpc.request('eth_getStorageAt', [lab.vault, slot, 'latest'])) as string) + quanta;
    await lab.rpc.request('anvil_setStorageAt', [lab.vault, slot, `0x${word.toString(16).padStart(64, '0')}`]);
  }

  it('finds nothing after batches, withdrawals, collected fees and exits, and reads only what changed', async () => {
    await tradeAndSettle();
    await catchUp();
    const first = reportOf(await reconcile(options(), { fullSweep: true }));
    assert.deepEqual(first.drift, []);
    assert.equal(first.batchId, 1);
    assert.equal(first.accountsCompared, 3);
    assert.ok(first.solvency.every(({ solvent, bookedUnits, heldUnits }) => solvent && bookedUnits === heldUnits));
    assert.deepEqual(await reconcile(options(), { fullSweep: false }), { kind: 'unchanged' });

    const [, ben] = users;
    await exchange.withdraw(ben, 1, 5_000);
    await exchange.settle();
    await lab.send(lab.deployer, lab.vault, 'collectFees', [lab.tokens[1]]);
    await exchange.feed();
    await catchUp();
    const second = reportOf(await reconcile(options(), { fullSweep: false }));
    assert.deepEqual(second.drift, []);
    assert.equal(second.batchId, 2);
    assert.equal(second.accountsCompared, 1);

    await lab.send(ben.address, lab.vault, 'requestExit', [lab.tokens[0]]);
    await lab.passTime(LAB_EXIT_DELAY);
    await lab.send(ben.address, lab.vault, 'exit', [lab.tokens[0], ben.address]);
    await exchange.feed();
    await catchUp();
    assert.deepEqual(reportOf(await reconcile(options(), { fullSweep: true })).drift, []);
    const stored = await pool.query<{ count: number }>(
      'SELECT count(*) AS count FROM reconciliations WHERE NOT drifted',
    );
    assert.equal(stored.rows[0]?.count, 3);
  });

  it('waits while the ledger stands where no final block ends', async () => {
    await catchUp();
    await pool.query('UPDATE projection_cursor SET chain_event_sequence = chain_event_sequence + 1');
    const result = await reconcile(options(), { fullSweep: true });
    assert.equal(result.kind, 'not_yet');
  });

  it('finds one quantum in one account, names it, halts withdrawals and opens one incident', async () => {
    const halts: string[] = [];
    await tradeAndSettle();
    await catchUp();
    reconciler = startReconciler({
      ...options(),
      pollIntervalMs: 20,
      haltWithdrawals: async (reason) => {
        halts.push(reason);
        // The engine cannot be reached at first: the halt must not be forgotten.
        if (halts.length < 3) throw new Error('the engine is away');
      },
    });
    assert.deepEqual((await reconciler.sweep()).drift, []);
    const [ann] = users;
    await tamper(ann, 1n);
    await lab.deposit(ann, 0, 7);
    await exchange.feed();
    await catchUp();
    reconciler.wake();
    await until(async () => halts.length >= 3);
    const settled = exchange.engine.balance(ann.address, 0).settled;
    const expected = [{ account: ann.address, asset: 0, ledger: settled, vault: settled + 1 }];
    assert.deepEqual(reconciler.lastReport()?.drift, expected);
    assert.match(halts[0] ?? '', new RegExp(`${ann.address} asset 0: ledger ${settled}, vault ${settled + 1}`));
    const incidents = await pool.query<{ kind: string }>('SELECT kind FROM incidents WHERE closed_at IS NULL');
    assert.deepEqual(incidents.rows, [{ kind: 'drift' }]);

    // What drifted is looked at again although its settled balance has not changed since.
    await lab.deposit(users[1], 1, 9);
    await exchange.feed();
    await catchUp();
    reconciler.wake();
    await until(async () => (reconciler?.lastReport()?.eventSequence ?? 0) === exchange.engine.lastChainEventSequence);
    assert.deepEqual(reconciler.lastReport()?.drift, expected);
    assert.equal(reconciler.lastReport()?.accountsCompared, 2);
  });

  it('finds a balance of an account that the ledger has never heard of, by the total', async () => {
    await tradeAndSettle();
    await catchUp();
    await pool.query("DELETE FROM balances WHERE account = decode($1, 'hex')", [users[2].address.slice(2)]);
    const { drift } = reportOf(await reconcile(options(), { fullSweep: true }));
    assert.deepEqual([...new Set(drift.map(({ account }) => account))], ['total']);
  });

  it('finds fees that the ledger counts differently', async () => {
    await tradeAndSettle();
    await catchUp();
    await pool.query("UPDATE balances SET settled = settled + 1 WHERE account = decode($1, 'hex') AND asset = 1", [
      FEE_ACCOUNT.slice(2),
    ]);
    const { drift } = reportOf(await reconcile(options(), { fullSweep: false }));
    assert.deepEqual(
      drift.map(({ account, asset, ledger, vault }) => [account, asset, ledger - vault]),
      [[FEE_ACCOUNT, 1, 1]],
    );
  });

  it('finds tokens that the vault should hold', async () => {
    const halts: string[] = [];
    await catchUp();
    await lab.rpc.request('anvil_setBalance', [lab.vault, '0xde0b6b3a7640000']);
    await lab.sendRaw(
      lab.vault,
      lab.tokens[1] as LabUser['address'],
      `0xa9059cbb${users[0].address.slice(2).padStart(64, '0')}${'1'.padStart(64, '0')}`,
    );
    await lab.deposit(users[0], 0, 5);
    await exchange.feed();
    await catchUp();
    reconciler = startReconciler({
      ...options(),
      pollIntervalMs: 20,
      haltWithdrawals: async (reason) => void halts.push(reason),
    });
    const report = await reconciler.sweep();
    assert.deepEqual(report.drift, []);
    assert.deepEqual(
      report.solvency.map(({ solvent }) => solvent),
      [true, false, true],
    );
    await until(async () => halts.length > 0);
    assert.match(halts[0] ?? '', /holds less than it has booked of asset 1/);
  });

  it('holds when the vault skips a fill: both ledgers reverse it', async () => {
    const [ann, , cleo] = users;
    await exchange.place(ann, { side: 'sell', sizeLots: 900, priceTicks: 100 });
    await exchange.place(cleo, { side: 'buy', sizeLots: 900, priceTicks: 100, timeInForce: 'ioc' });
    const batch = exchange.seal();
    // The seller's tokens leave the vault between match and settlement by an exit that the engine has not heard of.
    await lab.send(ann.address, lab.vault, 'requestExit', [lab.tokens[0]]);
    await lab.passTime(LAB_EXIT_DELAY);
    await lab.send(ann.address, lab.vault, 'exit', [lab.tokens[0], ann.address]);
    await lab.settle(exchange.contentOf(batch), exchange.commitmentOf(batch));
    const events = await exchange.feed();
    assert.ok(events.some((event) => event.kind === 'batchFinal' && event.voidedTrades.length === 1));
    await catchUp();
    assert.deepEqual(reportOf(await reconcile(options(), { fullSweep: true })).drift, []);
  });
});

async function until(condition: () => Promise<boolean>, timeoutMs = 10_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) assert.fail('the condition did not come true in time');
    await new Promise((wake) => setTimeout(wake, 15));
  }
}
