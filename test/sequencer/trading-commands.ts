/** A flow of real commands for the real engine: listings, deposits, then orders that cross, rest, and are cancelled. */
import type { ChainCommand, UserCommand } from '../../src/domain/commands.ts';
import type { Address, Hash, Lots, PriceTicks, TimestampMs } from '../../src/domain/units.ts';
import type { GenesisCommand } from '../../src/offchain-engine/sequencer/lead.ts';
import { GENESIS } from './leading.ts';

const unit = <T>(value: number): T => value as T;
export const DEPLOYED_AT_MS = 1_700_000_000_000;
export const TRADING_GENESIS: GenesisCommand = { ...GENESIS, deployedAtMs: DEPLOYED_AT_MS as TimestampMs };

const ACCOUNTS = Array.from({ length: 8 }, (_, index): Address => `0x${(index + 1).toString(16).padStart(40, '0')}`);

/** Facts 1 … n: two assets, their market, and deposits. */
export function listingsAndDeposits(): ChainCommand[] {
  const asset = (index: number, symbol: string): ChainCommand => ({
    kind: 'assetListed',
    eventSequence: unit(index + 1),
    asset: {
      index,
      token: `0x${(index + 0xa0).toString(16).padStart(40, '0')}`,
      symbol,
      decimals: 6,
      quantumUnits: 1n,
      minDeposit: unit(1),
    },
  });
  const market: ChainCommand = {
    kind: 'marketListed',
    eventSequence: unit(3),
    market: {
      index: 0,
      symbol: 'AAA-BBB',
      baseAsset: 0,
      quoteAsset: 1,
      lotQuanta: unit(10),
      tickQuanta: unit(1),
      maxSizeLots: unit(1_000_000),
      maxPriceTicks: unit(1_000_000),
    },
  };
  const deposits = ACCOUNTS.flatMap((account, index): ChainCommand[] =>
    [0, 1].map((deposited) => ({
      kind: 'depositCredited',
      eventSequence: unit(4 + index * 2 + deposited),
      account,
      asset: deposited,
      amount: unit(1_000_000_000_000),
    })),
  );
  return [asset(0, 'AAA'), asset(1, 'BBB'), market, ...deposits];
}

/** The `index`th command of the flow; `salt` tells one process's orders from another's. */
export function tradingCommand(index: number, salt: number, nowMs: number): UserCommand {
  const account = ACCOUNTS[index % ACCOUNTS.length] as Address;
  const lane = Math.floor(index / ACCOUNTS.length) % 60_000;
  const orderSequence = Math.floor(nowMs) - DEPLOYED_AT_MS;
  if (index % 10 === 9) return { kind: 'cancelOrder', order: { account, lane: Math.max(0, lane - 3), orderSequence } };
  const digest: Hash = `0x${salt.toString(16).padStart(32, '0')}${index.toString(16).padStart(32, '0')}`;
  return {
    kind: 'placeOrder',
    order: {
      account,
      market: 0,
      side: (index * 7) % 3 === 0 ? 'buy' : 'sell',
      sizeLots: unit<Lots>(1 + (index % 5)),
      priceTicks: unit<PriceTicks>(1_000 + ((index * 13) % 7) - 3),
      timeInForce: 'gtc',
      postOnly: false,
      lane,
      orderSequence,
      expiry: unit(Math.floor(nowMs / 1_000) + 3_600),
      maxFeePpm: unit(1_000),
      signer: account,
      digest,
      signature: `0x${'5a'.repeat(64)}`,
      clientOrderId: '',
      selfTradePrevention: 'cancel_newest',
      stop: undefined,
    },
  };
}
