/**
 * The exchange as one wallet sees it: connect → deposit → sign → fill → verify.
 *
 * Retries send the same signed bytes, so that a lost answer never places an order twice. Lanes are handed out here: an order
 * that rests keeps its lane until it has ended, so the client never runs into `lane_busy`.
 */
import type { Eip712Domain } from '../domain/typed-data.ts';
import type { Address } from '../domain/units.ts';
import { type ApiKeyCredentials, createApiKey, signLogin, signRequest } from './api-key.ts';
import * as custody from './custody.ts';
import { type DisconnectGuard, guardByConnection } from './disconnect-guard.ts';
import { TallystickError } from './errors.ts';
import { type TrackedFill, trackFill } from './fills.ts';
import { createHttpClient, type HttpClient, pause } from './http.ts';
import { LaneAllocator } from './lanes.ts';
import { type MarketOrderInput, type TopOfBook, withBound } from './market-order.ts';
import { type OrderBook, openOrderBook } from './order-book.ts';
import { OrderLanes } from './order-lanes.ts';
import { createRuleBook, type RuleBook } from './rules.ts';
import { type OrderMessageJson, orderDigest, orderTypedData } from './sign-order.ts';
import { type AnySigner, type Signer, toSigner } from './signers.ts';
import {
  createTransactionSender,
  missingRpc,
  type TransactionReceipt,
  type TransactionSender,
} from './transactions.ts';
import type { Balance, Fill, NewOrderInput, Order, OrderReceipt, Page, Withdrawal } from './types.ts';
import { openVault, type Vault } from './vault.ts';
import { type VerifiedFill, verifyFill } from './verify-fill.ts';

export type ConnectOptions = {
  /** Where the API is, e.g. `http://127.0.0.1:3000`. */
  readonly url: string;
  /** A viem account, a viem wallet client, or an ethers signer. */
  readonly wallet: AnySigner;
  /**
   * A node of the vault's chain, to deposit, exit and verify. Default: the node that the exchange offers, if it does; name one that you
   * trust where verification has to stand on its own.
   */
  readonly rpcUrl?: string;
  /** Lanes this client may use; give clients of one account ranges that do not overlap. Default: all. */
  readonly lanes?: { readonly first: number; readonly last: number };
};

export type SignedOrder = {
  readonly order: OrderMessageJson;
  readonly signature: string;
  readonly clientOrderId?: string;
  readonly selfTradePrevention?: string;
  readonly stop?: { readonly direction: string; readonly triggerPrice: string };
  readonly replaces?: string;
};

export type PlacedOrder = {
  readonly order: Order;
  readonly fills: readonly TrackedFill[];
  /** Null when the same order had been placed before. */
  readonly receipt: OrderReceipt | null;
};

type Contracts = {
  readonly chainId: number;
  readonly vault: string;
  readonly deployedAt: number;
  readonly domain: Eip712Domain;
  readonly rpcUrl: string | null;
};

const DAY_SECONDS = 86_400;
const API_KEY_LIFETIME_MS = DAY_SECONDS * 1000;
const SETTLEMENT_POLL_MS = 500;
/** A key is replaced when it has less than this left. */
const API_KEY_RENEWAL_MS = 60_000;

export type RequestControl = {
  /** Ends the request or the wait; what was sent already may still take effect. */
  readonly signal?: AbortSignal | undefined;
};

export class TallystickClient {
  readonly address: Address;
  readonly chainId: number;
  readonly vault: Address;
  readonly rules: RuleBook;
  /** What every signature is bound to. */
  readonly domain: Eip712Domain;
  readonly #signer: Signer;
  readonly #wallet: AnySigner;
  readonly #rpcUrl: string | undefined;
  readonly #public: HttpClient;
  readonly #private: HttpClient;
  readonly #clockOffsetMs: number;
  readonly #url: string;
  readonly #orderLanes: OrderLanes;
  readonly #withdrawalLanes: LaneAllocator;
  #credentials: { readonly made: Promise<ApiKeyCredentials>; readonly expiresAtMs: number } | undefined;
  #sender: TransactionSender | undefined;

  /** Use `connect`. */
  constructor(options: {
    connect: ConnectOptions;
    signer: Signer;
    contracts: Contracts;
    http: HttpClient;
    clockOffsetMs: number;
  }) {
    const { connect, signer, contracts, http } = options;
    this.address = signer.address;
    this.chainId = contracts.chainId;
    this.vault = contracts.vault.toLowerCase() as Address;
    this.domain = { ...contracts.domain, verifyingContract: this.vault };
    this.#signer = signer;
    this.#wallet = connect.wallet;
    this.#rpcUrl = connect.rpcUrl ?? contracts.rpcUrl ?? undefined;
    this.#public = http;
    this.#clockOffsetMs = options.clockOffsetMs;
    this.#private = createHttpClient(connect.url, async (request) =>
      signRequest(await this.#apiKey(), { ...request, nowMs: this.#nowMs() }),
    );
    this.rules = createRuleBook(http, () => Date.now());
    const clock = { deployedAtMs: contracts.deployedAt, now: () => this.#nowMs() };
    const range = connect.lanes === undefined ? {} : { firstLane: connect.lanes.first, lastLane: connect.lanes.last };
    this.#url = connect.url;
    this.#orderLanes = new OrderLanes(new LaneAllocator({ ...clock, ...range }), () => this.#openOrders());
    this.#withdrawalLanes = new LaneAllocator({ ...clock, ...range });
  }

  /** Signs an order on a lane of this client, without sending it. A lane is kept for it until it is submitted and has ended, or `discard`ed. */
  async sign(input: NewOrderInput, replaces?: Order): Promise<SignedOrder> {
    const rules = await this.rules.market(input.market);
    const lane = replaces?.lane ?? (await this.#orderLanes.take());
    try {
      const { typedData, message } = orderTypedData({
        account: this.address,
        input,
        rules,
        domain: this.domain,
        lane,
        orderSequence: this.#orderLanes.nextSequence(),
        expiry: Math.floor(this.#nowMs() / 1000) + (input.expiresInSeconds ?? DAY_SECONDS),
      });
      const signature = await this.#signer.signTypedData(typedData);
      return {
        order: message,
        signature,
        ...(input.clientOrderId === undefined ? {} : { clientOrderId: input.clientOrderId }),
        ...(input.selfTradePrevention === undefined ? {} : { selfTradePrevention: input.selfTradePrevention }),
        ...(input.stop === undefined ? {} : { stop: input.stop }),
        ...(replaces === undefined ? {} : { replaces: replaces.id }),
      };
    } catch (error) {
      if (replaces === undefined) this.#orderLanes.release(lane);
      throw error;
    }
  }

  /**
   * Sends a signed order. Safe to repeat: the same bytes give the same order.
   * @throws TallystickError with the API's code: ORDER_REJECTED (details.errors tells the reasons), INVALID_SIGNATURE, …
   */
  async submit(signed: SignedOrder, control: RequestControl = {}): Promise<PlacedOrder> {
    const lane = laneOf(signed);
    this.#orderLanes.sending(lane, this.orderId(signed));
    try {
      const answer = await this.#public.request<{ order: Order; fills: readonly Fill[]; receipt: OrderReceipt | null }>(
        '/api/v1/orders',
        { method: 'POST', body: signed, repeatable: true, signal: control.signal },
      );
      this.#orderLanes.update(answer.order);
      return { ...answer, fills: answer.fills.map((fill) => this.#track(fill)) };
    } catch (error) {
      const isRefused = error instanceof TallystickError && !error.retryable;
      if (isRefused && error.details['reason'] === 'lane_busy' && signed.replaces === undefined)
        this.#orderLanes.foundBusy(lane, this.orderId(signed));
      else if (isRefused) this.#orderLanes.giveBack(lane, signed.replaces);
      else this.#orderLanes.unanswered(lane);
      throw error;
    }
  }

  /** The EIP-712 digest of a signed order: its id at the exchange. */
  orderId(signed: SignedOrder): string {
    return orderDigest(signed.order, this.domain);
  }

  /** Gives back the lane of a signed order that will not be submitted. */
  discard(signed: SignedOrder): void {
    this.#orderLanes.giveBack(laneOf(signed), signed.replaces);
  }

  async placeOrder(input: NewOrderInput, control: RequestControl = {}): Promise<PlacedOrder> {
    const signed = await this.sign(input);
    if (control.signal?.aborted) {
      this.discard(signed);
      throw control.signal.reason;
    }
    return this.submit(signed, control);
  }

  /** Takes what is there at once, down to the bound; the rest is cancelled. @throws TallystickError as `boundMarketOrder` and `submit` */
  async placeMarketOrder(input: MarketOrderInput, control: RequestControl = {}): Promise<PlacedOrder> {
    return this.placeOrder(await this.boundMarketOrder(input, control), control);
  }

  /** The order with a limit that a market order is. @throws TallystickError NO_LIQUIDITY when nobody stands on the other side */
  async boundMarketOrder(input: MarketOrderInput, control: RequestControl = {}): Promise<NewOrderInput> {
    const rules = await this.rules.market(input.market);
    const depth = await this.get<TopOfBook>(`/markets/${input.market}/depth`, { levels: 1 }, control);
    return withBound(input, depth, rules);
  }

  /** One signed order in the place of a live one, on its lane; priority is kept when only the size shrinks. */
  async replaceOrder(live: Order, input: NewOrderInput, control: RequestControl = {}): Promise<PlacedOrder> {
    return this.submit(await this.sign(input, live), control);
  }

  /** Off chain, at once: what was matched before still settles. @throws TallystickError with the API's code when it has ended already */
  async cancelOrder(id: string, control: RequestControl = {}): Promise<Order> {
    const path = `/api/v1/orders/${id}`;
    const order = await this.#private.request<Order>(path, { method: 'DELETE', repeatable: true, ...control });
    this.#orderLanes.update(order);
    return order;
  }

  /**
   * Leaves the order with `remaining` (whole base tokens, decimal); it keeps its place in the queue and its signature.
   * @throws TallystickError with the API's code when it has less left, or has ended
   */
  async reduceOrder(id: string, remaining: string, control: RequestControl = {}): Promise<Order> {
    const path = `/api/v1/orders/${id}/reduce`;
    return this.#private.request<Order>(path, { method: 'POST', body: { remaining }, repeatable: true, ...control });
  }

  /** Off chain, at once; `market` undefined means every market. Returns the ids of the orders that ended. */
  async cancelAllOrders(market?: string, control: RequestControl = {}): Promise<readonly string[]> {
    const { cancelled } = await this.#private.request<{ cancelled: readonly string[] }>('/api/v1/orders', {
      method: 'DELETE',
      query: { market },
      repeatable: true,
      ...control,
    });
    await this.#orderLanes.lookUp();
    return cancelled;
  }

  /**
   * The dead man's switch: everything is cancelled when this is not called again within `timeoutMs` (a day at most); 0 switches it off.
   * @returns the deadline in milliseconds since the Unix epoch, null when it is off
   */
  async cancelAfter(timeoutMs: number, control: RequestControl = {}): Promise<number | null> {
    const { deadline } = await this.#private.request<{ deadline: number | null }>('/api/v1/orders/cancel-after', {
      method: 'POST',
      body: { timeoutMs },
      repeatable: true,
      ...control,
    });
    return deadline;
  }

  /** Everything of the account is cancelled when this process, or its connection, goes. Resolves once the exchange has promised it. */
  async cancelOnDisconnect(control: RequestControl = {}): Promise<DisconnectGuard> {
    const login = async () => signLogin(await this.#apiKey(), this.#nowMs());
    return guardByConnection(this.#url, login, control.signal);
  }

  getOrder(id: string, control: RequestControl = {}): Promise<Order> {
    return this.#private.request(`/api/v1/orders/${id}`, control);
  }

  getOrders(
    query: { status?: string; market?: string; limit?: number; cursor?: string } = {},
    control: RequestControl = {},
  ): Promise<Page<Order>> {
    return this.#private.request('/api/v1/orders', { query, ...control });
  }

  /** A live copy of a market's book; resolves with its first picture. The signal closes it. */
  async orderBook(market: string, control: RequestControl = {}): Promise<OrderBook> {
    const rules = await this.rules.market(market);
    return openOrderBook({ baseUrl: this.#url, market: rules.market.symbol, signal: control.signal });
  }

  async getFills(
    query: { orderId?: string; market?: string; limit?: number; cursor?: string } = {},
    control: RequestControl = {},
  ): Promise<Page<TrackedFill>> {
    const page = await this.#private.request<Page<Fill>>('/api/v1/fills', { query, ...control });
    return { ...page, data: page.data.map((fill) => this.#track(fill)) };
  }

  async getBalances(control: RequestControl = {}): Promise<readonly Balance[]> {
    return (await this.#private.request<Page<Balance>>('/api/v1/balances', control)).data;
  }

  /** Everything public, by its path below /api/v1: `get('/markets/WETH-USDC/depth')`. */
  get<T>(
    path: string,
    query: Readonly<Record<string, string | number | undefined>> = {},
    control: RequestControl = {},
  ): Promise<T> {
    return this.#public.request<T>(`/api/v1${path}`, { query, ...control });
  }

  /** Approves and deposits; resolves at inclusion. The balance can be traded once the deposit is final: see `waitForBalance`. */
  async deposit(input: { asset: string; amount: string }): Promise<TransactionReceipt> {
    const asset = await this.rules.asset(input.asset);
    return custody.deposit({
      sender: this.#chain(),
      vault: this.vault,
      owner: this.address,
      asset,
      amount: input.amount,
    });
  }

  /** Resolves when at least `available` of the asset can be traded. */
  async waitForBalance(input: { asset: string; available: string; signal?: AbortSignal }): Promise<Balance> {
    const asset = await this.rules.asset(input.asset);
    const wanted = custody.wholeQuanta(input.available, asset);
    for (;;) {
      const balance = (await this.getBalances({ signal: input.signal })).find((entry) => entry.asset === input.asset);
      if (balance !== undefined && custody.atLeast(balance.available, wanted, asset)) return balance;
      await pause(SETTLEMENT_POLL_MS, input.signal);
    }
  }

  /** Signs and requests a withdrawal that the next batch executes; to the owner unless `recipient` says otherwise. */
  async withdraw(
    input: { asset: string; amount: string; maxFee?: string; recipient?: string },
    control: RequestControl = {},
  ): Promise<Withdrawal> {
    const asset = await this.rules.asset(input.asset);
    const maxFee = input.maxFee ?? (await this.#withdrawalFee(asset.symbol));
    const lane = this.#withdrawalLanes.take();
    try {
      const signed = await custody.signWithdrawal({
        signer: this.#signer,
        domain: this.domain,
        asset,
        amount: input.amount,
        maxFee,
        recipient: (input.recipient ?? this.address).toLowerCase() as Address,
        lane,
        withdrawalSequence: this.#withdrawalLanes.nextSequence(),
        expiry: Math.floor(this.#nowMs() / 1000) + DAY_SECONDS,
      });
      return await this.#public.request<Withdrawal>('/api/v1/withdrawals', {
        method: 'POST',
        body: signed,
        repeatable: true,
        ...control,
      });
    } finally {
      this.#withdrawalLanes.release(lane);
    }
  }

  getWithdrawal(id: string, control: RequestControl = {}): Promise<Withdrawal> {
    return this.#private.request(`/api/v1/withdrawals/${id}`, control);
  }

  /** Resolves when the withdrawal was paid out on chain for good. @throws TallystickError WITHDRAWAL_FAILED with the contract's reason */
  async waitForWithdrawal(id: string, control: RequestControl = {}): Promise<Withdrawal> {
    for (;;) {
      const withdrawal = await this.getWithdrawal(id, control);
      if (withdrawal.state === 'executed') return withdrawal;
      if (withdrawal.state === 'failed') {
        const reason = withdrawal.reason ?? 'no reason';
        throw new TallystickError('WITHDRAWAL_FAILED', `the vault did not pay withdrawal ${id} out: ${reason}`, {
          details: { withdrawal },
        });
      }
      await pause(SETTLEMENT_POLL_MS, control.signal);
    }
  }

  /** Starts the exit from one asset; `exit` pays out after the delay. Where the exchange does not answer, `openVault` does the same. */
  async requestExit(asset: string): Promise<TransactionReceipt> {
    const { token } = await this.rules.asset(asset);
    return (await this.#openVault()).requestExit(token);
  }

  /** Takes out all that the vault's books show. @throws before the delay is over */
  async exit(asset: string, recipient?: string): Promise<TransactionReceipt> {
    const { token } = await this.rules.asset(asset);
    return (await this.#openVault()).exit(token, recipient);
  }

  /** Binds on chain: nothing signed so far is matched any more, and after the grace period nothing of it settles. */
  async cancelAllOnChain(): Promise<TransactionReceipt> {
    return (await this.#openVault()).cancelAllOrders();
  }

  /** Checks a fill against the chain alone, without trusting the API. @throws TallystickError VERIFICATION_FAILED saying what differs. */
  async verifyFill(fill: Fill): Promise<VerifiedFill> {
    const rules = await this.rules.market(fill.market);
    return verifyFill({
      fill,
      rules,
      domain: this.domain,
      account: this.address,
      publicClient: this.#chain().publicClient,
    });
  }

  #track(fill: Fill): TrackedFill {
    return trackFill(fill, this.#private);
  }

  #nowMs(): number {
    return Date.now() + this.#clockOffsetMs;
  }

  /** @throws TallystickError NO_RPC */
  #openVault(): Promise<Vault> {
    return openVault({ wallet: this.#wallet, vault: this.vault, rpcUrl: this.#rpcUrl ?? missingRpc() });
  }

  #chain(): TransactionSender {
    this.#sender ??= createTransactionSender({ wallet: this.#wallet, rpcUrl: this.#rpcUrl, chainId: this.chainId });
    return this.#sender;
  }

  /** Made at the first need, and again before it expires. */
  #apiKey(): Promise<ApiKeyCredentials> {
    const nowMs = this.#nowMs();
    if (this.#credentials !== undefined && nowMs < this.#credentials.expiresAtMs - API_KEY_RENEWAL_MS) {
      return this.#credentials.made;
    }
    const made = createApiKey({
      http: this.#public,
      signer: this.#signer,
      domain: this.domain,
      nowMs,
      lifetimeMs: API_KEY_LIFETIME_MS,
    }).catch((error: unknown) => {
      this.#credentials = undefined;
      throw error;
    });
    this.#credentials = { made, expiresAtMs: nowMs + API_KEY_LIFETIME_MS };
    return made;
  }

  async #withdrawalFee(symbol: string): Promise<string> {
    const { data } = await this.get<Page<{ symbol: string; withdrawalFee: string }>>('/assets');
    return data.find((asset) => asset.symbol === symbol)?.withdrawalFee ?? '0';
  }

  async #openOrders(): Promise<Order[]> {
    const orders: Order[] = [];
    let cursor: string | undefined;
    do {
      const page = await this.getOrders({ status: 'open', limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
      orders.push(...page.data);
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    return orders;
  }

  /** Takes over the lanes of orders that were live before this client connected. */
  async adoptOpenOrders(): Promise<readonly Order[]> {
    const orders = await this.#openOrders();
    for (const order of orders) this.#orderLanes.update(order);
    return orders;
  }
}

/**
 * Fetches chain id, vault and clock from the API and makes an API key of scopes read and cancel by one signature.
 * @throws TallystickError NETWORK when the API does not answer.
 */
export async function connect(options: ConnectOptions): Promise<TallystickClient> {
  const http = createHttpClient(options.url);
  const [signer, contracts, time] = await Promise.all([
    toSigner(options.wallet),
    http.request<Contracts>('/api/v1/contracts'),
    http.request<{ timeMs: number }>('/api/v1/time'),
  ]);
  const client = new TallystickClient({
    connect: options,
    signer,
    contracts,
    http,
    clockOffsetMs: time.timeMs - Date.now(),
  });
  await client.adoptOpenOrders();
  return client;
}

function laneOf(signed: SignedOrder): number {
  return Number(BigInt(signed.order.nonce) >> 48n);
}
