/**
 * The local Ethereum node of `npm start`, the demo and the tests: anvil, a child of this process.
 *
 * The platform's binary is started directly: the npm package's wrapper leaves its child behind when it is stopped. The node runs in a session
 * of its own, so that Ctrl-C reaches the services first, and ends with this process even when that is killed; being asked to end, it still
 * writes its state. With a state file it continues the same chain at the next start.
 *
 * It keeps the limits of the real network: contract size, gas per transaction and block. It does not keep finality: its `finalized` tag is
 * two blocks behind, and it can be told to reorganise.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { ExchangeError } from '../domain/errors.ts';
import { findFreePort } from './free-port.ts';
import { whenThisProcessDies } from './parent-watch.ts';
import { runsWithArgument } from './running-process.ts';

export const LOCAL_CHAIN_ID = 31_337;
/** Known to everyone, for local use only: whoever funds these accounts on a public chain loses the funds. */
export const LOCAL_MNEMONIC = 'test test test test test test test test test test test junk';

const BLOCK_GAS_LIMIT = 60_000_000;
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 15_000;
const PORT_ATTEMPTS_MAX = 3;

const PACKAGES: Readonly<Record<string, string>> = {
  'darwin-arm64': '@foundry-rs/anvil-darwin-arm64',
  'darwin-x64': '@foundry-rs/anvil-darwin-amd64',
  'linux-arm64': '@foundry-rs/anvil-linux-arm64',
  'linux-x64': '@foundry-rs/anvil-linux-amd64',
  'win32-x64': '@foundry-rs/anvil-win32-amd64',
};

export type LocalNodeOptions = {
  /** A fixed port; otherwise any free one. */
  readonly port?: number;
  /** Whole or fractional seconds between blocks; without it a block is mined for each transaction. */
  readonly blockTimeSeconds?: number;
  /** Keeps the chain: loaded when it exists, written every second that something happened, and at the end. */
  readonly stateFile?: string;
  readonly chainId?: number;
  readonly mnemonic?: string;
  /** How many accounts of the mnemonic are funded. */
  readonly accounts?: number;
  /** What each of them gets, in whole ether. */
  readonly balanceEther?: number;
  /** Further flags of anvil, for tests. */
  readonly flags?: readonly string[];
};

export type LocalNode = {
  readonly rpcUrl: string;
  readonly port: number;
  readonly pid: number;
  readonly chainId: number;
  readonly mnemonic: string;
  /** Resolves when the node has ended, whoever ended it. */
  readonly exited: Promise<void>;
  /** Stops the node, which writes its state first, and waits for it; harmless when called again. */
  readonly stop: () => Promise<void>;
};

/**
 * Starts a node and waits until it answers.
 *
 * @throws ExchangeError CONFIGURATION when the platform has no binary, the port is taken, or the state file cannot be read.
 */
export async function startLocalNode(options: LocalNodeOptions = {}): Promise<LocalNode> {
  const binary = findBinary();
  if (options.stateFile !== undefined) await prepareStateFile(options.stateFile);
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await findFreePort());
    const node = await launch(binary, port, options);
    if (!('failure' in node)) return node;
    const portWasTaken = node.failure.includes('Address already in use');
    if (options.port === undefined && portWasTaken && attempt < PORT_ATTEMPTS_MAX) continue;
    const message = portWasTaken
      ? `Port ${port} is taken: stop what listens there, or choose another port for the local node.`
      : `The local node did not start: ${node.failure}`;
    throw new ExchangeError('CONFIGURATION', message);
  }
}

function findBinary(): string {
  const platform = `${process.platform}-${process.arch}`;
  const name = PACKAGES[platform];
  try {
    if (name === undefined) throw new Error(`no package for ${platform}`);
    const folder = dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
    return join(folder, 'bin', process.platform === 'win32' ? 'anvil.exe' : 'anvil');
  } catch (cause) {
    throw new ExchangeError(
      'CONFIGURATION',
      `There is no local Ethereum node for ${platform}. Run "npm ci" again, or set RPC_URL to a node of yours.`,
      { cause },
    );
  }
}

async function launch(
  binary: string,
  port: number,
  options: LocalNodeOptions,
): Promise<LocalNode | { failure: string }> {
  const chainId = options.chainId ?? LOCAL_CHAIN_ID;
  const mnemonic = options.mnemonic ?? LOCAL_MNEMONIC;
  const child = spawn(binary, flagsOf(port, chainId, mnemonic, options), {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString('utf8')).slice(-2_000);
  });
  const exited = new Promise<void>((wake) => {
    child.once('error', (error) => {
      complaint += error.message;
      wake();
    });
    child.once('exit', () => wake());
  });
  const { pid } = child;
  const rpcUrl = `http://127.0.0.1:${port}`;
  const answers = await Promise.race([waitForAnswer(rpcUrl, chainId), exited.then(() => false)]);
  if (pid === undefined || hasEnded(child) || !answers) {
    child.kill('SIGKILL');
    await exited;
    return { failure: complaint.trim() || `no answer from ${rpcUrl}` };
  }

  const endWatch = whenThisProcessDies('kill -INT "$1"', [`${pid}`]);
  const pidFile = options.stateFile === undefined ? undefined : pidFileOf(options.stateFile);
  if (pidFile !== undefined) await writeFile(pidFile, `${pid}\n`);
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    if (!hasEnded(child)) {
      child.kill('SIGINT');
      const deadline = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await exited;
      clearTimeout(deadline);
    }
    endWatch();
    if (pidFile !== undefined) await rm(pidFile, { force: true });
  };
  return {
    rpcUrl,
    port,
    pid,
    chainId,
    mnemonic,
    exited,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}

function flagsOf(port: number, chainId: number, mnemonic: string, options: LocalNodeOptions): string[] {
  const { blockTimeSeconds, stateFile } = options;
  return [
    ...['--host', '127.0.0.1', '--port', `${port}`, '--quiet', '--chain-id', `${chainId}`],
    ...[
      '--mnemonic',
      mnemonic,
      '--accounts',
      `${options.accounts ?? 10}`,
      '--balance',
      `${options.balanceEther ?? 10_000}`,
    ],
    ...['--gas-limit', `${BLOCK_GAS_LIMIT}`, '--enable-tx-gas-limit', '--slots-in-an-epoch', '1'],
    // Blocks that are mined anyway take transactions too, and none waits for the next one when it is sent alone.
    ...(blockTimeSeconds === undefined ? [] : ['--block-time', `${blockTimeSeconds}`]),
    ...(stateFile === undefined ? [] : ['--state', stateFile, '--state-interval', '1']),
    ...(options.flags ?? []),
  ];
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

async function waitForAnswer(rpcUrl: string, chainId: number): Promise<boolean> {
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_chainId', params: [] });
  while (performance.now() < deadlineMs) {
    const answer = await fetch(rpcUrl, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
      .then((response) => response.json() as Promise<{ result?: string }>)
      .catch(() => undefined);
    // Another chain's answer comes from somebody else's node on this port; ours then ends by itself.
    if (answer?.result !== undefined && Number(answer.result) === chainId) return true;
    await new Promise((wake) => setTimeout(wake, 30));
  }
  return false;
}

const pidFileOf = (stateFile: string): string => `${stateFile}.pid`;

/** Waits for a node of a killed process to finish writing the file, and checks that what was written is whole. */
async function prepareStateFile(stateFile: string): Promise<void> {
  await mkdir(dirname(resolve(stateFile)), { recursive: true });
  const pid = Number(await readFile(pidFileOf(stateFile), 'utf8').catch(() => ''));
  if (pid > 0 && (await runsWithArgument(pid, stateFile))) {
    process.kill(pid, 'SIGINT');
    const deadlineMs = performance.now() + STOP_TIMEOUT_MS;
    while ((await runsWithArgument(pid, stateFile)) && performance.now() < deadlineMs) {
      await new Promise((wake) => setTimeout(wake, 50));
    }
    if (await runsWithArgument(pid, stateFile)) process.kill(pid, 'SIGKILL');
  }
  await rm(pidFileOf(stateFile), { force: true });
  if (!existsSync(stateFile)) return;
  try {
    JSON.parse(await readFile(stateFile, 'utf8'));
  } catch (cause) {
    throw new ExchangeError(
      'CONFIGURATION',
      `The local chain in ${stateFile} cannot be read: it was cut off while being written. Delete the data directory to begin anew.`,
      { cause },
    );
  }
}
