/** What the demo's users will do, decided before anything runs: a pure function of the seed. */
import type { Side, TimeInForce } from '../../src/domain/orders.ts';
import type { Random } from './random.ts';

export type Fault = 'wrong_signer' | 'off_tick' | 'unfunded' | 'expired';

export type Step =
  | {
      readonly kind: 'order';
      readonly account: number;
      readonly side: Side;
      readonly priceTicks: number;
      readonly sizeLots: number;
      readonly timeInForce: TimeInForce;
      readonly postOnly: boolean;
    }
  /** Placed on purpose so that it must be refused. */
  | {
      readonly kind: 'invalid';
      readonly account: number;
      readonly fault: Fault;
      readonly side: Side;
      readonly priceTicks: number;
    }
  /** Cancels one of the account's live orders, the `nth` modulo how many there are; none when there is none. */
  | { readonly kind: 'cancel'; readonly account: number; readonly nth: number };

const FAULTS: readonly Fault[] = ['wrong_signer', 'off_tick', 'unfunded', 'expired'];
const SIZE_LOTS_MAX = 400;
const CANCEL_PERCENT = 12;
const INVALID_EVERY = 97;

/**
 * `orders` steps that place an order, the invalid ones included, with cancels between them.
 * Prices walk around `midTicks`; about half of the orders reach across it.
 */
export function planSteps(random: Random, options: { accounts: number; orders: number; midTicks: number }): Step[] {
  const steps: Step[] = [];
  let mid = options.midTicks;
  let faults = 0;
  for (let placed = 0; placed < options.orders; placed++) {
    if (random.chance(20)) mid += random.chance(50) ? 1 : -1;
    const account = random.below(options.accounts);
    const side: Side = random.chance(50) ? 'buy' : 'sell';
    if (placed % INVALID_EVERY === INVALID_EVERY - 1) {
      steps.push({
        kind: 'invalid',
        account,
        fault: FAULTS[faults % FAULTS.length] ?? 'expired',
        side,
        priceTicks: mid,
      });
      faults += 1;
      continue;
    }
    steps.push(planOrder(random, account, side, mid));
    if (random.chance(CANCEL_PERCENT)) {
      steps.push({ kind: 'cancel', account: random.below(options.accounts), nth: random.below(64) });
    }
  }
  return steps;
}

function planOrder(random: Random, account: number, side: Side, mid: number): Step {
  const style = random.below(100);
  const away = 1 + random.below(12);
  const passive = side === 'buy' ? mid - away : mid + away;
  const aggressive = side === 'buy' ? mid + random.below(8) : mid - random.below(8);
  const sizeLots = 1 + random.below(SIZE_LOTS_MAX);
  const order = { kind: 'order', account, side, sizeLots, postOnly: false } as const;
  if (style < 38) return { ...order, timeInForce: 'gtc', priceTicks: passive };
  if (style < 66) return { ...order, timeInForce: 'gtc', priceTicks: aggressive };
  if (style < 80) return { ...order, timeInForce: 'ioc', priceTicks: aggressive };
  if (style < 92) return { ...order, timeInForce: 'gtc', postOnly: true, priceTicks: passive };
  if (style < 96) return { ...order, timeInForce: 'fok', priceTicks: aggressive, sizeLots: 1 + random.below(80) };
  return { ...order, timeInForce: 'gtd', priceTicks: passive };
}

/** Moments of the run, as indices of steps, at which the services are killed: spread over the run, none at its very start or end. */
export function planKills(random: Random, steps: number, kills: number): ReadonlySet<number> {
  const moments = new Set<number>();
  for (let kill = 0; kill < kills; kill++) {
    const from = Math.floor((steps * (kill + 0.2)) / kills);
    moments.add(from + random.below(Math.max(1, Math.floor((steps * 0.6) / kills))));
  }
  return moments;
}
