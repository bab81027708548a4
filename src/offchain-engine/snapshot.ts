/**
 * Snapshots: the engine's state as canonical bytes. The same state gives the same bytes, whether it came from replay or
 * from a snapshot: everything is written in an order that follows from the state, pool ids become positions in that order,
 * and what can be derived is left out.
 *
 * Taking one has two parts, so that an engine with 100,000 resting orders stands still for milliseconds only. First the state
 * is fixed: what is small is encoded at once, the large tables are copied as they are in memory (a few megabytes each, no
 * work per order). Then the copies are encoded in steps of less than a millisecond, between which the engine goes on.
 */
import { createHash } from 'node:crypto';
import type { Address, Hash } from '../domain/units.ts';
import * as accountTable from './accounts.ts';
import { refreshUnsettled } from './batches.ts';
import { BinaryReader, BinaryWriter, corrupt } from './binary.ts';
import { Engine } from './engine.ts';
import * as balances from './ledger.ts';
import { readAssets, readGenesis, readMarkets, writeAssets, writeGenesis, writeMarkets } from './snapshot-listings.ts';
import {
  OrderTable,
  placeLiveOrders,
  readBalances,
  readDoneOrders,
  readLanes,
  writeBalances,
  writeDoneOrders,
  writeLanes,
} from './snapshot-orders.ts';
import {
  idAt,
  readBatches,
  readList,
  readSwitches,
  readTrades,
  readWithdrawalLanes,
  readWithdrawals,
  TradeTable,
  writeBatches,
  writeSwitches,
  writeTrades,
  writeWithdrawalLanes,
  writeWithdrawals,
} from './snapshot-pending.ts';
import {
  readGateways,
  readRules,
  readVolumes,
  restoreVolumes,
  writeGateways,
  writeRules,
  writeVolumes,
} from './snapshot-rules.ts';
import { EngineState } from './state.ts';
import * as volumeTable from './volumes.ts';
import { dayOf, type VolumeTable } from './volumes.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { CANCELLED_BEFORE, DROPPED_SEQUENCE } = accountTable;
const { BALANCE_SHIFT } = balances;
const { VOLUME_DAYS } = volumeTable;

const MAGIC = 0x53594c54;
const FORMAT = 4;
/** Bytes per order, lane, balance, trade and record of volumes, rather more than less: a buffer that grows while it is written is a pause. */
const ORDER_BYTES = 160;
const LANE_BYTES = 56;
const BALANCE_BYTES = 56;
const TRADE_BYTES = 52;
const VOLUME_BYTES = (VOLUME_DAYS + 1) * 20;

/** SHA-256 of the canonical bytes: equal exactly when the states are. */
export function stateHash(engine: Engine): Hash {
  return `0x${createHash('sha256').update(encodeSnapshot(engine)).digest('hex')}`;
}

export function encodeSnapshot(engine: Engine): Uint8Array {
  const encoding = encodeInSteps(engine);
  for (;;) {
    const step = encoding.next();
    if (step.done) return step.value;
  }
}

/**
 * Gets the memory that `encodeInSteps` will copy the large tables into, unless a snapshot before left it.
 * @param commands how many commands come until then, at most: each places one order at most
 */
export function* makeReady({ core }: Engine, commands: number): Generator<undefined, undefined, undefined> {
  yield* core.pool.makeReady(commands);
  yield* core.lanes.makeReady(commands);
}

/** Fixes the state when called; the steps then encode it, whatever the engine does between them. */
export function encodeInSteps({ core }: Engine): Generator<undefined, Uint8Array, undefined> {
  const { accounts, ledger, pool, lanes, trades } = core;
  const out = new BinaryWriter(
    (1 << 16) +
      pool.used * ORDER_BYTES +
      lanes.count * LANE_BYTES +
      ledger.slotCount * BALANCE_BYTES +
      (trades.tail - trades.start) * TRADE_BYTES +
      core.volumes.count * VOLUME_BYTES,
  );
  out.uint32(MAGIC);
  out.uint32(FORMAT);
  for (const value of scalars(core)) out.number(value);
  out.flag(core.withdrawalsHalted);
  writeGenesis(out, core);
  writeAssets(out, core);
  writeMarkets(out, core);
  writeAccounts(out, core);
  writeRestrictions(out, core);
  writeWithdrawals(out, core.withdrawals);
  writeWithdrawalLanes(out, core);
  writeSwitches(out, core);
  writeRules(out, core);
  const gateways = new BinaryWriter();
  writeGateways(gateways, core);
  const tables = {
    accounts: accounts.count,
    volumes: core.volumes.copy(),
    today: dayOf(core.nowMs),
    gateways: gateways.finish(),
    balances: {
      accounts: ledger.slotAccounts,
      assets: ledger.slotAssets,
      records: ledger.records.slice(0, ledger.slotCount << BALANCE_SHIFT),
    },
    lanes: lanes.copy(),
    orders: new OrderTable(core),
    trades: new TradeTable(trades),
    triggered: [...core.triggered],
    batches: [...core.batches],
    earlierCuts: [...core.earlierCuts],
  };
  return encodeTables(out, core, tables);
}

type Tables = {
  readonly accounts: number;
  readonly volumes: VolumeTable;
  readonly today: number;
  /** Encoded. */
  readonly gateways: Uint8Array;
  readonly balances: Parameters<typeof writeBalances>[1];
  readonly lanes: ReturnType<EngineState['lanes']['copy']>;
  readonly orders: OrderTable;
  readonly trades: TradeTable;
  readonly triggered: readonly number[];
  readonly batches: EngineState['batches'];
  readonly earlierCuts: EngineState['earlierCuts'];
};

function* encodeTables(
  out: BinaryWriter,
  core: EngineState,
  { accounts, volumes, today, gateways, balances, lanes, orders, trades, triggered, batches, earlierCuts }: Tables,
): Generator<undefined, Uint8Array, undefined> {
  yield;
  yield* writeVolumes(out, volumes, balances, today);
  out.append(gateways);
  yield* writeBalances(out, balances);
  yield* writeLanes(out, lanes, accounts, orders);
  yield* writeDoneOrders(out, trades.named(), orders);
  yield* writeTrades(out, trades, orders);
  out.uint32(triggered.length);
  for (const id of triggered) out.uint32(orders.positionOf(id));
  writeBatches(out, batches, earlierCuts);
  core.lanes.takeBack(lanes);
  core.pool.takeBack(orders.records);
  return out.finish();
}

/** @throws ExchangeError `SNAPSHOT_CORRUPT` when the bytes are not a snapshot of this format, whole and consistent. */
export function decodeSnapshot(bytes: Uint8Array): Engine {
  const input = new BinaryReader(bytes);
  if (input.uint32() !== MAGIC) throw corrupt('it does not begin like one');
  const format = input.uint32();
  if (format !== FORMAT) throw corrupt(`its format is ${format}, this code reads ${FORMAT}`);
  const core = new EngineState();
  core.sequence = input.number();
  core.nowMs = input.number();
  core.rulesVersion = input.number();
  core.epoch = input.number();
  core.lastChainEventSequence = input.number();
  core.nextTradeId = input.number();
  core.nextBatchId = input.number();
  core.lanes.sweepAt = input.number();
  core.withdrawalsHalted = input.flag();
  readGenesis(input, core);
  readAssets(input, core);
  readMarkets(input, core);
  readAccounts(input, core);
  readRestrictions(input, core);
  core.withdrawals.push(...readWithdrawals(input));
  readWithdrawalLanes(input, core);
  readSwitches(input, core);
  readRules(input, core);
  const volumes = readVolumes(input);
  readGateways(input, core);
  readBalances(input, core);
  restoreVolumes(core, volumes);
  const ids = readLanes(input, core);
  placeLiveOrders(core, ids);
  readDoneOrders(input, core, ids);
  readTrades(input, core, ids);
  core.triggered.push(...readList(input, () => idAt(ids, input.uint32())));
  readBatches(input, core);
  input.end();
  countWithdrawals(core);
  refreshUnsettled(core);
  return new Engine(core);
}

function scalars(core: EngineState): number[] {
  const { sequence, nowMs, rulesVersion, epoch, lastChainEventSequence, nextTradeId, nextBatchId, lanes } = core;
  return [sequence, nowMs, rulesVersion, epoch, lastChainEventSequence, nextTradeId, nextBatchId, lanes.sweepAt];
}

function writeAccounts(out: BinaryWriter, { accounts }: EngineState): void {
  out.uint32(accounts.count);
  for (let account = 0; account < accounts.count; account++) {
    out.hex(accounts.addresses[account]!);
    out.number(accounts.figure(account, CANCELLED_BEFORE));
    out.number(accounts.figure(account, DROPPED_SEQUENCE));
  }
}

function readAccounts(input: BinaryReader, { accounts }: EngineState): void {
  const count = input.uint32();
  for (let account = 0; account < count; account++) {
    if (accounts.open(input.hex()) !== account) throw corrupt('an account is listed twice');
    accounts.raise(account, CANCELLED_BEFORE, input.number());
    accounts.raise(account, DROPPED_SEQUENCE, input.number());
  }
}

/** Exits and session keys, of the accounts that have any. */
function writeRestrictions(out: BinaryWriter, { accounts }: EngineState): void {
  const restricted: number[] = [];
  for (let account = 0; account < accounts.count; account++) {
    const exits = accounts.exits[account]?.size ?? 0;
    const keys = accounts.sessionKeys[account]?.size ?? 0;
    if (exits + keys > 0) restricted.push(account);
  }
  out.uint32(restricted.length);
  for (const account of restricted) {
    out.uint32(account);
    const exits = [...(accounts.exits[account] ?? [])].sort((a, b) => a - b);
    out.uint32(exits.length);
    for (const asset of exits) out.uint32(asset);
    const keys = [...(accounts.sessionKeys[account]?.values() ?? [])].sort((a, b) => (a.key < b.key ? -1 : 1));
    out.uint32(keys.length);
    for (const { key, validUntil, marketMask } of keys) {
      out.hex(key);
      out.number(validUntil);
      out.bigint(marketMask);
    }
  }
}

function readRestrictions(input: BinaryReader, { accounts }: EngineState): void {
  const count = input.uint32();
  for (let index = 0; index < count; index++) {
    const account = input.uint32();
    if (account >= accounts.count) throw corrupt(`account ${account} of ${accounts.count} is restricted`);
    const exits = readList(input, () => input.uint32());
    if (exits.length > 0) accounts.exits[account] = new Set(exits);
    const keys = readList(input, () => ({ key: input.hex(), validUntil: input.number(), marketMask: input.bigint() }));
    if (keys.length > 0) accounts.sessionKeys[account] = new Map(keys.map((key) => [key.key, key]));
  }
}

function countWithdrawals(core: EngineState): void {
  for (const withdrawals of [core.withdrawals, ...core.batches.map((batch) => batch.withdrawals)]) {
    for (const { account } of withdrawals) {
      const index = core.accounts.find(account as Address);
      core.withdrawalCounts.set(index, (core.withdrawalCounts.get(index) ?? 0) + 1);
    }
  }
}
