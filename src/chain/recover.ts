/**
 * Who signed a digest: ECDSA recovery by libsecp256k1.
 *
 * Only low-s signatures are accepted, as by the vault (see compact-signature).
 * The npm package falls back silently to a JavaScript build that is some thirty times slower where it has no prebuilt
 * binary; `isNativeRecovery` tells, and services warn at start.
 */
import { createRequire } from 'node:module';
import secp256k1 from 'secp256k1';
import type { Address, Hash, Hex } from '../domain/units.ts';
import { joinCompact, type SignatureParts, type SignatureProblem, splitSignature } from './compact-signature.ts';
import { bytesToHex, hexToBytes } from './hex.ts';
import { keccakBytes } from './keccak.ts';

export type RecoveredSigner =
  | { readonly kind: 'recovered'; readonly signer: Address; readonly compact: Hex }
  | { readonly kind: 'malformed'; readonly reason: SignatureProblem };

/** Recovers the signer of a 32-byte digest from a 64-byte compact or 65-byte signature; never throws on what a client sent. */
export function recoverSigner(digest: Hash | Uint8Array, signature: string): RecoveredSigner {
  const parts = splitSignature(signature);
  if (typeof parts === 'string') return { kind: 'malformed', reason: parts };
  const signer = recoverAddress(typeof digest === 'string' ? hexToBytes(digest) : digest, parts);
  if (signer === undefined) return { kind: 'malformed', reason: 'not_recoverable' };
  return { kind: 'recovered', signer, compact: joinCompact(parts) };
}

/** Whose key gave these parts over a 32-byte digest; undefined when no key matches. */
export function recoverAddress(digest: Uint8Array, parts: SignatureParts): Address | undefined {
  let publicKey: Uint8Array;
  try {
    publicKey = secp256k1.ecdsaRecover(parts.rs, parts.yParity, digest, false);
  } catch {
    // libsecp256k1 throws for r or s of zero or beyond the order, and for an r that is no point.
    return undefined;
  }
  return bytesToHex(keccakBytes(publicKey.subarray(1)), 12, 32);
}

/** Whether libsecp256k1 itself is loaded, not the JavaScript fallback. */
export function isNativeRecovery(): boolean {
  try {
    const require = createRequire(import.meta.url);
    // The package's own entry tries exactly this module first.
    require('secp256k1/bindings.js');
    return true;
  } catch {
    return false;
  }
}

/** A sentence for the operator when the slow fallback is in use; undefined when all is well. */
export function recoveryWarning(): string | undefined {
  if (isNativeRecovery()) return undefined;
  return (
    `secp256k1 has no native build for ${process.platform}-${process.arch}: signature checks run in JavaScript, about thirty times slower. ` +
    'Build it with `npm rebuild secp256k1 --build-from-source`, or run on linux-x64, darwin-arm64 or win32-x64.'
  );
}
