import { type Command, Option } from 'commander';
import { openOrderBook } from '../../sdk/order-book.ts';
import { type ChannelMessage, followChannel } from '../../sdk/stream.ts';
import { EXIT } from '../exit-codes.ts';
import { type ApiOptions, marketName, wholeNumber, withApi } from '../options.ts';
import { styled, type Terminal, timeText } from '../terminal.ts';

type Watch = {
  readonly url: string;
  readonly market: string;
  readonly signal: AbortSignal;
  readonly show: (json: unknown, text: string) => void;
  readonly terminal: Terminal;
};

type Trade = {
  readonly tradeId: number;
  readonly price: string;
  readonly size: string;
  readonly takerSide: string;
  readonly time: number;
};

export function addWatch(program: Command, terminal: Terminal): void {
  withApi(program.command('watch'))
    .description('follow a market live: a line for each trade, or for each change of the best prices')
    .argument('<market>', 'such as WETH-USDC', marketName)
    .addOption(new Option('--channel <name>', 'what to follow').choices(['trades', 'depth']).default('trades'))
    .option('--count <lines>', 'end after so many lines', wholeNumber(1, 1_000_000_000))
    .action(async (market: string, options: ApiOptions & { channel: 'trades' | 'depth'; count?: number }) => {
      const ended = new AbortController();
      let left = options.count ?? Number.POSITIVE_INFINITY;
      const onInterrupt = (): void => {
        terminal.exitCode = EXIT.interrupted;
        ended.abort();
      };
      process.once('SIGINT', onInterrupt);
      const show = (json: unknown, text: string): void => {
        if (left <= 0) return;
        terminal.line(json, text);
        left -= 1;
        if (left === 0) ended.abort();
      };
      const follow = options.channel === 'depth' ? followBook : followTrades;
      try {
        await follow({ url: options.url, market, signal: ended.signal, show, terminal });
      } finally {
        process.off('SIGINT', onInterrupt);
      }
    });
}

async function followTrades({ url, market, signal, show, terminal }: Watch): Promise<void> {
  const ended = Promise.withResolvers<void>();
  let seen = 0;
  const showTrades = (message: ChannelMessage, isSnapshot: boolean): void => {
    const trades = ((message['trades'] ?? []) as Trade[]).toSorted((a, b) => a.tradeId - b.tradeId);
    const isFirst = seen === 0;
    for (const trade of trades) {
      if (trade.tradeId <= seen) continue;
      seen = trade.tradeId;
      // What happened before is no news, except after a gap.
      if (isSnapshot && isFirst) continue;
      const side = styled(trade.takerSide === 'buy' ? 'green' : 'red', trade.takerSide.padEnd(4));
      show(trade, `${timeText(trade.time)}  ${side}  ${trade.size} at ${trade.price}  trade ${trade.tradeId}`);
    }
  };
  const close = followChannel(
    url,
    { channel: 'trades', market },
    {
      onSnapshot: (message) => {
        if (seen === 0) terminal.progress(`following the trades of ${market} …`);
        showTrades(message, true);
      },
      onDelta: (message) => {
        showTrades(message, false);
        return true;
      },
      onStale: () => terminal.progress('the connection was lost; connecting again …'),
      onRefused: ended.reject,
    },
  );
  signal.addEventListener('abort', () => ended.resolve(), { once: true });
  await ended.promise.finally(close);
}

async function followBook({ url, market, signal, show, terminal }: Watch): Promise<void> {
  const book = await openOrderBook({ baseUrl: url, market, signal });
  let last = '';
  const showBest = (): void => {
    if (!book.synced) return;
    const [bid, ask] = [book.bids[0], book.asks[0]];
    const text = `bid ${bid === undefined ? '-' : `${bid[1]} at ${bid[0]}`}   ask ${ask === undefined ? '-' : `${ask[1]} at ${ask[0]}`}`;
    if (text === last) return;
    last = text;
    show({ market, sequence: book.sequence, bid: bid ?? null, ask: ask ?? null }, text);
  };
  terminal.progress(`following the book of ${market} …`);
  book.onChange(showBest);
  showBest();
  if (!signal.aborted) {
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }
  book.close();
}
