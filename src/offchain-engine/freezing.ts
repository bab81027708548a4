/**
 * Proceeds of sealed trades that will probably be skipped, kept from being traded on.
 *
 * When the vault has skipped a trade, or an exit took a balance out, an account may lack what later sealed trades spend. What is
 * sealed cannot be voided here, but it can be foreseen: the batches in flight are run over the vault's balances as of
 * now, and what each side would have received from a trade that fails there moves from available to locked until the last of
 * those batches is final. It is worked out anew at each batch that becomes final; released first, so that
 * reversals find the money where they look for it.
 */
import type { Quanta } from '../domain/units.ts';
import type { InFlightBatch } from './batches.ts';
import * as orders from './book/order-pool.ts';
import { timeInForceOf } from './book/order-pool.ts';
import * as balances from './ledger.ts';
import { postingsOf, type TradePostings } from './reversals.ts';
import type { EngineState } from './state.ts';
import * as tradeLog from './trades.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { FLAGS, FOK, INT_SHIFT } = orders;
const { AVAILABLE, SETTLED } = balances;
const { TAKER, TRADE_INT_SHIFT } = tradeLog;

/** By account × 65,536 + asset: quanta. */
export type Frozen = ReadonlyMap<number, number>;

const ASSETS_MAX = 65_536;

/**
 * Releases all that is frozen, by account and asset: balances are told in order of first touch, and an engine restored from
 * a snapshot no longer knows in which order they were frozen. @returns what was
 */
export function thaw(state: EngineState): Frozen {
  const before = new Map([...state.frozen].sort((a, b) => a[0] - b[0]));
  for (const [key, amount] of before) state.ledger.unlock(slotOf(state, key), amount);
  state.frozen.clear();
  return before;
}

/** Freezes what now has to be, and says what has changed since `before`. @param suspect whether something has just gone wrong */
export function refreeze(state: EngineState, before: Frozen, suspect: boolean): void {
  if (suspect) state.suspectUntilBatch = state.batches.at(-1)?.batchId ?? 0;
  if (state.batches.length > 0 && state.batches[0]!.batchId <= state.suspectUntilBatch) freezeDoubtful(state);
  for (const key of new Set([...before.keys(), ...state.frozen.keys()].sort((a, b) => a - b))) {
    const amount = (state.frozen.get(key) ?? 0) as Quanta;
    if (amount === (before.get(key) ?? 0)) continue;
    const { account, asset } = ownerOfFrozen(key);
    state.sink.push({ kind: 'proceedsFrozen', account: state.accounts.addresses[account]!, asset, amount });
  }
}

/** Account and asset of a key. */
export function ownerOfFrozen(key: number): { account: number; asset: number } {
  const account = Math.floor(key / ASSETS_MAX);
  return { account, asset: key - account * ASSETS_MAX };
}

function freezeDoubtful(state: EngineState): void {
  const books = new Books(state);
  for (const batch of state.batches) {
    if (batch.batchId > state.suspectUntilBatch) return;
    for (const run of runsOf(state, batch)) {
      if (books.settle(run)) continue;
      for (const { market, buyer, seller, base, notional, sellerFee } of run) {
        freeze(state, buyer, market.base, base);
        freeze(state, seller, market.quote, notional - sellerFee);
      }
    }
    for (const { account, asset, amount } of batch.withdrawals) books.pay(state.accounts.find(account), asset, amount);
  }
}

/** What stands or falls together: the fills of a fill-or-kill order, any other trade alone. */
function* runsOf(state: EngineState, batch: InFlightBatch): Generator<TradePostings[]> {
  const { trades, pool } = state;
  let run: TradePostings[] = [];
  let runTaker = 0;
  for (let at = batch.first - trades.moved; at < batch.end - trades.moved; at++) {
    if (trades.isVoided(at)) continue;
    const taker = trades.ints[(at << TRADE_INT_SHIFT) | TAKER]!;
    if (run.length > 0 && taker !== runTaker) {
      yield run;
      run = [];
    }
    run.push(postingsOf(state, at));
    runTaker = taker;
    if (timeInForceOf(pool.ints[(taker << INT_SHIFT) | FLAGS]!) === FOK) continue;
    yield run;
    run = [];
  }
  if (run.length > 0) yield run;
}

/** As much as the account still has of it; the rest it has spent, which a void will show as a deficit. */
function freeze(state: EngineState, account: number, asset: number, amount: number): void {
  const slot = state.ledger.slot(account, asset);
  const held = Math.min(amount, state.ledger.get(slot, AVAILABLE));
  if (held <= 0) return;
  state.ledger.lock(slot, held);
  const key = account * ASSETS_MAX + asset;
  state.frozen.set(key, (state.frozen.get(key) ?? 0) + held);
}

function slotOf(state: EngineState, key: number): number {
  const { account, asset } = ownerOfFrozen(key);
  return state.ledger.slot(account, asset);
}

/** The vault's balances, as they would become. */
class Books {
  readonly #state: EngineState;
  readonly #balances = new Map<number, number>();

  constructor(state: EngineState) {
    this.#state = state;
  }

  /** Settles all of the run, or nothing of it. */
  settle(run: readonly TradePostings[]): boolean {
    const before = run.length > 1 ? new Map(this.#balances) : undefined;
    for (const { market, buyer, seller, base, notional, buyerFee, sellerFee } of run) {
      const cost = notional + buyerFee;
      if (this.#of(buyer, market.quote) < cost || this.#of(seller, market.base) < base) {
        if (before !== undefined) {
          this.#balances.clear();
          for (const [key, balance] of before) this.#balances.set(key, balance);
        }
        return false;
      }
      this.#add(buyer, market.quote, -cost);
      this.#add(buyer, market.base, base);
      this.#add(seller, market.base, -base);
      this.#add(seller, market.quote, notional - sellerFee);
    }
    return true;
  }

  pay(account: number, asset: number, amount: number): void {
    if (this.#of(account, asset) >= amount) this.#add(account, asset, -amount);
  }

  #of(account: number, asset: number): number {
    const { ledger } = this.#state;
    return this.#balances.get(account * ASSETS_MAX + asset) ?? ledger.get(ledger.slot(account, asset), SETTLED);
  }

  #add(account: number, asset: number, change: number): void {
    this.#balances.set(account * ASSETS_MAX + asset, this.#of(account, asset) + change);
  }
}
