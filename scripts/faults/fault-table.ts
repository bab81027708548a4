/**
 * The table of faults: each is injected into a whole exchange of real processes while it trades, alone or, from seeds, together with
 * others. After each, a trade made since the fault was lifted is final, and the judge holds the invariants against what is there.
 */
import { seededRandom } from '../../test/support/random.ts';
import type { Fault } from './fault.ts';
import { createJudge, type Judge } from './judge.ts';
import { OWN_WORLD_FAULTS } from './own-worlds.ts';
import { CHAIN_FAULTS } from './rows/chain.ts';
import { ENGINE_FAULTS } from './rows/engine.ts';
import { POSTGRES_FAULTS } from './rows/postgres.ts';
import { REDIS_FAULTS } from './rows/redis.ts';
import { RPC_FAULTS } from './rows/rpc.ts';
import { SUBMITTER_FAULTS } from './rows/submitter.ts';
import { startWorld, type World } from './world.ts';

export type FaultRow = {
  readonly name: string;
  readonly injections: number;
  /** Acknowledged orders that are not in the journal. */
  readonly lost: number;
  /** Orders accepted twice, batches settled twice. */
  readonly double: number;
  /** Balances in which ledger and vault differ, in any comparison since the fault. */
  readonly drift: number;
  /** From the lifting of the fault until a trade made after it was final, and reconciled. */
  readonly recoveryMs: number;
  /** What did not hold, when something did not. */
  readonly failure?: string;
};

const FAULTS: readonly Fault[] = [
  ...CHAIN_FAULTS,
  ...RPC_FAULTS,
  ...SUBMITTER_FAULTS,
  ...ENGINE_FAULTS,
  ...POSTGRES_FAULTS,
  ...REDIS_FAULTS,
];
const TOGETHER_MAX = 3;

export type FaultTableOptions = {
  /** How many random combinations, from `seed` on. */
  readonly seeds: number;
  readonly seed: number;
  /** Rows whose name starts with one of these; every row when absent, none when empty. */
  readonly only?: readonly string[];
  readonly say: (line: string) => void;
};

export async function faultTable(
  options: FaultTableOptions,
): Promise<{ readonly faults: readonly FaultRow[]; readonly ok: boolean }> {
  const faults: FaultRow[] = [];
  const take = (row: FaultRow): void => {
    faults.push(row);
    options.say(lineOf(row));
  };
  const chosen = (name: string): boolean => options.only?.some((start) => name.startsWith(start)) ?? true;
  options.say(HEADING);
  const shared = FAULTS.filter((fault) => chosen(nameOf(fault)));
  const works: { name: string; inject: Fault['inject'] }[] = shared.map((fault) => ({
    name: nameOf(fault),
    inject: fault.inject,
  }));
  for (let seed = options.seed; seed < options.seed + options.seeds; seed++) works.push(combination(seed));
  await inWorlds(options.seed, works, take);
  for (const { name, measure } of OWN_WORLD_FAULTS) if (chosen(name)) take(await failing(name, measure));
  return {
    faults,
    ok: faults.every(({ lost, double, drift, failure }) => lost + double + drift === 0 && failure === undefined),
  };
}

/** One world for all of them; after a failure the next one gets a new world. */
async function inWorlds(
  seed: number,
  works: readonly { readonly name: string; readonly inject: Fault['inject'] }[],
  take: (row: FaultRow) => void,
): Promise<void> {
  let current: { readonly world: World; readonly judge: Judge } | undefined;
  try {
    for (const { name, inject } of works) {
      if (current === undefined) {
        const world = await startWorld({ seed });
        current = { world, judge: createJudge(world) };
      }
      const { world, judge } = current;
      const row = await failing(name, () => measureFault(world, judge, name, inject));
      take(row);
      if (row.failure === undefined) continue;
      current = undefined;
      await world.stop();
    }
  } finally {
    await current?.world.stop();
  }
}

async function measureFault(world: World, judge: Judge, name: string, inject: Fault['inject']): Promise<FaultRow> {
  const mark = await judge.mark();
  const injections = await inject(world);
  const liftedMs = performance.now();
  const trade = await within(180_000, 'a trade after the fault', world.traffic.nextTrade()).catch((cause: unknown) => {
    throw new Error(`${String(cause)}; the last request failed with ${String(world.traffic.lastFailure())}`, { cause });
  });
  await trade.settled();
  const drift = await judge.countDrift(mark);
  const recoveryMs = Math.round(performance.now() - liftedMs);
  return { name, injections, ...(await judge.check()), drift, recoveryMs };
}

/** Two or three faults at the same time that disturb different parts. */
function combination(seed: number): { name: string; inject: Fault['inject'] } {
  const random = seededRandom(seed);
  const left = FAULTS.filter(({ alone }) => alone !== true);
  const chosen: Fault[] = [];
  for (const wanted = 2 + random(TOGETHER_MAX - 1); chosen.length < wanted && left.length > 0; ) {
    const [fault] = left.splice(random(left.length), 1);
    if (fault === undefined || chosen.some((other) => other.parts.some((part) => fault.parts.includes(part)))) continue;
    chosen.push(fault);
  }
  return {
    name: `seed ${seed}: ${chosen.map(nameOf).join(' + ')}`,
    inject: async (world) => {
      const hits = await Promise.all(chosen.map(({ inject }) => inject(world)));
      return hits.reduce((sum, times) => sum + times, 0);
    },
  };
}

const nameOf = ({ group, name }: Fault): string => `${group}: ${name}`;

async function failing(name: string, measure: () => Promise<FaultRow>): Promise<FaultRow> {
  try {
    return await measure();
  } catch (error) {
    const failure = error instanceof Error ? `${error.message}${causeOf(error)}` : String(error);
    return { name, injections: 0, lost: 0, double: 0, drift: 0, recoveryMs: -1, failure };
  }
}

function causeOf({ cause }: Error): string {
  return cause instanceof Error ? `: ${cause.message}` : '';
}

async function within<Result>(limitMs: number, what: string, work: Promise<Result>): Promise<Result> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${what} did not come within ${limitMs} ms`)), limitMs);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

const columns = (...cells: readonly (string | number)[]): string =>
  cells.map((cell, index) => (index === 0 ? `${cell}`.padEnd(64) : `${cell}`.padStart(10))).join(' ');

const HEADING = columns('fault', 'injections', 'lost', 'double', 'drift', 'recovery');

function lineOf({ name, injections, lost, double, drift, recoveryMs, failure }: FaultRow): string {
  const line = columns(name, injections, lost, double, drift, failure === undefined ? `${recoveryMs} ms` : 'FAILED');
  return failure === undefined ? line : `${line}\n    ${failure}`;
}
