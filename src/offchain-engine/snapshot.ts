/**
 * Snapshots: the engine's state as canonical bytes. The same state gives the same bytes, whether it came from replay or
 * from a snapshot: everything is written in an order that follows from the state (orders by arrival, tables by key), pool
 * ids become positions in that order, and what can be derived is left out.
 */
import { createHash } from 'node:crypto';
import type { MarketParameters, MarketState } from '../domain/markets.ts';
import type { Address, Hash, Lots, Ppm, PriceTicks, Quanta, TimestampMs } from '../domain/units.ts';
import { refreshUnsettled } from './batches.ts';
import { BinaryReader, BinaryWriter, corrupt } from './binary.ts';
import {
  ACCOUNT,
  BUY,
  DUE,
  EXPIRY,
  FILLED,
  FLOAT_SHIFT,
  INT_SHIFT,
  LANE,
  LANE_SLOT,
  MARKET,
  NEXT,
  ORDER_SEQUENCE,
  PLACED_AT,
  REMAINING,
  SELL,
  SIZE,
  STATE,
  STATE_DONE,
  STATE_RESTING,
  STATE_STOP,
} from './book/order-pool.ts';
import { Engine } from './engine.ts';
import { laneOfKey } from './lanes.ts';
import { AVAILABLE, BALANCE_SHIFT, SETTLED } from './ledger.ts';
import { byArrival, linkOrder } from './live-orders.ts';
import {
  idAt,
  ORDER_INTS,
  readBatches,
  readList,
  readSwitches,
  readTrades,
  readWithdrawalLanes,
  readWithdrawals,
  writeBatches,
  writeSwitches,
  writeTrades,
  writeWithdrawalLanes,
  writeWithdrawals,
} from './snapshot-pending.ts';
import { readRules, writeRules } from './snapshot-rules.ts';
import { EngineState, MarketBook } from './state.ts';

const MAGIC = 0x53594c54;
const FORMAT = 2;
const MARKET_STATES: readonly MarketState[] = ['open', 'cancel_only', 'halted'];

/** SHA-256 of the canonical bytes: equal exactly when the states are. */
export function stateHash(engine: Engine): Hash {
  return `0x${createHash('sha256').update(encodeSnapshot(engine)).digest('hex')}`;
}

export function encodeSnapshot({ core }: Engine): Uint8Array {
  const out = new BinaryWriter();
  out.uint32(MAGIC);
  out.uint32(FORMAT);
  for (const value of scalars(core)) out.number(value);
  out.flag(core.withdrawalsHalted);
  writeGenesis(out, core);
  writeAssets(out, core);
  writeMarkets(out, core);
  writeAccounts(out, core);
  writeBalances(out, core);
  writeLanes(out, core);
  const ids = byArrival(core, [...core.pool.ids()]);
  const positions = new Map(ids.map((id, position) => [id, position]));
  writeOrders(out, core, ids);
  writeQueues(out, core, positions);
  writeTrades(out, core, positions);
  writeWithdrawals(out, core.withdrawals);
  writeWithdrawalLanes(out, core);
  writeSwitches(out, core);
  writeBatches(out, core);
  writeRules(out, core);
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
  readBalances(input, core);
  readLanes(input, core);
  const ids = readOrders(input, core);
  readQueues(input, core, ids);
  readTrades(input, core, ids);
  core.withdrawals.push(...readWithdrawals(input));
  readWithdrawalLanes(input, core);
  readSwitches(input, core);
  readBatches(input, core);
  readRules(input, core);
  input.end();
  countWithdrawals(core);
  refreshUnsettled(core);
  return new Engine(core);
}

function scalars(core: EngineState): number[] {
  const { sequence, nowMs, rulesVersion, epoch, lastChainEventSequence, nextTradeId, nextBatchId, lanes } = core;
  return [sequence, nowMs, rulesVersion, epoch, lastChainEventSequence, nextTradeId, nextBatchId, lanes.sweepAt];
}

function writeGenesis(out: BinaryWriter, { genesis }: EngineState): void {
  out.flag(genesis !== undefined);
  if (genesis === undefined) return;
  out.number(genesis.chainId);
  out.hex(genesis.vault);
  out.number(genesis.deployedAtMs);
  const { openOrdersPerAccountMax, batchesInFlightMax, unsettledAgeMaxMs, orderAgeMaxMs } = genesis.limits;
  for (const limit of [openOrdersPerAccountMax, batchesInFlightMax, unsettledAgeMaxMs, orderAgeMaxMs])
    out.number(limit);
  writeParameters(out, genesis.defaultParameters);
  out.uint32(genesis.withdrawalFees.length);
  for (const { asset, fee } of genesis.withdrawalFees) {
    out.uint32(asset);
    out.number(fee);
  }
}

function readGenesis(input: BinaryReader, core: EngineState): void {
  if (!input.flag()) return;
  const chainId = input.number();
  const vault = input.hex();
  const deployedAtMs = input.number() as TimestampMs;
  const limits = {
    openOrdersPerAccountMax: input.number(),
    batchesInFlightMax: input.number(),
    unsettledAgeMaxMs: input.number(),
    orderAgeMaxMs: input.number(),
  };
  const defaultParameters = readParameters(input);
  const withdrawalFees = readList(input, () => ({ asset: input.uint32(), fee: input.number() as Quanta }));
  core.genesis = { chainId, vault, deployedAtMs, limits, defaultParameters, withdrawalFees };
}

function writeParameters(out: BinaryWriter, parameters: MarketParameters): void {
  const { makerFeePpm, takerFeePpm, minNotional, priceBandPpm } = parameters;
  for (const value of [makerFeePpm, takerFeePpm, minNotional, priceBandPpm]) out.number(value);
}

function readParameters(input: BinaryReader): MarketParameters {
  return {
    makerFeePpm: input.number() as Ppm,
    takerFeePpm: input.number() as Ppm,
    minNotional: input.number() as Quanta,
    priceBandPpm: input.number(),
  };
}

function writeAssets(out: BinaryWriter, { assets }: EngineState): void {
  out.uint32(assets.length);
  for (const asset of assets) {
    out.hex(asset.token);
    out.text(asset.symbol);
    out.number(asset.decimals);
    out.bigint(asset.quantumUnits);
    out.number(asset.minDeposit);
  }
}

function readAssets(input: BinaryReader, { assets }: EngineState): void {
  const count = input.uint32();
  for (let index = 0; index < count; index++) {
    assets.push({
      index,
      token: input.hex(),
      symbol: input.text(),
      decimals: input.number(),
      quantumUnits: input.bigint(),
      minDeposit: input.number() as Quanta,
    });
  }
}

function writeMarkets(out: BinaryWriter, { markets }: EngineState): void {
  out.uint32(markets.length);
  for (const { market, chosenParameters, state, delisted, lastPrice } of markets) {
    out.text(market.symbol);
    const { baseAsset, quoteAsset, lotQuanta, tickQuanta, maxSizeLots, maxPriceTicks } = market;
    for (const value of [baseAsset, quoteAsset, lotQuanta, tickQuanta, maxSizeLots, maxPriceTicks, lastPrice])
      out.number(value);
    writeParameters(out, chosenParameters);
    out.byte(MARKET_STATES.indexOf(state));
    out.flag(delisted);
  }
}

function readMarkets(input: BinaryReader, core: EngineState): void {
  const count = input.uint32();
  for (let index = 0; index < count; index++) {
    const market = {
      index,
      symbol: input.text(),
      baseAsset: input.number(),
      quoteAsset: input.number(),
      lotQuanta: input.number() as Quanta,
      tickQuanta: input.number() as Quanta,
      maxSizeLots: input.number() as Lots,
      maxPriceTicks: input.number() as PriceTicks,
    };
    const lastPrice = input.number();
    const book = new MarketBook(market, readParameters(input), core.pool);
    const state = MARKET_STATES[input.byte()];
    if (state === undefined) throw corrupt('a market has no known state');
    book.state = state;
    book.delisted = input.flag();
    book.lastPrice = lastPrice;
    core.markets.push(book);
  }
}

function writeAccounts(out: BinaryWriter, { accounts }: EngineState): void {
  out.uint32(accounts.count);
  for (let account = 0; account < accounts.count; account++) {
    out.hex(accounts.addresses[account]!);
    out.number(accounts.cancelledBefore[account]!);
    out.number(accounts.droppedSequence[account]!);
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

function readAccounts(input: BinaryReader, { accounts }: EngineState): void {
  const count = input.uint32();
  for (let account = 0; account < count; account++) {
    if (accounts.open(input.hex()) !== account) throw corrupt('an account is listed twice');
    accounts.cancelledBefore[account] = input.number();
    accounts.droppedSequence[account] = input.number();
    const exits = readList(input, () => input.uint32());
    if (exits.length > 0) accounts.exits[account] = new Set(exits);
    const keys = readList(input, () => ({ key: input.hex(), validUntil: input.number(), marketMask: input.bigint() }));
    if (keys.length > 0) accounts.sessionKeys[account] = new Map(keys.map((key) => [key.key, key]));
  }
}

/** Balances by account and asset; those that are zero throughout are the same as absent ones. */
function writeBalances(out: BinaryWriter, { ledger }: EngineState): void {
  const slots: number[] = [];
  for (let slot = 1; slot < ledger.slotCount; slot++) {
    const at = slot << BALANCE_SHIFT;
    if (ledger.records.subarray(at, at + SETTLED + 1).some((figure) => figure !== 0)) slots.push(slot);
  }
  slots.sort(
    (a, b) => ledger.slotAccounts[a]! - ledger.slotAccounts[b]! || ledger.slotAssets[a]! - ledger.slotAssets[b]!,
  );
  out.uint32(slots.length);
  for (const slot of slots) {
    out.uint32(ledger.slotAccounts[slot]!);
    out.uint32(ledger.slotAssets[slot]!);
    for (let figure = AVAILABLE; figure <= SETTLED; figure++) out.number(ledger.get(slot, figure));
  }
}

function readBalances(input: BinaryReader, { ledger }: EngineState): void {
  const count = input.uint32();
  for (let index = 0; index < count; index++) {
    const slot = ledger.slot(input.uint32(), input.uint32());
    for (let figure = AVAILABLE; figure <= SETTLED; figure++)
      ledger.records[(slot << BALANCE_SHIFT) + figure] = input.number();
    if (ledger.get(slot, AVAILABLE) < 0) ledger.negative.add(slot);
  }
}

function writeLanes(out: BinaryWriter, { lanes }: EngineState): void {
  const used: number[] = [];
  for (let at = 0; at < lanes.keys.length; at++) if (lanes.keys[at] !== -1) used.push(at);
  used.sort((a, b) => lanes.keys[a]! - lanes.keys[b]!);
  out.uint32(used.length);
  for (const at of used) {
    out.number(lanes.keys[at]!);
    out.number(lanes.sequences[at]!);
    out.hex(lanes.digests[at]!);
  }
}

function readLanes(input: BinaryReader, { lanes, pool }: EngineState): void {
  const count = input.uint32();
  for (let index = 0; index < count; index++) {
    const { account, lane } = laneOfKey(input.number());
    const at = lanes.open(account, lane, pool);
    lanes.sequences[at] = input.number();
    lanes.digests[at] = input.hex();
  }
}

const ORDER_FLOATS = [REMAINING, PLACED_AT, SIZE, FILLED, ORDER_SEQUENCE, EXPIRY, DUE] as const;

function writeOrders(out: BinaryWriter, { pool }: EngineState, ids: readonly number[]): void {
  out.uint32(ids.length);
  for (const id of ids) {
    for (const slot of ORDER_INTS) out.uint32(pool.ints[(id << INT_SHIFT) + slot]!);
    for (const slot of ORDER_FLOATS) out.number(pool.floats[(id << FLOAT_SHIFT) + slot]!);
    out.byte(pool.ints[(id << INT_SHIFT) + STATE]!);
    out.hex(pool.digests[id]!);
    out.hex(pool.signers[id]!);
  }
}

/** @returns ids in the order they were written. */
function readOrders(input: BinaryReader, core: EngineState): number[] {
  const count = input.uint32();
  const ids: number[] = [];
  for (let index = 0; index < count; index++) {
    const id = core.pool.allocate();
    const { ints, floats } = core.pool;
    const at = id << INT_SHIFT;
    for (const slot of ORDER_INTS) ints[at + slot] = input.uint32();
    for (const slot of ORDER_FLOATS) floats[(id << FLOAT_SHIFT) + slot] = input.number();
    const state = input.byte();
    ints[at + STATE] = state;
    core.pool.digests[id] = input.hex();
    core.pool.signers[id] = input.hex();
    ids.push(id);
    const market = core.markets[ints[at + MARKET]!];
    if (market === undefined || ints[at + ACCOUNT]! >= core.accounts.count)
      throw corrupt('an order names no known market or account');
    if (state === STATE_DONE) continue;
    const lane = core.lanes.find(ints[at + ACCOUNT]!, ints[at + LANE]!);
    if (lane < 0) throw corrupt('a live order has no lane');
    ints[at + LANE_SLOT] = lane;
    linkOrder(core, id);
    if (state === STATE_STOP) market.stops.insert(id);
  }
  return ids;
}

/** The books' queues in priority order, as positions among the orders; then the stops that wait to run. */
function writeQueues(out: BinaryWriter, core: EngineState, positions: ReadonlyMap<number, number>): void {
  const { ints } = core.pool;
  for (const { book } of core.markets) {
    for (const side of [BUY, SELL]) {
      const queue: number[] = [];
      for (let price = side === BUY ? book.bestBid : book.bestAsk; price !== 0; price = book.nextPrice(side, price)) {
        for (let id = book.headAt(side, price); id !== 0; id = ints[(id << INT_SHIFT) + NEXT]!)
          queue.push(positions.get(id)!);
      }
      out.uint32(queue.length);
      for (const position of queue) out.uint32(position);
    }
  }
  out.uint32(core.triggered.length);
  for (const id of core.triggered) out.uint32(positions.get(id)!);
}

function readQueues(input: BinaryReader, core: EngineState, ids: readonly number[]): void {
  for (const { book } of core.markets) {
    for (const _side of [BUY, SELL]) {
      for (const position of readList(input, () => input.uint32())) {
        const id = idAt(ids, position);
        if (core.pool.ints[(id << INT_SHIFT) + STATE] !== STATE_RESTING)
          throw corrupt('a queue names an order that does not rest');
        book.insert(id);
      }
    }
  }
  core.triggered.push(...readList(input, () => idAt(ids, input.uint32())));
}

function countWithdrawals(core: EngineState): void {
  for (const withdrawals of [core.withdrawals, ...core.batches.map((batch) => batch.withdrawals)]) {
    for (const { account } of withdrawals) {
      const index = core.accounts.find(account as Address);
      core.withdrawalCounts.set(index, (core.withdrawalCounts.get(index) ?? 0) + 1);
    }
  }
}
