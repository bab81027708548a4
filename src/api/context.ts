/** What the API is given by whoever composes the process, and what its routes share. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest, RawServerDefault } from 'fastify';
import type { Pool } from 'pg';
import type { Registry } from 'prom-client';
import type { Digester } from '../chain/digests.ts';
import type { SignaturePool } from '../chain/signature-pool.ts';
import type { Eip712Domain } from '../domain/typed-data.ts';
import type { Address, TimestampMs } from '../domain/units.ts';
import type { MarketDataView } from '../messaging/market-data.ts';
import type { CommandClient, EventStream, SharedCounters } from '../messaging/port.ts';
import type { ApiKeyScope } from './auth/api-keys.ts';
import type { Caller, Credentials } from './auth/authenticate.ts';
import type { MarketCatalogue } from './market-catalogue.ts';
import type { RateLimits } from './rate-limits.ts';
import type { ReadYourWrites } from './read-your-writes.ts';
import type { DisconnectLeases } from './stream/disconnect-leases.ts';
import type { KnownAccounts } from './trading/known-accounts.ts';
import type { OrderDesk } from './trading/order-desk.ts';
import type { WithdrawalDesk } from './trading/withdrawal-desk.ts';

/** Facts of the deployment, fixed for the life of the process. */
export type ChainFacts = {
  readonly chainId: number;
  readonly vault: Address;
  readonly domain: Eip712Domain;
  /** Block time of the vault's deployment: nonce sequences count from here. */
  readonly deployedAtMs: TimestampMs;
  readonly deploymentBlock: number;
  /** Signs batches and receipts. */
  readonly engine: Address | undefined;
  readonly exitDelaySeconds: number;
  readonly graceSeconds: number;
  readonly wrappedNative?: Address | undefined;
  /** A node that browsers may use (exit without this API). */
  readonly publicRpcUrl?: string | undefined;
};

export type ApiLimits = {
  /** Requests of one address per window, over all gateways; orders and cancels have a budget of their own. */
  readonly requestsMax: number;
  /** Orders and cancels: each order of a batch counts. */
  readonly ordersMax: number;
  readonly windowMs: number;
  readonly bodyBytesMax: number;
  readonly batchOrdersMax: number;
  /** How long a command may wait for the engine. */
  readonly commandTimeoutMs: number;
  readonly socketsMax: number;
  readonly socketsPerAddressMax: number;
};

export const DEFAULT_LIMITS: ApiLimits = {
  requestsMax: 6_000,
  ordersMax: 6_000,
  windowMs: 10_000,
  bodyBytesMax: 256 * 1024,
  batchOrdersMax: 50,
  commandTimeoutMs: 3_000,
  socketsMax: 20_000,
  socketsPerAddressMax: 200,
};

export type ApiDependencies = {
  readonly pool: Pool;
  readonly commands: CommandClient;
  readonly events: EventStream;
  readonly marketData: MarketDataView;
  readonly signatures: SignaturePool;
  readonly chain: ChainFacts;
  /** At least 32 characters; every API key's secret derives from it. */
  readonly apiKeySecret: string;
  readonly logger: FastifyBaseLogger;
  /** Milliseconds since the Unix epoch; `Date.now` by default. */
  readonly clock?: () => number;
  readonly limits?: Partial<ApiLimits>;
  /** Origin under which users reach the API; taken from each request when absent. */
  readonly publicUrl?: string | undefined;
  /** Served at `/` when it exists. */
  readonly webDirectory?: string | undefined;
  /** True, or the addresses of the proxies whose X-Forwarded-For is believed. */
  readonly trustProxy?: boolean | string;
  /**
   * Journal rows are public only this long after their commit. A refused order stays validly signed until its sequence is too old (10 minutes):
   * published sooner, anybody could place it again without its unsigned conditions (stop, replaces). 0, the default, is for closed set-ups.
   */
  readonly journalDelayMs?: number;
  readonly metrics?: Registry | undefined;
  /** Where several gateways count together; without them each holds the rate limits by itself. */
  readonly sharedCounters?: SharedCounters | undefined;
  /** Time to receive a whole request; 15 s by default. */
  readonly requestTimeoutMs?: number;
};

export type ApiInstance = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** Shared by the routes; made once per server. */
export type ApiContext = {
  readonly dependencies: ApiDependencies;
  readonly pool: Pool;
  readonly clock: () => number;
  readonly limits: ApiLimits;
  readonly rateLimits: RateLimits;
  readonly chain: ChainFacts;
  readonly digester: Digester;
  readonly catalogue: MarketCatalogue;
  readonly credentials: Credentials;
  readonly writes: ReadYourWrites;
  readonly accounts: KnownAccounts;
  readonly desk: OrderDesk;
  readonly disconnects: DisconnectLeases;
  readonly withdrawals: WithdrawalDesk;
  /** @throws ProblemError UNAUTHENTICATED or FORBIDDEN */
  readonly requireKey: (request: FastifyRequest, scope: ApiKeyScope) => Promise<Caller>;
  /** An API key with the scope cancel, or the wallet's own signature over `scope`. */
  readonly requireCanceller: (request: FastifyRequest, scope: string) => Promise<Caller>;
};

/** One route: its schema, its types, its handler. */
export type Route = (app: ApiInstance, context: ApiContext) => void;

declare module 'fastify' {
  interface FastifyRequest {
    /** The body's bytes as they came, for signatures over it; empty without a body. */
    rawBody: Uint8Array;
  }
}

export type { FastifyReply, FastifyRequest };
