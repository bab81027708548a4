/**
 * Which lanes hold live orders of this client, so that it never runs into `lane_busy`.
 *
 * An order keeps its lane from before it is sent until its end is known. Ends that the client does not see (filled by others, expired)
 * are looked up before more lanes are taken. While the outcome of a placement is unknown the lane stays taken; the next look-up settles it.
 */
import { TallystickError } from './errors.ts';
import type { LaneAllocator } from './lanes.ts';
import type { Order } from './types.ts';

/** Look which orders have ended after so many more have come to rest. */
const RESTED_BEFORE_LOOKING = 16;

/** An order whose answer was lost can be committed this long after it was sent, at most. */
const DOUBT_MS = 10_000;

type Holder = {
  readonly orderId: string;
  /** Looks asked after this moment tell whether it lives; infinite while it is being sent. */
  readonly tellableFromMs: number;
};

export class OrderLanes {
  readonly #allocator: LaneAllocator;
  readonly #fetchLive: () => Promise<readonly Order[]>;
  readonly #holders = new Map<number, Holder>();
  #lookAtCount = RESTED_BEFORE_LOOKING;
  #looking: Promise<void> | undefined;

  /** @param fetchLive all orders of the account that are live now */
  constructor(allocator: LaneAllocator, fetchLive: () => Promise<readonly Order[]>) {
    this.#allocator = allocator;
    this.#fetchLive = fetchLive;
  }

  nextSequence(): number {
    return this.#allocator.nextSequence();
  }

  /** A free lane, now taken. @throws TallystickError INVALID_ARGUMENT when every lane holds a live order. */
  async take(): Promise<number> {
    if (this.#holders.size >= this.#lookAtCount) await this.lookUp();
    try {
      return this.#allocator.take();
    } catch (error) {
      if (!(error instanceof TallystickError)) throw error;
      await this.lookUp();
      return this.#allocator.take();
    }
  }

  /** The order is about to be sent on the lane, perhaps in the place of the one that holds it. */
  sending(lane: number, orderId: string): void {
    this.#hold(lane, orderId, Number.POSITIVE_INFINITY);
  }

  /** There was no answer to the order that was sent: it may live or not. */
  unanswered(lane: number): void {
    const holder = this.#holders.get(lane);
    if (holder !== undefined) this.#hold(lane, holder.orderId, performance.now() + DOUBT_MS);
  }

  /** What the API says of an order of this client. */
  update(order: Pick<Order, 'id' | 'lane' | 'status'>): void {
    const holder = this.#holders.get(order.lane);
    if (order.status === 'open' || order.status === 'partially_filled') {
      // An order that was replaced meanwhile does not get its lane back.
      if (holder === undefined || holder.orderId === order.id) this.#hold(order.lane, order.id, performance.now());
    } else if (holder === undefined || holder.orderId === order.id) this.release(order.lane);
  }

  /** The order that the lane was held for never came to be. `previous` is the one that it would have replaced. */
  giveBack(lane: number, previous: string | undefined): void {
    if (previous === undefined) this.release(lane);
    else this.#hold(lane, previous, performance.now());
  }

  /** Another client of the same account has a live order on the lane. What else it has is looked up before the next lane is taken. */
  foundBusy(lane: number, refusedId: string): void {
    this.#hold(lane, refusedId, performance.now());
    this.#lookAtCount = 0;
  }

  /** The lane is free. */
  release(lane: number): void {
    this.#holders.delete(lane);
    this.#allocator.release(lane);
  }

  /** Frees the lanes of orders that have ended, and keeps off those of live orders of other clients. Concurrent calls share one look. */
  lookUp(): Promise<void> {
    this.#looking ??= this.#compareWithLive().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #compareWithLive(): Promise<void> {
    const askedAtMs = performance.now();
    const orders = await this.#fetchLive();
    const live = new Set(orders.map((order) => order.id));
    for (const [lane, { orderId, tellableFromMs }] of this.#holders) {
      if (tellableFromMs < askedAtMs && !live.has(orderId)) this.release(lane);
    }
    for (const { id, lane } of orders) if (!this.#holders.has(lane)) this.#hold(lane, id, askedAtMs);
    this.#lookAtCount = this.#holders.size + RESTED_BEFORE_LOOKING;
  }

  #hold(lane: number, orderId: string, tellableFromMs: number): void {
    this.#allocator.occupy(lane);
    this.#holders.set(lane, { orderId, tellableFromMs });
  }
}
