/**
 * Accounts by dense index, in the order of their first appearance on chain. Only chain events open an account (each costs
 * its owner gas and a minimum deposit), so users cannot grow this table from off chain. Index 0 collects the fees.
 */
import type { Address } from '../domain/units.ts';

export const FEE_ACCOUNT = 0;
export const FEE_ACCOUNT_ADDRESS: Address = '0x0000000000000000000000000000000000000000';

/** A key that may sign orders for an account. */
export type SessionKey = {
  readonly key: Address;
  /** Unix seconds, exclusive. */
  validUntil: number;
  /** Bit i allows market i; bit 255 allows all. */
  marketMask: bigint;
};

/** Most session keys remembered per account; registering one more drops the one that ends first. */
export const SESSION_KEYS_PER_ACCOUNT_MAX = 64;

export class Accounts {
  readonly addresses: Address[] = [];
  /** First 43 bits of the address, to sort many accounts quickly. */
  readonly prefixes: number[] = [];
  /** Live orders (resting, stops), oldest first, linked through the order records. */
  readonly firstOrder: number[] = [];
  readonly lastOrder: number[] = [];
  readonly openOrders: number[] = [];
  /** Orders with a sequence below this were cancelled on chain. */
  readonly cancelledBefore: number[] = [];
  /** Highest sequence among lanes that were dropped as dead. */
  readonly droppedSequence: number[] = [];
  /** Assets for which an exit is pending; undefined for none. */
  readonly exits: (Set<number> | undefined)[] = [];
  readonly sessionKeys: (Map<Address, SessionKey> | undefined)[] = [];
  readonly #indexes = new Map<Address, number>();

  constructor() {
    this.open(FEE_ACCOUNT_ADDRESS);
  }

  get count(): number {
    return this.addresses.length;
  }

  /** −1 when the address has no account. */
  find(address: Address): number {
    return this.#indexes.get(address) ?? -1;
  }

  open(address: Address): number {
    const known = this.#indexes.get(address);
    if (known !== undefined) return known;
    const index = this.addresses.length;
    this.#indexes.set(address, index);
    this.addresses.push(address);
    // 11 hex digits are 44 bits; dropping the last leaves 43.
    this.prefixes.push(Math.floor(Number.parseInt(address.slice(2, 13), 16) / 2));
    this.firstOrder.push(0);
    this.lastOrder.push(0);
    this.openOrders.push(0);
    this.cancelledBefore.push(0);
    this.droppedSequence.push(0);
    this.exits.push(undefined);
    this.sessionKeys.push(undefined);
    return index;
  }

  hasExit(account: number, asset: number): boolean {
    return this.exits[account]?.has(asset) === true;
  }
}

/** Whether the key may sign for the market at that time (Unix seconds). */
export function sessionKeyAllows(key: SessionKey, market: number, nowSeconds: number): boolean {
  if (key.validUntil <= nowSeconds) return false;
  return ((key.marketMask >> 255n) & 1n) === 1n || ((key.marketMask >> BigInt(market)) & 1n) === 1n;
}
