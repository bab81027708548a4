/** API keys and wallet signatures: what they open, and every way in which they must not. */
import assert from 'node:assert/strict';
import { CANCEL_TYPES } from '../../src/domain/typed-data.ts';
import {
  type ApiExchange,
  apiKeyBody,
  DOMAIN,
  signedOrder,
  startApiExchange,
  type Wallet,
} from './support/api-exchange.ts';
import { type KeyHolder, keyHeaders, makeKey, secretOf, send, signedSend } from './support/client.ts';

describe('authentication', () => {
  let exchange: ApiExchange;
  let wallet: Wallet;
  let other: Wallet;
  let key: KeyHolder;
  let lane = 0;

  before(async () => {
    exchange = await startApiExchange();
    wallet = await exchange.fundedWallet();
    other = await exchange.fundedWallet();
    key = await makeKey(exchange.url, wallet);
  });
  after(async () => {
    await exchange.stop();
  });

  const place = async () => {
    const body = await signedOrder(exchange, wallet, { lane: lane++, ticks: 500_000, lots: 10 });
    return (await send(exchange.url, 'POST', '/api/v1/orders', { body })).body.order;
  };
  const walletHeaders = async (
    signer: Wallet,
    scope: string,
    timestamp = Date.now(),
  ): Promise<Record<string, string>> => ({
    'tallystick-account': signer.address,
    'tallystick-timestamp': String(timestamp),
    'tallystick-wallet-signature': await signer.signTypedData({
      domain: DOMAIN,
      types: CANCEL_TYPES,
      primaryType: 'Cancel',
      message: { account: signer.address, scope, timestamp: BigInt(timestamp) },
    }),
  });

  it('gives the same key for the same signature, and stores no secret', async () => {
    const body = await apiKeyBody(wallet);
    const first = await send(exchange.url, 'POST', '/api/v1/auth/keys', { body });
    const again = await send(exchange.url, 'POST', '/api/v1/auth/keys', { body });
    assert.deepEqual([first.status, again.status], [201, 200]);
    assert.equal(first.body.secret, again.body.secret);
    assert.equal(first.body.secret, secretOf(first.body.keyId));
    const { rows } = await exchange.pool.query('SELECT * FROM api_keys');
    assert.ok(!JSON.stringify(rows).includes(first.body.secret));
  });

  it('makes no key from the signature of somebody else, an old one, or for scopes that do not exist', async () => {
    const forged = { ...(await apiKeyBody(other)), account: wallet.address };
    assert.equal(
      (await send(exchange.url, 'POST', '/api/v1/auth/keys', { body: forged })).body.code,
      'INVALID_SIGNATURE',
    );
    const old = await apiKeyBody(wallet, { timestamp: Date.now() - 600_000 });
    assert.equal((await send(exchange.url, 'POST', '/api/v1/auth/keys', { body: old })).body.code, 'UNAUTHENTICATED');
    const withdraw = await apiKeyBody(wallet, { scopes: 'read,withdraw' });
    assert.equal(
      (await send(exchange.url, 'POST', '/api/v1/auth/keys', { body: withdraw })).body.code,
      'VALIDATION_FAILED',
    );
    const widened = { ...(await apiKeyBody(wallet, { scopes: 'read' })), scopes: 'read,cancel,trade' };
    assert.equal(
      (await send(exchange.url, 'POST', '/api/v1/auth/keys', { body: widened })).body.code,
      'INVALID_SIGNATURE',
    );
  });

  it('reads with a signed request', async () => {
    const answer = await signedSend(exchange.url, key, 'GET', '/api/v1/balances');
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.equal(answer.body.account, wallet.address);
    assert.deepEqual(
      answer.body.data.map(({ asset, available }: Record<string, string>) => [asset, available]),
      [
        ['WETH', '100'],
        ['USDC', '1000000'],
      ],
    );
  });

  const path = '/api/v1/balances';
  const refusals: [string, () => Record<string, string>, string][] = [
    ['no credentials', () => ({}), 'missing'],
    [
      'a key without signature',
      () => ({ 'tallystick-key': key.keyId, 'tallystick-timestamp': String(Date.now()) }),
      'missing',
    ],
    [
      'an unknown key',
      () => ({ ...keyHeaders(key, 'GET', path), 'tallystick-key': `tk_${'0'.repeat(24)}` }),
      'bad_signature',
    ],
    ['a signature for another path', () => keyHeaders(key, 'GET', '/api/v1/fills'), 'bad_signature'],
    ['a signature for another method', () => keyHeaders(key, 'DELETE', path), 'bad_signature'],
    ['a signature for another body', () => keyHeaders(key, 'GET', path, '{}'), 'bad_signature'],
    ['another secret', () => keyHeaders({ ...key, secret: 'guess' }, 'GET', path), 'bad_signature'],
    ['an old timestamp', () => keyHeaders(key, 'GET', path, '', Date.now() - 6_000), 'outside_window'],
    ['a timestamp ahead', () => keyHeaders(key, 'GET', path, '', Date.now() + 10_000), 'outside_window'],
    ['no timestamp', () => ({ ...keyHeaders(key, 'GET', path), 'tallystick-timestamp': 'now' }), 'missing'],
    [
      'a window too wide',
      () => ({ ...keyHeaders(key, 'GET', path), 'tallystick-receive-window': '999999' }),
      'bad_value',
    ],
  ];
  for (const [what, headers, code] of refusals) {
    it(`refuses ${what}`, async () => {
      const answer = await send(exchange.url, 'GET', path, { headers: headers() });
      assert.equal(answer.status, 401);
      assert.equal(answer.body.code, 'UNAUTHENTICATED');
      assert.equal(answer.body.errors[0].code, code);
    });
  }

  it('takes an older request within the window that it asks for', async () => {
    const headers = { ...keyHeaders(key, 'GET', path, '', Date.now() - 20_000), 'tallystick-receive-window': '30000' };
    assert.equal((await send(exchange.url, 'GET', path, { headers })).status, 200);
  });

  it('keeps a key to its scopes', async () => {
    const reader = await makeKey(exchange.url, wallet, { scopes: 'read', timestamp: Date.now() - 1 });
    const { id } = await place();
    const refused = await signedSend(exchange.url, reader, 'DELETE', `/api/v1/orders/${id}`);
    assert.equal(refused.status, 403);
    assert.equal(refused.body.errors[0].code, 'missing_scope');
  });

  it('ends a key when it expires and when it is revoked', async () => {
    const short = await makeKey(exchange.url, wallet, { expiry: Date.now() + 150 });
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal((await signedSend(exchange.url, short, 'GET', path)).body.errors[0].code, 'expired');
    const revoked = await makeKey(exchange.url, wallet, { timestamp: Date.now() - 2 });
    assert.equal((await signedSend(exchange.url, revoked, 'DELETE', `/api/v1/auth/keys/${revoked.keyId}`)).status, 200);
    assert.equal((await signedSend(exchange.url, revoked, 'GET', path)).body.errors[0].code, 'revoked');
    const { data } = (await signedSend(exchange.url, key, 'GET', '/api/v1/auth/keys')).body;
    assert.ok(data.find((entry: { keyId: string }) => entry.keyId === revoked.keyId).revokedAt > 0);
  });

  it('cancels with a key, and once more without harm', async () => {
    const { id } = await place();
    const cancelled = await signedSend(exchange.url, key, 'DELETE', `/api/v1/orders/${id}`);
    assert.equal(cancelled.status, 200, JSON.stringify(cancelled.body));
    assert.equal(cancelled.body.status, 'cancelled');
    assert.equal(cancelled.body.reason, 'requested');
    const again = await signedSend(exchange.url, key, 'DELETE', `/api/v1/orders/${id}`);
    assert.equal(again.status, 200);
    assert.equal(again.body.status, 'cancelled');
  });

  it('reduces what an order has left with a key, and once more without harm', async () => {
    const { id, size } = await place();
    const reducePath = `/api/v1/orders/${id}/reduce`;
    const reduce = async (remaining: string, by = key) =>
      signedSend(exchange.url, by, 'POST', reducePath, { remaining });
    const half = String(Number(size) / 2);
    for (let time = 0; time < 2; time++) {
      const reduced = await reduce(half);
      assert.equal(reduced.status, 200, JSON.stringify(reduced.body));
      assert.deepEqual([reduced.body.status, reduced.body.remaining], ['open', half]);
    }
    const more = await reduce(size);
    assert.deepEqual([more.body.code, more.body.reason], ['ORDER_REJECTED', 'not_smaller']);
    for (const bad of ['0', '0.000000000001']) assert.equal((await reduce(bad)).body.code, 'VALIDATION_FAILED', bad);
    const reader = await makeKey(exchange.url, wallet, { scopes: 'read', timestamp: Date.now() - 3 });
    assert.equal((await reduce(half, reader)).status, 403);
    assert.equal((await reduce(half, await makeKey(exchange.url, other))).status, 404);
    assert.equal((await signedSend(exchange.url, key, 'DELETE', `/api/v1/orders/${id}`)).status, 200);
    assert.equal((await reduce(half)).body.reason, 'order_not_found');
  });

  it('hides orders of other accounts', async () => {
    const { id } = await place();
    const stranger = await makeKey(exchange.url, other);
    assert.equal((await signedSend(exchange.url, stranger, 'GET', `/api/v1/orders/${id}`)).status, 404);
    assert.equal((await signedSend(exchange.url, stranger, 'DELETE', `/api/v1/orders/${id}`)).status, 404);
    assert.equal((await signedSend(exchange.url, key, 'GET', `/api/v1/orders/${id}`)).body.status, 'open');
  });

  it('cancels by the wallet alone, for exactly what was signed', async () => {
    const { id } = await place();
    const wrongScope = await send(exchange.url, 'DELETE', `/api/v1/orders/${id}`, {
      headers: await walletHeaders(wallet, 'all'),
    });
    assert.equal(wrongScope.body.code, 'INVALID_SIGNATURE');
    const stranger = { ...(await walletHeaders(other, `order:${id}`)), 'tallystick-account': wallet.address };
    assert.equal(
      (await send(exchange.url, 'DELETE', `/api/v1/orders/${id}`, { headers: stranger })).body.code,
      'INVALID_SIGNATURE',
    );
    const old = await walletHeaders(wallet, `order:${id}`, Date.now() - 400_000);
    assert.equal(
      (await send(exchange.url, 'DELETE', `/api/v1/orders/${id}`, { headers: old })).body.code,
      'UNAUTHENTICATED',
    );
    const headers = await walletHeaders(wallet, `order:${id}`);
    assert.equal((await send(exchange.url, 'DELETE', `/api/v1/orders/${id}`, { headers })).status, 200);
  });

  it('cancels everything, or one market, and tells what it ended', async () => {
    const first = await place();
    const one = await signedSend(exchange.url, key, 'DELETE', '/api/v1/orders?market=weth-usdc');
    assert.ok(one.body.cancelled.includes(first.id));
    const second = await place();
    const all = await send(exchange.url, 'DELETE', '/api/v1/orders', { headers: await walletHeaders(wallet, 'all') });
    assert.deepEqual(all.body.cancelled, [second.id]);
  });

  it("sets and clears the dead man's switch", async () => {
    const { id } = await place();
    const set = await signedSend(exchange.url, key, 'POST', '/api/v1/orders/cancel-after', { timeoutMs: 1_000 });
    assert.equal(set.status, 200, JSON.stringify(set.body));
    assert.ok(set.body.deadline > Date.now());
    const cleared = await signedSend(exchange.url, key, 'POST', '/api/v1/orders/cancel-after', { timeoutMs: 0 });
    assert.equal(cleared.body.deadline, null);
    assert.equal((await signedSend(exchange.url, key, 'GET', `/api/v1/orders/${id}`)).body.status, 'open');
  });
});
