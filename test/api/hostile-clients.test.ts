/** What clients do that means harm or knows no better; the rest of that list stands in bad-requests, place-order and faults. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import type { Address, TimestampSeconds } from '../../src/domain/units.ts';
import { type ApiExchange, signedOrder, startApiExchange, type Wallet } from './support/api-exchange.ts';
import { type Answer, type Json, type KeyHolder, makeKey, send, signedSend } from './support/client.ts';

const GROUP_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const CONNECTIONS = 10_000;

describe('hostile clients', () => {
  let exchange: ApiExchange;
  let maker: Wallet;
  let taker: Wallet;
  let makerKey: KeyHolder;
  let lane = 0;

  before(async () => {
    exchange = await startApiExchange();
    maker = await exchange.fundedWallet();
    taker = await exchange.fundedWallet();
    makerKey = await makeKey(exchange.url, maker);
  });
  after(async () => {
    await exchange.stop();
  });

  const place = (body: Json): Promise<Answer> => send(exchange.url, 'POST', '/api/v1/orders', { body });

  it('are refused an order with excess decimals', async () => {
    const extra = { stop: { direction: 'at_or_above', triggerPrice: '2000.001' } };
    const trigger = await place(await signedOrder(exchange, maker, { lane: lane++, extra }));
    assert.equal(trigger.status, 400);
    assert.equal(trigger.body.errors[0].pointer, '/stop/triggerPrice');
    const body = await signedOrder(exchange, maker, { lane: lane++ });
    const amount = await place({ ...body, order: { ...body.order, baseAmount: '1000000000000000000.5' } });
    assert.equal(amount.body.errors[0].pointer, '/order/baseAmount');
  });

  it('are refused the high-s twin of a valid signature', async () => {
    const body = await signedOrder(exchange, maker, { lane: lane++, lots: 1, ticks: 500_000 });
    const s = BigInt(`0x${body.signature.slice(66, 130)}`);
    const v = body.signature.endsWith('1b') ? '1c' : '1b';
    const twin = `${body.signature.slice(0, 66)}${(GROUP_ORDER - s).toString(16).padStart(64, '0')}${v}`;
    const refused = await place({ ...body, signature: twin });
    assert.equal(refused.status, 401);
    assert.equal(refused.body.errors[0].code, 'high_s');
    assert.equal((await place(body)).status, 201, 'the signature itself is good');
  });

  it('are refused an order whose session key was revoked, from the moment the engine knows', async () => {
    const account = maker.address.toLowerCase() as Address;
    const session = privateKeyToAccount(generatePrivateKey());
    const key = session.address.toLowerCase() as Address;
    const inAnHour = (Math.floor(Date.now() / 1000) + 3_600) as TimestampSeconds;
    await exchange.fact({
      kind: 'sessionKeyRegistered',
      account,
      key,
      validUntil: inAnHour,
      marketMask: 1n << 255n,
    });
    await exchange.projected();
    const bySession = async (): Promise<Answer> =>
      place(await signedOrder(exchange, maker, { lane: lane++, lots: 1, ticks: 500_000, signer: session }));
    const placed = await bySession();
    assert.equal(placed.status, 201, JSON.stringify(placed.body));
    await exchange.fact({ kind: 'sessionKeyRevoked', account, key, validUntil: inAnHour });
    const refused = await bySession();
    assert.ok([401, 422].includes(refused.status), JSON.stringify(refused.body));
  });

  it('cannot win twice when a cancel races a fill', async () => {
    let filled = 0;
    let cancelled = 0;
    for (let round = 0; round < 20; round++) {
      const resting = await place(await signedOrder(exchange, maker, { lane: lane++, lots: 10, ticks: 300_000 }));
      assert.equal(resting.status, 201, JSON.stringify(resting.body));
      const { id } = resting.body.order;
      const taking = await signedOrder(exchange, taker, {
        side: 'buy',
        lane: lane++,
        lots: 10,
        ticks: 300_000,
        timeInForce: 'ioc',
      });
      const cancel = (): Promise<Answer> => signedSend(exchange.url, makerKey, 'DELETE', `/api/v1/orders/${id}`);
      const [first, second] = round % 2 === 0 ? [cancel, () => place(taking)] : [() => place(taking), cancel];
      const answers = await Promise.all([first(), second()]);
      const [cancelling, took] = round % 2 === 0 ? answers : answers.toReversed();
      const { status } = (await signedSend(exchange.url, makerKey, 'GET', `/api/v1/orders/${id}`)).body;
      if (took?.body.order?.status === 'filled') {
        filled++;
        assert.equal(status, 'filled');
        assert.notEqual(cancelling?.status, 200, 'a filled order was not cancelled');
      } else {
        cancelled++;
        assert.equal(status, 'cancelled');
        assert.equal(cancelling?.status, 200, JSON.stringify(cancelling?.body));
      }
    }
    assert.equal(filled + cancelled, 20);
    await exchange.projected();
    const { rows } = await exchange.pool.query<{ count: string }>(
      'SELECT count(*) AS count FROM trades WHERE price_ticks = 300000',
    );
    assert.equal(Number(rows[0]?.count), filled, 'one trade for each order that was filled');
  });

  it('are dropped when they trickle headers (slow loris)', async () => {
    const trickling = await exchange.gatewayWith({ requestTimeoutMs: 300 });
    const socket = connect(Number(new URL(trickling.url).port), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write('GET /api/v1/time HTTP/1.1\r\nHost: x\r\n');
    const drip = setInterval(() => socket.write('X-Slow: 1\r\n'), 100);
    try {
      const text = await new Promise<string>((resolve) => {
        let received = '';
        socket.on('data', (bytes) => {
          received += String(bytes);
        });
        socket.on('close', () => resolve(received));
      });
      assert.match(text, /^HTTP\/1.1 408/);
    } finally {
      clearInterval(drip);
      await trickling.close();
    }
  });

  it('get no more sockets than the limit for an address', async () => {
    const limited = await exchange.secondGateway({ socketsPerAddressMax: 2 });
    const url = `${limited.url.replace('http', 'ws')}/ws`;
    const sockets = [new WebSocket(url), new WebSocket(url), new WebSocket(url)];
    const codes = await Promise.all(
      sockets.map(
        (socket) =>
          new Promise<number>((resolve) => {
            socket.addEventListener('close', ({ code }) => resolve(code));
            socket.addEventListener('open', () => setTimeout(() => resolve(0), 300));
          }),
      ),
    );
    assert.deepEqual(
      codes.toSorted((left, right) => left - right),
      [0, 0, 4029],
    );
    for (const socket of sockets) socket.close();
    await limited.close();
  });

  it(`may open ${CONNECTIONS.toLocaleString('en')} connections while others trade`, async function () {
    this.timeout(180_000);
    const crowded = await exchange.secondGateway({
      socketsMax: 2 * CONNECTIONS,
      socketsPerAddressMax: 2 * CONNECTIONS,
      requestsMax: 2 * CONNECTIONS,
    });
    const program = fileURLToPath(new URL('support/many-sockets.ts', import.meta.url));
    const crowd = fork(program, [new URL(crowded.url).port, String(CONNECTIONS)]);
    try {
      const { open, refused } = await new Promise<{ open: number; refused: number }>((resolve, reject) => {
        crowd.once('message', (message) => resolve(message as { open: number; refused: number }));
        crowd.once('exit', (code) => reject(new Error(`the crowd ended with ${code}`)));
      });
      // A machine with a lower limit of open files holds fewer; it must then hold those.
      assert.equal(open + refused, CONNECTIONS);
      assert.ok(open === CONNECTIONS || open >= 500, `only ${open} connections were held`);
      const body = await signedOrder(exchange, maker, { lane: lane++, lots: 1, ticks: 600_000 });
      assert.equal((await send(crowded.url, 'POST', '/api/v1/orders', { body })).status, 201);
      assert.equal((await send(crowded.url, 'GET', '/api/v1/time')).status, 200);
    } finally {
      crowd.disconnect();
      await new Promise((resolve) => crowd.once('exit', resolve));
      await crowded.close();
    }
  });
});
