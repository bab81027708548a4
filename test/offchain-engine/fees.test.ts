import assert from 'node:assert/strict';
import type { EngineLimits } from '../../src/domain/commands.ts';
import type { FeeTier, MarketParameters } from '../../src/domain/markets.ts';
import type { Ppm, Quanta } from '../../src/domain/units.ts';
import { feesOf } from '../../src/offchain-engine/fees.ts';
import { decodeSnapshot, encodeSnapshot, stateHash } from '../../src/offchain-engine/snapshot.ts';
import { ALICE, all, BOB, Exchange, FEES, only, PARAMETERS, QUOTE, rejection } from './support/exchange.ts';

const DAY_MS = 86_400_000;

const tier = (volumeMin: number, makerFeePpm: number, takerFeePpm: number): FeeTier => ({
  volumeMin: volumeMin as Quanta,
  makerFeePpm: makerFeePpm as Ppm,
  takerFeePpm: takerFeePpm as Ppm,
});

function funded(parameters: Partial<MarketParameters> = {}): Exchange {
  const exchange = new Exchange({ parameters });
  exchange.deposit(ALICE, 100_000, 1_000_000_000);
  exchange.deposit(BOB, 100_000, 1_000_000_000);
  return exchange;
}

/** Bob sells to Alice; notional = size × 1,000. @returns the trade's fees, taker's (Alice's) first */
function trade(exchange: Exchange, size: number): [taker: number, maker: number] {
  exchange.place({ account: BOB, side: 'sell', size, price: 100 });
  const { events } = exchange.place({ account: ALICE, side: 'buy', size, price: 100 });
  const [made] = all(events, 'trade');
  assert.ok(made !== undefined);
  return [made.taker.feePpm, made.maker.feePpm];
}

function settleAll(exchange: Exchange, batchId: number, skips: { trade: number; reason: number }[] = []): void {
  exchange.seal();
  exchange.settle(batchId, skips);
}

function feesFor(exchange: Pick<Exchange, 'engine'>, account: typeof ALICE): number[] {
  const { core } = exchange.engine;
  const { takerFeePpm, makerFeePpm } = feesOf(core, core.markets[0]!, core.accounts.find(account));
  return [takerFeePpm, makerFeePpm];
}

const setTiers = (exchange: Exchange, ...tiers: FeeTier[]) =>
  exchange.apply({ kind: 'setFeeTiers', market: 0, tiers, reason: 'schedule' });

describe('fees', () => {
  it('follow the operator’s decision for trades from then on, and say so', () => {
    const exchange = funded();
    assert.deepEqual(trade(exchange, 1), [2_000, 1_000]);
    const parameters = { ...PARAMETERS, makerFeePpm: 0 as Ppm, takerFeePpm: 300 as Ppm };
    const events = exchange.apply({ kind: 'setMarketParameters', market: 0, parameters });
    assert.deepEqual(only(events, 'marketParametersChanged')?.parameters, parameters);
    assert.deepEqual(trade(exchange, 1), [300, 0]);
  });

  it('are bounded by the vault’s maximum, and come back when it rises', () => {
    const exchange = funded();
    exchange.fact({ kind: 'feesChanged', takerFeePpm: 1_500 as Ppm, makerFeePpm: 1_500 as Ppm });
    assert.deepEqual(trade(exchange, 1), [1_500, 1_000]);
    exchange.listMarket(1);
    assert.equal(exchange.engine.core.markets[1]?.parameters.takerFeePpm, 1_500);
    exchange.engine = decodeSnapshot(encodeSnapshot(exchange.engine));
    assert.deepEqual(trade(exchange, 1), [1_500, 1_000]);
    const events = exchange.fact({ kind: 'feesChanged', takerFeePpm: 50_000 as Ppm, makerFeePpm: 0 as Ppm });
    assert.deepEqual(
      all(events, 'marketParametersChanged').map(({ market, parameters }) => [market, parameters.takerFeePpm]),
      [
        [0, 2_000],
        [1, 2_000],
      ],
    );
    assert.deepEqual(trade(exchange, 1), [2_000, 0]);
  });

  it('change nothing when an operator asks for what cannot be', () => {
    const exchange = funded();
    const before = stateHash(exchange.engine);
    const bad: Partial<MarketParameters>[] = [
      { takerFeePpm: 50_001 as Ppm },
      { makerFeePpm: -1 as Ppm },
      { minNotional: 0.5 as Quanta },
      { priceBandPpm: Number.NaN },
    ];
    for (const wrong of bad) {
      const parameters = { ...PARAMETERS, ...wrong };
      assert.deepEqual(exchange.apply({ kind: 'setMarketParameters', market: 0, parameters }), []);
    }
    assert.deepEqual(setTiers(exchange, tier(0, 0, 0)), []);
    assert.deepEqual(setTiers(exchange, tier(10, 0, 0), tier(10, 0, 0)), []);
    assert.deepEqual(setTiers(exchange, tier(10, 60_000, 0)), []);
    assert.deepEqual(setTiers(exchange, ...Array.from({ length: 17 }, (_, index) => tier(index + 1, 0, 0))), []);
    assert.equal(exchange.engine.core.markets[0]?.chosenTiers.length, 0);
    assert.notEqual(stateHash(exchange.engine), before);
    assert.deepEqual(feesFor(exchange, ALICE), [2_000, 1_000]);
  });
});

describe('fee tiers', () => {
  it('count what was settled as maker and taker, from the next UTC day on', () => {
    const exchange = funded();
    setTiers(exchange, tier(10_000, 500, 1_500), tier(50_000, 0, 700));
    trade(exchange, 12);
    exchange.seal();
    const counted = all(exchange.settle(1), 'volumeCounted');
    assert.deepEqual(
      counted.map(({ account, asset, volume }) => [account, asset, volume]),
      [
        [ALICE, QUOTE, 12_000],
        [BOB, QUOTE, 12_000],
      ],
    );
    assert.deepEqual(trade(exchange, 1), [2_000, 1_000]);
    settleAll(exchange, 2);
    exchange.nowMs += DAY_MS;
    assert.deepEqual(trade(exchange, 40), [1_500, 500]);
    settleAll(exchange, 3);
    exchange.nowMs += DAY_MS;
    assert.deepEqual(trade(exchange, 1), [700, 0]);
    assert.deepEqual(feesFor(exchange, FEES), [2_000, 1_000]);
  });

  it('reach back 30 complete days', () => {
    const exchange = funded();
    setTiers(exchange, tier(1_000, 1, 2));
    trade(exchange, 1);
    settleAll(exchange, 1);
    for (const [days, fees] of [
      [1, [2, 1]],
      [30, [2, 1]],
      [31, [2_000, 1_000]],
      [400, [2_000, 1_000]],
    ] as const) {
      const { core } = exchange.engine;
      core.nowMs = exchange.nowMs + days * DAY_MS;
      assert.deepEqual(feesFor(exchange, ALICE), fees, `after ${days} days`);
      assert.deepEqual(feesFor({ engine: decodeSnapshot(encodeSnapshot(exchange.engine)) }, ALICE), fees);
    }
  });

  it('do not count trades that the vault skipped', () => {
    const exchange = funded();
    setTiers(exchange, tier(1, 0, 0));
    trade(exchange, 5);
    settleAll(exchange, 1, [{ trade: 0, reason: 2 }]);
    exchange.nowMs += DAY_MS;
    assert.deepEqual(trade(exchange, 1), [2_000, 1_000]);
  });

  it('ask orders for the account’s own fee, and charge no more than was signed when it rises', () => {
    const exchange = funded();
    const cheap = { account: ALICE, side: 'buy', size: 1, price: 100, maxFeePpm: 400 as Ppm } as const;
    assert.equal(rejection(exchange.place(cheap).events), 'max_fee_too_low');
    setTiers(exchange, tier(1_000, 100, 400));
    trade(exchange, 1);
    settleAll(exchange, 1);
    exchange.nowMs += DAY_MS;
    const expiry = (Math.floor(exchange.nowMs / 1_000) + 20 * 86_400) as never;
    const { order, events } = exchange.place({ ...cheap, expiry, price: 90 });
    assert.equal(rejection(events), undefined);
    setTiers(exchange);
    exchange.nowMs += 1_000;
    const sold = exchange.place({ account: BOB, side: 'sell', size: 1, price: 90 }).events;
    const [made] = all(sold, 'trade');
    assert.equal(made?.maker.digest, order.digest);
    assert.equal(made?.maker.feePpm, 400);
  });

  it('give the same state from replay and from a snapshot, whenever that was taken', () => {
    const exchange = funded();
    setTiers(exchange, tier(10_000, 500, 1_500));
    const snapshots: Uint8Array[] = [];
    for (let day = 1; day <= 40; day++) {
      trade(exchange, day);
      settleAll(exchange, day);
      exchange.nowMs += day % 7 === 0 ? 3 * DAY_MS : DAY_MS;
      exchange.apply({ kind: 'tick' });
      snapshots.push(encodeSnapshot(exchange.engine));
    }
    for (const snapshot of snapshots) {
      const restored = decodeSnapshot(snapshot);
      for (const command of exchange.journal.slice(restored.lastSequence)) restored.apply(command);
      assert.equal(stateHash(restored), stateHash(exchange.engine));
    }
  });
});

describe('an operator’s limits and terms', () => {
  it('replace the limits that genesis set', () => {
    const exchange = funded();
    const limits: EngineLimits = { ...exchange.engine.core.genesis!.limits, openOrdersPerAccountMax: 1 };
    exchange.apply({ kind: 'setLimits', limits, reason: 'tighter' });
    exchange.place({ account: ALICE, side: 'buy', size: 1, price: 10 });
    assert.equal(
      rejection(exchange.place({ account: ALICE, side: 'buy', size: 1, price: 10 }).events),
      'too_many_open_orders',
    );
  });

  it('set fee and minimum of withdrawals', () => {
    const exchange = funded();
    const events = exchange.apply({
      kind: 'setWithdrawalTerms',
      asset: QUOTE,
      fee: 7 as Quanta,
      minimum: 100 as Quanta,
      reason: 'gas',
    });
    assert.deepEqual(only(events, 'withdrawalTermsChanged'), {
      kind: 'withdrawalTermsChanged',
      asset: QUOTE,
      fee: 7,
      minimum: 100,
    });
    exchange.engine = decodeSnapshot(encodeSnapshot(exchange.engine));
    assert.equal(rejection(exchange.withdraw({ account: ALICE, amount: 99 })), 'amount_below_minimum');
    assert.equal(only(exchange.withdraw({ account: ALICE, amount: 100 }), 'withdrawalAccepted')?.fee, 7);
  });
});
