/** The exchange of a simulation: its assets, markets, accounts and rules. */
import type { ChainFact } from '../../src/domain/commands.ts';
import type { Market, MarketParameters } from '../../src/domain/markets.ts';
import type { Address, TimestampMs } from '../../src/domain/units.ts';
import type { GenesisCommand } from '../../src/offchain-engine/sequencer/lead.ts';
import { START_MS } from './faulty-world.ts';

export const FEE_ADDRESS: Address = `0x${'00'.repeat(20)}`;
export const SESSION_KEY: Address = `0x${'5e'.repeat(20)}`;
export const ACCOUNTS = Array.from({ length: 5 }, (_, index): Address => `0x${(index + 1).toString(16).repeat(40)}`);
export const ASSETS = [0, 1, 2] as const;
export const MARKETS = [
  { base: 0, quote: 1 },
  { base: 2, quote: 1 },
] as const;
export const LOT_QUANTA = 100;
export const TICK_QUANTA = 10;
export const DEPLOYED_MS = START_MS - 3_600_000;

/** A number in one of the exchange's units. */
export const unit = <T>(value: number): T => value as T;

export const PARAMETERS: MarketParameters = {
  makerFeePpm: unit(1_000),
  takerFeePpm: unit(2_500),
  minNotional: unit(0),
  priceBandPpm: 0,
};

export const GENESIS: GenesisCommand = {
  kind: 'genesis',
  chainId: 31_337,
  vault: `0x${'cc'.repeat(20)}`,
  deployedAtMs: DEPLOYED_MS as TimestampMs,
  limits: { openOrdersPerAccountMax: 12, batchesInFlightMax: 4, unsettledAgeMaxMs: 600_000, orderAgeMaxMs: 600_000 },
  defaultParameters: PARAMETERS,
  withdrawalFees: [{ asset: 1, fee: unit(7) }],
};

export function listings(): ChainFact[] {
  const assets = ASSETS.map(
    (index): ChainFact => ({
      kind: 'assetListed',
      asset: {
        index,
        token: `0x${(index + 0xa0).toString(16).padStart(40, '0')}`,
        symbol: `ASSET${index}`,
        decimals: 6,
        quantumUnits: 1n,
        minDeposit: unit(1),
      },
    }),
  );
  const markets = MARKETS.map(({ base, quote }, index): ChainFact => {
    const market: Market = {
      index,
      symbol: `ASSET${base}-ASSET${quote}`,
      baseAsset: base,
      quoteAsset: quote,
      lotQuanta: unit(LOT_QUANTA),
      tickQuanta: unit(TICK_QUANTA),
      maxSizeLots: unit(1_000_000),
      maxPriceTicks: unit(1_000_000),
    };
    return { kind: 'marketListed', market };
  });
  return [...assets, ...markets];
}
