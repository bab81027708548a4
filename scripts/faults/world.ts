/**
 * The whole exchange as supervised processes, everything that they talk to behind something that can break it: two engines, settlement,
 * indexer, projector, reconciliation and gateway; PostgreSQL and Redis behind wires; one local node behind two strict RPC proxies.
 */
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts';
import { createRpcEndpoint, type RpcEndpoint } from '../../src/chain/rpc-pool.ts';
import type { Address } from '../../src/domain/units.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/services/embedded-postgres.ts';
import { findFreePort } from '../../src/services/free-port.ts';
import { LOCAL_ACCOUNTS, localKey } from '../../src/services/local-keys.ts';
import { type LocalNode, startLocalNode } from '../../src/services/local-node.ts';
import { runsWithArgument } from '../../src/services/running-process.ts';
import { migrate, openDatabase } from '../../src/storage/database.ts';
import { startTestRedis, type TestRedis } from '../../test/support/redis.ts';
import { type RpcProxy, startRpcProxy } from '../../test/support/rpc-proxy.ts';
import { deployLocal } from '../deploy.ts';
import { type Supervised, superviseService } from './supervise.ts';
import { startTraffic, type Traffic } from './traffic.ts';
import { layWire, type Wire } from './wire.ts';

const SHIFTED_CLOCK = fileURLToPath(new URL('./shifted-clock.ts', import.meta.url));
const PATIENCE_MS = 180_000;
const FINALITY = 4;

const SERVICES = ['engine', 'standby', 'settlement', 'indexer', 'projector', 'reconciliation', 'gateway'] as const;
type ServiceLabel = (typeof SERVICES)[number];

export type World = {
  readonly vault: Address;
  /** The node itself; the services see it through the proxies only. */
  readonly node: LocalNode;
  readonly rpc: RpcEndpoint;
  /** In the services' order of preference. */
  readonly proxies: readonly [RpcProxy, RpcProxy];
  /** Straight to the server, as a superuser. */
  readonly pool: pg.Pool;
  readonly postgres: {
    /** SIGKILL to the server, which is started again at once. */
    readonly killAndRestart: () => Promise<void>;
    /** Starts it again should it have ended by itself. */
    readonly restartWhenDead: () => Promise<void>;
    /** The engines' way to it. */
    readonly engineWire: Wire;
    readonly url: string;
  };
  readonly redis: {
    /** The server behind the wire. */
    readonly server: () => TestRedis;
    readonly wire: Wire;
    /** Another server takes the place of the one behind the wire. */
    readonly replace: (server: TestRedis) => void;
  };
  readonly services: Readonly<Record<ServiceLabel, Supervised>>;
  /** Starts one more process of a service. The caller ends it by `down`. */
  readonly startService: (service: string) => Supervised;
  /** The engine that leads, by the database's word. */
  readonly leader: () => Promise<Supervised>;
  /** Shifts the engines' wall clock. */
  readonly shiftClock: (offsetMs: number) => Promise<void>;
  readonly submitter: PrivateKeyAccount;
  readonly traffic: Traffic;
  readonly url: string;
  readonly stop: () => Promise<void>;
};

export type WorldOptions = {
  readonly seed: number;
  /** Confirmations until a block is final; 4 when absent. With many, blocks are mined faster. */
  readonly finality?: number;
  /** Where the database's files are; a temporary directory when absent. */
  readonly databaseDirectory?: string;
};

export async function startWorld(options: WorldOptions): Promise<World> {
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of stops.reverse().splice(0)) await end();
  };
  try {
    const directory = await mkdtemp(join(tmpdir(), 'tallystick-faults-'));
    stops.push(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
    const postgres = await startServer(options.databaseDirectory ?? join(directory, 'postgres'));
    stops.push(postgres.stop);
    const node = await startLocalNode({ blockTimeSeconds: 1, flags: ['--mixed-mining'] });
    stops.push(node.stop);
    const rpc = createRpcEndpoint(node.rpcUrl);
    if ((options.finality ?? 0) > FINALITY) stops.push(mineFaster(rpc));
    let redis = await startTestRedis();
    stops.push(() => redis.stop());
    const proxies = [await startRpcProxy(node.rpcUrl), await startRpcProxy(node.rpcUrl)] as const;
    for (const proxy of proxies) stops.push(proxy.stop);
    const wires = [await layWire(postgres.url), await layWire(postgres.url), await layWire(redis.url)] as const;
    const [engineWire, databaseWire, redisWire] = wires;
    for (const wire of wires) stops.push(async () => wire.cut());
    const pool = openDatabase({ url: postgres.url, applicationName: 'tallystick-test-faults', connectionsMax: 4 });
    stops.push(() => pool.end());
    const { vault } = await deployLocal({
      rpcUrl: node.rpcUrl,
      deployerKey: localKey(LOCAL_ACCOUNTS.deployer),
      overrides: { engineKey: privateKeyToAccount(localKey(LOCAL_ACCOUNTS.engine)).address },
    });
    const clockFile = join(directory, 'clock-offset');
    await writeFile(clockFile, '0');
    const port = await findFreePort();
    const environment = {
      RPC_URL: proxies.map(({ url }) => url).join(','),
      REDIS_URL: redisWire.url,
      VAULT_ADDRESS: vault,
      API_KEY_SECRET: 'a secret of the tests, at least 32 characters long',
      TRANSPORT_SECRET: 'another secret of the tests, of 32 characters',
      OPERATIONS_PORT: '0',
      SEAL_AGE_MS: '2000',
      SNAPSHOT_COMMANDS: '100',
      FINALITY: `${options.finality ?? FINALITY}`,
      PORT: `${port}`,
    };
    const extra: Supervised[] = [];
    const startService = (service: string): Supervised => {
      const isEngine = service === 'engine';
      const started = superviseService(service, {
        ...environment,
        DATABASE_URL: (isEngine ? engineWire : databaseWire).url,
        ...(isEngine ? { NODE_OPTIONS: `--import=${SHIFTED_CLOCK}`, CLOCK_OFFSET_FILE: clockFile } : {}),
      });
      extra.push(started);
      return started;
    };
    stops.push(() => Promise.all(extra.map(({ down }) => down())));
    const engine = startService('engine');
    await until('the engine', async () => engine.log().includes('"leading"')).catch((cause: unknown) => {
      throw new Error(`the engine did not start:\n${engine.log().slice(-2_000)}`, { cause });
    });
    const services = {
      engine,
      standby: startService('engine'),
      settlement: startService('settlement'),
      indexer: startService('indexer'),
      projector: startService('projector'),
      reconciliation: startService('reconciliation'),
      gateway: startService('gateway'),
    };
    const url = `http://127.0.0.1:${port}`;
    await until('the markets', async () => {
      const { data } = (await (await fetch(`${url}/api/v1/markets`)).json()) as { data: unknown[] };
      return data.length === 2;
    });
    const traffic = await startTraffic({ url, rpcUrl: node.rpcUrl, pairs: 2, seed: options.seed });
    stops.push(traffic.stop);
    return {
      vault,
      node,
      rpc,
      proxies,
      pool,
      postgres: { ...postgres, engineWire },
      redis: {
        server: () => redis,
        wire: redisWire,
        replace: (server) => {
          redis = server;
          redisWire.leadTo(server.url);
          redisWire.drop();
        },
      },
      services,
      startService,
      leader: async () => {
        const { rows } = await pool.query<{ owner: string }>('SELECT owner FROM leader');
        const pid = Number(rows[0]?.owner.split(':')[1]);
        return services.standby.pid() === pid ? services.standby : services.engine;
      },
      shiftClock: async (offsetMs) => {
        await writeFile(clockFile, `${offsetMs}`);
        for (const { signal } of [services.engine, services.standby]) signal('SIGUSR2');
      },
      submitter: privateKeyToAccount(localKey(LOCAL_ACCOUNTS.submitter)),
      traffic,
      url,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Ten blocks more twice a second. @returns ends it */
function mineFaster(rpc: RpcEndpoint): () => Promise<void> {
  let stopping = false;
  const mining = (async () => {
    for (; !stopping; await sleep(500)) await rpc.request('anvil_mine', ['0xa']);
  })();
  return async () => {
    stopping = true;
    await mining;
  };
}

/** A database server of the world's own, with the project's tables. */
async function startServer(directory: string) {
  let server: EmbeddedPostgres = await startEmbeddedPostgres({ dataDirectory: directory, temporary: true });
  await migrate(server.url);
  const restart = (): Promise<void> =>
    // The children of a killed server notice and end; a new one starts only once they are gone.
    until('the database server', async () => {
      server = await startEmbeddedPostgres({ dataDirectory: directory, port: server.port, temporary: true });
      return true;
    });
  return {
    url: server.url,
    stop: () => server.stop(),
    killAndRestart: () => {
      process.kill(server.pid, 'SIGKILL');
      return restart();
    },
    restartWhenDead: async () => {
      if (!(await runsWithArgument(server.pid, join(await realpath(directory), 'cluster')))) await restart();
    },
  };
}

/** Tries again while it fails or says no. @throws with the last reason once patience ends */
export async function until(what: string, attempt: () => Promise<boolean>, patienceMs = PATIENCE_MS): Promise<void> {
  let last: unknown;
  for (const deadlineMs = performance.now() + patienceMs; performance.now() < deadlineMs; await sleep(50)) {
    try {
      if (await attempt()) return;
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`${what} did not come about within ${patienceMs} ms`, { cause: last });
}
