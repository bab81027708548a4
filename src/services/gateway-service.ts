/** The gateway process: REST, WebSocket and the page, with the market data view and the signature workers behind them. */
import { fileURLToPath } from 'node:url';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { createApiServer } from '../api/server.ts';
import { createSignaturePool } from '../chain/signature-pool.ts';
import type { JournalSequence } from '../domain/units.ts';
import { MarketDataView, type PublicTrade, RECENT_TRADES_MAX } from '../messaging/market-data.ts';
import type { SharedCounters, Transport } from '../messaging/port.ts';
import { ProjectionWaiter } from '../storage/queries/progress.ts';
import { listTrades } from '../storage/queries/trades.ts';
import { LOCAL_CHAIN_ID } from './local-node.ts';
import type { ProcessContext } from './process-context.ts';

export type GatewayServiceOptions = {
  readonly context: ProcessContext;
  readonly pool: Pool;
  readonly transport: Transport;
  readonly apiKeySecret: string;
  readonly metrics: Registry;
  /** Given where there may be several gateways. */
  readonly sharedCounters?: SharedCounters;
};

export type GatewayService = {
  /** Where it listens, e.g. `http://127.0.0.1:3000`. */
  readonly url: string;
  readonly marketData: MarketDataView;
  readonly stop: () => Promise<void>;
};

const WEB_DIRECTORY = fileURLToPath(new URL('../../web', import.meta.url));

/** How long the trades channel waits at its start for projections that are behind. */
const SEED_WAIT_MS = 1_000;

/** Resolves when the API listens; there must be an engine that answers, or will be soon. */
export async function startGatewayService(options: GatewayServiceOptions): Promise<GatewayService> {
  const { pool, transport } = options;
  const { chain, settings, logger } = options.context;
  const signatures = createSignaturePool(chain.domain);
  const projections = new ProjectionWaiter(pool);
  const marketData = new MarketDataView({
    events: transport,
    snapshots: transport,
    seedTrades: async (market, upTo) => {
      await projections.waitFor(upTo, SEED_WAIT_MS);
      return seedTrades(pool, market, upTo, logger);
    },
  });
  await marketData.start();
  const server = await createApiServer({
    pool,
    commands: transport,
    events: transport,
    marketData,
    signatures,
    chain,
    apiKeySecret: options.apiKeySecret,
    logger,
    metrics: options.metrics,
    sharedCounters: options.sharedCounters,
    webDirectory: WEB_DIRECTORY,
    journalDelayMs: (settings.JOURNAL_DELAY_SECONDS ?? (chain.chainId === LOCAL_CHAIN_ID ? 0 : 900)) * 1000,
    trustProxy: settings.TRUST_PROXY ?? false,
  });
  const url = await server.listen({ host: settings.HOST, port: settings.PORT });
  return {
    url,
    marketData,
    stop: async () => {
      await server.close();
      await marketData.stop();
      await signatures.close();
    },
  };
}

/** Newest trades up to a command. The projections may still be behind: then the channel starts with fewer. */
async function seedTrades(
  pool: Pool,
  market: number,
  upTo: JournalSequence,
  logger: Logger,
): Promise<readonly PublicTrade[]> {
  try {
    const { rows } = await listTrades(pool, market, { limit: RECENT_TRADES_MAX });
    return rows
      .filter((trade) => trade.journalSequence <= upTo)
      .map((trade) => ({
        tradeId: trade.tradeId,
        market,
        priceTicks: trade.priceTicks,
        sizeLots: trade.sizeLots,
        takerSide: trade.takerSide,
        timestampMs: trade.createdAtMs,
      }));
  } catch (error) {
    logger.warn({ err: error }, 'the latest trades could not be read; the trades channel starts empty');
    return [];
  }
}
