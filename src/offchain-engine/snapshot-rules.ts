/** Part of a snapshot: what operators and the vault set (fees, limits, terms), volumes, leases, failed withdrawals, and proceeds that are frozen. */
import type { FeeTier } from '../domain/markets.ts';
import type { Ppm, Quanta } from '../domain/units.ts';
import { type BinaryReader, type BinaryWriter, corrupt } from './binary.ts';
import { deriveFees } from './fees.ts';
import { readList } from './snapshot-pending.ts';
import type { EngineState } from './state.ts';
import { dayOf, ownerOfVolume, VOLUME_DAYS } from './volumes.ts';

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
  writeVolumes(out, core);
  out.uint32(core.gateways.size);
  for (const [gateway, { untilMs, accounts }] of [...core.gateways].sort((a, b) => (a[0] < b[0] ? -1 : 1))) {
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
  readVolumes(input, core);
  for (const [gateway, untilMs, accounts] of readList(
    input,
    () => [input.text(), input.number(), readList(input, () => input.hex())] as const,
  ))
    core.gateways.set(gateway, { untilMs, accounts: new Set(accounts) });
}

/** As seen on the day of the last command: a record that has not been touched since is the same as one that has moved on. */
function writeVolumes(out: BinaryWriter, { volumes, nowMs }: EngineState): void {
  const today = dayOf(nowMs);
  const entries: [key: number, ago: number, volume: number][] = [];
  for (const [key, record] of byKey(volumes.records)) {
    for (const [position, volume] of record.volumes.entries()) {
      const ago = today - record.day + position;
      if (volume > 0 && ago <= VOLUME_DAYS) entries.push([key, ago, volume]);
    }
  }
  out.uint32(entries.length);
  for (const [key, ago, volume] of entries) {
    out.number(key);
    out.uint32(ago);
    out.number(volume);
  }
}

function readVolumes(input: BinaryReader, { volumes, nowMs }: EngineState): void {
  const count = input.uint32();
  for (let index = 0; index < count; index++) {
    const { account, asset } = ownerOfVolume(input.number());
    const ago = input.uint32();
    if (ago > VOLUME_DAYS) throw corrupt(`a volume is ${ago} days old`);
    volumes.recordOn(account, asset, nowMs).volumes[ago] = input.number();
  }
}

function byKey<Value>(map: ReadonlyMap<number, Value>): [number, Value][] {
  return [...map].sort((a, b) => a[0] - b[0]);
}
