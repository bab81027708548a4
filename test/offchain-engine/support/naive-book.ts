/** The oracle: matching written as plainly as possible over one array of orders, without money. */
import { BATCH_TRADES_MAX } from '../../../src/domain/batches.ts';
import type { SelfTradePrevention, Side, TimeInForce } from '../../../src/domain/orders.ts';

export type BookOrder = {
  id: number;
  account: number;
  side: Side;
  price: number;
  size: number;
  timeInForce: TimeInForce;
  postOnly: boolean;
  selfTradePrevention: SelfTradePrevention;
};

/** What one submission did, as text: comparable between implementations. */
export type BookOutcome = { rejected: string | undefined; trades: string[]; done: string[] };
export type BookLevels = { buy: [number, number][]; sell: [number, number][] };

/** What both books offer to the suite they share. */
export type MatchingBook = {
  submit(order: BookOrder): BookOutcome;
  /** @returns whether it was live. */
  cancel(id: number): boolean;
  /** Leaves the order with less, in its place. @returns why not, or undefined */
  reduce(id: number, remaining: number): string | undefined;
  replace(replaced: number, order: BookOrder): BookOutcome;
  levels(): BookLevels;
};

type Resting = BookOrder & { remaining: number };

export class NaiveBook implements MatchingBook {
  /** In time priority. */
  #orders: Resting[] = [];

  submit(order: BookOrder): BookOutcome {
    const rejected = this.#refuse(order, undefined);
    return rejected === undefined ? this.#run(order) : { rejected, trades: [], done: [] };
  }

  cancel(id: number): boolean {
    const before = this.#orders.length;
    this.#drop(id);
    return this.#orders.length < before;
  }

  reduce(id: number, remaining: number): string | undefined {
    const order = this.#orders.find((resting) => resting.id === id);
    if (order === undefined) return 'order_not_found';
    if (remaining < 1 || remaining >= order.remaining) return 'not_smaller';
    order.remaining = remaining;
    return undefined;
  }

  replace(replaced: number, order: BookOrder): BookOutcome {
    const old = this.#orders.find(({ id }) => id === replaced);
    if (old === undefined) return { rejected: 'order_not_found', trades: [], done: [] };
    const rejected = this.#refuse(order, replaced);
    if (rejected !== undefined) return { rejected, trades: [], done: [] };
    const rests = order.timeInForce === 'gtc' || order.timeInForce === 'gtd';
    if (rests && old.side === order.side && old.price === order.price && order.size <= old.remaining) {
      this.#orders[this.#orders.indexOf(old)] = { ...order, remaining: order.size };
      return { rejected: undefined, trades: [], done: [`${replaced} replaced`] };
    }
    this.#drop(replaced);
    const outcome = this.#run(order);
    return { ...outcome, done: [`${replaced} replaced`, ...outcome.done] };
  }

  levels(): BookLevels {
    const side = (which: Side): [number, number][] => {
      const sizes = new Map<number, number>();
      for (const order of this.#orders) {
        if (order.side === which) sizes.set(order.price, (sizes.get(order.price) ?? 0) + order.remaining);
      }
      return [...sizes].sort((a, b) => (which === 'buy' ? b[0] - a[0] : a[0] - b[0]));
    };
    return { buy: side('buy'), sell: side('sell') };
  }

  /** Only for books that are flawed on purpose. */
  protected toBack(id: number): void {
    this.#orders = [
      ...this.#orders.filter((order) => order.id !== id),
      ...this.#orders.filter((order) => order.id === id),
    ];
  }

  /** Orders the taker would meet, best price first, then oldest. */
  #facing(order: BookOrder, excluded: number | undefined): Resting[] {
    const buys = order.side === 'buy';
    return this.#orders
      .filter(
        ({ id, side, price }) =>
          id !== excluded && side !== order.side && (buys ? price <= order.price : price >= order.price),
      )
      .map((resting, index) => ({ resting, index }))
      .sort(
        (a, b) => (buys ? a.resting.price - b.resting.price : b.resting.price - a.resting.price) || a.index - b.index,
      )
      .map(({ resting }) => resting);
  }

  #refuse(order: BookOrder, excluded: number | undefined): string | undefined {
    const facing = this.#facing(order, excluded);
    if (order.postOnly && facing.length > 0) return 'post_only_would_cross';
    if (order.timeInForce !== 'fok') return undefined;
    const skipsOwn = order.selfTradePrevention === 'cancel_oldest';
    const firstOwn = skipsOwn ? -1 : facing.findIndex(({ account }) => account === order.account);
    const usable = (firstOwn < 0 ? facing : facing.slice(0, firstOwn)).filter(
      ({ account }) => account !== order.account,
    );
    const size = usable.slice(0, BATCH_TRADES_MAX).reduce((sum, { remaining }) => sum + remaining, 0);
    return size < order.size ? 'fill_or_kill_unfillable' : undefined;
  }

  #run(order: BookOrder): BookOutcome {
    const trades: string[] = [];
    const done: string[] = [];
    let left = order.size;
    let ended: string | undefined;
    while (left > 0 && ended === undefined) {
      const maker = this.#facing(order, undefined)[0];
      if (maker === undefined) break;
      if (maker.account === order.account) {
        const mode = order.selfTradePrevention;
        const shrink = mode === 'decrement' ? Math.min(left, maker.remaining) : 0;
        left -= shrink;
        maker.remaining -= shrink;
        if (mode === 'cancel_oldest' || mode === 'cancel_both' || maker.remaining === 0) {
          this.#drop(maker.id);
          done.push(`${maker.id} self_trade_prevention`);
        }
        if (mode === 'cancel_newest' || mode === 'cancel_both' || left === 0) ended = 'self_trade_prevention';
        continue;
      }
      if (trades.length === BATCH_TRADES_MAX) {
        ended = 'too_many_trades';
        break;
      }
      const size = Math.min(left, maker.remaining);
      left -= size;
      maker.remaining -= size;
      trades.push(`${order.id}>${maker.id} ${size}@${maker.price}`);
      if (maker.remaining === 0) {
        this.#drop(maker.id);
        done.push(`${maker.id} filled`);
      }
    }
    const rests = order.timeInForce === 'gtc' || order.timeInForce === 'gtd';
    if (ended === undefined && left > 0 && rests) this.#orders.push({ ...order, remaining: left });
    else done.push(`${order.id} ${ended ?? (left === 0 ? 'filled' : 'ioc_remainder')}`);
    return { rejected: undefined, trades, done };
  }

  #drop(id: number): void {
    this.#orders = this.#orders.filter((order) => order.id !== id);
  }
}
