/** Placing orders over HTTP against the real engine: acceptance, idempotency, and every kind of refusal. */
import assert from 'node:assert/strict';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { eip712Domain } from '../../src/domain/typed-data.ts';
import type { CommandReply } from '../../src/messaging/port.ts';
import { type ApiExchange, CHAIN_ID, signedOrder, startApiExchange, type Wallet } from './support/api-exchange.ts';
import { send } from './support/client.ts';

describe('placing orders over HTTP', () => {
  let exchange: ApiExchange;
  let answerWith: CommandReply | undefined;
  let seller: Wallet;
  let buyer: Wallet;
  let lane = 100;

  before(async () => {
    exchange = await startApiExchange({
      wrapCommands: (commands) => ({
        submit: (command, options) =>
          answerWith === undefined ? commands.submit(command, options) : Promise.resolve(answerWith),
      }),
    });
    seller = await exchange.fundedWallet();
    buyer = await exchange.fundedWallet();
  });
  after(async () => {
    await exchange.stop();
  });

  const place = (body: unknown) => send(exchange.url, 'POST', '/api/v1/orders', { body });
  /** An order that rests far from the others, on a lane of its own. */
  const resting = (extra: Record<string, unknown> = {}) =>
    signedOrder(exchange, seller, { lane: lane++, ticks: 900_000, lots: 10, extra });

  it('answers 201 with the order as it stands and a receipt', async () => {
    const placed = await place(
      await signedOrder(exchange, seller, { ticks: 250_000, extra: { clientOrderId: 'first' } }),
    );
    assert.equal(placed.status, 201, JSON.stringify(placed.body));
    const { order, fills, receipt } = placed.body;
    assert.equal(order.status, 'open');
    assert.equal(order.price, '2500');
    assert.equal(order.size, '1');
    assert.equal(order.remaining, '1');
    assert.equal(order.clientOrderId, 'first');
    assert.equal(order.account, seller.address);
    assert.deepEqual(fills, []);
    assert.equal(receipt.sequence, order.journalSequence);
    assert.match(receipt.signature, /^0x/);
  });

  it('shows the fills of an order that matches at once', async () => {
    await place(await signedOrder(exchange, seller, { lane: 1, ticks: 200_000, lots: 400 }));
    const taken = await place(await signedOrder(exchange, buyer, { side: 'buy', ticks: 201_000, lots: 1_000 }));
    assert.equal(taken.status, 201, JSON.stringify(taken.body));
    assert.equal(taken.body.order.status, 'partially_filled');
    assert.equal(taken.body.order.filled, '0.4');
    assert.equal(taken.body.order.averagePrice, '2000');
    assert.deepEqual(
      taken.body.fills.map(({ price, size, notional, fee, liquidity, state }: Record<string, string>) => ({
        price,
        size,
        notional,
        fee,
        liquidity,
        state,
      })),
      [{ price: '2000', size: '0.4', notional: '800', fee: '0.4', liquidity: 'taker', state: 'matched' }],
    );
  });

  it('answers 200 with the original when the same signed order comes again', async () => {
    const body = await resting();
    const first = await place(body);
    const again = await place(body);
    assert.equal(first.status, 201);
    assert.equal(again.status, 200);
    assert.equal(again.body.order.id, first.body.order.id);
    assert.equal(again.body.order.journalSequence, first.body.order.journalSequence);
  });

  it('answers 201 once and 200 for the rest when the same signed order comes many times at once', async () => {
    const body = await resting({ clientOrderId: 'many-at-once' });
    const answers = await Promise.all(Array.from({ length: 8 }, () => place(body)));
    assert.deepEqual(
      answers.map(({ status }) => status).sort((a, b) => a - b),
      [200, 200, 200, 200, 200, 200, 200, 201],
    );
    assert.equal(new Set(answers.map((answer) => answer.body.order.id)).size, 1);
  });

  it('answers 200 with the original for the same client order id and content, signed again', async () => {
    const first = await place(await resting({ clientOrderId: 'signed-twice' }));
    const again = await place(await resting({ clientOrderId: 'signed-twice' }));
    assert.equal(first.status, 201);
    assert.equal(again.status, 200, JSON.stringify(again.body));
    assert.equal(again.body.order.id, first.body.order.id);
  });

  it('answers 409 for the same client order id with other content', async () => {
    const first = await place(await resting({ clientOrderId: 'used' }));
    const other = await place(
      await signedOrder(exchange, seller, { lane: lane++, ticks: 900_000, lots: 11, extra: { clientOrderId: 'used' } }),
    );
    assert.equal(other.status, 409);
    assert.equal(other.body.code, 'CONFLICT');
    assert.equal(other.body.existingOrderId, first.body.order.id);
  });

  it('lets a client order id be used again after its order was refused', async () => {
    const refused = await place(
      await signedOrder(exchange, seller, { lane: lane++, lots: 10_000_000, extra: { clientOrderId: 'retry' } }),
    );
    assert.equal(refused.status, 422);
    const placed = await place(await resting({ clientOrderId: 'retry' }));
    assert.equal(placed.status, 201, JSON.stringify(placed.body));
  });

  it('gives the original also when this gateway has forgotten it', async () => {
    const body = await resting({ clientOrderId: 'other-gateway' });
    const first = await place(body);
    const other = await exchange.secondGateway();
    try {
      const again = await send(other.url, 'POST', '/api/v1/orders', { body });
      // It may not know that it is a repetition; the order is the original all the same.
      assert.ok([200, 201].includes(again.status), JSON.stringify(again.body));
      assert.equal(again.body.order.id, first.body.order.id);
      assert.equal(again.body.order.journalSequence, first.body.order.journalSequence);
    } finally {
      await other.close();
    }
  });

  it('does not refuse what may be a repetition while the projections, which would know, are behind', async () => {
    const body = await resting();
    // With another option around the signature it is joined with no earlier request; the engine still knows the nonce.
    const repeated = { ...body, selfTradePrevention: 'cancel_oldest' };
    const other = await exchange.secondGateway();
    const stalling = await exchange.pool.connect();
    try {
      await exchange.projected();
      await stalling.query('BEGIN; SELECT FROM projection_cursor FOR UPDATE');
      const first = await place(body);
      assert.equal(first.status, 201, JSON.stringify(first.body));
      const meanwhile = await send(other.url, 'POST', '/api/v1/orders', { body: repeated });
      assert.equal(meanwhile.body.code, 'STATUS_UNKNOWN', JSON.stringify(meanwhile.body));
      await stalling.query('ROLLBACK');
      await exchange.projected();
      const later = await send(other.url, 'POST', '/api/v1/orders', { body: repeated });
      assert.deepEqual([later.status, later.body.order?.id], [200, first.body.order.id], JSON.stringify(later.body));
    } finally {
      await stalling.query('ROLLBACK');
      stalling.release();
      await other.close();
    }
  });

  it('says expected account, recovered signer, digest and domain when the signature is of somebody else', async () => {
    const stranger = privateKeyToAccount(generatePrivateKey());
    const refused = await place(await signedOrder(exchange, seller, { lane: lane++, signer: stranger }));
    assert.equal(refused.status, 401);
    assert.equal(refused.body.code, 'INVALID_SIGNATURE');
    assert.equal(refused.body.signature.expectedAccount, seller.address);
    assert.equal(refused.body.signature.recoveredSigner, stranger.address);
    assert.match(refused.body.signature.digest, /^0x[0-9a-f]{64}$/);
    assert.equal(refused.body.signature.domain.chainId, CHAIN_ID);
  });

  it('refuses a signature made for another chain or another vault', async () => {
    for (const domain of [
      eip712Domain(1, '0x00000000000000000000000000000000000000aa'),
      eip712Domain(CHAIN_ID, '0x00000000000000000000000000000000000000ab'),
    ]) {
      const refused = await place(await signedOrder(exchange, seller, { lane: lane++, domain }));
      assert.equal(refused.body.code, 'INVALID_SIGNATURE');
    }
  });

  it('names what is wrong with a malformed signature', async () => {
    const body = await resting();
    const cases: [string, string][] = [
      [`${body.signature}00`, 'not_64_or_65_bytes'],
      ['0x1234', 'not_64_or_65_bytes'],
      [`${body.signature.slice(0, -2)}05`, 'bad_recovery_id'],
      [`0x${body.signature.slice(2, 66)}${'f'.repeat(64)}1b`, 'high_s'],
    ];
    for (const [signature, code] of cases) {
      const refused = await place({ ...body, signature });
      assert.equal(refused.status, 401, code);
      assert.equal(refused.body.errors[0].code, code);
    }
  });

  it('answers 422 with the reason and its sentence when the engine refuses', async () => {
    const refused = await place(await signedOrder(exchange, seller, { lane: lane++, lots: 10_000_000 }));
    assert.equal(refused.status, 422);
    assert.equal(refused.body.code, 'ORDER_REJECTED');
    assert.equal(refused.body.reason, 'insufficient_balance');
    assert.deepEqual(refused.body.errors, [
      {
        pointer: '',
        code: 'insufficient_balance',
        message: 'The available balance does not cover the order and its maximum fee.',
      },
    ]);
  });

  it('answers 422 with the reason for each order that breaks a rule', async () => {
    const past = String(Math.floor(Date.now() / 1000) - 10);
    const cases: [Parameters<typeof signedOrder>[2], string][] = [
      [{ message: { expiry: past } }, 'expired'],
      [{ message: { maxFeePpm: 499 } }, 'max_fee_too_low'],
      [{ postOnly: true, timeInForce: 'ioc' }, 'post_only_not_resting'],
      [{ postOnly: true, side: 'sell', ticks: 190_000 }, 'post_only_would_cross'],
      [{ lots: 1, ticks: 1 }, 'below_min_notional'],
      [{ timeInForce: 'fok', side: 'buy', ticks: 200_500, lots: 90_000 }, 'fill_or_kill_unfillable'],
    ];
    for (const [input, reason] of cases) {
      const refused = await place(await signedOrder(exchange, seller, { lane: lane++, ...input }));
      assert.equal(refused.status, 422, `${reason}: ${JSON.stringify(refused.body)}`);
      assert.equal(refused.body.errors[0].code, reason);
    }
  });

  it('refuses a second order in a busy lane, and takes it as a replacement', async () => {
    const first = await place(await signedOrder(exchange, seller, { lane: 7, ticks: 800_000, lots: 10 }));
    const busy = await place(await signedOrder(exchange, seller, { lane: 7, ticks: 810_000, lots: 10 }));
    assert.equal(busy.body.reason, 'lane_busy');
    const body = await signedOrder(exchange, seller, {
      lane: 7,
      ticks: 820_000,
      lots: 10,
      extra: { replaces: first.body.order.id },
    });
    const replaced = await send(exchange.url, 'POST', '/api/v1/orders/replace', { body });
    assert.equal(replaced.status, 201, JSON.stringify(replaced.body));
    assert.equal(replaced.body.order.price, '8200');
  });

  it('places a batch, each order with its own result', async () => {
    const good = await resting();
    const bad = await signedOrder(exchange, seller, { lane: lane++, message: { expiry: '1' } });
    const answer = await send(exchange.url, 'POST', '/api/v1/orders/batch', { body: { orders: [good, bad, good] } });
    assert.equal(answer.status, 200);
    assert.deepEqual(
      answer.body.results.map(({ status }: { status: number }) => status),
      [201, 422, 200],
    );
    assert.equal(answer.body.results[1].problem.code, 'ORDER_REJECTED');
  });

  it('brings the orders of a batch to the engine in their order, in few commits', async () => {
    const orders = await Promise.all(
      Array.from({ length: 20 }, (_, index) => resting(index % 2 === 0 ? { clientOrderId: `in-order-${index}` } : {})),
    );
    const { results } = (await send(exchange.url, 'POST', '/api/v1/orders/batch', { body: { orders } })).body;
    const sequences = results.map(
      ({ placed }: { placed: { receipt: { sequence: number } } }) => placed.receipt.sequence,
    );
    assert.deepEqual(
      sequences,
      sequences.toSorted((a: number, b: number) => a - b),
    );
    const rows = new Set(
      results.map(({ placed }: { placed: { receipt: { rowHash: string } } }) => placed.receipt.rowHash),
    );
    assert.ok(rows.size <= 5, `20 orders took ${rows.size} commits`);
  });

  it('replaces an order that stands before in the same batch', async () => {
    const first = await signedOrder(exchange, seller, { lane: 90, ticks: 800_000, lots: 10 });
    const { digest } = (await send(exchange.url, 'POST', '/api/v1/orders/validate', { body: first })).body;
    const second = await signedOrder(exchange, seller, {
      lane: 90,
      ticks: 810_000,
      lots: 10,
      extra: { replaces: digest },
    });
    const third = await resting();
    const { results } = (
      await send(exchange.url, 'POST', '/api/v1/orders/batch', { body: { orders: [first, second, third] } })
    ).body;
    assert.deepEqual(
      results.map(({ status }: { status: number }) => status),
      [201, 201, 201],
      JSON.stringify(results),
    );
    assert.equal(results[1].placed.order.price, '8100');
  });

  it('gives a client order id to the first of a batch that names it', async () => {
    const used = { clientOrderId: 'twice-in-a-batch' };
    const orders = [
      await resting(used),
      await signedOrder(exchange, seller, { lane: lane++, ticks: 900_000, lots: 11, extra: used }),
      await resting(used),
      await resting(),
    ];
    const { results } = (await send(exchange.url, 'POST', '/api/v1/orders/batch', { body: { orders } })).body;
    assert.deepEqual(
      results.map(({ status }: { status: number }) => status),
      [201, 409, 200, 201],
      JSON.stringify(results),
    );
    assert.equal(results[2].placed.order.id, results[0].placed.order.id);
  });

  it('answers orders that would replace each other instead of letting them wait for ever', async () => {
    const [first, second] = [await resting(), await resting()];
    const ids = await Promise.all(
      [first, second].map(
        async (body) => (await send(exchange.url, 'POST', '/api/v1/orders/validate', { body })).body.digest,
      ),
    );
    const orders = [
      { ...first, replaces: ids[1] },
      { ...second, replaces: ids[0] },
    ];
    const answers = await Promise.all(
      [orders, orders.toReversed()].map((turned) =>
        send(exchange.url, 'POST', '/api/v1/orders/batch', { body: { orders: turned } }),
      ),
    );
    for (const { body } of answers) {
      for (const result of body.results) assert.equal(result.problem.code, 'NOT_FOUND', JSON.stringify(result));
    }
  });

  it('says 503 STATUS_UNKNOWN when the outcome is not known, and where to look it up', async () => {
    answerWith = { kind: 'unknown' };
    const body = await resting({ clientOrderId: 'lost-answer' });
    const unknown = await place(body);
    answerWith = undefined;
    assert.equal(unknown.status, 503);
    assert.equal(unknown.body.code, 'STATUS_UNKNOWN');
    assert.equal(unknown.body.retryable, true);
    assert.match(unknown.body.detail, /by-client-id\/lost-answer/);
    assert.equal((await place(body)).status, 201);
  });

  it('says 503 OVERLOADED with Retry-After when the engine certainly did nothing', async () => {
    answerWith = { kind: 'overloaded', retryAfterMs: 1_500 };
    const refused = await place(await resting());
    answerWith = undefined;
    assert.equal(refused.status, 503);
    assert.equal(refused.body.code, 'OVERLOADED');
    assert.equal(refused.headers.get('retry-after'), '2');
    assert.equal(refused.body.retryAfterMs, 1_500);
  });

  it('validates without placing: digest, signer and every reason at once', async () => {
    const before = exchange.engine.lastSequence;
    const body = await signedOrder(exchange, seller, {
      lane: lane++,
      lots: 10_000_000,
      message: { expiry: '1', maxFeePpm: 10 },
      signer: privateKeyToAccount(generatePrivateKey()),
    });
    const answer = await send(exchange.url, 'POST', '/api/v1/orders/validate', { body });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.equal(answer.body.valid, false);
    assert.equal(answer.body.price, '2000');
    assert.match(answer.body.structHash, /^0x[0-9a-f]{64}$/);
    const codes = answer.body.problems.map(({ code }: { code: string }) => code).sort();
    assert.deepEqual(codes, ['expired', 'insufficient_balance', 'max_fee_too_low', 'wrong_signer']);
    assert.equal(exchange.engine.lastSequence, before);
  });

  it('finds nothing to say against a good order', async () => {
    const answer = await send(exchange.url, 'POST', '/api/v1/orders/validate', { body: await resting() });
    assert.deepEqual(answer.body.problems, []);
    assert.equal(answer.body.valid, true);
  });
});
