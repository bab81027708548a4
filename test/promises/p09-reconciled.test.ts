/** P9: at each final batch the ledger's settled balances equal the vault's, account by account; drift is named, raises an alarm, halts withdrawals. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { createRpcPool } from '../../src/chain/rpc-pool.ts';
import type { JournalRow } from '../../src/domain/journal.ts';
import { type Indexer, startIndexer } from '../../src/indexer/run-indexer.ts';
import { createStoredVaultReader } from '../../src/indexer/vault-reader.ts';
import type { Engine } from '../../src/offchain-engine/engine.ts';
import type { ReconciliationReport } from '../../src/reconciliation/reconcile.ts';
import { type Reconciler, startReconciler } from '../../src/reconciliation/run-reconciler.ts';
import { ENGINE_FORM } from '../../src/services/engine-form.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresJournalReader } from '../../src/storage/journal/read-journal.ts';
import { toParameters } from '../../src/storage/journal/rows.ts';
import { Projector } from '../../src/storage/projections/projector.ts';
import { ProjectionWaiter } from '../../src/storage/queries/progress.ts';
import { PostgresSnapshots } from '../../src/storage/snapshots.ts';
import { all, rejection } from '../offchain-engine/support/exchange.ts';
import { useTestDatabase } from '../support/database.ts';
import { LabExchange } from '../support/lab-exchange.ts';
import { useLocalNode } from '../support/local-node.ts';
import { type LabUser, pageSlot } from '../support/settlement-lab.ts';
import { HandMadeBatches } from './support/hand-made-batches.ts';

describe('P9 Reconciled', () => {
  const node = useLocalNode();
  const database = useTestDatabase();
  let pool: pg.Pool;
  let batches: HandMadeBatches;
  let exchange: LabExchange;
  let users: [LabUser, LabUser, LabUser];
  let indexer: Indexer;
  let projector: Projector<Engine>;
  let reconciler: Reconciler;
  const reports: ReconciliationReport[] = [];
  const halts: string[] = [];
  let rowsStored = 0;

  before(async () => {
    pool = openDatabase({ url: database.url(), applicationName: 'tallystick-test-promises', connectionsMax: 12 });
    batches = await HandMadeBatches.on(node.node());
    const { lab } = batches;
    users = (await batches.users(['ann', 'ben', 'cleo'], 1_000_000_000)) as [LabUser, LabUser, LabUser];
    exchange = await LabExchange.open(lab);
    indexer = startIndexer({
      pool,
      rpcUrls: [node.node().rpcUrl],
      place: { vault: lab.vault, deploymentBlock: lab.deploymentBlock },
      reader: await createStoredVaultReader(pool, lab.vault),
      finality: { kind: 'confirmations', count: 1 },
      pollIntervalMs: 10,
    });
    const stores = { journal: new PostgresJournalReader(pool), snapshots: new PostgresSnapshots({ pool }) };
    projector = new Projector({ pool, ...stores, form: ENGINE_FORM, onProblem: () => undefined, pollMs: 5 });
    projector.start();
    reconciler = startReconciler({
      pool,
      vault: lab.vault,
      rpc: createRpcPool([node.node().rpcUrl]),
      pollIntervalMs: 10,
      onReport: (report) => reports.push(report),
      haltWithdrawals: async (reason) => {
        if (halts.push(reason) === 1) exchange.commit([{ kind: 'haltWithdrawals', reason }]);
      },
    });
  });
  after(async () => {
    await reconciler.stop();
    await Promise.all([indexer.stop(), projector.stop()]);
    await pool.end();
  });

  /** Stores the journal so far, and waits until the reconciler has looked at where it stands. */
  async function reconciled(): Promise<ReconciliationReport> {
    for (const row of exchange.rows.slice(rowsStored)) await storeRow(row);
    rowsStored = exchange.rows.length;
    assert.ok(await new ProjectionWaiter(pool).waitFor(exchange.engine.lastSequence, 20_000));
    await batches.lab.rpc.request('anvil_mine', ['0x2']);
    const standing = exchange.engine.lastChainEventSequence;
    for (let waitedMs = 0; waitedMs < 15_000; waitedMs += 10) {
      const report = reports.findLast(({ eventSequence }) => eventSequence === standing);
      if (report !== undefined) return report;
      await sleep(10);
    }
    return assert.fail(`nothing was reconciled at event ${standing}`);
  }

  const storeRow = (row: JournalRow): Promise<unknown> =>
    pool.query(
      `INSERT INTO journal (first_sequence, last_sequence, epoch, rules_version, body, previous_hash, merkle_root, hash)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
      toParameters(row),
    );

  async function trade(round: number): Promise<void> {
    const [ann, ben, cleo] = users;
    await exchange.place(ann, { side: 'sell', sizeLots: 10 + round, priceTicks: 100 });
    await exchange.place(cleo, { side: 'buy', sizeLots: 7, priceTicks: 101, timeInForce: 'ioc' });
    await exchange.place(ben, { market: 1, side: 'buy', sizeLots: 7, priceTicks: 50 });
    await exchange.place(ann, { market: 1, side: 'sell', sizeLots: 4, priceTicks: 50, timeInForce: 'ioc' });
  }

  /** Changes one balance on the vault's books behind its back. */
  async function tamper(user: LabUser, quanta: bigint): Promise<void> {
    const { rpc, vault } = batches.lab;
    const slot = pageSlot(user.address);
    const word = BigInt((await rpc.request('eth_getStorageAt', [vault, slot, 'latest'])) as string) + quanta;
    await rpc.request('anvil_setStorageAt', [vault, slot, `0x${word.toString(16).padStart(64, '0')}`]);
  }

  it('P9: after every final batch, with skips, withdrawals and fees in it, ledger and vault agree on every account', async () => {
    const [ann, ben, cleo] = users;
    for (let round = 1; round <= 3; round++) {
      await trade(round);
      if (round === 2) await exchange.withdraw(ben, 1, 5_000);
      if (round === 3) {
        // The vault skips what cleo sells: what she has was taken by an exit that the engine heard of too late.
        await exchange.place(cleo, { market: 1, side: 'sell', sizeLots: 900, priceTicks: 50 });
        await exchange.place(ann, { market: 1, side: 'buy', sizeLots: 900, priceTicks: 50, timeInForce: 'ioc' });
        const batch = exchange.seal();
        const { lab } = batches;
        await lab.send(cleo.address, lab.vault, 'requestExit', [lab.tokens[2]]);
        await lab.passTime(2_000);
        await lab.send(cleo.address, lab.vault, 'exit', [lab.tokens[2], cleo.address]);
        await lab.settle(exchange.contentOf(batch), exchange.commitmentOf(batch));
        const [final] = all(await exchange.feed(), 'batchFinal');
        assert.ok((final?.voidedTrades.length ?? 0) > 0);
      } else await exchange.settle();
      const report = await reconciled();
      assert.deepEqual(report.drift, []);
      assert.ok(report.accountsCompared > 0);
      assert.ok(report.solvency.every(({ solvent }) => solvent));
    }
    const sweep = await reconciler.sweep();
    assert.deepEqual(sweep.drift, []);
    assert.equal(sweep.accountsCompared, 3);
    // Not by the reconciler's own word alone: the vault's figures and the engine's, side by side.
    const { accounts, assets } = await batches.books(users);
    for (const { account, balances } of accounts)
      assert.deepEqual(
        [0, 1, 2].map((asset) => exchange.engine.balance(account, asset).settled),
        balances,
      );
    const fees = [0, 1, 2].map((asset) => exchange.engine.balance(`0x${'00'.repeat(20)}`, asset).settled);
    assert.deepEqual(
      fees,
      assets.map((asset) => asset.fees),
    );
    assert.ok((fees[1] ?? 0) > 0);
    assert.deepEqual(halts, []);
  });

  it('P9: one quantum in one account is found after the next batch, named, raises an alarm and halts withdrawals', async () => {
    const [ann, ben] = users;
    // Accepted before the drift, not sealed yet: a halt has to stop it too.
    assert.equal(rejection(await exchange.withdraw(ben, 0, 400)), undefined);
    await tamper(ann, 1n);
    await trade(4);
    const sealed = exchange.commit([{ kind: 'sealBatch', tradesMax: 100, withdrawalsMax: 0 }]);
    const batch = all(sealed, 'batchSealed')[0]?.batch ?? assert.fail('nothing was sealed');
    await batches.lab.settle(exchange.contentOf(batch), exchange.commitmentOf(batch));
    await exchange.feed();
    const report = await reconciled();
    const { settled } = exchange.engine.balance(ann.address, 0);
    assert.deepEqual(report.drift, [{ account: ann.address, asset: 0, ledger: settled, vault: settled + 1 }]);
    for (let waitedMs = 0; halts.length === 0 && waitedMs < 5_000; waitedMs += 10) await sleep(10);
    assert.match(halts[0] ?? '', new RegExp(`${ann.address} asset 0: ledger ${settled}, vault ${settled + 1}`));
    const incidents = await pool.query<{ kind: string }>('SELECT kind FROM incidents WHERE closed_at IS NULL');
    assert.deepEqual(incidents.rows, [{ kind: 'drift' }]);
    assert.equal(rejection(await exchange.withdraw(ben, 1, 400)), 'withdrawals_halted');
    assert.deepEqual(
      all(exchange.commit([{ kind: 'sealBatch', tradesMax: 100, withdrawalsMax: 10 }]), 'batchSealed'),
      [],
    );
    // Trading goes on, and so does whoever leaves by the vault alone.
    assert.equal(rejection(await exchange.place(ben, { side: 'buy', sizeLots: 1, priceTicks: 10 })), undefined);
  });
});
