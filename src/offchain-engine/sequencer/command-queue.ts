/**
 * What waits for the journal. Bounded per class, so that no source can crowd out another, and taken in this order: the operator's
 * words, cancels, facts from the chain, everything else. Whoever wants to leave a market gets through when it is busiest.
 *
 * A cancel does not overtake the order it names while that one is still waiting here: it would find nothing to cancel, and the
 * order would then rest. It queues behind it instead. So does the end of a connection that promised to cancel its account's orders.
 */
import type { Command } from '../../domain/commands.ts';
import type { OrderKey } from '../../domain/orders.ts';
import type { SequencerReply } from './ports.ts';

export type QueuedCommand = {
  readonly command: Command;
  /** The command as it will stand in the journal, without sequence and time. */
  readonly encoded: Uint8Array;
  /** Not journaled after this moment; undefined for commands that never grow stale. */
  readonly notAfterMs: number | undefined;
  readonly settle: (reply: SequencerReply) => void;
};

export type QueueClass = 'operator' | 'cancel' | 'chain' | 'order';
export type QueueBounds = { readonly [Class in QueueClass]: number };

export const QUEUE_BOUNDS: QueueBounds = { operator: 100, cancel: 20_000, chain: 2_000, order: 20_000 };

/** `order` is the name of the order that the command brings. */
type Waiting = { readonly queued: QueuedCommand; readonly order: string | undefined };

export class CommandQueue {
  readonly #bounds: QueueBounds;
  readonly #waiting: { readonly [Class in QueueClass]: Waiting[] } = {
    operator: [],
    cancel: [],
    chain: [],
    order: [],
  };
  /** Orders waiting, by their key and by their account. */
  readonly #waitingOrders = new Map<string, number>();

  constructor(bounds: QueueBounds = QUEUE_BOUNDS) {
    this.#bounds = bounds;
  }

  get length(): number {
    const { operator, cancel, chain, order } = this.#waiting;
    return operator.length + cancel.length + chain.length + order.length;
  }

  /** False when the command's class is full. */
  offer(queued: QueuedCommand): boolean {
    const queueClass = this.#classOf(queued.command);
    const waiting = this.#waiting[queueClass];
    // A cancel that waits behind its order is still let in where orders no longer are.
    const extra = queueClass === 'order' && isCancel(queued.command) ? this.#bounds.cancel : 0;
    if (waiting.length >= this.#bounds[queueClass] + extra) return false;
    const order = bringsOrder(queued.command) ? orderName(queued.command.order) : undefined;
    waiting.push({ queued, order });
    this.#count(queued.command, order, 1);
    return true;
  }

  /** The next commands, at most `count`, in the order in which they belong into the journal. */
  take(count: number): QueuedCommand[] {
    const taken = this.#waiting.operator.splice(0, count);
    const half = Math.ceil(count / 2);
    const quarter = Math.ceil(count / 4);
    const share = (queueClass: QueueClass, most: number): void => {
      taken.push(...this.#waiting[queueClass].splice(0, Math.min(most, count - taken.length)));
    };
    share('cancel', half);
    share('chain', quarter);
    share('order', count);
    share('chain', count);
    share('cancel', count);
    for (const { queued, order } of taken) this.#count(queued.command, order, -1);
    return taken.map(({ queued }) => queued);
  }

  #classOf(command: Command): QueueClass {
    switch (command.kind) {
      case 'cancelOrder':
      case 'reduceOrder':
        return this.#waitingOrders.has(orderName(command.order)) ? 'order' : 'cancel';
      case 'cancelAllOrders':
      case 'disarmDisconnect':
        return this.#waitingOrders.has(command.account) ? 'order' : 'cancel';
      case 'cancelAfter':
      case 'armDisconnect':
      case 'renewGateway':
        return 'cancel';
      case 'placeOrder':
      case 'replaceOrder':
      case 'requestWithdrawal':
        return 'order';
      default:
        return 'eventSequence' in command ? 'chain' : 'operator';
    }
  }

  #count(command: Command, order: string | undefined, by: 1 | -1): void {
    if (order === undefined || !bringsOrder(command)) return;
    this.#countName(order, by);
    this.#countName(command.order.account, by);
  }

  #countName(name: string, by: 1 | -1): void {
    const count = (this.#waitingOrders.get(name) ?? 0) + by;
    if (count === 0) this.#waitingOrders.delete(name);
    else this.#waitingOrders.set(name, count);
  }
}

function bringsOrder(command: Command): command is Extract<Command, { kind: 'placeOrder' | 'replaceOrder' }> {
  return command.kind === 'placeOrder' || command.kind === 'replaceOrder';
}

function isCancel({ kind }: Command): boolean {
  return kind === 'cancelOrder' || kind === 'reduceOrder' || kind === 'cancelAllOrders' || kind === 'disarmDisconnect';
}

function orderName(order: OrderKey): string {
  return `${order.account}:${order.lane}:${order.orderSequence}`;
}
