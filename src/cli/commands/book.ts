import type { Command } from 'commander';
import { type ApiOptions, marketName, openApi, wholeNumber, withApi } from '../options.ts';
import { styled, type Terminal, table } from '../terminal.ts';

type Depth = {
  readonly market: string;
  readonly sequence: number;
  readonly bids: readonly (readonly [string, string])[];
  readonly asks: readonly (readonly [string, string])[];
};

export function addBook(program: Command, terminal: Terminal): void {
  withApi(program.command('book'))
    .description("show a market's order book, best prices in the middle")
    .argument('<market>', 'such as WETH-USDC', marketName)
    .option('--depth <levels>', 'levels of each side', wholeNumber(1, 1000), 10)
    .action(async (market: string, options: ApiOptions & { depth: number }) => {
      const depth = await openApi(options).request<Depth>(`/api/v1/markets/${market}/depth`, {
        query: { levels: options.depth },
      });
      const asks = depth.asks.slice(0, options.depth).toReversed();
      const bids = depth.bids.slice(0, options.depth);
      const text = [
        styled('dim', `${depth.market} at journal sequence ${depth.sequence}`),
        table(
          ['side', '>price', '>size'],
          [
            ...asks.map(([price, size]) => ['ask', price, size]),
            ['', '', ''],
            ...bids.map(([price, size]) => ['bid', price, size]),
          ],
        ),
      ].join('\n');
      terminal.show({ json: depth, text });
    });
}
