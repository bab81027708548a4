import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { JsonRpcProvider, Wallet } from 'ethers';
import { createWalletClient, type Hex, http } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import {
  type AnySigner,
  connect,
  type NewOrderInput,
  openVault,
  type TallystickClient,
  TallystickError,
} from '../../src/sdk/index.ts';
import { createFundedWallet, useSharedExchange } from '../support/running-exchange.ts';

const MARKET = 'WETH-USDC';

describe('the SDK against a running exchange', function () {
  this.timeout(60_000);
  const { exchange } = useSharedExchange();
  const providers: JsonRpcProvider[] = [];

  /** The three kinds of wallets that the SDK takes. */
  const wallets: Record<string, (privateKey: Hex) => AnySigner> = {
    'a viem account': (privateKey) => privateKeyToAccount(privateKey),
    'a viem wallet client': (privateKey) =>
      createWalletClient({ account: privateKeyToAccount(privateKey), transport: http(exchange().rpcUrl) }),
    'an ethers signer': (privateKey) => {
      const provider = new JsonRpcProvider(exchange().rpcUrl, undefined, { pollingInterval: 250 });
      providers.push(provider);
      return new Wallet(privateKey, provider);
    },
  };
  const { 'a viem account': viemAccount } = wallets as { 'a viem account': (privateKey: Hex) => AnySigner };

  /** A client whose wallet has deposited what it was given. */
  async function createTrader(
    amounts: Readonly<Record<string, string>>,
    kind: (privateKey: Hex) => AnySigner = viemAccount,
  ): Promise<TallystickClient> {
    const wallet = kind(await createFundedWallet(exchange(), amounts));
    const client = await connect({ url: exchange().url, wallet, rpcUrl: exchange().rpcUrl });
    for (const [asset, amount] of Object.entries(amounts)) await client.deposit({ asset, amount });
    for (const [asset, available] of Object.entries(amounts)) await client.waitForBalance({ asset, available });
    return client;
  }

  /** Prices of their own, so that tests do not trade with what others left. */
  const order = (
    side: 'buy' | 'sell',
    price: string,
    size: string,
    more: Partial<NewOrderInput> = {},
  ): NewOrderInput => ({
    market: MARKET,
    side,
    price,
    size,
    ...more,
  });

  const refusal = (code: string, message: RegExp) => (error: unknown) => {
    assert.ok(error instanceof TallystickError, String(error));
    assert.equal(error.code, code);
    assert.match(error.shortMessage, message);
    return true;
  };

  let maker: TallystickClient;
  before(async () => {
    maker = await createTrader({ WETH: '50', USDC: '200000' });
  });
  afterEach(async () => {
    await maker.cancelAllOrders();
  });
  after(() => {
    for (const provider of providers) provider.destroy();
  });

  for (const [name, kind] of Object.entries(wallets)) {
    it(`deposits, trades to finality, verifies the fill and withdraws with ${name}`, async () => {
      const taker = await createTrader({ USDC: '5000' }, kind);
      await maker.placeOrder(order('sell', '2500', '1'));
      const placed = await taker.placeOrder(order('buy', '2500', '0.4', { timeInForce: 'ioc' }));
      assert.equal(placed.order.status, 'filled');
      const [fill] = placed.fills;
      assert.ok(fill);
      const final = await fill.settled();
      assert.equal(final.state, 'final');

      const verified = await taker.verifyFill(final);
      assert.deepEqual(
        { digest: verified.orderDigest, price: verified.price, size: verified.size, hash: verified.transactionHash },
        { digest: placed.order.id, price: '2500', size: '0.4', hash: final.transactionHash },
      );
      const tampered = [
        { size: '0.5' },
        { price: '2499' },
        { fee: '0' },
        { notional: '1001' },
        { side: 'sell' as const },
        { liquidity: 'maker' as const },
        { orderId: `0x${'11'.repeat(32)}` },
        { batchIndex: 7 },
      ];
      for (const change of tampered) {
        await assert.rejects(
          taker.verifyFill({ ...final, ...change }),
          refusal('VERIFICATION_FAILED', /on chain, the API says|is not one of/),
          JSON.stringify(change),
        );
      }
      await assert.rejects(
        maker.verifyFill({ ...final, transactionHash: null }),
        refusal('VERIFICATION_FAILED', /not on chain yet/),
      );

      const requested = await taker.withdraw({ asset: 'WETH', amount: '0.4' });
      const withdrawn = await taker.waitForWithdrawal(requested.id);
      assert.equal(withdrawn.amount, '0.4');
      const weth = (await taker.getBalances()).find(({ asset }) => asset === 'WETH');
      assert.deepEqual([weth?.available, weth?.onChain], ['0', '0']);
    });
  }

  it('cancels an order, replaces one on its lane, and uses freed lanes again', async () => {
    const { order: resting } = await maker.placeOrder(order('buy', '1000', '1'));
    assert.equal(resting.status, 'open');
    const { order: replaced } = await maker.replaceOrder(resting, order('buy', '1001', '2'));
    assert.deepEqual([replaced.lane, replaced.price, replaced.status], [resting.lane, '1001', 'open']);
    assert.equal((await maker.getOrder(resting.id)).reason, 'replaced');
    assert.equal((await maker.cancelOrder(replaced.id)).status, 'cancelled');
    const { order: next } = await maker.placeOrder(order('buy', '1000', '1'));
    assert.equal(next.lane, resting.lane);
    assert.equal((await maker.cancelOrder(replaced.id)).status, 'cancelled', 'cancelling again changes nothing');
  });

  it('never runs into a busy lane with 60 resting orders, placed and ended at once', async () => {
    const place = (index: number) => maker.placeOrder(order('buy', `${1100 + index}`, '0.01'));
    const placed = await Promise.all(Array.from({ length: 60 }, (_, index) => place(index)));
    assert.equal(new Set(placed.map(({ order: { lane } }) => lane)).size, 60);
    // Some end by a cancel, some by another's trade that this client is not told of, while others are placed and replaced.
    const taker = await createTrader({ WETH: '1' });
    const ended = taker.placeOrder(order('sell', '1150', '0.08', { timeInForce: 'ioc' }));
    const cancels = placed.slice(0, 20).map(({ order: { id } }) => maker.cancelOrder(id));
    const replacements = placed
      .slice(20, 40)
      .map(({ order: live }) => maker.replaceOrder(live, order('buy', live.price, '0.02')));
    const more = Array.from({ length: 40 }, (_, index) => place(index));
    await Promise.all([ended, ...cancels, ...replacements, ...more]);
    assert.equal((await ended).order.filled, '0.08');
    const live = await maker.adoptOpenOrders();
    assert.equal(new Set(live.map(({ lane }) => lane)).size, live.length);
    // What was filled has given its lane back: a long run of orders does not use up ever more lanes.
    for (let index = 0; index < 20; index++) {
      const { order: again } = await maker.placeOrder(order('buy', '1050', '0.01'));
      await maker.cancelOrder(again.id);
      assert.ok(again.lane < 120, `lane ${again.lane}`);
    }
  });

  it('adopts the lanes of orders that were live before it connected', async () => {
    const privateKey = await createFundedWallet(exchange(), { USDC: '1000' });
    const connectOptions = { url: exchange().url, wallet: privateKeyToAccount(privateKey), rpcUrl: exchange().rpcUrl };
    const first = await connect(connectOptions);
    await first.deposit({ asset: 'USDC', amount: '1000' });
    await first.waitForBalance({ asset: 'USDC', available: '1000' });
    const { order: before } = await first.placeOrder(order('buy', '900', '0.1'));
    const second = await connect(connectOptions);
    const { order: after } = await second.placeOrder(order('buy', '901', '0.1'));
    assert.notEqual(after.lane, before.lane);
    await second.cancelAllOrders();
  });

  it('says what is wrong before signing: off tick, off lot, unknown market, zero', async () => {
    const place = (input: NewOrderInput) => maker.placeOrder(input);
    await assert.rejects(
      place(order('buy', '2500.001', '1')),
      refusal('INVALID_ARGUMENT', /multiple of 0\.01 USDC.*"2500\.001"/),
    );
    await assert.rejects(
      place(order('buy', '2500', '0.0001')),
      refusal('INVALID_ARGUMENT', /multiple of 0\.001 WETH.*"0\.0001"/),
    );
    await assert.rejects(place(order('buy', '2500', '0')), refusal('INVALID_ARGUMENT', /above zero/));
    await assert.rejects(place(order('buy', '1e3', '1')), refusal('INVALID_ARGUMENT', /price/));
    await assert.rejects(
      place({ ...order('buy', '1', '1'), market: 'DOGE-USDC' }),
      refusal('INVALID_ARGUMENT', /market must be one of WETH-USDC, WBTC-USDC, got "DOGE-USDC"/),
    );
    await assert.rejects(
      maker.deposit({ asset: 'WETH', amount: '0.0000000001' }),
      refusal('INVALID_ARGUMENT', /steps of 0\.000000001 WETH/),
    );
    await assert.rejects(place(order('buy', '2500', '100000')), refusal('INVALID_ARGUMENT', /at most 10000, got/));
    await assert.rejects(place(order('buy', '100001', '1')), refusal('INVALID_ARGUMENT', /at most 100000, got/));
    await assert.rejects(
      maker.deposit({ asset: 'USDC', amount: '999999999999' }),
      refusal('INVALID_ARGUMENT', /at most 9007199254\.740991 USDC, got "999999999999"/),
    );
  });

  it("passes the exchange's reasons on: unfunded, post-only that would cross, too much to withdraw", async () => {
    const poor = await connect({
      url: exchange().url,
      wallet: privateKeyToAccount(await createFundedWallet(exchange(), {})),
      rpcUrl: exchange().rpcUrl,
    });
    await assert.rejects(poor.placeOrder(order('buy', '2000', '1')), (error: unknown) => {
      refusal('ACCOUNT_UNKNOWN', /never had a deposit.*Deposit first/)(error);
      assert.match((error as TallystickError).docsUrl ?? '', /\/docs\/errors\/ACCOUNT_UNKNOWN$/);
      assert.equal((error as TallystickError).retryable, false);
      return true;
    });
    await assert.rejects(
      maker.placeOrder(order('buy', '2000', '500')),
      refusal('ORDER_REJECTED', /available balance does not cover/),
    );
    await maker.placeOrder(order('sell', '2600', '0.1'));
    await assert.rejects(
      maker.placeOrder(order('buy', '2600', '0.1', { postOnly: true })),
      refusal('ORDER_REJECTED', /post-only/),
    );
    await assert.rejects(
      maker.withdraw({ asset: 'USDC', amount: '900000' }),
      refusal('WITHDRAWAL_REJECTED', /available balance does not cover/),
    );
  });

  it('takes what is there with a market order, down to its bound', async () => {
    const taker = await createTrader({ USDC: '5000' });
    const buy = { market: MARKET, side: 'buy', size: '0.3' } as const;
    await assert.rejects(
      taker.placeMarketOrder({ ...buy, slippagePpm: 10_000 }),
      refusal('NO_LIQUIDITY', /nobody sells/),
    );
    for (const price of ['3000', '3030', '3031']) await maker.placeOrder(order('sell', price, '0.1'));
    const { order: taken } = await taker.placeMarketOrder({ ...buy, slippagePpm: 10_000 });
    assert.deepEqual(
      [taken.price, taken.filled, taken.status, taken.reason, taken.averagePrice],
      ['3030', '0.2', 'cancelled', 'ioc_remainder', '3015'],
    );
  });

  it('keeps a stop order unseen until the price is reached', async () => {
    const taker = await createTrader({ USDC: '5000' });
    const stop = { direction: 'at_or_above', triggerPrice: '3200' } as const;
    const { order: waiting } = await taker.placeOrder(order('buy', '3300', '0.1', { stop, timeInForce: 'gtc' }));
    assert.deepEqual([waiting.status, waiting.stop], ['open', stop]);
    const book = await maker.get<{ bids: string[][] }>(`/markets/${MARKET}/depth`);
    assert.ok(!book.bids.some(([price]) => price === '3300'));
    await maker.placeOrder(order('sell', '3200', '0.1'));
    const { order: mover } = await taker.placeOrder(order('buy', '3200', '0.1', { timeInForce: 'ioc' }));
    assert.equal(mover.status, 'filled');
    await until(async () =>
      (await maker.get<{ bids: string[][] }>(`/markets/${MARKET}/depth`)).bids.some(([price]) => price === '3300'),
    );
    await taker.cancelAllOrders();
  });

  it('cancels by the dead man’s switch', async () => {
    const { order: resting } = await maker.placeOrder(order('buy', '850', '0.1'));
    assert.ok(((await maker.cancelAfter(60_000)) ?? 0) > Date.now());
    assert.equal(await maker.cancelAfter(0), null);
    await maker.cancelAfter(300);
    await until(async () => (await maker.getOrder(resting.id)).reason === 'cancel_after');
  });

  it('cancels when its connection goes, and not when it is let go', async () => {
    const guard = await maker.cancelOnDisconnect();
    const { order: kept } = await maker.placeOrder(order('buy', '860', '0.1'));
    await guard.disarm();
    assert.equal((await maker.getOrder(kept.id)).status, 'open');

    const { WebSocket } = globalThis;
    const opened: WebSocket[] = [];
    globalThis.WebSocket = class extends WebSocket {
      constructor(url: string | URL) {
        super(url);
        opened.push(this);
      }
    } as typeof WebSocket;
    try {
      const second = await maker.cancelOnDisconnect();
      opened[0]?.close();
      await second.lost;
    } finally {
      globalThis.WebSocket = WebSocket;
    }
    await until(async () => (await maker.getOrder(kept.id)).reason === 'disconnected');
    const stranger = await connect({
      url: exchange().url,
      wallet: privateKeyToAccount(await createFundedWallet(exchange(), {})),
      rpcUrl: exchange().rpcUrl,
    });
    await assert.rejects(stranger.cancelOnDisconnect(), refusal('ACCOUNT_UNKNOWN', /Deposit first/));
    const gone = AbortSignal.abort(new Error('enough'));
    await assert.rejects(maker.cancelOnDisconnect({ signal: gone }), /enough/);
  });

  it('sends the same signed order twice without placing it twice', async () => {
    const signed = await maker.sign(order('buy', '800', '1'));
    const first = await maker.submit(signed);
    const second = await maker.submit(signed);
    assert.deepEqual([first.order.id, second.order.id], [maker.orderId(signed), maker.orderId(signed)]);
    assert.equal((await maker.getOrders({ status: 'open' })).data.filter(({ price }) => price === '800').length, 1);
  });

  it('ends waits and requests when their signal is aborted', async () => {
    const aborted = AbortSignal.abort(new Error('enough'));
    const soon = AbortSignal.timeout(300);
    await assert.rejects(maker.placeOrder(order('buy', '700', '1'), { signal: aborted }), /enough/);
    await assert.rejects(maker.getBalances({ signal: aborted }), /enough/);
    await assert.rejects(maker.orderBook(MARKET, { signal: aborted }), /enough/);
    await assert.rejects(maker.waitForBalance({ asset: 'WBTC', available: '1', signal: soon }), {
      name: 'TimeoutError',
    });
    const { data } = await maker.getOrders({ status: 'open' });
    assert.deepEqual(data, []);
  });

  it('asks to exit with a node alone, which stops its trading, and can take that back', async () => {
    const privateKey = await createFundedWallet(exchange(), { USDC: '1000' });
    const wallet = viemAccount(privateKey);
    const { url, rpcUrl } = exchange();
    const leaver = await connect({ url, wallet, rpcUrl });
    await leaver.deposit({ asset: 'USDC', amount: '1000' });
    await leaver.waitForBalance({ asset: 'USDC', available: '1000' });
    const { token } = await leaver.rules.asset('USDC');

    const vault = await openVault({ wallet, vault: leaver.vault, rpcUrl });
    assert.equal(await vault.balanceQuanta(token), 1_000_000_000n);
    await assert.rejects(vault.exit(token), /revert/i, 'an exit has to be requested first');
    await vault.requestExit(token);
    assert.ok(((await vault.exitAvailableAtMs(token)) ?? 0) > Date.now());
    await assert.rejects(vault.exit(token), /revert/i, 'the delay is not over');
    const withdraw = () => leaver.withdraw({ asset: 'USDC', amount: '1' });
    await until(async () => {
      const refused = await withdraw().catch((error: unknown) => error);
      return refused instanceof TallystickError && refused.shortMessage.includes('asked to exit');
    });
    await assert.rejects(leaver.placeOrder(order('buy', '600', '1')), refusal('ORDER_REJECTED', /exit|cancelled/));
    await vault.cancelExit(token);
    assert.equal(await vault.exitAvailableAtMs(token), undefined);
    await until(async () => (await withdraw().catch(() => undefined)) !== undefined);
  });

  it('says so when there is no vault at the address', async () => {
    const wallet = viemAccount(await createFundedWallet(exchange(), {}));
    const { rpcUrl } = exchange();
    await assert.rejects(
      openVault({ wallet, vault: `0x${'12'.repeat(20)}`, rpcUrl }),
      refusal('INVALID_ARGUMENT', /no contract at/),
    );
    await assert.rejects(
      openVault({ wallet, vault: '0x12', rpcUrl }),
      refusal('INVALID_ARGUMENT', /must be an address/),
    );
  });
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error('it did not happen in 20 s');
    await sleep(200);
  }
}
