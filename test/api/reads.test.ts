/** Every read of the API against real tables: public data, an account's own, documentation. */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { SKIP_REASONS } from '../../src/domain/batches.ts';
import { packNonce } from '../../src/domain/orders.ts';
import { CANCEL_REASONS, REJECT_REASONS, WITHDRAWAL_REJECT_REASONS } from '../../src/domain/reasons.ts';
import { WITHDRAWAL_TYPES } from '../../src/domain/typed-data.ts';
import type { Address } from '../../src/domain/units.ts';
import {
  type ApiExchange,
  DOMAIN,
  QUOTE_TOKEN,
  signedOrder,
  startApiExchange,
  type Wallet,
} from './support/api-exchange.ts';
import { type KeyHolder, makeKey, send, signedSend } from './support/client.ts';

describe('reading from the API', () => {
  let exchange: ApiExchange;
  let maker: Wallet;
  let taker: Wallet;
  let makerKey: KeyHolder;
  let takerKey: KeyHolder;
  let makerOrderId: string;

  before(async () => {
    exchange = await startApiExchange();
    maker = await exchange.fundedWallet();
    taker = await exchange.fundedWallet();
    makerKey = await makeKey(exchange.url, maker);
    takerKey = await makeKey(exchange.url, taker);
    const sell = await signedOrder(exchange, maker, {
      ticks: 200_000,
      lots: 1_000,
      extra: { clientOrderId: 'maker-1' },
    });
    makerOrderId = (await send(exchange.url, 'POST', '/api/v1/orders', { body: sell })).body.order.id;
    const buy = await signedOrder(exchange, taker, { side: 'buy', ticks: 200_000, lots: 250 });
    await send(exchange.url, 'POST', '/api/v1/orders', { body: buy });
  });
  after(async () => {
    await exchange.stop();
  });

  const get = async (path: string) => {
    const answer = await send(exchange.url, 'GET', `/api/v1${path}`);
    assert.equal(answer.status, 200, `${path}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  const mine = async (key: KeyHolder, path: string) => {
    const answer = await signedSend(exchange.url, key, 'GET', `/api/v1${path}`);
    assert.equal(answer.status, 200, `${path}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  };

  it('tells the rules of a market, in decimals and in the integers behind them', async () => {
    const market = await get('/markets/weth-usdc');
    assert.equal(market.symbol, 'WETH-USDC');
    assert.equal(market.tickSize, '0.01');
    assert.equal(market.lotSize, '0.001');
    assert.equal(market.minNotional, '1');
    assert.equal(market.lotQuanta, 1_000_000);
    assert.deepEqual((await get('/markets')).data, [market]);
  });

  it('lists assets and fees', async () => {
    const { data } = await get('/assets');
    assert.deepEqual(
      data.map(({ symbol, quantumUnits }: Record<string, string>) => [symbol, quantumUnits]),
      [
        ['WETH', '1000000000'],
        ['USDC', '1'],
      ],
    );
    const fees = await get('/fees');
    assert.deepEqual(fees.trading, [{ market: 'WETH-USDC', makerFeePpm: 200, takerFeePpm: 500, tiers: [] }]);
    assert.deepEqual(fees.withdrawals[1], { asset: 'USDC', fee: '0', minimum: '0' });
    assert.equal(fees.hardCapPpm, 50_000);
  });

  it('shows the book, its checksum, and the market in figures', async () => {
    const depth = await get('/markets/WETH-USDC/depth?levels=5');
    assert.deepEqual(depth.asks, [['2000', '0.75']]);
    assert.deepEqual(depth.bids, []);
    assert.ok(depth.checksum > 0);
    await exchange.projected();
    const ticker = await get('/markets/WETH-USDC/ticker');
    assert.equal(ticker.lastPrice, '2000');
    assert.equal(ticker.bestAsk, '2000');
    assert.equal(ticker.volume, '0.25');
    assert.equal(ticker.quoteVolume, '500');
    assert.deepEqual((await get('/tickers')).data, [ticker]);
    const [candle] = (await get('/markets/WETH-USDC/candles?interval=1h')).data;
    assert.equal(candle.close, '2000');
    assert.equal(candle.trades, 1);
    const [trade] = (await get('/markets/WETH-USDC/trades')).data;
    assert.equal(trade.takerSide, 'buy');
    assert.equal(trade.state, 'matched');
  });

  it('gives all that is needed to sign', async () => {
    const contracts = await get('/contracts');
    assert.equal(contracts.chainId, 31337);
    assert.equal(contracts.deployedAt, exchange.deployedAtMs);
    assert.equal(contracts.domain.name, 'Tallystick');
    assert.deepEqual(Object.keys(contracts.types).sort(), [
      'ApiKey',
      'Batch',
      'Cancel',
      'Order',
      'SessionKey',
      'Withdrawal',
    ]);
    assert.deepEqual(contracts.types.Order[0], { name: 'account', type: 'address' });
  });

  it('says how far everything has come', async () => {
    const status = await get('/status');
    assert.equal(status.status, 'operational');
    assert.equal(status.journalSequence, exchange.engine.lastSequence);
    assert.equal(status.marketDataSynced, true);
    assert.equal(status.openIncidents, 0);
    assert.ok(Math.abs((await get('/time')).timeMs - Date.now()) < 1_000);
  });

  it('has empty pages before there are batches, comparisons and incidents', async () => {
    for (const path of ['/batches', '/reconciliations', '/incidents']) {
      assert.deepEqual(await get(path), { data: [], nextCursor: null }, path);
    }
    assert.deepEqual(await get('/reconciliation'), {
      comparisons: 0,
      withdrawalsHalted: null,
      latest: null,
      openIncidents: [],
    });
    assert.equal((await get('/solvency')).solvent, null);
  });

  it('publishes the journal by range, linked by hash', async () => {
    const first = await get('/journal?limit=3');
    assert.equal(first.data[0].firstSequence, 1);
    assert.equal(first.data[1].previousHash, first.data[0].hash);
    const next = await get(`/journal?limit=3&cursor=${first.nextCursor}`);
    assert.equal(next.data[0].previousHash, first.data[2].hash);
  });

  it('proves where an order stands in the journal', async () => {
    const proof = await get(`/orders/${makerOrderId}/proof`);
    assert.ok(proof.row.firstSequence <= proof.journalSequence && proof.journalSequence <= proof.row.lastSequence);
    assert.equal(proof.fills.length, 1);
    assert.deepEqual(proof.batches, []);
  });

  it('shows what was acknowledged in the very next read', async () => {
    for (let round = 0; round < 10; round++) {
      const body = await signedOrder(exchange, maker, {
        lane: 50,
        ticks: 700_000 + round,
        lots: 1,
        extra: { clientOrderId: `ryw-${round}` },
      });
      const { order } = (await send(exchange.url, 'POST', '/api/v1/orders', { body })).body;
      assert.equal((await mine(makerKey, `/orders/${order.id}`)).status, 'open');
      assert.equal((await signedSend(exchange.url, makerKey, 'DELETE', `/api/v1/orders/${order.id}`)).status, 200);
      assert.equal((await mine(makerKey, `/orders/by-client-id/ryw-${round}`)).status, 'cancelled');
    }
  });

  it('lists orders by state and market, page by page', async () => {
    const open = await mine(makerKey, '/orders?status=open&market=WETH-USDC');
    assert.deepEqual(
      open.data.map(({ id }: { id: string }) => id),
      [makerOrderId],
    );
    assert.equal(open.data[0].status, 'partially_filled');
    const first = await mine(makerKey, '/orders?limit=4');
    const second = await mine(makerKey, `/orders?limit=4&cursor=${first.nextCursor}`);
    const ids = [...first.data, ...second.data].map(({ id }: { id: string }) => id);
    assert.equal(new Set(ids).size, 8);
  });

  it('shows both sides of a trade to their owners, with fee and state', async () => {
    const [made] = (await mine(makerKey, `/fills?orderId=${makerOrderId}`)).data;
    assert.equal(made.liquidity, 'maker');
    assert.equal(made.side, 'sell');
    assert.equal(made.fee, '0.1');
    const [taken] = (await mine(takerKey, '/fills')).data;
    assert.equal(taken.liquidity, 'taker');
    assert.equal(taken.fee, '0.25');
    assert.equal(taken.tradeId, made.tradeId);
    assert.equal(taken.state, 'matched');
  });

  it('shows what an account pays, and the volume that it is judged by', async () => {
    const { markets } = await mine(takerKey, '/account/fees');
    assert.deepEqual(markets, [{ market: 'WETH-USDC', volume: '0', tier: 0, makerFeePpm: 200, takerFeePpm: 500 }]);
  });

  it('shows balances in their states', async () => {
    const { data } = await mine(takerKey, '/balances');
    const [weth, usdc] = data;
    assert.equal(weth.available, '100.25');
    assert.equal(weth.unsettledIn, '0.25');
    assert.equal(weth.onChain, '100');
    assert.equal(usdc.available, '999499.75');
    assert.equal(usdc.unsettledOut, '500.25');
    const deposits = await mine(takerKey, '/deposits');
    assert.deepEqual(
      deposits.data.map(({ asset, state }: Record<string, string>) => [asset, state]),
      [
        ['USDC', 'credited'],
        ['WETH', 'credited'],
      ],
    );
  });

  it('takes a signed withdrawal once, and shows the original when it comes again', async () => {
    const message = {
      account: taker.address,
      token: QUOTE_TOKEN,
      amount: '1000000000',
      recipient: taker.address,
      nonce: packNonce(0, Date.now() - exchange.deployedAtMs).toString(),
      expiry: String(Math.floor(Date.now() / 1000) + 3600),
      maxFee: '0',
    };
    const sign = (signer: Wallet) =>
      signer.signTypedData({
        domain: DOMAIN,
        types: WITHDRAWAL_TYPES,
        primaryType: 'Withdrawal',
        message: {
          ...message,
          account: message.account as Address,
          recipient: message.recipient as Address,
          amount: BigInt(message.amount),
          nonce: BigInt(message.nonce),
          expiry: BigInt(message.expiry),
          maxFee: 0n,
        },
      });
    const stranger = await send(exchange.url, 'POST', '/api/v1/withdrawals', {
      body: { withdrawal: message, signature: await sign(maker) },
    });
    assert.equal(stranger.body.code, 'INVALID_SIGNATURE');
    const body = { withdrawal: message, signature: await sign(taker) };
    const first = await send(exchange.url, 'POST', '/api/v1/withdrawals', { body });
    assert.equal(first.status, 201, JSON.stringify(first.body));
    assert.equal(first.body.amount, '1000');
    assert.equal(first.body.state, 'pending');
    const again = await send(exchange.url, 'POST', '/api/v1/withdrawals', { body });
    assert.equal(again.body.id, first.body.id);
    assert.equal((await mine(takerKey, `/withdrawals/${first.body.id}`)).state, 'pending');
    assert.equal((await mine(takerKey, '/withdrawals')).data.length, 1);
    const [, usdc] = (await mine(takerKey, '/balances')).data;
    assert.equal(usdc.pendingWithdrawal, '1000');

    // Another one with its nonce: refused when it is certain that it is another, not while the projections are behind.
    message.amount = '2000000000';
    const other = { withdrawal: message, signature: await sign(taker) };
    const stalling = await exchange.pool.connect();
    try {
      await stalling.query('BEGIN; SELECT FROM projection_cursor FOR UPDATE');
      const meanwhile = await send(exchange.url, 'POST', '/api/v1/withdrawals', { body: other });
      assert.equal(meanwhile.body.code, 'STATUS_UNKNOWN', JSON.stringify(meanwhile.body));
    } finally {
      await stalling.query('ROLLBACK');
      stalling.release();
    }
    await exchange.projected();
    const later = await send(exchange.url, 'POST', '/api/v1/withdrawals', { body: other });
    assert.equal(later.body.code, 'WITHDRAWAL_REJECTED', JSON.stringify(later.body));
  });

  it('gives the calls with which an owner leaves', async () => {
    const exit = await get(`/exit/${maker.address.toUpperCase().replace('0X', '0x')}`);
    assert.equal(exit.account, maker.address);
    assert.equal(exit.assets[0].onChain, '100');
    assert.match(exit.assets[0].requestExit.data, /^0x[0-9a-f]{72}$/);
    assert.match(exit.assets[0].exit.data, /^0x[0-9a-f]{136}$/);
  });

  it('serves the page, and nothing outside its folder', async () => {
    const page = await exchange.gatewayWith({ webDirectory: fileURLToPath(new URL('../../web', import.meta.url)) });
    try {
      const home = await send(page.url, 'GET', '/');
      assert.equal(home.status, 200);
      assert.match(home.headers.get('content-type') ?? '', /^text\/html/);
      assert.equal((await send(page.url, 'GET', '/none.js')).body.code, 'NOT_FOUND');
      for (const path of ['/..%2fpackage.json', '/%2e%2e/package.json', '/.gitignore']) {
        assert.notEqual((await send(page.url, 'GET', path)).status, 200, path);
      }
      assert.equal((await send(page.url, 'GET', '/api/v1/ping')).status, 200);
    } finally {
      await page.close();
    }
  });

  it('documents itself: every path, every error, no foreign resource', async () => {
    const document = (await send(exchange.url, 'GET', '/openapi.json')).body;
    assert.equal(document.openapi, '3.1.0');
    assert.ok(document.paths['/api/v1/orders'].post.requestBody);
    assert.ok(document.paths['/api/v1/orders'].post.responses.default);
    const page = await send(exchange.url, 'GET', '/docs');
    assert.equal(page.status, 200);
    for (const path of Object.keys(document.paths)) assert.ok(page.body.includes(path.replace('{', '{')), path);
    const errors = await send(exchange.url, 'GET', '/docs/errors');
    const links = [...errors.body.matchAll(/href="(\/docs\/errors\/[A-Z_]+)"/g)].map(([, link]) => link as string);
    assert.ok(links.length > 20);
    for (const link of links) assert.equal((await fetch(`${exchange.url}${link}`)).status, 200, link);
    assert.equal((await send(exchange.url, 'GET', '/docs/errors/NONE')).status, 404);
    assert.match((await send(exchange.url, 'GET', '/docs/errors/ORDER_REJECTED')).body, /post_only_would_cross/);
    const reasons = (await send(exchange.url, 'GET', '/docs/reasons')).body;
    const words = [REJECT_REASONS, CANCEL_REASONS, WITHDRAWAL_REJECT_REASONS].flatMap((table) => Object.keys(table));
    for (const word of [...words, ...Object.values(SKIP_REASONS)])
      assert.ok(reasons.includes(`<code>${word}</code>`), word);
  });
});
