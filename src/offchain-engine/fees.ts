/**
 * What a trade costs: the market's own fees, or those of the account's tier; never more than the vault's maximum, nor (see
 * `recordTrade`) than the order's signed one. What the operator set is kept apart from what applies, so that fees follow
 * the vault's maximum down and up again.
 */
import * as marketTerms from '../domain/markets.ts';
import { type FeeTier, type MarketParameters, tierAt } from '../domain/markets.ts';
import type { Ppm } from '../domain/units.ts';
import * as units from '../domain/units.ts';
import type { EngineState, MarketBook } from './state.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { FEE_TIERS_MAX } = marketTerms;
const { FEE_PPM_MAX } = units;

/** Fees for the account now: what it pays as taker and as maker, in parts per million of the notional. */
export function feesOf(
  state: EngineState,
  market: MarketBook,
  account: number,
): { readonly takerFeePpm: number; readonly makerFeePpm: number } {
  const { feeTiers } = market;
  return feeTiers.length === 0 ? market.parameters : tierOf(state, market, account);
}

function tierOf(
  state: EngineState,
  { feeTiers, parameters, quote }: MarketBook,
  account: number,
): FeeTier | MarketParameters {
  return tierAt(feeTiers, state.volumes.of(state.ledger.find(account, quote), state.nowMs)) ?? parameters;
}

/** Works out what applies in the market from what the operator set and the vault's maximum, and says so. */
export function applyFees(state: EngineState, market: MarketBook): void {
  deriveFees(state, market);
  state.sink.push({
    kind: 'marketParametersChanged',
    market: market.index,
    parameters: market.parameters,
    feeTiers: market.feeTiers,
  });
}

/** Sets `parameters` and `feeTiers` from `chosenParameters` and `chosenTiers`. */
export function deriveFees({ feeMaximum }: EngineState, market: MarketBook): void {
  const bounded = <Fees extends { readonly makerFeePpm: Ppm; readonly takerFeePpm: Ppm }>(fees: Fees): Fees => ({
    ...fees,
    makerFeePpm: Math.min(fees.makerFeePpm, feeMaximum.makerFeePpm) as Ppm,
    takerFeePpm: Math.min(fees.takerFeePpm, feeMaximum.takerFeePpm) as Ppm,
  });
  market.parameters = bounded(market.chosenParameters);
  market.feeTiers = market.chosenTiers.map(bounded);
}

/** Why these parameters cannot be a market's; undefined when they can. */
export function refuseParameters(parameters: MarketParameters): string | undefined {
  const { makerFeePpm, takerFeePpm, minNotional, priceBandPpm } = parameters;
  if (!areFees(makerFeePpm, takerFeePpm)) return `a fee must be a whole number of ppm from 0 to ${FEE_PPM_MAX}`;
  if (!Number.isSafeInteger(minNotional) || minNotional < 0) return 'the minimum notional must be a whole number';
  if (!Number.isSafeInteger(priceBandPpm) || priceBandPpm < 0) return 'the price band must be a whole number of ppm';
  return undefined;
}

/** Why this cannot be a market's schedule; undefined when it can. */
export function refuseTiers(tiers: readonly FeeTier[]): string | undefined {
  if (tiers.length > FEE_TIERS_MAX) return `a market has at most ${FEE_TIERS_MAX} fee tiers`;
  for (const [index, { volumeMin, makerFeePpm, takerFeePpm }] of tiers.entries()) {
    if (!areFees(makerFeePpm, takerFeePpm)) return `a fee must be a whole number of ppm from 0 to ${FEE_PPM_MAX}`;
    const above = tiers[index - 1]?.volumeMin ?? 0;
    if (!Number.isSafeInteger(volumeMin) || volumeMin <= above) return 'volumes of tiers must rise from above zero';
  }
  return undefined;
}

function areFees(...fees: readonly number[]): boolean {
  return fees.every((fee) => Number.isInteger(fee) && fee >= 0 && fee <= FEE_PPM_MAX);
}
