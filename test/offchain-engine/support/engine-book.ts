/** The engine behind the interface that it shares with the naive book; its accounts are rich. */

import type { EngineEvent } from '../../../src/domain/events.ts';
import type { NewOrder } from '../../../src/domain/orders.ts';
import type { Address, Lots } from '../../../src/domain/units.ts';
import { digest, doneOf, Exchange, keyOf, rejection, tradesOf } from './exchange.ts';
import type { BookLevels, BookOrder, BookOutcome, MatchingBook } from './naive-book.ts';

export class EngineBook implements MatchingBook {
  readonly exchange = new Exchange({ limits: { openOrdersPerAccountMax: 10_000 } });
  readonly #placed = new Map<number, NewOrder>();

  constructor(accounts: number) {
    for (let account = 0; account < accounts; account++) this.exchange.deposit(addressOf(account), 1e9, 1e14);
  }

  submit(order: BookOrder): BookOutcome {
    return outcomeOf(this.exchange.apply({ kind: 'placeOrder', order: this.#sign(order) }));
  }

  cancel(id: number): boolean {
    const order = this.#placed.get(id);
    return order !== undefined && rejection(this.exchange.cancel(order)) === undefined;
  }

  reduce(id: number, remaining: number): string | undefined {
    const order = this.#placed.get(id);
    if (order === undefined) return 'order_not_found';
    return rejection(this.exchange.apply({ kind: 'reduceOrder', order: keyOf(order), remaining: remaining as Lots }));
  }

  replace(replaced: number, order: BookOrder): BookOutcome {
    const old = this.#placed.get(replaced);
    const signed = this.#sign(order);
    return outcomeOf(
      this.exchange.apply({
        kind: 'replaceOrder',
        replaced: old === undefined ? keyOf(signed) : keyOf(old),
        order: signed,
      }),
    );
  }

  levels(): BookLevels {
    return this.exchange.book();
  }

  #sign({ id, account, ...terms }: BookOrder): NewOrder {
    const order = this.exchange.order({ ...terms, account: addressOf(account), lane: id % 65_536, digest: digest(id) });
    this.#placed.set(id, order);
    return order;
  }
}

export function addressOf(account: number): Address {
  return `0x${(account + 1).toString(16).padStart(40, '0')}`;
}

function outcomeOf(events: readonly EngineEvent[]): BookOutcome {
  return { rejected: rejection(events), trades: tradesOf(events), done: doneOf(events) };
}
