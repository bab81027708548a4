/**
 * Order flows for benchmarks: seeded, the same on every platform, with the outcome an independent oracle computed.
 *
 * A flow keeps about `target` orders alive around a middle price that wanders: mostly new limit orders and cancels, and a few
 * immediate-or-cancel orders that sweep up to five ticks through the touch. The oracle is a map of levels, each a queue; it
 * shares nothing with the engine. File format: a header of 32 bytes (magic, version, records, prefill, seed, trades, low word
 * of the volume, trade hash; uint32 little-endian), then records of 16 bytes (type, side, user uint16, id, price, size).
 */
import { readFileSync } from 'node:fs';

export const LIMIT = 0;
export const CANCEL = 1;
export const IOC = 2;

export type Flow = {
  readonly count: number;
  /** Leading records that only fill the book; measured after them. */
  readonly prefill: number;
  readonly types: Uint8Array;
  /** 0 buy, 1 sell. */
  readonly sides: Uint8Array;
  readonly users: Uint16Array;
  /** Of the order, 1, 2, 3 …; for a cancel, of the order it ends. */
  readonly ids: Uint32Array;
  /** Ticks. */
  readonly prices: Int32Array;
  /** Lots. */
  readonly sizes: Uint32Array;
  readonly highestId: number;
  readonly expected: { readonly trades: number; readonly volume: number; readonly hash: number };
};

export type FlowShape = {
  readonly ops: number;
  readonly seed: number;
  /** Orders kept alive. */
  readonly target: number;
  readonly prefill: number;
  /** Chance per tick that an order's distance from the middle ends there. */
  readonly pgeo: number;
  /** Chance per operation that the middle moves. */
  readonly pmove: number;
  /** Ticks per move. */
  readonly step?: number;
};

const MIDDLE = 1_000_000;
const MAGIC = 0x4f42574c;

/** Order-sensitive hash over (taker, maker, price, size) of every trade. */
export function mix(hash: number, taker: number, maker: number, price: number, size: number): number {
  let mixed = Math.imul(hash ^ taker, 16777619);
  mixed = Math.imul(mixed ^ maker, 16777619);
  mixed = Math.imul(mixed ^ price, 16777619);
  return Math.imul(mixed ^ size, 16777619);
}
export const HASH_START = 0x811c9dc5;

type Live = { readonly id: number; readonly side: number; readonly price: number; left: number; position: number };

/** Levels by price with the best last; a level is a queue in insertion order. */
class OracleSide {
  readonly prices: number[] = [];
  readonly levels = new Map<number, Map<number, Live>>();
  readonly #buys: boolean;

  constructor(buys: boolean) {
    this.#buys = buys;
  }

  best(): number | undefined {
    return this.prices.at(-1);
  }

  add(order: Live): void {
    let level = this.levels.get(order.price);
    if (level === undefined) {
      level = new Map();
      this.levels.set(order.price, level);
      this.prices.splice(this.#find(order.price), 0, order.price);
    }
    level.set(order.id, order);
  }

  remove(order: Live): void {
    const level = this.levels.get(order.price)!;
    level.delete(order.id);
    if (level.size > 0) return;
    this.levels.delete(order.price);
    this.prices.splice(this.#find(order.price), 1);
  }

  #find(price: number): number {
    let low = 0;
    let high = this.prices.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#buys ? this.prices[middle]! < price : this.prices[middle]! > price) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

class Oracle {
  readonly sides = [new OracleSide(true), new OracleSide(false)] as const;
  readonly alive: Live[] = [];
  trades = 0;
  volume = 0;
  hash = HASH_START;

  submit(side: number, id: number, price: number, size: number, rests: boolean): void {
    const other = this.sides[side ^ 1]!;
    let left = size;
    while (left > 0) {
      const best = other.best();
      if (best === undefined || (side === 0 ? best > price : best < price)) break;
      const maker: Live = other.levels.get(best)!.values().next().value!;
      const traded = Math.min(left, maker.left);
      this.trades++;
      this.volume += traded;
      this.hash = mix(this.hash, id, maker.id, best, traded);
      left -= traded;
      maker.left -= traded;
      if (maker.left === 0) this.remove(maker);
    }
    if (left === 0 || !rests) return;
    const order = { id, side, price, left, position: this.alive.length };
    this.sides[side]!.add(order);
    this.alive.push(order);
  }

  remove(order: Live): void {
    this.sides[order.side]!.remove(order);
    const last = this.alive.pop()!;
    if (last === order) return;
    this.alive[order.position] = last;
    last.position = order.position;
  }
}

/** Seeded 32-bit generator (sfc32). */
function generator(seed: number): () => number {
  let a = 0x9e3779b9 ^ seed;
  let b = 0x243f6a88;
  let c = 0xb7e15162;
  let d = seed | 1;
  const next = (): number => {
    const drawn = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + drawn) | 0;
    return drawn >>> 0;
  };
  for (let i = 0; i < 20; i++) next();
  return next;
}

function emptyFlow(count: number, prefill: number): Flow & { expected: Flow['expected'] } {
  return {
    count,
    prefill,
    types: new Uint8Array(count),
    sides: new Uint8Array(count),
    users: new Uint16Array(count),
    ids: new Uint32Array(count),
    prices: new Int32Array(count),
    sizes: new Uint32Array(count),
    highestId: 0,
    expected: { trades: 0, volume: 0, hash: HASH_START },
  };
}

export function generateFlow({ ops, seed, target, prefill, pgeo, pmove, step = 1 }: FlowShape): Flow {
  const flow = emptyFlow(prefill + ops, prefill);
  const random = generator(seed);
  const below = (bound: number): number => random() % bound;
  const near = Math.floor(pgeo * 2 ** 32);
  const moves = Math.floor(pmove * 2 ** 32);
  const distance = (): number => {
    let ticks = 1;
    while (random() >= near && ticks < 20_000) ticks++;
    return ticks;
  };
  const oracle = new Oracle();
  let middle = MIDDLE;
  let count = 0;
  let highestId = 0;
  const record = (type: number, side: number, user: number, id: number, price: number, size: number): void => {
    flow.types[count] = type;
    flow.sides[count] = side;
    flow.users[count] = user;
    flow.ids[count] = id;
    flow.prices[count] = price;
    flow.sizes[count] = size;
    count++;
  };
  const limit = (side: number): void => {
    const ticks = distance();
    const price = side === 0 ? middle - ticks : middle + ticks;
    const size = 1 + below(100);
    const id = ++highestId;
    record(LIMIT, side, below(1_000), id, price, size);
    oracle.submit(side, id, price, size, true);
  };
  const sweep = (): void => {
    const side = below(2);
    const best = oracle.sides[side ^ 1]!.best() ?? middle;
    const price = side === 0 ? best + below(6) : best - below(6);
    const size = 1 + below(300);
    const id = ++highestId;
    record(IOC, side, below(1_000), id, price, size);
    oracle.submit(side, id, price, size, false);
  };
  const cancel = (): void => {
    const alive = oracle.alive;
    // Half the time among the newest tenth.
    const newest = (random() & 1) === 1;
    const pick = newest ? alive.length - 1 - below(Math.max(1, Math.floor(alive.length / 10))) : below(alive.length);
    const order = alive[pick]!;
    record(CANCEL, order.side, 0, order.id, order.price, 0);
    oracle.remove(order);
  };
  for (let i = 0; i < prefill; i++) limit(i & 1);
  for (let i = 0; i < ops; i++) {
    if (random() < moves) middle += (random() & 1) === 1 ? step : -step;
    const alive = oracle.alive.length;
    const error = Math.max(-0.35, Math.min(0.35, ((alive - target) / Math.max(1, target)) * 2));
    const cancels = Math.floor((0.4 + (0.15 * error) / 0.35) * 2 ** 32);
    const sweeps = Math.floor(0.05 * 2 ** 32);
    const draw = random();
    if (draw < sweeps && alive > 20) sweep();
    else if (draw < sweeps + cancels && alive > 0) cancel();
    else limit(below(2));
  }
  const { trades, volume, hash } = oracle;
  return { ...flow, highestId, expected: { trades, volume, hash: hash >>> 0 } };
}

/** Reads a flow file. @throws Error when it is not one. */
export function readFlow(path: string): Flow {
  const bytes = readFileSync(path);
  if (bytes.length < 32 || bytes.readUInt32LE(0) !== MAGIC || bytes.readUInt32LE(4) !== 1) {
    throw new Error(`${path} is not a flow file: expected magic ${MAGIC.toString(16)}, version 1`);
  }
  const count = bytes.readUInt32LE(8);
  if (bytes.length !== 32 + count * 16)
    throw new Error(`${path} holds ${bytes.length} bytes, its header says ${32 + count * 16}`);
  const flow = emptyFlow(count, bytes.readUInt32LE(12));
  let highestId = 0;
  for (let index = 0; index < count; index++) {
    const at = 32 + index * 16;
    flow.types[index] = bytes[at]!;
    flow.sides[index] = bytes[at + 1]!;
    flow.users[index] = bytes.readUInt16LE(at + 2);
    flow.ids[index] = bytes.readUInt32LE(at + 4);
    flow.prices[index] = bytes.readInt32LE(at + 8);
    flow.sizes[index] = bytes.readUInt32LE(at + 12);
    highestId = Math.max(highestId, flow.ids[index]!);
  }
  return {
    ...flow,
    highestId,
    expected: { trades: bytes.readUInt32LE(20), volume: bytes.readUInt32LE(24), hash: bytes.readUInt32LE(28) },
  };
}
