/**
 * Small pieces that binary formats are put together from: each piece writes a value and reads exactly the same value back.
 *
 * Invariants: one value has one encoding (shortest integers, lower-case hex, well-formed text), so equal bytes mean equal
 * values and a hash over the bytes names the value; reading never goes past the end and never accepts bytes that writing
 * would not have produced.
 */
import { ExchangeError } from './errors.ts';
import type { Hex } from './units.ts';

export type CodecProblem = 'truncated' | 'trailing_bytes' | 'unknown_version' | 'unknown_kind' | 'bad_value';

/** Bytes that no writer of this format has produced. `offset` is where reading stopped. */
export class CodecError extends ExchangeError {
  readonly problem: CodecProblem;
  readonly offset: number;

  constructor(problem: CodecProblem, offset: number, message: string) {
    super('JOURNAL_CORRUPT', `${message} at byte ${offset}`, { details: { problem, offset } });
    this.problem = problem;
    this.offset = offset;
  }
}

export type Codec<T> = {
  /** @throws RangeError for a value the format cannot hold. */
  readonly write: (writer: ByteWriter, value: T) => void;
  /** @throws CodecError for bytes that `write` does not produce. */
  readonly read: (reader: ByteReader) => T;
};

const HEX_OF_BYTE: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const SAFE_VARINT_BYTES_MAX = 8;
const UINT256_LIMIT = 1n << 256n;

/** Value of a lower-case hex digit's character code, or -1. */
function nibble(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 97 && code <= 102) return code - 87;
  return -1;
}

/** Bytes that a writer gets at a time; those of small values share them. */
const SLAB_BYTES = 16_384;

/** Never writes to the same place twice, so that what it has given out needs no memory of its own, which costs more than writing it. */
export class ByteWriter {
  #bytes = new Uint8Array(SLAB_BYTES);
  #start = 0;
  #end = 0;

  /** Everything written since the last `reset`, as a view that stays as it is. */
  toBytes(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  reset(): void {
    this.#start = this.#end;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#end++] = value;
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** Little groups of seven bits, lowest first. @throws RangeError unless 0 ≤ value < 2^53 and whole. */
  uint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError(`expected an integer in [0, 2^53), got ${value}`);
    let rest = value;
    while (rest >= 128) {
      this.byte((rest % 128) + 128);
      rest = Math.floor(rest / 128);
    }
    this.byte(rest);
  }

  /** @throws RangeError unless `hex` is 0x and exactly `length` bytes of lower-case hex. */
  hex(hex: string, length: number): void {
    if (hex.length !== 2 + 2 * length || !hex.startsWith('0x')) {
      throw new RangeError(`expected 0x and ${length} bytes of hex, got ${hex.length} characters`);
    }
    this.#reserve(length);
    const bytes = this.#bytes;
    let at = this.#end;
    for (let index = 2; index < hex.length; index += 2) {
      const high = nibble(hex.charCodeAt(index));
      const low = nibble(hex.charCodeAt(index + 1));
      if (high < 0 || low < 0) throw new RangeError(`expected lower-case hex, got ${hex}`);
      bytes[at++] = high * 16 + low;
    }
    this.#end = at;
  }

  #reserve(count: number): void {
    if (this.#end + count <= this.#bytes.length) return;
    const written = this.toBytes();
    this.#bytes = new Uint8Array(Math.max(SLAB_BYTES, 2 * (written.length + count)));
    this.#bytes.set(written);
    this.#start = 0;
    this.#end = written.length;
  }
}

export class ByteReader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  fail(problem: CodecProblem, message: string): never {
    throw new CodecError(problem, this.#offset, message);
  }

  byte(): number {
    const value = this.#bytes[this.#offset];
    if (value === undefined) return this.fail('truncated', 'the bytes end too early');
    this.#offset++;
    return value;
  }

  /** A view, not a copy. */
  raw(length: number): Uint8Array {
    if (length > this.remaining) this.fail('truncated', `expected ${length} more bytes, got ${this.remaining}`);
    const view = this.#bytes.subarray(this.#offset, this.#offset + length);
    this.#offset += length;
    return view;
  }

  uint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 1; count <= SAFE_VARINT_BYTES_MAX; count++) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128) {
        if (byte === 0 && count > 1) this.fail('bad_value', 'an integer is not in its shortest form');
        if (value > Number.MAX_SAFE_INTEGER) this.fail('bad_value', 'an integer is not below 2^53');
        return value;
      }
      scale *= 128;
    }
    return this.fail('bad_value', 'an integer is too long');
  }

  hex(length: number): Hex {
    let text = '0x';
    for (const byte of this.raw(length)) text += HEX_OF_BYTE[byte];
    return text as Hex;
  }

  /** @throws CodecError unless everything was read. */
  end(): void {
    if (this.remaining > 0) this.fail('trailing_bytes', `${this.remaining} bytes follow the end`);
  }
}

/** Non-negative safe integers, branded units included. */
export function uint<T extends number>(): Codec<T> {
  return { write: (writer, value) => writer.uint(value), read: (reader) => reader.uint() as T };
}

export const bool: Codec<boolean> = {
  write: (writer, value) => writer.byte(value ? 1 : 0),
  read: (reader) => {
    const value = reader.byte();
    return value > 1 ? reader.fail('bad_value', `expected 0 or 1, got ${value}`) : value === 1;
  },
};

/** Exactly `length` bytes, as lower-case hex. */
export function fixedHex(length: number): Codec<Hex> {
  return { write: (writer, value) => writer.hex(value, length), read: (reader) => reader.hex(length) };
}

/** Any number of bytes, as lower-case hex. */
export const variableHex: Codec<Hex> = {
  write: (writer, value) => {
    const length = Math.floor((value.length - 2) / 2);
    writer.uint(Math.max(0, length));
    writer.hex(value, length);
  },
  read: (reader) => reader.hex(reader.uint()),
};

/** UTF-8. @throws RangeError on writing lone surrogates, which would not come back. */
export const text: Codec<string> = {
  write: (writer, value) => {
    if (!value.isWellFormed()) throw new RangeError('expected well-formed Unicode text');
    if (value === '') return writer.uint(0);
    const bytes = new TextEncoder().encode(value);
    writer.uint(bytes.length);
    writer.raw(bytes);
  },
  read: (reader) => {
    const bytes = reader.raw(reader.uint());
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return reader.fail('bad_value', 'a text is not UTF-8');
    }
  },
};

/** 0 … 2^256 − 1: one length byte, then big-endian bytes without leading zeros. */
export const uint256: Codec<bigint> = {
  write: (writer, value) => {
    if (value < 0n || value >= UINT256_LIMIT) throw new RangeError(`expected an integer in [0, 2^256), got ${value}`);
    const digits = value === 0n ? '' : value.toString(16);
    const even = digits.length % 2 === 0 ? digits : `0${digits}`;
    writer.byte(even.length / 2);
    writer.hex(`0x${even}`, even.length / 2);
  },
  read: (reader) => {
    const length = reader.byte();
    if (length > 32) reader.fail('bad_value', `an integer of ${length} bytes is above 2^256`);
    const digits = reader.hex(length);
    if (digits.startsWith('0x00')) reader.fail('bad_value', 'an integer is not in its shortest form');
    return length === 0 ? 0n : BigInt(digits);
  },
};

/** One of a fixed list of words; the position in the list is what is stored, so the list only ever grows at its end. */
export function word<T extends string>(words: readonly T[]): Codec<T> {
  return {
    write: (writer, value) => {
      const index = words.indexOf(value);
      if (index < 0) throw new RangeError(`expected one of ${words.join(', ')}, got ${value}`);
      writer.byte(index);
    },
    read: (reader) => words[reader.byte()] ?? reader.fail('bad_value', `expected one of ${words.join(', ')}`),
  };
}

export function optional<T>(codec: Codec<T>): Codec<T | undefined> {
  return {
    write: (writer, value) => {
      bool.write(writer, value !== undefined);
      if (value !== undefined) codec.write(writer, value);
    },
    read: (reader) => (bool.read(reader) ? codec.read(reader) : undefined),
  };
}

export function list<T>(codec: Codec<T>): Codec<readonly T[]> {
  return {
    write: (writer, values) => {
      writer.uint(values.length);
      for (const value of values) codec.write(writer, value);
    },
    read: (reader) => {
      const length = reader.uint();
      // Every element takes at least one byte: a forged length cannot make the reader allocate.
      if (length > reader.remaining) reader.fail('truncated', `expected ${length} elements`);
      return Array.from({ length }, () => codec.read(reader));
    },
  };
}

type Fields<T> = { readonly [Name in keyof T]-?: Codec<T[Name]> };

/** An object with exactly these fields, in this order. */
export function struct<T extends object>(fields: Fields<T>): Codec<T> {
  const names = Object.keys(fields) as (keyof T)[];
  const codecs = Object.values(fields) as Codec<T[keyof T]>[];
  return {
    // By index: every order passes here, and an iterator would leave a few objects for each of its fields.
    write: (writer, value) => {
      for (let index = 0; index < names.length; index++) {
        (codecs[index] as Codec<T[keyof T]>).write(writer, value[names[index] as keyof T]);
      }
    },
    read: (reader) => {
      const value: Partial<T> = {};
      for (let index = 0; index < names.length; index++) {
        value[names[index] as keyof T] = (codecs[index] as Codec<T[keyof T]>).read(reader);
      }
      return value as T;
    },
  };
}

type Variant<Union extends { readonly kind: string }, Kind> = Omit<Extract<Union, { readonly kind: Kind }>, 'kind'>;

/** A union told apart by `kind`. The number of a kind is stored and never given to another. */
export function variants<Union extends { readonly kind: string }>(
  table: {
    readonly [Kind in Union['kind']]: readonly [number, Codec<Variant<Union, Kind>>];
  },
): Codec<Union> {
  const byKind = new Map(Object.entries(table) as [string, readonly [number, Codec<never>]][]);
  const byNumber = new Map(Array.from(byKind, ([kind, [number, codec]]) => [number, { kind, codec }] as const));
  if (byNumber.size !== byKind.size) throw new RangeError('two kinds share a number');
  return {
    write: (writer, value) => {
      const entry = byKind.get(value.kind);
      if (entry === undefined) throw new RangeError(`unknown kind ${value.kind}`);
      writer.byte(entry[0]);
      entry[1].write(writer, value as never);
    },
    read: (reader) => {
      const number = reader.byte();
      const entry = byNumber.get(number) ?? reader.fail('unknown_kind', `unknown kind number ${number}`);
      return { kind: entry.kind, ...(entry.codec.read(reader) as object) } as Union;
    },
  };
}
