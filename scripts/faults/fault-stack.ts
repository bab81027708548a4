/** The exchange as processes of their own over PostgreSQL, Redis, a local node and an RPC proxy, with a maker and a taker that trade. */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { privateKeyToAccount } from 'viem/accounts';
import { createRpcEndpoint, type RpcEndpoint } from '../../src/chain/rpc-pool.ts';
import { connect, type TallystickClient } from '../../src/sdk/client.ts';
import { findFreePort } from '../../src/services/free-port.ts';
import { LOCAL_ACCOUNTS, localKey } from '../../src/services/local-keys.ts';
import { startLocalNode } from '../../src/services/local-node.ts';
import { whenThisProcessDies } from '../../src/services/parent-watch.ts';
import { startTestRedis, type TestRedis } from '../../test/support/redis.ts';
import { type RpcProxy, startRpcProxy } from '../../test/support/rpc-proxy.ts';
import { createFundedWallet } from '../../test/support/running-exchange.ts';
import { deployLocal } from '../deploy.ts';

const RUN = fileURLToPath(new URL('../../src/services/run.ts', import.meta.url));
const SERVICES = ['engine', 'settlement', 'indexer', 'projector', 'reconciliation'] as const;
const PATIENCE_MS = 120_000;

export type FaultStack = {
  readonly databaseUrl: string;
  readonly rpc: RpcEndpoint;
  readonly proxy: RpcProxy;
  readonly redis: TestRedis;
  readonly submitter: string;
  /** Restarts the service after a SIGKILL. */
  readonly kill: (service: (typeof SERVICES)[number]) => Promise<void>;
  /** One trade, placed again until it is made. @returns the digests acknowledged, and what waits for finality */
  readonly trade: () => Promise<{ readonly digests: readonly string[]; readonly final: () => Promise<void> }>;
  readonly url: string;
  readonly stop: () => Promise<void>;
};

export async function startFaultStack(databaseUrl: string): Promise<FaultStack> {
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of stops.reverse()) await end();
  };
  try {
    const node = await startLocalNode({ blockTimeSeconds: 1, flags: ['--mixed-mining'] });
    stops.push(() => node.stop());
    const redis = await startTestRedis();
    stops.push(() => redis.stop());
    const proxy = await startRpcProxy(node.rpcUrl);
    stops.push(() => proxy.stop());
    const { vault } = await deployLocal({
      rpcUrl: node.rpcUrl,
      deployerKey: localKey(LOCAL_ACCOUNTS.deployer),
      overrides: { engineKey: privateKeyToAccount(localKey(LOCAL_ACCOUNTS.engine)).address },
    });
    const port = await findFreePort();
    const environment = {
      DATABASE_URL: databaseUrl,
      RPC_URL: proxy.url,
      REDIS_URL: redis.url,
      VAULT_ADDRESS: vault,
      API_KEY_SECRET: 'a secret of the tests, at least 32 characters long',
      OPERATIONS_PORT: '0',
      SEAL_AGE_MS: '300',
      FINALITY: '4',
      PORT: `${port}`,
    };
    const processes = new Map<string, Service>();
    stops.push(() => Promise.all([...processes.values()].map(({ end }) => end('SIGKILL'))));
    const start = (name: string): void => void processes.set(name, startService(name, environment));
    start('engine');
    await until('the engine', async () => processes.get('engine')?.log().includes('"leading"') === true);
    for (const name of [...SERVICES.slice(1), 'gateway']) start(name);
    const url = `http://127.0.0.1:${port}`;
    await until('the markets', async () => {
      const { data } = (await (await fetch(`${url}/api/v1/markets`)).json()) as { data: unknown[] };
      return data.length === 2;
    });
    const [maker, taker] = [await enter(url, node.rpcUrl), await enter(url, node.rpcUrl)];
    return {
      databaseUrl,
      rpc: createRpcEndpoint(node.rpcUrl),
      proxy,
      redis,
      submitter: privateKeyToAccount(localKey(LOCAL_ACCOUNTS.submitter)).address,
      kill: async (name) => {
        await processes.get(name)?.end('SIGKILL');
        start(name);
      },
      trade: () => trade(maker, taker),
      url,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Service = { readonly log: () => string; readonly end: (signal: NodeJS.Signals) => Promise<void> };

function startService(name: string, environment: Readonly<Record<string, string>>): Service {
  const child: ChildProcess = spawn(process.execPath, [RUN, name], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const endWatch = whenThisProcessDies('kill -KILL "$1"', [String(child.pid)]);
  let log = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-100_000);
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    log: () => log,
    end: async (signal) => {
      child.kill(signal);
      await exited;
      endWatch();
    },
  };
}

async function enter(url: string, rpcUrl: string): Promise<TallystickClient> {
  const key = await createFundedWallet({ url, rpcUrl, chainId: 31_337 }, { WETH: '5', USDC: '20000' });
  const client = await connect({ url, wallet: privateKeyToAccount(key), rpcUrl });
  await client.deposit({ asset: 'WETH', amount: '5' });
  await client.deposit({ asset: 'USDC', amount: '20000' });
  await client.waitForBalance({ asset: 'USDC', available: '20000' });
  return client;
}

async function trade(
  maker: TallystickClient,
  taker: TallystickClient,
): Promise<Awaited<ReturnType<FaultStack['trade']>>> {
  const terms = { market: 'WETH-USDC', price: '2500', size: '0.01' };
  const digests: string[] = [];
  let final: (() => Promise<void>) | undefined;
  await until('a trade', async () => {
    const made = await maker.placeOrder({ ...terms, side: 'sell' });
    digests.push(made.order.id);
    const taken = await taker.placeOrder({ ...terms, side: 'buy', timeInForce: 'ioc' });
    digests.push(taken.order.id);
    const [fill] = taken.fills;
    if (fill === undefined) return false;
    final = async () => {
      await fill.settled({ signal: AbortSignal.timeout(PATIENCE_MS) });
    };
    return true;
  });
  return { digests, final: () => (final as () => Promise<void>)() };
}

/** Tries again while it fails or says no. @throws with the last reason once patience ends */
export async function until(what: string, attempt: () => Promise<boolean>): Promise<void> {
  let last: unknown;
  for (const deadlineMs = performance.now() + PATIENCE_MS; performance.now() < deadlineMs; await sleep(100)) {
    try {
      if (await attempt()) return;
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`${what} did not come about`, { cause: last });
}
