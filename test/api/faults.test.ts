/** What the API does when what it depends on fails: events lost, database away, sockets that never read. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import type { AppliedCommand } from '../../src/domain/events.ts';
import type { EventStream, EventSubscriber } from '../../src/messaging/port.ts';
import { type ApiExchange, signedOrder, startApiExchange, type Wallet } from './support/api-exchange.ts';
import { type Json, type KeyHolder, keyHeaders, makeKey, send, signedSend } from './support/client.ts';

describe('the API when things fail', () => {
  let exchange: ApiExchange;
  let maker: Wallet;
  let key: KeyHolder;
  let dropFrames = false;
  let lane = 0;

  before(async () => {
    exchange = await startApiExchange({ wrapEvents: (events) => lossy(events, () => dropFrames) });
    maker = await exchange.fundedWallet();
    key = await makeKey(exchange.url, maker);
  });
  after(async () => {
    await exchange.stop();
  });

  const place = async (): Promise<Json> => {
    const body = await signedOrder(exchange, maker, { lane: lane++, ticks: 400_000 + lane, lots: 1 });
    return (await send(exchange.url, 'POST', '/api/v1/orders', { body })).body.order;
  };

  it('resynchronises private channels when events were lost on the way', async () => {
    const socket = new WebSocket(`${exchange.url.replace('http', 'ws')}/ws`);
    const messages: Json[] = [];
    socket.addEventListener('message', ({ data }) => messages.push(JSON.parse(String(data))));
    const until = async (fits: (message: Json) => boolean): Promise<Json> => {
      for (let tries = 0; tries < 500; tries++) {
        const index = messages.findIndex(fits);
        if (index !== -1) return messages.splice(0, index + 1).at(-1);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      throw new Error(`no such message among ${JSON.stringify(messages)}`);
    };
    await new Promise((resolve) => socket.addEventListener('open', resolve));
    const timestamp = Date.now();
    const headers = keyHeaders(key, 'GET', '/ws', '', timestamp);
    socket.send(
      JSON.stringify({ op: 'login', id: 1, key: key.keyId, timestamp, signature: headers['tallystick-signature'] }),
    );
    await until((message) => message.id === 1);
    socket.send(JSON.stringify({ op: 'subscribe', id: 2, channel: 'orders' }));
    await until((message) => message.type === 'snapshot');

    dropFrames = true;
    const missed = await place();
    dropFrames = false;
    const seen = await place();
    const resync = await until((message) => message.type === 'resync' && message.channel === 'orders');
    const known = new Set<string>(resync.orders.map(({ id }: { id: string }) => id));
    const next = await place();
    let { seq } = resync;
    while (!known.has(next.id)) {
      const delta = await until((message) => message.type === 'delta');
      assert.equal(delta.prevSeq, seq);
      seq = delta.seq;
      for (const { id } of delta.orders) known.add(id);
    }
    for (const order of [missed, seen]) assert.ok(known.has(order.id));
    socket.close();
  });

  it('says NOT_READY while the database is away, and recovers', async () => {
    const lost = await exchange.gatewayWith({ pool: exchange.poolTo('postgres://nobody@127.0.0.1:1/none') });
    try {
      const answer = await send(lost.url, 'GET', '/api/v1/batches');
      assert.equal(answer.status, 503, JSON.stringify(answer.body));
      assert.equal(answer.body.code, 'NOT_READY');
      assert.equal(answer.body.retryable, true);
      assert.equal((await send(lost.url, 'GET', '/api/v1/ping')).status, 200);
    } finally {
      await lost.close();
    }
    await exchange.pool.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => signedSend(exchange.url, key, 'GET', '/api/v1/orders')),
    );
    for (const { status } of answers) assert.ok(status === 200 || status === 503, String(status));
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal((await signedSend(exchange.url, key, 'GET', '/api/v1/orders')).status, 200);
  });

  it('goes on serving others while a socket never reads', async () => {
    const { port } = new URL(exchange.url);
    const deaf = connect(Number(port), '127.0.0.1');
    deaf.on('error', () => undefined);
    deaf.write(
      'GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    await new Promise((resolve) => deaf.once('data', resolve));
    deaf.pause();
    const ask = frame(JSON.stringify({ op: 'subscribe', channel: 'depth', market: 'WETH-USDC' }));
    for (let count = 0; count < 2_000; count++) deaf.write(ask);
    const started = performance.now();
    for (let count = 0; count < 20; count++)
      assert.equal((await send(exchange.url, 'GET', '/api/v1/ping')).status, 200);
    assert.ok(performance.now() - started < 5_000);
    deaf.destroy();
  });

  it('drops a client that trickles its request', async () => {
    const trickling = await exchange.gatewayWith({ requestTimeoutMs: 300 });
    try {
      const socket = connect(Number(new URL(trickling.url).port), '127.0.0.1');
      socket.write(
        'POST /api/v1/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{',
      );
      const text = await new Promise<string>((resolve) => {
        let received = '';
        socket.on('data', (bytes) => {
          received += String(bytes);
        });
        socket.on('close', () => resolve(received));
      });
      assert.match(text, /^HTTP\/1.1 408/);
    } finally {
      await trickling.close();
    }
  });
});

/** A masked text frame, as a client sends it; the mask is zero. */
function frame(text: string): Buffer {
  const payload = Buffer.from(text);
  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length, 0, 0, 0, 0]), payload]);
}

/** The same stream, whose frames are lost for subscribers while `drops` says so; they then hear of a gap, as a transport tells it. */
function lossy(events: EventStream, drops: () => boolean): EventStream {
  return {
    publish: (frames) => events.publish(frames),
    subscribe: (subscriber: EventSubscriber) => {
      let lostFrom: AppliedCommand['sequence'] | undefined;
      return events.subscribe({
        onApplied: (frames) => {
          const [first] = frames;
          if (first === undefined) return;
          if (drops()) {
            lostFrom ??= first.sequence;
            return;
          }
          if (lostFrom !== undefined) subscriber.onGap({ expected: lostFrom, got: first.sequence });
          lostFrom = undefined;
          subscriber.onApplied(frames);
        },
        onGap: (gap) => subscriber.onGap(gap),
      });
    },
  };
}
