/**
 * A dry run: everything about an order that can be known without sending it to the engine. An empty list promises nothing, since
 * books and balances move; a non-empty one names what would be refused now.
 */
import type { Static } from 'typebox';
import type { CheckedSignature } from '../../chain/check-signature.ts';
import type { OrderMessage } from '../../chain/digests.ts';
import { formatAmount, tierAt } from '../../domain/markets.ts';
import type { RejectReason } from '../../domain/reasons.ts';
import { REJECT_REASONS } from '../../domain/reasons.ts';
import type { Ppm, Quanta } from '../../domain/units.ts';
import { feeOf, fitsNotional, notional } from '../../domain/units.ts';
import { accountBalances } from '../../storage/queries/balances.ts';
import { findGenesis, listVolumes } from '../../storage/queries/listings.ts';
import { findPlacement, liveLanes } from '../../storage/queries/orders.ts';
import { listExits } from '../../storage/queries/transfers.ts';
import { toChecksum, toInternal } from '../addresses.ts';
import type { ApiContext } from '../context.ts';
import { bestPrices } from '../market-data-views.ts';
import type { FieldError } from '../problem.ts';
import { ProblemError } from '../problem.ts';
import type { PlaceOrderBody } from '../schemas.ts';
import { priceText, sizeText } from '../views.ts';
import { checkSigner } from './check-signer.ts';
import { REASON_FIELDS } from './engine-reply.ts';
import { unknownAccount } from './known-accounts.ts';
import type { ReadOrder } from './read-signed.ts';
import { tryReadOrder } from './read-signed.ts';

/** The same bounds as the engine's and the contract's. */
const ORDER_LIFE_MAX_SECONDS = 30 * 24 * 60 * 60;
const SEQUENCE_AHEAD_MAX_MS = 60_000;

export async function validateOrder(body: Static<typeof PlaceOrderBody>, context: ApiContext) {
  const { catalogue, digester, dependencies } = context;
  await catalogue.refresh();
  const { message, order, errors } = tryReadOrder(body, catalogue);
  const problems: FieldError[] = [...errors];
  const checked =
    message === undefined
      ? undefined
      : await dependencies.signatures.check({ kind: 'order', message, signature: body.signature });
  if (checked !== undefined) problems.push(...(await signatureProblems(checked, order?.terms.market ?? 0, context)));
  if (order !== undefined && checked !== undefined) {
    const { account } = order.terms;
    if ((await context.accounts.standing(account)) === 'unknown')
      problems.push(unknownAccount(account, '/order/account'));
    const reasons = await reasonsAgainst(order, checked, context);
    problems.push(
      ...reasons.map((reason) => ({
        pointer: REASON_FIELDS[reason] ?? '',
        code: reason,
        message: REJECT_REASONS[reason],
      })),
    );
  }
  return {
    valid: problems.length === 0,
    digest: checked?.digest ?? null,
    structHash: message === undefined ? null : digester.orderStructHash(message),
    expectedAccount: toChecksum(toInternal(body.order.account)),
    recoveredSigner: checked?.signer === undefined ? null : toChecksum(checked.signer),
    domain: { ...digester.domain, verifyingContract: toChecksum(digester.domain.verifyingContract) },
    ...termsOf(order, message),
    problems,
  };
}

function termsOf(order: ReadOrder | undefined, message: OrderMessage | undefined) {
  if (order === undefined) {
    return {
      market: null,
      side: message?.side ?? null,
      price: null,
      size: null,
      notional: null,
      maxFee: null,
      lane: null,
    };
  }
  const { terms, listed } = order;
  const fits = fitsNotional(terms.priceTicks, terms.sizeLots, listed.market);
  const quoteQuanta = notional(terms.priceTicks, terms.sizeLots, listed.market);
  return {
    market: listed.market.symbol,
    side: terms.side,
    price: priceText(terms.priceTicks, listed),
    size: sizeText(terms.sizeLots, listed),
    notional: fits ? formatAmount(quoteQuanta, listed.quote) : null,
    maxFee: fits ? formatAmount(feeOf(quoteQuanta, terms.maxFeePpm), listed.quote) : null,
    lane: terms.lane,
  };
}

async function signatureProblems(
  checked: CheckedSignature,
  market: number,
  context: ApiContext,
): Promise<readonly FieldError[]> {
  const { pool, clock, dependencies } = context;
  try {
    await checkSigner(checked, market, { pool, clock, signatures: dependencies.signatures });
    return [];
  } catch (error) {
    if (error instanceof ProblemError && error.code === 'INVALID_SIGNATURE') return error.fieldErrors;
    throw error;
  }
}

/** In the engine's own words, from what the projections and the live book show. */
async function reasonsAgainst(
  order: ReadOrder,
  checked: CheckedSignature,
  context: ApiContext,
): Promise<RejectReason[]> {
  const { terms, listed } = order;
  const { pool, writes } = context;
  const { account } = terms;
  await writes.settled(account);
  const [balances, exits, lanes, genesis, placement] = await Promise.all([
    accountBalances(pool, account),
    listExits(pool, account),
    liveLanes(pool, account),
    findGenesis(pool),
    findPlacement(pool, { account, digest: checked.digest, clientOrderId: order.options.clientOrderId }),
  ]);
  const volumes = await listVolumes(pool, account, context.clock());
  const reasons = rulesBroken(order, volumes.get(listed.quote.index) ?? (0 as Quanta), context);
  if (placement.sameDigest !== undefined) reasons.push('duplicate_order');
  else if (lanes.includes(terms.lane)) reasons.push('lane_busy');
  if (genesis !== undefined) {
    const ageMs = context.clock() - context.chain.deployedAtMs - terms.orderSequence;
    if (ageMs > genesis.limits.orderAgeMaxMs) reasons.push('sequence_too_old');
    if (lanes.length >= genesis.limits.openOrdersPerAccountMax) reasons.push('too_many_open_orders');
  }
  const spent = terms.side === 'buy' ? listed.quote.index : listed.base.index;
  const pairAssets = [listed.quote.index, listed.base.index];
  if (exits.some((exit) => exit.status === 'requested' && pairAssets.includes(exit.asset)))
    reasons.push('exit_pending');
  if (fitsNotional(terms.priceTicks, terms.sizeLots, listed.market)) {
    const quoteQuanta = notional(terms.priceTicks, terms.sizeLots, listed.market);
    const needed =
      terms.side === 'buy'
        ? quoteQuanta + feeOf(quoteQuanta, terms.maxFeePpm)
        : terms.sizeLots * listed.market.lotQuanta;
    const available = balances.balances.find((balance) => balance.asset === spent)?.available ?? 0;
    if (available < needed) reasons.push('insufficient_balance');
  }
  return reasons;
}

function rulesBroken(
  { terms, listed, options }: ReadOrder,
  volume: Quanta,
  { clock, chain, dependencies }: ApiContext,
): RejectReason[] {
  const reasons: RejectReason[] = [];
  const nowMs = clock();
  const { parameters, market } = listed;
  if (listed.state !== 'open') reasons.push('market_not_open');
  if (!fitsNotional(terms.priceTicks, terms.sizeLots, market)) reasons.push('notional_too_large');
  else if (notional(terms.priceTicks, terms.sizeLots, market) < parameters.minNotional)
    reasons.push('below_min_notional');
  if (terms.expiry * 1000 <= nowMs) reasons.push('expired');
  const bornMs = Math.min(chain.deployedAtMs + terms.orderSequence, nowMs);
  if (terms.expiry > bornMs / 1000 + ORDER_LIFE_MAX_SECONDS) reasons.push('expiry_too_far');
  const { makerFeePpm, takerFeePpm } = tierAt(parameters.feeTiers, volume) ?? parameters;
  const feeCharged = terms.postOnly ? makerFeePpm : (Math.max(makerFeePpm, takerFeePpm) as Ppm);
  if (terms.maxFeePpm < feeCharged) reasons.push('max_fee_too_low');
  if (terms.orderSequence > nowMs - chain.deployedAtMs + SEQUENCE_AHEAD_MAX_MS) reasons.push('sequence_in_future');
  if (terms.postOnly && (terms.timeInForce === 'ioc' || terms.timeInForce === 'fok'))
    reasons.push('post_only_not_resting');
  if (terms.postOnly && options.stop === undefined) {
    const best = bestPrices(dependencies.marketData, market.index);
    const crosses =
      terms.side === 'buy'
        ? best.ask !== undefined && terms.priceTicks >= best.ask
        : best.bid !== undefined && terms.priceTicks <= best.bid;
    if (crosses) reasons.push('post_only_would_cross');
  }
  return reasons;
}
