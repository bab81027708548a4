/**
 * The bounded main job, over HTTP with nothing bypassed: wallets deposit, sign and trade, batches settle, some withdraw, one leaves with the
 * services stopped; then everything is checked again from outside. With `--kills` the services are killed on the way.
 *
 *   npm run demo -- --accounts 20 --orders 2000 --seed 7 [--kills 5] [--json]
 *
 * Exit code 0 when every promise that can be checked here holds, 1 when one does not, 2 for a bad option.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { createPublicClient, http } from 'viem';
import type { TallystickClient } from '../src/sdk/client.ts';
import { startEmbeddedPostgres } from '../src/services/embedded-postgres.ts';
import { findFreePort } from '../src/services/free-port.ts';
import { startLocalNode } from '../src/services/local-node.ts';
import { type Checked, checkFromOutside } from './demo/check.ts';
import { planKills, planSteps } from './demo/plan.ts';
import { createRandom } from './demo/random.ts';
import { createServicesProcess, type ServicesProcess } from './demo/services-process.ts';
import { type Traded, trade, untilAnswered } from './demo/trade.ts';
import { createWallets, enter, type User } from './demo/users.ts';

type Options = { accounts: number; orders: number; seed: number; kills: number; json?: boolean };

/** 2,500 USDC for a WETH, in ticks of a cent. */
const MID_TICKS = 250_000;
const SETTLE_TIMEOUT_MS = 60_000;
const WITHDRAWERS = 5;

const startedAt = performance.now();
const elapsed = (): string => ((performance.now() - startedAt) / 1000).toFixed(1).padStart(6);
const progress = (line: string): void => void process.stderr.write(`${elapsed()} s  ${line}\n`);

function wholeNumber(least: number, most: number) {
  return (text: string): number => {
    const value = Number(text);
    if (!/^[0-9]+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    }
    return value;
  };
}

function readOptions(): Options {
  return new Command('demo')
    .description('Runs the exchange end to end with wallets that sign, and checks every promise from outside.')
    .option('--accounts <number>', 'wallets that trade', wholeNumber(2, 500), 20)
    .option('--orders <number>', 'orders they place, invalid ones included', wholeNumber(1, 100_000), 2_000)
    .option('--seed <number>', 'the same seed gives the same trades', wholeNumber(0, 2 ** 31 - 1), 7)
    .option('--kills <number>', 'how often the services are killed and started again', wholeNumber(0, 50), 0)
    .option('--json', 'end with one line of JSON')
    .addHelpText('after', '\nExample:\n  npm run demo -- --accounts 20 --orders 2000 --seed 7 --kills 5 --json')
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .parse()
    .opts<Options>();
}

async function main(): Promise<void> {
  const options = readOptions();
  const cleanUp: (() => Promise<void>)[] = [];
  let outcome: { traded: Traded; checked: Checked };
  try {
    outcome = await run(options, cleanUp);
  } finally {
    for (const undo of cleanUp.reverse()) {
      await undo().catch((error: unknown) => progress(`cleaning up: ${String(error)}`));
    }
  }
  const { traded, checked } = outcome;
  const { broken, ...figures } = checked;
  const problems = [...traded.wrongAnswers, ...broken];
  const summary = {
    ok: problems.length === 0,
    accounts: options.accounts,
    ordersPlaced: traded.acknowledged.length,
    ordersRejected: [...traded.refused.values()].reduce((sum, count) => sum + count, 0),
    ordersCancelled: traded.cancels,
    ...figures,
    kills: options.kills,
    seconds: Math.round((performance.now() - startedAt) / 100) / 10,
  };
  for (const problem of problems) progress(`BROKEN: ${problem}`);
  if (options.json === true) process.stdout.write(`${JSON.stringify(summary)}\n`);
  else for (const [name, value] of Object.entries(summary)) process.stdout.write(`${name.padEnd(18)} ${value}\n`);
  process.exitCode = summary.ok ? 0 : 1;
}

async function run(options: Options, cleanUp: (() => Promise<void>)[]): Promise<{ traded: Traded; checked: Checked }> {
  const directory = await mkdtemp(join(tmpdir(), 'tallystick-demo-'));
  cleanUp.push(() => rm(directory, { recursive: true, force: true }));
  progress('starting database, node and services …');
  const postgres = await startEmbeddedPostgres({ dataDirectory: join(directory, 'postgres') });
  cleanUp.push(postgres.stop);
  const node = await startLocalNode({ blockTimeSeconds: 1, flags: ['--mixed-mining'] });
  cleanUp.push(node.stop);
  const port = await findFreePort();
  const url = `http://127.0.0.1:${port}`;
  const services = createServicesProcess({
    DATABASE_URL: postgres.socketUrl,
    RPC_URL: node.rpcUrl,
    PORT: `${port}`,
    OPERATIONS_PORT: '0',
    DATA_DIRECTORY: join(directory, 'services'),
    DEMO_TRADERS: 'off',
    LOG_LEVEL: 'warn',
  });
  cleanUp.push(services.stop);
  await services.start();

  progress(`${options.accounts} wallets deposit …`);
  const wallets = createWallets(options.seed, options.accounts);
  const users = await Promise.all(wallets.map((wallet) => enter(wallet, url, node.rpcUrl)));
  const traded = await tradeWithKills(options, users, services);
  await withdrawSome(users);
  progress('waiting until everything is settled …');
  await untilSettled(url);
  await exitWithServicesStopped(users[0], services, node.rpcUrl, url);
  await untilSettled(url);
  await services.stop();

  progress('checking everything from outside …');
  const [first] = users;
  if (first === undefined) throw new RangeError('no users');
  const checked = await checkFromOutside({
    databaseUrl: postgres.url,
    rpcUrl: node.rpcUrl,
    vault: first.client.vault,
    accounts: users.map(({ client }) => client.address),
    acknowledged: traded.acknowledged,
  });
  return { traded, checked };
}

async function tradeWithKills(options: Options, users: readonly User[], services: ServicesProcess): Promise<Traded> {
  const random = createRandom(options.seed);
  const steps = planSteps(random, { accounts: options.accounts, orders: options.orders, midTicks: MID_TICKS });
  const kills = planKills(createRandom(options.seed + 1), steps.length, options.kills);
  let restarting: Promise<void> = Promise.resolve();
  const traded = await trade({
    users,
    steps,
    onStep: async (index) => {
      if (index % Math.ceil(steps.length / 10) === 0)
        progress(`  ${Math.round((100 * index) / steps.length)} % of ${steps.length} steps`);
      if (!kills.has(index)) return;
      // A kill while the services still start would be one more of the same moment.
      await restarting;
      progress(`  killing the services at step ${index}`);
      await services.kill();
      restarting = services.start();
      restarting.catch(() => undefined);
    },
  });
  await restarting;
  return traded;
}

async function withdrawSome(users: readonly User[]): Promise<void> {
  progress('some withdraw …');
  const requested: { client: TallystickClient; id: string }[] = [];
  for (const [index, { client }] of users.slice(0, WITHDRAWERS).entries()) {
    const input = index % 2 === 0 ? { asset: 'USDC', amount: '250.5' } : { asset: 'WETH', amount: '0.25' };
    const { id } = await untilAnswered(() => client.withdraw(input));
    requested.push({ client, id });
  }
  const deadlineMs = performance.now() + SETTLE_TIMEOUT_MS;
  for (const { client, id } of requested) {
    for (;;) {
      const { state, reason } = await untilAnswered(() => client.getWithdrawal(id));
      if (state === 'executed') break;
      if (state === 'failed' || performance.now() > deadlineMs)
        throw new Error(`withdrawal ${id} is ${state}: ${reason}`);
      await sleep(250);
    }
  }
}

type Status = {
  journalSequence: number;
  projectedSequence: number;
  chainEventSequence: number;
  chainEventApplied: number;
  openIncidents: number;
};
type BatchPage = { data: { state: string }[] };
type TradePage = { data: { state: string }[] };

/** Resolves when every trade is final or voided, and the projections are up to the journal. */
async function untilSettled(url: string): Promise<void> {
  const get = async <T>(path: string): Promise<T> => (await fetch(`${url}/api/v1${path}`)).json() as Promise<T>;
  const deadlineMs = performance.now() + SETTLE_TIMEOUT_MS;
  for (;;) {
    const [status, batches, trades] = await Promise.all([
      get<Status>('/status'),
      get<BatchPage>('/batches?limit=100'),
      get<TradePage>('/markets/WETH-USDC/trades?limit=500'),
    ]);
    const settled =
      status.projectedSequence === status.journalSequence &&
      status.chainEventApplied === status.chainEventSequence &&
      batches.data.every(({ state }) => state === 'final') &&
      trades.data.every(({ state }) => state === 'final' || state === 'voided');
    if (settled) return;
    if (performance.now() > deadlineMs)
      throw new Error(`not everything was settled within ${SETTLE_TIMEOUT_MS} ms: ${JSON.stringify(status)}`);
    await sleep(250);
  }
}

/** P3: the owner asks on chain, waits for the delay, and is paid, while nothing of the exchange runs. */
async function exitWithServicesStopped(
  user: User | undefined,
  services: ServicesProcess,
  rpcUrl: string,
  url: string,
): Promise<void> {
  if (user === undefined) throw new RangeError('no users');
  progress('one leaves with the services stopped …');
  const { exitDelaySeconds } = await user.client.get<{ exitDelaySeconds: number }>('/contracts');
  await services.stop();
  await user.client.requestExit('USDC');
  const node = createPublicClient({ transport: http(rpcUrl) });
  await node.request({ method: 'evm_increaseTime', params: [exitDelaySeconds + 1] } as never);
  await node.request({ method: 'evm_mine', params: [] } as never);
  await user.client.exit('USDC');
  await services.start();
  await untilAnswered(() => user.client.get('/ping'));
  const deadlineMs = performance.now() + SETTLE_TIMEOUT_MS;
  // The exit counts once its block is final and the ledger has taken it in.
  while (performance.now() < deadlineMs) {
    const page = await fetch(`${url}/api/v1/status`).then((response) => response.json() as Promise<Status>);
    if (page.chainEventApplied === page.chainEventSequence && page.chainEventSequence > 0) {
      const balance = (await user.client.getBalances()).find(({ asset }) => asset === 'USDC');
      if (balance === undefined || Number(balance.onChain) === 0) return;
    }
    await sleep(250);
  }
  throw new Error(`the ledger did not take the exit in within ${SETTLE_TIMEOUT_MS} ms`);
}

await main();
