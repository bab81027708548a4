/** Carries out the plan over HTTP, one step after the other, each awaited, so that one seed gives one sequence of trades. */
import { setTimeout as sleep } from 'node:timers/promises';
import { formatPrice, formatSize } from '../../src/domain/markets.ts';
import { ORDER_TYPES } from '../../src/domain/typed-data.ts';
import { lots, priceTicks } from '../../src/domain/units.ts';
import type { PlacedOrder, SignedOrder, TallystickClient } from '../../src/sdk/client.ts';
import { TallystickError } from '../../src/sdk/errors.ts';
import type { MarketRules } from '../../src/sdk/sign-order.ts';
import type { NewOrderInput } from '../../src/sdk/types.ts';
import type { Fault, Step } from './plan.ts';
import { MARKET, type User } from './users.ts';

export type Acknowledged = { readonly id: string; readonly journalSequence: number; readonly filled: string };

export type Traded = {
  /** Orders that the exchange acknowledged. */
  readonly acknowledged: readonly Acknowledged[];
  /** Refusals by reason. */
  readonly refused: ReadonlyMap<string, number>;
  readonly cancels: number;
  /** What should have been refused and was not, or for another reason. */
  readonly wrongAnswers: readonly string[];
};

const GIVE_UP_AFTER_MS = 90_000;
const EXPECTED_REFUSAL: Readonly<Record<Fault, readonly string[]>> = {
  wrong_signer: ['INVALID_SIGNATURE'],
  off_tick: ['off_tick'],
  unfunded: ['insufficient_balance'],
  expired: ['expired'],
};

export async function trade(options: {
  users: readonly User[];
  steps: readonly Step[];
  /** Called before each step. */
  onStep: (index: number) => Promise<void>;
}): Promise<Traded> {
  const { users } = options;
  const acknowledged: Acknowledged[] = [];
  const refused = new Map<string, number>();
  const wrongAnswers: string[] = [];
  const live: string[][] = users.map(() => []);
  let cancels = 0;
  const first = users[0];
  if (first === undefined) throw new RangeError('the demo needs at least two accounts');
  const rules = await first.client.rules.market(MARKET);

  for (const [index, step] of options.steps.entries()) {
    await options.onStep(index);
    const user = users[step.account];
    const orders = live[step.account];
    if (user === undefined || orders === undefined) throw new RangeError(`no account ${step.account}`);
    switch (step.kind) {
      case 'order': {
        const outcome = await place(user.client, inputOf(step, rules));
        if ('reason' in outcome) refused.set(outcome.reason, (refused.get(outcome.reason) ?? 0) + 1);
        else {
          const { id, journalSequence, filled, status } = outcome.order;
          acknowledged.push({ id, journalSequence, filled });
          if (status === 'open' || status === 'partially_filled') orders.push(id);
        }
        break;
      }
      case 'invalid': {
        const reasons = await placeInvalid(step.fault, users, step, rules);
        for (const reason of reasons.slice(-1)) refused.set(reason, (refused.get(reason) ?? 0) + 1);
        if (!EXPECTED_REFUSAL[step.fault].some((expected) => reasons.includes(expected))) {
          wrongAnswers.push(
            `an order made invalid (${step.fault}) was answered ${reasons.join(' ') || 'with acceptance'}`,
          );
        }
        break;
      }
      case 'cancel': {
        const [id] = orders.splice(step.nth % Math.max(1, orders.length), 1);
        if (id === undefined) break;
        await untilAnswered(() => user.client.cancelOrder(id).catch(ignoreEnded));
        cancels += 1;
        break;
      }
      default: {
        const never: never = step;
        throw new RangeError(`unknown step ${JSON.stringify(never)}`);
      }
    }
  }
  return { acknowledged, refused, cancels, wrongAnswers };
}

function inputOf(step: Extract<Step, { kind: 'order' }>, { market, base, quote }: MarketRules): NewOrderInput {
  return {
    market: MARKET,
    side: step.side,
    price: formatPrice(priceTicks(step.priceTicks), market, base, quote),
    size: formatSize(lots(step.sizeLots), market, base),
    timeInForce: step.timeInForce,
    postOnly: step.postOnly,
    selfTradePrevention: 'cancel_oldest',
  };
}

async function place(client: TallystickClient, input: NewOrderInput): Promise<PlacedOrder | { reason: string }> {
  const signed = await untilAnswered(() => client.sign(input));
  return submit(client, signed);
}

/** Sends the same signed bytes until there is an answer: the services may be killed in between. */
async function submit(client: TallystickClient, signed: SignedOrder): Promise<PlacedOrder | { reason: string }> {
  try {
    return await untilAnswered(() => client.submit(signed));
  } catch (error) {
    return { reason: reasonsOf(error).at(-1) ?? 'unknown' };
  }
}

async function placeInvalid(
  fault: Fault,
  users: readonly User[],
  step: Extract<Step, { kind: 'invalid' }>,
  rules: MarketRules,
): Promise<string[]> {
  const user = users[step.account];
  const other = users[(step.account + 1) % users.length];
  if (user === undefined || other === undefined) throw new RangeError(`no account ${step.account}`);
  const { market, base, quote } = rules;
  const input: NewOrderInput = {
    market: MARKET,
    side: step.side,
    price: formatPrice(priceTicks(step.priceTicks), market, base, quote),
    size: formatSize(fault === 'unfunded' ? market.maxSizeLots : lots(10), market, base),
    ...(fault === 'expired' ? { expiresInSeconds: -60 } : {}),
  };
  const signed = await untilAnswered(() => user.client.sign(input));
  let sent = signed;
  if (fault === 'wrong_signer') {
    sent = { ...signed, signature: await other.wallet.signTypedData(typedDataOf(signed, user.client)) };
  } else if (fault === 'off_tick') {
    const order = { ...signed.order, quoteAmount: (BigInt(signed.order.quoteAmount) + 1n).toString() };
    sent = {
      ...signed,
      order,
      signature: await user.wallet.signTypedData(typedDataOf({ ...signed, order }, user.client)),
    };
  }
  try {
    await untilAnswered(() => user.client.submit(sent));
    return [];
  } catch (error) {
    return reasonsOf(error);
  }
}

/** The typed data of an order as its JSON states it, whatever that is. */
function typedDataOf({ order }: SignedOrder, client: TallystickClient) {
  const message = {
    ...order,
    baseAmount: BigInt(order.baseAmount),
    quoteAmount: BigInt(order.quoteAmount),
    nonce: BigInt(order.nonce),
    expiry: BigInt(order.expiry),
  };
  return { domain: client.domain, types: ORDER_TYPES, primaryType: 'Order', message } as never;
}

/** The API's code, then its reasons, most particular last. */
function reasonsOf(error: unknown): string[] {
  if (!(error instanceof TallystickError)) throw error;
  const errors = Array.isArray(error.details['errors']) ? (error.details['errors'] as { code?: string }[]) : [];
  return [error.code, ...errors.map(({ code }) => code ?? '')];
}

/** Repeats while the outcome is unknown or nobody answers. @throws what is certain */
export async function untilAnswered<T>(attempt: () => Promise<T>): Promise<T> {
  const deadlineMs = performance.now() + GIVE_UP_AFTER_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const mayHelp = error instanceof TallystickError && error.retryable;
      if (!mayHelp || performance.now() > deadlineMs) throw error;
      await sleep(100);
    }
  }
}

function ignoreEnded(error: unknown): undefined {
  if (error instanceof TallystickError && ['ORDER_REJECTED', 'NOT_FOUND'].includes(error.code)) return undefined;
  throw error;
}
