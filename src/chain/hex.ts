/** Lower-case hex to bytes and back. Where there is no Buffer, as in the browser build of the SDK, it does without. */
import type { Hex } from '../domain/units.ts';

const BYTE_TO_HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Value of each ASCII hex digit; 255 for every other character. */
const DIGIT = new Uint8Array(128).fill(255);
for (let value = 0; value < 16; value++) {
  const digit = value.toString(16);
  DIGIT[digit.charCodeAt(0)] = value;
  DIGIT[digit.toUpperCase().charCodeAt(0)] = value;
}

// Text put together byte by byte is a chain of pieces, ten times its own size until something reads it.
const NodeBuffer = (globalThis as { readonly Buffer?: typeof Buffer }).Buffer;

/** `0x` and lower-case digits of `bytes[start, end)`. */
export function bytesToHex(bytes: Uint8Array, start = 0, end = bytes.length): Hex {
  if (NodeBuffer !== undefined)
    return `0x${NodeBuffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('hex')}`;
  let text = '0x';
  for (let index = start; index < end; index++) text += BYTE_TO_HEX[bytes[index] as number];
  return text as Hex;
}

/** Bytes of `0x…` text of any case. @throws RangeError when it is not whole bytes of hex. */
export function hexToBytes(text: string): Uint8Array {
  if (!text.startsWith('0x') || text.length % 2 !== 0)
    throw new RangeError(`expected 0x and whole bytes of hex, got ${clip(text)}`);
  const bytes = new Uint8Array(text.length / 2 - 1);
  writeHex(bytes, 0, text);
  return bytes;
}

/** Writes the bytes of `0x…` text of any case at `offset`. @throws RangeError at a character that is not a hex digit. */
export function writeHex(target: Uint8Array, offset: number, text: string): void {
  for (let index = 2, at = offset; index < text.length; index += 2, at++) {
    const high = DIGIT[text.charCodeAt(index)];
    const low = DIGIT[text.charCodeAt(index + 1)];
    if (high === undefined || low === undefined || high === 255 || low === 255) {
      throw new RangeError(`expected hex digits, got ${clip(text)}`);
    }
    target[at] = (high << 4) | low;
  }
}

function clip(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
