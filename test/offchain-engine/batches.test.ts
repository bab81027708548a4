import assert from 'node:assert/strict';
import type { Quanta } from '../../src/domain/units.ts';
import { decodeSnapshot, encodeSnapshot } from '../../src/offchain-engine/snapshot.ts';
import { ALICE, all, BASE, BOB, CAROL, doneOf, Exchange, FEES, only, QUOTE, rejection } from './support/exchange.ts';

const INSUFFICIENT = 7;

function funded(options: ConstructorParameters<typeof Exchange>[0] = {}): Exchange {
  const exchange = new Exchange(options);
  for (const account of [ALICE, BOB, CAROL]) exchange.deposit(account, 1_000, 1_000_000);
  return exchange;
}

function trade(exchange: Exchange, size = 10, price = 100): void {
  exchange.place({ account: BOB, side: 'sell', size, price });
  exchange.place({ account: ALICE, side: 'buy', size, price, timeInForce: 'ioc' });
}

/** One taker sweeps `makers` orders of one lot. */
function sweep(exchange: Exchange, makers: number, timeInForce: 'gtc' | 'fok' = 'gtc'): void {
  for (let i = 0; i < makers; i++) exchange.place({ account: BOB, side: 'sell', size: 1, price: 100 });
  exchange.place({ account: ALICE, side: 'buy', size: makers, price: 100, timeInForce });
}

describe('sealing', () => {
  it('gives nothing when there is nothing to seal, and uses up no id', () => {
    const exchange = funded();
    assert.equal(exchange.seal(), undefined);
    trade(exchange);
    assert.equal(exchange.seal()?.batch.batchId, 1);
  });

  it('lists orders strictly ascending by account, lane and sequence, and trades in engine order', () => {
    const exchange = funded({ limits: { openOrdersPerAccountMax: 1_000 } });
    for (let i = 0; i < 30; i++) {
      exchange.nowMs += 1;
      exchange.place({
        account: i % 2 === 0 ? BOB : CAROL,
        side: 'sell',
        size: 2,
        price: 100 + (i % 3),
        lane: ((i * 7) % 11) + (i % 2) * 100 + i * 300,
      });
      exchange.place({ account: ALICE, side: 'buy', size: 1, price: 102, lane: i % 5 });
    }
    const batch = exchange.seal()!.batch;
    const keys = batch.orders.map(
      ({ account, lane, orderSequence }) =>
        `${account}/${String(lane).padStart(5, '0')}/${String(orderSequence).padStart(12, '0')}`,
    );
    assert.deepEqual(keys, [...new Set(keys)].sort());
    assert.deepEqual(
      batch.trades.map(({ tradeId }) => tradeId),
      Array.from({ length: 30 }, (_, i) => i + 1),
    );
    for (const { takerOrder, makerOrder } of batch.trades) {
      assert.equal(batch.orders[takerOrder]?.account, ALICE);
      assert.equal(batch.orders[makerOrder]?.side, 'sell');
    }
  });

  it('repeats every signed term of the order, and where the journal holds its signature', () => {
    const exchange = funded();
    const { order } = exchange.place({
      account: BOB,
      side: 'sell',
      size: 10,
      price: 100,
      postOnly: true,
      timeInForce: 'gtd',
      lane: 12,
    });
    const placedAt = exchange.engine.lastSequence;
    exchange.place({ account: ALICE, side: 'buy', size: 4, price: 100 });
    const sealed = exchange.seal()!.batch.orders.find(({ account }) => account === BOB);
    const { clientOrderId: _1, selfTradePrevention: _2, stop: _3, signature: _4, ...signed } = order;
    assert.deepEqual(sealed, { ...signed, placedAt });
  });

  it('cuts between the runs of takers, never inside one', () => {
    const exchange = funded();
    for (let i = 0; i < 3; i++) sweep(exchange, 4);
    assert.equal(exchange.seal(6)?.batch.trades.length, 4);
    assert.equal(exchange.seal(8)?.batch.trades.length, 8);
    assert.equal(exchange.seal(8), undefined);
  });

  it('takes a run that is larger than asked for alone', () => {
    const exchange = funded();
    sweep(exchange, 5);
    trade(exchange);
    assert.equal(exchange.seal(3)?.batch.trades.length, 5);
    assert.equal(exchange.engine.unsealedTrades, 1);
  });

  it('stops at the cap on batches in flight until one is final', () => {
    const exchange = funded({ limits: { batchesInFlightMax: 2 } });
    trade(exchange);
    exchange.seal();
    sweep(exchange, 3);
    trade(exchange);
    assert.equal(exchange.seal(1)?.batch.batchId, 2);
    assert.equal(exchange.engine.canSeal, false);
    assert.equal(exchange.seal(), undefined);
    exchange.settle(1);
    assert.equal(exchange.seal()?.batch.batchId, 3);
  });

  it('keeps sealed batches as they are until they are final', () => {
    const exchange = funded();
    trade(exchange);
    const sealed = exchange.seal()!.batch;
    for (let i = 0; i < 20; i++) trade(exchange);
    assert.deepEqual(exchange.engine.batchesInFlight(), [sealed]);
    exchange.settle(1);
    assert.deepEqual(exchange.engine.batchesInFlight(), []);
  });

  it('carries the epoch in which it was sealed', () => {
    const exchange = funded();
    exchange.apply({ kind: 'epochStarted', epoch: 7 });
    trade(exchange);
    assert.equal(exchange.seal()?.batch.epoch, 7);
  });

  it('tells what waits and since when', () => {
    const exchange = funded();
    assert.deepEqual([exchange.engine.unsealedTrades, exchange.engine.oldestUnsealedTimestampMs], [0, undefined]);
    trade(exchange);
    const first = exchange.nowMs;
    exchange.nowMs += 500;
    trade(exchange);
    assert.deepEqual([exchange.engine.unsealedTrades, exchange.engine.oldestUnsealedTimestampMs], [2, first]);
    exchange.seal();
    assert.deepEqual([exchange.engine.unsealedTrades, exchange.engine.oldestUnsealedTimestampMs], [0, undefined]);
  });
});

describe('settlement of batches', () => {
  it('turns unsettled into settled', () => {
    const exchange = funded();
    trade(exchange);
    exchange.seal();
    const final = only(exchange.settle(1), 'batchFinal');
    assert.deepEqual(final?.settledTrades, [1]);
    assert.deepEqual(exchange.balance(ALICE, QUOTE), {
      available: 989_980,
      locked: 0,
      pendingWithdrawal: 0,
      unsettledIn: 0,
      unsettledOut: 0,
      settled: 989_980,
    });
    assert.deepEqual(exchange.balance(ALICE, BASE).settled, 101_000);
    assert.deepEqual(exchange.balance(FEES, QUOTE).settled, 30);
  });

  it('reverses a skipped trade on both sides, fees included, with its reason', () => {
    const exchange = funded();
    trade(exchange);
    exchange.seal();
    const final = only(exchange.settle(1, [{ trade: 0, reason: INSUFFICIENT }]), 'batchFinal');
    assert.deepEqual(final?.voidedTrades, [{ tradeId: 1, reason: 'insufficient_balance' }]);
    for (const account of [ALICE, BOB]) {
      assert.deepEqual(
        [exchange.balance(account, QUOTE).available, exchange.balance(account, BASE).available],
        [1_000_000, 100_000],
      );
    }
    assert.equal(exchange.balance(FEES, QUOTE).available, 0);
  });

  it('refuses to settle out of order, and a skip of a trade the batch does not have', () => {
    const exchange = funded();
    trade(exchange);
    exchange.seal();
    assert.throws(() => exchange.settle(2), /settled batch 2/);
    const other = funded();
    trade(other);
    other.seal();
    assert.throws(() => other.settle(1, [{ trade: 1, reason: 1 }]), /has 1 trades/);
  });

  it('ignores an event it has applied, and one that leaves a gap', () => {
    const exchange = funded();
    const fact = { kind: 'depositCredited', account: ALICE, asset: QUOTE, amount: 5 as Quanta } as const;
    const last = exchange.engine.lastChainEventSequence;
    for (const eventSequence of [last, last + 2] as (typeof last)[])
      assert.deepEqual(exchange.apply({ ...fact, eventSequence }), []);
    assert.equal(exchange.balance(ALICE, QUOTE).available, 1_000_000);
    assert.equal(exchange.engine.lastChainEventSequence, last);
  });

  it('counts the age of unsettled trades from the oldest that is not final', () => {
    const exchange = funded({ limits: { unsettledAgeMaxMs: 1_000 } });
    trade(exchange);
    exchange.seal();
    exchange.nowMs += 900;
    trade(exchange);
    exchange.nowMs += 200;
    assert.equal(
      rejection(exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1 }).events),
      'market_not_open',
    );
    exchange.settle(1);
    assert.equal(rejection(exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1 }).events), undefined);
  });
});

describe('deficits', () => {
  /** Carol owns no base: she buys 10 lots from Bob (sealed), sells them on to Alice (`sealed` or not), then Bob's trade is void. */
  function chain(
    sealSecond: boolean,
    timeInForce: 'ioc' | 'fok' = 'ioc',
    accounts: readonly (typeof ALICE)[] = [ALICE, BOB, CAROL],
  ): Exchange {
    const exchange = new Exchange();
    for (const account of accounts)
      exchange.deposit(account, account === BOB ? 1_000 : 0, account === BOB ? 0 : 1_000_000);
    exchange.place({ account: BOB, side: 'sell', size: 10, price: 100 });
    exchange.place({ account: CAROL, side: 'buy', size: 10, price: 100 });
    exchange.seal();
    exchange.place({ account: CAROL, side: 'sell', size: 4, price: 110 });
    exchange.place({ account: CAROL, side: 'sell', size: 6, price: 110 });
    exchange.place({ account: ALICE, side: 'buy', size: 10, price: 110, timeInForce });
    if (sealSecond) exchange.seal();
    return exchange;
  }

  it('freezes the proceeds of sealed trades that the vault will skip, until it has', () => {
    for (const timeInForce of ['ioc', 'fok'] as const) {
      const exchange = chain(true, timeInForce);
      exchange.place({ account: ALICE, side: 'sell', size: 1, price: 120 });
      const events = exchange.settle(1, [{ trade: 0, reason: INSUFFICIENT }]);
      assert.deepEqual(
        all(events, 'proceedsFrozen').map(({ account, asset, amount }) => [account, asset, amount]),
        [
          [ALICE, BASE, 900],
          [CAROL, QUOTE, 10_990],
        ],
      );
      assert.deepEqual(exchange.balance(ALICE, BASE), {
        available: 0,
        locked: 1_000,
        pendingWithdrawal: 0,
        unsettledIn: 1_000,
        unsettledOut: 0,
        settled: 0,
      });
      exchange.engine = decodeSnapshot(encodeSnapshot(exchange.engine));
      assert.equal(
        rejection(exchange.place({ account: ALICE, side: 'sell', size: 1, price: 120 }).events),
        'insufficient_balance',
      );
      const skips = [0, 1].map((trade) => ({ trade, reason: INSUFFICIENT }));
      const last = exchange.settle(2, skips);
      assert.deepEqual(
        all(last, 'proceedsFrozen').map(({ amount }) => amount),
        [0, 0],
      );
      assert.deepEqual(
        all(last, 'accountInDeficit').map(({ account }) => account),
        [ALICE],
      );
      assert.equal(exchange.balance(ALICE, BASE).settled, 0);
      assert.equal(exchange.balance(CAROL, QUOTE).available, 1_000_000);
    }
  });

  it('releases in the same order when a snapshot was taken and restored meanwhile', () => {
    const eventsOf = (through: (exchange: Exchange) => void): unknown => {
      // Whose proceeds are frozen first comes last among the accounts.
      const exchange = chain(true, 'ioc', [CAROL, BOB, ALICE]);
      assert.equal(all(exchange.settle(1, [{ trade: 0, reason: INSUFFICIENT }]), 'proceedsFrozen').length, 2);
      through(exchange);
      return exchange.settle(
        2,
        [0, 1].map((trade) => ({ trade, reason: INSUFFICIENT })),
      );
    };
    const straight = eventsOf(() => undefined);
    const restored = eventsOf((exchange) => {
      exchange.engine = decodeSnapshot(encodeSnapshot(exchange.engine));
    });
    assert.deepEqual(restored, straight);
  });

  it('freezes nothing when what is sealed can still be paid, and releases when a deposit makes up for it', () => {
    const covered = chain(true);
    covered.deposit(CAROL, 10, 0);
    assert.equal(only(covered.settle(1, [{ trade: 0, reason: 2 }]), 'proceedsFrozen'), undefined);
    const exchange = chain(true);
    exchange.place({ account: BOB, side: 'sell', size: 1, price: 100 });
    exchange.place({ account: CAROL, side: 'buy', size: 1, price: 100 });
    exchange.seal();
    assert.equal(all(exchange.settle(1, [{ trade: 0, reason: 2 }]), 'proceedsFrozen').length, 2);
    exchange.deposit(CAROL, 10, 0);
    const events = exchange.settle(2);
    assert.deepEqual(
      all(events, 'proceedsFrozen').map(({ amount }) => amount),
      [0, 0],
    );
    assert.equal(exchange.balance(ALICE, BASE).locked, 0);
  });

  it('freezes the proceeds of what an exit took away', () => {
    const exchange = new Exchange();
    exchange.deposit(ALICE, 0, 1_000_000);
    exchange.deposit(BOB, 10, 0);
    exchange.place({ account: BOB, side: 'sell', size: 10, price: 100 });
    exchange.place({ account: ALICE, side: 'buy', size: 10, price: 100 });
    exchange.seal();
    exchange.fact({ kind: 'exitRequested', account: BOB, asset: BASE });
    const events = exchange.fact({ kind: 'exitExecuted', account: BOB, asset: BASE, amount: 1_000 as never });
    assert.deepEqual(
      all(events, 'proceedsFrozen').map(({ account, asset }) => [account, asset]),
      [
        [ALICE, BASE],
        [BOB, QUOTE],
      ],
    );
  });

  it('voids unsealed trades that the account can no longer pay for, newest first', () => {
    const exchange = chain(false);
    const events = exchange.settle(1, [{ trade: 0, reason: INSUFFICIENT }]);
    assert.deepEqual(only(events, 'accountInDeficit'), {
      kind: 'accountInDeficit',
      account: CAROL,
      asset: BASE,
      shortfall: 1_000,
    });
    assert.deepEqual(
      all(events, 'tradeVoided').map(({ tradeId, reason }) => [tradeId, reason]),
      [
        [3, 'insufficient_balance'],
        [2, 'insufficient_balance'],
      ],
    );
    for (const [account, asset, whole] of [
      [CAROL, QUOTE, 1_000_000],
      [CAROL, BASE, 0],
      [ALICE, QUOTE, 1_000_000],
      [ALICE, BASE, 0],
      [BOB, BASE, 100_000],
    ] as const) {
      assert.deepEqual(exchange.balance(account, asset), {
        available: whole,
        locked: 0,
        pendingWithdrawal: 0,
        unsettledIn: 0,
        unsettledOut: 0,
        settled: whole,
      });
    }
    assert.equal(exchange.engine.unsealedTrades, 0);
    assert.equal(exchange.seal(), undefined);
  });

  it('voids no more than the shortfall needs, but a fill-or-kill order only whole', () => {
    for (const [timeInForce, voided] of [
      ['ioc', [3]],
      ['fok', [3, 2]],
    ] as const) {
      const exchange = chain(false, timeInForce);
      exchange.deposit(CAROL, 5, 0);
      const events = exchange.settle(1, [{ trade: 0, reason: INSUFFICIENT }]);
      assert.deepEqual(
        all(events, 'tradeVoided').map(({ tradeId }) => tradeId),
        voided,
      );
      const batch = exchange.seal()?.batch;
      assert.deepEqual(
        batch?.trades.map(({ tradeId }) => tradeId),
        timeInForce === 'ioc' ? [2] : undefined,
      );
    }
  });

  it('still cuts between runs when the first trade of one was voided, through a snapshot too', () => {
    for (const restored of [false, true]) {
      const exchange = chain(true);
      exchange.deposit(BOB, 0, 1_000_000);
      exchange.place({ account: BOB, side: 'sell', size: 1, price: 100 });
      exchange.place({ account: ALICE, side: 'buy', size: 1, price: 100 });
      exchange.settle(1);
      exchange.deposit(CAROL, 5, 0);
      exchange.place({ account: CAROL, side: 'sell', size: 5, price: 110 });
      exchange.place({ account: BOB, side: 'sell', size: 5, price: 111 });
      exchange.place({ account: ALICE, side: 'buy', size: 10, price: 111 });
      const events = exchange.fact({ kind: 'exitExecuted', account: CAROL, asset: BASE, amount: 500 as Quanta });
      assert.deepEqual(
        all(events, 'tradeVoided').map(({ tradeId }) => tradeId),
        [5],
      );
      if (restored) exchange.engine = decodeSnapshot(encodeSnapshot(exchange.engine));
      assert.deepEqual(
        [exchange.seal(1), exchange.seal(1)].map((sealed) => sealed?.batch.trades.map(({ tradeId }) => tradeId)),
        [[4], [6]],
      );
    }
  });

  it('makes room for withdrawals beside the trades that are left, through a snapshot too', () => {
    for (const restored of [false, true]) {
      const exchange = funded();
      for (const account of [BOB, CAROL]) {
        for (let i = 0; i < 45; i++) exchange.place({ account, side: 'sell', size: 1, price: 100 });
        exchange.place({ account: ALICE, side: 'buy', size: 45, price: 100 });
      }
      for (const account of [ALICE, BOB])
        for (let lane = 0; lane < 10; lane++) exchange.withdraw({ account, amount: 100, lane });
      const amount = exchange.balance(CAROL, BASE).settled;
      const events = exchange.fact({ kind: 'exitExecuted', account: CAROL, asset: BASE, amount });
      assert.equal(all(events, 'tradeVoided').length, 45);
      if (restored) exchange.engine = decodeSnapshot(encodeSnapshot(exchange.engine));
      const sealed = exchange.seal();
      assert.deepEqual([sealed?.batch.trades.length, sealed?.batch.withdrawals.length], [45, 20]);
    }
  });

  it('cancels the account’s orders and pending withdrawals first', () => {
    const exchange = chain(true);
    exchange.place({ account: CAROL, side: 'buy', size: 1, price: 1 });
    exchange.withdraw({ account: CAROL, amount: 100 });
    const events = exchange.settle(1, [{ trade: 0, reason: INSUFFICIENT }]);
    assert.match(doneOf(events).join(), /account_in_deficit/);
    assert.equal(only(events, 'withdrawalDone')?.reason, 'account_in_deficit');
    assert.deepEqual(exchange.engine.liveOrders(CAROL), []);
  });

  it('blocks trading and withdrawing until the vault’s own skip makes the account whole', () => {
    const exchange = chain(true);
    exchange.settle(1, [{ trade: 0, reason: INSUFFICIENT }]);
    assert.equal(exchange.balance(CAROL, BASE).available, -1_000);
    assert.equal(
      rejection(exchange.place({ account: CAROL, side: 'buy', size: 1, price: 1 }).events),
      'account_in_deficit',
    );
    exchange.settle(2, [
      { trade: 0, reason: INSUFFICIENT },
      { trade: 1, reason: INSUFFICIENT },
    ]);
    assert.equal(exchange.balance(CAROL, BASE).available, 0);
    assert.equal(rejection(exchange.place({ account: CAROL, side: 'buy', size: 1, price: 1 }).events), undefined);
  });

  it('a deposit can make it whole as well', () => {
    const exchange = chain(true);
    exchange.settle(1, [{ trade: 0, reason: INSUFFICIENT }]);
    exchange.deposit(CAROL, 10, 0);
    assert.equal(rejection(exchange.place({ account: CAROL, side: 'buy', size: 1, price: 1 }).events), undefined);
  });

  it('follows a shortfall to the counterparty of a voided trade', () => {
    const exchange = chain(false);
    exchange.deposit(BOB, 0, 1_000_000);
    // Alice has sold on to Bob what Carol sold to her.
    exchange.place({ account: ALICE, side: 'sell', size: 10, price: 50 });
    exchange.place({ account: BOB, side: 'buy', size: 10, price: 50, timeInForce: 'ioc' });
    const events = exchange.settle(1, [{ trade: 0, reason: INSUFFICIENT }]);
    assert.deepEqual(
      all(events, 'tradeVoided').map(({ tradeId }) => tradeId),
      [3, 2, 4],
    );
    assert.deepEqual(exchange.balance(ALICE, BASE).available, 0);
    assert.deepEqual(exchange.balance(BOB, BASE).available, 100_000);
  });
});
