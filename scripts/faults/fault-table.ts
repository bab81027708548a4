/**
 * Faults, one row each, injected into a whole exchange of real processes while it trades. After each: a trade is made and becomes final,
 * everything acknowledged stands in the journal, no order was accepted and no batch settled twice, and the last reconciliation is clean.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { Engine } from '../../src/offchain-engine/engine.ts';
import { JOURNAL_START, verifyRow } from '../../src/offchain-engine/sequencer/journal-row.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresJournalReader } from '../../src/storage/journal/read-journal.ts';
import { seededRandom } from '../../test/support/random.ts';
import { LOG_FAULTS, type ProxiedAnswer, type ProxiedCall, type TransportFault } from '../../test/support/rpc-proxy.ts';
import { type FaultStack, startFaultStack, until } from './fault-stack.ts';

export type FaultRow = {
  readonly name: string;
  readonly injections: number;
  /** Acknowledged orders that are not in the journal. */
  readonly lost: number;
  /** Orders accepted twice, batches final twice. */
  readonly double: number;
  /** Balances in which ledger and vault differ. */
  readonly drift: number;
  /** From the end of the fault until a trade made after it was final. */
  readonly recoveryMs: number;
};

/** Injects once, and takes the fault away again. @returns how often it hit */
type Fault = { readonly name: string; readonly inject: (stack: FaultStack, pool: pg.Pool) => Promise<number> };

const FAULT_LASTS_MS = 2_500;

export const FAULTS: readonly Fault[] = [
  { name: 'chain: reorg 1 deep, empty', inject: ({ rpc }) => once(rpc.request('anvil_reorg', [1, []])) },
  { name: 'chain: reorg 3 deep, empty', inject: ({ rpc }) => once(rpc.request('anvil_reorg', [3, []])) },
  {
    name: 'chain: reorg while the indexer is down',
    inject: async (stack) => {
      const restarted = stack.kill('indexer');
      await stack.rpc.request('anvil_reorg', [2, []]);
      return once(restarted);
    },
  },
  ...Object.entries(LOG_FAULTS)
    .filter(([name]) => name !== 'renumbered')
    .map(([name, bend]): Fault => ({ name: `RPC: logs ${name}`, inject: (stack) => bending(stack, bend) })),
  { name: 'RPC: 429', inject: (stack) => breaking(stack, { kind: 'status', status: 429, retryAfterSeconds: 1 }) },
  { name: 'RPC: no answer', inject: (stack) => breaking(stack, { kind: 'hang' }) },
  { name: 'RPC: JSON cut', inject: (stack) => breaking(stack, { kind: 'cut' }) },
  { name: 'RPC: connection reset', inject: (stack) => breaking(stack, { kind: 'reset' }) },
  {
    name: 'submitter: sent, but the reply lost',
    inject: (stack) =>
      bending(stack, ({ method }, answer) =>
        method === 'eth_sendRawTransaction' ? { error: { code: -32_000, message: 'timeout' } } : answer,
      ),
  },
  {
    name: 'submitter: receipt null though mined',
    inject: (stack) =>
      bending(stack, ({ method }, answer) => (method === 'eth_getTransactionReceipt' ? { result: null } : answer)),
  },
  {
    name: 'submitter: dropped from the mempool',
    inject: async (stack) => {
      await stack.rpc.request('anvil_setBalance', [stack.submitter, '0x56bc75e2d63100000']);
      return during(() => stack.rpc.request('anvil_dropAllTransactions', []));
    },
  },
  {
    name: 'submitter: base fee × 50',
    inject: async (stack) => {
      const { baseFeePerGas } = (await stack.rpc.request('eth_getBlockByNumber', ['latest', false])) as {
        baseFeePerGas: string;
      };
      await stack.rpc.request('anvil_setNextBlockBaseFeePerGas', [`0x${(BigInt(baseFeePerGas) * 50n).toString(16)}`]);
      return during(() => Promise.resolve());
    },
  },
  {
    name: 'submitter: wallet drained, then refilled',
    inject: async (stack) => {
      await stack.rpc.request('anvil_setBalance', [stack.submitter, '0x0']);
      const hits = await during(() => Promise.resolve());
      await stack.rpc.request('anvil_setBalance', [stack.submitter, '0x56bc75e2d63100000']);
      return hits;
    },
  },
  { name: 'submitter: killed', inject: (stack) => once(stack.kill('settlement')) },
  { name: 'engine: killed', inject: (stack) => once(stack.kill('engine')) },
  { name: 'PostgreSQL: every backend terminated', inject: (_, pool) => during(() => endSessions(pool)) },
  {
    name: 'Redis: killed, comes back empty',
    inject: async ({ redis }) => {
      await redis.kill();
      await redis.start();
      return 1;
    },
  },
];

/** @param options.only names of rows; every row when absent */
export async function faultTable(options: {
  readonly databaseUrl: string;
  readonly seeds: number;
  readonly seed: number;
  readonly only?: readonly string[];
  readonly say: (line: string) => void;
}): Promise<{ readonly faults: readonly FaultRow[]; readonly ok: boolean }> {
  const pool = openDatabase({ url: options.databaseUrl, applicationName: 'tallystick-test-faults', connectionsMax: 3 });
  const stack = await startFaultStack(options.databaseUrl);
  const acknowledged: string[] = [];
  const faults: FaultRow[] = [];
  const row = async (name: string, inject: () => Promise<number>): Promise<void> => {
    const measured = await measure(stack, pool, acknowledged, name, inject);
    faults.push(measured);
    const { injections, lost, double, drift, recoveryMs } = measured;
    options.say(
      `${name.padEnd(44)} ${injections} injected, ${lost} lost, ${double} double, ${drift} drift, ${recoveryMs} ms`,
    );
  };
  try {
    const chosen = FAULTS.filter(({ name }) => options.only?.includes(name) ?? true);
    for (const { name, inject } of chosen) await row(name, () => inject(stack, pool));
    for (let seed = options.seed; seed < options.seed + options.seeds; seed++) {
      await row(`seed ${seed}`, async () => {
        const random = seededRandom(seed);
        let hits = 0;
        for (let left = 2 + random(3); left > 0; left--)
          hits += (await FAULTS[random(FAULTS.length)]?.inject(stack, pool)) ?? 0;
        return hits;
      });
    }
  } finally {
    await stack.stop();
    await pool.end();
  }
  return { faults, ok: faults.every(({ lost, double, drift }) => lost + double + drift === 0) };
}

async function measure(
  stack: FaultStack,
  pool: pg.Pool,
  acknowledged: string[],
  name: string,
  inject: () => Promise<number>,
): Promise<FaultRow> {
  const before = await stack.trade();
  const injections = await inject();
  const liftedMs = performance.now();
  const after = await stack.trade();
  await after.final();
  const recoveryMs = Math.round(performance.now() - liftedMs);
  await before.final();
  acknowledged.push(...before.digests, ...after.digests);
  return { name, injections, ...(await judge(stack, pool, acknowledged)), recoveryMs };
}

async function judge(
  stack: FaultStack,
  pool: pg.Pool,
  acknowledged: readonly string[],
): Promise<{ readonly lost: number; readonly double: number; readonly drift: number }> {
  const accepted = new Map<string, number>();
  const final = new Map<number, number>();
  const engine = new Engine();
  let position = JOURNAL_START;
  for await (const row of new PostgresJournalReader(pool).rowsFrom(1)) {
    const verified = verifyRow(position, row);
    position = verified.position;
    for (const event of verified.commands.flatMap((command) => engine.apply(command).events)) {
      if (event.kind === 'orderAccepted') accepted.set(event.order.digest, (accepted.get(event.order.digest) ?? 0) + 1);
      if (event.kind === 'batchFinal') final.set(event.batchId, (final.get(event.batchId) ?? 0) + 1);
    }
  }
  const lost = acknowledged.filter((digest) => !accepted.has(digest)).length;
  const double = [...accepted.values(), ...final.values()].filter((times) => times > 1).length;
  let drift = -1;
  await until('a reconciliation', async () => {
    const answer = (await (await fetch(`${stack.url}/api/v1/reconciliation`)).json()) as { drift?: unknown[] };
    drift = answer.drift?.length ?? 0;
    return true;
  });
  return { lost, double, drift };
}

async function once(work: Promise<unknown>): Promise<number> {
  await work;
  return 1;
}

/** Does the work over and over for as long as a fault lasts. @returns how often */
async function during(work: () => Promise<unknown>): Promise<number> {
  let times = 0;
  for (const endMs = performance.now() + FAULT_LASTS_MS; performance.now() < endMs; await sleep(250)) {
    await work();
    times++;
  }
  return times;
}

async function bending(
  stack: FaultStack,
  bend: (call: ProxiedCall, answer: ProxiedAnswer) => ProxiedAnswer,
): Promise<number> {
  let hits = 0;
  stack.proxy.bendAnswer = (call, answer) => {
    const bent = bend(call, answer);
    if (bent !== answer) hits++;
    return bent;
  };
  await sleep(FAULT_LASTS_MS);
  stack.proxy.bendAnswer = undefined;
  return hits;
}

async function breaking(stack: FaultStack, fault: TransportFault): Promise<number> {
  let hits = 0;
  stack.proxy.breakRequest = () => {
    hits++;
    return fault;
  };
  await sleep(FAULT_LASTS_MS);
  stack.proxy.breakRequest = undefined;
  return hits;
}

async function endSessions(pool: pg.Pool): Promise<void> {
  await pool.query(
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()',
  );
}
