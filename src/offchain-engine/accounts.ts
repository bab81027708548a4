/**
 * Accounts by dense index, in the order of their first appearance on chain. Only chain events open an account (each costs
 * its owner gas and a minimum deposit), so users cannot grow this table from off chain. Index 0 collects the fees.
 */
import type { Address } from '../domain/units.ts';
import { RecordTable } from './record-table.ts';

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

/**
 * Int32 slots of an account's record of 64 bytes: its first linked lane (see `Lanes.collectOrders`); how many live orders it has;
 * from `NEAR_BALANCES` on, where the ledger keeps its balances of the first assets (see `Ledger.find`).
 */
export const FIRST_LANE = 0;
export const OPEN_ORDERS = 2;
export const NEAR_BALANCES = 8;
/** Float64 slots: orders with a sequence below this were cancelled on chain; highest sequence among lanes dropped as dead. */
export const CANCELLED_BEFORE = 2;
export const DROPPED_SEQUENCE = 3;
export const ACCOUNT_INT_SHIFT = 4;
export const ACCOUNT_FLOAT_SHIFT = 3;
const ACCOUNT_SHIFT = 6;
const ADDRESS_BYTES = 20;
const ADDRESS_WORDS = 5;
const ADDRESS_SHIFT = 5;
const ADDRESS_INT_SHIFT = 3;
const PROBES_MAX = 64;

export class Accounts {
  readonly addresses: Address[] = [];
  /** Reread after `open`. */
  ints: Int32Array;
  floats: Float64Array;
  readonly #table = new RecordTable(ACCOUNT_SHIFT, 64);
  /** Assets for which an exit is pending; undefined for none. */
  readonly exits: (Set<number> | undefined)[] = [];
  readonly sessionKeys: (Map<Address, SessionKey> | undefined)[] = [];
  readonly #indexes = new Map<Address, number>();
  /** Addresses as bytes, by index; and index plus one by hash of the address, 0 where there is none; at most half full. */
  readonly #addressTable = new RecordTable(ADDRESS_SHIFT, 64);
  #positions = new Int32Array(128);

  constructor() {
    this.ints = this.#table.ints;
    this.floats = this.#table.floats;
    this.open(FEE_ACCOUNT_ADDRESS);
  }

  get count(): number {
    return this.addresses.length;
  }

  /** −1 when the address has no account. */
  find(address: Address): number {
    return this.#indexes.get(address) ?? -1;
  }

  /** `find` of the 20 bytes from `at` on. */
  findBytes(bytes: Uint8Array, at: number): number {
    const view = addressWords(bytes, at);
    const mask = this.#positions.length - 1;
    let position = hashWords(view, 0) & mask;
    // Whoever made a crowd of accounts whose addresses collide shall not make everybody's look-ups long.
    for (let probes = 0; probes < PROBES_MAX; probes++) {
      const found = this.#positions[position]! - 1;
      if (found < 0) return -1;
      if (sameWords(this.#addressTable.ints, found << ADDRESS_INT_SHIFT, view)) return found;
      position = (position + 1) & mask;
    }
    return this.find(`0x${Buffer.from(bytes.buffer, bytes.byteOffset + at, ADDRESS_BYTES).toString('hex')}`);
  }

  open(address: Address): number {
    const known = this.#indexes.get(address);
    if (known !== undefined) return known;
    const index = this.addresses.length;
    this.#indexes.set(address, index);
    this.addresses.push(address);
    if (this.#table.reserve(index + 1)) {
      this.ints = this.#table.ints;
      this.floats = this.#table.floats;
    }
    this.exits.push(undefined);
    this.sessionKeys.push(undefined);
    this.#enterAddress(index, Buffer.from(address.slice(2), 'hex'));
    return index;
  }

  #enterAddress(index: number, bytes: Uint8Array): void {
    this.#addressTable.reserve(index + 1);
    this.#addressTable.ints.set(addressWords(bytes, 0), index << ADDRESS_INT_SHIFT);
    if (index * 2 < this.#positions.length) {
      this.#enterPosition(index);
      return;
    }
    this.#positions = new Int32Array(this.#positions.length * 2);
    for (let each = 0; each <= index; each++) this.#enterPosition(each);
  }

  #enterPosition(index: number): void {
    const mask = this.#positions.length - 1;
    let position = hashWords(this.#addressTable.ints, index << ADDRESS_INT_SHIFT) & mask;
    while (this.#positions[position] !== 0) position = (position + 1) & mask;
    this.#positions[position] = index + 1;
  }

  /** A figure of the account's record, by Float64 slot. */
  figure(account: number, slot: number): number {
    return this.floats[(account << ACCOUNT_FLOAT_SHIFT) + slot]!;
  }

  /** Raises a figure of the account's record to `value`, if that is more. */
  raise(account: number, slot: number, value: number): void {
    const at = (account << ACCOUNT_FLOAT_SHIFT) + slot;
    if (value > this.floats[at]!) this.floats[at] = value;
  }

  hasExit(account: number, asset: number): boolean {
    return this.exits[account]?.has(asset) === true;
  }
}

const scratch = new Int32Array(ADDRESS_WORDS);
const scratchBytes = new Uint8Array(scratch.buffer);

/** The address from `at` on as words; valid until the next call. */
function addressWords(bytes: Uint8Array, at: number): Int32Array {
  for (let index = 0; index < ADDRESS_BYTES; index++) scratchBytes[index] = bytes[at + index]!;
  return scratch;
}

function hashWords(words: Int32Array, at: number): number {
  let mixed = 0;
  for (let word = 0; word < ADDRESS_WORDS; word++)
    mixed = Math.imul(mixed ^ words[at + word]!, 0x9e3779b1) ^ (mixed >>> 15);
  return mixed ^ (mixed >>> 13);
}

function sameWords(words: Int32Array, at: number, other: Int32Array): boolean {
  for (let word = 0; word < ADDRESS_WORDS; word++) if (words[at + word] !== other[word]) return false;
  return true;
}

/** Whether the key may sign for the market at that time (Unix seconds). */
export function sessionKeyAllows(key: SessionKey, market: number, nowSeconds: number): boolean {
  if (key.validUntil <= nowSeconds) return false;
  return ((key.marketMask >> 255n) & 1n) === 1n || ((key.marketMask >> BigInt(market)) & 1n) === 1n;
}
