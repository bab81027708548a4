/** Little-endian bytes of a snapshot: numbers, hex, text. Reading past the end throws `SNAPSHOT_CORRUPT`. */
import { ExchangeError } from '../domain/errors.ts';
import type { Hex } from '../domain/units.ts';
import { DIGEST_BYTES, DIGEST_WORDS } from './digest-words.ts';

/** Words of a digest are its bytes as they lie in memory. */
const HOST_IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

export class BinaryWriter {
  #bytes: Buffer;
  #view: DataView;
  #length = 0;

  /** @param capacity bytes expected; beyond them it grows, which copies. */
  constructor(capacity = 1 << 16) {
    this.#bytes = Buffer.allocUnsafeSlow(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  flag(value: boolean): void {
    this.byte(value ? 1 : 0);
  }

  /** An integer in [0, 2^32), or an int32 by its bits. */
  uint32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  /** Any safe integer, as a double: one encoding per value. */
  number(value: number): void {
    this.#reserve(8);
    this.#view.setFloat64(this.#length, value, true);
    this.#length += 8;
  }

  /** Lower-case hex with prefix, at most 65,535 bytes. */
  hex(value: string): void {
    const size = (value.length - 2) / 2;
    this.#reserve(size + 2);
    this.#length = this.#bytes.writeUInt16LE(size, this.#length);
    this.#length += this.#bytes.write(value.slice(2), this.#length, 'hex');
  }

  /** The 32 bytes of eight words: what `hex` writes for the digest they are. */
  digest(words: Int32Array, at: number): void {
    this.#reserve(DIGEST_BYTES + 2);
    this.#length = this.#bytes.writeUInt16LE(DIGEST_BYTES, this.#length);
    for (let word = 0; word < DIGEST_WORDS; word++) {
      this.#view.setInt32(this.#length, words[at + word]!, HOST_IS_LITTLE_ENDIAN);
      this.#length += 4;
    }
  }

  text(value: string): void {
    const bytes = Buffer.from(value, 'utf8');
    this.#reserve(bytes.length + 4);
    this.#length = this.#bytes.writeUInt32LE(bytes.length, this.#length);
    this.#length += bytes.copy(this.#bytes, this.#length);
  }

  bigint(value: bigint): void {
    this.text(value.toString(16));
  }

  /** What another writer wrote, as it is. */
  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** What was written; the writer is not used afterwards. */
  finish(): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, 0, this.#length);
  }

  #reserve(size: number): void {
    if (this.#length + size <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#length + size));
    this.#bytes.copy(grown);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

export class BinaryReader {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  byte(): number {
    return this.#bytes[this.#take(1)]!;
  }

  flag(): boolean {
    const value = this.byte();
    if (value > 1) throw corrupt(`a flag is ${value}`);
    return value === 1;
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  number(): number {
    const value = this.#view.getFloat64(this.#take(8), true);
    if (!Number.isSafeInteger(value)) throw corrupt(`a number is ${value}`);
    return value;
  }

  hex(): Hex {
    const size = this.#bytes.readUInt16LE(this.#take(2));
    const start = this.#take(size);
    return `0x${this.#bytes.toString('hex', start, start + size)}`;
  }

  /** Reads what `digest` wrote. */
  digest(words: Int32Array, at: number): void {
    const size = this.#bytes.readUInt16LE(this.#take(2));
    if (size !== DIGEST_BYTES) throw corrupt(`a digest has ${size} bytes`);
    const start = this.#take(DIGEST_BYTES);
    for (let word = 0; word < DIGEST_WORDS; word++)
      words[at + word] = this.#view.getInt32(start + word * 4, HOST_IS_LITTLE_ENDIAN);
  }

  text(): string {
    const size = this.uint32();
    const start = this.#take(size);
    return this.#bytes.toString('utf8', start, start + size);
  }

  bigint(): bigint {
    const text = this.text();
    if (!/^[0-9a-f]+$/.test(text)) throw corrupt(`'${text}' is not a hexadecimal number`);
    return BigInt(`0x${text}`);
  }

  get ended(): boolean {
    return this.#position === this.#bytes.length;
  }

  /** @throws ExchangeError when bytes are left. */
  end(): void {
    if (this.#position !== this.#bytes.length)
      throw corrupt(`${this.#bytes.length - this.#position} bytes are left over`);
  }

  #take(size: number): number {
    const start = this.#position;
    if (start + size > this.#bytes.length) throw corrupt(`it ends at byte ${this.#bytes.length}, inside a value`);
    this.#position += size;
    return start;
  }
}

export function corrupt(detail: string): ExchangeError {
  return new ExchangeError('SNAPSHOT_CORRUPT', `the snapshot does not decode: ${detail}`);
}
