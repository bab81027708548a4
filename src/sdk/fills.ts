/** Fills that can be waited for. */
import { TallystickError } from './errors.ts';
import { type HttpClient, pause } from './http.ts';
import type { Fill, Page } from './types.ts';

const SETTLEMENT_POLL_MS = 500;

export type TrackedFill = Fill & {
  /** Resolves when the fill is final on chain. @throws TallystickError FILL_VOIDED with the contract's reason. */
  settled(options?: { readonly signal?: AbortSignal }): Promise<Fill>;
};

/** `http` signs requests of the account. */
export function trackFill(fill: Fill, http: HttpClient): TrackedFill {
  return { ...fill, settled: (options) => settled(fill, http, options?.signal) };
}

async function settled(fill: Fill, http: HttpClient, signal: AbortSignal | undefined): Promise<Fill> {
  for (;;) {
    const page = await http.request<Page<Fill>>('/api/v1/fills', {
      query: { orderId: fill.orderId, limit: 200 },
      signal,
    });
    const now = page.data.find((entry) => entry.tradeId === fill.tradeId);
    if (now?.state === 'final') return now;
    if (now?.state === 'voided') {
      const message = `the vault skipped trade ${fill.tradeId}: ${now.voidReason ?? 'no reason'}`;
      throw new TallystickError('FILL_VOIDED', message, { details: { fill: now } });
    }
    await pause(SETTLEMENT_POLL_MS, signal);
  }
}
