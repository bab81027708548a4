import type { Command } from 'commander';
import type { Page } from '../../sdk/types.ts';
import { type ApiOptions, openApi, withApi } from '../options.ts';
import { type Terminal, table } from '../terminal.ts';

type Market = {
  readonly symbol: string;
  readonly state: string;
  readonly tickSize: string;
  readonly lotSize: string;
  readonly minNotional: string;
  readonly makerFeePpm: number;
  readonly takerFeePpm: number;
};
type Ticker = { readonly market: string; readonly lastPrice: string | null; readonly volume: string };

export function addMarkets(program: Command, terminal: Terminal): void {
  withApi(program.command('markets'))
    .description('list the markets with their rules, fees and last price')
    .action(async (options: ApiOptions) => {
      const api = openApi(options);
      const [markets, tickers] = await Promise.all([
        api.request<Page<Market>>('/api/v1/markets'),
        api.request<Page<Ticker>>('/api/v1/tickers'),
      ]);
      const tickerOf = new Map(tickers.data.map((ticker) => [ticker.market, ticker]));
      const rows = markets.data.map((market) => [
        market.symbol,
        market.state,
        tickerOf.get(market.symbol)?.lastPrice ?? '-',
        tickerOf.get(market.symbol)?.volume ?? '-',
        market.tickSize,
        market.lotSize,
        market.minNotional,
        percent(market.makerFeePpm),
        percent(market.takerFeePpm),
      ]);
      const headers = ['market', 'state', '>last', '>volume 24 h', '>tick', '>lot', '>least', '>maker', '>taker'];
      terminal.show({
        json: markets.data.map((market) => ({ ...market, ticker: tickerOf.get(market.symbol) ?? null })),
        text: table(headers, rows),
      });
    });
}

/** Parts per million as per cent, exact. */
function percent(ppm: number): string {
  return `${Math.floor(ppm / 10_000)}.${String(ppm % 10_000).padStart(4, '0')}`.replace(/\.?0+$/, '').concat(' %');
}
