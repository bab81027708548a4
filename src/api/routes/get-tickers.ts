/** GET /tickers: last price, best prices and the last 24 hours of every market. */
import type { TimestampMs } from '../../domain/units.ts';
import { listTickers } from '../../storage/queries/market-statistics.ts';
import type { Route } from '../context.ts';
import { bestPrices } from '../market-data-views.ts';
import { TickerView } from '../market-schemas.ts';
import { whole } from '../paging.ts';
import { page } from '../schemas.ts';
import { tickerView } from '../views.ts';

export const getTickers: Route = (app, { catalogue, pool, clock, dependencies }) => {
  app.get(
    '/tickers',
    {
      schema: { tags: ['market data'], summary: '24-hour figures of all markets', response: { 200: page(TickerView) } },
    },
    async () => {
      const [tickers, markets] = await Promise.all([listTickers(pool, clock() as TimestampMs), catalogue.markets()]);
      const byIndex = new Map(markets.map((listed) => [listed.market.index, listed]));
      return whole(
        tickers.flatMap((ticker) => {
          const listed = byIndex.get(ticker.market);
          return listed === undefined
            ? []
            : [tickerView(ticker, bestPrices(dependencies.marketData, ticker.market), listed)];
        }),
      );
    },
  );
};
