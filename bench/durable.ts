/**
 * Signed orders from a load generator to their acknowledgement: signature check, journal commit, matching, receipt. Client, server
 * and a PostgreSQL that syncs share this machine.
 *
 *   npm run bench:durable -- --json               the last line is one JSON object
 *   npm run bench:durable -- --orders 5000        orders per measurement
 *   npm run bench:durable -- --ways http,ws       not all of http, ws, batch50
 *   npm run bench:durable -- --profile DIRECTORY  processor profiles of the server's threads
 *
 * Saturation: a fixed number of requests under way, orders per second. Latency: orders sent on a clock at half that rate,
 * whether or not earlier ones were answered, so that a slow server is seen. Before rates are measured every way is run twice in full,
 * without counting: a server is to be seen as it is after its first minute. In the second of these runs its tasks are watched:
 * 60,000 orders, and a snapshot at the 100,000th command, when almost as many rest. Rates are compared with what signature recovery
 * alone allows, the ceiling of any such exchange. Rates and ceiling are measured by turns, twice, and the best of each counts.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { checkSignature, type SignedMessage } from '../src/chain/check-signature.ts';
import { createDigester } from '../src/chain/digests.ts';
import { createSignaturePool } from '../src/chain/signature-pool.ts';
import { startEmbeddedPostgres } from '../src/services/embedded-postgres.ts';
import { batchClient, type Client, httpClient, type Request, webSocketClient } from './durable/clients.ts';
import { DOMAIN, type SignedBody, signOrders, type Trader, traders } from './durable/orders.ts';
import { perOrder, readProcessorTime } from './durable/processor-time.ts';

const TRADERS = 1_000;
const BATCH = 50;
/** Of saturation and ceiling, by turns; the best of each counts: a machine is not always as fast. */
const ROUNDS = 2;

type Ceiling = { oneCore: number; twoWorkers: number };
type Figures = { readonly ordersPerSec: number; readonly p50Ms: number; readonly p99Ms: number };
type Way = { readonly name: string; readonly client: Client; readonly perRequest: number; readonly underWay: number };

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    orders: { type: 'string', default: '20000' },
    ways: { type: 'string', default: 'http,ws,batch50' },
    profile: { type: 'string' },
  },
});
const ordersPerRun = Number(values.orders);
const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

const startedMs = Date.now();
const accounts = traders(TRADERS);
const directory = await mkdtemp(join(tmpdir(), 'tallystick-bench-'));
const postgres = await startEmbeddedPostgres({ dataDirectory: directory });
let server: ChildProcess | undefined;
try {
  const started = await startServer();
  server = started.child;
  const all: Way[] = [
    { name: 'http', client: httpClient(started.url, 256), perRequest: 1, underWay: 256 },
    { name: 'ws', client: await webSocketClient(started.url, 8), perRequest: 1, underWay: 512 },
    { name: 'batch50', client: batchClient(started.url, 16, BATCH), perRequest: BATCH, underWay: 16 },
  ];
  const ways = all.filter(({ name }) => values.ways.split(',').includes(name));
  const watched = { clientPid: process.pid, serverPid: server.pid ?? 0, postmasterPid: postgres.pid };
  let next = 0;
  const signed = (count: number): SignedBody[] => {
    const orders = signOrders(accounts, next, count, startedMs);
    next += count;
    return orders;
  };
  const warmUp = async (orders: number): Promise<void> => {
    for (const way of ways) await saturate(way, inRequests(signed(orders), way));
  };
  await warmUp(ordersPerRun);
  server.send('watch tasks');
  await warmUp(ordersPerRun);
  const longestTaskMs = await longestTask(server);
  // Watching has undone some of the machine code.
  await warmUp(ordersPerRun / 10);
  const best = new Map<Way, { ordersPerSec: number; cpu: Record<string, number> }>();
  const ceiling = await recoveryCeiling(accounts);
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of ways) {
      const requests = inRequests(signed(ordersPerRun), way);
      const before = readProcessorTime(watched);
      const ordersPerSec = await saturate(way, requests);
      if (ordersPerSec < (best.get(way)?.ordersPerSec ?? 0)) continue;
      best.set(way, { ordersPerSec, cpu: perOrder(before, readProcessorTime(watched), ordersPerRun) });
    }
    const { oneCore, twoWorkers } = await recoveryCeiling(accounts);
    ceiling.oneCore = Math.max(ceiling.oneCore, oneCore);
    ceiling.twoWorkers = Math.max(ceiling.twoWorkers, twoWorkers);
  }
  say(`recovery alone: ${ceiling.oneCore} /s on one core, ${ceiling.twoWorkers} /s on two workers`);
  const figures: Record<string, Figures> = {};
  for (const [way, { ordersPerSec, cpu }] of best) {
    const latencies = await atRate(way, inRequests(signed(ordersPerRun / 2), way), ordersPerSec / 2);
    figures[way.name] = { ordersPerSec: Math.round(ordersPerSec), ...latencies };
    say(
      `${way.name}: ${Math.round(ordersPerSec)} orders/s; at half of it p50 ${latencies.p50Ms} ms, p99 ${latencies.p99Ms} ms`,
    );
    say(`  processor time, µs an order: ${JSON.stringify(cpu)}`);
  }
  for (const { client } of ways) client.close();
  const share = (name: string, of: number): number => Number(((figures[name]?.ordersPerSec ?? 0) / of).toFixed(3));
  const result = {
    ...figures,
    recoveryPerSecOneCore: ceiling.oneCore,
    recoveryPerSecTwoWorkers: ceiling.twoWorkers,
    wsShare: share('ws', ceiling.oneCore),
    batchShare: share('batch50', ceiling.oneCore),
    httpShare: share('http', ceiling.twoWorkers),
    longestTaskMs,
  };
  process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : `${JSON.stringify(result, undefined, 2)}\n`);
} finally {
  // The server ends when it is left alone.
  server?.disconnect();
  await postgres.stop();
  await rm(directory, { recursive: true, force: true });
}

/** Orders per second with a fixed number of requests under way. */
async function saturate(way: Way, requests: Request[]): Promise<number> {
  const orders = requests.length * way.perRequest;
  const beganMs = performance.now();
  await Promise.all(
    Array.from({ length: way.underWay }, async () => {
      for (let request = requests.pop(); request !== undefined; request = requests.pop())
        await way.client.place(request);
    }),
  );
  return (orders * 1_000) / (performance.now() - beganMs);
}

/** Time from the moment a request is due to its answer, at a fixed rate of orders per second. */
async function atRate(way: Way, requests: Request[], ordersPerSec: number): Promise<{ p50Ms: number; p99Ms: number }> {
  const everyMs = (way.perRequest * 1_000) / ordersPerSec;
  const beganMs = performance.now();
  const latencies = await Promise.all(
    requests.reverse().map(async (request, index) => {
      const dueMs = beganMs + index * everyMs;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      await way.client.place(request);
      return performance.now() - dueMs;
    }),
  );
  latencies.sort((a, b) => a - b);
  const quantile = (share: number): number => Number((latencies[Math.floor(latencies.length * share)] ?? 0).toFixed(2));
  return { p50Ms: quantile(0.5), p99Ms: quantile(0.99) };
}

/** As bytes, before the clock starts. Last first: `pop` gives them in order. */
function inRequests(orders: readonly SignedBody[], { client, perRequest }: Way): Request[] {
  const requests: Request[] = [];
  for (let first = 0; first < orders.length; first += perRequest)
    requests.push(client.prepare(orders.slice(first, first + perRequest)));
  return requests.reverse();
}

/** Digests and recoveries per second: inline on one core, and through the pool with two workers. */
async function recoveryCeiling(from: readonly Trader[]): Promise<Ceiling> {
  const messages: SignedMessage[] = signOrders(from, 0, 4_000, startedMs).map(({ message, signature }) => ({
    kind: 'order',
    message,
    signature,
  }));
  const digester = createDigester(DOMAIN);
  const inline = async (): Promise<void> => {
    for (const signed of messages) checkSignature(digester, signed);
  };
  const pool = createSignaturePool(DOMAIN, { workers: 2 });
  const pooled = async (): Promise<void> => {
    await Promise.all(messages.map((signed) => pool.check(signed)));
  };
  const rate = async (run: () => Promise<void>): Promise<number> => {
    await run();
    const beganMs = performance.now();
    for (let round = 0; round < 5; round++) await run();
    return Math.round((5 * messages.length * 1_000) / (performance.now() - beganMs));
  };
  const ceiling = { oneCore: await rate(inline), twoWorkers: await rate(pooled) };
  await pool.close();
  return ceiling;
}

function startServer(): Promise<{ child: ChildProcess; url: string }> {
  const program = fileURLToPath(new URL('durable/server.ts', import.meta.url));
  const profiling =
    values.profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-interval=500', `--cpu-prof-dir=${values.profile}`];
  const execArgv = [...serviceFlags(), ...profiling];
  const child = fork(program, [postgres.socketUrl, String(startedMs), String(TRADERS)], { execArgv });
  return new Promise((resolve, reject) => {
    child.once('message', (message) => resolve({ child, url: (message as { url: string }).url }));
    child.once('exit', (code) => reject(new Error(`the server ended with ${code} before it was ready`)));
  });
}

/** What Node is started with in production: the flags of `npm start`. */
function serviceFlags(): string[] {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const { scripts } = JSON.parse(manifest) as { scripts: { start: string } };
  return scripts.start.split(' ').filter((part) => part.startsWith('--'));
}

function longestTask(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.once('message', (message) =>
      resolve(Number((message as { longestTaskMs: number }).longestTaskMs.toFixed(1))),
    );
    child.send('longest task');
  });
}
