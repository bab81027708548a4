/** What one address may send: every order counts, however it comes, and gateways count together. */
import assert from 'node:assert/strict';
import { RateLimits } from '../../src/api/rate-limits.ts';
import { createRedisCounters } from '../../src/messaging/redis/shared-counters.ts';
import { startTestRedis } from '../support/redis.ts';
import { type ApiExchange, signedOrder, startApiExchange, type Wallet } from './support/api-exchange.ts';
import { type Json, send } from './support/client.ts';

/** One window from 1970 until long after us, so that no test runs over its end. */
const WINDOW_MS = 10 ** 13;

describe('rate limits', () => {
  let exchange: ApiExchange;
  let wallet: Wallet;
  let lane = 0;

  before(async () => {
    exchange = await startApiExchange();
    wallet = await exchange.fundedWallet();
  });
  after(async () => {
    await exchange.stop();
  });

  const order = (): Promise<Json> => signedOrder(exchange, wallet, { lane: lane++, lots: 1 });
  const orders = (count: number): Promise<Json[]> => Promise.all(Array.from({ length: count }, order));

  it('counts every order of a batch, and refuses a batch as a whole', async () => {
    const limited = await exchange.secondGateway({ ordersMax: 5, windowMs: WINDOW_MS });
    try {
      const path = '/api/v1/orders/batch';
      const first = await send(limited.url, 'POST', path, { body: { orders: await orders(3) } });
      assert.equal(first.status, 200);
      assert.equal(first.headers.get('ratelimit-remaining'), '2');
      const sequence = exchange.engine.lastSequence;
      const second = await send(limited.url, 'POST', path, { body: { orders: await orders(3) } });
      assert.equal(second.status, 429, JSON.stringify(second.body));
      assert.equal(second.body.code, 'RATE_LIMITED');
      assert.ok(Number(second.headers.get('retry-after')) > 0);
      assert.equal(exchange.engine.lastSequence, sequence);
      assert.equal((await send(limited.url, 'GET', '/api/v1/time')).status, 200, 'reads have a budget of their own');
    } finally {
      await limited.close();
    }
  });

  it('takes orders over HTTP and over the WebSocket from one budget', async () => {
    const limited = await exchange.secondGateway({ ordersMax: 1, windowMs: WINDOW_MS });
    const socket = new WebSocket(`${limited.url.replace('http', 'ws')}/ws`);
    try {
      await new Promise((resolve) => socket.addEventListener('open', resolve));
      const answer = (message: object): Promise<Json> =>
        new Promise((resolve) => {
          socket.addEventListener('message', ({ data }) => resolve(JSON.parse(String(data))), { once: true });
          socket.send(JSON.stringify(message));
        });
      assert.equal((await answer({ op: 'place', id: 1, ...(await order()) })).op, 'ack');
      assert.equal((await answer({ op: 'place', id: 2, ...(await order()) })).error.code, 'RATE_LIMITED');
      assert.equal((await answer({ op: 'ping', id: 3 })).op, 'pong');
      assert.equal((await send(limited.url, 'POST', '/api/v1/orders', { body: await order() })).status, 429);
    } finally {
      socket.close();
      await limited.close();
    }
  });

  it('counts over all gateways through Redis, by itself without it, and says so', async () => {
    const server = await startTestRedis();
    const problems: string[] = [];
    const logger = Object.create(exchange.server.log, {
      error: { value: (_: unknown, message: string) => problems.push(message) },
    });
    const counters = createRedisCounters({ url: server.url, namespace: 'limits', onProblem: () => undefined });
    const options = { sharedCounters: counters, logger, limits: { requestsMax: 20, windowMs: WINDOW_MS } };
    const one = await exchange.gatewayWith(options);
    const two = await exchange.gatewayWith(options);
    const remaining = async (url: string): Promise<number> =>
      Number((await send(url, 'GET', '/api/v1/time')).headers.get('ratelimit-remaining'));
    const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
      while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 50));
    };
    try {
      for (let count = 0; count < 15; count++) await remaining(one.url);
      // The second learns of the first's requests with the first exchange after its own.
      assert.equal(await remaining(two.url), 19);
      await new Promise((resolve) => setTimeout(resolve, 300));
      await until(async () => (await remaining(two.url)) <= 4);
      await until(async () => (await send(two.url, 'GET', '/api/v1/time')).status === 429);
      await until(async () => (await send(one.url, 'GET', '/api/v1/time')).status === 429);

      await server.kill();
      const lonely = await exchange.gatewayWith(options);
      try {
        for (let count = 0; count < 20; count++) {
          assert.equal((await send(lonely.url, 'GET', '/api/v1/time')).status, 200);
        }
        assert.equal((await send(lonely.url, 'GET', '/api/v1/time')).status, 429);
        await until(() => problems.some((problem) => problem.includes('rate limits are not shared')));
      } finally {
        await lonely.close();
      }
    } finally {
      await one.close();
      await two.close();
      await counters.close();
      await server.stop();
    }
  });

  it('takes nothing of one window for the next, though the exchange takes longer than the window', async () => {
    let nowMs = 0;
    const told: string[] = [];
    let answer: (() => void) | undefined;
    const limits = new RateLimits({
      limits: { requestsMax: 5, ordersMax: 5, windowMs: 1_000 },
      clock: () => nowMs,
      shared: {
        add: async (counter, added) => {
          told.push(counter);
          if (told.length === 1) await new Promise<void>((resolve) => (answer = resolve));
          return added.map(({ by }) => (counter.endsWith(':0') ? 5 : by));
        },
      },
      onSharingLost: (cause) => assert.fail(String(cause)),
    });
    const until = async (holds: () => boolean): Promise<void> => {
      while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10));
    };
    for (const budget of ['requests', 'orders'] as const) limits.take(budget, '192.0.2.1');
    await until(() => answer !== undefined);
    nowMs = 1_000;
    for (const budget of ['requests', 'orders'] as const) limits.take(budget, '192.0.2.1');
    answer?.();
    await until(() => told.length === 3);
    await limits.stop();
    assert.deepEqual(told, ['rate:requests:0', 'rate:requests:1', 'rate:orders:1']);
    assert.equal(limits.take('orders', '192.0.2.1').remaining, 3);
  });

  it('counts by itself when Redis holds the connection and says nothing', async () => {
    const server = await startTestRedis();
    const counters = createRedisCounters({ url: server.url, namespace: 'silent', onProblem: () => undefined });
    try {
      const add = (): Promise<readonly number[]> => counters.add('one', [{ field: 'a', by: 1 }], 60_000);
      while ((await add().catch(() => [])).length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      process.kill(server.pid, 'SIGSTOP');
      await assert.rejects(add(), /timed out/);
    } finally {
      process.kill(server.pid, 'SIGCONT');
      await counters.close();
      await server.stop();
    }
  });
});
