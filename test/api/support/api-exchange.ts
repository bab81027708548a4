/**
 * A real exchange without a chain: PostgreSQL, journal, engine, projector and API server in this process. Facts of the chain (listings,
 * deposits) are given to the engine as the feeder would.
 */
import type { Pool } from 'pg';
import { pino } from 'pino';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import type { ApiDependencies, ApiInstance, ApiLimits } from '../../../src/api/context.ts';
import { createApiServer } from '../../../src/api/server.ts';
import { createRowSigner } from '../../../src/chain/receipts.ts';
import { createSignaturePool } from '../../../src/chain/signature-pool.ts';
import type { ChainFact, OperatorCommand } from '../../../src/domain/commands.ts';
import { packNonce } from '../../../src/domain/orders.ts';
import { API_KEY_TYPES, eip712Domain, ORDER_TYPES } from '../../../src/domain/typed-data.ts';
import type {
  Address,
  ChainEventSequence,
  Lots,
  Ppm,
  PriceTicks,
  Quanta,
  TimestampMs,
} from '../../../src/domain/units.ts';
import { createInProcessTransport } from '../../../src/messaging/in-process.ts';
import { MarketDataView } from '../../../src/messaging/market-data.ts';
import type { BookSnapshot, CommandClient, EventStream, Level, Transport } from '../../../src/messaging/port.ts';
import type { Engine } from '../../../src/offchain-engine/engine.ts';
import { SYSTEM_CLOCK } from '../../../src/offchain-engine/sequencer/command-clock.ts';
import { leadJournal } from '../../../src/offchain-engine/sequencer/lead.ts';
import { ENGINE_FORM } from '../../../src/services/engine-form.ts';
import { openDatabase } from '../../../src/storage/database.ts';
import { PostgresJournal } from '../../../src/storage/journal/postgres-journal.ts';
import { PostgresLeadership } from '../../../src/storage/leadership.ts';
import { Projector } from '../../../src/storage/projections/projector.ts';
import { PostgresSnapshots } from '../../../src/storage/snapshots.ts';
import { createTestDatabase } from '../../support/database.ts';

export const CHAIN_ID = 31337;
export const VAULT: Address = '0x00000000000000000000000000000000000000aa';
export const DOMAIN = eip712Domain(CHAIN_ID, VAULT);
export const BASE_TOKEN: Address = '0x00000000000000000000000000000000000000b1';
export const QUOTE_TOKEN: Address = '0x00000000000000000000000000000000000000c2';
export const API_KEY_SECRET = 'a secret of at least thirty-two characters';
const ENGINE_KEY = `0x${'77'.repeat(32)}` as const;

/** Lot 0.001 WETH, tick 0.01 USDC, fees 200 / 500 ppm. */
const LISTINGS: readonly ChainFact[] = [
  {
    kind: 'assetListed',
    asset: {
      index: 0,
      token: BASE_TOKEN,
      symbol: 'WETH',
      decimals: 18,
      quantumUnits: 10n ** 9n,
      minDeposit: 1 as Quanta,
    },
  },
  {
    kind: 'assetListed',
    asset: { index: 1, token: QUOTE_TOKEN, symbol: 'USDC', decimals: 6, quantumUnits: 1n, minDeposit: 1 as Quanta },
  },
  {
    kind: 'marketListed',
    market: {
      index: 0,
      symbol: 'WETH-USDC',
      baseAsset: 0,
      quoteAsset: 1,
      lotQuanta: 1_000_000 as Quanta,
      tickQuanta: 10 as Quanta,
      maxSizeLots: 10_000_000 as Lots,
      maxPriceTicks: 10_000_000 as PriceTicks,
    },
  },
];

export type Wallet = ReturnType<typeof privateKeyToAccount>;
export type ApiExchange = Awaited<ReturnType<typeof startApiExchange>>;

export async function startApiExchange(
  overrides: Partial<ApiDependencies> & {
    readonly wrapCommands?: (commands: CommandClient) => CommandClient;
    readonly wrapEvents?: (events: EventStream) => EventStream;
  } = {},
) {
  const database = await createTestDatabase();
  const pool = openDatabase({ url: database.url, applicationName: 'api test' });
  const logger = pino({ level: process.env['TEST_LOG'] ?? 'silent' });
  const problems: unknown[] = [];
  const onProblem = ({ message, cause }: { message: string; cause: unknown }): void => {
    problems.push(message);
    logger.warn({ err: cause }, message);
  };
  const transport: Transport = createInProcessTransport({ onProblem });
  const deployedAtMs = (Date.now() - 3_600_000) as TimestampMs;
  const journal = new PostgresJournal({ pool, owner: 'test' });
  const snapshots = new PostgresSnapshots({ pool });
  const projector = new Projector<Engine>({ pool, journal, snapshots, form: ENGINE_FORM, onProblem, pollMs: 20 });
  const leading = await leadJournal<Engine>({
    journal,
    leadership: new PostgresLeadership({ pool, owner: 'test' }),
    snapshots,
    form: ENGINE_FORM,
    wall: SYSTEM_CLOCK,
    clockStepMaxMs: Number.POSITIVE_INFINITY,
    genesis: {
      kind: 'genesis',
      chainId: CHAIN_ID,
      vault: VAULT,
      deployedAtMs,
      limits: {
        openOrdersPerAccountMax: 100,
        batchesInFlightMax: 64,
        unsettledAgeMaxMs: 3_600_000,
        orderAgeMaxMs: 600_000,
      },
      defaultParameters: {
        makerFeePpm: 200 as Ppm,
        takerFeePpm: 500 as Ppm,
        minNotional: 1_000_000 as Quanta,
        priceBandPpm: 0,
      },
      withdrawalFees: [],
    },
    sign: createRowSigner(ENGINE_KEY, DOMAIN),
    seal: () => ({ kind: 'wait', untilMs: undefined }),
    onApplied: (applied, _row, commands) => {
      transport.publish(applied);
      projector.offer({ commands, applied });
    },
    onLeading: () => undefined,
    onProblem,
  });
  const { sequencer, engine } = leading;
  projector.start();
  await transport.serveCommands((command, submitted) => sequencer.submit(command, submitted));
  await transport.serveSnapshots(() => bookSnapshot(engine));
  let eventSequence = 0;
  const fact = async (chainFact: ChainFact): Promise<void> => {
    eventSequence++;
    const reply = await sequencer.submitChain({ ...chainFact, eventSequence: eventSequence as ChainEventSequence });
    if (reply.kind !== 'committed') throw new Error(`the engine answered ${reply.kind}`);
  };
  for (const listing of LISTINGS) await fact(listing);
  await projected(pool, engine);

  const marketData = new MarketDataView({ events: transport, snapshots: transport, seedTrades: async () => [] });
  await marketData.start();
  const signatures = createSignaturePool(DOMAIN, { workers: 1 });
  const { wrapCommands, wrapEvents, ...rest } = overrides;
  const dependencies: ApiDependencies = {
    pool,
    commands: wrapCommands?.(transport) ?? transport,
    events: wrapEvents?.(transport) ?? transport,
    marketData,
    signatures,
    chain: {
      chainId: CHAIN_ID,
      vault: VAULT,
      domain: DOMAIN,
      deployedAtMs,
      deploymentBlock: 1,
      engine: privateKeyToAccount(ENGINE_KEY).address.toLowerCase() as Address,
      exitDelaySeconds: 86_400,
      graceSeconds: 3_600,
    },
    apiKeySecret: API_KEY_SECRET,
    logger,
    ...rest,
  };
  const server: ApiInstance = await createApiServer(dependencies);
  const url = await server.listen({ host: '127.0.0.1', port: 0 });
  const otherPools: Pool[] = [];
  /** Another API server on the same exchange, with a memory of its own. */
  const gatewayWith = async (change: Partial<ApiDependencies>) => {
    const second = await createApiServer({ ...dependencies, ...change });
    return { url: await second.listen({ host: '127.0.0.1', port: 0 }), close: () => second.close() };
  };

  return {
    url,
    pool,
    server,
    engine,
    deployedAtMs,
    problems,
    transport,
    fact,
    /** A decision of the operator's. */
    operate: async (command: OperatorCommand): Promise<void> => {
      const reply = await sequencer.submitOperator(command);
      if (reply.kind !== 'committed') throw new Error(`the engine answered ${reply.kind}`);
    },
    /** A new wallet with 100 WETH and 1,000,000 USDC, in the engine and in the projections. */
    fundedWallet: async (): Promise<Wallet> => {
      const wallet = privateKeyToAccount(generatePrivateKey());
      const account = wallet.address.toLowerCase() as Address;
      await fact({ kind: 'depositCredited', account, asset: 0, amount: 100_000_000_000 as Quanta });
      await fact({ kind: 'depositCredited', account, asset: 1, amount: 1_000_000_000_000 as Quanta });
      await projected(pool, engine);
      return wallet;
    },
    projected: () => projected(pool, engine),
    secondGateway: (limits: Partial<ApiLimits> = {}) => gatewayWith({ limits }),
    gatewayWith,
    /** A pool to another database; ended with the exchange. */
    poolTo: (databaseUrl: string): Pool => {
      const other = openDatabase({ url: databaseUrl, applicationName: 'api test', connectTimeoutMs: 500 });
      otherPools.push(other);
      return other;
    },
    stop: async (): Promise<void> => {
      await server.close();
      await marketData.stop();
      await signatures.close();
      await transport.close();
      await sequencer.stop();
      await projector.stop();
      for (const other of otherPools) await other.end();
      await pool.end();
      await database.drop();
    },
  };
}

function bookSnapshot(engine: Engine): BookSnapshot {
  const levels = (market: number, side: 'buy' | 'sell'): Level[] =>
    engine.levels(market, side).map(({ price, size }) => [price, size]);
  return {
    sequence: engine.lastSequence as BookSnapshot['sequence'],
    books: engine.core.markets.map(({ index }) => ({
      market: index,
      bids: levels(index, 'buy'),
      asks: levels(index, 'sell'),
    })),
  };
}

async function projected(pool: Pool, engine: Engine): Promise<void> {
  for (;;) {
    const { rows } = await pool.query<{ journal_sequence: string }>('SELECT journal_sequence FROM projection_cursor');
    if (Number(rows[0]?.journal_sequence) >= engine.lastSequence) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

let lastOrderSequence = 0;

export type OrderInput = {
  readonly side?: 'buy' | 'sell';
  /** In ticks of 0.01 USDC. */
  readonly ticks?: number;
  /** In lots of 0.001 WETH. */
  readonly lots?: number;
  readonly lane?: number;
  readonly timeInForce?: string;
  readonly postOnly?: boolean;
  /** What is signed is changed afterwards. */
  readonly message?: Record<string, unknown>;
  /** What is sent besides the order. */
  readonly extra?: Record<string, unknown>;
  readonly signer?: Wallet;
  readonly domain?: typeof DOMAIN;
};

/** The body of POST /orders: sell 1 WETH at 2,000 USDC unless told otherwise. */
export async function signedOrder(exchange: { readonly deployedAtMs: number }, wallet: Wallet, input: OrderInput = {}) {
  const lots = BigInt(input.lots ?? 1_000);
  const ticks = BigInt(input.ticks ?? 200_000);
  lastOrderSequence = Math.max(Date.now() - exchange.deployedAtMs, lastOrderSequence + 1);
  const order = {
    account: wallet.address as string,
    side: input.side ?? 'sell',
    baseToken: BASE_TOKEN as string,
    baseAmount: (lots * 10n ** 15n).toString(),
    quoteToken: QUOTE_TOKEN as string,
    quoteAmount: (lots * ticks * 10n).toString(),
    timeInForce: input.timeInForce ?? 'gtc',
    postOnly: input.postOnly ?? false,
    nonce: packNonce(input.lane ?? 0, lastOrderSequence).toString(),
    expiry: String(Math.floor(Date.now() / 1000) + 3600),
    maxFeePpm: 1000,
    ...input.message,
  };
  const signature = await (input.signer ?? wallet).signTypedData({
    domain: input.domain ?? DOMAIN,
    types: ORDER_TYPES,
    primaryType: 'Order',
    message: {
      ...order,
      account: order.account as Address,
      baseToken: order.baseToken as Address,
      quoteToken: order.quoteToken as Address,
      baseAmount: BigInt(order.baseAmount),
      quoteAmount: BigInt(order.quoteAmount),
      nonce: BigInt(order.nonce),
      expiry: BigInt(order.expiry),
    },
  });
  return { order, signature: signature as string, ...input.extra };
}

export async function apiKeyBody(wallet: Wallet, change: Record<string, unknown> = {}) {
  const message = {
    account: wallet.address,
    scopes: 'read,cancel',
    expiry: Date.now() + 3_600_000,
    timestamp: Date.now(),
    ...change,
  };
  const signature = await wallet.signTypedData({
    domain: DOMAIN,
    types: API_KEY_TYPES,
    primaryType: 'ApiKey',
    message: { ...message, expiry: BigInt(message.expiry), timestamp: BigInt(message.timestamp) },
  });
  return { ...message, signature };
}
