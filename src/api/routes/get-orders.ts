/** GET /orders: the account's orders, newest first. */
import { Type } from 'typebox';
import type { OrderStatus as Status } from '../../domain/orders.ts';
import type { TimestampMs } from '../../domain/units.ts';
import { listOrders } from '../../storage/queries/orders.ts';
import type { Route } from '../context.ts';
import { integerQuery, pageRequest, toPage } from '../paging.ts';
import {
  CursorQuery,
  IntegerQuery,
  LimitQuery,
  MarketSymbol,
  OrderStatus,
  OrderView,
  object,
  page,
} from '../schemas.ts';
import { orderView } from '../views.ts';

export const getOrders: Route = (app, context) => {
  const { pool, catalogue, writes } = context;
  app.get(
    '/orders',
    {
      schema: {
        tags: ['account'],
        summary: "The account's orders, newest first",
        description: '`status=open` gives all live orders, partially filled ones included.',
        querystring: object({
          market: Type.Optional(MarketSymbol),
          status: Type.Optional(OrderStatus),
          from: Type.Optional(IntegerQuery),
          to: Type.Optional(IntegerQuery),
          limit: LimitQuery,
          cursor: CursorQuery,
        }),
        response: { 200: page(OrderView) },
      },
    },
    async (request) => {
      const { account } = await context.requireKey(request, 'read');
      const { query } = request;
      const listed = query.market === undefined ? undefined : await catalogue.market(query.market);
      await writes.settled(account);
      const orders = await listOrders(
        pool,
        {
          account,
          market: listed?.market.index,
          statuses: statusesOf(query.status),
          fromMs: integerQuery(query.from, 'from') as TimestampMs | undefined,
          toMs: integerQuery(query.to, 'to') as TimestampMs | undefined,
        },
        pageRequest(query),
      );
      return toPage(orders, async (order) => orderView(order, await catalogue.marketAt(order.market)));
    },
  );
};

function statusesOf(status: Status | undefined): readonly Status[] | undefined {
  if (status === undefined) return undefined;
  return status === 'open' ? ['open', 'partially_filled'] : [status];
}
