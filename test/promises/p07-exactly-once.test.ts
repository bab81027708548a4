/** P7: every trade is settled once, or voided once with a reason that both ledgers show; batches are gapless and linked. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { EngineEvent } from '../../src/domain/events.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { ALICE, all, BOB, Exchange, only } from '../offchain-engine/support/exchange.ts';
import { createVaultBench } from '../settlement/vault-bench.ts';
import { useTestDatabase } from '../support/database.ts';
import { LabExchange } from '../support/lab-exchange.ts';
import { useLocalNode } from '../support/local-node.ts';
import { seededRandom } from '../support/random.ts';
import { LAB_EXIT_DELAY, type LabUser } from '../support/settlement-lab.ts';
import { HandMadeBatches } from './support/hand-made-batches.ts';

const SEED = Number(process.env['SEED'] ?? 77);

describe('P7 Exactly once, at the vault', () => {
  const node = useLocalNode();
  let batches: HandMadeBatches;
  let ann: LabUser;
  let ben: LabUser;

  before(async () => {
    batches = await HandMadeBatches.on(node.node());
    [ann, ben] = (await batches.users(['ann', 'ben'], 1_000_000_000)) as [LabUser, LabUser];
  });

  /** Settles a trade as if the last batch were another one; the vault must refuse. */
  async function refused(pretend: { batchId?: number; parent?: `0x${string}`; epoch?: number }): Promise<void> {
    const { lab } = batches;
    const fill = { taker: await batches.order(ann), maker: await batches.order(ben, { side: 'sell' }) };
    const { batchId, parent } = lab;
    lab.batchId = pretend.batchId ?? batchId;
    lab.parent = pretend.parent ?? parent;
    const before = await batches.books([ann, ben]);
    try {
      await assert.rejects(batches.settle([fill], []), /revert|WrongBatchId|WrongParent/);
    } finally {
      Object.assign(lab, { batchId, parent });
    }
    assert.deepEqual(await batches.books([ann, ben]), before);
  }

  it('P7: a batch settles once: the same bytes again are refused, and change nothing', async () => {
    const { lab } = batches;
    const fill = { taker: await batches.order(ann), maker: await batches.order(ben, { side: 'sell' }) };
    const content = batches.content([fill]);
    const { input } = await lab.settleInput(content);
    await lab.settle(content);
    const before = await batches.books([ann, ben]);
    await assert.rejects(lab.sendRaw(lab.submitter, lab.vault, input), /revert|WrongBatchId/);
    assert.deepEqual(await batches.books([ann, ben]), before);
  });

  it('P7: ids are gapless: an earlier one or a later one is refused, with the right parent too', async () => {
    await batches.settle([]);
    const { batchId } = batches.lab;
    for (const other of [batchId - 1, batchId + 1, batchId + 1_000]) await refused({ batchId: other });
    await batches.settle([]);
  });

  it('P7: batches are linked: the right id on another parent is refused', async () => {
    const grandparent = batches.lab.parent;
    await batches.settle([]);
    await refused({ parent: grandparent });
    await refused({ parent: `0x${'ab'.repeat(32)}` });
    await batches.settle([]);
  });
});

describe(`P7 Exactly once, in both ledgers (SEED=${SEED})`, () => {
  const node = useLocalNode();

  it('P7: every trade ends once, settled or voided for the vault’s own reason, on both sides and in both ledgers', async () => {
    const batches = await HandMadeBatches.on(node.node());
    const { lab } = batches;
    const users = await batches.users(['ann', 'ben', 'cleo'], 200_000_000);
    const exchange = await LabExchange.open(lab);
    const random = seededRandom(SEED);
    const ended = new Map<number, string>();
    const traded = new Set<number>();
    let voided = 0;
    const watch = (events: readonly EngineEvent[]): void => {
      for (const { tradeId } of all(events, 'trade')) traded.add(tradeId);
      for (const { settledTrades, voidedTrades } of all(events, 'batchFinal')) {
        for (const tradeId of settledTrades) end(tradeId, 'settled');
        for (const { tradeId, reason } of voidedTrades) end(tradeId, reason);
      }
      for (const { tradeId, reason } of all(events, 'tradeVoided')) end(tradeId, reason);
    };
    const end = (tradeId: number, how: string): void => {
      assert.equal(ended.get(tradeId), undefined, `trade ${tradeId} ends once`);
      ended.set(tradeId, how);
      if (how !== 'settled') voided++;
    };
    for (let round = 0; round < 6; round++) {
      for (let count = 0; count < 12; count++) {
        const side = random(2) === 0 ? 'buy' : 'sell';
        const priceTicks = (side === 'buy' ? 98 : 92) + random(11);
        const terms = { side, sizeLots: 1 + random(30), priceTicks, market: random(2) } as const;
        watch(await exchange.place(users[random(3)] as LabUser, terms));
      }
      const batch = exchange.seal();
      if (round % 2 === 1) {
        // Somebody leaves between match and settlement, so that the vault has to skip what they can no longer pay.
        const leaver = users[round % 3] as LabUser;
        const token = lab.tokens[round % 2];
        await lab.send(leaver.address, lab.vault, 'requestExit', [token]);
        await lab.passTime(LAB_EXIT_DELAY);
        await lab.send(leaver.address, lab.vault, 'exit', [token, leaver.address]);
      }
      const transaction = await lab.settle(exchange.contentOf(batch), exchange.commitmentOf(batch));
      const onChain = (await batches.outcome(transaction, batch.trades.length)).fills;
      watch(await exchange.feed());
      for (const [index, { tradeId }] of batch.trades.entries())
        assert.equal(ended.get(tradeId), onChain[index], `trade ${tradeId} ended here as it ended there`);
      for (const user of users) await lab.deposit(user, round % 2, 100_000_000);
      watch(await exchange.feed());
      const { accounts, assets } = await batches.books(users);
      for (const { account, balances } of accounts) {
        for (const [asset, booked] of balances.entries())
          assert.equal(exchange.engine.balance(account, asset).settled, booked, `${account} asset ${asset}`);
      }
      for (const { asset, fees } of assets)
        assert.equal(exchange.engine.balance(`0x${'00'.repeat(20)}`, asset).settled, fees);
    }
    while (exchange.engine.canSeal) {
      await exchange.settle();
      await exchange.feed();
    }
    assert.ok(voided > 0 && ended.size > voided, `${ended.size} trades ended, ${voided} of them voided`);
    for (const tradeId of ended.keys()) assert.ok(traded.has(tradeId));
    for (const user of users) {
      for (const asset of [0, 1, 2]) {
        const { unsettledIn, unsettledOut } = exchange.engine.balance(user.address, asset);
        assert.deepEqual([unsettledIn, unsettledOut], [0, 0], 'nothing is left over');
      }
    }
  });
});

describe('P7 Exactly once, between chain and engine', () => {
  it('P7: a fact of the chain counts once however often it comes, and never before the one it follows', () => {
    const exchange = new Exchange();
    exchange.deposit(ALICE, 1_000, 0);
    exchange.deposit(BOB, 0, 10_000_000);
    exchange.place({ account: ALICE, side: 'sell', size: 10, price: 100 });
    exchange.place({ account: BOB, side: 'buy', size: 10, price: 100 });
    const batchId = exchange.seal()?.batch.batchId ?? 0;
    const { engine } = exchange;
    const eventSequence = (engine.lastChainEventSequence + 1) as never;
    const fact = {
      kind: 'batchSettled',
      batchId,
      contentHash: `0x${'11'.repeat(32)}`,
      skips: [],
      withdrawals: [],
    } as const;
    const deposit = { kind: 'depositCredited', account: ALICE, asset: 0, amount: 5 as never } as const;
    const ahead = { ...deposit, eventSequence: (eventSequence + 1) as never };
    const balances = () => [ALICE, BOB].map((account) => [0, 1].map((asset) => engine.balance(account, asset)));
    const before = balances();
    assert.deepEqual(exchange.apply(ahead), [], 'a gap is refused');
    assert.deepEqual(balances(), before);
    assert.ok(only(exchange.apply({ ...fact, eventSequence }), 'batchFinal') !== undefined);
    const settled = balances();
    assert.deepEqual(exchange.apply({ ...fact, eventSequence }), [], 'a repetition is ignored');
    assert.deepEqual(exchange.apply({ ...deposit, eventSequence }), []);
    assert.deepEqual(balances(), settled);
    exchange.apply(ahead);
    assert.equal(engine.balance(ALICE, 0).settled, (settled[0]?.[0]?.settled ?? 0) + 5);
  });
});

describe('P7 Exactly once, between two submitters', () => {
  const node = useLocalNode({ flags: ['--no-mining'] });
  const database = useTestDatabase();
  let pool: pg.Pool;
  before(() => {
    pool = openDatabase({ url: database.url(), applicationName: 'tallystick-test-promises' });
  });
  after(() => pool.end());

  it('P7: two submitters that take turns over the same outbox settle every batch once, with one transaction each', async () => {
    const bench = await createVaultBench(node.node().rpcUrl);
    await bench.publish(pool, 1, 3);
    const submitters = [bench.createSubmitter(pool), bench.createSubmitter(pool)];
    for (let turn = 0; (await bench.lastBatchId()) < 3 || turn < 6; turn++) {
      assert.ok(turn < 60, 'three batches settle in a few turns');
      await submitters[turn % 2]?.turn();
      if (turn % 3 === 2) await pool.query("UPDATE submitter_lease SET lease_until = 'epoch'");
      await bench.mine();
      await sleep(10);
    }
    const nonces = await pool.query('SELECT count(DISTINCT tx_nonce)::int AS nonces FROM batch_transactions');
    assert.equal(nonces.rows[0]?.nonces, 3);
    assert.equal(Number(await bench.rpc('eth_getTransactionCount', bench.submitter, 'latest')), 3);
  });
});
