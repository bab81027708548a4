import { type Command, Option } from 'commander';
import type { Order } from '../../sdk/types.ts';
import { type ApiOptions, type KeyOptions, marketName, openClient, wholeNumber, withApi, withKey } from '../options.ts';
import { type Terminal, table, timeText } from '../terminal.ts';

type OrdersOptions = ApiOptions & KeyOptions & { status?: string; market?: string; limit: number };

export function addOrders(program: Command, terminal: Terminal): void {
  withKey(withApi(program.command('orders')))
    .description("list the wallet's orders, newest first")
    .addOption(
      new Option('--status <status>', 'only these; open includes partially filled ones').choices([
        'open',
        'partially_filled',
        'filled',
        'cancelled',
        'expired',
        'rejected',
      ]),
    )
    .option('--market <market>', 'only of this market', marketName)
    .option('--limit <count>', 'orders shown', wholeNumber(1, 1000), 50)
    .action(async ({ status, market, limit, ...options }: OrdersOptions) => {
      const client = await openClient(options);
      const page = await client.getOrders({
        limit,
        ...(status === undefined ? {} : { status }),
        ...(market === undefined ? {} : { market }),
      });
      terminal.show({ json: page.data, text: ordersTable(page.data) });
    });
}

function ordersTable(orders: readonly Order[]): string {
  const rows = orders.map((order) => [
    timeText(order.createdAt),
    order.market,
    order.side,
    order.price,
    order.size,
    order.filled,
    order.reason === null ? order.status : `${order.status} (${order.reason})`,
    order.id,
  ]);
  return table(['time (UTC)', 'market', 'side', '>price', '>size', '>filled', 'status', 'id'], rows);
}
