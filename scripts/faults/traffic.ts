/** Steady seeded traffic: pairs of a maker and a taker that trade with each other whatever happens, and remember what was acknowledged. */
import { setTimeout as sleep } from 'node:timers/promises';
import { privateKeyToAccount } from 'viem/accounts';
import { connect, type TallystickClient } from '../../src/sdk/client.ts';
import { LOCAL_CHAIN_ID } from '../../src/services/local-node.ts';
import { seededRandom } from '../../test/support/random.ts';
import { createFundedWallet } from '../../test/support/running-exchange.ts';

const FUNDS = { WETH: '200', USDC: '500000' } as const;
const LOT = 0.01;
const SIZE_LOTS_MAX = 5;
/** More than makers can leave behind in rounds that failed halfway, so that their side of the book is empty after a round that did not. */
const TAKER_SIZE = '2';
const PRICE = '2500';
const [PAUSE_MIN_MS, PAUSE_SPREAD_MS] = [200, 600];

export type TrafficTrade = { readonly settled: () => Promise<unknown> };

export type Traffic = {
  /** Digests of the orders whose acceptance was acknowledged. */
  readonly acknowledged: readonly string[];
  /** Requests that failed for good. */
  readonly failures: () => number;
  /** Why the last of them did. */
  readonly lastFailure: () => unknown;
  /** The first trade both of whose orders are sent from now on. */
  readonly nextTrade: () => Promise<TrafficTrade>;
  readonly stop: () => Promise<void>;
};

export async function startTraffic(options: {
  readonly url: string;
  /** Of the node itself. */
  readonly rpcUrl: string;
  readonly pairs: number;
  readonly seed: number;
}): Promise<Traffic> {
  const clients: (readonly [TallystickClient, TallystickClient])[] = [];
  for (let pair = 0; pair < options.pairs; pair++) {
    clients.push([await enter(options), await enter(options)]);
  }
  for (const client of clients.flat()) await client.waitForBalance({ asset: 'USDC', available: FUNDS.USDC });
  // Something always rests, and could expire should time jump.
  await clients[0]?.[0].placeOrder({ market: 'WETH-USDC', side: 'buy', price: '200', size: '0.01' });

  const acknowledged: string[] = [];
  let failures = 0;
  let lastFailure: unknown;
  let stopping = false;
  let waiting: { readonly since: number; readonly resolve: (trade: TrafficTrade) => void }[] = [];

  const round = async (maker: TallystickClient, taker: TallystickClient, lots: number, sells: boolean) => {
    const startedAt = performance.now();
    const terms = { market: 'WETH-USDC', price: PRICE };
    const size = (lots * LOT).toFixed(2);
    const made = await maker.placeOrder({ ...terms, size, side: sells ? 'sell' : 'buy' });
    acknowledged.push(made.order.id);
    const side = sells ? 'buy' : 'sell';
    const taken = await taker.placeOrder({ ...terms, size: TAKER_SIZE, side, timeInForce: 'ioc' });
    acknowledged.push(taken.order.id);
    const [fill] = taken.fills;
    if (fill === undefined) return;
    for (const { resolve } of waiting.filter(({ since }) => since <= startedAt)) {
      resolve({ settled: () => fill.settled({ signal: AbortSignal.timeout(180_000) }) });
    }
    waiting = waiting.filter(({ since }) => since > startedAt);
  };

  const running = clients.map(async ([maker, taker], pair) => {
    const random = seededRandom(options.seed * 1_000 + pair);
    for (let sells = pair % 2 === 0; !stopping; sells = !sells) {
      try {
        await round(maker, taker, 1 + random(SIZE_LOTS_MAX), sells);
      } catch (error) {
        failures++;
        lastFailure = error;
      }
      await sleep(PAUSE_MIN_MS + random(PAUSE_SPREAD_MS));
    }
  });
  return {
    acknowledged,
    failures: () => failures,
    lastFailure: () => lastFailure,
    nextTrade: () => {
      const { promise, resolve } = Promise.withResolvers<TrafficTrade>();
      waiting.push({ since: performance.now(), resolve });
      return promise;
    },
    stop: async () => {
      stopping = true;
      await Promise.all(running);
    },
  };
}

async function enter(place: { readonly url: string; readonly rpcUrl: string }): Promise<TallystickClient> {
  const key = await createFundedWallet({ ...place, chainId: LOCAL_CHAIN_ID }, FUNDS);
  const client = await connect({ url: place.url, wallet: privateKeyToAccount(key), rpcUrl: place.rpcUrl });
  for (const [asset, amount] of Object.entries(FUNDS)) await client.deposit({ asset, amount });
  return client;
}
