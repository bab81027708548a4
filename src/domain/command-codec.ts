/**
 * Commands as bytes: what the journal stores, what its Merkle tree is built over, and what travels between processes.
 *
 * A sequenced command is: version byte, sequence, time in milliseconds, kind number, fields in the order below. A row's body
 * is its commands, each preceded by its length. The format is permanent: a changed meaning gets a new version, a new kind a
 * new number, and old versions stay readable, because replaying old journals is how state is recovered and audited.
 */
import type { WithdrawalOutcome } from './batches.ts';
import {
  ByteReader,
  ByteWriter,
  bool,
  fixedHex,
  list,
  optional,
  struct,
  text,
  uint,
  uint256,
  variableHex,
  variants,
  word,
} from './byte-codec.ts';
import type { Command, EngineLimits, SequencedCommand } from './commands.ts';
import type { Asset, FeeTier, Market, MarketParameters } from './markets.ts';
import type { NewOrder, NewWithdrawal, OrderKey, StopTrigger } from './orders.ts';
import type { JournalSequence, TimestampMs, TimestampSeconds } from './units.ts';

/** Version of the encoding this code writes. */
export const COMMAND_CODEC_VERSION = 1;

const address = fixedHex(20);
const hash = fixedHex(32);

const orderKey = struct<OrderKey>({ account: address, lane: uint(), orderSequence: uint() });

const newOrder = struct<NewOrder>({
  account: address,
  market: uint(),
  side: word(['buy', 'sell']),
  sizeLots: uint(),
  priceTicks: uint(),
  timeInForce: word(['gtc', 'ioc', 'fok', 'gtd']),
  postOnly: bool,
  lane: uint(),
  orderSequence: uint(),
  expiry: uint(),
  maxFeePpm: uint(),
  signer: address,
  digest: hash,
  signature: variableHex,
  clientOrderId: text,
  selfTradePrevention: word(['cancel_newest', 'cancel_oldest', 'cancel_both', 'decrement']),
  stop: optional(struct<StopTrigger>({ direction: word(['at_or_above', 'at_or_below']), triggerPriceTicks: uint() })),
});

const newWithdrawal = struct<NewWithdrawal>({
  account: address,
  asset: uint(),
  amount: uint(),
  recipient: address,
  native: bool,
  lane: uint(),
  withdrawalSequence: uint(),
  expiry: uint(),
  maxFee: uint(),
  digest: hash,
  signature: variableHex,
});

const asset = struct<Asset>({
  index: uint(),
  token: address,
  symbol: text,
  decimals: uint(),
  quantumUnits: uint256,
  minDeposit: uint(),
});

const market = struct<Market>({
  index: uint(),
  symbol: text,
  baseAsset: uint(),
  quoteAsset: uint(),
  lotQuanta: uint(),
  tickQuanta: uint(),
  maxSizeLots: uint(),
  maxPriceTicks: uint(),
});

const marketParameters = struct<MarketParameters>({
  makerFeePpm: uint(),
  takerFeePpm: uint(),
  minNotional: uint(),
  priceBandPpm: uint(),
});

const feeTier = struct<FeeTier>({ volumeMin: uint(), makerFeePpm: uint(), takerFeePpm: uint() });

const engineLimits = struct<EngineLimits>({
  openOrdersPerAccountMax: uint(),
  batchesInFlightMax: uint(),
  unsettledAgeMaxMs: uint(),
  orderAgeMaxMs: uint(),
});

const withdrawalOutcome = struct<WithdrawalOutcome>({
  index: uint(),
  state: word(['executed', 'failed']),
  reason: text,
});
const eventSequence = uint<Extract<Command, { kind: 'chainEventNoted' }>['eventSequence']>();
const accountAsset = { eventSequence, account: address, asset: uint() };
const sessionKey = { eventSequence, account: address, key: address, validUntil: uint<TimestampSeconds>() };

/** User commands count from 1, operator commands from 32, chain facts from 64. */
const command = variants<Command>({
  placeOrder: [1, struct({ order: newOrder })],
  replaceOrder: [2, struct({ replaced: orderKey, order: newOrder })],
  cancelOrder: [3, struct({ order: orderKey })],
  cancelAllOrders: [4, struct({ account: address, market: optional(uint()) })],
  cancelAfter: [5, struct({ account: address, deadlineMs: optional(uint()) })],
  requestWithdrawal: [6, struct({ withdrawal: newWithdrawal })],
  reduceOrder: [7, struct({ order: orderKey, remaining: uint() })],
  armDisconnect: [8, struct({ gateway: text, account: address, leaseMs: uint() })],
  disarmDisconnect: [9, struct({ gateway: text, account: address, cancel: bool })],
  renewGateway: [10, struct({ gateway: text, leaseMs: uint() })],

  genesis: [
    32,
    struct({
      chainId: uint(),
      vault: address,
      deployedAtMs: uint(),
      limits: engineLimits,
      defaultParameters: marketParameters,
      withdrawalFees: list(struct({ asset: uint(), fee: uint() })),
    }),
  ],
  epochStarted: [33, struct({ epoch: uint() })],
  activateRules: [34, struct({ version: uint() })],
  setMarketState: [35, struct({ market: uint(), state: word(['open', 'cancel_only', 'halted']) })],
  setMarketParameters: [36, struct({ market: uint(), parameters: marketParameters })],
  haltWithdrawals: [37, struct({ reason: text })],
  resumeWithdrawals: [38, struct({ reason: text })],
  sealBatch: [39, struct({ tradesMax: uint(), withdrawalsMax: uint() })],
  tick: [40, struct({})],
  setFeeTiers: [41, struct({ market: uint(), tiers: list(feeTier), reason: text })],
  setLimits: [42, struct({ limits: engineLimits, reason: text })],
  setWithdrawalTerms: [43, struct({ asset: uint(), fee: uint(), minimum: uint(), reason: text })],
  acceptClockJump: [44, struct({ reason: text })],
  resealBatch: [
    45,
    struct({ batchId: uint(), tradesMax: uint(), withdrawalsMax: uint(), contentHashes: list(hash), reason: text }),
  ],

  assetListed: [64, struct({ eventSequence, asset })],
  marketListed: [65, struct({ eventSequence, market })],
  marketDelisted: [66, struct({ eventSequence, market: uint() })],
  depositCredited: [67, struct({ ...accountAsset, amount: uint() })],
  exitRequested: [68, struct(accountAsset)],
  exitCancelled: [69, struct(accountAsset)],
  exitExecuted: [70, struct({ ...accountAsset, amount: uint() })],
  ordersCancelledOnChain: [71, struct({ eventSequence, account: address, beforeSequence: uint() })],
  sessionKeyRegistered: [72, struct({ ...sessionKey, marketMask: uint256 })],
  sessionKeyRevoked: [73, struct(sessionKey)],
  orderRegistered: [74, struct({ eventSequence, account: address, digest: hash })],
  batchSettled: [
    75,
    struct({
      eventSequence,
      batchId: uint(),
      contentHash: hash,
      skips: list(struct({ trade: uint(), reason: uint() })),
      withdrawals: list(withdrawalOutcome),
    }),
  ],
  chainEventNoted: [76, struct({ eventSequence, name: text })],
  feesCollected: [77, struct({ eventSequence, asset: uint(), amount: uint() })],
  feesChanged: [78, struct({ eventSequence, takerFeePpm: uint(), makerFeePpm: uint() })],
});

// Encoding never awaits, so one buffer serves every call.
const scratch = new ByteWriter();

/** @throws RangeError for a value outside its field's range. */
export function encodeSequencedCommand(sequenced: SequencedCommand): Uint8Array {
  return sequenceEncoded(encodeCommand(sequenced.command), sequenced.sequence, sequenced.timestampMs);
}

/** Gives an encoded command its place: the same bytes as `encodeSequencedCommand`, without encoding it again. */
export function sequenceEncoded(encoded: Uint8Array, sequence: JournalSequence, timestampMs: TimestampMs): Uint8Array {
  scratch.reset();
  scratch.byte(COMMAND_CODEC_VERSION);
  scratch.uint(sequence);
  scratch.uint(timestampMs);
  scratch.raw(encoded.subarray(1));
  return scratch.toBytes();
}

/** @throws CodecError unless `bytes` are exactly one command as written by `encodeSequencedCommand`. */
export function decodeSequencedCommand(bytes: Uint8Array): SequencedCommand {
  const reader = new ByteReader(bytes);
  readVersion(reader);
  const sequence = reader.uint() as JournalSequence;
  const timestampMs = reader.uint() as TimestampMs;
  const sequenced = { sequence, timestampMs, command: command.read(reader) };
  reader.end();
  return sequenced;
}

/** Sequence and time of an encoded command, the rest of it unread. @throws CodecError when they cannot be read */
export function placeOfEncoded(encoded: Uint8Array): {
  readonly sequence: JournalSequence;
  readonly timestampMs: TimestampMs;
} {
  const reader = new ByteReader(encoded);
  readVersion(reader);
  const sequence = reader.uint() as JournalSequence;
  return { sequence, timestampMs: reader.uint() as TimestampMs };
}

/** A command that has no place in the journal yet, for transports. @throws RangeError for a value outside its field's range. */
export function encodeCommand(unsequenced: Command): Uint8Array {
  scratch.reset();
  scratch.byte(COMMAND_CODEC_VERSION);
  command.write(scratch, unsequenced);
  return scratch.toBytes();
}

/** @throws CodecError unless `bytes` are exactly one command as written by `encodeCommand`. */
export function decodeCommand(bytes: Uint8Array): Command {
  const reader = new ByteReader(bytes);
  readVersion(reader);
  const decoded = command.read(reader);
  reader.end();
  return decoded;
}

/** The body of a journal row: encoded commands, each preceded by its length. */
export function joinBody(encodedCommands: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter();
  for (const encoded of encodedCommands) {
    writer.uint(encoded.length);
    writer.raw(encoded);
  }
  return writer.toBytes();
}

/** The encoded commands of a body, as views into it. @throws CodecError when the last one is cut short. */
export function splitBody(body: Uint8Array): Uint8Array[] {
  const reader = new ByteReader(body);
  const encodedCommands: Uint8Array[] = [];
  while (reader.remaining > 0) encodedCommands.push(reader.raw(reader.uint()));
  return encodedCommands;
}

function readVersion(reader: ByteReader): void {
  const version = reader.byte();
  if (version !== COMMAND_CODEC_VERSION) {
    reader.fail('unknown_version', `expected encoding version ${COMMAND_CODEC_VERSION}, got ${version}`);
  }
}
