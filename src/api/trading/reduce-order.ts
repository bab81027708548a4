/** A size in words of the API, left of an order that the account names: what REST and WebSocket share. */
import { parseSize } from '../../domain/markets.ts';
import type { Address, Hash } from '../../domain/units.ts';
import type { ApiContext } from '../context.ts';
import { validationFailed } from '../problem.ts';
import type { OrderView } from '../schemas.ts';
import { orderView } from '../views.ts';

export type Reduction = {
  readonly account: Address;
  readonly digest: Hash;
  /** A decimal size in the base asset. */
  readonly remaining: string;
};

/** @throws ProblemError VALIDATION_FAILED (not in whole lots), NOT_FOUND, ORDER_REJECTED, OVERLOADED, STATUS_UNKNOWN */
export async function reduceOrder(
  { account, digest, remaining }: Reduction,
  { desk, catalogue }: Pick<ApiContext, 'desk' | 'catalogue'>,
): Promise<OrderView> {
  const order = await desk.find(account, digest);
  const listed = await catalogue.marketAt(order.market);
  const left = parseSize(remaining, listed.market, listed.base);
  if (left === undefined || left < 1) {
    const message = 'Expected a size in whole lots of the market, at least one. To have none left, cancel the order.';
    throw validationFailed([{ pointer: '/remaining', code: 'bad_size', message }]);
  }
  return orderView(await desk.reduce(account, digest, left), listed);
}
