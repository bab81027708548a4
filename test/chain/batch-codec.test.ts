import assert from 'node:assert/strict';
import fc from 'fast-check';
import { encodeAbiParameters, keccak256 } from 'viem';
import {
  type BatchContent,
  batchHash,
  type ContentOrder,
  type ContentWithdrawal,
  contentOfSealedBatch,
  decodeBatchContent,
  encodeBatchContent,
  type OrderAuthorisation,
} from '../../src/chain/batch-codec.ts';
import type { SealedBatch } from '../../src/domain/batches.ts';
import type { Address, Hash, Hex } from '../../src/domain/units.ts';

const hexOf = (bytes: number) =>
  fc
    .uint8Array({ minLength: bytes, maxLength: bytes })
    .map((value) => `0x${Buffer.from(value).toString('hex')}` as Hex);
const uint = (bits: number) => fc.integer({ min: 0, max: bits >= 53 ? Number.MAX_SAFE_INTEGER : 2 ** bits - 1 });
const address = hexOf(20).filter((value) => BigInt(value) > 0n) as fc.Arbitrary<Address>;

const authorisation: fc.Arbitrary<OrderAuthorisation> = fc.oneof(
  hexOf(64).map((signature) => ({ kind: 'owner' as const, signature })),
  hexOf(64).map((signature) => ({ kind: 'session' as const, signature })),
  fc.constant({ kind: 'registered' as const }),
  fc.constant({ kind: 'verified_owner' as const }),
  address.map((key) => ({ kind: 'verified_session' as const, key })),
);

const orderIn = (markets: readonly number[]): fc.Arbitrary<ContentOrder> =>
  fc.record(
    {
      lane: uint(16),
      orderSequence: uint(40),
      market: fc.constantFrom(...markets),
      side: fc.constantFrom('buy' as const, 'sell' as const),
      timeInForce: fc.constantFrom('gtc' as const, 'ioc' as const, 'fok' as const, 'gtd' as const),
      postOnly: fc.boolean(),
      sizeLots: uint(40),
      priceTicks: uint(32),
      expiry: uint(40),
      maxFeePpm: uint(16),
      authorisation,
    },
    { noNullPrototype: true },
  );

const withdrawal = fc
  .record(
    {
      account: address,
      ownRecipient: fc.boolean(),
      otherRecipient: address,
      asset: uint(16),
      lane: uint(16),
      withdrawalSequence: uint(40),
      amount: uint(53),
      maxFee: uint(53),
      fee: uint(53),
      expiry: uint(40),
      native: fc.boolean(),
      contractWallet: fc.boolean(),
      compact: hexOf(64),
      walletBytes: fc.integer({ min: 0, max: 200 }).chain(hexOf),
    },
    { noNullPrototype: true },
  )
  .map(({ ownRecipient, otherRecipient, compact, walletBytes, ...rest }) => ({
    ...rest,
    recipient: ownRecipient ? rest.account : otherRecipient,
    signature: rest.contractWallet ? walletBytes : compact,
  })) as unknown as fc.Arbitrary<ContentWithdrawal>;

const accountsIn = (markets: readonly number[]) =>
  fc.uniqueArray(
    fc.record(
      {
        account: address,
        extraPages: fc
          .uniqueArray(fc.integer({ min: 1, max: 255 }), { maxLength: 3 })
          .map((pages) => pages.sort((a, b) => a - b)),
        orders: fc
          .uniqueArray(orderIn(markets), { maxLength: 6, selector: (order) => `${order.lane}/${order.orderSequence}` })
          .map((orders) => orders.sort((a, b) => a.lane - b.lane || a.orderSequence - b.orderSequence)),
      },
      { noNullPrototype: true },
    ),
    { maxLength: 5, selector: ({ account }) => account },
  );

const content: fc.Arbitrary<BatchContent> = fc
  .uniqueArray(uint(16), { minLength: 1, maxLength: 5 })
  .map((markets) => markets.sort((a, b) => a - b))
  .chain((markets) =>
    fc
      .tuple(
        accountsIn(markets),
        fc.array(fc.tuple(uint(16), uint(16), uint(40), uint(16), uint(16)), { maxLength: 8 }),
        fc.array(withdrawal, { maxLength: 4 }),
      )
      .map(([accounts, fillSeeds, withdrawals]) => {
        accounts.sort((a, b) => (BigInt(a.account) < BigInt(b.account) ? -1 : 1));
        const orders = accounts.reduce((count, account) => count + account.orders.length, 0);
        const fills = (orders === 0 ? [] : fillSeeds).map(([taker, maker, sizeLots, takerFeePpm, makerFeePpm]) => ({
          takerOrder: taker % orders,
          makerOrder: maker % orders,
          sizeLots,
          takerFeePpm,
          makerFeePpm,
        }));
        return { markets, accounts, fills, withdrawals } as unknown as BatchContent;
      }),
  );

const ALICE = `0x${'a1'.repeat(20)}` as Address;
const BOB = `0x${'b0'.repeat(20)}` as Address;
const SIGNATURE = `0x${'12'.repeat(64)}` as Hex;

describe('batch codec', () => {
  it('decodes what it encoded, and encodes what it decoded to the same bytes', () => {
    fc.assert(
      fc.property(content, (value) => {
        const bytes = encodeBatchContent(value);
        const decoded = decodeBatchContent(bytes);
        assert.deepEqual(decoded, value);
        assert.deepEqual(encodeBatchContent(decoded), bytes);
      }),
      { numRuns: 200 },
    );
  });

  it('refuses content that is cut short or runs on', () => {
    fc.assert(
      fc.property(content, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (value, share) => {
        const bytes = encodeBatchContent(value);
        assert.throws(() => decodeBatchContent(bytes.slice(0, Math.floor(bytes.length * share))), RangeError);
        assert.throws(() => decodeBatchContent(Uint8Array.of(...bytes, 0)), /bytes follow the content/);
      }),
      { numRuns: 100 },
    );
  });

  it('refuses values that do not fit and lists that do not rise', () => {
    const empty: BatchContent = { markets: [], accounts: [], fills: [], withdrawals: [] };
    const account = (value: Address) => ({ account: value, extraPages: [], orders: [] });
    assert.throws(() => encodeBatchContent({ ...empty, markets: [1, 1] }), /markets must rise/);
    assert.throws(() => encodeBatchContent({ ...empty, markets: [65_536] }), /market must be an integer of 2 bytes/);
    assert.throws(
      () => encodeBatchContent({ ...empty, accounts: [account(BOB), account(ALICE)] }),
      /not above the one before/,
    );
    assert.throws(
      () => encodeBatchContent({ ...empty, accounts: [{ ...account(ALICE), extraPages: [0] }] }),
      /pages must rise/,
    );
  });

  it('lays out a sealed batch: pages from markets, authority from signer and signature', () => {
    const order = {
      account: ALICE,
      signer: ALICE,
      market: 3,
      side: 'buy',
      timeInForce: 'gtc',
      postOnly: false,
      sizeLots: 10,
      priceTicks: 20,
      lane: 0,
      orderSequence: 5,
      expiry: 1_700_000_000,
      maxFeePpm: 500,
      digest: `0x${'00'.repeat(32)}`,
      placedAt: 1,
    };
    const batch = {
      batchId: 1,
      epoch: 1,
      journalSequence: 9,
      orders: [
        order,
        { ...order, lane: 2, signer: BOB },
        { ...order, account: BOB, signer: BOB, market: 1 },
        { ...order, account: BOB, signer: ALICE, market: 1, lane: 7 },
      ],
      trades: [{ tradeId: 1, takerOrder: 0, makerOrder: 2, sizeLots: 1, takerFeePpm: 2, makerFeePpm: 3 }],
      withdrawals: [],
    } as unknown as SealedBatch;
    const laidOut = contentOfSealedBatch(batch, {
      market: (index) => (index === 3 ? { baseAsset: 6, quoteAsset: 1 } : { baseAsset: 0, quoteAsset: 1 }),
      orderSignature: (index) => (index === 2 ? '0x' : SIGNATURE),
      withdrawalSignature: () => SIGNATURE,
      isVerified: (index) => index === 3,
    });
    assert.deepEqual(laidOut.markets, [1, 3]);
    assert.deepEqual(
      laidOut.accounts.map(({ account, extraPages }) => ({ account, extraPages })),
      [
        { account: ALICE, extraPages: [2] },
        { account: BOB, extraPages: [] },
      ],
    );
    assert.deepEqual(
      laidOut.accounts.flatMap(({ orders }) => orders.map(({ authorisation: by }) => by)),
      [
        { kind: 'owner', signature: SIGNATURE },
        { kind: 'session', signature: SIGNATURE },
        { kind: 'registered' },
        { kind: 'verified_session', key: ALICE },
      ],
    );
    assert.deepEqual(decodeBatchContent(encodeBatchContent(laidOut)), laidOut);
  });

  it('hashes a batch as the contract does', () => {
    const [parent, contentHash, journalHash] = ['11', '22', '33'].map((byte) => `0x${byte.repeat(32)}` as Hash) as [
      Hash,
      Hash,
      Hash,
    ];
    const expected = keccak256(
      encodeAbiParameters(
        [{ type: 'uint64' }, { type: 'bytes32' }, { type: 'bytes32' }, { type: 'uint64' }, { type: 'bytes32' }],
        [7n, parent, contentHash, 99n, journalHash],
      ),
    );
    assert.equal(batchHash({ id: 7, parent, contentHash, journalSequence: 99, journalHash }), expected);
  });
});
