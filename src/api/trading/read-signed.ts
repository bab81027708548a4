/**
 * From a request's body to what the engine takes, with every fault named by its place in the body. What is checked here is form
 * alone; whether the exchange takes the order is the engine's decision.
 */
import type { OrderMessage, WithdrawalMessage } from '../../chain/digests.ts';
import type { FieldProblem, Listing, OrderTerms, WithdrawalTerms } from '../../chain/signed-order.ts';
import { deriveOrder, deriveWithdrawal, parseOrder, parseWithdrawal } from '../../chain/signed-order.ts';
import { parsePrice } from '../../domain/markets.ts';
import type { NewOrder, StopTrigger } from '../../domain/orders.ts';
import { unitsToDecimal } from '../../domain/units.ts';
import type { ListedMarket, MarketCatalogue } from '../market-catalogue.ts';
import type { FieldError } from '../problem.ts';
import { validationFailed } from '../problem.ts';
import type { PlaceOrderBody, WithdrawalBody } from '../schemas.ts';

export type OrderOptions = Pick<NewOrder, 'clientOrderId' | 'selfTradePrevention' | 'stop'>;

export type ReadOrder = {
  readonly message: OrderMessage;
  readonly terms: OrderTerms;
  readonly options: OrderOptions;
  readonly listed: ListedMarket;
};

/** With the listing as the catalogue read it last: see `refresh`. @throws ProblemError VALIDATION_FAILED naming every field at fault */
export function readOrder(body: PlaceOrderBody, catalogue: MarketCatalogue): ReadOrder {
  const read = tryReadOrder(body, catalogue);
  if (read.order === undefined) throw validationFailed(read.errors);
  return read.order;
}

/** As `readOrder`, with the faults as a value; `message` is there as soon as the fields can be hashed. */
export function tryReadOrder(
  body: PlaceOrderBody,
  catalogue: MarketCatalogue,
): { message: OrderMessage | undefined; order: ReadOrder | undefined; errors: FieldError[] } {
  const parsed = parseOrder(body.order);
  if (parsed.kind === 'invalid') {
    return {
      message: undefined,
      order: undefined,
      errors: parsed.problems.map((problem) => located('/order', problem)),
    };
  }
  const { message } = parsed;
  const listing = catalogue.peekListing();
  const derived = deriveOrder(message, listing);
  const pair = listing.pairOf(message.baseToken, message.quoteToken);
  const listed = pair === undefined ? undefined : catalogue.peekMarket(pair.market.index);
  const errors =
    derived.kind === 'invalid'
      ? derived.problems.map((problem) => located('/order', withSteps(problem, message, listed)))
      : [];
  const stop = listed === undefined ? undefined : readStop(body.stop, listed, errors);
  if (derived.kind === 'invalid' || listed === undefined || errors.length > 0)
    return { message, order: undefined, errors };
  const options: OrderOptions = {
    clientOrderId: body.clientOrderId ?? '',
    selfTradePrevention: body.selfTradePrevention ?? 'cancel_newest',
    stop,
  };
  return { message, order: { message, terms: derived.terms, options, listed }, errors };
}

/** @throws ProblemError VALIDATION_FAILED naming every field at fault */
export async function readWithdrawal(
  body: WithdrawalBody,
  catalogue: MarketCatalogue,
): Promise<{ message: WithdrawalMessage; terms: WithdrawalTerms }> {
  const parsed = parseWithdrawal(body.withdrawal);
  if (parsed.kind === 'invalid')
    throw validationFailed(parsed.problems.map((problem) => located('/withdrawal', problem)));
  const listing: Listing = await catalogue.listing();
  const derived = deriveWithdrawal(parsed.message, listing);
  if (derived.kind === 'invalid') {
    const asset = listing.assetOf(parsed.message.token)?.asset;
    throw validationFailed(
      derived.problems.map((problem) => {
        if (problem.code !== 'off_quantum' || asset === undefined) return located('/withdrawal', problem);
        const step = `${asset.quantumUnits} base units (${unitsToDecimal(asset.quantumUnits, asset.decimals)} ${asset.symbol})`;
        return located('/withdrawal', { ...problem, message: `${problem.message} Use a multiple of ${step}.` });
      }),
    );
  }
  return { message: parsed.message, terms: derived.terms };
}

function located(prefix: string, problem: FieldProblem): FieldError {
  return { pointer: `${prefix}/${problem.field}`, code: problem.code, message: problem.message };
}

/** Says what the step is, in the units that were signed. */
function withSteps(problem: FieldProblem, message: OrderMessage, listed: ListedMarket | undefined): FieldProblem {
  if (listed === undefined) return problem;
  const { market, base, quote } = listed;
  const lotUnits = BigInt(market.lotQuanta) * base.quantumUnits;
  if (problem.code === 'off_lot') {
    const step = `${lotUnits} base units (${unitsToDecimal(lotUnits, base.decimals)} ${base.symbol})`;
    return { ...problem, message: `${problem.message} Use a multiple of ${step}, got ${message.baseAmount}.` };
  }
  if (problem.code === 'off_tick') {
    const tickUnits = (message.baseAmount / lotUnits) * BigInt(market.tickQuanta) * quote.quantumUnits;
    return {
      ...problem,
      message: `${problem.message} For this size use a multiple of ${tickUnits} quote units, got ${message.quoteAmount}.`,
    };
  }
  return problem;
}

function readStop(stop: PlaceOrderBody['stop'], listed: ListedMarket, errors: FieldError[]): StopTrigger | undefined {
  if (stop === undefined) return undefined;
  const triggerPriceTicks = parsePrice(stop.triggerPrice, listed.market, listed.base, listed.quote);
  if (triggerPriceTicks === undefined || triggerPriceTicks === 0) {
    errors.push({
      pointer: '/stop/triggerPrice',
      code: 'off_tick',
      message: `Must be a positive decimal on the tick size of ${listed.market.symbol}, not above its highest price.`,
    });
    return undefined;
  }
  return { direction: stop.direction, triggerPriceTicks };
}
