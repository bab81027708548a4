/** /asyncapi.json against the socket itself: every message that either side sends is one that the document describes. */
import assert from 'node:assert/strict';
import { Compile, type XSchema } from 'typebox/schema';
import { OPERATIONS } from '../../src/api/stream/protocol.ts';
import { type ApiExchange, signedOrder, startApiExchange, type Wallet } from './support/api-exchange.ts';
import { type Json, type KeyHolder, makeKey, send } from './support/client.ts';
import { SocketClient } from './support/socket-client.ts';

describe('AsyncAPI', () => {
  let exchange: ApiExchange;
  let document: Json;
  let maker: Wallet;
  let key: KeyHolder;

  before(async () => {
    exchange = await startApiExchange();
    maker = await exchange.fundedWallet();
    key = await makeKey(exchange.url, maker);
    document = (await send(exchange.url, 'GET', '/asyncapi.json')).body;
  });
  after(async () => {
    await exchange.stop();
  });

  const assertFits = (name: string, value: unknown): void => {
    const schema = document.components.messages[name]?.payload as XSchema | undefined;
    assert.ok(schema, `${name} is not described`);
    const [fits, errors] = Compile(schema).Errors(value);
    assert.ok(fits, `${name}: ${JSON.stringify(errors)} in ${JSON.stringify(value)}`);
  };

  it('describes every operation, and refers to nothing that is not there', () => {
    assert.equal(document.asyncapi, '3.0.0');
    assert.deepEqual(Object.keys(document.operations).sort(), [...Object.keys(OPERATIONS), 'tell'].sort());
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path ?? '');
    assert.ok(references.length > 40);
    for (const path of references) {
      const target = path.split('/').reduce((at: Json, step) => at?.[step], document);
      assert.ok(target, path);
    }
  });

  it('describes what both sides say', async () => {
    const client = await new SocketClient(exchange.url).open();
    const seen = new Set<string>();
    const ask = async (message: Readonly<Record<string, unknown>>): Promise<Json> => {
      assertFits(`${String(message['op'])}Request`, { id: 1, ...message });
      const answer = await client.ask(message);
      const name = { ack: `${String(message['op'])}Ack`, error: 'error', pong: 'pong' }[answer.op as string] ?? 'none';
      assertFits(name, answer);
      seen.add(name);
      return answer;
    };
    const told = async (channel: string): Promise<void> => {
      const message = await client.of(channel);
      assertFits(channel, message);
      seen.add(`${channel} ${message.type}`);
    };
    const market = 'WETH-USDC';
    await ask({ op: 'ping' });
    await ask({ op: 'subscribe', channel: 'orders' });
    await ask(client.loginBy(key));
    for (const channel of ['depth', 'trades', 'ticker']) await ask({ op: 'subscribe', channel, market });
    for (const channel of ['batches', 'orders', 'fills', 'balances']) await ask({ op: 'subscribe', channel });
    for (const channel of ['depth', 'trades', 'ticker', 'batches', 'orders', 'fills', 'balances']) await told(channel);

    await ask({ op: 'cancelOnDisconnect', enabled: true });
    const { order } = await ask({ op: 'place', ...(await signedOrder(exchange, maker, { lots: 10 })) });
    await ask({ op: 'reduce', orderId: order.id, remaining: '0.005' });
    await ask({ op: 'cancelAfter', timeoutMs: 60_000 });
    await ask({ op: 'cancelAfter', timeoutMs: 0 });
    await ask({ op: 'resume', channel: 'depth', market, fromSeq: 1 });
    const taker = await exchange.fundedWallet();
    const body = await signedOrder(exchange, taker, { side: 'buy', lots: 2, timeInForce: 'ioc' });
    assert.equal((await send(exchange.url, 'POST', '/api/v1/orders', { body })).status, 201);
    for (const channel of ['trades', 'ticker', 'orders', 'fills', 'balances']) await told(channel);
    await told('depth');
    await ask({ op: 'cancel', orderId: order.id });
    await ask({ op: 'cancelAll' });
    await ask({ op: 'unsubscribe', channel: 'depth', market });
    await client.close();

    const wanted = [
      ...Object.keys(OPERATIONS).map((op) => (op === 'ping' ? 'pong' : `${op}Ack`)),
      'error',
      ...['depth', 'trades', 'ticker', 'batches', 'orders', 'fills', 'balances'].map((name) => `${name} snapshot`),
      ...['trades', 'ticker', 'orders', 'fills', 'balances'].map((name) => `${name} delta`),
    ];
    for (const name of wanted) assert.ok(seen.has(name), `${name} was not seen`);
  });
});
