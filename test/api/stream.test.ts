/** The WebSocket against the real engine: sequences without gaps, private channels, resume, trading, and its errors. */
import assert from 'node:assert/strict';
import { depthChecksum } from '../../src/api/market-data-views.ts';
import { createSignaturePool } from '../../src/chain/signature-pool.ts';
import { CANCEL_TYPES } from '../../src/domain/typed-data.ts';
import { type ApiExchange, DOMAIN, signedOrder, startApiExchange, type Wallet } from './support/api-exchange.ts';
import { type Json, type KeyHolder, makeKey, send, signedSend } from './support/client.ts';
import { SocketClient } from './support/socket-client.ts';

describe('the WebSocket', () => {
  let exchange: ApiExchange;
  let maker: Wallet;
  let taker: Wallet;
  let key: KeyHolder;
  let lane = 0;
  const clients: SocketClient[] = [];

  before(async () => {
    exchange = await startApiExchange();
    maker = await exchange.fundedWallet();
    taker = await exchange.fundedWallet();
    key = await makeKey(exchange.url, maker);
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.close();
    await signedSend(exchange.url, key, 'DELETE', '/api/v1/orders');
  });
  after(async () => {
    await exchange.stop();
  });

  const connect = async (): Promise<SocketClient> => {
    const client = new SocketClient(exchange.url);
    clients.push(client);
    return client.open();
  };
  const place = async (wallet: Wallet, input: Parameters<typeof signedOrder>[2]): Promise<Json> => {
    const body = await signedOrder(exchange, wallet, { lane: lane++, ...input });
    const answer = await send(exchange.url, 'POST', '/api/v1/orders', { body });
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body.order;
  };

  it('keeps a book up by a snapshot and gapless deltas, checked by CRC32', async () => {
    await place(maker, { ticks: 300_000, lots: 5 });
    const client = await connect();
    const ack = await client.ask({ op: 'subscribe', channel: 'depth', market: 'weth-usdc' });
    assert.deepEqual(
      { op: ack.op, channel: ack.channel, market: ack.market },
      { op: 'ack', channel: 'depth', market: 'WETH-USDC' },
    );
    const snapshot = await client.of('depth');
    assert.equal(snapshot.type, 'snapshot');
    const asks = new Map<string, string>(snapshot.asks);
    assert.equal(asks.get('3000'), '0.005');
    for (let index = 0; index < 20; index++) await place(maker, { ticks: 300_000 + (index % 7), lots: 1 + index });
    let { seq } = snapshot;
    for (let index = 0; index < 20; index++) {
      const delta = await client.of('depth');
      assert.equal(delta.type, 'delta');
      assert.equal(delta.prevSeq, seq);
      seq = delta.seq;
      for (const [price, size] of delta.asks) {
        if (size === '0') asks.delete(price);
        else asks.set(price, size);
      }
      const best = [...asks].sort((a, b) => Number(a[0]) - Number(b[0]));
      assert.equal(depthChecksum([], best), delta.checksum);
    }
    const depth = (await send(exchange.url, 'GET', '/api/v1/markets/WETH-USDC/depth')).body;
    assert.deepEqual(
      [...asks].sort((a, b) => Number(a[0]) - Number(b[0])),
      depth.asks,
    );
  });

  it('tells trades and tickers as they change', async () => {
    const client = await connect();
    await client.ask({ op: 'subscribe', channel: 'trades', market: 'WETH-USDC' });
    await client.ask({ op: 'subscribe', channel: 'ticker', market: 'WETH-USDC' });
    await client.ask({ op: 'subscribe', channel: 'batches' });
    assert.deepEqual((await client.of('batches')).batches, []);
    const { seq } = await client.of('trades');
    await client.of('ticker', 'snapshot');
    await place(maker, { ticks: 210_000, lots: 10 });
    await place(taker, { side: 'buy', ticks: 210_000, lots: 4, timeInForce: 'ioc' });
    const delta = await client.of('trades');
    assert.equal(delta.prevSeq, seq);
    assert.deepEqual(
      [delta.trades[0].price, delta.trades[0].size, delta.trades[0].takerSide],
      ['2100', '0.004', 'buy'],
    );
    const ticker = await client.next((message) => message.channel === 'ticker' && message.ticker?.lastPrice === '2100');
    assert.equal(ticker.type, 'delta');
  });

  it('shows an account its orders, fills and balances, live and gapless', async () => {
    const resting = await place(maker, { ticks: 220_000, lots: 10 });
    const client = await connect();
    assert.equal((await client.login(key)).op, 'ack');
    for (const channel of ['orders', 'fills', 'balances'])
      assert.equal((await client.ask({ op: 'subscribe', channel })).op, 'ack');
    const orders = await client.of('orders');
    assert.deepEqual(
      orders.orders.map(({ id }: { id: string }) => id),
      [resting.id],
    );
    const fills = await client.of('fills');
    const balances = await client.of('balances');
    assert.equal(balances.balances.length, 2);

    await place(taker, { side: 'buy', ticks: 220_000, lots: 4, timeInForce: 'ioc' });
    const changed = await client.of('orders');
    assert.equal(changed.prevSeq, orders.seq);
    assert.deepEqual(
      [changed.orders[0].status, changed.orders[0].filled, changed.orders[0].remaining, changed.orders[0].averagePrice],
      ['partially_filled', '0.004', '0.006', '2200'],
    );
    const fill = await client.of('fills');
    assert.equal(fill.prevSeq, fills.seq);
    assert.deepEqual([fill.fills[0].liquidity, fill.fills[0].size, fill.fills[0].state], ['maker', '0.004', 'matched']);
    assert.equal((await client.of('balances')).prevSeq, balances.seq);

    await signedSend(exchange.url, key, 'DELETE', `/api/v1/orders/${resting.id}`);
    const ended = await client.of('orders');
    assert.equal(ended.prevSeq, changed.seq);
    assert.equal(ended.orders[0].status, 'cancelled');
    // What the stream says is what REST says.
    const rest = (await signedSend(exchange.url, key, 'GET', `/api/v1/orders/${resting.id}`)).body;
    assert.deepEqual(ended.orders[0], rest);
  });

  it('resumes from the ring, and resynchronises when it cannot', async () => {
    const first = await connect();
    await first.ask({ op: 'subscribe', channel: 'depth', market: 'WETH-USDC' });
    const { seq } = await first.of('depth');
    await place(maker, { ticks: 310_000, lots: 1 });
    await place(maker, { ticks: 311_000, lots: 1 });
    await first.of('depth');
    await first.of('depth');

    const second = await connect();
    const resumed = await second.ask({ op: 'resume', channel: 'depth', market: 'WETH-USDC', fromSeq: seq });
    assert.equal(resumed.resumed, true);
    const [one, two] = [await second.of('depth'), await second.of('depth')];
    assert.deepEqual([one.type, two.type, one.prevSeq, two.prevSeq], ['delta', 'delta', seq, one.seq]);

    const third = await connect();
    const lost = await third.ask({ op: 'resume', channel: 'depth', market: 'WETH-USDC', fromSeq: 1 });
    assert.equal(lost.resumed, false);
    assert.equal((await third.of('depth')).type, 'resync');
  });

  it('resumes private channels too', async () => {
    const first = await connect();
    await first.login(key);
    await first.ask({ op: 'subscribe', channel: 'orders' });
    const { seq } = await first.of('orders');
    await place(maker, { ticks: 320_000, lots: 1 });
    await first.of('orders');
    await first.close();
    await place(maker, { ticks: 321_000, lots: 1 });
    const second = await connect();
    await second.login(key);
    assert.equal((await second.ask({ op: 'resume', channel: 'orders', fromSeq: seq })).resumed, true);
    assert.equal((await second.of('orders')).prevSeq, seq);
    assert.equal((await second.of('orders')).orders[0].price, '3210');
  });

  it('places and cancels orders', async () => {
    const client = await connect();
    const body = await signedOrder(exchange, maker, { lane: lane++, ticks: 330_000, lots: 3 });
    const placed = await client.ask({ op: 'place', ...body });
    assert.equal(placed.op, 'ack', JSON.stringify(placed));
    assert.equal(placed.order.status, 'open');
    assert.equal(placed.isNew, true);
    assert.equal((await client.ask({ op: 'place', ...body })).isNew, false);
    assert.equal((await client.ask({ op: 'cancel', orderId: placed.order.id })).error.code, 'UNAUTHENTICATED');
    await client.login(key);
    const cancelled = await client.ask({ op: 'cancel', orderId: placed.order.id });
    assert.equal(cancelled.order.status, 'cancelled');
    await client.ask({
      op: 'place',
      ...(await signedOrder(exchange, maker, { lane: lane++, ticks: 330_000, lots: 3 })),
    });
    assert.equal((await client.ask({ op: 'cancelAll', market: 'WETH-USDC' })).cancelled.length, 1);
  });

  it('reduces an order in its place', async () => {
    const client = await connect();
    const first = await place(maker, { ticks: 350_000, lots: 10 });
    const second = await place(maker, { ticks: 350_000, lots: 10 });
    const reduce = (order: Json, remaining: string): Promise<Json> =>
      client.ask({ op: 'reduce', orderId: order.id, remaining });
    assert.equal((await reduce(first, '0.004')).error.code, 'UNAUTHENTICATED');
    await client.login(await makeKey(exchange.url, maker, { scopes: 'read', timestamp: Date.now() - 7 }));
    assert.equal((await reduce(first, '0.004')).error.code, 'FORBIDDEN');
    await client.login(key);
    const reduced = await reduce({ id: first.id.toUpperCase().replace('0X', '0x') }, '0.004');
    assert.deepEqual([reduced.op, reduced.order.remaining, reduced.order.status], ['ack', '0.004', 'open']);
    assert.equal((await reduce(first, '0.004')).order.remaining, '0.004', 'again does no harm');
    assert.equal((await reduce(first, '0.005')).error.reason, 'not_smaller');
    for (const [remaining, code] of [
      ['0.0005', 'bad_size'],
      ['0', 'bad_size'],
      ['-1', 'bad_format'],
    ] as const)
      assert.equal((await reduce(first, remaining)).error.errors[0].code, code, remaining);
    const foreign = await place(taker, { ticks: 351_000, lots: 10 });
    assert.equal((await reduce(foreign, '0.004')).error.code, 'NOT_FOUND');
    await signedSend(exchange.url, await makeKey(exchange.url, taker), 'DELETE', `/api/v1/orders/${foreign.id}`);
    // It is still the first in the queue: the taker meets it and not the second.
    const taken = await place(taker, { side: 'buy', ticks: 350_000, lots: 4, timeInForce: 'ioc' });
    assert.equal(taken.status, 'filled');
    await exchange.projected();
    const statuses = await Promise.all(
      [first, second].map(
        async ({ id }) => (await signedSend(exchange.url, key, 'GET', `/api/v1/orders/${id}`)).body.status,
      ),
    );
    assert.deepEqual(statuses, ['filled', 'open']);
    assert.equal((await reduce(first, '0.001')).error.reason, 'order_not_found');
  });

  it('keeps the dead man’s switch, and cancels when it is not renewed', async () => {
    const client = await connect();
    assert.equal((await client.ask({ op: 'cancelAfter', timeoutMs: 400 })).error.code, 'UNAUTHENTICATED');
    await client.login(key);
    await client.ask({ op: 'subscribe', channel: 'orders' });
    const order = await place(maker, { ticks: 352_000, lots: 1 });
    const before = Date.now();
    const { deadline } = await client.ask({ op: 'cancelAfter', timeoutMs: 60_000 });
    assert.ok(deadline >= before + 60_000 && deadline <= Date.now() + 60_000, String(deadline));
    assert.equal((await client.ask({ op: 'cancelAfter', timeoutMs: 0 })).deadline, null);
    await client.ask({ op: 'cancelAfter', timeoutMs: 300 });
    const ended = await client.next(
      ({ channel, orders }) => channel === 'orders' && orders?.[0]?.status === 'cancelled',
    );
    assert.deepEqual([ended.orders[0].id, ended.orders[0].reason], [order.id, 'cancel_after']);
    assert.equal((await client.ask({ op: 'cancelAfter', timeoutMs: 86_400_001 })).error.code, 'VALIDATION_FAILED');
  });

  it('replaces an order, which keeps its place when only its size shrinks', async () => {
    const client = await connect();
    const [first, second] = [
      await place(maker, { ticks: 353_000, lots: 5 }),
      await place(maker, { ticks: 353_000, lots: 5 }),
    ];
    const body = await signedOrder(exchange, maker, {
      lane: first.lane,
      ticks: 353_000,
      lots: 3,
      extra: { replaces: first.id },
    });
    const replaced = await client.ask({ op: 'place', ...body });
    assert.deepEqual([replaced.op, replaced.order.size], ['ack', '0.003'], JSON.stringify(replaced));
    const taken = await place(taker, { side: 'buy', ticks: 353_000, lots: 3, timeInForce: 'ioc' });
    assert.equal(taken.status, 'filled');
    await exchange.projected();
    const statuses = await Promise.all(
      [first.id, replaced.order.id, second.id].map(
        async (id) => (await signedSend(exchange.url, key, 'GET', `/api/v1/orders/${id}`)).body.status,
      ),
    );
    assert.deepEqual(statuses, ['cancelled', 'filled', 'open']);
  });

  it('brings orders that are sent back to back to the engine in their order, in few commits', async () => {
    const client = await connect();
    const bodies = await Promise.all(
      Array.from({ length: 20 }, () => signedOrder(exchange, maker, { lane: lane++, ticks: 330_000, lots: 3 })),
    );
    const answers = await Promise.all(
      bodies.map((body, index) => client.ask({ op: 'place', ...body, ...(index === 7 ? { signature: '0x12' } : {}) })),
    );
    const [refused] = answers.splice(7, 1);
    assert.equal(refused.error.code, 'INVALID_SIGNATURE');
    const sequences = answers.map(({ receipt }) => receipt.sequence);
    assert.deepEqual(
      sequences,
      sequences.toSorted((a, b) => a - b),
    );
    const rows = new Set(answers.map(({ receipt }) => receipt.rowHash));
    assert.ok(rows.size <= 8, `20 orders took ${rows.size} commits`);
    await client.login(key);
    await client.ask({ op: 'cancelAll', market: 'WETH-USDC' });
  });

  it('logs a wallet in without a key', async () => {
    const client = await connect();
    const timestamp = Date.now();
    const signature = await maker.signTypedData({
      domain: DOMAIN,
      types: CANCEL_TYPES,
      primaryType: 'Cancel',
      message: { account: maker.address, scope: 'login', timestamp: BigInt(timestamp) },
    });
    const answer = await client.ask({ op: 'login', account: maker.address, timestamp, signature });
    assert.equal(answer.account, maker.address);
    assert.equal((await client.ask({ op: 'subscribe', channel: 'balances' })).op, 'ack');
  });

  it('cancels on disconnect when asked to', async () => {
    const client = await connect();
    await client.login(key);
    assert.equal((await client.ask({ op: 'cancelOnDisconnect', enabled: true })).enabled, true);
    const order = await place(maker, { ticks: 340_000, lots: 1 });
    await client.close();
    for (let tries = 0; ; tries++) {
      const { status } = (await signedSend(exchange.url, key, 'GET', `/api/v1/orders/${order.id}`)).body;
      if (status === 'cancelled') break;
      assert.ok(tries < 100, 'the order was not cancelled');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });

  it('places nothing more for a socket that asked for it and is gone', async () => {
    const signatures = createSignaturePool(DOMAIN, { workers: 1 });
    const [checking, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const disarmed = Promise.withResolvers<void>();
    const kinds: string[] = [];
    const gateway = await exchange.gatewayWith({
      signatures: {
        ...signatures,
        check: async (signed) => {
          checking.resolve();
          await released.promise;
          return signatures.check(signed);
        },
      },
      commands: {
        submit: async (command, options) => {
          kinds.push(command.kind);
          const reply = await exchange.transport.submit(command, options);
          if (command.kind === 'disarmDisconnect') disarmed.resolve();
          return reply;
        },
      },
    });
    try {
      const client = await new SocketClient(gateway.url).open();
      await client.login(key);
      await client.ask({ op: 'cancelOnDisconnect', enabled: true });
      const body = await signedOrder(exchange, maker, { lane: lane++, ticks: 345_000, lots: 1 });
      client.socket.send(JSON.stringify({ op: 'place', ...body }));
      await checking.promise;
      await client.close();
      await disarmed.promise;
      released.resolve();
      // Checked behind it and acknowledged: by then it would have gone to the engine.
      const later = await signedOrder(exchange, maker, { lane: lane++, ticks: 346_000, lots: 1 });
      assert.equal((await send(gateway.url, 'POST', '/api/v1/orders', { body: later })).status, 201);
      assert.deepEqual(kinds, ['armDisconnect', 'disarmDisconnect', 'placeOrder']);
    } finally {
      await gateway.close();
      await signatures.close();
    }
  });

  it('ends the sockets of a key that was revoked', async () => {
    const revoked = await makeKey(exchange.url, maker, { timestamp: Date.now() - 5 });
    const client = await connect();
    await client.login(revoked);
    await client.ask({ op: 'subscribe', channel: 'balances' });
    await signedSend(exchange.url, revoked, 'DELETE', `/api/v1/auth/keys/${revoked.keyId}`);
    assert.equal(await client.closed, 4001);
  });

  it('answers every mistake with its id and a problem, and goes on', async () => {
    const client = await connect();
    const cases: [object, string][] = [
      [{ op: 'dance' }, 'VALIDATION_FAILED'],
      [{ op: 'subscribe', channel: 'gossip' }, 'VALIDATION_FAILED'],
      [{ op: 'subscribe', channel: 'depth' }, 'VALIDATION_FAILED'],
      [{ op: 'subscribe', channel: 'depth', market: 'NO-SUCH' }, 'NOT_FOUND'],
      [{ op: 'subscribe', channel: 'orders' }, 'UNAUTHENTICATED'],
      [{ op: 'subscribe', channel: 'depth', market: 'WETH-USDC', extra: 1 }, 'VALIDATION_FAILED'],
      [{ op: 'place', order: {}, signature: '0x' }, 'VALIDATION_FAILED'],
      [{ op: 'login', key: 'tk_1', timestamp: Date.now(), signature: 'a'.repeat(64) }, 'UNAUTHENTICATED'],
    ];
    for (const [message, code] of cases) {
      const { op, error } = await client.ask(message);
      assert.equal(op, 'error', JSON.stringify(message));
      assert.equal(error.code, code, JSON.stringify(message));
      assert.match(error.type, /\/docs\/errors\//);
    }
    client.socket.send('{"op":"ping","op":"ping"}');
    assert.equal((await client.next((message) => message.op === 'error')).error.code, 'MALFORMED_JSON');
    assert.equal((await client.ask({ op: 'ping' })).op, 'pong');
  });

  it('says goodbye before it shuts down', async () => {
    const gateway = await exchange.secondGateway();
    const client = await new SocketClient(gateway.url).open();
    await client.ask({ op: 'subscribe', channel: 'depth', market: 'WETH-USDC' });
    await gateway.close();
    assert.equal((await client.next((message) => message.op === 'notice')).code, 'shutdown');
    assert.equal(await client.closed, 1001);
  });
});
