/**
 * Settled volume per account and quote asset in UTC days, for fee tiers: what counts is the sum of the last 30 complete days,
 * so an account's tier changes at midnight only, and a trade that the vault skipped never counts.
 *
 * Memory: one record of fixed size per account and quote asset that ever settled a trade; accounts cost their owners a deposit.
 */
import type { Quanta } from '../domain/units.ts';

/** Complete days whose volume counts. */
export const VOLUME_DAYS = 30;
const DAY_MS = 86_400_000;
const ASSETS_MAX = 65_536;

export type VolumeRecord = {
  /** UTC days since 1970. */
  day: number;
  /** Quote quanta settled on `day`, and on each of the days before it, latest first. */
  readonly volumes: Float64Array;
};

/** Records as they were: position i of each, `VOLUME_DAYS` + 1 volumes per record. */
export type VolumeTable = { readonly keys: Float64Array; readonly days: Int32Array; readonly volumes: Float64Array };

export const dayOf = (timeMs: number): number => Math.floor(timeMs / DAY_MS);

export class Volumes {
  /** By account × 65,536 + quote asset. */
  readonly records = new Map<number, VolumeRecord>();
  /** Noted by the present command, by balance slot of the ledger; all zero between commands. */
  #noted = new Float64Array(1024);
  readonly #slots: number[] = [];

  /** One side of a settled trade, on the way: cheap, since a batch settles many. */
  note(slot: number, amount: number): void {
    if (slot >= this.#noted.length) {
      const grown = new Float64Array(Math.max(this.#noted.length * 2, slot + 1));
      grown.set(this.#noted);
      this.#noted = grown;
    }
    if (this.#noted[slot] === 0) this.#slots.push(slot);
    this.#noted[slot]! += amount;
  }

  /** Hands over what was noted since the last call, in order of first note, and forgets it. */
  takeNoted(take: (slot: number, amount: number) => void): void {
    for (const slot of this.#slots) {
      const amount = this.#noted[slot]!;
      this.#noted[slot] = 0;
      take(slot, amount);
    }
    this.#slots.length = 0;
  }

  /** @returns the day's volume so far */
  add(account: number, asset: number, amount: number, nowMs: number): Quanta {
    const { volumes } = this.recordOn(account, asset, nowMs);
    // Beyond 2^53 a sum would lose units; no tier lies there.
    volumes[0] = Math.min(volumes[0]! + amount, Number.MAX_SAFE_INTEGER);
    return volumes[0] as Quanta;
  }

  /** The record, created empty when there is none, moved on to the day of `nowMs`. */
  recordOn(account: number, asset: number, nowMs: number): VolumeRecord {
    const key = account * ASSETS_MAX + asset;
    const day = dayOf(nowMs);
    let record = this.records.get(key);
    if (record === undefined) {
      record = { day, volumes: new Float64Array(VOLUME_DAYS + 1) };
      this.records.set(key, record);
    }
    const passed = day - record.day;
    if (passed > 0) {
      if (passed <= VOLUME_DAYS) record.volumes.copyWithin(passed, 0);
      record.volumes.fill(0, 0, Math.min(passed, VOLUME_DAYS + 1));
      record.day = day;
    }
    return record;
  }

  /** The records as they are now, in no particular order. */
  copy(): VolumeTable {
    const count = this.records.size;
    const keys = new Float64Array(count);
    const days = new Int32Array(count);
    const volumes = new Float64Array(count * (VOLUME_DAYS + 1));
    let at = 0;
    for (const [key, record] of this.records) {
      keys[at] = key;
      days[at] = record.day;
      volumes.set(record.volumes, at++ * (VOLUME_DAYS + 1));
    }
    return { keys, days, volumes };
  }

  /** Volume of the last 30 complete days before the day of `nowMs`, in quote quanta. */
  of(account: number, asset: number, nowMs: number): Quanta {
    const record = this.records.get(account * ASSETS_MAX + asset);
    if (record === undefined) return 0 as Quanta;
    const passed = dayOf(nowMs) - record.day;
    let sum = 0;
    for (let ago = passed === 0 ? 1 : 0; ago + passed <= VOLUME_DAYS; ago++) sum += record.volumes[ago]!;
    return Math.min(sum, Number.MAX_SAFE_INTEGER) as Quanta;
  }
}

/** Account and quote asset of a record's key. */
export function ownerOfVolume(key: number): { account: number; asset: number } {
  const account = Math.floor(key / ASSETS_MAX);
  return { account, asset: key - account * ASSETS_MAX };
}
