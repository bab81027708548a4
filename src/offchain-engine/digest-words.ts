/** Digests of 32 bytes as eight int32 words of a larger table: the bytes as they are, so that they are copied and compared without text. */
import type { Hash } from '../domain/units.ts';

export const DIGEST_WORDS = 8;
export const DIGEST_BYTES = 32;

const bytes = Buffer.alloc(DIGEST_WORDS << 2);
const words = new Int32Array(bytes.buffer, bytes.byteOffset, DIGEST_WORDS);

/** @param digest 0x and 64 lower-case hex digits */
export function writeDigest(to: Int32Array, at: number, digest: string): void {
  if (digest.length !== 66 || bytes.write(digest.slice(2), 0, 'hex') !== bytes.length)
    throw new RangeError(`expected a digest of 32 bytes in hex, got '${digest}'`);
  to.set(words, at);
}

export function readDigest(from: Int32Array, at: number): Hash {
  words.set(from.subarray(at, at + DIGEST_WORDS));
  return `0x${bytes.toString('hex')}`;
}

/** Positions are multiples of eight. Word by word: a loop costs twice as much, and a copy by the runtime ten times. */
export function copyDigest(to: Int32Array, toAt: number, from: Int32Array, at: number): void {
  to[toAt] = from[at]!;
  to[toAt | 1] = from[at | 1]!;
  to[toAt | 2] = from[at | 2]!;
  to[toAt | 3] = from[at | 3]!;
  to[toAt | 4] = from[at | 4]!;
  to[toAt | 5] = from[at | 5]!;
  to[toAt | 6] = from[at | 6]!;
  to[toAt | 7] = from[at | 7]!;
}

export function sameDigest(one: Int32Array, oneAt: number, other: Int32Array, otherAt: number): boolean {
  for (let word = 0; word < DIGEST_WORDS; word++) if (one[oneAt + word] !== other[otherAt + word]) return false;
  return true;
}
