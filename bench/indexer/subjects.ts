/** The two indexers under measurement, each a process of its own with a database of its own on the same server. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Address } from '../../src/domain/units.ts';
import { findFreePort } from '../../src/services/free-port.ts';

const PONDER = fileURLToPath(new URL('../ponder', import.meta.url));
const PONDER_SCHEMA = 'bench';
const BACKFILL_TIMEOUT_MS = 600_000;

export type VaultChain = {
  readonly rpcUrl: string;
  readonly chainId: number;
  readonly vault: Address;
  readonly deploymentBlock: number;
  /** Of the vault's last event when the backfill begins. */
  readonly lastSequence: number;
};

export type Subject = {
  /** From the moment it begins to read until the last event is stored; its own start is not counted. */
  readonly backfillMs: number;
  /** Query of one number: the sequence of the last deposit that is stored. */
  readonly lastStored: string;
  readonly stop: () => Promise<void>;
};

export async function runTallystick(chain: VaultChain, databaseUrl: string): Promise<Subject> {
  const child = fork(fileURLToPath(new URL('tallystick.ts', import.meta.url)), [], {
    env: { ...process.env, BENCH_CHAIN: JSON.stringify(chain), DATABASE_URL: databaseUrl },
  });
  const backfillMs = await firstAnswer(child, (done) => {
    child.once('message', (message) => done((message as { backfillMs: number }).backfillMs));
  });
  const lastStored = 'SELECT coalesce(max(event_sequence), 0)::integer AS last FROM chain_events';
  return { backfillMs, lastStored, stop: () => stopChild(child) };
}

/** @param followsHeads whether it is told the node's WebSocket address too; without it polls, as it does unless configured otherwise */
export async function runPonder(chain: VaultChain, databaseUrl: string, followsHeads: boolean): Promise<Subject> {
  await installPonder();
  const port = await findFreePort();
  const flags = ['start', '--schema', PONDER_SCHEMA, '--hostname', '127.0.0.1', '--port', `${port}`];
  const child = spawn(
    process.execPath,
    ['node_modules/ponder/dist/esm/bin/ponder.js', ...flags, '--log-format', 'json'],
    {
      cwd: PONDER,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...process.env,
        PONDER_TELEMETRY_DISABLED: '1',
        NODE_NO_WARNINGS: '1',
        DATABASE_URL: databaseUrl,
        BENCH_RPC_URL: chain.rpcUrl,
        BENCH_CHAIN_ID: `${chain.chainId}`,
        BENCH_VAULT: chain.vault,
        BENCH_START_BLOCK: `${chain.deploymentBlock}`,
        ...(followsHeads ? { BENCH_WS_URL: chain.rpcUrl.replace(/^http/, 'ws') } : {}),
      },
    },
  );
  const backfillMs = await firstAnswer(child, (done) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const logged = JSON.parse(line) as { level: number; msg: string; duration?: number };
      // By its own word, which leaves out its start.
      if (logged.msg.startsWith('Completed backfill indexing')) done(Number(logged.duration));
      if (logged.level >= 50) process.stderr.write(`ponder: ${line}\n`);
    });
  });
  const lastStored = `SELECT coalesce(max(event_sequence), 0)::integer AS last FROM ${PONDER_SCHEMA}.deposit`;
  return { backfillMs, lastStored, stop: () => stopChild(child) };
}

/** Into its own folder, from its own lock, when it is not there yet. */
async function installPonder(): Promise<void> {
  if (existsSync(`${PONDER}/node_modules/ponder`)) return;
  const npm = spawn('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: PONDER,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [code] = await new Promise<[number | null]>((ended, failed) => {
    npm.once('error', failed).once('close', (exitCode) => ended([exitCode]));
  });
  if (code !== 0) throw new Error(`npm ci in ${PONDER} ended with ${code}`);
}

async function firstAnswer(child: ChildProcess, listen: (done: (value: number) => void) => void): Promise<number> {
  const answer = Promise.withResolvers<number>();
  const timer = setTimeout(() => answer.reject(new Error('the backfill took too long')), BACKFILL_TIMEOUT_MS);
  child.once('exit', (code) => answer.reject(new Error(`the indexer ended with ${code}`)));
  listen(answer.resolve);
  return answer.promise.finally(() => clearTimeout(timer));
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise<void>((wake) => child.once('exit', () => wake()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await ended;
  clearTimeout(timer);
}
