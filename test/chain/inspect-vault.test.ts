import assert from 'node:assert/strict';
import fc from 'fast-check';
import { encodeFunctionData, encodeFunctionResult } from 'viem';
import { INSPECT_ABI, inspectVault } from '../../src/chain/inspect-vault.ts';
import { decodeInspectAnswer, encodeInspectCall } from '../../src/chain/inspect-vault-codec.ts';
import { type RpcEndpoint, rpcFailureReason } from '../../src/chain/rpc-pool.ts';
import type { Address, Hash, Hex } from '../../src/domain/units.ts';

const hexOf = (bytes: number): fc.Arbitrary<Hex> =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((array): Hex => `0x${Buffer.from(array).toString('hex')}`);
const uint = (bits: bigint): fc.Arbitrary<bigint> => fc.bigInt({ min: 0n, max: (1n << bits) - 1n });
const safe = uint(53n);
const account = (assets: number): fc.Arbitrary<Parameters<typeof answerOf>[0]['accounts'][number]> =>
  fc.record({
    account: hexOf(20),
    cancelledBefore: safe,
    cancellingBefore: safe,
    lane0Sequence: fc.nat(),
    lane0FilledLots: fc.nat(),
    balances: fc.array(safe, { minLength: assets, maxLength: assets }),
  });
const asset = fc.record({ token: hexOf(20), quantum: uint(64n), booked: safe, fees: safe, held: uint(256n) });
const state = fc.nat({ max: 5 }).chain((assets) =>
  fc.record({
    batchId: safe,
    batchHash: hexOf(32),
    epoch: safe,
    eventSequence: safe,
    pausedUntil: safe,
    engineKey: hexOf(20),
    assets: fc.array(asset, { minLength: assets, maxLength: assets }),
    accounts: fc.array(account(assets), { maxLength: 6 }),
  }),
);

type Shown = {
  readonly batchId: bigint;
  readonly batchHash: Hex;
  readonly epoch: bigint;
  readonly eventSequence: bigint;
  readonly pausedUntil: bigint;
  readonly engineKey: Hex;
  readonly assets: readonly { token: Hex; quantum: bigint; booked: bigint; fees: bigint; held: bigint }[];
  readonly accounts: readonly {
    account: Hex;
    cancelledBefore: bigint;
    cancellingBefore: bigint;
    lane0Sequence: number;
    lane0FilledLots: number;
    balances: readonly bigint[];
  }[];
};

function answerOf(result: Shown): Hex {
  return encodeFunctionResult({ abi: INSPECT_ABI, functionName: 'inspect', result });
}

describe("the vault's own view", () => {
  it('is asked for in the bytes of the ABI', () => {
    fc.assert(
      fc.property(fc.array(hexOf(20), { maxLength: 8 }), (accounts) => {
        const expected = encodeFunctionData({ abi: INSPECT_ABI, functionName: 'inspect', args: [accounts] });
        assert.equal(encodeInspectCall(accounts), expected);
      }),
    );
  });

  it('is read as the ABI says', () => {
    fc.assert(
      fc.property(state, (shown) => {
        assert.deepEqual(decodeInspectAnswer(answerOf(shown)), {
          ...shown,
          pausedUntil: Number(shown.pausedUntil),
          batchId: Number(shown.batchId),
          epoch: Number(shown.epoch),
          eventSequence: Number(shown.eventSequence),
          assets: shown.assets.map(({ token, quantum, booked, fees, held }, index) => ({
            asset: index,
            token,
            quantumUnits: quantum,
            booked: Number(booked),
            fees: Number(fees),
            heldUnits: held,
          })),
          accounts: shown.accounts.map(({ cancelledBefore, cancellingBefore, balances, ...rest }) => ({
            ...rest,
            cancelledBefore: Number(cancelledBefore),
            cancellingBefore: Number(cancellingBefore),
            balances: balances.map(Number),
          })),
        });
      }),
    );
  });

  it('is refused when it is cut, or shows other accounts than were asked for', async () => {
    const [ann, ben]: [Address, Address] = [`0x${'0a'.repeat(20)}`, `0x${'0b'.repeat(20)}`];
    const word: Hash = `0x${'00'.repeat(32)}`;
    const head = { batchId: 0n, batchHash: word, epoch: 1n, eventSequence: 9n, pausedUntil: 0n, engineKey: ann };
    const shown = { cancelledBefore: 0n, cancellingBefore: 0n, lane0Sequence: 0, lane0FilledLots: 0, balances: [] };
    const good = answerOf({ ...head, assets: [], accounts: [{ account: ann, ...shown }] });
    const ask = async (answer: Hex, accounts: readonly Address[]): Promise<unknown> => {
      const request = async (): Promise<unknown> => answer;
      const node: RpcEndpoint = { name: 'node', request, batch: async () => [] };
      return inspectVault(node, ben, accounts, word).catch(rpcFailureReason);
    };
    assert.equal(((await ask(good, [ann])) as { eventSequence: number }).eventSequence, 9);
    assert.equal(await ask(good.slice(0, -64) as Hex, [ann]), 'malformed');
    assert.equal(await ask('0x', [ann]), 'malformed');
    assert.equal(await ask(good, [ben]), 'inconsistent');
    assert.equal(await ask(good, [ann, ben]), 'inconsistent');
  });
});
