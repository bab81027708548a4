import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  createListing,
  deriveOrder,
  deriveWithdrawal,
  type OrderFields,
  parseOrder,
  parseWithdrawal,
} from '../../src/chain/signed-order.ts';
import { type Asset, baseUnits, type Market, quoteUnits } from '../../src/domain/markets.ts';
import { NATIVE_CURRENCY, packNonce } from '../../src/domain/orders.ts';
import { type Address, lots, priceTicks, quanta } from '../../src/domain/units.ts';

const token = (byte: string): Address => `0x${byte.repeat(20)}`;
const weth: Asset = {
  index: 0,
  token: token('aa'),
  symbol: 'WETH',
  decimals: 18,
  quantumUnits: 10n ** 9n,
  minDeposit: quanta(1),
};
const usdc: Asset = {
  index: 1,
  token: token('bb'),
  symbol: 'USDC',
  decimals: 6,
  quantumUnits: 1n,
  minDeposit: quanta(1),
};
const market: Market = {
  index: 0,
  symbol: 'WETH-USDC',
  baseAsset: 0,
  quoteAsset: 1,
  lotQuanta: quanta(100_000),
  tickQuanta: quanta(1),
  maxSizeLots: lots(10 ** 9),
  maxPriceTicks: priceTicks(10 ** 6),
};
const listing = createListing([weth, usdc], [market], weth.token);

const fields = (changes: Partial<OrderFields> = {}): OrderFields => ({
  account: token('11'),
  side: 'buy',
  baseToken: weth.token,
  baseAmount: `${baseUnits(lots(5), market, weth)}`,
  quoteToken: usdc.token,
  quoteAmount: `${quoteUnits(priceTicks(300), lots(5), market, usdc)}`,
  timeInForce: 'gtc',
  postOnly: false,
  nonce: `${packNonce(3, 77)}`,
  expiry: '1900000000',
  maxFeePpm: 1000,
  ...changes,
});

function derive(changes: Partial<OrderFields> = {}) {
  const parsed = parseOrder(fields(changes));
  return parsed.kind === 'invalid' ? parsed : deriveOrder(parsed.message, listing);
}

describe('deriving orders and withdrawals from what was signed', () => {
  it('recovers market, lots, ticks, lane and sequence exactly', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 ** 9 }), fc.integer({ min: 1, max: 10 ** 6 }), (size, price) => {
        const derived = derive({
          baseAmount: `${baseUnits(lots(size), market, weth)}`,
          quoteAmount: `${quoteUnits(priceTicks(price), lots(size), market, usdc)}`,
          account: token('AB'),
        });
        assert.ok(derived.kind === 'derived');
        assert.equal(derived.terms.sizeLots, size);
        assert.equal(derived.terms.priceTicks, price);
        assert.equal(derived.terms.account, token('ab'));
        assert.deepEqual([derived.terms.lane, derived.terms.orderSequence], [3, 77]);
      }),
    );
  });

  const refused: [string, Partial<OrderFields>, string, string][] = [
    ['an amount between two lots', { baseAmount: `${baseUnits(lots(5), market, weth) + 1n}` }, 'baseAmount', 'off_lot'],
    ['a price between two ticks', { quoteAmount: '1501' }, 'quoteAmount', 'off_tick'],
    ['size zero', { baseAmount: '0' }, 'baseAmount', 'size_zero'],
    ['price zero', { quoteAmount: '0' }, 'quoteAmount', 'price_zero'],
    ['a size above the largest', { baseAmount: `${10n ** 30n}` }, 'baseAmount', 'size_too_large'],
    ['a price above the highest', { quoteAmount: `${5n * 10n ** 7n}` }, 'quoteAmount', 'price_too_high'],
    ['a pair the wrong way round', { baseToken: usdc.token, quoteToken: weth.token }, 'baseToken', 'unknown_pair'],
    ['sequence zero', { nonce: `${packNonce(3, 0)}` }, 'nonce', 'bad_nonce'],
    ['a sequence beyond 40 bits', { nonce: `${(3n << 48n) | (1n << 40n)}` }, 'nonce', 'bad_nonce'],
    ['a nonce beyond 64 bits', { nonce: `${1n << 64n}` }, 'nonce', 'bad_integer'],
    ['an expiry beyond 40 bits', { expiry: `${1n << 40n}` }, 'expiry', 'expiry_too_far'],
    ['a maximum fee above the cap', { maxFeePpm: 50_001 }, 'maxFeePpm', 'max_fee_too_high'],
    ['a fractional maximum fee', { maxFeePpm: 0.5 }, 'maxFeePpm', 'bad_integer'],
    ['a negative amount', { baseAmount: '-1' }, 'baseAmount', 'bad_integer'],
    ['an exponent', { baseAmount: '1e18' }, 'baseAmount', 'bad_integer'],
    ['2^256', { baseAmount: `${2n ** 256n}` }, 'baseAmount', 'bad_integer'],
    ['an unknown side', { side: 'hold' }, 'side', 'bad_side'],
    ['an unknown time in force', { timeInForce: 'day' }, 'timeInForce', 'bad_time_in_force'],
    ['a short address', { account: '0x1234' }, 'account', 'bad_address'],
  ];
  for (const [name, changes, field, code] of refused) {
    it(`refuses ${name}`, () => {
      const derived = derive(changes);
      assert.ok(derived.kind === 'invalid');
      assert.deepEqual(
        derived.problems.map((problem) => [problem.field, problem.code]),
        [[field, code]],
      );
    });
  }

  it('names every bad field at once', () => {
    const derived = derive({ nonce: '0', baseAmount: '1', expiry: `${1n << 50n}` });
    assert.ok(derived.kind === 'invalid');
    assert.deepEqual(derived.problems.map((problem) => problem.field).sort(), ['baseAmount', 'expiry', 'nonce']);
  });

  it('takes a withdrawal of the native currency from its wrapper', () => {
    const withdrawal = {
      account: token('11'),
      token: NATIVE_CURRENCY,
      amount: `${5n * 10n ** 9n}`,
      recipient: token('12'),
      nonce: `${packNonce(0, 9)}`,
      expiry: '1900000000',
      maxFee: '0',
    };
    const parsed = parseWithdrawal(withdrawal);
    assert.ok(parsed.kind === 'parsed');
    const derived = deriveWithdrawal(parsed.message, listing);
    assert.ok(derived.kind === 'derived');
    assert.deepEqual([derived.terms.asset, derived.terms.native, derived.terms.amount], [0, true, 5]);
    const off = deriveWithdrawal({ ...parsed.message, amount: 5n * 10n ** 9n + 1n }, listing);
    assert.ok(off.kind === 'invalid');
    assert.equal(off.problems[0]?.code, 'off_quantum');
  });
});
