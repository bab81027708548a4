/**
 * Trades that come to their end in the ledger: settled (the vault executed them) or voided (it skipped them), and what a
 * void can lead to: an account that has already spent what the void takes back is *in deficit*.
 *
 * Remedies for a deficit, in this order, until nothing is below zero: its live orders are cancelled, its withdrawals that
 * are in no batch fail, its trades in no batch that pay with the missing asset are voided, newest first (a fill-or-kill
 * order's fills together). A void can put the counterparty in deficit, which is then treated alike; each void removes a
 * trade, so this ends. What is then still below zero stays so: the account can neither trade nor withdraw until a deposit
 * or another void makes it whole.
 */
import type { SkipReason } from '../domain/batches.ts';
import { feeOf, type Ppm, type Quanta } from '../domain/units.ts';
import * as accountTable from './accounts.ts';
import * as orders from './book/order-pool.ts';
import { timeInForceOf } from './book/order-pool.ts';
import { cancelWhere } from './cancels.ts';
import { cancellation } from './codes.ts';
import type { Ledger } from './ledger.ts';
import * as balances from './ledger.ts';
import type { EngineState, MarketBook } from './state.ts';
import * as tradeLog from './trades.ts';
import { failPendingWithdrawals } from './withdrawals.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { FEE_ACCOUNT } = accountTable;
const { ACCOUNT, BUY, FLAGS, FOK, INT_SHIFT } = orders;
const { AVAILABLE, BALANCE_SHIFT, SETTLED, UNSETTLED_IN, UNSETTLED_OUT } = balances;
const {
  MAKER,
  MAKER_FEE_PPM,
  TAKER,
  TAKER_FEE_PPM,
  TRADE_FLAGS,
  TRADE_FLOAT_SHIFT,
  TRADE_ID,
  TRADE_INT_SHIFT,
  TRADE_MARKET,
  TRADE_PRICE,
  TRADE_SIZE,
  TRADE_TAKER_SIDE,
  TRADE_VOIDED,
} = tradeLog;

const ACCOUNT_IN_DEFICIT = cancellation('account_in_deficit');

/** What one trade moved, in quanta. */
export type TradePostings = {
  readonly market: MarketBook;
  readonly buyer: number;
  readonly seller: number;
  readonly base: number;
  readonly notional: number;
  readonly buyerFee: number;
  readonly sellerFee: number;
};

/** Reads the postings of the trade at that position of the log. */
export function postingsOf(state: EngineState, position: number): TradePostings {
  const { ints, floats } = state.trades;
  const at = position << TRADE_INT_SHIFT;
  const market = state.markets[ints[at | TRADE_MARKET]!]!;
  const size = floats[(position << TRADE_FLOAT_SHIFT) | TRADE_SIZE]!;
  const notional = size * ints[at | TRADE_PRICE]! * market.tickQuanta;
  const takerFee = feeOf(notional as Quanta, ints[at | TAKER_FEE_PPM]! as Ppm);
  const makerFee = feeOf(notional as Quanta, ints[at | MAKER_FEE_PPM]! as Ppm);
  const taker = accountOf(state, ints[at | TAKER]!);
  const maker = accountOf(state, ints[at | MAKER]!);
  const takerBuys = (ints[at | TRADE_FLAGS]! & TRADE_TAKER_SIDE) === BUY;
  return {
    market,
    buyer: takerBuys ? taker : maker,
    seller: takerBuys ? maker : taker,
    base: size * market.lotQuanta,
    notional,
    buyerFee: takerBuys ? takerFee : makerFee,
    sellerFee: takerBuys ? makerFee : takerFee,
  };
}

function accountOf(state: EngineState, order: number): number {
  return state.pool.ints[(order << INT_SHIFT) | ACCOUNT]!;
}

/** The vault executed the trade at that position of the log: unsettled becomes settled. What `postingsOf` tells, without an object. */
export function settleTrade(state: EngineState, position: number): void {
  const { ledger, volumes, pool } = state;
  const { ints, floats } = state.trades;
  const at = position << TRADE_INT_SHIFT;
  const market = state.markets[ints[at | TRADE_MARKET]!]!;
  const size = floats[(position << TRADE_FLOAT_SHIFT) | TRADE_SIZE]!;
  const notional = size * ints[at | TRADE_PRICE]! * market.tickQuanta;
  const base = size * market.lotQuanta;
  const takerFee = feeOf(notional as Quanta, ints[at | TAKER_FEE_PPM]! as Ppm);
  const makerFee = feeOf(notional as Quanta, ints[at | MAKER_FEE_PPM]! as Ppm);
  const taker = pool.ints[(ints[at | TAKER]! << INT_SHIFT) + ACCOUNT]!;
  const maker = pool.ints[(ints[at | MAKER]! << INT_SHIFT) + ACCOUNT]!;
  const takerBuys = (ints[at | TRADE_FLAGS]! & TRADE_TAKER_SIDE) === BUY;
  const buyer = takerBuys ? taker : maker;
  const seller = takerBuys ? maker : taker;
  const buyerQuote = ledger.slot(buyer, market.quote);
  const sellerQuote = ledger.slot(seller, market.quote);
  settleIn(ledger, ledger.slot(buyer, market.base), base);
  settleOut(ledger, buyerQuote, notional + (takerBuys ? takerFee : makerFee));
  settleOut(ledger, ledger.slot(seller, market.base), base);
  settleIn(ledger, sellerQuote, notional - (takerBuys ? makerFee : takerFee));
  if (takerFee + makerFee > 0) settleIn(ledger, ledger.slot(FEE_ACCOUNT, market.quote), takerFee + makerFee);
  volumes.note(buyerQuote, notional);
  volumes.note(sellerQuote, notional);
}

/** The trade did not happen after all: everything it posted is taken back, on both sides. */
export function voidTrade(state: EngineState, trade: TradePostings): void {
  const { market, buyer, seller, base, notional, buyerFee, sellerFee } = trade;
  takeBack(state, buyer, market.base, base);
  giveBack(state, buyer, market.quote, notional + buyerFee);
  giveBack(state, seller, market.base, base);
  takeBack(state, seller, market.quote, notional - sellerFee);
  takeBack(state, FEE_ACCOUNT, market.quote, buyerFee + sellerFee);
}

function settleIn(ledger: Ledger, slot: number, amount: number): void {
  move(ledger, slot, UNSETTLED_IN, -amount, SETTLED, amount);
}

function settleOut(ledger: Ledger, slot: number, amount: number): void {
  move(ledger, slot, UNSETTLED_OUT, -amount, SETTLED, -amount);
}

function giveBack(state: EngineState, account: number, asset: number, amount: number): void {
  move(state.ledger, state.ledger.slot(account, asset), UNSETTLED_OUT, -amount, AVAILABLE, amount);
}

function takeBack(state: EngineState, account: number, asset: number, amount: number): void {
  if (amount === 0) return;
  const slot = state.ledger.slot(account, asset);
  move(state.ledger, slot, UNSETTLED_IN, -amount, AVAILABLE, -amount);
  noteShortfall(state, slot);
}

/** Changes two figures of one balance. */
function move(
  ledger: Ledger,
  slot: number,
  first: number,
  firstChange: number,
  second: number,
  secondChange: number,
): void {
  const at = slot << BALANCE_SHIFT;
  ledger.records[at + first]! += firstChange;
  ledger.records[at + second]! += secondChange;
  ledger.touch(slot);
}

/** Marks the balance when its available part is below zero. */
export function noteShortfall(state: EngineState, slot: number): void {
  if (state.ledger.get(slot, AVAILABLE) < 0) state.ledger.negative.add(slot);
}

/** Applies the remedies to every account in deficit. */
export function remedyDeficits(state: EngineState): void {
  const treated = new Set<number>();
  const announced = new Set<number>();
  for (let slot = worstSlot(state, treated); slot !== 0; slot = worstSlot(state, treated)) {
    treated.add(slot);
    const account = state.ledger.slotAccounts[slot]!;
    const asset = state.ledger.slotAssets[slot]!;
    const address = state.accounts.addresses[account]!;
    const shortfall = -state.ledger.get(slot, AVAILABLE) as Quanta;
    if (!announced.has(slot)) state.sink.push({ kind: 'accountInDeficit', account: address, asset, shortfall });
    announced.add(slot);
    cancelWhere(state, account, ACCOUNT_IN_DEFICIT, () => true);
    failPendingWithdrawals(state, 'account_in_deficit', (withdrawal) => withdrawal.account === address);
    if (voidNewestPayments(state, slot, account, asset)) treated.clear();
  }
}

/** The balance below zero that comes first by account and asset (an order that replay and snapshot agree on); 0 for none. */
function worstSlot(state: EngineState, treated: ReadonlySet<number>): number {
  const { ledger } = state;
  let first = 0;
  for (const slot of ledger.negative) {
    if (ledger.get(slot, AVAILABLE) >= 0) {
      ledger.negative.delete(slot);
      continue;
    }
    if (treated.has(slot)) continue;
    const earlier =
      first === 0 ||
      ledger.slotAccounts[slot]! < ledger.slotAccounts[first]! ||
      (ledger.slotAccounts[slot] === ledger.slotAccounts[first] &&
        ledger.slotAssets[slot]! < ledger.slotAssets[first]!);
    if (earlier) first = slot;
  }
  return first;
}

/** Voids unsealed trades in which the account pays with the asset, newest first, until it is not short. @returns whether any was. */
function voidNewestPayments(state: EngineState, slot: number, account: number, asset: number): boolean {
  const { trades } = state;
  let voided = false;
  for (let position = trades.tail - 1; position >= trades.head && state.ledger.get(slot, AVAILABLE) < 0; position--) {
    if (trades.isVoided(position)) continue;
    const trade = postingsOf(state, position);
    const pays =
      (trade.buyer === account && trade.market.quote === asset) ||
      (trade.seller === account && trade.market.base === asset);
    if (!pays) continue;
    voidUnsealedRun(state, position);
    voided = true;
  }
  return voided;
}

/** Voids the trade, and the rest of its run when the taker was fill-or-kill. */
function voidUnsealedRun(state: EngineState, position: number): void {
  const { trades, pool } = state;
  const taker = trades.ints[(position << TRADE_INT_SHIFT) | TAKER]!;
  let first = position;
  let last = position;
  if (timeInForceOf(pool.ints[(taker << INT_SHIFT) | FLAGS]!) === FOK) {
    const sameTaker = (at: number): boolean => trades.ints[(at << TRADE_INT_SHIFT) | TAKER] === taker;
    while (first > trades.head && sameTaker(first - 1)) first--;
    while (last + 1 < trades.tail && sameTaker(last + 1)) last++;
  }
  for (let at = last; at >= first; at--) {
    if (!trades.isVoided(at)) voidUnsealed(state, at);
  }
}

function voidUnsealed(state: EngineState, position: number): void {
  const { trades } = state;
  voidTrade(state, postingsOf(state, position));
  trades.ints[(position << TRADE_INT_SHIFT) | TRADE_FLAGS]! |= TRADE_VOIDED;
  trades.count--;
  const reason: SkipReason = 'insufficient_balance';
  state.sink.push({ kind: 'tradeVoided', tradeId: trades.floats[(position << TRADE_FLOAT_SHIFT) | TRADE_ID]!, reason });
  trades.dropReferences(position, state.pool);
}
