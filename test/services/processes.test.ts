import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { privateKeyToAccount } from 'viem/accounts';
import { deployLocal } from '../../scripts/deploy.ts';
import { connect, type TallystickClient } from '../../src/sdk/client.ts';
import { findFreePort } from '../../src/services/free-port.ts';
import { LOCAL_ACCOUNTS, localKey } from '../../src/services/local-keys.ts';
import { whenThisProcessDies } from '../../src/services/parent-watch.ts';
import { useTestDatabase } from '../support/database.ts';
import { useLocalNode } from '../support/local-node.ts';
import { useTestRedis } from '../support/redis.ts';
import { createFundedWallet } from '../support/running-exchange.ts';

const RUN = fileURLToPath(new URL('../../src/services/run.ts', import.meta.url));

type Service = {
  readonly child: ChildProcess;
  readonly log: () => string;
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | null>;
};

function startService(name: string, environment: Readonly<Record<string, string>>): Service {
  const child = spawn(process.execPath, [RUN, name], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const endWatch = whenThisProcessDies('kill -KILL "$1"', [String(child.pid)]);
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return {
    child,
    log: () => log,
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal);
      const late = setTimeout(() => child.kill('SIGKILL'), 20_000);
      const code = await exited;
      clearTimeout(late);
      endWatch();
      return code;
    },
  };
}

async function until<T>(what: string, attempt: () => Promise<T | undefined>, timeoutMs = 60_000): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  let last: unknown;
  while (performance.now() < deadlineMs) {
    try {
      const result = await attempt();
      if (result !== undefined) return result;
    } catch (error) {
      last = error;
    }
    await sleep(200);
  }
  throw new Error(`${what} did not come about within ${timeoutMs} ms: ${String(last)}`);
}

describe('services as processes of their own, over Redis', () => {
  const database = useTestDatabase();
  const redis = useTestRedis();
  const chain = useLocalNode({ blockTimeSeconds: 1, flags: ['--mixed-mining'] });
  const services = new Map<string, Service>();

  after(async function () {
    this.timeout(60_000);
    await Promise.all([...services.values()].map(({ stop }) => stop()));
  });

  it('trade and settle through two gateways, and a standby engine takes over when the leader is killed', async function () {
    this.timeout(240_000);
    const { rpcUrl } = chain.node();
    const { vault } = await deployLocal({
      rpcUrl,
      deployerKey: localKey(LOCAL_ACCOUNTS.deployer),
      overrides: { engineKey: privateKeyToAccount(localKey(LOCAL_ACCOUNTS.engine)).address },
    });
    const common = {
      DATABASE_URL: database.url(),
      RPC_URL: rpcUrl,
      REDIS_URL: redis.redis().url,
      VAULT_ADDRESS: vault,
      API_KEY_SECRET: 'a secret of the tests, at least 32 characters long',
      TRANSPORT_SECRET: 'another secret of the tests, of 32 characters',
      OPERATIONS_PORT: '0',
      SEAL_AGE_MS: '500',
    };
    const ports = [await findFreePort(), await findFreePort()];
    const start = (label: string, name: string, more: Readonly<Record<string, string>> = {}): void =>
      void services.set(label, startService(name, { ...common, ...more }));
    start('leader', 'engine');
    await until('the first engine', async () =>
      services.get('leader')?.log().includes('"leading"') ? true : undefined,
    );
    start('standby', 'engine');
    for (const name of ['settlement', 'indexer', 'projector', 'reconciliation']) start(name, name);
    for (const [index, port] of ports.entries()) start(`gateway ${index}`, 'gateway', { PORT: `${port}` });
    const urls = ports.map((port) => `http://127.0.0.1:${port}`);
    for (const url of urls) {
      await until(`markets at ${url}`, async () => {
        const { data } = (await (await fetch(`${url}/api/v1/markets`)).json()) as { data: unknown[] };
        return data.length === 2 ? true : undefined;
      });
    }

    const clients = await Promise.all(urls.map((url) => enter(url, rpcUrl)));
    const [maker, taker] = clients as [TallystickClient, TallystickClient];
    const first = await tradeOnce(maker, taker);
    assert.equal((await first.settled({ signal: AbortSignal.timeout(60_000) })).state, 'final');

    assert.equal(await services.get('leader')?.stop('SIGKILL'), null);
    services.delete('leader');
    const second = await until('a trade under the new leader', () => tradeOnce(maker, taker));
    await second.settled({ signal: AbortSignal.timeout(60_000) });
    assert.ok(services.get('standby')?.log().includes('"leading"'));
    const verdict = (await (await fetch(`${urls[0]}/api/v1/reconciliation`)).json()) as { drift?: unknown[] };
    assert.deepEqual(verdict.drift ?? [], []);
    for (const [label, { stop, log }] of services) assert.equal(await stop(), 0, `${label}: ${log().slice(-1_000)}`);
    services.clear();
  });

  it('start while the node that they prefer is away', async function () {
    this.timeout(60_000);
    const { rpcUrl } = chain.node();
    const { vault } = await deployLocal({ rpcUrl, deployerKey: localKey(LOCAL_ACCOUNTS.deployer) });
    const service = startService('projector', {
      DATABASE_URL: database.url(),
      RPC_URL: `http://127.0.0.1:${await findFreePort()},${rpcUrl}`,
      REDIS_URL: redis.redis().url,
      VAULT_ADDRESS: vault,
      OPERATIONS_PORT: '0',
    });
    try {
      await until('the projector', async () => (service.log().includes('projector runs') ? true : undefined));
    } finally {
      await service.stop();
    }
  });

  it('say which setting is missing', async () => {
    for (const [name, expected] of [
      ['gateway', /DATABASE_URL is missing/],
      ['nothing', /Which service\? One of gateway, engine/],
    ] as const) {
      const service = startService(name, { DATABASE_URL: '', RPC_URL: '' });
      await new Promise((resolve) => service.child.once('close', resolve));
      assert.match(service.log(), expected);
    }
  });
});

async function enter(url: string, rpcUrl: string): Promise<TallystickClient> {
  const key = await createFundedWallet({ url, rpcUrl, chainId: 31_337 }, { WETH: '5', USDC: '20000' });
  const client = await connect({ url, wallet: privateKeyToAccount(key), rpcUrl });
  await client.deposit({ asset: 'WETH', amount: '5' });
  await client.deposit({ asset: 'USDC', amount: '20000' });
  await client.waitForBalance({ asset: 'USDC', available: '20000' });
  return client;
}

async function tradeOnce(maker: TallystickClient, taker: TallystickClient) {
  await maker.placeOrder({ market: 'WETH-USDC', side: 'sell', price: '2500', size: '0.1', postOnly: true });
  const { fills } = await taker.placeOrder({
    market: 'WETH-USDC',
    side: 'buy',
    price: '2500',
    size: '0.1',
    timeInForce: 'ioc',
  });
  const [fill] = fills;
  assert.ok(fill !== undefined, 'the orders traded');
  return fill;
}
