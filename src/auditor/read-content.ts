/**
 * The packed content of a batch, read from the published format (docs/batch-format.md, section 1) without the exchange's own codec: a mistake
 * that encoder and decoder share would not show otherwise.
 */
import { bytesToHex } from '../chain/hex.ts';
import type { Address, Hex } from '../domain/units.ts';

export type ContentOrder = {
  readonly account: Address;
  readonly lane: number;
  readonly sequence: number;
  readonly market: number;
  readonly side: 'buy' | 'sell';
  readonly timeInForce: 'gtc' | 'ioc' | 'fok' | 'gtd';
  readonly postOnly: boolean;
  readonly sizeLots: number;
  readonly priceTicks: number;
  /** Unix seconds. */
  readonly expiry: number;
  readonly maxFeePpm: number;
  readonly authorisation: 'owner' | 'session' | 'registered' | 'verified_owner' | 'verified_session';
  /** Signature of 64 bytes for owner and session, the key for verified_session, else empty. */
  readonly proof: Hex;
};

export type ContentFill = {
  readonly taker: number;
  readonly maker: number;
  readonly sizeLots: number;
  readonly takerFeePpm: number;
  readonly makerFeePpm: number;
};

export type ContentWithdrawal = {
  readonly account: Address;
  readonly asset: number;
  readonly lane: number;
  readonly sequence: number;
  /** Quanta; 56 bits, so more than a safe integer when signed carelessly. */
  readonly amount: bigint;
  readonly maxFee: bigint;
  readonly fee: bigint;
  /** Unix seconds. */
  readonly expiry: number;
  readonly recipient: Address;
  readonly isContractWallet: boolean;
  readonly isNative: boolean;
  readonly signature: Hex;
};

export type Content = {
  readonly orders: readonly ContentOrder[];
  readonly fills: readonly ContentFill[];
  readonly withdrawals: readonly ContentWithdrawal[];
};

const SIDES = ['buy', 'sell'] as const;
const TIMES_IN_FORCE = ['gtc', 'ioc', 'fok', 'gtd'] as const;
const AUTHORISATIONS = ['owner', 'session', 'registered', 'verified_owner', 'verified_session'] as const;
const PROOF_BYTES = { owner: 64, session: 64, registered: 0, verified_owner: 0, verified_session: 20 } as const;

/** @throws RangeError naming the byte at which the content breaks its format. */
export function readContent(bytes: Uint8Array): Content {
  const reader = new Reader(bytes);
  const [accountCount, orderCount, fillCount, withdrawalCount] = [
    reader.uint(2),
    reader.uint(2),
    reader.uint(2),
    reader.uint(2),
  ];
  const markets: number[] = [];
  for (let count = reader.uint(1); count > 0; count--) {
    const market = reader.uint(2);
    if (market <= (markets.at(-1) ?? -1)) reader.fail('markets do not ascend');
    markets.push(market);
  }
  const orders: ContentOrder[] = [];
  let last = `0x${'0'.repeat(40)}`;
  for (let index = 0; index < accountCount; index++) {
    const account = reader.hex(20);
    if (account <= last) reader.fail('accounts do not ascend');
    last = account;
    readAccount(reader, account, markets, orders);
  }
  if (orders.length !== orderCount) reader.fail(`${orders.length} orders stand where ${orderCount} are announced`);
  const fills = Array.from({ length: fillCount }, () => readFill(reader, orderCount));
  const withdrawals = Array.from({ length: withdrawalCount }, () => readWithdrawal(reader));
  reader.end();
  return { orders, fills, withdrawals };
}

function readAccount(reader: Reader, account: Address, markets: readonly number[], orders: ContentOrder[]): void {
  const pageCount = reader.uint(1);
  const orderCount = reader.uint(2);
  let lastPage = 0;
  for (let index = 0; index < pageCount; index++) {
    const page = reader.uint(1);
    if (page <= lastPage) reader.fail('pages do not ascend');
    lastPage = page;
  }
  let previous: ContentOrder | undefined;
  for (let index = 0; index < orderCount; index++) {
    const order = readOrder(reader, account, markets);
    if (previous !== undefined && !isAfter(order, previous)) reader.fail('orders of an account do not ascend');
    previous = order;
    orders.push(order);
  }
}

const isAfter = (order: ContentOrder, other: ContentOrder): boolean =>
  order.lane > other.lane || (order.lane === other.lane && order.sequence > other.sequence);

function readOrder(reader: Reader, account: Address, markets: readonly number[]): ContentOrder {
  const lane = reader.uint(2);
  const sequence = reader.uint(5);
  const market = markets[reader.uint(1)];
  const flags = reader.uint(1);
  const authorisation = AUTHORISATIONS[(flags >> 4) & 7];
  if (market === undefined || flags > 127 || authorisation === undefined)
    return reader.fail('an order names no market or authorisation');
  return {
    account,
    lane,
    sequence,
    market,
    side: SIDES[flags & 1] ?? 'buy',
    timeInForce: TIMES_IN_FORCE[(flags >> 1) & 3] ?? 'gtc',
    postOnly: (flags & 8) !== 0,
    sizeLots: reader.uint(5),
    priceTicks: reader.uint(4),
    expiry: reader.uint(5),
    maxFeePpm: reader.uint(2),
    authorisation,
    proof: reader.hex(PROOF_BYTES[authorisation]),
  };
}

function readFill(reader: Reader, orderCount: number): ContentFill {
  const fill = {
    taker: reader.uint(2),
    maker: reader.uint(2),
    sizeLots: reader.uint(5),
    takerFeePpm: reader.uint(2),
    makerFeePpm: reader.uint(2),
  };
  if (fill.taker >= orderCount || fill.maker >= orderCount) reader.fail('a fill names an order beyond the table');
  return fill;
}

function readWithdrawal(reader: Reader): ContentWithdrawal {
  const account = reader.hex(20);
  const [asset, lane, sequence] = [reader.uint(2), reader.uint(2), reader.uint(5)];
  const [amount, maxFee, fee] = [reader.bigUint(7), reader.bigUint(7), reader.bigUint(7)];
  const expiry = reader.uint(5);
  const flags = reader.uint(1);
  if (flags > 7) reader.fail('a withdrawal has unknown flags');
  const recipient = (flags & 1) !== 0 ? reader.hex(20) : account;
  const isContractWallet = (flags & 2) !== 0;
  const signature = reader.hex(isContractWallet ? reader.uint(2) : 64);
  const isNative = (flags & 4) !== 0;
  return {
    account,
    asset,
    lane,
    sequence,
    amount,
    maxFee,
    fee,
    expiry,
    recipient,
    isContractWallet,
    isNative,
    signature,
  };
}

/** Big-endian integers and bytes, front to back. */
class Reader {
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** At most 6 bytes. @throws RangeError beyond the end. */
  uint(length: number): number {
    let value = 0;
    for (const byte of this.#take(length)) value = value * 256 + byte;
    return value;
  }

  bigUint(length: number): bigint {
    return BigInt(this.hex(length));
  }

  hex(length: number): Hex {
    return bytesToHex(this.#take(length));
  }

  end(): void {
    if (this.#position !== this.#bytes.length) this.fail('bytes are left over');
  }

  fail(reason: string): never {
    throw new RangeError(`${reason}, at byte ${this.#position} of ${this.#bytes.length}`);
  }

  #take(length: number): Uint8Array {
    const end = this.#position + length;
    if (end > this.#bytes.length) this.fail('the content ends too early');
    const taken = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return taken;
  }
}
