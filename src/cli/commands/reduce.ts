import type { Command } from 'commander';
import { type ApiOptions, decimalValue, hashValue, type KeyOptions, openClient, withApi, withKey } from '../options.ts';
import type { Terminal } from '../terminal.ts';

export function addReduce(program: Command, terminal: Terminal): void {
  withKey(withApi(program.command('reduce')))
    .description('leave an order with less; it keeps its place in the queue')
    .argument('<order-id>', 'as "tallystick orders" shows it', hashValue)
    .argument('<remaining>', 'what it has left afterwards, in the base token', decimalValue)
    .action(async (id: string, remaining: string, options: ApiOptions & KeyOptions) => {
      const client = await openClient(options);
      const order = await client.reduceOrder(id, remaining);
      terminal.show({
        json: order,
        text: `${order.status}: ${order.side} ${order.market} at ${order.price}, ${order.remaining} left, filled ${order.filled}`,
      });
    });
}
