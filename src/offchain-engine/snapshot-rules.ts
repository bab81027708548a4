/** Part of a snapshot: what operators and the vault set (fees, limits, terms), volumes, leases, failed withdrawals, and proceeds that are frozen. */
import type { FeeTier } from '../domain/markets.ts';
import type { Ppm, Quanta } from '../domain/units.ts';
import { type BinaryReader, type BinaryWriter, corrupt } from './binary.ts';
import { deriveFees } from './fees.ts';
import { readList } from './snapshot-pending.ts';
import type { EngineState } from './state.ts';
import type { VolumeTable } from './volumes.ts';
import * as volumeTable from './volumes.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { VOLUME_DAY, VOLUME_DAYS, VOLUME_SHIFT } = volumeTable;

/** Records of volumes written in one step. */
const STEP = 128;
/** A key is account × 65,536 + asset. */
const ASSETS_MAX = 65_536;

export function writeRules(out: BinaryWriter, core: EngineState): void {
  out.number(core.feeMaximum.takerFeePpm);
  out.number(core.feeMaximum.makerFeePpm);
  for (const { chosenTiers } of core.markets) {
    out.uint32(chosenTiers.length);
    for (const { volumeMin, makerFeePpm, takerFeePpm } of chosenTiers)
      for (const value of [volumeMin, makerFeePpm, takerFeePpm]) out.number(value);
  }
  out.uint32(core.withdrawalMinimums.size);
  for (const [asset, minimum] of byKey(core.withdrawalMinimums)) {
    out.uint32(asset);
    out.number(minimum);
  }
  out.uint32(core.failedWithdrawals.size);
  for (const [account, { failures, untilMs }] of byKey(core.failedWithdrawals)) {
    out.uint32(account);
    out.number(failures);
    out.number(untilMs);
  }
  out.number(core.suspectUntilBatch);
  out.uint32(core.frozen.size);
  for (const [key, amount] of byKey(core.frozen)) {
    out.number(key);
    out.number(amount);
  }
}

export function writeGateways(out: BinaryWriter, { gateways }: EngineState): void {
  out.uint32(gateways.size);
  for (const [gateway, { untilMs, accounts }] of [...gateways].sort((a, b) => (a[0] < b[0] ? -1 : 1))) {
    out.text(gateway);
    out.number(untilMs);
    out.uint32(accounts.size);
    for (const account of [...accounts].sort()) out.hex(account);
  }
}

export function readRules(input: BinaryReader, core: EngineState): void {
  core.feeMaximum = { takerFeePpm: input.number() as Ppm, makerFeePpm: input.number() as Ppm };
  for (const market of core.markets) {
    market.chosenTiers = readList(
      input,
      (): FeeTier => ({
        volumeMin: input.number() as Quanta,
        makerFeePpm: input.number() as Ppm,
        takerFeePpm: input.number() as Ppm,
      }),
    );
    deriveFees(core, market);
  }
  for (const [asset, minimum] of readList(input, () => [input.uint32(), input.number() as Quanta] as const))
    core.withdrawalMinimums.set(asset, minimum);
  for (const [account, failed] of readList(
    input,
    () => [input.uint32(), { failures: input.number(), untilMs: input.number() }] as const,
  ))
    core.failedWithdrawals.set(account, failed);
  core.suspectUntilBatch = input.number();
  for (const [key, amount] of readList(input, () => [input.number(), input.number()] as const))
    core.frozen.set(key, amount);
}

export function readGateways(input: BinaryReader, core: EngineState): void {
  for (const [gateway, untilMs, accounts] of readList(
    input,
    () => [input.text(), input.number(), readList(input, () => input.hex())] as const,
  ))
    core.gateways.set(gateway, { untilMs, accounts: new Set(accounts) });
}

/** Whose records they are: balances by slot. */
type Owners = { readonly accounts: readonly number[]; readonly assets: readonly number[] };

/** As seen on the day of the last command: a record that has not been touched since is the same as one that has moved on. */
export function* writeVolumes(
  out: BinaryWriter,
  { slots, records }: VolumeTable,
  { accounts, assets }: Owners,
  today: number,
): Generator<undefined, void, undefined> {
  const positions = new Map<number, number>();
  const keys = new Float64Array(slots.length);
  let count = 0;
  for (const [position, slot] of slots.entries()) {
    const at = position << VOLUME_SHIFT;
    keys[position] = accounts[slot]! * ASSETS_MAX + assets[slot]!;
    positions.set(keys[position]!, at);
    const passed = today - records[at | VOLUME_DAY]!;
    for (let index = 0; index + passed <= VOLUME_DAYS; index++) if (records[at + index]! > 0) count++;
    if (position % STEP === STEP - 1) yield;
  }
  out.uint32(count);
  for (const [written, key] of keys.sort().entries()) {
    const at = positions.get(key)!;
    const passed = today - records[at | VOLUME_DAY]!;
    for (let index = 0; index + passed <= VOLUME_DAYS; index++) {
      const volume = records[at + index]!;
      if (volume === 0) continue;
      out.number(key);
      out.uint32(passed + index);
      out.number(volume);
    }
    if (written % STEP === STEP - 1) yield;
  }
}

export type ReadVolume = { readonly key: number; readonly ago: number; readonly volume: number };

/** To be restored once the balances are there. */
export function readVolumes(input: BinaryReader): readonly ReadVolume[] {
  return readList(input, () => ({ key: input.number(), ago: input.uint32(), volume: input.number() }));
}

export function restoreVolumes({ volumes, ledger, nowMs }: EngineState, read: readonly ReadVolume[]): void {
  for (const { key, ago, volume } of read) {
    const account = Math.floor(key / ASSETS_MAX);
    const slot = ledger.find(account, key - account * ASSETS_MAX);
    if (slot === 0) throw corrupt(`a volume is of account ${account}, which has no such balance`);
    if (ago > VOLUME_DAYS) throw corrupt(`a volume is ${ago} days old`);
    volumes.restore(slot, ago, volume, nowMs);
  }
}

function byKey<Value>(map: ReadonlyMap<number, Value>): [number, Value][] {
  return [...map].sort((a, b) => a[0] - b[0]);
}
