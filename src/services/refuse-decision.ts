/** Why the engine could make nothing of an operator's decision, in words for the operator; the journal never sees such a one. */
import type { EngineLimits } from '../domain/commands.ts';
import type { FeeTier, MarketParameters } from '../domain/markets.ts';
import type { Engine } from '../offchain-engine/engine.ts';
import { refuseParameters, refuseTiers } from '../offchain-engine/fees.ts';
import { refuseReseal } from '../offchain-engine/reseal.ts';
import type { CommandClock } from '../offchain-engine/sequencer/command-clock.ts';
import type { OperatorDecision, ResealRequest } from '../storage/operator-requests.ts';

export type DecisionContext = {
  readonly engine: Engine;
  readonly clock: Pick<CommandClock, 'refusedMs'>;
  /** What was matched must settle while cancellations do not bind yet: the longest unsettled age that leaves time for it. */
  readonly unsettledAgeMaxMs: number;
};

/** @returns undefined when the decision makes sense now */
export function refuseDecision(context: DecisionContext, decision: OperatorDecision): string | undefined {
  const { engine, clock } = context;
  switch (decision.kind) {
    case 'haltWithdrawals':
    case 'resumeWithdrawals':
      return undefined;
    case 'setMarketState':
      return refuseMarket(engine, decision.market);
    case 'setMarketParameters':
      return (
        refuseMarket(engine, decision.market) ??
        refuseParameters(decision.parameters) ??
        refuseFees(engine, [decision.parameters])
      );
    case 'setFeeTiers':
      return refuseMarket(engine, decision.market) ?? refuseTiers(decision.tiers) ?? refuseFees(engine, decision.tiers);
    case 'setLimits':
      return refuseLimits(decision.limits, context.unsettledAgeMaxMs);
    case 'setWithdrawalTerms': {
      if (engine.core.assets[decision.asset] === undefined) return `there is no asset ${decision.asset}`;
      return decision.minimum > 0 && decision.minimum <= decision.fee
        ? 'the smallest withdrawal must be more than its fee'
        : undefined;
    }
    case 'resealBatch':
      return refuseContent(engine, decision) ?? refuseReseal(engine.core, decision);
    case 'acceptClockJump':
      return clock.refusedMs === 0 ? 'the clock is followed already; there is no jump to accept' : undefined;
  }
}

/** Asked again, a reseal finds the batch that the first one made of it. */
function refuseContent({ core }: Engine, { batchId, sealedAt }: ResealRequest): string | undefined {
  const batch = core.batches.find((inFlight) => inFlight.batchId === batchId);
  return batch === undefined || batch.journalSequence === sealedAt
    ? undefined
    : `batch ${batchId} is another by now: command ${batch.journalSequence} sealed it, the request is about that of command ${sealedAt}`;
}

function refuseMarket({ core }: Engine, index: number): string | undefined {
  const market = core.markets[index];
  if (market === undefined) return `there is no market ${index}`;
  return market.delisted ? `market ${index} is delisted on chain` : undefined;
}

function refuseFees({ core }: Engine, fees: readonly (MarketParameters | FeeTier)[]): string | undefined {
  const { makerFeePpm, takerFeePpm } = core.feeMaximum;
  const isWithin = fees.every((fee) => fee.makerFeePpm <= makerFeePpm && fee.takerFeePpm <= takerFeePpm);
  return isWithin ? undefined : `the vault takes at most ${makerFeePpm} ppm of a maker and ${takerFeePpm} of a taker`;
}

function refuseLimits(limits: EngineLimits, unsettledAgeMaxMs: number): string | undefined {
  for (const [name, value] of Object.entries(limits))
    if (!Number.isSafeInteger(value) || value < 1) return `${name} must be a whole number above zero`;
  return limits.unsettledAgeMaxMs > unsettledAgeMaxMs
    ? `unsettledAgeMaxMs must be at most ${unsettledAgeMaxMs}, half of the vault's grace period`
    : undefined;
}
