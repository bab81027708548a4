/**
 * Balances per account and asset, in quanta.
 *
 * Invariants: available + locked + pendingWithdrawal = settled + unsettledIn − unsettledOut for every balance;
 * every posting of a trade or fee sums to zero over the accounts, so that per asset Σ settled = deposits − withdrawals;
 * `locked` is exactly what the account's live orders need (see `lock.ts`), and what of its proceeds is frozen (see
 * `freezing.ts`);
 * no figure is negative, save `available` of an account in deficit (a void or an exit took what had been spent already).
 */

import type { Accounts } from './accounts.ts';
import * as accountTable from './accounts.ts';
import { RecordTable } from './record-table.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { ACCOUNT_INT_SHIFT, NEAR_BALANCES } = accountTable;

/** Float64 slots of a balance record. */
export const AVAILABLE = 0;
export const LOCKED = 1;
export const PENDING_WITHDRAWAL = 2;
export const UNSETTLED_IN = 3;
export const UNSETTLED_OUT = 4;
export const SETTLED = 5;
/** Journal sequence of the last command that touched it; not part of the state. */
const TOUCHED_AT = 6;
export const BALANCE_SHIFT = 3;

const BALANCE_BYTES_SHIFT = 6;

/** Assets whose balances are found through the account's own record. */
const NEAR_ASSETS = 8;

export class Ledger {
  /** Balance records of eight slots each; record 0 is never used. Reread after `slot`. */
  records: Float64Array;
  readonly slotAccounts: number[] = [-1];
  readonly slotAssets: number[] = [-1];
  /** Balances touched by the current command, each once, in order of first touch. */
  touched = new Int32Array(256);
  touchedCount = 0;
  /** Balances whose available part went below zero at some time; may hold some that recovered. */
  readonly negative = new Set<number>();
  readonly #accounts: Accounts;
  readonly #table = new RecordTable(BALANCE_BYTES_SHIFT, 256);
  /** By asset, then account, for all but the first assets. */
  readonly #farSlots: Int32Array[] = [];
  #sequence = 0;

  constructor(accounts: Accounts) {
    this.#accounts = accounts;
    this.records = this.#table.floats;
  }

  get slotCount(): number {
    return this.slotAccounts.length;
  }

  begin(sequence: number): void {
    this.#sequence = sequence;
    this.touchedCount = 0;
  }

  /** The balance's record; 0 when the account never had this asset. */
  find(account: number, asset: number): number {
    if (asset < NEAR_ASSETS) return this.#accounts.ints[(account << ACCOUNT_INT_SHIFT) + NEAR_BALANCES + asset]!;
    const slots = this.#farSlots[asset];
    return slots === undefined || account >= slots.length ? 0 : slots[account]!;
  }

  /** The balance's record, created empty when there is none. */
  slot(account: number, asset: number): number {
    const found = this.find(account, asset);
    return found !== 0 ? found : this.#create(account, asset);
  }

  /** Marks the balance as changed by the current command. Called before or after the change, every time. */
  touch(slot: number): void {
    const at = (slot << BALANCE_SHIFT) + TOUCHED_AT;
    if (this.records[at] === this.#sequence) return;
    this.records[at] = this.#sequence;
    if (this.touchedCount === this.touched.length) {
      const grown = new Int32Array(this.touched.length * 2);
      grown.set(this.touched);
      this.touched = grown;
    }
    this.touched[this.touchedCount++] = slot;
  }

  /** Adds `amount` (may be negative) to one figure of a balance. */
  add(slot: number, figure: number, amount: number): void {
    this.records[(slot << BALANCE_SHIFT) + figure]! += amount;
    this.touch(slot);
  }

  get(slot: number, figure: number): number {
    return this.records[(slot << BALANCE_SHIFT) + figure]!;
  }

  /** Moves `amount` from available to locked. */
  lock(slot: number, amount: number): void {
    const at = slot << BALANCE_SHIFT;
    this.records[at | AVAILABLE]! -= amount;
    this.records[at | LOCKED]! += amount;
    this.touch(slot);
  }

  /** Moves `amount` from locked back to available. */
  unlock(slot: number, amount: number): void {
    const at = slot << BALANCE_SHIFT;
    this.records[at | LOCKED]! -= amount;
    this.records[at | AVAILABLE]! += amount;
    this.touch(slot);
  }

  /** Whether a void or an exit left the account below zero in some asset. */
  inDeficit(account: number): boolean {
    if (this.negative.size === 0) return false;
    let found = false;
    for (const slot of this.negative) {
      if (this.records[slot << BALANCE_SHIFT]! >= 0) this.negative.delete(slot);
      else if (this.slotAccounts[slot] === account) found = true;
    }
    return found;
  }

  #create(account: number, asset: number): number {
    const slot = this.slotAccounts.length;
    if (asset < NEAR_ASSETS) {
      this.#accounts.ints[(account << ACCOUNT_INT_SHIFT) + NEAR_BALANCES + asset] = slot;
    } else {
      while (this.#farSlots.length <= asset) this.#farSlots.push(new Int32Array(0));
      const slots = this.#farSlots[asset]!;
      if (account >= slots.length) this.#farSlots[asset] = grownTo(slots, account + 1);
      this.#farSlots[asset]![account] = slot;
    }
    this.slotAccounts.push(account);
    this.slotAssets.push(asset);
    if (this.#table.reserve(slot + 1)) this.records = this.#table.floats;
    return slot;
  }
}

function grownTo(slots: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(Math.max(slots.length * 2, length));
  grown.set(slots);
  return grown;
}
