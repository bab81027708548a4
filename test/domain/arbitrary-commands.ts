/** Every kind of command with values over the whole range of each field. */
import fc from 'fast-check';
import type { Command, SequencedCommand } from '../../src/domain/commands.ts';

const uint = fc.maxSafeNat();
const hexOf = (bytes: { minLength: number; maxLength: number }) =>
  fc.uint8Array(bytes).map((value) => `0x${Buffer.from(value).toString('hex')}`);
const address = hexOf({ minLength: 20, maxLength: 20 });
const hash = hexOf({ minLength: 32, maxLength: 32 });
const signature = fc.oneof(hexOf({ minLength: 64, maxLength: 64 }), hexOf({ minLength: 0, maxLength: 1024 }));
const words = fc.string({ unit: 'grapheme', maxLength: 40 });
const uint256 = fc.bigInt({ min: 0n, max: 2n ** 256n - 1n });
const record = <T>(fields: { [Name in keyof T]: fc.Arbitrary<T[Name]> }) =>
  fc.record(fields, { noNullPrototype: true });
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

const orderKey = record({ account: address, lane: uint, orderSequence: uint });
const order = record({
  account: address,
  market: uint,
  side: fc.constantFrom('buy', 'sell'),
  sizeLots: uint,
  priceTicks: uint,
  timeInForce: fc.constantFrom('gtc', 'ioc', 'fok', 'gtd'),
  postOnly: fc.boolean(),
  lane: uint,
  orderSequence: uint,
  expiry: uint,
  maxFeePpm: uint,
  signer: address,
  digest: hash,
  signature,
  clientOrderId: words,
  selfTradePrevention: fc.constantFrom('cancel_newest', 'cancel_oldest', 'cancel_both', 'decrement'),
  stop: maybe(record({ direction: fc.constantFrom('at_or_above', 'at_or_below'), triggerPriceTicks: uint })),
});
const withdrawal = record({
  account: address,
  asset: uint,
  amount: uint,
  recipient: address,
  native: fc.boolean(),
  lane: uint,
  withdrawalSequence: uint,
  expiry: uint,
  maxFee: uint,
  digest: hash,
  signature,
});
const asset = record({
  index: uint,
  token: address,
  symbol: words,
  decimals: uint,
  quantumUnits: uint256,
  minDeposit: uint,
});
const market = record({
  index: uint,
  symbol: words,
  baseAsset: uint,
  quoteAsset: uint,
  lotQuanta: uint,
  tickQuanta: uint,
  maxSizeLots: uint,
  maxPriceTicks: uint,
});
const parameters = record({ makerFeePpm: uint, takerFeePpm: uint, minNotional: uint, priceBandPpm: uint });
const limits = record({
  openOrdersPerAccountMax: uint,
  batchesInFlightMax: uint,
  unsettledAgeMaxMs: uint,
  orderAgeMaxMs: uint,
});
const chain = { eventSequence: uint };
const accountAsset = { ...chain, account: address, asset: uint };
const sessionKey = { ...chain, account: address, key: address, validUntil: uint };

/** The fields of each kind; the type demands one entry per kind. */
const FIELDS: { readonly [Kind in Command['kind']]: { readonly [field: string]: fc.Arbitrary<unknown> } } = {
  placeOrder: { order },
  replaceOrder: { replaced: orderKey, order },
  cancelOrder: { order: orderKey },
  cancelAllOrders: { account: address, market: maybe(uint) },
  cancelAfter: { account: address, deadlineMs: maybe(uint) },
  requestWithdrawal: { withdrawal },
  reduceOrder: { order: orderKey, remaining: uint },
  armDisconnect: { gateway: words, account: address, leaseMs: uint },
  disarmDisconnect: { gateway: words, account: address, cancel: fc.boolean() },
  renewGateway: { gateway: words, leaseMs: uint },
  setFeeTiers: {
    market: uint,
    tiers: fc.array(record({ volumeMin: uint, makerFeePpm: uint, takerFeePpm: uint }), { maxLength: 5 }),
    reason: words,
  },
  setLimits: { limits, reason: words },
  setWithdrawalTerms: { asset: uint, fee: uint, minimum: uint, reason: words },
  acceptClockJump: { reason: words },
  feesChanged: { ...chain, takerFeePpm: uint, makerFeePpm: uint },
  genesis: {
    chainId: uint,
    vault: address,
    deployedAtMs: uint,
    limits,
    defaultParameters: parameters,
    withdrawalFees: fc.array(record({ asset: uint, fee: uint }), { maxLength: 5 }),
  },
  epochStarted: { epoch: uint },
  activateRules: { version: uint },
  setMarketState: { market: uint, state: fc.constantFrom('open', 'cancel_only', 'halted') },
  setMarketParameters: { market: uint, parameters },
  haltWithdrawals: { reason: words },
  resumeWithdrawals: { reason: words },
  sealBatch: { tradesMax: uint, withdrawalsMax: uint },
  resealBatch: {
    batchId: uint,
    tradesMax: uint,
    withdrawalsMax: uint,
    contentHashes: fc.array(hash, { maxLength: 5 }),
    reason: words,
  },
  tick: {},
  assetListed: { ...chain, asset },
  marketListed: { ...chain, market },
  marketDelisted: { ...chain, market: uint },
  depositCredited: { ...accountAsset, amount: uint },
  exitRequested: accountAsset,
  exitCancelled: accountAsset,
  exitExecuted: { ...accountAsset, amount: uint },
  ordersCancelledOnChain: { ...chain, account: address, beforeSequence: uint },
  sessionKeyRegistered: { ...sessionKey, marketMask: uint256 },
  sessionKeyRevoked: sessionKey,
  orderRegistered: { ...chain, account: address, digest: hash },
  batchSettled: {
    ...chain,
    batchId: uint,
    contentHash: hash,
    skips: fc.array(record({ trade: uint, reason: uint }), { maxLength: 5 }),
    withdrawals: fc.array(record({ index: uint, state: fc.constantFrom('executed', 'failed'), reason: words }), {
      maxLength: 5,
    }),
  },
  chainEventNoted: { ...chain, name: words },
  feesCollected: { ...chain, asset: uint, amount: uint },
};

export const COMMAND_KINDS = Object.keys(FIELDS) as readonly Command['kind'][];

/** Commands of one kind. */
export function commandOfKind(kind: Command['kind']): fc.Arbitrary<Command> {
  return record({ kind: fc.constant(kind), ...FIELDS[kind] }) as unknown as fc.Arbitrary<Command>;
}

export const anyCommand: fc.Arbitrary<Command> = fc.oneof(...COMMAND_KINDS.map(commandOfKind));

export const anySequencedCommand = record({
  sequence: uint,
  timestampMs: uint,
  command: anyCommand,
}) as unknown as fc.Arbitrary<SequencedCommand>;
