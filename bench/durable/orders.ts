/** The deployment the benchmark invents, and orders for it, signed before anything is measured. */
import secp256k1 from 'secp256k1';
import { joinCompact } from '../../src/chain/compact-signature.ts';
import { createDigester, type OrderMessage } from '../../src/chain/digests.ts';
import { hexToBytes } from '../../src/chain/hex.ts';
import { keccakBytes } from '../../src/chain/keccak.ts';
import type { ChainFact } from '../../src/domain/commands.ts';
import { packNonce } from '../../src/domain/orders.ts';
import { eip712Domain } from '../../src/domain/typed-data.ts';
import type { Address, Hex } from '../../src/domain/units.ts';

export const CHAIN_ID = 31_337;
export const VAULT: Address = `0x${'0b'.repeat(20)}`;
export const DOMAIN = eip712Domain(CHAIN_ID, VAULT);
/** An hour before the run, so that the youngest nonce sequences lie in the past. */
export const deployedAtMs = (startedMs: number): number => startedMs - 3_600_000;

const BASE: Address = `0x${'0c'.repeat(20)}`;
const QUOTE: Address = `0x${'0d'.repeat(20)}`;
const LOT_QUANTA = 1_000;
const TICK_QUANTA = 1_000;
const TRADE_PRICE = 5_000;
const unit = <T>(value: number): T => value as T;

export type Trader = { readonly account: Address; readonly key: Uint8Array };
export type SignedBody = { readonly message: OrderMessage; readonly signature: Hex; readonly json: string };

export function traders(count: number): Trader[] {
  return Array.from({ length: count }, (_, index) => {
    const key = new Uint8Array(32).fill(7);
    new DataView(key.buffer).setUint32(0, index + 1);
    const hashed = keccakBytes(secp256k1.publicKeyCreate(key, false).subarray(1));
    return { account: `0x${Buffer.from(hashed).subarray(12).toString('hex')}`, key };
  });
}

/** What the vault would have told: assets, a market, and a deposit of both assets for everyone. */
export function vaultEvents(accounts: readonly Trader[]): ChainFact[] {
  const assets = [BASE, QUOTE].map(
    (token, index): ChainFact => ({
      kind: 'assetListed',
      asset: {
        index,
        token,
        symbol: index === 0 ? 'BASE' : 'QUOTE',
        decimals: 6,
        quantumUnits: 1n,
        minDeposit: unit(1),
      },
    }),
  );
  const market: ChainFact = {
    kind: 'marketListed',
    market: {
      index: 0,
      symbol: 'BASE-QUOTE',
      baseAsset: 0,
      quoteAsset: 1,
      lotQuanta: unit(LOT_QUANTA),
      tickQuanta: unit(TICK_QUANTA),
      maxSizeLots: unit(1_000_000),
      maxPriceTicks: unit(100_000),
    },
  };
  const deposits = accounts.flatMap(({ account }) =>
    [0, 1].map((asset): ChainFact => ({ kind: 'depositCredited', account, asset, amount: unit(10 ** 11) })),
  );
  return [...assets, market, ...deposits];
}

/**
 * Order `first` and the `count − 1` after it: most rest away from the market, every twentieth pair trades.
 * Each account uses a lane per order, so that no order waits for another.
 */
export function signOrders(accounts: readonly Trader[], first: number, count: number, startedMs: number): SignedBody[] {
  const digester = createDigester(DOMAIN);
  return Array.from({ length: count }, (_, offset) => {
    const index = first + offset;
    const { account, key } = accounts[index % accounts.length] as Trader;
    const { side, price, timeInForce } = termsOf(index);
    const message: OrderMessage = {
      account,
      side,
      baseToken: BASE,
      baseAmount: BigInt(LOT_QUANTA),
      quoteToken: QUOTE,
      quoteAmount: BigInt(price * TICK_QUANTA),
      timeInForce,
      postOnly: false,
      nonce: packNonce(Math.floor(index / accounts.length), Date.now() - deployedAtMs(startedMs)),
      expiry: BigInt(Math.floor(startedMs / 1_000) + 86_400),
      maxFeePpm: 1_000,
    };
    const signed = secp256k1.ecdsaSign(hexToBytes(digester.order(message)), key);
    const signature = joinCompact({ rs: signed.signature, yParity: signed.recid === 0 ? 0 : 1 });
    return { message, signature, json: JSON.stringify({ order: jsonOf(message), signature }) };
  });
}

function termsOf(index: number): { side: 'buy' | 'sell'; price: number; timeInForce: 'gtc' | 'ioc' } {
  if (index % 40 === 38) return { side: 'sell', price: TRADE_PRICE, timeInForce: 'gtc' };
  if (index % 40 === 39) return { side: 'buy', price: TRADE_PRICE, timeInForce: 'ioc' };
  const away = (index * 7_919) % 3_000;
  return index % 2 === 0
    ? { side: 'buy', price: 1_000 + away, timeInForce: 'gtc' }
    : { side: 'sell', price: 6_000 + away, timeInForce: 'gtc' };
}

function jsonOf(message: OrderMessage): object {
  return JSON.parse(
    JSON.stringify(message, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value)),
  ) as object;
}
