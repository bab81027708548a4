import type { Command } from 'commander';
import type { Page } from '../../sdk/types.ts';
import { type ApiOptions, marketName, openApi, wholeNumber, withApi } from '../options.ts';
import { type Terminal, table, timeText } from '../terminal.ts';

type Trade = {
  readonly tradeId: number;
  readonly price: string;
  readonly size: string;
  readonly takerSide: string;
  readonly state: string;
  readonly batchId: number | null;
  readonly transactionHash: string | null;
  readonly createdAt: number;
};

export function addTrades(program: Command, terminal: Terminal): void {
  withApi(program.command('trades'))
    .description("show a market's latest trades and how far each is settled")
    .argument('<market>', 'such as WETH-USDC', marketName)
    .option('--limit <count>', 'trades shown', wholeNumber(1, 1000), 20)
    .action(async (market: string, options: ApiOptions & { limit: number }) => {
      const page = await openApi(options).request<Page<Trade>>(`/api/v1/markets/${market}/trades`, {
        query: { limit: options.limit },
      });
      const rows = page.data.map((trade) => [
        timeText(trade.createdAt),
        String(trade.tradeId),
        trade.takerSide,
        trade.price,
        trade.size,
        trade.state,
        trade.batchId === null ? '-' : String(trade.batchId),
        trade.transactionHash ?? '-',
      ]);
      const headers = ['time (UTC)', '>trade', 'taker', '>price', '>size', 'state', '>batch', 'transaction'];
      terminal.show({ json: page.data, text: table(headers, rows) });
    });
}
