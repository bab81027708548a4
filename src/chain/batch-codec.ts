/**
 * The packed content of `settle`, as docs/batch-format.md lays it out: to bytes and back, and from what the engine sealed.
 *
 * Invariants: encoding then decoding gives the same value, decoding then encoding the same bytes; a value that does not fit its
 * field throws instead of being cut. Order indices of a sealed batch stay what they are, because its orders are sorted as
 * the content needs them. Encoding is a pure function of the sealed batch, the listings and the signatures in the journal,
 * so a recovered engine builds the same bytes.
 * Not done here: judging a batch. Signatures are carried, not checked.
 */
import type { BatchTrade, BatchWithdrawal, SealedBatch } from '../domain/batches.ts';
import { pageOfAsset } from '../domain/markets.ts';
import type { Side, TimeInForce } from '../domain/orders.ts';
import { type Address, type Hash, type Hex, lots, type Ppm, quanta, type TimestampSeconds } from '../domain/units.ts';
import { writeHex } from './hex.ts';
import { keccak } from './keccak.ts';
import { byteLength, PackedReader, PackedWriter } from './packed-bytes.ts';

/** How the contract knows that the owner stands behind an order. */
export type OrderAuthorisation =
  | { readonly kind: 'owner'; readonly signature: Hex }
  | { readonly kind: 'session'; readonly signature: Hex }
  | { readonly kind: 'registered' }
  | { readonly kind: 'verified_owner' }
  | { readonly kind: 'verified_session'; readonly key: Address };

export type ContentOrder = {
  readonly lane: number;
  readonly orderSequence: number;
  readonly market: number;
  readonly side: Side;
  readonly timeInForce: TimeInForce;
  readonly postOnly: boolean;
  readonly sizeLots: number;
  readonly priceTicks: number;
  readonly expiry: number;
  readonly maxFeePpm: number;
  readonly authorisation: OrderAuthorisation;
};

/** One account with the storage pages above 0 that it needs. */
export type ContentAccount = {
  readonly account: Address;
  readonly extraPages: readonly number[];
  readonly orders: readonly ContentOrder[];
};

export type ContentFill = Omit<BatchTrade, 'tradeId'>;

export type ContentWithdrawal = Omit<BatchWithdrawal, 'digest' | 'requestedAt'> & {
  /** Compact ECDSA, or ERC-1271 bytes when `contractWallet`. */
  readonly signature: Hex;
  readonly contractWallet: boolean;
};

export type BatchContent = {
  /** Strictly ascending market indices; orders name markets of this list. */
  readonly markets: readonly number[];
  readonly accounts: readonly ContentAccount[];
  readonly fills: readonly ContentFill[];
  readonly withdrawals: readonly ContentWithdrawal[];
};

/** What a sealed batch does not carry itself. */
export type SealedBatchSources = {
  /** Assets of a market by its index. */
  readonly market: (index: number) => { readonly baseAsset: number; readonly quoteAsset: number };
  /** 64-byte compact signature of the order at this index of the batch; `0x` for an order registered on chain. */
  readonly orderSignature: (index: number) => Hex;
  /** Signature of the withdrawal at this index: 64-byte compact, or ERC-1271 bytes of another length. */
  readonly withdrawalSignature: (index: number) => Hex;
  /** Whether an earlier batch that has landed verified this order and left its tag in the lane; never on lane 0. */
  readonly isVerified?: (index: number) => boolean;
};

/** Parent of batch 1. */
export const GENESIS_PARENT: Hash = `0x${'00'.repeat(32)}`;

const SIDES: readonly Side[] = ['buy', 'sell'];
const TIMES_IN_FORCE: readonly TimeInForce[] = ['gtc', 'ioc', 'fok', 'gtd'];
const AUTHORISATIONS: readonly OrderAuthorisation['kind'][] = [
  'owner',
  'session',
  'registered',
  'verified_owner',
  'verified_session',
];
const COMPACT_SIGNATURE_BYTES = 64;

/** The content of a sealed batch. Orders and signatures are checked when it is encoded. */
export function contentOfSealedBatch(batch: SealedBatch, sources: SealedBatchSources): BatchContent {
  const markets = [...new Set(batch.orders.map((order) => order.market))].sort((a, b) => a - b);
  const accounts: { account: Address; pages: Set<number>; orders: ContentOrder[] }[] = [];
  for (const [index, order] of batch.orders.entries()) {
    let last = accounts.at(-1);
    if (last?.account !== order.account) {
      last = { account: order.account, pages: new Set(), orders: [] };
      accounts.push(last);
    }
    const { baseAsset, quoteAsset } = sources.market(order.market);
    for (const asset of [baseAsset, quoteAsset]) {
      const { page } = pageOfAsset(asset);
      if (page > 0) last.pages.add(page);
    }
    last.orders.push({
      lane: order.lane,
      orderSequence: order.orderSequence,
      market: order.market,
      side: order.side,
      timeInForce: order.timeInForce,
      postOnly: order.postOnly,
      sizeLots: order.sizeLots,
      priceTicks: order.priceTicks,
      expiry: order.expiry,
      maxFeePpm: order.maxFeePpm,
      authorisation: authorise(order.account, order.signer, sources, index),
    });
  }
  return {
    markets,
    accounts: accounts.map(({ account, pages, orders }) => ({
      account,
      extraPages: [...pages].sort((a, b) => a - b),
      orders,
    })),
    fills: batch.trades.map(({ tradeId: _, ...fill }) => fill),
    withdrawals: batch.withdrawals.map(({ digest: _, requestedAt: __, ...withdrawal }, index) => {
      const signature = sources.withdrawalSignature(index);
      return { ...withdrawal, signature, contractWallet: byteLength(signature) !== COMPACT_SIGNATURE_BYTES };
    }),
  };
}

function authorise(account: Address, signer: Address, sources: SealedBatchSources, index: number): OrderAuthorisation {
  const isOwner = signer === account;
  if (sources.isVerified?.(index) === true) {
    return isOwner ? { kind: 'verified_owner' } : { kind: 'verified_session', key: signer };
  }
  const signature = sources.orderSignature(index);
  if (signature === '0x') return { kind: 'registered' };
  return { kind: isOwner ? 'owner' : 'session', signature };
}

/** @throws RangeError when a value does not fit, or accounts, pages, markets or orders are not strictly ascending. */
export function encodeBatchContent(content: BatchContent): Uint8Array {
  const writer = new PackedWriter();
  const orders = content.accounts.reduce((count, account) => count + account.orders.length, 0);
  writer.uint(2, content.accounts.length, 'accountCount');
  writer.uint(2, orders, 'orderCount');
  writer.uint(2, content.fills.length, 'fillCount');
  writer.uint(2, content.withdrawals.length, 'withdrawalCount');
  writer.uint(1, content.markets.length, 'marketCount');
  requireAscending(content.markets, -1, 'markets');
  for (const market of content.markets) writer.uint(2, market, 'market');
  let previous = 0n;
  for (const account of content.accounts) {
    if (BigInt(account.account) <= previous)
      throw new RangeError(`account ${account.account} is not above the one before`);
    previous = BigInt(account.account);
    writeAccount(writer, account, content.markets);
  }
  for (const fill of content.fills) writeFill(writer, fill, orders);
  for (const withdrawal of content.withdrawals) writeWithdrawal(writer, withdrawal);
  return writer.bytes();
}

function writeAccount(writer: PackedWriter, account: ContentAccount, markets: readonly number[]): void {
  writer.hex(20, account.account, 'account');
  writer.uint(1, account.extraPages.length, 'extraPageCount');
  writer.uint(2, account.orders.length, 'accountOrderCount');
  requireAscending(account.extraPages, 0, 'pages');
  for (const page of account.extraPages) writer.uint(1, page, 'page');
  let previous = -1n;
  for (const order of account.orders) {
    const key = laneKey(order);
    if (key <= previous) throw new RangeError(`orders of ${account.account} must rise by lane and sequence`);
    previous = key;
    writeOrder(writer, order, markets);
  }
}

function writeOrder(writer: PackedWriter, order: ContentOrder, markets: readonly number[]): void {
  const { authorisation } = order;
  writer.uint(2, order.lane, 'lane');
  writer.uint(5, order.orderSequence, 'orderSequence');
  writer.uint(1, markets.indexOf(order.market), 'marketPosition');
  writer.uint(
    1,
    SIDES.indexOf(order.side) |
      (TIMES_IN_FORCE.indexOf(order.timeInForce) << 1) |
      (order.postOnly ? 8 : 0) |
      (AUTHORISATIONS.indexOf(authorisation.kind) << 4),
    'flags',
  );
  writer.uint(5, order.sizeLots, 'sizeLots');
  writer.uint(4, order.priceTicks, 'priceTicks');
  writer.uint(5, order.expiry, 'expiry');
  writer.uint(2, order.maxFeePpm, 'maxFeePpm');
  switch (authorisation.kind) {
    case 'owner':
    case 'session':
      writer.hex(COMPACT_SIGNATURE_BYTES, authorisation.signature, 'order signature');
      break;
    case 'verified_session':
      writer.hex(20, authorisation.key, 'session key');
      break;
    case 'registered':
    case 'verified_owner':
      break;
  }
}

function writeFill(writer: PackedWriter, fill: ContentFill, orderCount: number): void {
  if (fill.takerOrder >= orderCount || fill.makerOrder >= orderCount) {
    throw new RangeError(`a fill names order ${fill.takerOrder} or ${fill.makerOrder} of ${orderCount}`);
  }
  writer.uint(2, fill.takerOrder, 'takerOrder');
  writer.uint(2, fill.makerOrder, 'makerOrder');
  writer.uint(5, fill.sizeLots, 'sizeLots');
  writer.uint(2, fill.takerFeePpm, 'takerFeePpm');
  writer.uint(2, fill.makerFeePpm, 'makerFeePpm');
}

function writeWithdrawal(writer: PackedWriter, withdrawal: ContentWithdrawal): void {
  const hasRecipient = withdrawal.recipient !== withdrawal.account;
  writer.hex(20, withdrawal.account, 'account');
  writer.uint(2, withdrawal.asset, 'asset');
  writer.uint(2, withdrawal.lane, 'lane');
  writer.uint(5, withdrawal.withdrawalSequence, 'withdrawalSequence');
  writer.uint(7, withdrawal.amount, 'amount');
  writer.uint(7, withdrawal.maxFee, 'maxFee');
  writer.uint(7, withdrawal.fee, 'fee');
  writer.uint(5, withdrawal.expiry, 'expiry');
  writer.uint(1, (hasRecipient ? 1 : 0) | (withdrawal.contractWallet ? 2 : 0) | (withdrawal.native ? 4 : 0), 'flags');
  if (hasRecipient) writer.hex(20, withdrawal.recipient, 'recipient');
  const signatureBytes = withdrawal.contractWallet ? byteLength(withdrawal.signature) : COMPACT_SIGNATURE_BYTES;
  if (withdrawal.contractWallet) writer.uint(2, signatureBytes, 'signature length');
  writer.hex(signatureBytes, withdrawal.signature, 'withdrawal signature');
}

/** @throws RangeError naming the byte at which the content breaks its format. */
export function decodeBatchContent(bytes: Uint8Array): BatchContent {
  const reader = new PackedReader(bytes);
  const accountCount = reader.uint(2);
  const orderCount = reader.uint(2);
  const fillCount = reader.uint(2);
  const withdrawalCount = reader.uint(2);
  const markets = reader.list(reader.uint(1), () => reader.uint(2));
  reader.check(isAscending(markets, -1), 'markets must rise');
  let previous = 0n;
  const accounts = reader.list(accountCount, () => {
    const account = readAccount(reader, markets);
    reader.check(BigInt(account.account) > previous, 'accounts must rise');
    previous = BigInt(account.account);
    return account;
  });
  const orders = accounts.reduce((count, account) => count + account.orders.length, 0);
  reader.check(orders === orderCount, `${orderCount} orders were announced, ${orders} came`);
  const fills = reader.list(fillCount, () => readFill(reader, orderCount));
  const withdrawals = reader.list(withdrawalCount, () => readWithdrawal(reader));
  reader.check(reader.offset === bytes.length, 'bytes follow the content');
  return { markets, accounts, fills, withdrawals };
}

function readAccount(reader: PackedReader, markets: readonly number[]): ContentAccount {
  const account = reader.hex(20);
  const pageCount = reader.uint(1);
  const orderCount = reader.uint(2);
  const extraPages = reader.list(pageCount, () => reader.uint(1));
  reader.check(isAscending(extraPages, 0), 'pages must rise from 1');
  let previous = -1n;
  const orders = reader.list(orderCount, () => {
    const order = readOrder(reader, markets);
    const key = laneKey(order);
    reader.check(previous < key, 'orders must rise by lane and sequence');
    previous = key;
    return order;
  });
  return { account, extraPages, orders };
}

function readOrder(reader: PackedReader, markets: readonly number[]): ContentOrder {
  const lane = reader.uint(2);
  const orderSequence = reader.uint(5);
  const market = markets[reader.uint(1)];
  reader.check(market !== undefined, 'the market position is beyond the list');
  const flags = reader.uint(1);
  const kind = AUTHORISATIONS[flags >> 4];
  reader.check(kind !== undefined, `order flags ${flags} are not known`);
  return {
    lane,
    orderSequence,
    market: market as number,
    side: SIDES[flags & 1] as Side,
    timeInForce: TIMES_IN_FORCE[(flags >> 1) & 3] as TimeInForce,
    postOnly: (flags & 8) !== 0,
    sizeLots: reader.uint(5),
    priceTicks: reader.uint(4),
    expiry: reader.uint(5),
    maxFeePpm: reader.uint(2),
    authorisation: readAuthorisation(reader, kind as OrderAuthorisation['kind']),
  };
}

function readAuthorisation(reader: PackedReader, kind: OrderAuthorisation['kind']): OrderAuthorisation {
  switch (kind) {
    case 'owner':
    case 'session':
      return { kind, signature: reader.hex(COMPACT_SIGNATURE_BYTES) };
    case 'verified_session':
      return { kind, key: reader.hex(20) };
    case 'registered':
    case 'verified_owner':
      return { kind };
  }
}

function readFill(reader: PackedReader, orderCount: number): ContentFill {
  const fill = {
    takerOrder: reader.uint(2),
    makerOrder: reader.uint(2),
    sizeLots: lots(reader.uint(5)),
    takerFeePpm: reader.uint(2) as Ppm,
    makerFeePpm: reader.uint(2) as Ppm,
  };
  reader.check(fill.takerOrder < orderCount && fill.makerOrder < orderCount, 'a fill names an order beyond the table');
  return fill;
}

function readWithdrawal(reader: PackedReader): ContentWithdrawal {
  const account = reader.hex(20);
  const asset = reader.uint(2);
  const lane = reader.uint(2);
  const withdrawalSequence = reader.uint(5);
  const amount = quanta(reader.uint(7));
  const maxFee = quanta(reader.uint(7));
  const fee = quanta(reader.uint(7));
  const expiry = reader.uint(5) as TimestampSeconds;
  const flags = reader.uint(1);
  reader.check(flags < 8, `withdrawal flags ${flags} are not known`);
  const contractWallet = (flags & 2) !== 0;
  const native = (flags & 4) !== 0;
  const recipient = (flags & 1) !== 0 ? reader.hex(20) : account;
  const signature = reader.hex(contractWallet ? reader.uint(2) : COMPACT_SIGNATURE_BYTES);
  const authority = { signature, contractWallet };
  return { account, recipient, asset, lane, withdrawalSequence, amount, maxFee, fee, expiry, native, ...authority };
}

export function contentHash(content: Uint8Array): Hash {
  return keccak(content);
}

/** What the next batch must name as its parent: five ABI words; epoch and key stay outside, so that a successor can sign the same content again. */
export function batchHash(batch: {
  readonly id: number;
  readonly parent: Hash;
  readonly contentHash: Hash;
  readonly journalSequence: number;
  readonly journalHash: Hash;
}): Hash {
  const bytes = new Uint8Array(160);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(24, BigInt(batch.id));
  writeHex(bytes, 32, batch.parent);
  writeHex(bytes, 64, batch.contentHash);
  view.setBigUint64(120, BigInt(batch.journalSequence));
  writeHex(bytes, 128, batch.journalHash);
  return keccak(bytes);
}

/** Orders of an account rise by this. */
function laneKey(order: ContentOrder): bigint {
  return (BigInt(order.lane) << 40n) | BigInt(order.orderSequence);
}

function isAscending(values: readonly number[], above: number): boolean {
  return values.every((value, index) => value > (index === 0 ? above : (values[index - 1] as number)));
}

function requireAscending(values: readonly number[], above: number, name: string): void {
  if (!isAscending(values, above)) throw new RangeError(`${name} must rise strictly, got ${values.join(', ')}`);
}
