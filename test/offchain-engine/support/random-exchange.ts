/** Random but plausible lives of an exchange, and what must hold after every command of one. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { EngineEvent } from '../../../src/domain/events.ts';
import type { OrderKey } from '../../../src/domain/orders.ts';
import type { Address, PriceTicks, Quanta, TimestampMs, TimestampSeconds } from '../../../src/domain/units.ts';
import { feeOf } from '../../../src/domain/units.ts';
import { toSealedBatch } from '../../../src/offchain-engine/batches.ts';
import {
  LIFE_INT_SHIFT,
  MAX_FEE_PPM,
  REFERENCES,
  STATE,
  STATE_DONE,
} from '../../../src/offchain-engine/book/order-pool.ts';
import type { Engine } from '../../../src/offchain-engine/engine.ts';
import { ALICE, all, BASE, BOB, CAROL, contentOf, Exchange, keyOf, LOT, only, QUOTE, TICK } from './exchange.ts';

const ACCOUNTS: readonly Address[] = [ALICE, BOB, CAROL];
const KEY: Address = `0x${'ee'.repeat(20)}`;
const ASSETS = [BASE, QUOTE];

const account = fc.constantFrom(...ACCOUNTS);
/** Drawn once in `times`, else undefined. */
const seldom = <Value>(times: number, drawn: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.oneof({ weight: times - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: drawn });
const placement = fc.record({
  kind: fc.constant('place' as const),
  account,
  side: fc.constantFrom('buy' as const, 'sell' as const),
  size: fc.integer({ min: 1, max: 60 }),
  price: fc.integer({ min: 90, max: 110 }),
  market: fc.nat(1),
  timeInForce: fc.constantFrom('gtc' as const, 'gtc' as const, 'ioc' as const, 'fok' as const),
  postOnly: fc.integer({ min: 0, max: 5 }).map((draw) => draw === 0),
  selfTradePrevention: fc.constantFrom(
    'cancel_newest' as const,
    'cancel_oldest' as const,
    'cancel_both' as const,
    'decrement' as const,
  ),
  lane: fc.nat(15),
  maxFeePpm: fc.integer({ min: 2_000, max: 9_999 }),
  expiresIn: fc.integer({ min: 1, max: 400 }),
  byKey: fc.integer({ min: 0, max: 9 }).map((draw) => draw === 0),
  stop: seldom(
    6,
    fc.record({
      direction: fc.constantFrom('at_or_above' as const, 'at_or_below' as const),
      trigger: fc.integer({ min: 90, max: 110 }),
    }),
  ),
  replaces: seldom(6, fc.nat(100)),
});
const step = fc.oneof(
  { weight: 40, arbitrary: placement },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('cancel' as const), pick: fc.nat(100) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.integer({ min: 1, max: 60_000 }),
      /** Without one, what is due ends with the next command. */
      ticks: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('deposit' as const),
      account,
      asset: fc.constantFrom(...ASSETS),
      amount: fc.integer({ min: 1, max: 20_000 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('withdraw' as const),
      account,
      asset: fc.constantFrom(...ASSETS),
      amount: fc.integer({ min: 1, max: 20_000 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('seal' as const), tradesMax: fc.integer({ min: 1, max: 6 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      skip: fc.nat(5),
      fail: fc.boolean(),
      /** Which of the cuts that may land does. */
      cut: fc.nat(5),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('reseal' as const),
      later: fc.nat(2),
      tradesMax: fc.integer({ min: 1, max: 4 }),
      withdrawalsMax: fc.integer({ min: 1, max: 2 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('cancelAll' as const),
      account,
      market: fc.constantFrom(undefined, 0, 1),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('cancelAfter' as const),
      account,
      ms: fc.constantFrom(undefined, 5_000, 50_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancelOnChain' as const), account, back: fc.nat(30_000) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('exit' as const),
      account,
      asset: fc.constantFrom(...ASSETS),
      what: fc.constantFrom('request' as const, 'cancel' as const, 'cancel' as const, 'execute' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('key' as const),
      account,
      validFor: fc.integer({ min: 0, max: 300 }),
      revoke: fc.boolean(),
      mask: fc.constantFrom(1n, 1n << 255n, 1n << 255n),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('halt' as const),
      on: fc.integer({ min: 0, max: 3 }).map((draw) => draw === 0),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer Drawn> ? Drawn : never;

/** Sequences of steps; `length` of them at most. */
export const lives = (length: number): fc.Arbitrary<Step[]> =>
  fc.array(step, { minLength: length >> 1, maxLength: length });

/** Exchange under test, with what the vault would say: totals deposited and withdrawn, and batches in flight. */
export class Life {
  readonly exchange = new Exchange({
    limits: { unsettledAgeMaxMs: 300_000, batchesInFlightMax: 3, openOrdersPerAccountMax: 8 },
    withdrawalFee: 3,
  });
  /** Events per command. */
  readonly events: (readonly EngineEvent[])[] = [];
  /** Per asset: deposits − withdrawals − exits. */
  readonly booked = [0, 0];
  readonly #keys: OrderKey[] = [];
  #settledBatches = 0;

  constructor() {
    this.exchange.listMarket(1);
    for (const owner of ACCOUNTS)
      for (const asset of ASSETS) this.#deposit(owner, asset, asset === BASE ? 20_000 : 200_000);
  }

  take(next: Step): readonly EngineEvent[] {
    const events = this.#perform(next);
    this.events.push(events);
    return events;
  }

  #perform(next: Step): readonly EngineEvent[] {
    const { exchange } = this;
    switch (next.kind) {
      case 'place':
        return this.#place(next);
      case 'cancel':
        return this.#keys.length === 0 ? [] : exchange.cancel(this.#keys[next.pick % this.#keys.length]!);
      case 'wait':
        exchange.nowMs += next.ms;
        return next.ticks ? exchange.apply({ kind: 'tick' }) : [];
      case 'deposit':
        return this.#deposit(next.account, next.asset, next.amount);
      case 'withdraw':
        return exchange.withdraw(next);
      case 'seal':
        return exchange.apply({ kind: 'sealBatch', tradesMax: next.tradesMax, withdrawalsMax: 3 });
      case 'settle':
        return this.#settle(next.skip, next.fail, next.cut);
      case 'reseal':
        return exchange.reseal(this.#settledBatches + 1 + next.later, next.tradesMax, next.withdrawalsMax);
      case 'cancelAll':
        return exchange.apply({ kind: 'cancelAllOrders', account: next.account, market: next.market });
      case 'cancelAfter':
        return exchange.apply({
          kind: 'cancelAfter',
          account: next.account,
          deadlineMs: next.ms === undefined ? undefined : ((exchange.nowMs + next.ms) as TimestampMs),
        });
      case 'cancelOnChain':
        return exchange.fact({
          kind: 'ordersCancelledOnChain',
          account: next.account,
          beforeSequence: exchange.sequenceNow() - next.back,
        });
      case 'exit':
        return this.#exit(next.account, next.asset, next.what);
      case 'key': {
        const validUntil = (Math.floor(exchange.nowMs / 1000) + next.validFor) as TimestampSeconds;
        if (next.revoke)
          return exchange.fact({ kind: 'sessionKeyRevoked', account: next.account, key: KEY, validUntil });
        return exchange.fact({
          kind: 'sessionKeyRegistered',
          account: next.account,
          key: KEY,
          validUntil,
          marketMask: next.mask,
        });
      }
      case 'halt':
        return exchange.apply(
          next.on ? { kind: 'haltWithdrawals', reason: 'drift' } : { kind: 'resumeWithdrawals', reason: 'resolved' },
        );
    }
  }

  #place({
    kind: _,
    expiresIn,
    byKey,
    stop,
    replaces,
    ...terms
  }: Extract<Step, { kind: 'place' }>): readonly EngineEvent[] {
    const { exchange } = this;
    exchange.nowMs += 1;
    const replaced = replaces === undefined ? undefined : this.#keys[replaces % Math.max(1, this.#keys.length)];
    const order = exchange.order({
      ...terms,
      account: replaced?.account ?? terms.account,
      maxFeePpm: terms.maxFeePpm as never,
      postOnly: terms.postOnly && terms.timeInForce === 'gtc',
      expiry: (Math.floor(exchange.nowMs / 1000) + expiresIn) as TimestampSeconds,
      stop:
        stop === undefined ? undefined : { direction: stop.direction, triggerPriceTicks: stop.trigger as PriceTicks },
      ...(byKey ? { signer: KEY } : {}),
    });
    this.#keys.push(keyOf(order));
    return exchange.apply(
      replaced === undefined ? { kind: 'placeOrder', order } : { kind: 'replaceOrder', replaced, order },
    );
  }

  #deposit(owner: Address, asset: number, amount: number): readonly EngineEvent[] {
    this.booked[asset]! += amount;
    return this.exchange.fact({ kind: 'depositCredited', account: owner, asset, amount: amount as Quanta });
  }

  /** The vault settles the oldest batch, of one cut or another, skipping some trades and failing some withdrawals. */
  #settle(skip: number, fail: boolean, cut: number): readonly EngineEvent[] {
    const { core } = this.exchange.engine;
    const candidates = [core.batches, ...core.earlierCuts].flatMap(([oldest]) => oldest ?? []);
    const landed = candidates[cut % candidates.length];
    if (landed === undefined) return [];
    const batch = toSealedBatch(core, landed);
    assert.equal(batch.batchId, ++this.#settledBatches);
    const skips = batch.trades.flatMap((_, trade) =>
      skip > 0 && trade % (skip + 1) === skip - 1 ? [{ trade, reason: 7 }] : [],
    );
    const withdrawals = batch.withdrawals.map(({ asset, amount, fee }, index) => {
      if (!fail) this.booked[asset]! -= amount - fee;
      return { index, state: fail ? ('failed' as const) : ('executed' as const), reason: '' };
    });
    const events = this.exchange.settle(batch.batchId, skips, withdrawals, contentOf(batch));
    const final = only(events, 'batchFinal');
    const ended = [...(final?.settledTrades ?? []), ...(final?.voidedTrades.map(({ tradeId }) => tradeId) ?? [])];
    assert.deepEqual(
      ended.sort((a, b) => a - b),
      batch.trades.map(({ tradeId }) => tradeId),
      'the trades of the settled content end',
    );
    return events;
  }

  #exit(owner: Address, asset: number, what: 'request' | 'cancel' | 'execute'): readonly EngineEvent[] {
    const { exchange } = this;
    if (what === 'request') return exchange.fact({ kind: 'exitRequested', account: owner, asset });
    if (what === 'cancel') return exchange.fact({ kind: 'exitCancelled', account: owner, asset });
    const amount = Math.max(
      0,
      exchange.balance(owner, asset).settled - exchange.balance(owner, asset).pendingWithdrawal,
    );
    this.booked[asset]! -= amount;
    return exchange.fact({ kind: 'exitExecuted', account: owner, asset, amount: amount as Quanta });
  }
}

/** What holds after every command, whatever happened. */
export function assertSound(life: Life, events: readonly EngineEvent[]): void {
  const { engine } = life.exchange;
  for (const asset of ASSETS) assertConserved(life, asset);
  assertUncrossed(engine);
  assertLocks(engine);
  assertRecordsReleased(engine);
  for (const { kind: _, account: owner, asset, ...balance } of all(events, 'balanceChanged'))
    assert.deepEqual(balance, engine.balance(owner, asset));
  for (const { account: owner, digest: id } of all(events, 'orderDone'))
    assert.ok(!engine.liveOrders(owner).some(({ digest }) => digest === id), `${id} is said to be done and is live`);
  for (const { batch } of all(events, 'batchSealed')) {
    const keys = batch.orders.map(
      ({ account: owner, lane, orderSequence }) =>
        `${owner}${String(lane).padStart(5)}${String(orderSequence).padStart(13)}`,
    );
    assert.deepEqual(keys, [...new Set(keys)].sort());
  }
}

function assertConserved(life: Life, asset: number): void {
  const { engine } = life.exchange;
  let settled = 0;
  let unsettled = 0;
  for (const owner of engine.accounts()) {
    const balance = engine.balance(owner, asset);
    const { available, locked, pendingWithdrawal, unsettledIn, unsettledOut } = balance;
    assert.equal(available + locked + pendingWithdrawal, balance.settled + unsettledIn - unsettledOut);
    for (const figure of [locked, pendingWithdrawal, unsettledIn, unsettledOut])
      assert.ok(figure >= 0, JSON.stringify(balance));
    if (available < 0) assert.deepEqual(engine.liveOrders(owner), []);
    settled += balance.settled;
    unsettled += unsettledIn - unsettledOut;
  }
  assert.equal(settled, life.booked[asset]);
  assert.equal(unsettled, 0);
}

/** An order's record is held by its life in the book or by trades that are not final, and by nothing else. */
function assertRecordsReleased({ core }: Engine): void {
  let references = 0;
  for (const id of core.pool.ids()) {
    const held = core.pool.lifeInts[(id << LIFE_INT_SHIFT) + REFERENCES]!;
    assert.ok(
      held > 0 || core.pool.lifeInts[(id << LIFE_INT_SHIFT) + STATE] !== STATE_DONE,
      `order record ${id} is held by nothing`,
    );
    references += held;
  }
  const inBatches = core.batches.reduce((sum, { tradeCount }) => sum + tradeCount, 0);
  assert.equal(references, (inBatches + core.trades.count) * 2);
}

function assertUncrossed(engine: Engine): void {
  for (const market of [0, 1]) {
    const bid = engine.levels(market, 'buy')[0]?.price;
    const ask = engine.levels(market, 'sell')[0]?.price;
    assert.ok(bid === undefined || ask === undefined || bid < ask, `${bid} against ${ask}`);
  }
}

/** Every quantum locked belongs to a live order or to proceeds that are frozen, and every live order has exactly what it needs. */
function assertLocks(engine: Engine): void {
  for (const owner of engine.accounts()) {
    const needed = [0, 0];
    for (const { side, remaining, price, lane } of engine.liveOrders(owner)) {
      const slot = engine.core.lanes.find(engine.core.accounts.find(owner), lane);
      const maxFeePpm = engine.core.pool.lifeInts[(engine.core.lanes.order(slot) << LIFE_INT_SHIFT) + MAX_FEE_PPM]!;
      const notional = remaining * price * TICK;
      if (side === 'sell') needed[BASE]! += remaining * LOT;
      else needed[QUOTE]! += notional + feeOf(notional as Quanta, maxFeePpm as never);
    }
    const account = engine.core.accounts.find(owner);
    for (const asset of ASSETS) needed[asset]! += engine.core.frozen.get(account * 65_536 + asset) ?? 0;
    assert.deepEqual(
      ASSETS.map((asset) => engine.balance(owner, asset).locked),
      needed,
    );
  }
}
