/**
 * The vault as plainly as possible: one book, gapless events, batches settled once and in order. It trusts the engine in nothing: a trade
 * that does not fit what was signed, or that an account cannot pay, is skipped, and one the engine should never have sealed is an error.
 */
import { strict as assert } from 'node:assert';
import type {
  BatchOrder,
  BatchTrade,
  BatchWithdrawal,
  SealedBatch,
  WithdrawalOutcome,
} from '../../src/domain/batches.ts';
import type { ChainCommand, ChainFact } from '../../src/domain/commands.ts';
import type { Address, ChainEventSequence, Hash, Quanta } from '../../src/domain/units.ts';
import type { Random } from './faulty-world.ts';
import { FEE_ADDRESS, LOT_QUANTA, MARKETS, TICK_QUANTA } from './listings.ts';

export type Delta = { readonly account: Address; readonly asset: number; readonly amount: number };
export type VaultEvent = { readonly command: ChainCommand; readonly deltas: readonly Delta[] };

/** Reasons for which the real vault skips what was sound when it was matched: signature, expiry, cancel, session key. */
const SKIPS_OUT_OF_THE_BLUE = [1, 2, 3, 15];
const INSUFFICIENT_BALANCE = 7;

export class ModelVault {
  readonly events: VaultEvent[] = [];
  readonly books = new Map<string, number>();
  /** Sealed batches by id, as the publisher handed them over. */
  readonly published = new Map<number, SealedBatch>();
  readonly exits = new Set<string>();
  settledBatches = 0;
  skippedTrades = 0;
  readonly #filled = new Map<Hash, number>();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  emit(fact: ChainFact, deltas: readonly Delta[] = []): void {
    for (const { account, asset, amount } of deltas) this.#book(account, asset, amount);
    this.#say(fact, deltas);
  }

  bookOf(account: Address, asset: number): number {
    return this.books.get(`${account}:${asset}`) ?? 0;
  }

  /** A batch published again must be the same batch. */
  publish(batch: SealedBatch): void {
    const before = this.published.get(batch.batchId);
    if (before !== undefined) assert.deepEqual(batch, before, `batch ${batch.batchId} was published with two contents`);
    this.published.set(batch.batchId, batch);
  }

  /** Goes on with the exit that is pending, if there is one; otherwise the account asks for one. */
  exit(someone: Address, something: number): void {
    const [pending] = this.exits;
    const key = pending ?? `${someone}:${something}`;
    const [account, asset] = [key.slice(0, 42) as Address, Number(key.slice(43))];
    if (pending === undefined) {
      this.exits.add(key);
      this.emit({ kind: 'exitRequested', account, asset });
      return;
    }
    this.exits.delete(key);
    if (this.#random(3) === 0) {
      this.emit({ kind: 'exitCancelled', account, asset });
      return;
    }
    const amount = this.bookOf(account, asset);
    this.emit({ kind: 'exitExecuted', account, asset, amount: amount as Quanta }, [
      { account, asset, amount: -amount },
    ]);
  }

  /** Settles the next batch. @returns false when none is published */
  settleNext(): boolean {
    const batch = this.published.get(this.settledBatches + 1);
    if (batch === undefined) return false;
    this.settledBatches++;
    const deltas: Delta[] = [];
    const post = (account: Address, asset: number, amount: number): void => {
      deltas.push({ account, asset, amount });
      this.#book(account, asset, amount);
    };
    const skips: { trade: number; reason: number }[] = [];
    for (const [index, trade] of batch.trades.entries()) {
      const reason = this.#skipReason(batch, trade);
      if (reason === undefined) this.#execute(batch, trade, post);
      else skips.push({ trade: index, reason });
    }
    this.skippedTrades += skips.length;
    const withdrawals = batch.withdrawals.map((withdrawal, index) => this.#withdraw(withdrawal, index, post));
    const contentHash: Hash = `0x${batch.batchId.toString(16).padStart(64, '0')}`;
    this.#say({ kind: 'batchSettled', batchId: batch.batchId, contentHash, skips, withdrawals }, deltas);
    return true;
  }

  #skipReason(batch: SealedBatch, trade: BatchTrade): number | undefined {
    const { buy, sell, maker, taker } = sidesOf(batch, trade);
    assert.notEqual(maker.account, taker.account, 'a sealed trade of an account with itself');
    for (const order of [maker, taker]) {
      const filled = (this.#filled.get(order.digest) ?? 0) + trade.sizeLots;
      assert.ok(filled <= order.sizeLots, `order ${order.digest} would be filled with ${filled} of ${order.sizeLots}`);
    }
    assert.ok(
      sell.priceTicks <= maker.priceTicks && maker.priceTicks <= buy.priceTicks,
      'a sealed trade beyond a limit',
    );
    if (this.#random(40) === 0) return SKIPS_OUT_OF_THE_BLUE[this.#random(SKIPS_OUT_OF_THE_BLUE.length)];
    const { base, quote } = MARKETS[maker.market] as (typeof MARKETS)[number];
    const pays = amountsOf(batch, trade);
    const covered =
      this.bookOf(buy.account, quote) >= pays.notional + pays.buyerFee && this.bookOf(sell.account, base) >= pays.base;
    return covered ? undefined : INSUFFICIENT_BALANCE;
  }

  #execute(
    batch: SealedBatch,
    trade: BatchTrade,
    post: (account: Address, asset: number, amount: number) => void,
  ): void {
    const { buy, sell, maker, taker } = sidesOf(batch, trade);
    const { base, quote } = MARKETS[maker.market] as (typeof MARKETS)[number];
    const pays = amountsOf(batch, trade);
    post(buy.account, quote, -pays.notional - pays.buyerFee);
    post(buy.account, base, pays.base);
    post(sell.account, base, -pays.base);
    post(sell.account, quote, pays.notional - pays.sellerFee);
    post(FEE_ADDRESS, quote, pays.buyerFee + pays.sellerFee);
    for (const { digest } of [maker, taker]) this.#filled.set(digest, (this.#filled.get(digest) ?? 0) + trade.sizeLots);
  }

  #withdraw(
    { account, asset, amount, fee, maxFee }: BatchWithdrawal,
    index: number,
    post: (account: Address, asset: number, amount: number) => void,
  ): WithdrawalOutcome {
    assert.ok(fee <= maxFee && fee < amount, 'a sealed withdrawal with a fee above what was signed');
    if (this.bookOf(account, asset) < amount) return { index, state: 'failed', reason: 'insufficient_balance' };
    if (this.#random(15) === 0) return { index, state: 'failed', reason: 'outflow_limit' };
    post(account, asset, -amount);
    post(FEE_ADDRESS, asset, fee);
    return { index, state: 'executed', reason: 'executed' };
  }

  #say(fact: ChainFact, deltas: readonly Delta[]): void {
    const eventSequence = (this.events.length + 1) as ChainEventSequence;
    this.events.push({ command: { ...fact, eventSequence }, deltas });
  }

  #book(account: Address, asset: number, amount: number): void {
    const after = this.bookOf(account, asset) + amount;
    assert.ok(after >= 0, `the vault owes ${account} ${after} of asset ${asset}`);
    this.books.set(`${account}:${asset}`, after);
  }
}

function sidesOf(
  batch: SealedBatch,
  trade: BatchTrade,
): { maker: BatchOrder; taker: BatchOrder; buy: BatchOrder; sell: BatchOrder } {
  const maker = batch.orders[trade.makerOrder] as BatchOrder;
  const taker = batch.orders[trade.takerOrder] as BatchOrder;
  assert.notEqual(maker.side, taker.side);
  assert.equal(maker.market, taker.market);
  return maker.side === 'buy' ? { maker, taker, buy: maker, sell: taker } : { maker, taker, buy: taker, sell: maker };
}

function amountsOf(
  batch: SealedBatch,
  trade: BatchTrade,
): { base: number; notional: number; buyerFee: number; sellerFee: number } {
  const { maker, taker, buy } = sidesOf(batch, trade);
  const notional = trade.sizeLots * maker.priceTicks * TICK_QUANTA;
  assert.ok(
    trade.makerFeePpm <= maker.maxFeePpm && trade.takerFeePpm <= taker.maxFeePpm,
    'a sealed fee above the limit',
  );
  const makerFee = plainFee(notional, trade.makerFeePpm);
  const takerFee = plainFee(notional, trade.takerFeePpm);
  return {
    base: trade.sizeLots * LOT_QUANTA,
    notional,
    buyerFee: buy === maker ? makerFee : takerFee,
    sellerFee: buy === maker ? takerFee : makerFee,
  };
}

/** floor(notional × ppm / 10^6), by way of unbounded integers. */
export function plainFee(notional: number, feePpm: number): number {
  return Number((BigInt(notional) * BigInt(feePpm)) / 1_000_000n);
}
