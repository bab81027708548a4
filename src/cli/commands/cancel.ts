import type { Command } from 'commander';
import { UsageError } from '../exit-codes.ts';
import {
  type ApiOptions,
  hashValue,
  type KeyOptions,
  marketName,
  openClient,
  type RpcOptions,
  wholeNumber,
  withApi,
  withKey,
  withRpc,
} from '../options.ts';
import { type Terminal, timeText } from '../terminal.ts';

type CancelOptions = ApiOptions &
  KeyOptions &
  RpcOptions & {
    all?: boolean;
    market?: string;
    onChain?: boolean;
    after?: number;
  };

export function addCancel(program: Command, terminal: Terminal): void {
  withRpc(withKey(withApi(program.command('cancel'))))
    .description('cancel one order, or all of them')
    .argument('[order-id]', 'as "tallystick orders" shows it', hashValue)
    .option('--all', 'every open order of the wallet')
    .option('--market <market>', 'with --all: only of this market', marketName)
    .option('--on-chain', 'cancel everything signed so far by a transaction, which binds the exchange whatever it does')
    .option(
      '--after <seconds>',
      "cancel everything that late unless this is called again before (dead man's switch); 0 switches it off",
      wholeNumber(0, 86_400),
    )
    .action(async (id: string | undefined, options: CancelOptions) => {
      const { after } = options;
      const ways = [id !== undefined, options.all === true, options.onChain === true, after !== undefined];
      if (ways.filter(Boolean).length !== 1)
        throw new UsageError('name one order id, or --all, or --on-chain, or --after');
      if (options.market !== undefined && options.all !== true) throw new UsageError('--market goes with --all');
      const client = await openClient(options);
      if (options.onChain === true) {
        const { transactionHash, blockNumber } = await client.cancelAllOnChain();
        const text = `everything signed so far is cancelled on chain, in block ${blockNumber}\n  transaction ${transactionHash}`;
        terminal.show({ json: { transactionHash, blockNumber: Number(blockNumber) }, text });
      } else if (after !== undefined) {
        const deadline = await client.cancelAfter(after * 1_000);
        const text =
          deadline === null
            ? 'the switch is off'
            : `everything is cancelled at ${timeText(deadline)} UTC unless renewed`;
        terminal.show({ json: { deadline }, text });
      } else if (id !== undefined) {
        const order = await client.cancelOrder(id);
        terminal.show({
          json: order,
          text: `${order.status}: ${order.side} ${order.size} ${order.market} at ${order.price}, filled ${order.filled}`,
        });
      } else {
        const cancelled = await client.cancelAllOrders(options.market);
        terminal.show({
          json: { cancelled },
          text: [`${cancelled.length} orders cancelled`, ...cancelled].join('\n  '),
        });
      }
    });
}
