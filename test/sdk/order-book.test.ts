import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { privateKeyToAccount } from 'viem/accounts';
import { crc32 } from '../../src/sdk/crc32.ts';
import { connect, type OrderBook, type TallystickClient, TallystickError } from '../../src/sdk/index.ts';
import { openOrderBook } from '../../src/sdk/order-book.ts';
import { createFundedWallet, useSharedExchange } from '../support/running-exchange.ts';

const MARKET = 'WBTC-USDC';

/** A TCP proxy whose connections can be cut. */
async function startProxy(target: URL): Promise<{ url: string; cut: () => void; stop: () => Promise<void> }> {
  const sockets = new Set<Socket>();
  const { connect: open } = await import('node:net');
  const server: Server = createServer((incoming) => {
    const outgoing = open(Number(target.port), target.hostname);
    for (const socket of [incoming, outgoing]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        incoming.destroy();
        outgoing.destroy();
      });
    }
    incoming.pipe(outgoing).pipe(incoming);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${address.port}`,
    cut,
    stop: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function until(book: OrderBook, condition: (book: OrderBook) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const give = setTimeout(() => {
      reject(new Error(`the book stayed ${JSON.stringify({ ...book, bids: book.bids, asks: book.asks })}`));
    }, 10_000);
    const look = (): void => {
      if (!condition(book)) return;
      clearTimeout(give);
      end();
      resolve();
    };
    const end = book.onChange(look);
    look();
  });
}

describe("the SDK's order book", function () {
  this.timeout(60_000);
  const { exchange } = useSharedExchange();
  let client: TallystickClient;

  before(async () => {
    const privateKey = await createFundedWallet(exchange(), { USDC: '100000' });
    client = await connect({
      url: exchange().url,
      wallet: privateKeyToAccount(privateKey),
      rpcUrl: exchange().rpcUrl,
    });
    await client.deposit({ asset: 'USDC', amount: '100000' });
    await client.waitForBalance({ asset: 'USDC', available: '100000' });
  });
  afterEach(async () => {
    await client.cancelAllOrders();
  });

  const bid = (price: string, size: string) => client.placeOrder({ market: MARKET, side: 'buy', price, size });

  it('counts the same checksum as zlib', () => {
    for (const text of ['', 'a', '2491.64:1.169:2494.03:0.862', 'x'.repeat(1000)])
      assert.equal(crc32(text), zlibCrc32(text));
  });

  it('starts with a snapshot and follows every change', async () => {
    await bid('20000', '0.1');
    const book = await client.orderBook(MARKET);
    assert.deepEqual(book.bids, [['20000', '0.1']]);
    await bid('9000', '0.2');
    await bid('20001', '0.3');
    const { order } = await bid('20000', '0.05');
    await until(book, ({ bids }) => bids.length === 3 && bids[1]?.[1] === '0.15');
    assert.deepEqual(book.bids, [
      ['20001', '0.3'],
      ['20000', '0.15'],
      ['9000', '0.2'],
    ]);
    await client.cancelOrder(order.id);
    await until(book, ({ bids }) => bids[1]?.[1] === '0.1');
    assert.deepEqual([book.synced, book.resyncs], [true, 0]);
    book.close();
    assert.equal(book.synced, false);
  });

  it('heals after its connection was cut, with what happened meanwhile', async () => {
    const proxy = await startProxy(new URL(exchange().url));
    try {
      await bid('20000', '0.1');
      const book = await openOrderBook({ baseUrl: proxy.url, market: MARKET });
      const states: boolean[] = [];
      book.onChange(({ synced }) => states.push(synced));
      for (let round = 1; round <= 3; round++) {
        proxy.cut();
        await bid(`${20000 + round}`, '0.1');
        await until(book, ({ bids, synced }) => synced && bids.length === 1 + round);
      }
      assert.ok(states.includes(false), 'it said that it was stale');
      assert.ok(book.resyncs >= 3);
      book.close();
    } finally {
      await proxy.stop();
    }
  });

  it('is refused for a market that is not listed', async () => {
    await assert.rejects(client.orderBook('DOGE-USDC'), TallystickError);
    await assert.rejects(
      openOrderBook({ baseUrl: exchange().url, market: 'DOGE-USDC' }),
      (error: unknown) => error instanceof TallystickError && error.code !== '',
    );
  });
});
