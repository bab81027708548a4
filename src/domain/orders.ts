/** Orders as users sign them and as the engine sees them. */
import type { Address, Hash, Hex, Lots, Ppm, PriceTicks, Quanta, TimestampSeconds } from './units.ts';
import { LANE_MAX, ORDER_SEQUENCE_MAX } from './units.ts';

export type Side = 'buy' | 'sell';
export type TimeInForce = 'gtc' | 'ioc' | 'fok' | 'gtd';
/** What to do when an order would trade with one of the same account. */
export type SelfTradePrevention = 'cancel_newest' | 'cancel_oldest' | 'cancel_both' | 'decrement';
export type OrderStatus = 'open' | 'partially_filled' | 'filled' | 'cancelled' | 'expired' | 'rejected';

/** Rests unseen until a trade at or beyond the trigger price; not part of what is signed. */
export type StopTrigger = { readonly direction: 'at_or_above' | 'at_or_below'; readonly triggerPriceTicks: PriceTicks };

/** An order whose signature was checked before it became a command. Everything down to `maxFeePpm` is signed. */
export type NewOrder = {
  readonly account: Address;
  readonly market: number;
  readonly side: Side;
  readonly sizeLots: Lots;
  readonly priceTicks: PriceTicks;
  readonly timeInForce: TimeInForce;
  readonly postOnly: boolean;
  readonly lane: number;
  /** Milliseconds since the vault's deployment, rising within a lane. */
  readonly orderSequence: number;
  readonly expiry: TimestampSeconds;
  readonly maxFeePpm: Ppm;

  /** Owner, or a session key of the owner, or the account itself for an order registered on chain. */
  readonly signer: Address;
  /** EIP-712 digest; also the order's public id. */
  readonly digest: Hash;
  /** 64-byte compact signature (ERC-2098); `0x` for an order registered on chain. */
  readonly signature: Hex;
  /** At most 36 characters of [A-Za-z0-9_-]; empty when the client gave none. */
  readonly clientOrderId: string;
  readonly selfTradePrevention: SelfTradePrevention;
  readonly stop: StopTrigger | undefined;
};

/** Names one order of an account for ever: nonce = lane (upper 16 bits) · sequence (lower 48). */
export type OrderKey = { readonly account: Address; readonly lane: number; readonly orderSequence: number };

/** A withdrawal whose owner signature was checked before it became a command. */
export type NewWithdrawal = {
  readonly account: Address;
  readonly asset: number;
  /** Debited in total; the recipient receives amount − fee. */
  readonly amount: Quanta;
  readonly recipient: Address;
  /** The signed token is NATIVE_CURRENCY: the wrapped asset is unwrapped on the way out. */
  readonly native: boolean;
  readonly lane: number;
  readonly withdrawalSequence: number;
  readonly expiry: TimestampSeconds;
  readonly maxFee: Quanta;
  readonly digest: Hash;
  /** Owner's signature: 64-byte compact ECDSA, or ERC-1271 bytes of at most 1,024. */
  readonly signature: Hex;
};

/** Stands for the chain's own currency where a token address is signed. */
export const NATIVE_CURRENCY: Address = '0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee';

/** The signed uint64 nonce. @throws RangeError outside 16 and 40 bits. */
export function packNonce(lane: number, sequence: number): bigint {
  if (!Number.isInteger(lane) || lane < 0 || lane > LANE_MAX)
    throw new RangeError(`lane must be 0…${LANE_MAX}, got ${lane}`);
  if (!Number.isInteger(sequence) || sequence < 0 || sequence > ORDER_SEQUENCE_MAX) {
    throw new RangeError(`sequence must be 0…${ORDER_SEQUENCE_MAX}, got ${sequence}`);
  }
  return (BigInt(lane) << 48n) | BigInt(sequence);
}

/** Lane and sequence of a signed nonce; undefined when it is not a uint64 or its sequence needs more than 40 bits. */
export function unpackNonce(nonce: bigint): { lane: number; sequence: number } | undefined {
  if (nonce < 0n || nonce >= 1n << 64n) return undefined;
  const sequence = nonce & 0xffff_ffff_ffffn;
  if (sequence > BigInt(ORDER_SEQUENCE_MAX)) return undefined;
  return { lane: Number(nonce >> 48n), sequence: Number(sequence) };
}
