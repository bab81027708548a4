/** GET /markets/:market/ticker */
import type { TimestampMs } from '../../domain/units.ts';
import { listTickers } from '../../storage/queries/market-statistics.ts';
import type { Route } from '../context.ts';
import { bestPrices } from '../market-data-views.ts';
import { TickerView } from '../market-schemas.ts';
import { notFound } from '../problem.ts';
import { MarketSymbol, object } from '../schemas.ts';
import { tickerView } from '../views.ts';

export const getTicker: Route = (app, { catalogue, pool, clock, dependencies }) => {
  app.get(
    '/markets/:market/ticker',
    {
      schema: {
        tags: ['market data'],
        summary: '24-hour figures of one market',
        params: object({ market: MarketSymbol }),
        response: { 200: TickerView },
      },
    },
    async (request) => {
      const listed = await catalogue.market(request.params.market);
      const tickers = await listTickers(pool, clock() as TimestampMs);
      const ticker = tickers.find((row) => row.market === listed.market.index);
      if (ticker === undefined) throw notFound(`There are no figures for ${listed.market.symbol} yet.`);
      return tickerView(ticker, bestPrices(dependencies.marketData, ticker.market), listed);
    },
  );
};
