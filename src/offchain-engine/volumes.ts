/**
 * Settled volume per account and quote asset in UTC days, for fee tiers: what counts is the sum of the last 30 complete days,
 * so an account's tier changes at midnight only, and a trade that the vault skipped never counts.
 *
 * Memory: one record of 256 bytes per balance that ever settled a trade as quote; accounts cost their owners a deposit.
 */
import type { Quanta } from '../domain/units.ts';

/** Complete days whose volume counts. */
export const VOLUME_DAYS = 30;
const DAY_MS = 86_400_000;

/** Slots of a record: quote quanta settled on its day and on each of the days before it, latest first; then that day. */
export const VOLUME_SHIFT = 5;
export const VOLUME_DAY = 31;

/** Records as they were, `slots` telling whose, in no particular order. */
export type VolumeTable = { readonly slots: Int32Array; readonly records: Float64Array };

/** UTC days since 1970. */
export const dayOf = (timeMs: number): number => Math.floor(timeMs / DAY_MS);

/** A balance is named by its slot in the ledger. */
export class Volumes {
  count = 0;
  #records = new Float64Array(64 << VOLUME_SHIFT);
  /** Balance of each record. */
  #slots = new Int32Array(64);
  /** Record of each balance, plus one; 0 for none. */
  #positions = new Int32Array(1024);
  /** Noted by the present command, by balance; all zero between commands. */
  #noted = new Float64Array(1024);
  #notedSlots = new Int32Array(256);
  #notedCount = 0;

  /** One side of a settled trade, on the way: cheap, since a batch settles many. */
  note(slot: number, amount: number): void {
    if (slot >= this.#noted.length) this.#noted = grownTo(this.#noted, slot + 1);
    const before = this.#noted[slot]!;
    if (before === 0) {
      if (this.#notedCount === this.#notedSlots.length)
        this.#notedSlots = grownTo(this.#notedSlots, this.#notedCount + 1);
      this.#notedSlots[this.#notedCount++] = slot;
    }
    this.#noted[slot] = before + amount;
  }

  /** Adds what was noted since the last call to the day's volumes, and tells them in order of first note. */
  takeNoted(nowMs: number, tell: (slot: number, volume: number) => void): void {
    const day = dayOf(nowMs);
    for (let index = 0; index < this.#notedCount; index++) {
      const slot = this.#notedSlots[index]!;
      const at = this.#recordOn(slot, day);
      // Beyond 2^53 a sum would lose units; no tier lies there.
      const volume = Math.min(this.#records[at]! + this.#noted[slot]!, Number.MAX_SAFE_INTEGER);
      this.#noted[slot] = 0;
      this.#records[at] = volume;
      tell(slot, volume);
    }
    this.#notedCount = 0;
  }

  /** Volume of the last 30 complete days before the day of `nowMs`, in quote quanta. */
  of(slot: number, nowMs: number): Quanta {
    const position = slot < this.#positions.length ? this.#positions[slot]! : 0;
    if (position === 0) return 0 as Quanta;
    const at = (position - 1) << VOLUME_SHIFT;
    const passed = dayOf(nowMs) - this.#records[at | VOLUME_DAY]!;
    let sum = 0;
    for (let ago = passed === 0 ? 1 : 0; ago + passed <= VOLUME_DAYS; ago++) sum += this.#records[at + ago]!;
    return Math.min(sum, Number.MAX_SAFE_INTEGER) as Quanta;
  }

  /** Sets the volume of one day, `ago` days before the day of `nowMs`. */
  restore(slot: number, ago: number, volume: number, nowMs: number): void {
    this.#records[this.#recordOn(slot, dayOf(nowMs)) + ago] = volume;
  }

  /** The records as they are now. */
  copy(): VolumeTable {
    return {
      slots: this.#slots.slice(0, this.count),
      records: this.#records.slice(0, this.count << VOLUME_SHIFT),
    };
  }

  /** Where the balance's record begins, created empty when there is none, moved on to `day`. */
  #recordOn(slot: number, day: number): number {
    if (slot >= this.#positions.length) this.#positions = grownTo(this.#positions, slot + 1);
    const position = this.#positions[slot]!;
    if (position === 0) return this.#create(slot, day);
    const at = (position - 1) << VOLUME_SHIFT;
    const passed = day - this.#records[at | VOLUME_DAY]!;
    if (passed > 0) {
      const end = at + VOLUME_DAY;
      if (passed <= VOLUME_DAYS) this.#records.copyWithin(at + passed, at, end - passed);
      this.#records.fill(0, at, Math.min(at + passed, end));
      this.#records[end] = day;
    }
    return at;
  }

  #create(slot: number, day: number): number {
    const at = this.count << VOLUME_SHIFT;
    if (at === this.#records.length) {
      this.#records = grownTo(this.#records, at + 1);
      this.#slots = grownTo(this.#slots, this.count + 1);
    }
    this.#slots[this.count] = slot;
    this.#records[at | VOLUME_DAY] = day;
    this.#positions[slot] = ++this.count;
    return at;
  }
}

function grownTo<Numbers extends Int32Array | Float64Array>(numbers: Numbers, length: number): Numbers {
  const grown = new (numbers.constructor as new (length: number) => Numbers)(Math.max(numbers.length * 2, length));
  grown.set(numbers);
  return grown;
}
