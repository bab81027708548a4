/** Big-endian numbers and raw bytes one after the other, without padding: the writer and the reader of the batch format. */
import type { Hex } from '../domain/units.ts';
import { bytesToHex, hexToBytes } from './hex.ts';

export class PackedWriter {
  readonly #bytes: number[] = [];

  /** @throws RangeError when `value` is not a non-negative integer of `width` bytes. */
  uint(width: number, value: number, name: string): void {
    if (!Number.isSafeInteger(value) || value < 0 || value >= 2 ** (8 * width)) {
      throw new RangeError(`${name} must be an integer of ${width} bytes, got ${value}`);
    }
    for (let shift = width - 1; shift >= 0; shift--) this.#bytes.push(Math.floor(value / 2 ** (8 * shift)) % 256);
  }

  /** @throws RangeError when `value` does not have `width` bytes. */
  hex(width: number, value: Hex, name: string): void {
    const bytes = hexToBytes(value);
    if (bytes.length !== width) throw new RangeError(`${name} must have ${width} bytes, got ${bytes.length}`);
    for (const byte of bytes) this.#bytes.push(byte);
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

export class PackedReader {
  readonly #bytes: Uint8Array;
  offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** @throws RangeError at the end of the bytes, or when the number reaches 2^53. */
  uint(width: number): number {
    this.#need(width);
    let value = 0;
    for (const end = this.offset + width; this.offset < end; this.offset++) {
      value = value * 256 + (this.#bytes[this.offset] as number);
    }
    this.check(Number.isSafeInteger(value), 'a number reaches 2^53');
    return value;
  }

  /** @throws RangeError at the end of the bytes. */
  hex(width: number): Hex {
    this.#need(width);
    const start = this.offset;
    this.offset += width;
    return bytesToHex(this.#bytes, start, this.offset);
  }

  list<T>(count: number, read: () => T): T[] {
    const items: T[] = [];
    while (items.length < count) items.push(read());
    return items;
  }

  /** @throws RangeError with the present offset unless `holds`. */
  check(holds: boolean, problem: string): void {
    if (!holds) throw new RangeError(`packed bytes are malformed at byte ${this.offset}: ${problem}`);
  }

  #need(width: number): void {
    this.check(this.offset + width <= this.#bytes.length, `${width} more bytes expected`);
  }
}

/** How many bytes a hex value has. */
export function byteLength(hex: Hex): number {
  return hex.length / 2 - 1;
}
