/**
 * The exchange as one wallet sees it: connect → deposit → sign → fill → verify.
 *
 * Retries send the same signed bytes, so that a lost answer never places an order twice. Lanes are handed out here: an order
 * that rests keeps its lane until it has ended, so the client never runs into `lane_busy`.
 */
import type { Eip712Domain } from '../domain/typed-data.ts';
import type { Address } from '../domain/units.ts';
import { type ApiKeyCredentials, createApiKey, signRequest } from './api-key.ts';
import * as custody from './custody.ts';
import { TallystickError } from './errors.ts';
import { createHttpClient, type HttpClient, pause } from './http.ts';
import { LaneAllocator } from './lanes.ts';
import { createRuleBook, type RuleBook } from './rules.ts';
import { type OrderMessageJson, orderTypedData } from './sign-order.ts';
import { type AnySigner, type Signer, toSigner } from './signers.ts';
import { createTransactionSender, type TransactionReceipt, type TransactionSender } from './transactions.ts';
import type { Balance, Fill, NewOrderInput, Order, OrderReceipt, Page, Withdrawal } from './types.ts';
import { type VerifiedFill, verifyFill } from './verify-fill.ts';

export type ConnectOptions = {
  /** Where the API is, e.g. `http://127.0.0.1:3000`. */
  readonly url: string;
  /** A viem account, a viem wallet client, or an ethers signer. */
  readonly wallet: AnySigner;
  /** A node of the vault's chain; needed to deposit, exit and verify. */
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

export type TrackedFill = Fill & {
  /** Resolves when the fill is final on chain. @throws TallystickError FILL_VOIDED with the contract's reason. */
  settled(options?: { readonly signal?: AbortSignal }): Promise<Fill>;
};

type Contracts = {
  readonly chainId: number;
  readonly vault: string;
  readonly deployedAt: number;
  readonly domain: Eip712Domain;
};

const DAY_SECONDS = 86_400;
const API_KEY_LIFETIME_MS = DAY_SECONDS * 1000;
const SETTLEMENT_POLL_MS = 500;
/** Look which orders have ended after so many more have come to rest. */
const RESTED_BEFORE_LOOKING = 16;

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
  readonly #orderLanes: LaneAllocator;
  readonly #withdrawalLanes: LaneAllocator;
  /** Lane → id of the order that holds it, with the moment of placement. */
  readonly #resting = new Map<number, { readonly id: string; readonly placedAtMs: number }>();
  /** Orders resting when it is time to look again. */
  #lookAtResting = RESTED_BEFORE_LOOKING;
  #credentials: Promise<ApiKeyCredentials> | undefined;
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
    this.#rpcUrl = connect.rpcUrl;
    this.#public = http;
    this.#clockOffsetMs = options.clockOffsetMs;
    this.#private = createHttpClient(connect.url, async (request) =>
      signRequest(await this.#apiKey(), { ...request, nowMs: this.#nowMs() }),
    );
    this.rules = createRuleBook(http, () => Date.now());
    const clock = { deployedAtMs: contracts.deployedAt, now: () => this.#nowMs() };
    const range = connect.lanes === undefined ? {} : { firstLane: connect.lanes.first, lastLane: connect.lanes.last };
    this.#orderLanes = new LaneAllocator({ ...clock, ...range });
    this.#withdrawalLanes = new LaneAllocator({ ...clock, ...range });
  }

  /** Signs an order on a lane of this client, without sending it. A lane is kept for it until it is submitted and has ended, or `discard`ed. */
  async sign(input: NewOrderInput, replaces?: Order): Promise<SignedOrder> {
    const rules = await this.rules.market(input.market);
    const lane = replaces?.lane ?? (await this.#takeLane());
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
  async submit(signed: SignedOrder, options: { readonly signal?: AbortSignal } = {}): Promise<PlacedOrder> {
    const lane = laneOf(signed);
    const placedAtMs = Date.now();
    try {
      const answer = await this.#public.request<{ order: Order; fills: readonly Fill[]; receipt: OrderReceipt | null }>(
        '/api/v1/orders',
        { method: 'POST', body: signed, repeatable: true, signal: options.signal },
      );
      this.#keepLane(lane, answer.order, placedAtMs);
      return { ...answer, fills: answer.fills.map((fill) => this.#track(fill)) };
    } catch (error) {
      // A refused order leaves its lane as it was; with an unknown outcome the lane stays taken.
      if (error instanceof TallystickError && !error.retryable && signed.replaces === undefined) this.discard(signed);
      throw error;
    }
  }

  /** Gives back the lane of a signed order that will not be submitted. */
  discard(signed: SignedOrder): void {
    const lane = laneOf(signed);
    this.#resting.delete(lane);
    this.#orderLanes.release(lane);
  }

  async placeOrder(input: NewOrderInput, options: { readonly signal?: AbortSignal } = {}): Promise<PlacedOrder> {
    return this.submit(await this.sign(input), options);
  }

  /** One signed order in the place of a live one, on its lane; priority is kept when only the size shrinks. */
  async replaceOrder(live: Order, input: NewOrderInput): Promise<PlacedOrder> {
    return this.submit(await this.sign(input, live));
  }

  async cancelOrder(id: string): Promise<Order> {
    const order = await this.#private.request<Order>(`/api/v1/orders/${id}`, { method: 'DELETE', repeatable: true });
    this.#keepLane(order.lane, order, Date.now());
    return order;
  }

  /** Off chain, at once; `market` undefined means every market. */
  async cancelAllOrders(market?: string): Promise<void> {
    await this.#private.request('/api/v1/orders', { method: 'DELETE', query: { market }, repeatable: true });
  }

  getOrder(id: string): Promise<Order> {
    return this.#private.request(`/api/v1/orders/${id}`);
  }

  getOrders(query: { status?: string; market?: string; limit?: number; cursor?: string } = {}): Promise<Page<Order>> {
    return this.#private.request('/api/v1/orders', { query });
  }

  async getFills(
    query: { orderId?: string; market?: string; limit?: number; cursor?: string } = {},
  ): Promise<Page<TrackedFill>> {
    const page = await this.#private.request<Page<Fill>>('/api/v1/fills', { query });
    return { ...page, data: page.data.map((fill) => this.#track(fill)) };
  }

  async getBalances(): Promise<readonly Balance[]> {
    return (await this.#private.request<Page<Balance>>('/api/v1/balances')).data;
  }

  /** Everything public, by its path below /api/v1: `get('/markets/WETH-USDC/depth')`. */
  get<T>(path: string, query: Readonly<Record<string, string | number | undefined>> = {}): Promise<T> {
    return this.#public.request<T>(`/api/v1${path}`, { query });
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
      const balance = (await this.getBalances()).find((entry) => entry.asset === input.asset);
      if (balance !== undefined && custody.atLeast(balance.available, wanted, asset)) return balance;
      await pause(SETTLEMENT_POLL_MS, input.signal);
    }
  }

  /** Signs and requests a withdrawal that the next batch executes; to the owner unless `recipient` says otherwise. */
  async withdraw(input: { asset: string; amount: string; maxFee?: string; recipient?: string }): Promise<Withdrawal> {
    const asset = await this.rules.asset(input.asset);
    const lane = this.#withdrawalLanes.take();
    const signed = await custody.signWithdrawal({
      signer: this.#signer,
      domain: this.domain,
      asset,
      amount: input.amount,
      maxFee: input.maxFee ?? (await this.#withdrawalFee(asset.symbol)),
      recipient: (input.recipient ?? this.address).toLowerCase() as Address,
      lane,
      withdrawalSequence: this.#withdrawalLanes.nextSequence(),
      expiry: Math.floor(this.#nowMs() / 1000) + DAY_SECONDS,
    });
    try {
      return await this.#public.request<Withdrawal>('/api/v1/withdrawals', {
        method: 'POST',
        body: signed,
        repeatable: true,
      });
    } finally {
      this.#withdrawalLanes.release(lane);
    }
  }

  getWithdrawal(id: string): Promise<Withdrawal> {
    return this.#private.request(`/api/v1/withdrawals/${id}`);
  }

  /** Leaves without the operator: needs the chain only. */
  async requestExit(asset: string): Promise<TransactionReceipt> {
    return custody.requestExit(this.#chain(), this.vault, await this.rules.asset(asset));
  }

  async exit(asset: string, recipient?: string): Promise<TransactionReceipt> {
    const to = (recipient ?? this.address).toLowerCase() as Address;
    return custody.exit(this.#chain(), this.vault, await this.rules.asset(asset), to);
  }

  /** Binds on chain: nothing signed so far is matched any more, and after the grace period nothing of it settles. */
  cancelAllOnChain(): Promise<TransactionReceipt> {
    return custody.cancelAllOnChain(this.#chain(), this.vault);
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
    return { ...fill, settled: (options) => this.#settled(fill, options?.signal) };
  }

  async #settled(fill: Fill, signal: AbortSignal | undefined): Promise<Fill> {
    for (;;) {
      const page = await this.#private.request<Page<Fill>>('/api/v1/fills', {
        query: { orderId: fill.orderId, limit: 200 },
        signal,
      });
      const now = page.data.find((entry) => entry.tradeId === fill.tradeId);
      if (now?.state === 'final') return now;
      if (now?.state === 'voided') {
        throw new TallystickError(
          'FILL_VOIDED',
          `the vault skipped trade ${fill.tradeId}: ${now.voidReason ?? 'no reason'}`,
          {
            details: { fill: now },
          },
        );
      }
      await pause(SETTLEMENT_POLL_MS, signal);
    }
  }

  #nowMs(): number {
    return Date.now() + this.#clockOffsetMs;
  }

  #chain(): TransactionSender {
    this.#sender ??= createTransactionSender({ wallet: this.#wallet, rpcUrl: this.#rpcUrl, chainId: this.chainId });
    return this.#sender;
  }

  #apiKey(): Promise<ApiKeyCredentials> {
    this.#credentials ??= createApiKey({
      http: this.#public,
      signer: this.#signer,
      domain: this.domain,
      nowMs: this.#nowMs(),
      lifetimeMs: API_KEY_LIFETIME_MS,
    }).catch((error: unknown) => {
      this.#credentials = undefined;
      throw error;
    });
    return this.#credentials;
  }

  async #withdrawalFee(symbol: string): Promise<string> {
    const { data } = await this.get<Page<{ symbol: string; withdrawalFee: string }>>('/assets');
    return data.find((asset) => asset.symbol === symbol)?.withdrawalFee ?? '0';
  }

  #keepLane(lane: number, order: Order, placedAtMs: number): void {
    if (order.status === 'open' || order.status === 'partially_filled') {
      this.#orderLanes.occupy(lane);
      this.#resting.set(lane, { id: order.id, placedAtMs });
    } else if (this.#resting.get(lane)?.id === order.id || !this.#resting.has(lane)) {
      this.#resting.delete(lane);
      this.#orderLanes.release(lane);
    }
  }

  /** Orders end without our doing (filled, expired): their lanes are found again before new ones are opened. */
  async #takeLane(): Promise<number> {
    if (this.#resting.size >= this.#lookAtResting) {
      const askedAtMs = Date.now();
      const live = new Set((await this.#openOrders()).map((order) => order.id));
      for (const [lane, { id, placedAtMs }] of this.#resting) {
        if (placedAtMs >= askedAtMs || live.has(id)) continue;
        this.#resting.delete(lane);
        this.#orderLanes.release(lane);
      }
      this.#lookAtResting = this.#resting.size + RESTED_BEFORE_LOOKING;
    }
    return this.#orderLanes.take();
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
    for (const order of orders) this.#keepLane(order.lane, order, Date.now());
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
