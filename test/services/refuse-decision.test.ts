import assert from 'node:assert/strict';
import { Registry } from 'prom-client';
import type { Ppm, Quanta } from '../../src/domain/units.ts';
import { CommandClock } from '../../src/offchain-engine/sequencer/command-clock.ts';
import { checkClock, observeEngine } from '../../src/services/engine-metrics.ts';
import { refuseDecision } from '../../src/services/refuse-decision.ts';
import type { OperatorDecision } from '../../src/storage/operator-requests.ts';
import { Exchange, LIMITS, PARAMETERS } from '../offchain-engine/support/exchange.ts';

const reason = 'a test';
const tier = (volumeMin: number, makerFeePpm: number, takerFeePpm: number) => ({
  volumeMin: volumeMin as Quanta,
  makerFeePpm: makerFeePpm as Ppm,
  takerFeePpm: takerFeePpm as Ppm,
});

describe('decisions of operators', () => {
  const exchange = new Exchange();
  exchange.fact({ kind: 'feesChanged', takerFeePpm: 2_500 as Ppm, makerFeePpm: 1_500 as Ppm });
  exchange.listMarket(1);
  exchange.fact({ kind: 'marketDelisted', market: 1 });
  const refused = (decision: OperatorDecision, refusedMs = 0): string | undefined =>
    refuseDecision({ engine: exchange.engine, clock: { refusedMs }, unsettledAgeMaxMs: 1_800_000 }, decision);

  const CASES: [why: string, decision: OperatorDecision, refusal: RegExp][] = [
    ['a market that does not exist', { kind: 'setMarketState', market: 7, state: 'open' }, /no market 7/],
    ['a market that is delisted', { kind: 'setMarketState', market: 1, state: 'open' }, /delisted/],
    [
      'a fee above the hard cap',
      { kind: 'setMarketParameters', market: 0, parameters: { ...PARAMETERS, takerFeePpm: 60_000 as Ppm } },
      /0 to 50000/,
    ],
    [
      'a fee above what the vault takes',
      { kind: 'setMarketParameters', market: 0, parameters: { ...PARAMETERS, takerFeePpm: 2_501 as Ppm } },
      /at most 1500 ppm of a maker and 2500 of a taker/,
    ],
    [
      'a tier above what the vault takes',
      { kind: 'setFeeTiers', market: 0, tiers: [tier(1, 1_501, 0)], reason },
      /at most 1500 ppm/,
    ],
    [
      'tiers that do not rise',
      { kind: 'setFeeTiers', market: 0, tiers: [tier(5, 0, 0), tier(4, 0, 0)], reason },
      /must rise/,
    ],
    [
      'a reseal of a batch that is not in flight',
      { kind: 'resealBatch', batchId: 9, sealedAt: 1, tradesMax: 1, withdrawalsMax: 1, reason },
      /batch 9 is not in flight/,
    ],
    [
      'a limit of nothing',
      { kind: 'setLimits', limits: { ...LIMITS, openOrdersPerAccountMax: 0 }, reason },
      /openOrdersPerAccountMax/,
    ],
    [
      'trades that could not settle within the grace period',
      { kind: 'setLimits', limits: { ...LIMITS, unsettledAgeMaxMs: 1_800_001 }, reason },
      /half of the vault's grace period/,
    ],
    [
      'terms of an asset that does not exist',
      { kind: 'setWithdrawalTerms', asset: 9, fee: 0 as Quanta, minimum: 0 as Quanta, reason },
      /no asset 9/,
    ],
    [
      'a minimum that the fee would eat',
      { kind: 'setWithdrawalTerms', asset: 0, fee: 5 as Quanta, minimum: 5 as Quanta, reason },
      /more than its fee/,
    ],
    ['a clock jump when there is none', { kind: 'acceptClockJump', reason }, /no jump to accept/],
  ];
  for (const [why, decision, refusal] of CASES) {
    it(`are refused for ${why}`, () => assert.match(refused(decision) ?? '', refusal));
  }

  it('are passed on when the engine can follow them', () => {
    const parameters = { ...PARAMETERS, takerFeePpm: 2_500 as Ppm, makerFeePpm: 1_500 as Ppm };
    assert.equal(refused({ kind: 'setMarketParameters', market: 0, parameters }), undefined);
    assert.equal(refused({ kind: 'setFeeTiers', market: 0, tiers: [tier(1, 1_500, 2_500)], reason }), undefined);
    assert.equal(refused({ kind: 'setFeeTiers', market: 0, tiers: [], reason }), undefined);
    assert.equal(refused({ kind: 'setLimits', limits: LIMITS, reason }), undefined);
    const terms = { asset: 0, fee: 5 as Quanta, minimum: 6 as Quanta, reason };
    assert.equal(refused({ kind: 'setWithdrawalTerms', ...terms }), undefined);
    assert.equal(refused({ kind: 'acceptClockJump', reason }, 7_000), undefined);
    assert.equal(refused({ kind: 'haltWithdrawals', reason }), undefined);
  });
});

describe('a clock jump that is not followed', () => {
  it('shows in readiness and as a metric until an operator accepts it', async () => {
    let wallMs = 1_000_000;
    const wall = { nowMs: () => wallMs, monotonicMs: () => 0 };
    const clock = new CommandClock({ wall, lastTimestampMs: 0 });
    const { engine } = new Exchange();
    const service = { leading: { engine, clock, epoch: 3, sequencer: { queueLength: 0 } } } as never;
    const registry = new Registry();
    observeEngine(registry, service);
    await checkClock(service);
    wallMs += 3_600_000;
    assert.equal(clock.now(wallMs as never), 1_000_000);
    await assert.rejects(checkClock(service), /stepped by 3600000 ms.*accept-clock-jump/);
    assert.match(await registry.metrics(), /tallystick_engine_clock_refused_seconds 3600/);
    clock.acceptJump();
    assert.equal(clock.now(wallMs as never), 4_600_000);
    await checkClock(service);
    assert.match(await registry.metrics(), /tallystick_engine_clock_refused_seconds 0/);
  });
});
