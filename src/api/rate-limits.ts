/** Two budgets per address: reads, and whatever makes the engine or a signature check work. */
import type { ApiContext } from './context.ts';

type RouteOptions = {
  readonly config: {
    readonly rateLimit: { readonly max: number; readonly timeWindow: number; readonly groupId: string };
  };
};

/** For placements, cancels, withdrawals and keys: one budget over all of them. */
export function orderRateLimit({ limits }: Pick<ApiContext, 'limits'>): RouteOptions {
  return { config: { rateLimit: { max: limits.ordersMax, timeWindow: limits.windowMs, groupId: 'orders' } } };
}
