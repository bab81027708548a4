import assert from 'node:assert/strict';
import { type Abi, encodeErrorResult } from 'viem';
import { vaultAbi } from '../../src/chain/generated/vault.ts';
import { decodeSettleError, remedyOf } from '../../src/settlement/settle-call.ts';

/** Of `settle`, in the vault's own ABI. */
const REFUSALS: readonly (readonly [name: string, args: readonly unknown[]])[] = [
  ['VaultPaused', [1n]],
  ['NotFromPlainAccount', [`0x${'11'.repeat(20)}`]],
  ['WrongBatchId', [2n, 3n]],
  ['WrongParent', [`0x${'22'.repeat(32)}`, `0x${'33'.repeat(32)}`]],
  ['StaleEpoch', [2n, 1n]],
  ['EpochTooFar', [2n, 70_000n]],
  ['BadEngineSignature', [`0x${'11'.repeat(20)}`, `0x${'22'.repeat(20)}`]],
  ['MalformedContent', [7n]],
  ['NotEnoughGas', [9n, 8n]],
  ['NoEngineKey', []],
];

describe('refusals of the vault', () => {
  for (const [errorName, args] of REFUSALS) {
    it(`are told with what to do about them: ${errorName}`, () => {
      const error = decodeSettleError(encodeErrorResult({ abi: vaultAbi as Abi, errorName, args }));
      assert.equal(error, `${errorName}(${args.join(', ')})`);
      assert.ok((remedyOf(error ?? '') ?? '').length > 20);
    });
  }

  it('of other contracts are left to the node’s words', () => {
    assert.equal(decodeSettleError('0xdeadbeef'), undefined);
    assert.equal(remedyOf('execution reverted'), undefined);
  });
});
