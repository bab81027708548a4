import assert from 'node:assert/strict';
import fc from 'fast-check';
import { readFeeHistory } from '../../src/settlement/chain-view.ts';
import {
  bumpFees,
  type FeeHistory,
  isIncludable,
  nextBaseFee,
  replaces,
  suggestFees,
} from '../../src/settlement/fees.ts';

const gwei = (value: number): bigint => BigInt(Math.round(value * 1e9));
const limits = { tipMin: gwei(0.01), tipMax: gwei(50), feeMax: gwei(1000) };

describe('fees for settlement transactions', () => {
  it('leaves room for the base fee to double, and pays the median tip of blocks that had one', () => {
    const history: FeeHistory = { baseFees: [gwei(9), gwei(10), gwei(10)], tips: [0n, gwei(3), gwei(1), gwei(2)] };
    assert.deepEqual(suggestFees(history, limits), { maxFeePerGas: gwei(22), maxPriorityFeePerGas: gwei(2) });
  });

  it('leaves room to triple while the base fee rises block by block', () => {
    const history: FeeHistory = { baseFees: [1, 2, 3, 4, 5, 6].map(gwei), tips: [] };
    assert.deepEqual(suggestFees(history, limits), {
      maxFeePerGas: gwei(18) + limits.tipMin,
      maxPriorityFeePerGas: limits.tipMin,
    });
  });

  it('pays no more than the lowest tip where blocks have room, whatever was paid there', async () => {
    const answer = {
      baseFeePerGas: ['0x9', '0xa', '0xb', '0xc'],
      gasUsedRatio: [0.1, 0.5, 0.49],
      reward: [['0xba43b7400'], ['0x77359400'], ['0xba43b7400']],
    };
    const endpoint = { name: 'node', batch: () => Promise.reject(new Error('unused')), request: async () => answer };
    const history = await readFeeHistory(endpoint);
    assert.deepEqual(history, { baseFees: [9n, 10n, 11n, 12n], tips: [gwei(2)] });
    answer.gasUsedRatio[1] = 0.2;
    assert.equal(suggestFees(await readFeeHistory(endpoint), limits).maxPriorityFeePerGas, limits.tipMin);
  });

  it('never offers more than the limits', () => {
    const history: FeeHistory = { baseFees: [gwei(5000)], tips: [gwei(9000)] };
    assert.deepEqual(suggestFees(history, limits), { maxFeePerGas: gwei(1000), maxPriorityFeePerGas: gwei(50) });
  });

  it('raises both parts of a replacement by an eighth at least, whatever was offered', () => {
    const fee = fc.bigInt({ min: 0n, max: 10n ** 13n });
    fc.assert(
      fc.property(fee, fee, (maxFeePerGas, maxPriorityFeePerGas) => {
        const old = { maxFeePerGas, maxPriorityFeePerGas };
        const raised = bumpFees(old);
        assert.ok(raised.maxFeePerGas * 8n >= old.maxFeePerGas * 9n && raised.maxFeePerGas > old.maxFeePerGas);
        assert.ok(raised.maxPriorityFeePerGas * 8n >= old.maxPriorityFeePerGas * 9n);
        assert.ok(replaces(raised, old));
        assert.ok(!replaces(old, old));
      }),
    );
  });

  it('knows the next base fee, and which offer a block can take', () => {
    assert.equal(nextBaseFee({ baseFees: [1n, 2n], tips: [] }), 2n);
    assert.ok(isIncludable({ maxFeePerGas: 2n, maxPriorityFeePerGas: 0n }, 2n));
    assert.ok(!isIncludable({ maxFeePerGas: 1n, maxPriorityFeePerGas: 0n }, 2n));
    assert.throws(() => nextBaseFee({ baseFees: [], tips: [] }), RangeError);
  });
});
