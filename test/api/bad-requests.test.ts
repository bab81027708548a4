/** Whatever is wrong with a request is said clearly, as a problem document, and changes nothing. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { type ApiExchange, signedOrder, startApiExchange, type Wallet } from './support/api-exchange.ts';
import { type Answer, send } from './support/client.ts';

describe('bad requests', () => {
  let exchange: ApiExchange;
  let wallet: Wallet;

  before(async () => {
    exchange = await startApiExchange();
    wallet = await exchange.fundedWallet();
  });
  after(async () => {
    await exchange.stop();
  });

  /** Every member of a problem document is there, and nothing reached the engine. */
  async function assertProblem(answer: Answer, status: number, code: string, sequence: number): Promise<void> {
    assert.equal(answer.status, status, JSON.stringify(answer.body));
    assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/);
    const { type, title, detail, instance, retryable, errors } = answer.body;
    assert.equal(answer.body.code, code);
    assert.equal(answer.body.status, status);
    for (const text of [type, title, detail, instance]) assert.equal(typeof text, 'string');
    assert.equal(typeof retryable, 'boolean');
    assert.ok(Array.isArray(errors));
    assert.ok(answer.headers.get('x-request-id'));
    assert.equal(exchange.engine.lastSequence, sequence);
    assert.equal((await fetch(type)).status, 200, `the page ${type}`);
  }

  const orderFaults: [string, Record<string, unknown>, string, string][] = [
    ['a zero amount', { baseAmount: '0' }, '/order/baseAmount', 'size_zero'],
    ['a negative amount', { baseAmount: '-1' }, '/order/baseAmount', 'bad_format'],
    ['an amount of 2^256', { quoteAmount: (2n ** 256n).toString() }, '/order/quoteAmount', 'bad_integer'],
    ['an exponent in an amount', { baseAmount: '1e18' }, '/order/baseAmount', 'bad_format'],
    ['NaN as an amount', { baseAmount: 'NaN' }, '/order/baseAmount', 'bad_format'],
    ['a decimal amount', { baseAmount: '1.5' }, '/order/baseAmount', 'bad_format'],
    ['an amount as a number', { baseAmount: 1000 }, '/order/baseAmount', 'wrong_type'],
    ['hex in an amount', { baseAmount: '0xff' }, '/order/baseAmount', 'bad_format'],
    ['a leading zero', { baseAmount: '01' }, '/order/baseAmount', 'bad_format'],
    ['an amount off lot', { baseAmount: '1500000000000001' }, '/order/baseAmount', 'off_lot'],
    ['a price off tick', { quoteAmount: '2000000001' }, '/order/quoteAmount', 'off_tick'],
    ['an unknown pair', { quoteToken: `0x${'9'.repeat(40)}` }, '/order/baseToken', 'unknown_pair'],
    ['a short address', { account: '0x1234' }, '/order/account', 'bad_format'],
    ['an unknown side', { side: 'BUY' }, '/order/side', 'bad_value'],
    ['an unknown time in force', { timeInForce: 'day' }, '/order/timeInForce', 'bad_value'],
    ['a string where a boolean is due', { postOnly: 'false' }, '/order/postOnly', 'wrong_type'],
    ['a nonce beyond 2^64', { nonce: '99999999999999999999' }, '/order/nonce', 'bad_integer'],
    ['a nonce without sequence', { nonce: '0' }, '/order/nonce', 'bad_nonce'],
    ['a fee above the cap', { maxFeePpm: 50_001 }, '/order/maxFeePpm', 'max_fee_too_high'],
    ['a negative fee', { maxFeePpm: -1 }, '/order/maxFeePpm', 'out_of_range'],
    ['a misspelt field', { postonly: true }, '/order/postonly', 'unknown_field'],
  ];
  for (const [what, change, pointer, code] of orderFaults) {
    it(`refuses ${what}`, async () => {
      const body = await signedOrder(exchange, wallet);
      const sequence = exchange.engine.lastSequence;
      const answer = await send(exchange.url, 'POST', '/api/v1/orders', {
        body: { ...body, order: { ...body.order, ...change } },
      });
      await assertProblem(answer, 400, 'VALIDATION_FAILED', sequence);
      const fault = answer.body.errors.find((error: { pointer: string }) => error.pointer === pointer);
      assert.equal(fault?.code, code, JSON.stringify(answer.body.errors));
    });
  }

  it('names every missing field at once', async () => {
    const answer = await send(exchange.url, 'POST', '/api/v1/orders', { body: { order: {} } });
    await assertProblem(answer, 400, 'VALIDATION_FAILED', exchange.engine.lastSequence);
    const pointers = answer.body.errors.map(({ pointer }: { pointer: string }) => pointer);
    for (const pointer of ['/signature', '/order/account', '/order/maxFeePpm'])
      assert.ok(pointers.includes(pointer), pointer);
  });

  const bodyFaults: [string, string, number, string][] = [
    ['an empty body', '', 400, 'VALIDATION_FAILED'],
    ['a body that is a list', '[]', 400, 'VALIDATION_FAILED'],
    ['a duplicate key', '{"signature":"0x","signature":"0x"}', 400, 'MALFORMED_JSON'],
    ['deep nesting', '['.repeat(5_000), 400, 'MALFORMED_JSON'],
    ['a cut body', '{"order":', 400, 'MALFORMED_JSON'],
    ['10 MB', `{"order":"${'x'.repeat(10 * 1024 * 1024)}"}`, 413, 'PAYLOAD_TOO_LARGE'],
  ];
  for (const [what, raw, status, code] of bodyFaults) {
    it(`refuses ${what}`, async () => {
      const answer = await send(exchange.url, 'POST', '/api/v1/orders', { raw });
      await assertProblem(answer, status, code, exchange.engine.lastSequence);
    });
  }

  it('refuses another content type', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/xml']) {
      const answer = await send(exchange.url, 'POST', '/api/v1/orders', {
        raw: '{}',
        headers: { 'content-type': type },
      });
      await assertProblem(answer, 415, 'UNSUPPORTED_MEDIA_TYPE', exchange.engine.lastSequence);
    }
  });

  const queryFaults: [string, number, string, string][] = [
    ['/markets/WETH-USDC/trades?limit=0', 400, 'VALIDATION_FAILED', 'query/limit'],
    ['/markets/WETH-USDC/trades?limit=1001', 400, 'VALIDATION_FAILED', 'query/limit'],
    ['/markets/WETH-USDC/trades?limit=5&limit=6', 400, 'VALIDATION_FAILED', 'query/limit'],
    ['/markets/WETH-USDC/trades?limit=1e2', 400, 'VALIDATION_FAILED', 'query/limit'],
    ['/markets/WETH-USDC/trades?limt=5', 400, 'VALIDATION_FAILED', 'query/limt'],
    ['/markets/WETH-USDC/trades?cursor=none', 400, 'VALIDATION_FAILED', ''],
    ['/markets/WETH-USDC/depth?levels=5000', 400, 'VALIDATION_FAILED', 'query/levels'],
    ['/markets/WETH-USDC/candles?interval=2m', 400, 'VALIDATION_FAILED', 'query/interval'],
    ['/batches/x', 400, 'VALIDATION_FAILED', 'path/id'],
    ['/transactions/0x12/fills', 400, 'VALIDATION_FAILED', 'path/hash'],
    ['/exit/0x12', 400, 'VALIDATION_FAILED', 'path/address'],
    ['/markets/NONE-SUCH', 404, 'NOT_FOUND', ''],
    ['/batches/99', 404, 'NOT_FOUND', ''],
    [`/orders/0x${'0'.repeat(64)}/proof`, 404, 'NOT_FOUND', ''],
    ['/no-such-path', 404, 'NOT_FOUND', ''],
    ['/markets/%zz', 400, 'VALIDATION_FAILED', ''],
  ];
  for (const [path, status, code, pointer] of queryFaults) {
    it(`answers ${status} to GET ${path}`, async () => {
      const answer = await send(exchange.url, 'GET', `/api/v1${path}`);
      await assertProblem(answer, status, code, exchange.engine.lastSequence);
      if (pointer !== '') assert.equal(answer.body.errors[0]?.pointer, pointer);
    });
  }

  it('limits requests of one address and says when to go on', async () => {
    const limited = await exchange.secondGateway({ requestsMax: 2, windowMs: 10 ** 13 });
    try {
      const first = await send(limited.url, 'GET', '/api/v1/time');
      assert.equal(first.headers.get('ratelimit-limit'), '2');
      assert.equal(first.headers.get('ratelimit-remaining'), '1');
      assert.ok(first.headers.get('ratelimit-reset'));
      await send(limited.url, 'GET', '/api/v1/time');
      const third = await send(limited.url, 'GET', '/api/v1/time');
      assert.equal(third.status, 429);
      assert.equal(third.body.code, 'RATE_LIMITED');
      assert.ok(Number(third.headers.get('retry-after')) > 0);
    } finally {
      await limited.close();
    }
  });

  it('survives a client that is not speaking HTTP', async () => {
    const { port } = new URL(exchange.url);
    const socket = connect(Number(port), '127.0.0.1');
    socket.write('this is not HTTP\r\n\r\n');
    await new Promise((resolve) => socket.once('close', resolve).resume());
    assert.equal((await send(exchange.url, 'GET', '/api/v1/ping')).status, 200);
  });

  it('keeps a harmless request id and replaces another', async () => {
    const kept = await send(exchange.url, 'GET', '/api/v1/ping', { headers: { 'x-request-id': 'my-id.1' } });
    assert.equal(kept.headers.get('x-request-id'), 'my-id.1');
    const replaced = await send(exchange.url, 'GET', '/api/v1/ping', { headers: { 'x-request-id': 'x"}{' } });
    assert.notEqual(replaced.headers.get('x-request-id'), 'x"}{');
  });

  it('answers preflights of any origin', async () => {
    const answer = await send(exchange.url, 'OPTIONS', '/api/v1/orders', {
      headers: { origin: 'https://dapp.example' },
    });
    assert.equal(answer.status, 204);
    assert.equal(answer.headers.get('access-control-allow-origin'), '*');
    assert.match(answer.headers.get('access-control-allow-headers') ?? '', /tallystick-key/);
  });
});
