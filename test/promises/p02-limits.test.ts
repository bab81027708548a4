/** P2: no fill worse than the signed limit, beyond the size, above the fee; none matched after expiry or cancellation, none settled GRACE later. */
import assert from 'node:assert/strict';
import type { EngineEvent } from '../../src/domain/events.ts';
import { lots, type Ppm, priceTicks, type TimestampSeconds } from '../../src/domain/units.ts';
import { ALICE, all, BOB, doneOf, Exchange, rejection, tradesOf } from '../offchain-engine/support/exchange.ts';
import { LabExchange } from '../support/lab-exchange.ts';
import { useLocalNode } from '../support/local-node.ts';
import { LAB_GRACE, type LabUser } from '../support/settlement-lab.ts';
import { HandMadeBatches } from './support/hand-made-batches.ts';

describe('P2 Limits, at the vault', () => {
  const node = useLocalNode();
  let batches: HandMadeBatches;
  let ann: LabUser;
  let ben: LabUser;

  before(async () => {
    batches = await HandMadeBatches.on(node.node());
    [ann, ben] = (await batches.users(['ann', 'ben'], 1_000_000_000)) as [LabUser, LabUser];
  });

  it('P2: no fill is worse than the signed limit, whichever side takes', async () => {
    const buy = (ticks: number) => batches.order(ann, { side: 'buy', priceTicks: ticks });
    const sell = (ticks: number) => batches.order(ben, { side: 'sell', priceTicks: ticks });
    const { fills } = await batches.settle([
      { taker: await buy(99), maker: await sell(100) },
      { taker: await sell(101), maker: await buy(100) },
      { taker: await buy(100), maker: await sell(100) },
      { taker: await sell(100), maker: await buy(100) },
    ]);
    assert.deepEqual(fills, ['mispriced', 'mispriced', 'settled', 'settled']);
  });

  it('P2: a fill pays exactly the maker’s price, and fees rounded down', async () => {
    const before = [await batches.balances(ann), await batches.balances(ben)] as const;
    const maker = await batches.order(ben, { side: 'sell', priceTicks: 333 });
    const taker = await batches.order(ann, { priceTicks: 400 });
    await batches.settle([{ taker, maker, size: 3, takerFeePpm: 1_000, makerFeePpm: 333 }]);
    const after = [await batches.balances(ann), await batches.balances(ben)] as const;
    const [notional, takerFee, makerFee] = [9_990, 9, 3];
    assert.equal((after[0][1] ?? 0) - (before[0][1] ?? 0), -notional - takerFee);
    assert.equal((after[0][0] ?? 0) - (before[0][0] ?? 0), 3_000_000);
    assert.equal((after[1][1] ?? 0) - (before[1][1] ?? 0), notional - makerFee);
  });

  it('P2: fills never sum to more than the signed size: in one batch, over batches, on lane 0 and on others', async () => {
    for (const lane of [0, 7]) {
      const taker = await batches.order(ann, { lane, sizeLots: 10 });
      const maker = await batches.order(ben, { lane, side: 'sell', sizeLots: 100 });
      const trade = (size: number) => ({ taker, maker, size });
      assert.deepEqual((await batches.settle([trade(6), trade(5), trade(1)])).fills, [
        'settled',
        'overfilled',
        'settled',
      ]);
      assert.deepEqual((await batches.settle([trade(4)])).fills, ['overfilled']);
      assert.deepEqual((await batches.settle([trade(3), trade(1)])).fills, ['settled', 'overfilled']);
      const fresh = await batches.order(ann, { lane, sizeLots: 10 });
      await batches.settle([{ taker: fresh, maker, size: 1 }]);
      assert.deepEqual((await batches.settle([trade(1)])).fills, ['superseded'], 'a filled order does not come back');
    }
  });

  it('P2: no fee is above the signed maximum, for taker and maker alike', async () => {
    const trade = async (takerFeePpm: number, makerFeePpm: number) => ({
      taker: await batches.order(ann, { maxFeePpm: 300 }),
      maker: await batches.order(ben, { side: 'sell', maxFeePpm: 200 }),
      takerFeePpm,
      makerFeePpm,
    });
    const { fills } = await batches.settle([await trade(301, 0), await trade(0, 201), await trade(300, 200)]);
    assert.deepEqual(fills, ['fee_too_high', 'fee_too_high', 'settled']);
  });

  it('P2: what was matched before expiry or cancellation settles for GRACE, and not a second longer', async () => {
    const { lab } = batches;
    const expiring = await batches.order(ann, { expiry: ((await lab.now()) + 60) as TimestampSeconds });
    await lab.passTime(60 + LAB_GRACE - 30);
    assert.equal(await batches.tryOne(expiring, ben), 'settled');
    await lab.passTime(31);
    assert.equal(await batches.tryOne(expiring, ben), 'expired');

    const cancelled = await batches.order(ann);
    await lab.send(ann.address, lab.vault, 'cancelAll', []);
    assert.equal(await batches.tryOne(cancelled, ben), 'settled');
    // A second call neither postpones the first nor revives what it cancelled.
    await lab.send(ann.address, lab.vault, 'cancelAll', []);
    await lab.passTime(LAB_GRACE);
    assert.equal(await batches.tryOne(cancelled, ben), 'cancelled');
    assert.equal(
      await batches.tryOne(await batches.order(ann, { orderSequence: cancelled.orderSequence }), ben),
      'cancelled',
    );
  });
});

describe('P2 Limits, from match to settlement', () => {
  const node = useLocalNode();
  let batches: HandMadeBatches;
  let exchange: LabExchange;
  let ann: LabUser;
  let ben: LabUser;

  before(async () => {
    batches = await HandMadeBatches.on(node.node());
    [ann, ben] = (await batches.users(['ann', 'ben'], 1_000_000_000)) as [LabUser, LabUser];
    exchange = await LabExchange.open(batches.lab);
  });

  const trades = (events: readonly EngineEvent[]): number => all(events, 'trade').length;
  const ask = { side: 'sell' as const, sizeLots: 10, priceTicks: 100 };
  const bid = { side: 'buy' as const, sizeLots: 4, priceTicks: 100, timeInForce: 'ioc' as const };

  it('P2: after an on-chain cancellation nothing is matched any more, but what was matched before it settles', async () => {
    const { lab } = batches;
    await exchange.place(ann, ask);
    assert.equal(trades(await exchange.place(ben, bid)), 1);
    await lab.send(ann.address, lab.vault, 'cancelAll', []);
    assert.match(doneReasons(await exchange.feed()), /cancelled_on_chain/);
    assert.equal(trades(await exchange.place(ben, bid)), 0);
    const batch = exchange.seal();
    await lab.settle(exchange.contentOf(batch), exchange.commitmentOf(batch));
    const [final] = all(await exchange.feed(), 'batchFinal');
    assert.deepEqual([final?.settledTrades.length, final?.voidedTrades.length], [1, 0]);
  });

  it('P2: what could not settle within GRACE of a cancellation is skipped by the vault and voided in the ledger', async () => {
    const { lab } = batches;
    await lab.passTime(120);
    await exchange.feed();
    await exchange.place(ann, ask);
    await exchange.place(ben, bid);
    const batch = exchange.seal();
    await lab.send(ann.address, lab.vault, 'requestExit', [lab.tokens[2]]);
    await lab.passTime(LAB_GRACE);
    const before = await batches.balances(ben);
    await lab.settle(exchange.contentOf(batch), exchange.commitmentOf(batch));
    const [final] = all(await exchange.feed(), 'batchFinal');
    assert.deepEqual(
      final?.voidedTrades.map(({ reason }) => reason),
      ['cancelled'],
    );
    assert.deepEqual(await batches.balances(ben), before);
    assert.deepEqual(
      [0, 1].map((asset) => exchange.engine.balance(ben.address, asset).settled),
      before.slice(0, 2),
    );
  });
});

describe('P2 Limits, at the engine', () => {
  const seconds = (ms: number): TimestampSeconds => Math.floor(ms / 1_000) as TimestampSeconds;

  it('P2: an order is not matched from the second of its expiry on, resting or arriving', () => {
    const exchange = new Exchange();
    exchange.deposit(ALICE, 100, 0);
    exchange.deposit(BOB, 0, 1_000_000);
    const expiry = seconds(exchange.nowMs + 5_000);
    exchange.place({ account: ALICE, side: 'sell', size: 5, price: 100, expiry });
    exchange.nowMs += 4_999;
    assert.equal(tradesOf(exchange.place({ account: BOB, side: 'buy', size: 1, price: 100 }).events).length, 1);
    exchange.nowMs += 1;
    const late = exchange.place({ account: BOB, side: 'buy', size: 1, price: 100 });
    assert.deepEqual(tradesOf(late.events), []);
    assert.match(doneOf(late.events).join(), /expired/);
    assert.equal(
      rejection(exchange.place({ account: ALICE, side: 'sell', size: 1, price: 100, expiry }).events),
      'expired',
    );
  });

  it('P2: no trade is worse than the limit, larger than the order, or dearer than its maximum fee', () => {
    const exchange = new Exchange();
    exchange.deposit(ALICE, 1_000, 0);
    exchange.deposit(BOB, 0, 10_000_000);
    const terms = { sizeLots: lots(12), priceTicks: priceTicks(101) };
    for (const price of [103, 102, 101, 100]) exchange.place({ account: ALICE, side: 'sell', size: 5, price });
    const { events } = exchange.place({ account: BOB, side: 'buy', size: terms.sizeLots, price: terms.priceTicks });
    const found = all(events, 'trade');
    assert.deepEqual(
      found.map(({ price, size }) => [price, size]),
      [
        [100, 5],
        [101, 5],
      ],
    );
    assert.ok(found.every(({ taker }) => taker.feePpm <= 5_000));
    const dear = exchange.place({ account: BOB, side: 'buy', size: 1, price: 100, maxFeePpm: 1_999 as Ppm });
    assert.equal(rejection(dear.events), 'max_fee_too_low');
  });
});

function doneReasons(events: readonly EngineEvent[]): string {
  return all(events, 'orderDone')
    .map(({ reason }) => reason)
    .join();
}
