/** The snapshot's sections of what is listed: genesis, assets, markets. */
import type { MarketParameters, MarketState } from '../domain/markets.ts';
import type { Lots, Ppm, PriceTicks, Quanta, TimestampMs } from '../domain/units.ts';
import { type BinaryReader, type BinaryWriter, corrupt } from './binary.ts';
import { readList } from './snapshot-pending.ts';
import { type EngineState, MarketBook } from './state.ts';

const MARKET_STATES: readonly MarketState[] = ['open', 'cancel_only', 'halted'];

export function writeGenesis(out: BinaryWriter, { genesis }: EngineState): void {
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

export function readGenesis(input: BinaryReader, core: EngineState): void {
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

export function writeAssets(out: BinaryWriter, { assets }: EngineState): void {
  out.uint32(assets.length);
  for (const asset of assets) {
    out.hex(asset.token);
    out.text(asset.symbol);
    out.number(asset.decimals);
    out.bigint(asset.quantumUnits);
    out.number(asset.minDeposit);
  }
}

export function readAssets(input: BinaryReader, { assets }: EngineState): void {
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

export function writeMarkets(out: BinaryWriter, { markets }: EngineState): void {
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

export function readMarkets(input: BinaryReader, core: EngineState): void {
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
