/**
 * The whole exchange as users get it: `src/services/start.ts` as a process of its own, with a temporary data directory and free ports.
 * It takes some seconds to start, so tests that can do without one of their own share one.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { encodeFunctionData, type Hex, parseAbi, parseUnits, toHex } from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import type { Address } from '../../src/domain/units.ts';
import { createTransactionSender } from '../../src/sdk/transactions.ts';
import { whenThisProcessDies } from '../../src/services/parent-watch.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const START_TIMEOUT_MS = 90_000;
const STOP_TIMEOUT_MS = 30_000;

export type RunningExchange = {
  /** Of API and page, e.g. `http://127.0.0.1:43117`. */
  readonly url: string;
  readonly operationsUrl: string;
  /** The local node. */
  readonly rpcUrl: string;
  readonly chainId: number;
  readonly pid: number;
  /** All that it has printed so far. */
  readonly output: () => string;
  /** Resolves with the exit code (null after a signal) once it has ended, whoever ended it. */
  readonly exited: Promise<number | null>;
  /** Sends the signal, by default SIGTERM, and waits until it has ended; harmless when called again. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>;
};

export type RunningExchangeOptions = {
  /** Makers and takers of the demo; off by default, so that a test has the book for itself. */
  readonly demoTraders?: boolean;
  /** Kept when it stops; otherwise a temporary one, removed when it stops. */
  readonly dataDirectory?: string;
  readonly environment?: Readonly<Record<string, string>>;
};

/**
 * Starts an exchange and waits until its markets are open.
 * @throws Error with what it printed when it does not come up
 */
export async function startRunningExchange(options: RunningExchangeOptions = {}): Promise<RunningExchange> {
  const directory = options.dataDirectory ?? (await mkdtemp(join(tmpdir(), 'tallystick-exchange-')));
  const child = spawn(process.execPath, [join(PROJECT, 'src/services/start.ts')], {
    cwd: PROJECT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      DATA_DIRECTORY: directory,
      HOST: '127.0.0.1',
      PORT: '0',
      OPERATIONS_PORT: '0',
      DEMO_TRADERS: options.demoTraders === true ? 'on' : 'off',
      ...options.environment,
    },
  });
  const { pid } = child;
  if (pid === undefined) throw new Error('the exchange could not be started');
  const endWatch = whenThisProcessDies('kill -TERM "$1"', [String(pid)]);
  let output = '';
  const keep = (bytes: Buffer): void => {
    output += bytes.toString();
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  let ended = false;
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', (code) => {
      ended = true;
      resolve(code);
    });
  });

  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    if (!ended) child.kill(signal);
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(late);
    endWatch();
    if (options.dataDirectory === undefined) await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const deadlineMs = performance.now() + START_TIMEOUT_MS;
    while (!output.includes('\nReady.')) {
      if (ended || performance.now() > deadlineMs) throw new Error(ended ? 'it ended' : 'it is not ready in time');
      await sleep(50);
    }
    const url = /Web page +(\S+)/.exec(output)?.[1] ?? '';
    const operationsUrl = /Operations +(\S+)\/readyz/.exec(output)?.[1] ?? '';
    await waitForMarkets(url, deadlineMs);
    const { rpcUrl, chainId } = (await getJson(`${url}/api/v1/contracts`)) as { rpcUrl: string; chainId: number };
    return { url, operationsUrl, rpcUrl, chainId, pid, output: () => output, exited, stop };
  } catch (error) {
    await stop('SIGKILL');
    throw new Error(`the exchange did not come up; it printed:\n${output}`, { cause: error });
  }
}

/** An exchange of its own for the tests of the enclosing `describe`. */
export function useRunningExchange(options: RunningExchangeOptions = {}): { readonly exchange: () => RunningExchange } {
  let exchange: RunningExchange | undefined;
  before(async function () {
    this.timeout(START_TIMEOUT_MS + STOP_TIMEOUT_MS);
    exchange = await startRunningExchange(options);
  });
  after(async function () {
    this.timeout(2 * STOP_TIMEOUT_MS);
    await exchange?.stop();
  });
  return { exchange: () => present(exchange) };
}

let shared: Promise<RunningExchange> | undefined;

/** The exchange that test files share, without demo traders; tests bring wallets of their own and leave no orders behind. */
export function useSharedExchange(): { readonly exchange: () => RunningExchange } {
  let exchange: RunningExchange | undefined;
  before(async function () {
    this.timeout(START_TIMEOUT_MS + STOP_TIMEOUT_MS);
    shared ??= startRunningExchange();
    exchange = await shared;
  });
  return { exchange: () => present(exchange) };
}

/** Called once after all tests. */
export async function stopSharedExchange(): Promise<void> {
  const exchange = await shared?.catch(() => undefined);
  await exchange?.stop();
}

/**
 * A new wallet's private key, with ether for gas and test tokens, none of them deposited.
 * @param amounts decimal amounts by asset, e.g. `{ USDC: '10000' }`
 */
export async function createFundedWallet(
  exchange: Pick<RunningExchange, 'url' | 'rpcUrl' | 'chainId'>,
  amounts: Readonly<Record<string, string>>,
): Promise<Hex> {
  const privateKey = generatePrivateKey();
  const wallet = privateKeyToAccount(privateKey);
  const sender = createTransactionSender({ wallet, rpcUrl: exchange.rpcUrl, chainId: exchange.chainId });
  await sender.publicClient.request({
    method: 'anvil_setBalance' as never,
    params: [wallet.address, toHex(10n ** 19n)] as never,
  });
  const { data } = (await getJson(`${exchange.url}/api/v1/assets`)) as {
    data: { symbol: string; token: Address; decimals: number }[];
  };
  for (const [symbol, amount] of Object.entries(amounts)) {
    const asset = data.find((listed) => listed.symbol === symbol);
    if (asset === undefined) throw new Error(`no asset ${symbol} is listed`);
    const args = [wallet.address, parseUnits(amount, asset.decimals)] as const;
    const abi = parseAbi(['function mint(address to, uint256 amount)']);
    await sender.send({ to: asset.token, data: encodeFunctionData({ abi, functionName: 'mint', args }) });
  }
  return privateKey;
}

function present(exchange: RunningExchange | undefined): RunningExchange {
  if (exchange === undefined) throw new Error('the exchange runs only while tests do');
  return exchange;
}

/** Listings are known once their block is final and the engine has applied them. */
async function waitForMarkets(url: string, deadlineMs: number): Promise<void> {
  for (;;) {
    const { data } = (await getJson(`${url}/api/v1/markets`)) as { data: { state: string }[] };
    if (data.length >= 2 && data.every(({ state }) => state === 'open')) return;
    if (performance.now() > deadlineMs) throw new Error(`no open markets at ${url}`);
    await sleep(100);
  }
}

async function getJson(url: string): Promise<unknown> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`GET ${url} answered ${response.status}: ${await response.text()}`);
  return response.json();
}
