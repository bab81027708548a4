/**
 * Demo makers and takers for the local chain: wallets that hold test tokens, sign every order, and trade through the public API like anyone.
 * Makers keep a ladder around a price that wanders; takers cross it now and then.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { encodeFunctionData, type HDAccount, parseAbi } from 'viem';
import { mnemonicToAccount } from 'viem/accounts';
import { formatPrice, formatSize } from '../domain/markets.ts';
import { lots, priceTicks } from '../domain/units.ts';
import { connect, type TallystickClient } from '../sdk/client.ts';
import { TallystickError } from '../sdk/errors.ts';
import type { MarketRules } from '../sdk/sign-order.ts';
import { createTransactionSender } from '../sdk/transactions.ts';
import type { Order } from '../sdk/types.ts';
import { LOCAL_MNEMONIC } from './local-node.ts';

export type DemoTradersOptions = {
  readonly url: string;
  readonly rpcUrl: string;
  /** Indices of the mnemonic's accounts. */
  readonly makers: readonly number[];
  readonly takers: readonly number[];
  readonly logger: Logger;
};

export type DemoTraders = { readonly stop: () => Promise<void> };

/** Whole tokens minted and deposited to each trader per asset, and again when a trader runs short. */
const FUNDING_WHOLE_TOKENS = 1_000n;
const FUNDING_QUOTE_TOKENS = 2_000_000n;
/** Quote tokens per base token around which prices wander. */
const MID_PRICES: Readonly<Record<string, number>> = { WETH: 2_500, WBTC: 60_000 };
const MID_PRICE_OF_OTHERS = 100;
const LEVELS = 8;
const MAKER_PAUSE_MS = 400;
const TAKER_PAUSE_MS = 1_100;

const MINT_ABI = parseAbi(['function mint(address to, uint256 amount)']);

export function startDemoTraders(options: DemoTradersOptions): DemoTraders {
  const abort = new AbortController();
  const market = createWanderingPrices();
  const run = async (index: number, trade: (trader: Trader) => Promise<void>, pauseMs: number): Promise<void> => {
    let trader: Trader | undefined;
    while (!abort.signal.aborted) {
      try {
        trader ??= await createTrader(options, index, market);
        await trade(trader);
      } catch (error) {
        if (abort.signal.aborted) return;
        options.logger.info({ err: error, trader: index }, 'a demo trader will try again');
        if (trader !== undefined && isShortOfFunds(error)) {
          await trader
            .fund()
            .catch((failure: unknown) => options.logger.info({ err: failure }, 'a demo trader could not be funded'));
        }
      }
      await sleep(pauseMs * (0.5 + Math.random()), undefined, { signal: abort.signal }).catch(() => undefined);
    }
  };
  const running = [
    ...options.makers.map((index) => run(index, quote, MAKER_PAUSE_MS)),
    ...options.takers.map((index) => run(index, take, TAKER_PAUSE_MS)),
  ];
  return {
    stop: async () => {
      abort.abort();
      await Promise.allSettled(running);
    },
  };
}

type Trader = {
  readonly client: TallystickClient;
  readonly prices: WanderingPrices;
  /** Live order by place in the ladder. */
  readonly ladder: Map<string, Order>;
  readonly fund: () => Promise<void>;
};

async function createTrader(options: DemoTradersOptions, index: number, prices: WanderingPrices): Promise<Trader> {
  const wallet = mnemonicToAccount(LOCAL_MNEMONIC, { addressIndex: index });
  const client = await connect({ url: options.url, wallet, rpcUrl: options.rpcUrl });
  // What an earlier run left in the book belongs to no ladder any more.
  await client.cancelAllOrders();
  const trader: Trader = { client, prices, ladder: new Map(), fund: () => fund(client, wallet, options.rpcUrl) };
  const balances = await client.getBalances();
  if (balances.every((balance) => Number(balance.onChain) === 0)) await trader.fund();
  return trader;
}

/** Mints test tokens and deposits them; resolves when they can be traded. */
async function fund(client: TallystickClient, wallet: HDAccount, rpcUrl: string): Promise<void> {
  const sender = createTransactionSender({ wallet, rpcUrl, chainId: client.chainId });
  const quoteSymbols = new Set((await client.rules.markets()).map(({ quote }) => quote.symbol));
  const assets = new Map(
    (await client.rules.markets()).flatMap(({ base, quote }) => [base, quote].map((asset) => [asset.symbol, asset])),
  );
  for (const asset of assets.values()) {
    const whole = quoteSymbols.has(asset.symbol) ? FUNDING_QUOTE_TOKENS : FUNDING_WHOLE_TOKENS;
    const amount = whole * 10n ** BigInt(asset.decimals);
    const data = encodeFunctionData({ abi: MINT_ABI, functionName: 'mint', args: [wallet.address, amount] });
    await sender.send({ to: asset.token, data });
    await client.deposit({ asset: asset.symbol, amount: whole.toString() });
  }
  for (const asset of assets.values()) await client.waitForBalance({ asset: asset.symbol, available: '1' });
}

/** Moves one place of the ladder to where the price is now. */
async function quote({ client, prices, ladder }: Trader): Promise<void> {
  const rules = await pickMarket(client);
  const side = Math.random() < 0.5 ? 'buy' : 'sell';
  const level = 1 + Math.floor(Math.random() * LEVELS);
  const place = `${rules.market.symbol} ${side} ${level}`;
  const live = ladder.get(place);
  if (live !== undefined) {
    ladder.delete(place);
    await client.cancelOrder(live.id).catch(ignoreEnded);
  }
  const mid = prices.next(rules);
  const away = level * Math.max(1, Math.round(mid / 5_000));
  const { order } = await client
    .placeOrder({
      market: rules.market.symbol,
      side,
      price: formatPrice(priceTicks(side === 'buy' ? mid - away : mid + away), rules.market, rules.base, rules.quote),
      size: randomSize(rules, 2_000),
      postOnly: true,
      expiresInSeconds: 3_600,
    })
    .catch(ignoreCrossing);
  if (order?.status === 'open') ladder.set(place, order);
}

async function take({ client, prices }: Trader): Promise<void> {
  const rules = await pickMarket(client);
  const side = Math.random() < 0.5 ? 'buy' : 'sell';
  const mid = prices.now(rules);
  const reach = Math.round(mid / 500);
  await client.placeOrder({
    market: rules.market.symbol,
    side,
    price: formatPrice(priceTicks(side === 'buy' ? mid + reach : mid - reach), rules.market, rules.base, rules.quote),
    size: randomSize(rules, 500),
    timeInForce: 'ioc',
    expiresInSeconds: 600,
  });
}

async function pickMarket(client: TallystickClient): Promise<MarketRules> {
  const markets = await client.rules.markets();
  const rules = markets[Math.floor(Math.random() * markets.length)];
  if (rules === undefined) throw new TallystickError('NOT_READY', 'no market is listed yet', { retryable: true });
  return rules;
}

type WanderingPrices = { now(rules: MarketRules): number; next(rules: MarketRules): number };

/** One wandering price per market, in ticks, shared by all traders. */
function createWanderingPrices(): WanderingPrices {
  const ticks = new Map<string, number>();
  const start = (rules: MarketRules): number => {
    const onePrice = Number(formatPrice(priceTicks(1), rules.market, rules.base, rules.quote));
    return Math.round((MID_PRICES[rules.base.symbol] ?? MID_PRICE_OF_OTHERS) / onePrice);
  };
  const now = (rules: MarketRules): number => ticks.get(rules.market.symbol) ?? start(rules);
  return {
    now,
    next(rules) {
      const centre = start(rules);
      const pull = (centre - now(rules)) * 0.01;
      const moved = Math.round(now(rules) + pull + (Math.random() - 0.5) * (centre / 1_000));
      ticks.set(rules.market.symbol, moved);
      return moved;
    },
  };
}

/** Between 1 % and 100 % of `thousandths` thousandths of a base token, on lot. */
function randomSize(rules: MarketRules, thousandths: number): string {
  const lotsPerToken = Math.max(1, Math.round(1 / Number(formatSize(lots(1), rules.market, rules.base))));
  const most = Math.max(1, Math.floor((lotsPerToken * thousandths) / 1_000));
  return formatSize(lots(1 + Math.floor(Math.random() * most)), rules.market, rules.base);
}

const reasonsOf = (error: unknown): string[] =>
  error instanceof TallystickError && Array.isArray(error.details['errors'])
    ? (error.details['errors'] as { code?: string }[]).map(({ code }) => code ?? '')
    : [];

const isShortOfFunds = (error: unknown): boolean => reasonsOf(error).includes('insufficient_balance');

/** A quote that would cross because the price moved is not placed. */
function ignoreCrossing(error: unknown): { order: undefined } {
  if (reasonsOf(error).includes('post_only_would_cross')) return { order: undefined };
  throw error;
}

/** The order was filled in the meantime. */
function ignoreEnded(error: unknown): undefined {
  if (error instanceof TallystickError && error.details['status'] === 422) return undefined;
  if (error instanceof TallystickError && (error.code === 'NOT_FOUND' || error.code === 'ORDER_REJECTED'))
    return undefined;
  throw error;
}
