/**
 * One account's orders, fills and balances, live: loaded from the projections at one journal sequence, then moved on by the engine's
 * events. Serves the three private channels of every socket of the account.
 *
 * Invariants: events are applied in journal order, each once; those up to the loaded sequence are skipped. Orders are kept while
 * they live, fills while they are not final, so the memory of a feed is bounded by what is open.
 * Not told here: `submitted` and `included`, which come from the settlement service; REST and the batches channel show them.
 */
import type { AppliedCommand, EngineEvent } from '../../domain/events.ts';
import type { Address, Hash, JournalSequence, Lots, Quanta, TimestampMs } from '../../domain/units.ts';
import { notional } from '../../domain/units.ts';
import type { BalanceRow } from '../../storage/queries/balances.ts';
import type { OrderRow } from '../../storage/queries/orders.ts';
import type { FillRow } from '../../storage/queries/trades.ts';
import type { MarketCatalogue } from '../market-catalogue.ts';
import { balanceView, fillView, orderView } from '../views.ts';
import { Channel } from './channel.ts';

/** Fills shown in a snapshot, newest first. */
export const FILLS_SHOWN = 100;

export type PrivateChannelName = 'orders' | 'fills' | 'balances';

export type AccountState = {
  readonly sequence: JournalSequence;
  /** Live ones only. */
  readonly orders: readonly OrderRow[];
  /** The latest, newest first. */
  readonly fills: readonly FillRow[];
  readonly balances: readonly BalanceRow[];
};

type Trade = Extract<EngineEvent, { kind: 'trade' }>;
type Touched = {
  readonly orders: Map<Hash, OrderRow>;
  readonly fills: Map<string, FillRow>;
  readonly balances: Set<number>;
};

export class AccountFeed {
  readonly account: Address;
  readonly channels: Readonly<Record<PrivateChannelName, Channel>>;
  readonly #catalogue: MarketCatalogue;
  #orders = new Map<Hash, OrderRow>();
  /** By trade and order: an account cannot trade with itself, but a key by both never collides. */
  #fills = new Map<string, FillRow>();
  #balances = new Map<number, BalanceRow>();
  #seqs: Record<PrivateChannelName, number> = { orders: 0, fills: 0, balances: 0 };
  #sequence = 0;

  constructor(account: Address, catalogue: MarketCatalogue) {
    this.account = account;
    this.#catalogue = catalogue;
    const channel = (name: PrivateChannelName): Channel =>
      new Channel({ channel: name }, () => ({ seq: this.#seqs[name], body: this.#snapshotBody(name) }));
    this.channels = { orders: channel('orders'), fills: channel('fills'), balances: channel('balances') };
  }

  get sequence(): number {
    return this.#sequence;
  }

  get subscriberCount(): number {
    const { orders, fills, balances } = this.channels;
    return orders.subscriberCount + fills.subscriberCount + balances.subscriberCount;
  }

  load(state: AccountState): void {
    this.#sequence = state.sequence;
    this.#seqs = { orders: state.sequence, fills: state.sequence, balances: state.sequence };
    this.#orders = new Map(state.orders.map((order) => [order.digest, order]));
    this.#fills = new Map(state.fills.map((fill) => [keyOf(fill), fill]));
    this.#balances = new Map(state.balances.map((balance) => [balance.asset, balance]));
  }

  apply(frame: AppliedCommand): void {
    if (frame.sequence <= this.#sequence) return;
    this.#sequence = frame.sequence;
    const touched: Touched = { orders: new Map(), fills: new Map(), balances: new Set() };
    for (const event of frame.events) this.#applyEvent(event, frame, touched);
    this.#publish('orders', frame.sequence, { orders: this.#orderViews(touched.orders.values()) }, touched.orders.size);
    this.#publish('fills', frame.sequence, { fills: this.#fillViews(touched.fills.values()) }, touched.fills.size);
    this.#publish(
      'balances',
      frame.sequence,
      { balances: this.#balanceViews(touched.balances) },
      touched.balances.size,
    );
    for (const order of touched.orders.values()) if (!isLive(order)) this.#orders.delete(order.digest);
    this.#dropFinalFills();
  }

  #publish(name: PrivateChannelName, seq: number, body: object, count: number): void {
    if (count === 0) return;
    const prevSeq = this.#seqs[name];
    this.#seqs[name] = seq;
    this.channels[name].publish({ seq, prevSeq, body });
  }

  #applyEvent(event: EngineEvent, frame: AppliedCommand, touched: Touched): void {
    switch (event.kind) {
      case 'orderAccepted':
        if (event.order.account === this.account) this.#setOrder(newOrderRow(event, frame), touched);
        break;
      case 'orderReduced':
        this.#changeOrder(event.digest, frame, touched, () => ({ remainingLots: event.remaining }));
        break;
      case 'orderDone':
        this.#changeOrder(event.digest, frame, touched, () => ({
          status: event.status,
          reason: event.reason,
          filledLots: event.filled,
          remainingLots: 0 as Lots,
        }));
        break;
      case 'trade':
        if (event.taker.account === this.account) this.#trade(event, 'taker', frame, touched);
        if (event.maker.account === this.account) this.#trade(event, 'maker', frame, touched);
        break;
      case 'tradeVoided':
        this.#changeFills(event.tradeId, touched, { state: 'voided', voidReason: event.reason });
        break;
      case 'batchSealed':
        for (const [batchIndex, { tradeId }] of event.batch.trades.entries()) {
          this.#changeFills(tradeId, touched, { state: 'batched', batchId: event.batch.batchId, batchIndex });
        }
        break;
      case 'batchFinal':
        for (const tradeId of event.settledTrades) this.#changeFills(tradeId, touched, { state: 'final' });
        for (const { tradeId, reason } of event.voidedTrades) {
          this.#changeFills(tradeId, touched, { state: 'voided', voidReason: reason });
        }
        break;
      case 'balanceChanged':
        if (event.account !== this.account) break;
        this.#balances.set(event.asset, {
          ...event,
          // Known from the chain, not from the engine: a credited deposit leaves it, the next load corrects it.
          pendingDeposit: 0 as Quanta,
        });
        touched.balances.add(event.asset);
        break;
      default:
    }
  }

  #trade(event: Trade, role: 'taker' | 'maker', frame: AppliedCommand, touched: Touched): void {
    const market = this.#catalogue.peekMarket(event.market)?.market;
    if (market === undefined) return;
    const { digest, fee } = event[role];
    const quote = notional(event.price, event.size, market);
    const makerSide = event.takerSide === 'buy' ? 'sell' : 'buy';
    const fill: FillRow = {
      tradeId: event.tradeId,
      market: event.market,
      account: this.account,
      digest,
      side: role === 'taker' ? event.takerSide : makerSide,
      role,
      priceTicks: event.price,
      sizeLots: event.size,
      notional: quote,
      fee,
      journalSequence: frame.sequence,
      createdAtMs: frame.timestampMs,
      state: 'matched',
      voidReason: undefined,
      batchId: undefined,
      batchIndex: undefined,
      txHash: undefined,
      blockNumber: undefined,
      blockHash: undefined,
    };
    this.#fills.set(keyOf(fill), fill);
    touched.fills.set(keyOf(fill), fill);
    this.#changeOrder(digest, frame, touched, (order) => ({
      status: 'partially_filled',
      filledLots: (order.filledLots + event.size) as Lots,
      remainingLots: (order.remainingLots - event.size) as Lots,
      filledNotional: (order.filledNotional + quote) as Quanta,
      feesPaid: (order.feesPaid + fee) as Quanta,
    }));
  }

  #changeOrder(
    digest: Hash,
    frame: AppliedCommand,
    touched: Touched,
    change: (order: OrderRow) => Partial<OrderRow>,
  ): void {
    const order = this.#orders.get(digest);
    if (order === undefined) return;
    this.#setOrder({ ...order, ...change(order), updatedAtMs: frame.timestampMs }, touched);
  }

  #setOrder(order: OrderRow, touched: Touched): void {
    this.#orders.set(order.digest, order);
    touched.orders.set(order.digest, order);
  }

  #changeFills(tradeId: number, touched: Touched, change: Partial<FillRow>): void {
    // A handful of open fills at most match; an account has one side of a trade.
    for (const key of [`${tradeId}:taker`, `${tradeId}:maker`]) {
      const fill = this.#fills.get(key);
      if (fill === undefined) continue;
      const changed = { ...fill, ...change };
      this.#fills.set(key, changed);
      touched.fills.set(key, changed);
    }
  }

  /** Keeps what a snapshot shows, and all that are not final. */
  #dropFinalFills(): void {
    if (this.#fills.size <= 2 * FILLS_SHOWN) return;
    let surplus = this.#fills.size - FILLS_SHOWN;
    for (const [key, fill] of this.#fills) {
      if (surplus-- <= 0) break;
      if (fill.state === 'final' || fill.state === 'voided') this.#fills.delete(key);
    }
  }

  #snapshotBody(name: PrivateChannelName): object {
    switch (name) {
      case 'orders':
        return { orders: this.#orderViews(this.#orders.values()) };
      case 'fills': {
        const newestFirst = [...this.#fills.values()].sort((a, b) => b.tradeId - a.tradeId).slice(0, FILLS_SHOWN);
        return { fills: this.#fillViews(newestFirst) };
      }
      case 'balances':
        return { balances: this.#balanceViews(this.#balances.keys()) };
    }
  }

  #orderViews(orders: Iterable<OrderRow>): object[] {
    return [...orders].flatMap((order) => {
      const listed = this.#catalogue.peekMarket(order.market);
      return listed === undefined ? [] : [orderView(order, listed)];
    });
  }

  #fillViews(fills: Iterable<FillRow>): object[] {
    return [...fills].flatMap((fill) => {
      const listed = this.#catalogue.peekMarket(fill.market);
      return listed === undefined ? [] : [fillView(fill, listed)];
    });
  }

  #balanceViews(assets: Iterable<number>): object[] {
    return [...assets].flatMap((index) => {
      const asset = this.#catalogue.peekAsset(index);
      const balance = this.#balances.get(index);
      return asset === undefined || balance === undefined ? [] : [balanceView(balance, asset)];
    });
  }
}

function keyOf(fill: Pick<FillRow, 'tradeId' | 'role'>): string {
  return `${fill.tradeId}:${fill.role}`;
}

function isLive(order: OrderRow): boolean {
  return order.status === 'open' || order.status === 'partially_filled';
}

function newOrderRow(
  { order }: Extract<EngineEvent, { kind: 'orderAccepted' }>,
  frame: { readonly sequence: JournalSequence; readonly timestampMs: TimestampMs },
): OrderRow {
  return {
    ...order,
    status: 'open',
    reason: undefined,
    filledLots: 0 as Lots,
    remainingLots: order.sizeLots,
    filledNotional: 0 as Quanta,
    feesPaid: 0 as Quanta,
    journalSequence: frame.sequence,
    createdAtMs: frame.timestampMs,
    updatedAtMs: frame.timestampMs,
  };
}
