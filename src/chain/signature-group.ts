/** How signatures and signers travel between the pool and its workers: side by side in one block of bytes. */
import type { Address } from '../domain/units.ts';
import type { SignatureParts } from './compact-signature.ts';
import { bytesToHex } from './hex.ts';

/** Message that ends a worker. */
export const END_WORKER = 'end';
/** Digest, r and s, recovery bit. */
export const REQUEST_BYTES = 32 + 64 + 1;
export const ADDRESS_BYTES = 20;

type Recoverable = { readonly digestBytes: Uint8Array; readonly parts: SignatureParts };

export function packGroup(requests: readonly Recoverable[]): Uint8Array {
  const group = new Uint8Array(requests.length * REQUEST_BYTES);
  for (const [index, { digestBytes, parts }] of requests.entries()) {
    const at = index * REQUEST_BYTES;
    group.set(digestBytes, at);
    group.set(parts.rs, at + 32);
    group[at + 96] = parts.yParity;
  }
  return group;
}

/** Undefined for a signature that no key matches. */
export function signerAt(signers: Uint8Array, index: number): Address | undefined {
  const start = index * ADDRESS_BYTES;
  const end = start + ADDRESS_BYTES;
  for (let at = start; at < end; at++) if (signers[at] !== 0) return bytesToHex(signers, start, end);
  return undefined;
}
