/**
 * Judges a batch: which of its fills had to be executed, and which skipped for what reason? The model's own answer, fill by fill in engine
 * order, is applied to its books and compared with what the vault reported.
 *
 * The order of checks is that of docs/batch-format.md, section 3, since it decides the reason. Products that no balance could cover (2^53 and
 * more) are treated as such without computing them exactly.
 */
import type { Digester } from '../chain/digests.ts';
import { hexToBytes } from '../chain/hex.ts';
import { keccak } from '../chain/keccak.ts';
import { packNonce } from '../domain/orders.ts';
import { feeOf, type Hash, type Ppm, type Quanta } from '../domain/units.ts';
import type { OrderSigners } from './order-signers.ts';
import type { Content, ContentFill, ContentOrder } from './read-content.ts';
import {
  ALL_MARKETS,
  FEE_CAP_PPM,
  type ModelAccount,
  type ModelLane,
  type ModelMarket,
  type VaultModel,
} from './vault-model.ts';

/** Reason bytes of docs/batch-format.md, section 4. */
export const REASON = {
  badSignature: 1,
  expired: 2,
  cancelled: 3,
  superseded: 4,
  overfilled: 5,
  mispriced: 6,
  insufficientBalance: 7,
  selfTrade: 8,
  postOnlyTaker: 9,
  feeTooHigh: 10,
  fillOrKill: 11,
  invalidOrder: 12,
  marketClosed: 13,
  zeroSize: 14,
  sessionKeyInvalid: 15,
  notRegistered: 16,
  notVerified: 17,
  immediateMaker: 18,
  immediateReused: 19,
  marketMismatch: 20,
  sameSide: 21,
} as const;

const SEQUENCE_AHEAD_SECONDS = 120;
const ORDER_LIFE_SECONDS = 30 * 86_400;

/** Zero reason: executed. */
export type Verdict = { readonly reason: number; readonly fault: 'taker' | 'maker' };
const EXECUTED: Verdict = { reason: 0, fault: 'taker' };
const byTaker = (reason: number): Verdict => ({ reason, fault: 'taker' });
const byMaker = (reason: number): Verdict => ({ reason, fault: 'maker' });

/** An order of the batch with what the checks found. */
export type JudgedOrder = {
  readonly order: ContentOrder;
  readonly account: ModelAccount;
  readonly market: ModelMarket | undefined;
  readonly digest: Hash;
  readonly tag: string;
  readonly isImmediate: boolean;
  /** Zero while the order may be filled. */
  mark: number;
};

export type JudgedBatch = { readonly orders: readonly JudgedOrder[]; readonly verdicts: readonly Verdict[] };

/** Judges orders and fills at the time of the block, and applies the fills that had to be executed to the model. */
export function judgeFills(
  model: VaultModel,
  digester: Digester,
  signers: OrderSigners,
  content: Content,
  now: number,
): JudgedBatch {
  const orders = content.orders.map((order) => judgeOrder(model, digester, signers, order, now));
  const feesMax = model.feesMax(now);
  const verdicts: Verdict[] = [];
  while (verdicts.length < content.fills.length) {
    const first = content.fills[verdicts.length] as ContentFill;
    const taker = orders[first.taker] as JudgedOrder;
    if (taker.order.timeInForce === 'fok' && taker.mark === 0) {
      verdicts.push(...judgeFillOrKill(model, orders, content.fills, verdicts.length, feesMax));
    } else {
      verdicts.push(judgeFill(model, orders, first, feesMax));
    }
  }
  return { orders, verdicts };
}

/** @param model lanes, stamps and keys as they stood before the batch */
function judgeOrder(
  model: VaultModel,
  digester: Digester,
  signers: OrderSigners,
  order: ContentOrder,
  now: number,
): JudgedOrder {
  const account = model.account(order.account);
  const listed = model.market(order.market);
  const { grace, deployedAt } = model.parameters;
  const isOpen = listed !== undefined && (listed.delistedAt === undefined || now <= listed.delistedAt + grace);
  const isImmediate = order.timeInForce === 'ioc' || order.timeInForce === 'fok';
  const unsigned = { order, account, market: listed, digest: '0x' as Hash, tag: '', isImmediate };
  if (!isOpen || listed === undefined) return { ...unsigned, mark: REASON.marketClosed };
  const isBad =
    order.maxFeePpm > FEE_CAP_PPM ||
    order.sequence === 0 ||
    order.sequence > (now - deployedAt + SEQUENCE_AHEAD_SECONDS) * 1000 ||
    order.expiry * 1000 > (deployedAt + ORDER_LIFE_SECONDS) * 1000 + order.sequence;
  const digest = digester.order(orderMessage(model, order, listed));
  const known = { ...unsigned, digest };
  if (isBad) return { ...known, mark: REASON.invalidOrder };
  if (now > order.expiry + grace) return { ...known, mark: REASON.expired };
  if (order.sequence < model.cutoff(account, now)) return { ...known, mark: REASON.cancelled };
  return { ...known, ...judgeAuthority(account, order, signers, digest, isImmediate, now) };
}

/** What a batch or the journal must say of an order for it to be signed again. */
export type OrderTerms = Pick<
  ContentOrder,
  | 'account'
  | 'lane'
  | 'sequence'
  | 'market'
  | 'side'
  | 'timeInForce'
  | 'postOnly'
  | 'sizeLots'
  | 'priceTicks'
  | 'expiry'
  | 'maxFeePpm'
>;

/** The message that the order's account signed. */
export function orderMessage(
  model: VaultModel,
  order: OrderTerms,
  market: ModelMarket,
): Parameters<Digester['order']>[0] {
  const base = model.assets[market.base];
  const quote = model.assets[market.quote];
  if (base === undefined || quote === undefined)
    throw new Error(`market ${order.market} names assets that are not listed`);
  const size = BigInt(order.sizeLots);
  return {
    account: order.account,
    side: order.side,
    baseToken: base.token,
    baseAmount: size * BigInt(market.lotQuanta) * base.quantumUnits,
    quoteToken: quote.token,
    quoteAmount: size * BigInt(order.priceTicks) * BigInt(market.tickQuanta) * quote.quantumUnits,
    timeInForce: order.timeInForce,
    postOnly: order.postOnly,
    nonce: packNonce(order.lane, order.sequence),
    expiry: BigInt(order.expiry),
    maxFeePpm: order.maxFeePpm,
  };
}

function judgeAuthority(
  account: ModelAccount,
  order: ContentOrder,
  signers: OrderSigners,
  digest: Hash,
  isImmediate: boolean,
  now: number,
): { mark: number; tag: string } {
  const refuse = (mark: number): { mark: number; tag: string } => ({ mark, tag: '' });
  const lane = account.lanes.get(order.lane);
  let signer: string = order.account;
  if (order.authorisation === 'owner' || order.authorisation === 'session') {
    const recovered = signers.signerOf(order, digest);
    if (recovered === undefined) return refuse(REASON.badSignature);
    if (order.authorisation === 'owner' && recovered !== order.account) return refuse(REASON.badSignature);
    signer = recovered;
  } else if (order.authorisation === 'registered') {
    if (!account.registeredOrders.has(digest)) return refuse(REASON.notRegistered);
  } else if (order.authorisation === 'verified_session') {
    signer = order.proof;
  }
  const tag = order.lane === 0 ? '' : laneTag(digest, signer);
  const isVerified = order.authorisation === 'verified_owner' || order.authorisation === 'verified_session';
  if (isVerified && (order.lane === 0 || lane?.tag !== tag)) return refuse(REASON.notVerified);
  if (order.authorisation === 'session' || order.authorisation === 'verified_session') {
    const key = account.sessionKeys.get(signer as ContentOrder['account']);
    const covers =
      key !== undefined &&
      (key.marketMask >= ALL_MARKETS || (order.market < 192 && ((key.marketMask >> BigInt(order.market)) & 1n) === 1n));
    if (!covers || now > key.settleableUntil) return refuse(REASON.sessionKeyInvalid);
  }
  if (isImmediate && (lane?.sequence ?? 0) === order.sequence) return refuse(REASON.immediateReused);
  return { mark: 0, tag };
}

/** Upper 160 bits of keccak256(abi.encode(digest, signer)). */
export function laneTag(digest: Hash, signer: string): string {
  const words = new Uint8Array(64);
  words.set(hexToBytes(digest), 0);
  words.set(hexToBytes(signer), 44);
  return keccak(words).slice(0, 42);
}

/** All contiguous fills of a fill-or-kill taker, all executed or all skipped. */
function judgeFillOrKill(
  model: VaultModel,
  orders: readonly JudgedOrder[],
  fills: readonly ContentFill[],
  start: number,
  feesMax: { taker: number; maker: number },
): Verdict[] {
  const takerIndex = (fills[start] as ContentFill).taker;
  const taker = orders[takerIndex] as JudgedOrder;
  const undo: (() => void)[] = [];
  const verdicts: Verdict[] = [];
  let failed: number | undefined;
  for (let index = start; fills[index]?.taker === takerIndex; index++) {
    const verdict =
      failed === undefined ? judgeFill(model, orders, fills[index] as ContentFill, feesMax, undo) : EXECUTED;
    if (verdict.reason !== 0) failed = verdicts.length;
    verdicts.push(verdict);
  }
  const lane = taker.account.lanes.get(taker.order.lane);
  const isComplete = lane?.sequence === taker.order.sequence && lane.filledLots === taker.order.sizeLots;
  if (failed === undefined && isComplete) return verdicts;
  for (const step of undo.toReversed()) step();
  taker.mark = REASON.fillOrKill;
  return verdicts.map((verdict, index) => (index === failed ? verdict : byTaker(REASON.fillOrKill)));
}

/** One fill; applied to the model when executed. `undo` gathers how to take it back. */
function judgeFill(
  model: VaultModel,
  orders: readonly JudgedOrder[],
  fill: ContentFill,
  feesMax: { taker: number; maker: number },
  undo?: (() => void)[],
): Verdict {
  const taker = orders[fill.taker] as JudgedOrder;
  const maker = orders[fill.maker] as JudgedOrder;
  const refused = judgePair(taker, maker, fill);
  if (refused !== undefined) return refused;
  const takerLane = judgeLane(taker, fill.sizeLots);
  if ('reason' in takerLane) return byTaker(takerLane.reason);
  const makerLane = judgeLane(maker, fill.sizeLots);
  if ('reason' in makerLane) return byMaker(makerLane.reason);
  if (fill.takerFeePpm > taker.order.maxFeePpm || fill.takerFeePpm > feesMax.taker) return byTaker(REASON.feeTooHigh);
  if (fill.makerFeePpm > maker.order.maxFeePpm || fill.makerFeePpm > feesMax.maker) return byMaker(REASON.feeTooHigh);
  const market = taker.market as ModelMarket;
  const notional = fill.sizeLots * maker.order.priceTicks * market.tickQuanta;
  const fits = notional < 2 ** 53;
  const [takerFee, makerFee] = [fill.takerFeePpm, fill.makerFeePpm].map((ppm) =>
    fits ? feeOf(notional as Quanta, ppm as Ppm) : 0,
  ) as [number, number];
  const takerBuys = taker.order.side === 'buy';
  const [buyer, seller] = takerBuys ? [taker, maker] : [maker, taker];
  const [buyerFee, sellerFee] = takerBuys ? [takerFee, makerFee] : [makerFee, takerFee];
  const base = fill.sizeLots * market.lotQuanta;
  const cost = notional + buyerFee;
  const balanceOf = (side: JudgedOrder, asset: number): number => side.account.balances[asset] ?? 0;
  if (!fits || balanceOf(buyer, market.quote) < cost)
    return takerBuys ? byTaker(REASON.insufficientBalance) : byMaker(REASON.insufficientBalance);
  if (balanceOf(seller, market.base) < base)
    return takerBuys ? byMaker(REASON.insufficientBalance) : byTaker(REASON.insufficientBalance);

  const quoteAsset = model.assets[market.quote];
  if (quoteAsset === undefined) throw new Error(`asset ${market.quote} is not listed`);
  const move = (sign: 1 | -1): void => {
    add(buyer.account, market.quote, -sign * cost);
    add(seller.account, market.quote, sign * (notional - sellerFee));
    add(buyer.account, market.base, sign * base);
    add(seller.account, market.base, -sign * base);
    quoteAsset.fees += sign * (buyerFee + sellerFee);
  };
  undo?.push(restoreLane(taker), restoreLane(maker), () => move(-1));
  move(1);
  taker.account.lanes.set(taker.order.lane, takerLane);
  maker.account.lanes.set(maker.order.lane, makerLane);
  return EXECUTED;
}

function add(account: ModelAccount, asset: number, quanta: number): void {
  account.balances[asset] = (account.balances[asset] ?? 0) + quanta;
}

function restoreLane({ account, order }: JudgedOrder): () => void {
  const before = account.lanes.get(order.lane);
  return () => {
    if (before === undefined) account.lanes.delete(order.lane);
    else account.lanes.set(order.lane, before);
  };
}

/** What can be said without lanes and balances. */
function judgePair(taker: JudgedOrder, maker: JudgedOrder, fill: ContentFill): Verdict | undefined {
  if (taker.mark !== 0) return byTaker(taker.mark);
  if (maker.mark !== 0) return byMaker(maker.mark);
  if (taker.order.market !== maker.order.market) return byTaker(REASON.marketMismatch);
  if (taker.order.side === maker.order.side) return byTaker(REASON.sameSide);
  if (taker.order.account === maker.order.account) return byTaker(REASON.selfTrade);
  if (taker.order.postOnly) return byTaker(REASON.postOnlyTaker);
  if (maker.isImmediate) return byMaker(REASON.immediateMaker);
  const crosses =
    taker.order.side === 'buy'
      ? taker.order.priceTicks >= maker.order.priceTicks
      : taker.order.priceTicks <= maker.order.priceTicks;
  if (!crosses) return byTaker(REASON.mispriced);
  if (fill.sizeLots * maker.order.priceTicks === 0) return byTaker(REASON.zeroSize);
  return undefined;
}

/** The lane after the fill, or why it cannot be. */
function judgeLane({ order, account, tag }: JudgedOrder, size: number): ModelLane | { reason: number } {
  const lane = account.lanes.get(order.lane);
  if (lane !== undefined && lane.sequence > order.sequence) return { reason: REASON.superseded };
  const filledLots = (lane?.sequence === order.sequence ? lane.filledLots : 0) + size;
  if (filledLots > order.sizeLots) return { reason: REASON.overfilled };
  return { sequence: order.sequence, filledLots, tag };
}
