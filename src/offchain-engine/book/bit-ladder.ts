/**
 * A set of small integers as a bitmap with two summary levels: membership costs one word, the neighbour above or below
 * costs at most three words plus a scan of the top level (one word per 32,768 members).
 */
export class BitLadder {
  readonly size: number;
  readonly #leaf: Int32Array;
  readonly #middle: Int32Array;
  readonly #top: Int32Array;

  /** Holds integers in [0, size). */
  constructor(size: number) {
    this.size = size;
    this.#leaf = new Int32Array((size + 31) >>> 5);
    this.#middle = new Int32Array((this.#leaf.length + 31) >>> 5);
    this.#top = new Int32Array((this.#middle.length + 31) >>> 5);
  }

  add(value: number): void {
    this.#leaf[value >>> 5]! |= 1 << (value & 31);
    this.#middle[value >>> 10]! |= 1 << ((value >>> 5) & 31);
    this.#top[value >>> 15]! |= 1 << ((value >>> 10) & 31);
  }

  delete(value: number): void {
    const leaf = this.#leaf[value >>> 5]! & ~(1 << (value & 31));
    this.#leaf[value >>> 5] = leaf;
    if (leaf !== 0) return;
    const middle = this.#middle[value >>> 10]! & ~(1 << ((value >>> 5) & 31));
    this.#middle[value >>> 10] = middle;
    if (middle !== 0) return;
    this.#top[value >>> 15]! &= ~(1 << ((value >>> 10) & 31));
  }

  /** Smallest member at or above `value`; −1 when there is none. */
  next(value: number): number {
    if (value >= this.size) return -1;
    let word = value >>> 5;
    let bits = this.#leaf[word]! & (-1 << (value & 31));
    if (bits !== 0) return (word << 5) | lowestBit(bits);
    word++;
    if (word >= this.#leaf.length) return -1;
    let group = word >>> 5;
    bits = this.#middle[group]! & (-1 << (word & 31));
    if (bits === 0) {
      group++;
      if (group >= this.#middle.length) return -1;
      let root = group >>> 5;
      bits = this.#top[root]! & (-1 << (group & 31));
      while (bits === 0) {
        root++;
        if (root >= this.#top.length) return -1;
        bits = this.#top[root]!;
      }
      group = (root << 5) | lowestBit(bits);
      bits = this.#middle[group]!;
    }
    word = (group << 5) | lowestBit(bits);
    return (word << 5) | lowestBit(this.#leaf[word]!);
  }

  /** Largest member at or below `value`; −1 when there is none. */
  previous(value: number): number {
    if (value < 0) return -1;
    let word = value >>> 5;
    let bits = this.#leaf[word]! & (-1 >>> (31 - (value & 31)));
    if (bits !== 0) return (word << 5) | highestBit(bits);
    word--;
    if (word < 0) return -1;
    let group = word >>> 5;
    bits = this.#middle[group]! & (-1 >>> (31 - (word & 31)));
    if (bits === 0) {
      group--;
      if (group < 0) return -1;
      let root = group >>> 5;
      bits = this.#top[root]! & (-1 >>> (31 - (group & 31)));
      while (bits === 0) {
        root--;
        if (root < 0) return -1;
        bits = this.#top[root]!;
      }
      group = (root << 5) | highestBit(bits);
      bits = this.#middle[group]!;
    }
    word = (group << 5) | highestBit(bits);
    return (word << 5) | highestBit(this.#leaf[word]!);
  }
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}

function highestBit(bits: number): number {
  return 31 - Math.clz32(bits);
}
