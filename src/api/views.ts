/** From rows and events in integers to what the API shows: decimal strings, symbols, checksummed addresses, null for absent. */
import type { Receipt } from '../domain/journal.ts';
import type { Asset, FeeTier } from '../domain/markets.ts';
import { formatAmount, formatPrice, formatSize } from '../domain/markets.ts';
import { packNonce } from '../domain/orders.ts';
import type { Address, Lots, PriceTicks, Quanta } from '../domain/units.ts';
import type { BalanceRow } from '../storage/queries/balances.ts';
import type { BatchRow } from '../storage/queries/batches.ts';
import type { WithdrawalTerms } from '../storage/queries/listings.ts';
import type { CandleRow, TickerRow } from '../storage/queries/market-statistics.ts';
import type { OrderRow } from '../storage/queries/orders.ts';
import type { FillRow, TradeRow } from '../storage/queries/trades.ts';
import type { DepositRow, WithdrawalRow } from '../storage/queries/transfers.ts';
import { toChecksum } from './addresses.ts';
import type { ListedMarket } from './market-catalogue.ts';
import type {
  AssetView,
  BalanceView,
  BatchFillView,
  BatchView,
  CandleView,
  DepositView,
  FeeTierView,
  MarketView,
  TickerView,
  TradeView,
  WithdrawalView,
} from './market-schemas.ts';
import type { FillView, OrderView } from './schemas.ts';

export function feeTierView({ volumeMin, makerFeePpm, takerFeePpm }: FeeTier, quote: Asset): FeeTierView {
  return { volume: formatAmount(volumeMin, quote), makerFeePpm, takerFeePpm };
}

export function assetView(asset: Asset, terms: WithdrawalTerms | undefined): AssetView {
  return {
    index: asset.index,
    symbol: asset.symbol,
    token: toChecksum(asset.token),
    decimals: asset.decimals,
    quantumUnits: asset.quantumUnits.toString(),
    minDeposit: formatAmount(asset.minDeposit, asset),
    minDepositQuanta: asset.minDeposit,
    withdrawalFee: formatAmount(terms?.fee ?? 0, asset),
    minWithdrawal: formatAmount(terms?.minimum ?? 0, asset),
  };
}

export function marketView({ market, base, quote, state, parameters }: ListedMarket): MarketView {
  return {
    symbol: market.symbol,
    index: market.index,
    state,
    baseAsset: base.symbol,
    quoteAsset: quote.symbol,
    baseAssetIndex: base.index,
    quoteAssetIndex: quote.index,
    baseToken: toChecksum(base.token),
    quoteToken: toChecksum(quote.token),
    tickSize: formatPrice(1 as PriceTicks, market, base, quote),
    lotSize: formatSize(1 as Lots, market, base),
    minNotional: formatAmount(parameters.minNotional, quote),
    maxPrice: formatPrice(market.maxPriceTicks, market, base, quote),
    maxSize: formatSize(market.maxSizeLots, market, base),
    makerFeePpm: parameters.makerFeePpm,
    takerFeePpm: parameters.takerFeePpm,
    priceBandPpm: parameters.priceBandPpm,
    lotQuanta: market.lotQuanta,
    tickQuanta: market.tickQuanta,
    maxSizeLots: market.maxSizeLots,
    maxPriceTicks: market.maxPriceTicks,
  };
}

export function priceText(price: PriceTicks, { market, base, quote }: ListedMarket): string {
  return formatPrice(price, market, base, quote);
}

export function sizeText(size: Lots, { market, base }: ListedMarket): string {
  return formatSize(size, market, base);
}

export function orderView(order: OrderRow, listed: ListedMarket): OrderView {
  return {
    id: order.digest,
    clientOrderId: order.clientOrderId === '' ? null : order.clientOrderId,
    account: toChecksum(order.account),
    signer: toChecksum(order.signer),
    market: listed.market.symbol,
    side: order.side,
    price: priceText(order.priceTicks, listed),
    size: sizeText(order.sizeLots, listed),
    filled: sizeText(order.filledLots, listed),
    remaining: sizeText(order.remainingLots, listed),
    averagePrice: averagePrice(order, listed),
    feesPaid: formatAmount(order.feesPaid, listed.quote),
    status: order.status,
    reason: order.reason ?? null,
    timeInForce: order.timeInForce,
    postOnly: order.postOnly,
    maxFeePpm: order.maxFeePpm,
    selfTradePrevention: order.selfTradePrevention,
    stop:
      order.stop === undefined
        ? null
        : { direction: order.stop.direction, triggerPrice: priceText(order.stop.triggerPriceTicks, listed) },
    lane: order.lane,
    nonce: packNonce(order.lane, order.orderSequence).toString(),
    expiresAt: order.expiry * 1000,
    journalSequence: order.journalSequence,
    createdAt: order.createdAtMs,
    updatedAt: order.updatedAtMs,
  };
}

/** Rounded down to a tick; for reading only, never an input of any amount. */
function averagePrice(order: OrderRow, listed: ListedMarket): string | null {
  if (order.filledLots === 0) return null;
  const lotsTimesTick = BigInt(order.filledLots) * BigInt(listed.market.tickQuanta);
  return priceText(Number(BigInt(order.filledNotional) / lotsTimesTick) as PriceTicks, listed);
}

export function fillView(fill: FillRow, listed: ListedMarket): FillView {
  return {
    tradeId: fill.tradeId,
    orderId: fill.digest,
    market: listed.market.symbol,
    side: fill.side,
    liquidity: fill.role,
    price: priceText(fill.priceTicks, listed),
    size: sizeText(fill.sizeLots, listed),
    notional: formatAmount(fill.notional, listed.quote),
    fee: formatAmount(fill.fee, listed.quote),
    feeAsset: listed.quote.symbol,
    state: fill.state,
    voidReason: fill.voidReason ?? null,
    batchId: fill.batchId ?? null,
    batchIndex: fill.batchIndex ?? null,
    transactionHash: fill.txHash ?? null,
    blockNumber: fill.blockNumber ?? null,
    journalSequence: fill.journalSequence,
    createdAt: fill.createdAtMs,
  };
}

export function tradeView(trade: TradeRow, listed: ListedMarket): TradeView {
  return {
    tradeId: trade.tradeId,
    market: listed.market.symbol,
    price: priceText(trade.priceTicks, listed),
    size: sizeText(trade.sizeLots, listed),
    notional: formatAmount(trade.notional, listed.quote),
    takerSide: trade.takerSide,
    state: trade.state,
    voidReason: trade.voidReason ?? null,
    batchId: trade.batchId ?? null,
    transactionHash: trade.txHash ?? null,
    createdAt: trade.createdAtMs,
  };
}

export function batchFillView(trade: TradeRow, listed: ListedMarket): BatchFillView {
  const sideOf = (account: Address, orderId: string, fee: Quanta): BatchFillView['taker'] => ({
    account: toChecksum(account),
    orderId,
    fee: formatAmount(fee, listed.quote),
  });
  return {
    ...tradeView(trade, listed),
    batchIndex: trade.batchIndex ?? null,
    taker: sideOf(trade.takerAccount, trade.takerDigest, trade.takerFee),
    maker: sideOf(trade.makerAccount, trade.makerDigest, trade.makerFee),
    blockNumber: trade.blockNumber ?? null,
  };
}

export function candleView(candle: CandleRow, listed: ListedMarket): CandleView {
  return {
    openTime: candle.openTimeMs,
    open: priceText(candle.open, listed),
    high: priceText(candle.high, listed),
    low: priceText(candle.low, listed),
    close: priceText(candle.close, listed),
    volume: volumeText(candle.volumeLots, listed),
    quoteVolume: formatAmount(candle.quoteVolume, listed.quote),
    trades: candle.trades,
  };
}

export function tickerView(
  ticker: TickerRow,
  best: { readonly bid: PriceTicks | undefined; readonly ask: PriceTicks | undefined },
  listed: ListedMarket,
): TickerView {
  const price = (ticks: PriceTicks | undefined): string | null =>
    ticks === undefined ? null : priceText(ticks, listed);
  return {
    market: listed.market.symbol,
    lastPrice: price(ticker.last),
    bestBid: price(best.bid),
    bestAsk: price(best.ask),
    open: price(ticker.open),
    high: price(ticker.high),
    low: price(ticker.low),
    volume: volumeText(ticker.volumeLots, listed),
    quoteVolume: formatAmount(ticker.quoteVolume, listed.quote),
    trades: ticker.trades,
  };
}

/** A sum over a day may leave safe integers, so lots stay a bigint here. */
function volumeText(volumeLots: bigint, { market, base }: ListedMarket): string {
  return formatAmount(volumeLots * BigInt(market.lotQuanta), base);
}

export function batchView(batch: BatchRow): BatchView {
  return {
    batchId: batch.batchId,
    state: batch.state,
    epoch: batch.epoch,
    journalSequence: batch.journalSequence,
    journalHash: batch.journalHash,
    parentHash: batch.parentHash,
    contentHash: batch.contentHash,
    batchHash: batch.batchHash,
    engineSignature: batch.engineSignature,
    trades: batch.tradeCount,
    withdrawals: batch.withdrawalCount,
    voided: batch.voidedCount,
    sealedAt: batch.sealedAtMs,
    transactionHash: batch.txHash ?? null,
    blockNumber: batch.blockNumber ?? null,
    blockHash: batch.blockHash ?? null,
    gasUsed: batch.gasUsed ?? null,
  };
}

export function balanceView(balance: BalanceRow, asset: Asset): BalanceView {
  return {
    asset: asset.symbol,
    token: toChecksum(asset.token),
    available: formatAmount(balance.available, asset),
    locked: formatAmount(balance.locked, asset),
    unsettledIn: formatAmount(balance.unsettledIn, asset),
    unsettledOut: formatAmount(balance.unsettledOut, asset),
    pendingDeposit: formatAmount(balance.pendingDeposit, asset),
    pendingWithdrawal: formatAmount(balance.pendingWithdrawal, asset),
    onChain: formatAmount(balance.settled, asset),
  };
}

export function depositView(deposit: DepositRow, asset: Asset): DepositView {
  return {
    eventSequence: deposit.eventSequence,
    asset: asset.symbol,
    amount: formatAmount(deposit.amount, asset),
    state: deposit.state,
    transactionHash: deposit.txHash ?? null,
    blockNumber: deposit.blockNumber ?? null,
    confirmations: deposit.confirmations,
    createdAt: deposit.createdAtMs,
  };
}

export function withdrawalView(withdrawal: WithdrawalRow, asset: Asset): WithdrawalView {
  return {
    id: withdrawal.digest,
    account: toChecksum(withdrawal.account),
    asset: asset.symbol,
    amount: formatAmount(withdrawal.amount, asset),
    fee: formatAmount(withdrawal.fee, asset),
    recipient: toChecksum(withdrawal.recipient),
    native: withdrawal.native,
    state: withdrawal.state,
    reason: withdrawal.reason ?? null,
    batchId: withdrawal.batchId ?? null,
    transactionHash: withdrawal.txHash ?? null,
    blockNumber: withdrawal.blockNumber ?? null,
    journalSequence: withdrawal.journalSequence,
    createdAt: withdrawal.createdAtMs,
    updatedAt: withdrawal.updatedAtMs,
  };
}

export function receiptView(receipt: Receipt) {
  return {
    sequence: receipt.sequence,
    rowHash: receipt.rowHash,
    merkleRoot: receipt.merkleRoot,
    leafIndex: receipt.leafIndex,
    leafCount: receipt.leafCount,
    proof: [...receipt.proof],
    signature: receipt.signature,
  };
}
