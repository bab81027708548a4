/**
 * Every reason that a user can be told is one that the engine gives: a case each, and the compiler demands one for a reason that is added.
 * What refuses a new order stands in order-entry.test.ts, what refuses a withdrawal in balances.test.ts.
 */
import assert from 'node:assert/strict';
import { BATCH_TRADES_MAX } from '../../src/domain/batches.ts';
import type { EngineEvent } from '../../src/domain/events.ts';
import type { CancelReason, RejectReason } from '../../src/domain/reasons.ts';
import { CANCEL_REASONS } from '../../src/domain/reasons.ts';
import type { Address, Lots, PriceTicks, Quanta, TimestampMs, TimestampSeconds } from '../../src/domain/units.ts';
import { ARMED_PER_GATEWAY_MAX } from '../../src/offchain-engine/disconnects.ts';
import { STOPS_PER_MARKET_MAX } from '../../src/offchain-engine/stop-book.ts';
import { ALICE, all, BOB, CAROL, Exchange, keyOf, type OrderTerms, QUOTE, rejection } from './support/exchange.ts';

const BUY: OrderTerms = { account: ALICE, side: 'buy', size: 10, price: 50 };
const SELL: OrderTerms = { account: BOB, side: 'sell', size: 10, price: 50 };

function funded(): Exchange {
  const exchange = new Exchange({ limits: { openOrdersPerAccountMax: STOPS_PER_MARKET_MAX + 1 } });
  for (const account of [ALICE, BOB, CAROL]) exchange.deposit(account, 100_000, 100_000_000);
  return exchange;
}

/** What ends an order of ALICE's, by the reason that it is given. */
const ENDS: Readonly<Record<CancelReason, (exchange: Exchange) => readonly EngineEvent[]>> = {
  requested: (x) => x.cancel(x.place(BUY).order),
  replaced: (x) => {
    const replaced = keyOf(x.place(BUY).order);
    return x.apply({ kind: 'replaceOrder', replaced, order: x.order({ ...BUY, price: 51 }) });
  },
  ioc_remainder: (x) => x.place({ ...BUY, timeInForce: 'ioc' }).events,
  too_many_trades: (x) => {
    for (let count = 0; count <= BATCH_TRADES_MAX; count++)
      x.place({ ...SELL, account: count % 2 === 0 ? BOB : CAROL, size: 1 });
    return x.place({ ...BUY, size: BATCH_TRADES_MAX + 1 }).events;
  },
  self_trade_prevention: (x) => {
    x.place({ ...SELL, account: ALICE });
    return x.place(BUY).events;
  },
  cancel_after: (x) => {
    x.place(BUY);
    x.apply({ kind: 'cancelAfter', account: ALICE, deadlineMs: (x.nowMs + 5_000) as TimestampMs });
    x.nowMs += 5_000;
    return x.apply({ kind: 'tick' });
  },
  disconnected: (x) => {
    x.place(BUY);
    x.apply({ kind: 'armDisconnect', gateway: 'g1', account: ALICE, leaseMs: 5_000 });
    x.nowMs += 5_000;
    return x.apply({ kind: 'tick' });
  },
  cancelled_on_chain: (x) => {
    x.place(BUY);
    return x.fact({ kind: 'ordersCancelledOnChain', account: ALICE, beforeSequence: x.sequenceNow() + 1 });
  },
  session_key_ended: (x) => {
    const validUntil = (Math.floor(x.nowMs / 1_000) + 60) as TimestampSeconds;
    x.fact({ kind: 'sessionKeyRegistered', account: ALICE, key: CAROL, validUntil, marketMask: 1n << 255n });
    x.place({ ...BUY, signer: CAROL });
    return x.fact({ kind: 'sessionKeyRevoked', account: ALICE, key: CAROL, validUntil: 0 as TimestampSeconds });
  },
  exit_requested: (x) => {
    x.place(BUY);
    return x.fact({ kind: 'exitRequested', account: ALICE, asset: QUOTE });
  },
  account_in_deficit: (x) => {
    x.place(BUY);
    return x.fact({ kind: 'exitExecuted', account: ALICE, asset: QUOTE, amount: 100_000_001 as Quanta });
  },
  market_delisted: (x) => {
    x.place(BUY);
    return x.fact({ kind: 'marketDelisted', market: 0 });
  },
  expired: (x) => {
    x.place({ ...BUY, expiry: (Math.floor(x.nowMs / 1_000) + 10) as TimestampSeconds });
    x.nowMs += 10_000;
    return x.apply({ kind: 'tick' });
  },
};

type OfNewOrders = Exclude<RejectReason, 'order_not_found' | 'not_smaller' | 'too_many_sessions' | 'book_full'>;

/** What refuses a cancel, a reduction, a connection's promise, or an order for want of room. */
const REFUSALS: Readonly<Record<Exclude<RejectReason, OfNewOrders>, (exchange: Exchange) => readonly EngineEvent[]>> = {
  order_not_found: (x) => x.cancel(x.order(BUY)),
  not_smaller: (x) => x.apply({ kind: 'reduceOrder', order: keyOf(x.place(BUY).order), remaining: BUY.size as Lots }),
  too_many_sessions: (x) => {
    const arm = (account: Address): readonly EngineEvent[] =>
      x.apply({ kind: 'armDisconnect', gateway: 'g1', account, leaseMs: 5_000 });
    for (let number = 1; number <= ARMED_PER_GATEWAY_MAX; number++) arm(`0x${number.toString(16).padStart(40, '0')}`);
    return arm(ALICE);
  },
  book_full: (x) => {
    const stop = { direction: 'at_or_above', triggerPriceTicks: 90 as PriceTicks } as const;
    for (let count = 0; count < STOPS_PER_MARKET_MAX; count++) x.place({ ...BUY, size: 1, stop });
    return x.place({ ...BUY, size: 1, stop }).events;
  },
};

describe('reasons', () => {
  for (const [reason, end] of Object.entries(ENDS))
    it(`end an order by ${reason}`, () => {
      const events = end(funded());
      const ended = all(events, 'orderDone').filter((event) => event.account === ALICE);
      assert.deepEqual(
        ended.map((event) => event.reason),
        [reason],
      );
      assert.equal(ended[0]?.status, reason === 'expired' ? 'expired' : 'cancelled');
      assert.ok(reason in CANCEL_REASONS);
    });

  for (const [reason, refuse] of Object.entries(REFUSALS))
    it(`refuse by ${reason}`, () => {
      assert.equal(rejection(refuse(funded())), reason);
    });
});
