/**
 * The engine, the gateway and the projector as `npm start` composes them, without a chain: the vault's events are written where
 * the indexer would have written them. Started by bench/durable.ts with IPC.
 *
 * Usage: server.ts DATABASE_URL STARTED_MS TRADERS
 */

import { Registry } from 'prom-client';
import type { ChainFacts } from '../../src/api/context.ts';
import { createApiServer } from '../../src/api/server.ts';
import { createSignaturePool } from '../../src/chain/signature-pool.ts';
import type { Hex, TimestampMs } from '../../src/domain/units.ts';
import { createInProcessTransport } from '../../src/messaging/in-process.ts';
import { MarketDataView } from '../../src/messaging/market-data.ts';
import { readSettings } from '../../src/services/config.ts';
import { ENGINE_FORM } from '../../src/services/engine-form.ts';
import { startEngineService } from '../../src/services/engine-service.ts';
import { createLogger } from '../../src/services/logger.ts';
import { createLocalEngineSigner } from '../../src/settlement/signers.ts';
import { encodeChainFact } from '../../src/storage/chain-facts.ts';
import { migrate, openDatabase } from '../../src/storage/database.ts';
import { PostgresJournalReader } from '../../src/storage/journal/read-journal.ts';
import { Projector } from '../../src/storage/projections/projector.ts';
import { PostgresSnapshots } from '../../src/storage/snapshots.ts';
import { createInventedNode } from './invented-node.ts';
import { CHAIN_ID, DOMAIN, deployedAtMs, traders, VAULT, vaultEvents } from './orders.ts';
import { createTaskWatch } from './watch-tasks.ts';

const [url = '', started = '0', traderCount = '1'] = process.argv.slice(2);
const startedMs = Number(started);
const logger = createLogger('warn', 'bench');
const tasks = createTaskWatch();
const ENGINE_KEY: Hex = `0x${'42'.repeat(32)}`;
/** Nobody listens there: what the chain would say is in the database already, or invented. */
const NO_NODE = 'http://127.0.0.1:1';

const chain: ChainFacts = {
  chainId: CHAIN_ID,
  vault: VAULT,
  domain: DOMAIN,
  deployedAtMs: deployedAtMs(startedMs) as TimestampMs,
  deploymentBlock: 1,
  engine: undefined,
  exitDelaySeconds: 86_400,
  graceSeconds: 3_600,
};

const engineSigner = createLocalEngineSigner(ENGINE_KEY);
await migrate(url);
const enginePool = openDatabase({ url, applicationName: 'bench-engine' });
const sharedPool = openDatabase({ url, applicationName: 'bench-services' });
await recordVaultEvents();
const transport = createInProcessTransport({ onProblem: ({ message, cause }) => logger.warn({ err: cause }, message) });
const projector = new Projector({
  pool: sharedPool,
  journal: new PostgresJournalReader(sharedPool),
  snapshots: new PostgresSnapshots({ pool: sharedPool }),
  form: ENGINE_FORM,
  onProblem: ({ message, cause }) => logger.warn({ err: cause }, message),
});
projector.start();
const engine = await startEngineService({
  context: {
    settings: readSettings({ SEAL_AGE_MS: '600000', SEAL_TRADES: '200', RPC_URL: NO_NODE }),
    logger,
    databaseUrl: url,
    rpcUrls: [NO_NODE],
    rpc: createInventedNode(engineSigner.address),
    chain,
    finality: { kind: 'confirmations', count: 1 },
    owner: `bench ${process.pid}`,
    warn: (message, error) => logger.warn({ err: error }, message),
    openPool: () => sharedPool,
    close: async () => undefined,
  },
  pool: enginePool,
  transport,
  engineSigner,
  onJournaled: (row) => projector.offer(row),
});
const marketData = new MarketDataView({ events: transport, snapshots: transport, seedTrades: async () => [] });
await marketData.start();
const unlimited = 1_000_000_000;
const api = await createApiServer({
  pool: sharedPool,
  commands: transport,
  events: transport,
  marketData,
  signatures: createSignaturePool(DOMAIN),
  chain,
  apiKeySecret: 'x'.repeat(32),
  logger,
  metrics: new Registry(),
  limits: { requestsMax: unlimited, ordersMax: unlimited },
});
const address = await api.listen({ host: '127.0.0.1', port: 0 });
for (
  const events = vaultEvents(traders(Number(traderCount))).length;
  engine.leading.engine.lastChainEventSequence < events;
) {
  engine.wakeFeed();
  await new Promise((resolve) => setTimeout(resolve, 50));
}
for (;;) {
  const listed = await sharedPool.query('SELECT FROM listed_markets');
  if (listed.rowCount === 1) break;
  await new Promise((resolve) => setTimeout(resolve, 50));
}
process.on('message', (asked) => {
  if (asked === 'watch tasks') tasks.start();
  else process.send?.({ longestTaskMs: tasks.stop() });
});
process.on('disconnect', () => process.exit(0));
process.send?.({ url: address });

/** As the indexer leaves them: one final block with every event. */
async function recordVaultEvents(): Promise<void> {
  const events = vaultEvents(traders(Number(traderCount)));
  await sharedPool.query(
    `INSERT INTO chain_blocks (number, hash, parent_hash, block_time, last_event_sequence, final)
     VALUES (1, sha256('block'), sha256('parent'), now(), $1, true)`,
    [events.length],
  );
  await sharedPool.query(
    `INSERT INTO chain_events (event_sequence, block_number, tx_hash, log_index, kind, payload)
     SELECT place, 1, sha256('transaction'), place, payload->>'kind', payload
       FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS events (payload, place)`,
    [`[${events.map(encodeChainFact).join(',')}]`],
  );
}
