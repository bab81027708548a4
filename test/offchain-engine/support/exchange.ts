/** An engine with two assets and a market, and short words for what tests do to it. */
import { createHash } from 'node:crypto';
import type { SealedBatch, WithdrawalOutcome } from '../../../src/domain/batches.ts';
import type { ChainFact, Command, EngineLimits } from '../../../src/domain/commands.ts';
import type { Balance, EngineEvent } from '../../../src/domain/events.ts';
import type { MarketParameters } from '../../../src/domain/markets.ts';
import type { NewOrder, NewWithdrawal, OrderKey, Side } from '../../../src/domain/orders.ts';
import type {
  Address,
  ChainEventSequence,
  Hash,
  JournalSequence,
  Lots,
  Ppm,
  PriceTicks,
  Quanta,
  TimestampMs,
  TimestampSeconds,
} from '../../../src/domain/units.ts';
import { Engine } from '../../../src/offchain-engine/engine.ts';

export const START_MS = 1_700_000_000_000;
export const DEPLOYED_MS = START_MS - 3_600_000;
export const VAULT: Address = `0x${'cc'.repeat(20)}`;
export const ALICE: Address = `0x${'a1'.repeat(20)}`;
export const BOB: Address = `0x${'b2'.repeat(20)}`;
export const CAROL: Address = `0x${'c3'.repeat(20)}`;
export const FEES: Address = `0x${'00'.repeat(20)}`;
export const BASE = 0;
export const QUOTE = 1;
/** Base quanta per lot and quote quanta per lot and tick of market 0. */
export const LOT = 100;
export const TICK = 10;

export const LIMITS: EngineLimits = {
  openOrdersPerAccountMax: 50,
  batchesInFlightMax: 4,
  unsettledAgeMaxMs: 600_000,
  orderAgeMaxMs: 600_000,
};
export const PARAMETERS = {
  makerFeePpm: 1_000 as Ppm,
  takerFeePpm: 2_000 as Ppm,
  minNotional: 0 as Quanta,
  priceBandPpm: 0,
} satisfies MarketParameters;

export type Event<Kind extends EngineEvent['kind']> = Extract<EngineEvent, { kind: Kind }>;
export type OrderTerms = Partial<Omit<NewOrder, 'sizeLots' | 'priceTicks'>> & {
  account: Address;
  side: Side;
  size: number;
  price: number;
};
type WithdrawalTerms = Partial<Omit<NewWithdrawal, 'amount'>> & { account: Address; amount: number };
type Options = { limits?: Partial<EngineLimits>; parameters?: Partial<MarketParameters>; withdrawalFee?: number };

export class Exchange {
  engine: Engine;
  nowMs = START_MS;
  /** Every command applied, for replay. */
  readonly journal: { sequence: JournalSequence; timestampMs: TimestampMs; command: Command }[] = [];
  #eventSequence = 0;
  #orders = 0;

  constructor({ limits, parameters, withdrawalFee = 0 }: Options = {}) {
    this.engine = new Engine();
    this.apply({
      kind: 'genesis',
      chainId: 31_337,
      vault: VAULT,
      deployedAtMs: DEPLOYED_MS as TimestampMs,
      limits: { ...LIMITS, ...limits },
      defaultParameters: { ...PARAMETERS, ...parameters },
      withdrawalFees: withdrawalFee === 0 ? [] : [{ asset: QUOTE, fee: withdrawalFee as Quanta }],
    });
    this.apply({ kind: 'epochStarted', epoch: 1 });
    for (const [index, symbol] of ['BASE', 'QUOTE'].entries()) this.listAsset(index, symbol);
    this.listMarket(0);
  }

  apply(command: Command): readonly EngineEvent[] {
    const sequenced = {
      sequence: (this.journal.length + 1) as JournalSequence,
      timestampMs: this.nowMs as TimestampMs,
      command,
    };
    this.journal.push(sequenced);
    return this.engine.apply(sequenced).events;
  }

  fact(fact: ChainFact): readonly EngineEvent[] {
    return this.apply({ ...fact, eventSequence: ++this.#eventSequence as ChainEventSequence });
  }

  listAsset(index: number, symbol: string): void {
    const token: Address = `0x${(0xd0 + index).toString(16)}${'00'.repeat(19)}`;
    this.fact({
      kind: 'assetListed',
      asset: { index, token, symbol, decimals: 6, quantumUnits: 1n, minDeposit: 1 as Quanta },
    });
  }

  listMarket(index: number): void {
    this.fact({
      kind: 'marketListed',
      market: {
        index,
        symbol: `BASE-QUOTE-${index}`,
        baseAsset: BASE,
        quoteAsset: QUOTE,
        lotQuanta: LOT as Quanta,
        tickQuanta: TICK as Quanta,
        maxSizeLots: 1_000_000 as Lots,
        maxPriceTicks: 1_000_000 as PriceTicks,
      },
    });
  }

  /** Base in lots, quote in quanta. */
  deposit(account: Address, baseLots: number, quote: number): void {
    if (baseLots > 0) this.fact({ kind: 'depositCredited', account, asset: BASE, amount: (baseLots * LOT) as Quanta });
    if (quote > 0) this.fact({ kind: 'depositCredited', account, asset: QUOTE, amount: quote as Quanta });
  }

  /** A signed order; each gets a lane, a sequence and a digest of its own unless told otherwise. */
  order({ size, price, ...terms }: OrderTerms): NewOrder {
    const number = ++this.#orders;
    return {
      market: 0,
      sizeLots: size as Lots,
      priceTicks: price as PriceTicks,
      timeInForce: 'gtc',
      postOnly: false,
      lane: number % 65_536,
      orderSequence: this.sequenceNow(),
      expiry: (Math.floor(this.nowMs / 1000) + 86_400) as TimestampSeconds,
      maxFeePpm: 5_000 as Ppm,
      signer: terms.account,
      digest: digest(number),
      signature: `0x${'11'.repeat(64)}`,
      clientOrderId: '',
      selfTradePrevention: 'cancel_newest',
      stop: undefined,
      ...terms,
    };
  }

  place(terms: OrderTerms): { order: NewOrder; events: readonly EngineEvent[] } {
    const order = this.order(terms);
    return { order, events: this.apply({ kind: 'placeOrder', order }) };
  }

  cancel(order: OrderKey): readonly EngineEvent[] {
    return this.apply({ kind: 'cancelOrder', order: keyOf(order) });
  }

  withdrawal(terms: WithdrawalTerms): NewWithdrawal {
    const number = ++this.#orders;
    return {
      asset: QUOTE,
      recipient: terms.account,
      native: false,
      lane: 0,
      withdrawalSequence: this.sequenceNow() + number,
      expiry: (Math.floor(this.nowMs / 1000) + 86_400) as TimestampSeconds,
      maxFee: 1_000 as Quanta,
      digest: digest(number),
      signature: `0x${'22'.repeat(64)}`,
      ...terms,
      amount: terms.amount as Quanta,
    };
  }

  withdraw(terms: WithdrawalTerms): readonly EngineEvent[] {
    return this.apply({ kind: 'requestWithdrawal', withdrawal: this.withdrawal(terms) });
  }

  seal(tradesMax = 200, withdrawalsMax = 50): Event<'batchSealed'> | undefined {
    return only(this.apply({ kind: 'sealBatch', tradesMax, withdrawalsMax }), 'batchSealed');
  }

  settle(
    batchId: number,
    skips: { trade: number; reason: number }[] = [],
    withdrawals: WithdrawalOutcome[] = [],
    contentHash = digest(1e6 + batchId),
  ): readonly EngineEvent[] {
    return this.fact({ kind: 'batchSettled', batchId, contentHash, skips, withdrawals });
  }

  /** Cuts the batches from `batchId` on anew, naming the content of each. */
  reseal(batchId: number, tradesMax: number, withdrawalsMax = 50): readonly EngineEvent[] {
    const replaced = this.engine.batchesInFlight().filter((batch) => batch.batchId >= batchId);
    const contentHashes = replaced.map(contentOf);
    return this.apply({ kind: 'resealBatch', batchId, tradesMax, withdrawalsMax, contentHashes, reason: 'too large' });
  }

  sequenceNow(): number {
    return this.nowMs - DEPLOYED_MS;
  }

  balance(account: Address, asset: number): Balance {
    return this.engine.balance(account, asset);
  }

  /** `{ buy: [[price, size]…], sell: … }`, best first. */
  book(market = 0): { buy: [number, number][]; sell: [number, number][] } {
    const side = (which: Side): [number, number][] =>
      this.engine.levels(market, which).map(({ price, size }) => [price, size]);
    return { buy: side('buy'), sell: side('sell') };
  }
}

/** Stands for the hash of the packed content: no two batches have the same terms and the same hash here. */
export function contentOf({ batchId, orders, trades, withdrawals }: SealedBatch): Hash {
  const terms = JSON.stringify([batchId, orders, trades, withdrawals]);
  return `0x${createHash('sha256').update(terms).digest('hex')}`;
}

export function keyOf({ account, lane, orderSequence }: OrderKey): OrderKey {
  return { account, lane, orderSequence };
}

export function digest(number: number): Hash {
  return `0x${number.toString(16).padStart(64, '0')}`;
}

export function all<Kind extends EngineEvent['kind']>(events: readonly EngineEvent[], kind: Kind): Event<Kind>[] {
  return events.filter((event): event is Event<Kind> => event.kind === kind);
}

/** The first event of a kind; undefined when there is none. */
export function only<Kind extends EngineEvent['kind']>(
  events: readonly EngineEvent[],
  kind: Kind,
): Event<Kind> | undefined {
  return all(events, kind)[0];
}

export function rejection(events: readonly EngineEvent[]): string | undefined {
  return (
    only(events, 'orderRejected')?.reason ??
    only(events, 'withdrawalRejected')?.reason ??
    only(events, 'cancelRejected')?.reason
  );
}

/** `taker>maker size@price` for every trade, orders named by the last digits of their digests. */
export function tradesOf(events: readonly EngineEvent[]): string[] {
  return all(events, 'trade').map(
    ({ taker, maker, size, price }) => `${name(taker.digest)}>${name(maker.digest)} ${size}@${price}`,
  );
}

export function doneOf(events: readonly EngineEvent[]): string[] {
  return all(events, 'orderDone').map(({ digest: id, status, reason }) => `${name(id)} ${reason ?? status}`);
}

function name(id: Hash): number {
  return Number(BigInt(id));
}
