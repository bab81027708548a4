/**
 * Two budgets per address: reads, and whatever makes the engine or a signature check work, where every order counts, alone or in a batch,
 * over HTTP or the WebSocket.
 *
 * Windows are cut at multiples of their length, so that gateways agree on them. Each gateway counts for itself and, given shared
 * counters (Redis), tells them a few times a second what it counted and learns what all counted together: no request waits for
 * Redis, and an address that spreads over gateways gets at most what it can send between two exchanges on top. Without Redis
 * every gateway holds the limit by its own count, and says so.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { SharedCounters } from '../messaging/port.ts';
import type { ApiLimits } from './context.ts';
import { ProblemError } from './problem.ts';

export type Budget = 'requests' | 'orders';

/** For placements, cancels, withdrawals and keys. */
export const ORDER_BUDGET = { config: { budget: 'orders' } } as const;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Which budget a request of this route is taken from; `requests` when absent. */
    readonly budget?: Budget;
  }
}

export type Taken = {
  readonly allowed: boolean;
  readonly limit: number;
  readonly remaining: number;
  /** Until the window ends. */
  readonly resetMs: number;
};

export type RateLimitOptions = {
  readonly limits: Pick<ApiLimits, 'requestsMax' | 'ordersMax' | 'windowMs'>;
  readonly clock: () => number;
  readonly shared?: SharedCounters | undefined;
  /** Told when the shared counters are lost, and not again until they were back. */
  readonly onSharingLost: (cause: unknown) => void;
};

const SHARE_EVERY_MS = 100;
/** Addresses told in one exchange; the others follow with the next. */
const SHARED_AT_ONCE_MAX = 2_000;
/** Beyond it a window's counts are dropped: whoever has so many addresses is not held by a limit per address. */
const ADDRESSES_MAX = 50_000;

/** `used` in this window as far as we know; `untold` is the part that the others have not heard of. */
type Count = { used: number; untold: number };

export class RateLimits {
  readonly #options: RateLimitOptions;
  readonly #counts: { readonly [Name in Budget]: Map<string, Count> } = { requests: new Map(), orders: new Map() };
  #window = 0;
  #isShared: boolean;
  #sharing: Promise<void> | undefined;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(options: RateLimitOptions) {
    this.#options = options;
    this.#isShared = options.shared !== undefined;
    if (options.shared !== undefined) this.#timer = setInterval(() => this.#share(), SHARE_EVERY_MS).unref();
  }

  /** Whether other gateways' counts are known: false without shared counters, and while they are away. */
  get isShared(): boolean {
    return this.#isShared;
  }

  /** Counts `cost` requests or orders of an address; what is refused counts too. */
  take(budget: Budget, address: string, cost = 1): Taken {
    const { windowMs, ordersMax, requestsMax } = this.#options.limits;
    const nowMs = this.#options.clock();
    const window = Math.floor(nowMs / windowMs);
    if (window !== this.#window) {
      this.#window = window;
      for (const counts of Object.values(this.#counts)) counts.clear();
    }
    const counts = this.#counts[budget];
    let count = counts.get(address);
    if (count === undefined) {
      if (counts.size >= ADDRESSES_MAX) counts.clear();
      count = { used: 0, untold: 0 };
      counts.set(address, count);
    }
    count.used += cost;
    count.untold += cost;
    const limit = budget === 'orders' ? ordersMax : requestsMax;
    return {
      allowed: count.used <= limit,
      limit,
      remaining: Math.max(0, limit - count.used),
      resetMs: (window + 1) * windowMs - nowMs,
    };
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#sharing;
  }

  #share(): void {
    this.#sharing ??= this.#exchange()
      .then(() => {
        this.#isShared = true;
      })
      .catch((cause: unknown) => {
        if (this.#isShared) this.#options.onSharingLost(cause);
        this.#isShared = false;
      })
      .finally(() => {
        this.#sharing = undefined;
      });
  }

  async #exchange(): Promise<void> {
    const { shared, limits } = this.#options;
    const window = this.#window;
    for (const [budget, counts] of Object.entries(this.#counts)) {
      // Cut while the first was told: what is counted now belongs to the next window.
      if (window !== this.#window) return;
      const told = [...counts].filter(([, { untold }]) => untold > 0).slice(0, SHARED_AT_ONCE_MAX);
      if (told.length === 0) continue;
      const added = told.map(([address, { untold }]) => ({ field: address, by: untold }));
      const totals = (await shared?.add(`rate:${budget}:${window}`, added, 2 * limits.windowMs)) ?? [];
      // Only now is it told: after a failure the same is told again with the next exchange.
      for (const [index, [, count]] of told.entries()) {
        count.untold -= added[index]?.by ?? 0;
        count.used = Math.max(count.used, (totals[index] ?? 0) + count.untold);
      }
    }
  }
}

/** Takes from the request's budget and says in headers what is left. @throws ProblemError RATE_LIMITED */
export function limitRate(limits: RateLimits, request: FastifyRequest, reply: FastifyReply, cost = 1): void {
  const taken = limits.take(request.routeOptions.config.budget ?? 'requests', request.ip, cost);
  void reply.headers({
    'ratelimit-limit': taken.limit,
    'ratelimit-remaining': taken.remaining,
    'ratelimit-reset': Math.ceil(taken.resetMs / 1_000),
  });
  if (!taken.allowed) throw rateLimited(taken, 'Too many requests; wait for Retry-After.');
}

export function rateLimited({ limit, resetMs }: Taken, message: string): ProblemError {
  return new ProblemError('RATE_LIMITED', message, { retryAfterMs: resetMs, extensions: { limit } });
}
