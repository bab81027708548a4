/**
 * Memory for records of fixed size, the same bytes seen as int32 and as float64.
 *
 * A table that has outgrown a few pages lies in a WebAssembly memory, the one kind of buffer that begins on a page and grows where it
 * is: a record of 32 or 64 bytes then never lies across more cache lines than it needs (in a plain buffer, which begins wherever
 * the allocator happens to put it, looking records up at random costs up to twice as much), and growing copies nothing, however
 * many records there are. No WebAssembly code is involved.
 */

/** What is used of the standard's interface, which the language's library of types leaves to browsers. */
type PagedMemory = { readonly buffer: ArrayBuffer; readonly grow: (pages: number) => number };
declare const WebAssembly: { readonly Memory: new (size: { readonly initial: number }) => PagedMemory };

/** Bytes from which a table lies on pages of its own; most engines in tests stay below. */
const PAGED_FROM = 1 << 16;
const WASM_PAGE_SHIFT = 16;

/** Words per page of memory, and pages touched in one step: about a millisecond where memory is slowest to come. */
const PAGE_WORDS = 1_024;
const STEP_PAGES = 64;

/** Writes to every page of fresh words, all zero, so that they are there when they are needed. */
export function* touchPages(words: Int32Array): Generator<undefined, undefined, undefined> {
  for (let at = 0; at < words.length; at += PAGE_WORDS) {
    words[at] = 0;
    if (at % (PAGE_WORDS * STEP_PAGES) === 0) yield;
  }
}

export class RecordTable {
  /** Reread after `reserve`. */
  ints: Int32Array;
  floats: Float64Array;
  readonly #shift: number;
  #memory: PagedMemory | undefined;

  /**
   * @param shift logarithm of the bytes per record
   * @param records a power of two
   */
  constructor(shift: number, records: number) {
    this.#shift = shift;
    const buffer = this.#allocate(records << shift);
    this.ints = new Int32Array(buffer);
    this.floats = new Float64Array(buffer);
  }

  /** Records there is room for. */
  get capacity(): number {
    return this.ints.byteLength >>> this.#shift;
  }

  /** Makes room for `records`; what is there stays, the rest is zero. @returns whether the views changed */
  reserve(records: number): boolean {
    if (records <= this.capacity) return false;
    let wanted = this.capacity;
    while (wanted < records) wanted *= 2;
    const before = this.ints;
    const bytes = wanted << this.#shift;
    let buffer: ArrayBuffer;
    if (this.#memory !== undefined) {
      this.#memory.grow((bytes - before.byteLength) >>> WASM_PAGE_SHIFT);
      buffer = this.#memory.buffer;
    } else {
      buffer = this.#allocate(bytes);
      new Int32Array(buffer).set(before);
    }
    this.ints = new Int32Array(buffer);
    this.floats = new Float64Array(buffer);
    return true;
  }

  #allocate(bytes: number): ArrayBuffer {
    if (bytes < PAGED_FROM) return new ArrayBuffer(bytes);
    this.#memory = new WebAssembly.Memory({ initial: bytes >>> WASM_PAGE_SHIFT });
    return this.#memory.buffer;
  }
}
