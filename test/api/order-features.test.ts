/** Each kind of order, and each rule of a market, over HTTP against the real engine: what reaches a user is what the engine does. */
import assert from 'node:assert/strict';
import type { MarketParameters } from '../../src/domain/markets.ts';
import type { Ppm, Quanta } from '../../src/domain/units.ts';
import {
  type ApiExchange,
  type OrderInput,
  signedOrder,
  startApiExchange,
  type Wallet,
} from './support/api-exchange.ts';
import { type Answer, type Json, type KeyHolder, makeKey, send, signedSend } from './support/client.ts';

describe('orders and markets over HTTP', () => {
  let exchange: ApiExchange;
  let maker: Wallet;
  let taker: Wallet;
  let makerKey: KeyHolder;
  let takerKey: KeyHolder;
  let lane = 0;

  before(async () => {
    exchange = await startApiExchange();
    [maker, taker] = [await exchange.fundedWallet(), await exchange.fundedWallet()];
    [makerKey, takerKey] = [await makeKey(exchange.url, maker), await makeKey(exchange.url, taker)];
  });
  afterEach(async () => {
    for (const key of [makerKey, takerKey]) await signedSend(exchange.url, key, 'DELETE', '/api/v1/orders');
  });
  after(async () => {
    await exchange.stop();
  });

  const send1 = async (wallet: Wallet, input: OrderInput): Promise<Answer> =>
    send(exchange.url, 'POST', '/api/v1/orders', {
      body: await signedOrder(exchange, wallet, { lane: lane++, lots: 10, ...input }),
    });
  const place = async (wallet: Wallet, input: OrderInput): Promise<Json> => {
    const { status, body } = await send1(wallet, input);
    assert.equal(status, 201, JSON.stringify(body));
    return body.order;
  };
  const refuse = async (wallet: Wallet, input: OrderInput, reason: string): Promise<void> => {
    const { status, body } = await send1(wallet, input);
    assert.deepEqual([status, body.code, body.reason], [422, 'ORDER_REJECTED', reason], JSON.stringify(body));
  };
  const look = async (key: KeyHolder, id: string): Promise<Json> => {
    await exchange.projected();
    return (await signedSend(exchange.url, key, 'GET', `/api/v1/orders/${id}`)).body;
  };
  const until = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
    const deadlineMs = performance.now() + 10_000;
    while (!(await holds())) {
      if (performance.now() > deadlineMs) assert.fail(`waited too long: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const bids = async (): Promise<Json> =>
    (await send(exchange.url, 'GET', '/api/v1/markets/WETH-USDC/depth')).body.bids;

  it('rest, take what there is, fill whole or not at all, and end at their time', async () => {
    await place(maker, { ticks: 200_000 });
    const ioc = await place(taker, { side: 'buy', ticks: 200_000, lots: 15, timeInForce: 'ioc' });
    assert.deepEqual([ioc.status, ioc.filled, ioc.reason], ['cancelled', '0.01', 'ioc_remainder']);
    await place(maker, { ticks: 200_000 });
    await refuse(taker, { side: 'buy', ticks: 200_000, lots: 15, timeInForce: 'fok' }, 'fill_or_kill_unfillable');
    const fok = await place(taker, { side: 'buy', ticks: 200_000, timeInForce: 'fok' });
    assert.equal(fok.status, 'filled');
    const expiry = String(Math.floor(Date.now() / 1_000) + 2);
    const gtd = await place(maker, { ticks: 210_000, timeInForce: 'gtd', message: { expiry } });
    assert.equal(gtd.status, 'open');
    await until('it expires', async () => (await look(makerKey, gtd.id)).status === 'expired');
    assert.equal((await look(makerKey, gtd.id)).reason, 'expired');
    await place(maker, { ticks: 220_000, postOnly: true });
    await refuse(taker, { side: 'buy', ticks: 220_000, postOnly: true }, 'post_only_would_cross');
  });

  const PREVENTIONS: readonly (readonly [mode: string, resting: Json, arriving: Json])[] = [
    ['cancel_newest', ['open', '0.01', null], ['cancelled', '0', 'self_trade_prevention']],
    ['cancel_oldest', ['cancelled', '0', 'self_trade_prevention'], ['open', '0.004', null]],
    ['cancel_both', ['cancelled', '0', 'self_trade_prevention'], ['cancelled', '0', 'self_trade_prevention']],
    ['decrement', ['open', '0.006', null], ['cancelled', '0', 'self_trade_prevention']],
  ];
  for (const [mode, resting, arriving] of PREVENTIONS)
    it(`do not trade with their own account: ${mode}`, async () => {
      const first = await place(maker, { ticks: 230_000 });
      const second = await place(maker, {
        side: 'buy',
        ticks: 230_000,
        lots: 4,
        extra: { selfTradePrevention: mode },
      });
      const shown = async (id: string): Promise<Json> => {
        const { status, remaining, reason } = await look(makerKey, id);
        return [status, remaining, reason];
      };
      assert.deepEqual([await shown(first.id), await shown(second.id)], [resting, arriving]);
    });

  it('wait as stop and stop-limit orders, unseen, until the last trade reaches their trigger', async () => {
    const moveTo = async (ticks: number): Promise<void> => {
      await place(maker, { ticks, lots: 1 });
      await place(taker, { side: 'buy', ticks, lots: 1, timeInForce: 'ioc' });
    };
    await moveTo(240_000);
    const above = (triggerPrice: string) => ({ stop: { direction: 'at_or_above', triggerPrice } });
    await refuse(taker, { side: 'buy', ticks: 250_000, extra: above('2400') }, 'stop_would_trigger');
    await refuse(taker, { side: 'buy', ticks: 250_000, postOnly: true, extra: above('2450') }, 'bad_stop');
    const limit = await place(taker, { side: 'buy', ticks: 246_000, lots: 2, extra: above('2450') });
    const stop = await place(taker, { side: 'buy', ticks: 250_000, lots: 3, timeInForce: 'ioc', extra: above('2460') });
    assert.deepEqual([limit.status, limit.stop], ['open', { direction: 'at_or_above', triggerPrice: '2450' }]);
    assert.deepEqual(await bids(), []);
    await moveTo(245_000);
    await until('the stop-limit order rests', async () => JSON.stringify(await bids()) === '[["2460","0.002"]]');
    await place(maker, { ticks: 248_000, lots: 5 });
    await place(maker, { ticks: 246_000, lots: 2 });
    await until('the stop order has taken', async () => (await look(takerKey, stop.id)).status === 'filled');
    const taken = await look(takerKey, stop.id);
    assert.deepEqual([taken.averagePrice, taken.filled], ['2480', '0.003']);
    assert.equal((await look(takerKey, limit.id)).averagePrice, '2460');
  });

  it('end all of one market, and leave those of the other', async () => {
    const token = `0x${'b3'.repeat(20)}` as const;
    const asset = { index: 2, token, symbol: 'WBTC', decimals: 8, quantumUnits: 1n, minDeposit: 1 as Quanta };
    await exchange.fact({ kind: 'assetListed', asset });
    const market = exchange.engine.core.markets[0]?.market;
    assert.ok(market);
    await exchange.fact({
      kind: 'marketListed',
      market: { ...market, index: 1, symbol: 'WBTC-USDC', baseAsset: 2, lotQuanta: 100_000 as Quanta },
    });
    await exchange.projected();
    await until(
      'it is listed',
      async () => (await send(exchange.url, 'GET', '/api/v1/markets/WBTC-USDC')).status === 200,
    );
    const weth = await place(maker, { side: 'buy', ticks: 100_000 });
    const wbtc = await place(maker, {
      side: 'buy',
      message: { baseToken: token, baseAmount: '1000000', quoteAmount: '200000000' },
    });
    assert.equal(wbtc.market, 'WBTC-USDC');
    const path = '/api/v1/orders?market=WBTC-USDC';
    assert.deepEqual((await signedSend(exchange.url, makerKey, 'DELETE', path)).body.cancelled, [wbtc.id]);
    assert.deepEqual((await signedSend(exchange.url, makerKey, 'DELETE', '/api/v1/orders')).body.cancelled, [weth.id]);
  });

  it('end by the dead man’s switch', async () => {
    const order = await place(maker, { ticks: 260_000 });
    await signedSend(exchange.url, makerKey, 'POST', '/api/v1/orders/cancel-after', { timeoutMs: 200 });
    await until('it is cancelled', async () => (await look(makerKey, order.id)).reason === 'cancel_after');
  });

  it('are refused while the market is cancel-only or halted, and can be cancelled all the same', async () => {
    for (const state of ['cancel_only', 'halted'] as const) {
      const resting = await place(maker, { ticks: 270_000 });
      await exchange.operate({ kind: 'setMarketState', market: 0, state });
      await refuse(maker, { ticks: 270_000 }, 'market_not_open');
      await exchange.projected();
      await until('the state is shown', async () => {
        const shown = (await send(exchange.url, 'GET', '/api/v1/markets/WETH-USDC')).body.state;
        return shown === state;
      });
      const reduced = await signedSend(exchange.url, makerKey, 'POST', `/api/v1/orders/${resting.id}/reduce`, {
        remaining: '0.004',
      });
      assert.equal(reduced.body.remaining, '0.004');
      const cancelled = await signedSend(exchange.url, makerKey, 'DELETE', `/api/v1/orders/${resting.id}`);
      assert.equal(cancelled.body.status, 'cancelled');
      await exchange.operate({ kind: 'setMarketState', market: 0, state: 'open' });
    }
    await place(maker, { ticks: 270_000 });
  });

  it('keep to the price band, the smallest order and the account’s limit of open orders', async () => {
    const parameters: MarketParameters = {
      makerFeePpm: 200 as Ppm,
      takerFeePpm: 500 as Ppm,
      minNotional: 5_000_000 as Quanta,
      priceBandPpm: 100_000,
    };
    await place(maker, { ticks: 200_000, lots: 5 });
    await place(taker, { side: 'buy', ticks: 200_000, lots: 5, timeInForce: 'ioc' });
    await exchange.operate({ kind: 'setMarketParameters', market: 0, parameters });
    await refuse(maker, { ticks: 220_001 }, 'outside_price_band');
    await refuse(maker, { side: 'buy', ticks: 179_999 }, 'outside_price_band');
    await place(maker, { ticks: 220_000 });
    await refuse(maker, { ticks: 200_000, lots: 2 }, 'below_min_notional');
    await place(maker, { ticks: 200_000, lots: 3 });
    const { genesis } = exchange.engine.core;
    assert.ok(genesis);
    const limits = { ...genesis.limits, openOrdersPerAccountMax: 3 };
    await exchange.operate({ kind: 'setLimits', limits, reason: 'test' });
    await place(maker, { ticks: 210_000 });
    await refuse(maker, { ticks: 210_000 }, 'too_many_open_orders');
    await exchange.operate({ kind: 'setLimits', limits: genesis.limits, reason: 'test' });
  });
});
