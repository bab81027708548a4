import assert from 'node:assert/strict';
import type { EngineEvent } from '../../src/domain/events.ts';
import type { StopTrigger } from '../../src/domain/orders.ts';
import type { Address, PriceTicks, TimestampMs, TimestampSeconds } from '../../src/domain/units.ts';
import { decodeSnapshot, encodeSnapshot } from '../../src/offchain-engine/snapshot.ts';
import {
  ALICE,
  all,
  BASE,
  BOB,
  CAROL,
  doneOf,
  Exchange,
  only,
  QUOTE,
  rejection,
  START_MS,
  tradesOf,
} from './support/exchange.ts';

const SECONDS = START_MS / 1000;
const KEY = CAROL;

function funded(): Exchange {
  const exchange = new Exchange();
  exchange.listMarket(1);
  exchange.deposit(ALICE, 10_000, 100_000_000);
  exchange.deposit(BOB, 10_000, 100_000_000);
  return exchange;
}

function reasons(events: readonly EngineEvent[]): (string | undefined)[] {
  return all(events, 'orderDone').map(({ reason }) => reason);
}

function assertNothingLocked(exchange: Exchange, account: Address): void {
  assert.deepEqual([exchange.balance(account, BASE).locked, exchange.balance(account, QUOTE).locked], [0, 0]);
}

describe('the end of orders', () => {
  it('cancels all orders of an account, oldest first, in one market or in all', () => {
    const exchange = funded();
    const first = exchange.place({ account: ALICE, side: 'buy', size: 1, price: 10, market: 1 }).order;
    const second = exchange.place({ account: ALICE, side: 'sell', size: 1, price: 90 }).order;
    const third = exchange.place({ account: ALICE, side: 'buy', size: 1, price: 5, market: 1 }).order;
    exchange.place({ account: BOB, side: 'buy', size: 1, price: 5 });
    const one = exchange.apply({ kind: 'cancelAllOrders', account: ALICE, market: 0 });
    assert.deepEqual(
      all(one, 'orderDone').map(({ digest }) => digest),
      [second.digest],
    );
    const rest = exchange.apply({ kind: 'cancelAllOrders', account: ALICE, market: undefined });
    assert.deepEqual(
      all(rest, 'orderDone').map(({ digest }) => digest),
      [first.digest, third.digest],
    );
    assertNothingLocked(exchange, ALICE);
    assert.equal(exchange.engine.liveOrders(BOB).length, 1);
  });

  it('expires an order at its expiry, before anything can match it', () => {
    const exchange = funded();
    exchange.place({ account: ALICE, side: 'sell', size: 1, price: 100, expiry: (SECONDS + 10) as TimestampSeconds });
    exchange.nowMs = START_MS + 10_000;
    const { events } = exchange.place({ account: BOB, side: 'buy', size: 1, price: 100 });
    assert.deepEqual(
      all(events, 'orderDone').map(({ status, reason }) => [status, reason]),
      [['expired', 'expired']],
    );
    assert.deepEqual(tradesOf(events), []);
    assertNothingLocked(exchange, ALICE);
  });

  it('names the orders whose time is up, also when the same command places an order', () => {
    const exchange = funded();
    const expiry = (SECONDS + 10) as TimestampSeconds;
    const expiring = exchange.place({ account: ALICE, side: 'buy', size: 1, price: 5, expiry }).order;
    const switched = exchange.place({ account: BOB, side: 'buy', size: 1, price: 6 }).order;
    exchange.apply({ kind: 'cancelAfter', account: BOB, deadlineMs: (START_MS + 10_000) as TimestampMs });
    exchange.nowMs += 10_000;
    const restored = decodeSnapshot(encodeSnapshot(exchange.engine));
    const { order, events } = exchange.place({ account: ALICE, side: 'sell', size: 2, price: 7 });
    assert.deepEqual(
      all(events, 'orderDone').map(({ digest, account, lane, reason }) => [digest, account, lane, reason]),
      [
        [expiring.digest, ALICE, expiring.lane, 'expired'],
        [switched.digest, BOB, switched.lane, 'cancel_after'],
      ],
    );
    assert.equal(only(events, 'orderAccepted')?.order.digest, order.digest);
    assert.deepEqual(restored.apply(exchange.journal.at(-1)!).events, events);
  });

  it('says when the next tick is due, and expires in order of expiry', () => {
    const exchange = funded();
    assert.equal(exchange.engine.nextDeadlineMs, undefined);
    const expiries = [500, 20, 7_000, 21, 2_000_000];
    const orders = expiries.map(
      (after) =>
        exchange.place({
          account: ALICE,
          side: 'buy',
          size: 1,
          price: 1,
          expiry: (SECONDS + after) as TimestampSeconds,
        }).order,
    );
    assert.equal(exchange.engine.nextDeadlineMs, START_MS + 20_000);
    exchange.cancel(orders[1]!);
    assert.equal(exchange.engine.nextDeadlineMs, START_MS + 21_000);
    exchange.nowMs = START_MS + 7_000_000;
    assert.deepEqual(
      all(exchange.apply({ kind: 'tick' }), 'orderDone').map(({ digest }) => digest),
      [orders[3]!.digest, orders[0]!.digest, orders[2]!.digest],
    );
    assert.equal(exchange.engine.nextDeadlineMs, START_MS + 2_000_000_000);
  });

  it('fires the dead man’s switch unless it is renewed', () => {
    const exchange = funded();
    exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1 });
    exchange.apply({ kind: 'cancelAfter', account: ALICE, deadlineMs: (START_MS + 100) as TimestampMs });
    assert.equal(exchange.engine.nextDeadlineMs, START_MS + 100);
    exchange.apply({ kind: 'cancelAfter', account: ALICE, deadlineMs: (START_MS + 200) as TimestampMs });
    exchange.nowMs += 150;
    assert.deepEqual(exchange.apply({ kind: 'tick' }), []);
    exchange.nowMs += 50;
    assert.deepEqual(reasons(exchange.apply({ kind: 'tick' })), ['cancel_after']);
    assert.notEqual(exchange.engine.nextDeadlineMs, START_MS + 200);
  });

  it('keeps the dead man’s switch through a snapshot', () => {
    const exchange = funded();
    exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1 });
    exchange.apply({ kind: 'cancelAfter', account: ALICE, deadlineMs: (START_MS + 100) as TimestampMs });
    exchange.engine = decodeSnapshot(encodeSnapshot(exchange.engine));
    exchange.nowMs += 100;
    assert.deepEqual(reasons(exchange.apply({ kind: 'tick' })), ['cancel_after']);
  });

  it('switches the dead man’s switch off', () => {
    const exchange = funded();
    exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1 });
    exchange.apply({ kind: 'cancelAfter', account: ALICE, deadlineMs: (START_MS + 100) as TimestampMs });
    exchange.apply({ kind: 'cancelAfter', account: ALICE, deadlineMs: undefined });
    exchange.nowMs += 1_000;
    assert.deepEqual(exchange.apply({ kind: 'tick' }), []);
  });

  it('takes cancels whatever state the market is in', () => {
    const exchange = funded();
    const { order } = exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1 });
    const [changed] = exchange.apply({ kind: 'setMarketState', market: 0, state: 'halted' });
    assert.deepEqual(changed, { kind: 'marketStateChanged', market: 0, state: 'halted', reason: 'operator' });
    assert.deepEqual(reasons(exchange.cancel(order)), ['requested']);
    exchange.apply({ kind: 'setMarketState', market: 0, state: 'open' });
    assert.equal(rejection(exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1 }).events), undefined);
  });
});

describe('facts from the chain that end orders', () => {
  it('cancels what a cancellation on chain covers, and nothing else', () => {
    const exchange = funded();
    const sequence = exchange.sequenceNow();
    exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1, orderSequence: sequence - 1 });
    exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1, orderSequence: sequence });
    const events = exchange.fact({ kind: 'ordersCancelledOnChain', account: ALICE, beforeSequence: sequence });
    assert.deepEqual(reasons(events), ['cancelled_on_chain']);
    assert.equal(exchange.engine.liveOrders(ALICE).length, 1);
    exchange.fact({ kind: 'ordersCancelledOnChain', account: ALICE, beforeSequence: sequence - 500 });
    assert.equal(
      rejection(exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1, orderSequence: sequence - 1 }).events),
      'cancelled_on_chain',
    );
  });

  it('stops matching in an asset when an exit is asked for, until it is cancelled or done', () => {
    const exchange = funded();
    exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1 });
    exchange.withdraw({ account: ALICE, amount: 100 });
    const events = exchange.fact({ kind: 'exitRequested', account: ALICE, asset: QUOTE });
    assert.deepEqual(reasons(events), ['exit_requested']);
    assert.equal(only(events, 'withdrawalDone')?.reason, 'exit_requested');
    assert.equal(only(events, 'exitChanged')?.status, 'requested');
    assertNothingLocked(exchange, ALICE);
    exchange.fact({ kind: 'exitCancelled', account: ALICE, asset: QUOTE });
    assert.equal(rejection(exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1 }).events), undefined);
  });

  it('takes an exit off the books', () => {
    const exchange = funded();
    exchange.fact({ kind: 'exitRequested', account: ALICE, asset: QUOTE });
    const events = exchange.fact({ kind: 'exitExecuted', account: ALICE, asset: QUOTE, amount: 100_000_000 as never });
    assert.deepEqual(only(events, 'exitChanged'), {
      kind: 'exitChanged',
      account: ALICE,
      asset: QUOTE,
      status: 'executed',
      amount: 100_000_000,
    });
    assert.deepEqual(exchange.balance(ALICE, QUOTE), {
      available: 0,
      locked: 0,
      pendingWithdrawal: 0,
      unsettledIn: 0,
      unsettledOut: 0,
      settled: 0,
    });
    exchange.deposit(ALICE, 0, 1_000);
    assert.equal(rejection(exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1 }).events), undefined);
  });

  it('cancels every order of a delisted market, for good', () => {
    const exchange = funded();
    exchange.place({ account: BOB, side: 'buy', size: 1, price: 1 });
    exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1, market: 1 });
    exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1 });
    const events = exchange.fact({ kind: 'marketDelisted', market: 0 });
    assert.deepEqual(
      all(events, 'orderDone').map(({ account, reason }) => [account, reason]),
      [
        [BOB, 'market_delisted'],
        [ALICE, 'market_delisted'],
      ],
    );
    assert.deepEqual(exchange.apply({ kind: 'setMarketState', market: 0, state: 'open' }), []);
    assert.equal(exchange.engine.liveOrders(ALICE).length, 1);
  });

  describe('session keys', () => {
    function withKey(validUntil: number, marketMask = 1n << 255n): Exchange {
      const exchange = funded();
      exchange.fact({
        kind: 'sessionKeyRegistered',
        account: ALICE,
        key: KEY,
        validUntil: validUntil as TimestampSeconds,
        marketMask,
      });
      return exchange;
    }
    const SIGNED = { account: ALICE, side: 'buy', size: 1, price: 1, signer: KEY } as const;

    it('sign orders for their markets', () => {
      const exchange = withKey(SECONDS + 60, 2n);
      assert.equal(rejection(exchange.place({ ...SIGNED, market: 1 }).events), undefined);
      assert.equal(rejection(exchange.place(SIGNED).events), 'session_key_not_valid');
      assert.equal(rejection(exchange.place({ ...SIGNED, account: BOB, market: 1 }).events), 'session_key_not_valid');
    });

    it('take their orders along when they end, by time', () => {
      const exchange = withKey(SECONDS + 60);
      exchange.place(SIGNED);
      exchange.place({ ...SIGNED, signer: ALICE });
      assert.equal(exchange.engine.nextDeadlineMs, START_MS + 60_000);
      exchange.nowMs += 60_000;
      assert.deepEqual(reasons(exchange.apply({ kind: 'tick' })), ['session_key_ended']);
    });

    it('take their orders along when they are revoked, at once', () => {
      const exchange = withKey(SECONDS + 60);
      exchange.place(SIGNED);
      assert.deepEqual(
        reasons(
          exchange.fact({
            kind: 'sessionKeyRevoked',
            account: ALICE,
            key: KEY,
            validUntil: (SECONDS + 30) as TimestampSeconds,
          }),
        ),
        ['session_key_ended'],
      );
      assert.equal(rejection(exchange.place(SIGNED).events), 'session_key_not_valid');
    });

    it('can be registered again for longer, shorter, or fewer markets', () => {
      const exchange = withKey(SECONDS + 60);
      exchange.place(SIGNED);
      exchange.place({ ...SIGNED, market: 1 });
      const again = (validUntil: number, marketMask: bigint): readonly EngineEvent[] =>
        exchange.fact({
          kind: 'sessionKeyRegistered',
          account: ALICE,
          key: KEY,
          validUntil: validUntil as TimestampSeconds,
          marketMask,
        });
      again(SECONDS + 90, 3n);
      exchange.nowMs += 60_000;
      assert.deepEqual(exchange.apply({ kind: 'tick' }), []);
      assert.deepEqual(reasons(again(SECONDS + 70, 1n)), ['session_key_ended']);
      assert.equal(exchange.engine.nextDeadlineMs, START_MS + 70_000);
      exchange.nowMs += 10_000;
      assert.deepEqual(reasons(exchange.apply({ kind: 'tick' })), ['session_key_ended']);
    });

    it('are remembered up to a bound: the one that ends first gives way', () => {
      const exchange = withKey(SECONDS + 60);
      exchange.place(SIGNED);
      let events: readonly EngineEvent[] = [];
      for (let i = 1; i <= 64; i++) {
        events = exchange.fact({
          kind: 'sessionKeyRegistered',
          account: ALICE,
          key: `0x${i.toString(16).padStart(40, '0')}`,
          validUntil: (SECONDS + 100 + i) as TimestampSeconds,
          marketMask: 1n,
        });
      }
      assert.deepEqual(reasons(events), ['session_key_ended']);
    });
  });
});

describe('stop orders', () => {
  function stop(direction: StopTrigger['direction'], triggerPriceTicks: number): { stop: StopTrigger } {
    return { stop: { direction, triggerPriceTicks: triggerPriceTicks as PriceTicks } };
  }
  function trade(exchange: Exchange, price: number): readonly EngineEvent[] {
    exchange.place({ account: ALICE, side: 'sell', size: 1, price });
    return exchange.place({ account: BOB, side: 'buy', size: 1, price, timeInForce: 'ioc' }).events;
  }

  it('rest unseen with their funds locked until a trade reaches the trigger', () => {
    const exchange = funded();
    const { order } = exchange.place({ account: BOB, side: 'buy', size: 5, price: 120, ...stop('at_or_above', 110) });
    assert.deepEqual(exchange.book(), { buy: [], sell: [] });
    assert.equal(exchange.balance(BOB, QUOTE).locked, 6_000 + 30);
    assert.deepEqual(all(trade(exchange, 109), 'orderTriggered'), []);
    const events = trade(exchange, 110);
    assert.deepEqual(only(events, 'orderTriggered'), { kind: 'orderTriggered', account: BOB, digest: order.digest });
    assert.deepEqual(exchange.book(), { buy: [[120, 5]], sell: [] });
  });

  it('trigger downwards, and trade when they do', () => {
    const exchange = funded();
    exchange.place({ account: ALICE, side: 'buy', size: 3, price: 80 });
    exchange.place({ account: BOB, side: 'sell', size: 5, price: 80, timeInForce: 'ioc', ...stop('at_or_below', 90) });
    const events = trade(exchange, 85);
    assert.deepEqual(tradesOf(events).length, 2);
    assert.deepEqual(doneOf(events).at(-1)?.split(' ')[1], 'ioc_remainder');
    assertNothingLocked(exchange, BOB);
  });

  it('set each other off, oldest first, within one command', () => {
    const exchange = funded();
    exchange.place({ account: ALICE, side: 'sell', size: 1, price: 111 });
    exchange.place({ account: ALICE, side: 'sell', size: 1, price: 112 });
    const later = exchange.place({ account: BOB, side: 'buy', size: 1, price: 112, ...stop('at_or_above', 111) }).order;
    const first = exchange.place({ account: BOB, side: 'buy', size: 1, price: 111, ...stop('at_or_above', 110) }).order;
    const events = trade(exchange, 110);
    assert.deepEqual(
      all(events, 'orderTriggered').map(({ digest }) => digest),
      [first.digest, later.digest],
    );
    assert.deepEqual(
      all(events, 'trade').map(({ price }) => price),
      [110, 111, 112],
    );
  });

  it('are triggered by any price of a sweep', () => {
    const exchange = funded();
    exchange.place({ account: ALICE, side: 'sell', size: 1, price: 100 });
    exchange.place({ account: ALICE, side: 'sell', size: 1, price: 120 });
    exchange.place({ account: BOB, side: 'sell', size: 1, price: 90, ...stop('at_or_below', 101) });
    const { events } = exchange.place({ account: BOB, side: 'buy', size: 2, price: 120 });
    assert.equal(all(events, 'orderTriggered').length, 1);
  });

  it('can be cancelled and replaced while they wait', () => {
    const exchange = funded();
    const { order } = exchange.place({ account: BOB, side: 'buy', size: 5, price: 120, ...stop('at_or_above', 110) });
    const events = exchange.apply({
      kind: 'replaceOrder',
      replaced: order,
      order: exchange.order({ account: BOB, side: 'buy', size: 2, price: 120, ...stop('at_or_above', 115) }),
    });
    assert.deepEqual(reasons(events), ['replaced']);
    assert.deepEqual(all(trade(exchange, 110), 'orderTriggered'), []);
    exchange.apply({ kind: 'cancelAllOrders', account: BOB, market: undefined });
    assert.deepEqual(all(trade(exchange, 200), 'orderTriggered'), []);
    assertNothingLocked(exchange, BOB);
  });

  it('that are fill-or-kill are killed when they cannot fill', () => {
    const exchange = funded();
    exchange.place({ account: BOB, side: 'buy', size: 5, price: 120, timeInForce: 'fok', ...stop('at_or_above', 110) });
    assert.match(doneOf(trade(exchange, 110)).at(-1)!, /ioc_remainder/);
    assertNothingLocked(exchange, BOB);
  });

  it('wait for the next command beyond the bound per command, and ask for a tick', () => {
    const exchange = new Exchange({ limits: { openOrdersPerAccountMax: 1_000 } });
    exchange.deposit(ALICE, 10_000, 100_000_000);
    exchange.deposit(BOB, 10_000, 100_000_000);
    for (let i = 0; i < 130; i++)
      exchange.place({ account: BOB, side: 'buy', size: 1, price: 50, ...stop('at_or_above', 110) });
    assert.equal(all(trade(exchange, 110), 'orderTriggered').length, 100);
    assert.equal(exchange.engine.nextDeadlineMs, exchange.nowMs);
    assert.equal(all(exchange.apply({ kind: 'tick' }), 'orderTriggered').length, 30);
  });

  it('wait while the market takes no orders, without asking for a tick', () => {
    const exchange = new Exchange({ limits: { openOrdersPerAccountMax: 1_000, unsettledAgeMaxMs: 1_000 } });
    exchange.deposit(ALICE, 10_000, 100_000_000);
    exchange.deposit(BOB, 10_000, 100_000_000);
    for (let i = 0; i < 130; i++)
      exchange.place({ account: BOB, side: 'buy', size: 1, price: 50, ...stop('at_or_above', 110) });
    trade(exchange, 110);
    exchange.nowMs += 1_001;
    assert.deepEqual(exchange.apply({ kind: 'tick' }), []);
    assert.notEqual(exchange.engine.nextDeadlineMs, exchange.nowMs);
    exchange.seal();
    assert.equal(all(exchange.settle(1), 'orderTriggered').length, 30);
  });
});
