import assert from 'node:assert/strict';
import type { Asset, Market } from '../../src/domain/markets.ts';
import type { Address, Lots, PriceTicks, Quanta } from '../../src/domain/units.ts';
import { withBound } from '../../src/sdk/market-order.ts';

const asset = (index: number, symbol: string, decimals: number, quantumUnits: bigint): Asset => ({
  index,
  symbol,
  decimals,
  quantumUnits,
  token: `0x${'ab'.repeat(20)}` as Address,
  minDeposit: 1 as Quanta,
});
/** Tick 0.01 USDC, highest price 100,000. */
const RULES = {
  market: {
    index: 0,
    symbol: 'WETH-USDC',
    baseAsset: 0,
    quoteAsset: 1,
    lotQuanta: 1_000_000 as Quanta,
    tickQuanta: 10 as Quanta,
    maxSizeLots: 10_000_000 as Lots,
    maxPriceTicks: 10_000_000 as PriceTicks,
  } satisfies Market,
  base: asset(0, 'WETH', 18, 10n ** 9n),
  quote: asset(1, 'USDC', 6, 1n),
  makerFeePpm: 200,
  takerFeePpm: 500,
};
const BOOK = { bids: [['1999.99', '1']], asks: [['2000.01', '1']] };

describe('the bound of a market order', () => {
  const CASES: readonly (readonly ['buy' | 'sell', number, string])[] = [
    ['buy', 0, '2000.01'],
    ['buy', 5_000, '2010.01'],
    // 2000.01 × 1.000004 = 2000.018…: not a whole tick, which is the user's.
    ['buy', 4, '2000.01'],
    ['sell', 0, '1999.99'],
    ['sell', 5_000, '1990'],
    ['sell', 4, '1999.99'],
    ['sell', 999_999, '0.01'],
  ];
  for (const [side, slippagePpm, price] of CASES)
    it(`of a ${side} at most ${slippagePpm} ppm worse is ${price}`, () => {
      const input = withBound({ market: 'WETH-USDC', side, size: '1', slippagePpm }, BOOK, RULES);
      assert.deepEqual(input, { market: 'WETH-USDC', side, size: '1', price, timeInForce: 'ioc' });
    });

  it('is at most the highest price of the market', () => {
    const high = { bids: [], asks: [['99999.99', '1']] };
    const { price } = withBound({ market: 'WETH-USDC', side: 'buy', size: '1', slippagePpm: 100_000 }, high, RULES);
    assert.equal(price, '100000');
  });

  it('needs somebody on the other side, and a slippage that is one', () => {
    const order = { market: 'WETH-USDC', side: 'buy', size: '1' } as const;
    assert.throws(() => withBound({ ...order, slippagePpm: 1 }, { bids: BOOK.bids, asks: [] }, RULES), {
      code: 'NO_LIQUIDITY',
    });
    for (const slippagePpm of [-1, 0.5, 1_000_000, Number.NaN])
      assert.throws(() => withBound({ ...order, slippagePpm }, BOOK, RULES), { code: 'INVALID_ARGUMENT' });
  });
});
