/** Accounts without a deposit do not reach the engine, and nobody is refused whose deposit is credited. */
import assert from 'node:assert/strict';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import type { SignaturePool } from '../../src/chain/signature-pool.ts';
import { createSignaturePool } from '../../src/chain/signature-pool.ts';
import { CANCEL_TYPES, WITHDRAWAL_TYPES } from '../../src/domain/typed-data.ts';
import type { Address, JournalSequence, Quanta } from '../../src/domain/units.ts';
import {
  type ApiExchange,
  DOMAIN,
  QUOTE_TOKEN,
  signedOrder,
  startApiExchange,
  type Wallet,
} from './support/api-exchange.ts';
import { type Answer, type Json, makeKey, send, signedSend } from './support/client.ts';
import { SocketClient } from './support/socket-client.ts';

const WINDOW_MS = 10 ** 13;
const stranger = (): Wallet => privateKeyToAccount(generatePrivateKey());
const accountOf = (wallet: Wallet): Address => wallet.address.toLowerCase() as Address;

describe('accounts without a deposit', () => {
  let exchange: ApiExchange;
  let signatures: SignaturePool;
  let checked = 0;
  let lane = 0;

  before(async () => {
    signatures = createSignaturePool(DOMAIN, { workers: 1 });
    exchange = await startApiExchange({
      signatures: {
        ...signatures,
        check: (signed) => {
          checked++;
          return signatures.check(signed);
        },
      },
    });
  });
  after(async () => {
    await exchange.stop();
    await signatures.close();
  });

  const order = (wallet: Wallet, input: Parameters<typeof signedOrder>[2] = {}): Promise<Json> =>
    signedOrder(exchange, wallet, { lane: lane++, side: 'buy', lots: 10, ...input });
  const place = (body: unknown, url = exchange.url): Promise<Answer> => send(url, 'POST', '/api/v1/orders', { body });
  const deposit = (wallet: Wallet): Promise<void> =>
    exchange.fact({ kind: 'depositCredited', account: accountOf(wallet), asset: 1, amount: 1_000_000_000 as Quanta });
  /** Runs `work`; the journal must not have grown by it. */
  const withoutJournal = async (work: () => Promise<void>): Promise<void> => {
    const before = exchange.engine.lastSequence;
    await work();
    assert.equal(exchange.engine.lastSequence, before, 'the journal has grown');
  };

  it('are told what to do, before their signature costs anything, and leave no trace in the journal', async () => {
    const wallet = stranger();
    await withoutJournal(async () => {
      const before = checked;
      const refused = await place(await order(wallet));
      assert.equal(refused.status, 422, JSON.stringify(refused.body));
      assert.deepEqual(
        [refused.body.code, refused.body.retryable, refused.body.errors[0].pointer, refused.body.errors[0].code],
        ['ACCOUNT_UNKNOWN', false, '/order/account', 'account_unknown'],
      );
      assert.match(refused.body.detail, new RegExp(`${wallet.address} never had a deposit.*Deposit first.*/contracts`));
      assert.equal(checked, before, 'the signature was checked');
    });
    const page = await send(exchange.url, 'GET', '/docs/errors/ACCOUNT_UNKNOWN');
    assert.match(page.body, /Deposit first/);
  });

  it('do not get to the engine on any other way', async () => {
    const wallet = stranger();
    const key = await makeKey(exchange.url, wallet);
    const client = await new SocketClient(exchange.url).open();
    await client.login(key);
    const withdrawal = {
      account: wallet.address,
      token: QUOTE_TOKEN,
      amount: '1000000',
      recipient: wallet.address,
      nonce: '1',
      expiry: String(Math.floor(Date.now() / 1000) + 3_600),
      maxFee: '1000000',
    };
    const signature = await wallet.signTypedData({
      domain: DOMAIN,
      types: WITHDRAWAL_TYPES,
      primaryType: 'Withdrawal',
      message: { ...withdrawal, amount: 1_000_000n, nonce: 1n, expiry: BigInt(withdrawal.expiry), maxFee: 1_000_000n },
    });
    await withoutJournal(async () => {
      const batch = { orders: [await order(wallet), await order(stranger())] };
      const { results } = (await send(exchange.url, 'POST', '/api/v1/orders/batch', { body: batch })).body;
      const answers: Json[] = [
        ...results.map(({ problem }: Json) => problem),
        (await client.ask({ op: 'place', ...(await order(wallet)) })).error,
        (await client.ask({ op: 'cancelOnDisconnect', enabled: true })).error,
        (await send(exchange.url, 'POST', '/api/v1/withdrawals', { body: { withdrawal, signature } })).body,
        (await signedSend(exchange.url, key, 'POST', '/api/v1/orders/cancel-after', { timeoutMs: 5_000 })).body,
      ];
      for (const answer of answers) assert.equal(answer.code, 'ACCOUNT_UNKNOWN', JSON.stringify(answer));
      // Nothing to cancel is no mistake.
      assert.deepEqual((await signedSend(exchange.url, key, 'DELETE', '/api/v1/orders')).body, { cancelled: [] });
      assert.deepEqual((await client.ask({ op: 'cancelAll' })).cancelled, []);
      await client.close();
    });
  });

  it('see it in a dry run', async () => {
    const { body } = await send(exchange.url, 'POST', '/api/v1/orders/validate', { body: await order(stranger()) });
    const codes = body.problems.map(({ code }: Json) => code);
    assert.deepEqual(codes, ['account_unknown', 'insufficient_balance']);
  });

  it('may trade the moment their deposit is credited, whatever was answered before, at every gateway', async () => {
    const other = await exchange.secondGateway();
    try {
      for (let round = 0; round < 20; round++) {
        const wallet = stranger();
        for (const url of [exchange.url, other.url])
          assert.equal((await place(await order(wallet), url)).body.code, 'ACCOUNT_UNKNOWN');
        await deposit(wallet);
        const answers = await Promise.all(
          [exchange.url, other.url].map(async (url) => place(await order(wallet), url)),
        );
        for (const { status, body } of answers) assert.equal(status, 201, JSON.stringify(body));
      }
    } finally {
      await other.close();
    }
  });

  it('are let through while their deposit is on its way: the engine decides', async () => {
    const wallet = stranger();
    const fact = { kind: 'depositCredited', account: accountOf(wallet), asset: 1, amount: 1_000_000_000 };
    await exchange.pool.query(
      `INSERT INTO chain_events (event_sequence, block_number, tx_hash, log_index, kind, payload)
       VALUES (1000, 10, '\\x01', 0, 'depositCredited', $1)`,
      [JSON.stringify(fact)],
    );
    try {
      const answer = await place(await order(wallet));
      assert.deepEqual([answer.body.code, answer.body.reason], ['ORDER_REJECTED', 'insufficient_balance']);
    } finally {
      await exchange.pool.query('DELETE FROM chain_events WHERE event_sequence = 1000');
    }
  });

  it('are neither refused nor let through while the balances are far behind the journal', async () => {
    const [wallet, known] = [stranger(), stranger()];
    await deposit(known);
    await exchange.projected();
    const key = await makeKey(exchange.url, wallet);
    const client = await exchange.pool.connect();
    try {
      // Holds up the projector alone: reads go on.
      await client.query('BEGIN; LOCK TABLE projection_cursor IN EXCLUSIVE MODE');
      await deposit(wallet);
      const held = await place(await order(wallet));
      assert.equal(held.status, 503, JSON.stringify(held.body));
      assert.deepEqual([held.body.code, held.body.retryable], ['NOT_READY', true]);
      assert.ok(Number(held.headers.get('retry-after')) > 0);
      assert.equal((await place(await order(known))).status, 201);
      const before = exchange.engine.lastSequence;
      assert.equal((await signedSend(exchange.url, key, 'DELETE', '/api/v1/orders')).status, 200);
      assert.equal(exchange.engine.lastSequence, (before + 1) as JournalSequence, 'a cancel goes to the engine');
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
    await exchange.projected();
    assert.equal((await place(await order(wallet))).status, 201);
  });

  it('count against the rate limit of their address, over HTTP, in batches and over the WebSocket', async () => {
    const limited = await exchange.secondGateway({ ordersMax: 6, windowMs: WINDOW_MS });
    const client = await new SocketClient(limited.url).open();
    try {
      await withoutJournal(async () => {
        assert.equal((await place(await order(stranger()), limited.url)).status, 422);
        assert.equal((await client.ask({ op: 'place', ...(await order(stranger())) })).error.code, 'ACCOUNT_UNKNOWN');
        const orders = [await order(stranger()), await order(stranger()), await order(stranger())];
        const batch = await send(limited.url, 'POST', '/api/v1/orders/batch', { body: { orders } });
        assert.equal(batch.headers.get('ratelimit-remaining'), '1');
        assert.equal((await place(await order(stranger()), limited.url)).status, 422);
        assert.equal((await place(await order(stranger()), limited.url)).status, 429);
        assert.equal((await client.ask({ op: 'place', ...(await order(stranger())) })).error.code, 'RATE_LIMITED');
      });
    } finally {
      await client.close();
      await limited.close();
    }
  });

  it('cannot cancel in the name of others who are known', async () => {
    const [owner, thief] = [stranger(), stranger()];
    await deposit(owner);
    const timestamp = Date.now();
    const signature = await thief.signTypedData({
      domain: DOMAIN,
      types: CANCEL_TYPES,
      primaryType: 'Cancel',
      message: { account: owner.address, scope: 'all', timestamp: BigInt(timestamp) },
    });
    const headers = {
      'tallystick-account': owner.address,
      'tallystick-timestamp': String(timestamp),
      'tallystick-wallet-signature': signature,
    };
    assert.equal((await send(exchange.url, 'DELETE', '/api/v1/orders', { headers })).status, 401);
    const forged = await order(owner, { signer: thief });
    assert.equal((await place(forged)).body.code, 'INVALID_SIGNATURE');
  });
});
