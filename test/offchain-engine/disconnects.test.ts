import assert from 'node:assert/strict';
import type { EngineEvent } from '../../src/domain/events.ts';
import type { Address, Lots } from '../../src/domain/units.ts';
import { ARMED_PER_GATEWAY_MAX, GATEWAYS_MAX, LEASE_MAX_MS } from '../../src/offchain-engine/disconnects.ts';
import { decodeSnapshot, encodeSnapshot } from '../../src/offchain-engine/snapshot.ts';
import { ALICE, all, BOB, CAROL, Exchange, only, QUOTE, rejection } from './support/exchange.ts';

function funded(): Exchange {
  const exchange = new Exchange();
  for (const account of [ALICE, BOB, CAROL]) exchange.deposit(account, 1_000, 1_000_000);
  for (const account of [ALICE, BOB, CAROL]) exchange.place({ account, side: 'buy', size: 1, price: 10 });
  return exchange;
}

const arm = (exchange: Exchange, account: Address, gateway = 'g1', leaseMs = 10_000): readonly EngineEvent[] =>
  exchange.apply({ kind: 'armDisconnect', gateway, account, leaseMs });

const ended = (events: readonly EngineEvent[]): string[] =>
  all(events, 'orderDone').map(({ account, reason }) => `${account.slice(2, 4)} ${reason}`);

describe('cancel on disconnect', () => {
  it('ends the orders of a dead gateway’s accounts when its lease runs out, and no others', () => {
    const exchange = funded();
    arm(exchange, BOB);
    arm(exchange, ALICE);
    arm(exchange, CAROL, 'g2', 60_000);
    assert.equal(exchange.engine.nextDeadlineMs, exchange.nowMs + 10_000);
    exchange.nowMs += 9_999;
    assert.deepEqual(ended(exchange.apply({ kind: 'tick' })), []);
    exchange.nowMs += 1;
    const events = exchange.apply({ kind: 'tick' });
    assert.deepEqual(ended(events), ['a1 disconnected', 'b2 disconnected']);
    assert.deepEqual(only(events, 'gatewayLease'), { kind: 'gatewayLease', gateway: 'g1', status: 'lapsed' });
    assert.equal(exchange.engine.liveOrders(CAROL).length, 1);
  });

  it('holds as long as the gateway renews, and tells a gateway that came too late', () => {
    const exchange = funded();
    arm(exchange, ALICE);
    for (let beat = 0; beat < 5; beat++) {
      exchange.nowMs += 9_000;
      const events = exchange.apply({ kind: 'renewGateway', gateway: 'g1', leaseMs: 10_000 });
      assert.equal(only(events, 'gatewayLease')?.status, 'held');
    }
    assert.equal(exchange.engine.liveOrders(ALICE).length, 1);
    exchange.nowMs += 10_000;
    const late = exchange.apply({ kind: 'renewGateway', gateway: 'g1', leaseMs: 10_000 });
    assert.deepEqual(
      all(late, 'gatewayLease').map(({ status }) => status),
      ['lapsed', 'lapsed'],
    );
    assert.deepEqual(ended(late), ['a1 disconnected']);
  });

  it('ends the orders at once when the connection is lost, and not when it was switched off', () => {
    const exchange = funded();
    arm(exchange, ALICE);
    arm(exchange, BOB);
    const off = exchange.apply({ kind: 'disarmDisconnect', gateway: 'g1', account: ALICE, cancel: false });
    assert.deepEqual(ended(off), []);
    const lost = exchange.apply({ kind: 'disarmDisconnect', gateway: 'g1', account: BOB, cancel: true });
    assert.deepEqual(ended(lost), ['b2 disconnected']);
    exchange.nowMs += 20_000;
    assert.deepEqual(ended(exchange.apply({ kind: 'tick' })), []);
    assert.equal(exchange.engine.core.gateways.size, 0);
  });

  it('is kept by a snapshot', () => {
    const exchange = funded();
    arm(exchange, BOB);
    arm(exchange, ALICE);
    exchange.engine = decodeSnapshot(encodeSnapshot(exchange.engine));
    exchange.nowMs += 10_000;
    assert.deepEqual(ended(exchange.apply({ kind: 'tick' })), ['a1 disconnected', 'b2 disconnected']);
  });

  it('is bounded: in gateways, in accounts of each, and in time', () => {
    const exchange = funded();
    arm(exchange, ALICE, 'g1', 1e12);
    assert.equal(exchange.engine.nextDeadlineMs, exchange.nowMs + LEASE_MAX_MS);
    const address = (number: number): Address => `0x${number.toString(16).padStart(40, '0')}`;
    for (let number = 1; number < ARMED_PER_GATEWAY_MAX; number++) arm(exchange, address(number));
    assert.equal(rejection(arm(exchange, BOB)), 'too_many_sessions');
    assert.equal(rejection(arm(exchange, ALICE)), undefined);
    for (let number = 2; number <= GATEWAYS_MAX; number++) arm(exchange, BOB, `g${number}`);
    assert.equal(rejection(arm(exchange, BOB, 'one more')), 'too_many_sessions');
  });
});

describe('reducing an order', () => {
  const reduce = (exchange: Exchange, order: { account: Address; lane: number; orderSequence: number }, left: number) =>
    exchange.apply({
      kind: 'reduceOrder',
      order: { account: order.account, lane: order.lane, orderSequence: order.orderSequence },
      remaining: left as Lots,
    });

  it('frees what it no longer needs and keeps the place in the queue', () => {
    const exchange = new Exchange();
    exchange.deposit(ALICE, 0, 1_000_000);
    exchange.deposit(CAROL, 0, 1_000_000);
    exchange.deposit(BOB, 100, 0);
    const { order } = exchange.place({ account: ALICE, side: 'buy', size: 10, price: 50 });
    exchange.place({ account: CAROL, side: 'buy', size: 10, price: 50 });
    const events = reduce(exchange, order, 4);
    assert.equal(only(events, 'orderReduced')?.remaining, 4);
    assert.deepEqual(only(events, 'levelChanged')?.size, 14);
    assert.equal(exchange.balance(ALICE, QUOTE).locked, 4 * 500 + 10);
    const [made] = all(exchange.place({ account: BOB, side: 'sell', size: 5, price: 50 }).events, 'trade');
    assert.deepEqual([made?.maker.account, made?.size], [ALICE, 4]);
    assert.equal(exchange.balance(ALICE, QUOTE).locked, 0);
  });

  it('also shrinks a stop order that waits', () => {
    const exchange = funded();
    const stop = { direction: 'at_or_above', triggerPriceTicks: 90 as never } as const;
    const { order } = exchange.place({ account: ALICE, side: 'sell', size: 10, price: 80, stop });
    reduce(exchange, order, 3);
    assert.equal(exchange.balance(ALICE, 0).locked, 300);
    assert.equal(exchange.engine.liveOrders(ALICE).find(({ digest }) => digest === order.digest)?.remaining, 3);
  });

  it('refuses to grow, to end or to reduce what is not live', () => {
    const exchange = funded();
    const { order } = exchange.place({ account: ALICE, side: 'buy', size: 10, price: 50 });
    for (const left of [0, 10, 11, 1.5, -1]) assert.equal(rejection(reduce(exchange, order, left)), 'not_smaller');
    assert.equal(rejection(reduce(exchange, { ...order, account: BOB }, 3)), 'order_not_found');
    exchange.cancel(order);
    assert.equal(rejection(reduce(exchange, order, 3)), 'order_not_found');
  });
});
