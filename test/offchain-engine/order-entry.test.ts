import assert from 'node:assert/strict';
import { REJECT_REASONS } from '../../src/domain/reasons.ts';
import type { Hash, PriceTicks, TimestampSeconds } from '../../src/domain/units.ts';
import { SEQUENCE_AHEAD_MAX_MS } from '../../src/offchain-engine/state.ts';
import {
  ALICE,
  BASE,
  BOB,
  CAROL,
  DEPLOYED_MS,
  digest,
  Exchange,
  keyOf,
  type OrderTerms,
  only,
  QUOTE,
  rejection,
  START_MS,
} from './support/exchange.ts';

const BUY: OrderTerms = { account: ALICE, side: 'buy', size: 10, price: 100 };
const SECONDS = START_MS / 1000;
const KEY = CAROL;

function funded(options: ConstructorParameters<typeof Exchange>[0] = {}): Exchange {
  const exchange = new Exchange(options);
  exchange.deposit(ALICE, 1_000, 1_000_000);
  exchange.deposit(BOB, 1_000, 1_000_000);
  return exchange;
}

function trade(exchange: Exchange, price: number): void {
  exchange.place({ account: BOB, side: 'sell', size: 1, price });
  exchange.place({ account: ALICE, side: 'buy', size: 1, price, timeInForce: 'ioc' });
}

type Case = {
  reason: keyof typeof REJECT_REASONS;
  why: string;
  terms: Partial<OrderTerms>;
  options?: ConstructorParameters<typeof Exchange>[0];
  before?: (exchange: Exchange) => void;
};

const CASES: Case[] = [
  { reason: 'unknown_market', why: 'of a market that is not listed', terms: { market: 7 } },
  {
    reason: 'market_not_open',
    why: 'while the market is halted',
    terms: {},
    before: (x) => x.apply({ kind: 'setMarketState', market: 0, state: 'halted' }),
  },
  {
    reason: 'market_not_open',
    why: 'while the market is cancel-only',
    terms: {},
    before: (x) => x.apply({ kind: 'setMarketState', market: 0, state: 'cancel_only' }),
  },
  {
    reason: 'market_not_open',
    why: 'of a delisted market',
    terms: {},
    before: (x) => x.fact({ kind: 'marketDelisted', market: 0 }),
  },
  {
    reason: 'market_not_open',
    why: 'while as many batches are in flight as may be',
    terms: {},
    options: { limits: { batchesInFlightMax: 1 } },
    before: (x) => {
      trade(x, 100);
      x.seal();
    },
  },
  {
    reason: 'market_not_open',
    why: 'while a trade has been unsettled for too long',
    terms: {},
    options: { limits: { unsettledAgeMaxMs: 5_000 } },
    before: (x) => {
      trade(x, 100);
      x.nowMs += 5_001;
    },
  },
  { reason: 'size_zero', why: 'of no size', terms: { size: 0 } },
  { reason: 'size_zero', why: 'of a fractional size', terms: { size: 1.5 } },
  { reason: 'size_zero', why: 'whose size is not a number', terms: { size: Number.NaN } },
  { reason: 'size_too_large', why: 'above the largest order', terms: { size: 1_000_001 } },
  { reason: 'price_zero', why: 'without a price', terms: { price: 0 } },
  { reason: 'price_zero', why: 'with a negative price', terms: { price: -5 } },
  { reason: 'price_too_high', why: 'above the highest price', terms: { price: 1_000_001 } },
  {
    reason: 'below_min_notional',
    why: 'below the smallest notional',
    terms: {},
    options: { parameters: { minNotional: 10_001 as never } },
  },
  {
    reason: 'outside_price_band',
    why: 'too far from the last trade',
    terms: { price: 111 },
    options: { parameters: { priceBandPpm: 100_000 } },
    before: (x) => trade(x, 100),
  },
  { reason: 'expired', why: 'at its expiry', terms: { expiry: SECONDS as TimestampSeconds } },
  {
    reason: 'expiry_too_far',
    why: 'that would live for more than 30 days',
    terms: { expiry: (SECONDS + 30 * 86_400 + 1) as TimestampSeconds },
  },
  {
    reason: 'expiry_too_far',
    why: 'that would live for more than 30 days from its own sequence',
    terms: { expiry: (SECONDS + 30 * 86_400) as TimestampSeconds, orderSequence: START_MS - DEPLOYED_MS - 1_000 },
  },
  { reason: 'max_fee_too_low', why: 'whose maximum fee is below the fee', terms: { maxFeePpm: 1_999 as never } },
  { reason: 'max_fee_too_high', why: 'whose maximum fee is above the cap', terms: { maxFeePpm: 50_001 as never } },
  {
    reason: 'sequence_too_old',
    why: 'with a sequence older than new orders may be',
    terms: { orderSequence: START_MS - DEPLOYED_MS - 600_001 },
  },
  { reason: 'sequence_too_old', why: 'with sequence zero', terms: { orderSequence: 0 } },
  {
    reason: 'sequence_in_future',
    why: 'with a sequence further ahead than it may be',
    terms: { orderSequence: START_MS - DEPLOYED_MS + SEQUENCE_AHEAD_MAX_MS + 1 },
  },
  {
    reason: 'lane_busy',
    why: 'in a lane with a live order',
    terms: { lane: 9, orderSequence: START_MS - DEPLOYED_MS + 1 },
    before: (x) => x.place({ ...BUY, lane: 9 }),
  },
  {
    reason: 'nonce_reused',
    why: 'with the nonce of another order',
    terms: { lane: 9 },
    before: (x) => x.place({ ...BUY, lane: 9 }),
  },
  {
    reason: 'nonce_reused',
    why: 'with the nonce of an order that is done',
    terms: { lane: 9 },
    before: (x) => x.cancel(x.place({ ...BUY, lane: 9 }).order),
  },
  {
    reason: 'duplicate_order',
    why: 'received before',
    terms: { lane: 9, digest: digest(77) },
    before: (x) => x.place({ ...BUY, lane: 9, digest: digest(77) }),
  },
  {
    reason: 'nonce_superseded',
    why: 'below the highest sequence of its lane',
    terms: { lane: 9, orderSequence: START_MS - DEPLOYED_MS - 1 },
    before: (x) => x.cancel(x.place({ ...BUY, lane: 9 }).order),
  },
  {
    reason: 'cancelled_on_chain',
    why: 'below the account’s cancellation stamp',
    terms: {},
    before: (x) => x.fact({ kind: 'ordersCancelledOnChain', account: ALICE, beforeSequence: x.sequenceNow() + 1 }),
  },
  {
    reason: 'insufficient_balance',
    why: 'that the balance and the maximum fee do not cover',
    terms: { size: 1_000, price: 100 },
  },
  { reason: 'insufficient_balance', why: 'of an account that never deposited', terms: { account: CAROL } },
  {
    reason: 'exit_pending',
    why: 'in an asset that the account exits with',
    terms: {},
    before: (x) => x.fact({ kind: 'exitRequested', account: ALICE, asset: QUOTE }),
  },
  {
    reason: 'exit_pending',
    why: 'that would receive an asset that the account exits with',
    terms: {},
    before: (x) => x.fact({ kind: 'exitRequested', account: ALICE, asset: BASE }),
  },
  {
    reason: 'account_in_deficit',
    why: 'of an account in deficit',
    terms: { side: 'sell' },
    before: (x) => x.fact({ kind: 'exitExecuted', account: ALICE, asset: QUOTE, amount: 1_000_001 as never }),
  },
  {
    reason: 'too_many_open_orders',
    why: 'above the limit of open orders',
    terms: {},
    options: { limits: { openOrdersPerAccountMax: 1 } },
    before: (x) => x.place(BUY),
  },
  { reason: 'session_key_not_valid', why: 'signed by an unknown key', terms: { signer: KEY } },
  {
    reason: 'session_key_not_valid',
    why: 'signed by a key for another market',
    terms: { signer: KEY },
    before: (x) =>
      x.fact({
        kind: 'sessionKeyRegistered',
        account: ALICE,
        key: KEY,
        validUntil: (SECONDS + 60) as TimestampSeconds,
        marketMask: 2n,
      }),
  },
  {
    reason: 'session_key_not_valid',
    why: 'signed by a key that has ended',
    terms: { signer: KEY },
    before: (x) =>
      x.fact({
        kind: 'sessionKeyRegistered',
        account: ALICE,
        key: KEY,
        validUntil: SECONDS as TimestampSeconds,
        marketMask: 1n << 255n,
      }),
  },
  {
    reason: 'post_only_would_cross',
    why: 'that is post-only and would trade',
    terms: { postOnly: true },
    before: (x) => x.place({ account: BOB, side: 'sell', size: 1, price: 100 }),
  },
  {
    reason: 'post_only_not_resting',
    why: 'that is post-only and cannot rest',
    terms: { postOnly: true, timeInForce: 'ioc' },
  },
  { reason: 'fill_or_kill_unfillable', why: 'that cannot fill whole', terms: { timeInForce: 'fok' } },
  {
    reason: 'stop_would_trigger',
    why: 'whose trigger is reached already',
    terms: { stop: { direction: 'at_or_above', triggerPriceTicks: 90 as PriceTicks } },
    before: (x) => trade(x, 100),
  },
  {
    reason: 'bad_stop',
    why: 'whose trigger is zero',
    terms: { stop: { direction: 'at_or_below', triggerPriceTicks: 0 as PriceTicks } },
  },
  {
    reason: 'bad_stop',
    why: 'that is a post-only stop',
    terms: { postOnly: true, stop: { direction: 'at_or_below', triggerPriceTicks: 9 as PriceTicks } },
  },
  { reason: 'order_not_registered', why: 'that claims a registration there is none for', terms: { signature: '0x' } },
];

describe('order entry', () => {
  for (const { reason, why, terms, options, before } of CASES) {
    it(`refuses an order ${why} (${reason}), and changes nothing`, () => {
      const exchange = funded(options);
      before?.(exchange);
      const balances = [
        exchange.balance(ALICE, BASE),
        exchange.balance(ALICE, QUOTE),
        exchange.book(),
        exchange.engine.liveOrders(ALICE),
      ];
      const { events } = exchange.place({ ...BUY, ...terms });
      assert.equal(rejection(events), reason);
      assert.equal(events.length, 1);
      assert.deepEqual(
        [
          exchange.balance(ALICE, BASE),
          exchange.balance(ALICE, QUOTE),
          exchange.book(),
          exchange.engine.liveOrders(ALICE),
        ],
        balances,
      );
    });
  }

  it('refuses a notional that the exchange cannot account for', () => {
    const exchange = funded();
    exchange.fact({
      kind: 'marketListed',
      market: {
        index: 1,
        symbol: 'HUGE',
        baseAsset: BASE,
        quoteAsset: QUOTE,
        lotQuanta: 1 as never,
        tickQuanta: 1e6 as never,
        maxSizeLots: 1e6 as never,
        maxPriceTicks: 1e6 as never,
      },
    });
    assert.equal(rejection(exchange.place({ ...BUY, market: 1, size: 1e6, price: 1e6 }).events), 'notional_too_large');
  });

  it('has a case for every reason that order entry can give', () => {
    const covered = new Set<string>([...CASES.map(({ reason }) => reason), 'notional_too_large']);
    // Want of room, and the reasons of cancels, replaces, reductions and connections: each has a case in reasons.test.ts.
    const elsewhere = ['book_full', 'order_not_found', 'not_smaller', 'too_many_sessions'];
    assert.deepEqual(
      Object.keys(REJECT_REASONS).filter((reason) => !covered.has(reason) && !elsewhere.includes(reason)),
      [],
    );
  });

  it('takes an order at each limit it may just reach', () => {
    const exchange = funded({ parameters: { minNotional: 10_000 as never, priceBandPpm: 100_000 } });
    trade(exchange, 1_000);
    const edge: OrderTerms = {
      ...BUY,
      size: 1,
      price: 1_100,
      maxFeePpm: 2_000 as never,
      expiry: (SECONDS + 30 * 86_400) as TimestampSeconds,
      orderSequence: exchange.sequenceNow() + SEQUENCE_AHEAD_MAX_MS,
    };
    assert.equal(rejection(exchange.place(edge).events), undefined);
    assert.equal(
      rejection(
        exchange.place({
          ...edge,
          expiry: (SECONDS + 1) as TimestampSeconds,
          orderSequence: exchange.sequenceNow() - 600_000,
        }).events,
      ),
      undefined,
    );
  });

  it('asks a post-only order for the maker fee alone', () => {
    const exchange = funded();
    assert.equal(rejection(exchange.place({ ...BUY, postOnly: true, maxFeePpm: 1_000 as never }).events), undefined);
  });

  it('frees a lane as soon as its order ends', () => {
    const exchange = funded();
    const { order } = exchange.place({ ...BUY, lane: 3 });
    exchange.cancel(order);
    exchange.nowMs += 1;
    assert.equal(rejection(exchange.place({ ...BUY, lane: 3 }).events), undefined);
  });

  it('takes a replace into the lane of the order it replaces, and of no other', () => {
    const exchange = funded();
    const first = exchange.place({ ...BUY, lane: 3 }).order;
    const second = exchange.place({ ...BUY, lane: 4 }).order;
    exchange.nowMs += 1;
    const wrong = exchange.apply({
      kind: 'replaceOrder',
      replaced: keyOf(second),
      order: exchange.order({ ...BUY, lane: 3 }),
    });
    assert.equal(rejection(wrong), 'lane_busy');
    const right = exchange.apply({
      kind: 'replaceOrder',
      replaced: keyOf(first),
      order: exchange.order({ ...BUY, lane: 3 }),
    });
    assert.equal(rejection(right), undefined);
    assert.deepEqual(
      exchange.engine.liveOrders(ALICE).map(({ lane }) => lane),
      [4, 3],
    );
  });

  it('lets a replace use the funds of the order it replaces', () => {
    const exchange = funded();
    const { order } = exchange.place({ ...BUY, size: 900, price: 100 });
    exchange.nowMs += 1;
    const events = exchange.apply({
      kind: 'replaceOrder',
      replaced: keyOf(order),
      order: exchange.order({ ...BUY, size: 950, price: 100 }),
    });
    assert.equal(rejection(events), undefined);
    assert.equal(exchange.balance(ALICE, QUOTE).locked, 950 * 100 * 10 + 4_750);
  });

  it('refuses a replace of an order that is not live, or of another account', () => {
    const exchange = funded();
    const { order } = exchange.place(BUY);
    const replacement = exchange.order({ ...BUY, account: BOB });
    assert.equal(
      rejection(exchange.apply({ kind: 'replaceOrder', replaced: keyOf(order), order: replacement })),
      'order_not_found',
    );
    assert.equal(
      rejection(
        exchange.apply({ kind: 'replaceOrder', replaced: { ...keyOf(order), account: BOB }, order: replacement }),
      ),
      'order_not_found',
    );
  });

  it('answers a replace sent twice as a duplicate', () => {
    const exchange = funded();
    const { order } = exchange.place(BUY);
    const replacement = exchange.order(BUY);
    exchange.apply({ kind: 'replaceOrder', replaced: keyOf(order), order: replacement });
    assert.equal(
      rejection(exchange.apply({ kind: 'replaceOrder', replaced: keyOf(order), order: replacement })),
      'duplicate_order',
    );
  });

  it('takes an order registered on chain once, however old its sequence', () => {
    const exchange = funded();
    const order = exchange.order({
      ...BUY,
      signature: '0x',
      orderSequence: 1,
      expiry: (SECONDS + 60) as TimestampSeconds,
    });
    exchange.fact({ kind: 'orderRegistered', account: ALICE, digest: order.digest });
    assert.equal(rejection(exchange.apply({ kind: 'placeOrder', order })), undefined);
    assert.equal(exchange.engine.core.registeredOrders.size, 0);
    assert.equal(rejection(exchange.apply({ kind: 'placeOrder', order })), 'duplicate_order');
    const other = { ...order, digest: digest(4_000) as Hash, lane: 4_000 };
    assert.equal(rejection(exchange.apply({ kind: 'placeOrder', order: other })), 'order_not_registered');
  });

  it('cancels an order by its nonce only', () => {
    const exchange = funded();
    const { order } = exchange.place(BUY);
    assert.equal(rejection(exchange.cancel({ ...order, orderSequence: order.orderSequence + 1 })), 'order_not_found');
    assert.equal(rejection(exchange.cancel({ ...order, account: CAROL })), 'order_not_found');
    assert.equal(only(exchange.cancel(order), 'orderDone')?.reason, 'requested');
    assert.equal(rejection(exchange.cancel(order)), 'order_not_found');
  });
});
