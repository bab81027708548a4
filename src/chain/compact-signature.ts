/**
 * The two forms of an ECDSA signature: 65 bytes (r, s, v) as wallets give it, and the 64-byte compact form (ERC-2098: r, then s
 * with the recovery bit on top) as it is stored and sent on chain. Only low s is accepted, as by the vault, so that one signature
 * has one form.
 */
import type { Hex } from '../domain/units.ts';
import { bytesToHex, hexToBytes } from './hex.ts';

/** Half the group order, rounded down: the largest s of a low-s signature. */
const HALF_ORDER = hexToBytes('0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0');

export type SignatureProblem = 'not_64_or_65_bytes' | 'bad_recovery_id' | 'high_s' | 'not_recoverable';

/** The sentence a client reads for each problem. */
export const SIGNATURE_PROBLEMS: Readonly<Record<SignatureProblem, string>> = {
  not_64_or_65_bytes: 'The signature must be 65 bytes (r, s, v) or 64 bytes (ERC-2098 compact) of 0x hex.',
  bad_recovery_id: 'The last byte of a 65-byte signature must be 0, 1, 27 or 28.',
  high_s: 'The signature has a high s; sign with low s as EIP-2 asks.',
  not_recoverable: 'No public key matches this signature.',
};

/** 65-byte or compact signature to the 64-byte compact form. @throws RangeError naming what is wrong with it. */
export function toCompactSignature(signature: string): Hex {
  return joinCompact(splitOrThrow(signature));
}

/** Compact or 65-byte signature to 65 bytes with v = 27 or 28. @throws RangeError naming what is wrong with it. */
export function fromCompactSignature(signature: string): Hex {
  const parts = splitOrThrow(signature);
  return `${bytesToHex(parts.rs)}${parts.yParity === 0 ? '1b' : '1c'}`;
}

export type SignatureParts = { readonly rs: Uint8Array; readonly yParity: 0 | 1 };

/** r, s (recovery bit removed) and recovery bit of either form; never throws. */
export function splitSignature(signature: string): SignatureParts | SignatureProblem {
  if ((signature.length !== 130 && signature.length !== 132) || !/^0x[0-9a-fA-F]+$/.test(signature))
    return 'not_64_or_65_bytes';
  const bytes = hexToBytes(signature);
  const rs = bytes.slice(0, 64);
  let yParity: 0 | 1;
  if (bytes.length === 64) {
    const top = rs[32] as number;
    yParity = top >> 7 === 0 ? 0 : 1;
    rs[32] = top & 0x7f;
  } else {
    const v = bytes[64] as number;
    if (v !== 0 && v !== 1 && v !== 27 && v !== 28) return 'bad_recovery_id';
    yParity = v === 1 || v === 28 ? 1 : 0;
  }
  return isLowS(rs) ? { rs, yParity } : 'high_s';
}

function isLowS(rs: Uint8Array): boolean {
  for (let index = 0; index < 32; index++) {
    const byte = rs[32 + index] as number;
    const limit = HALF_ORDER[index] as number;
    if (byte !== limit) return byte < limit;
  }
  return true;
}

function splitOrThrow(signature: string): SignatureParts {
  const parts = splitSignature(signature);
  if (typeof parts === 'string') throw new RangeError(SIGNATURE_PROBLEMS[parts]);
  return parts;
}

/** The compact form of the parts. */
export function joinCompact(parts: SignatureParts): Hex {
  const bytes = parts.rs.slice();
  if (parts.yParity === 1) bytes[32] = (bytes[32] as number) | 0x80;
  return bytesToHex(bytes);
}
