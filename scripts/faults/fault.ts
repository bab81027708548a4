/** What a fault is, and what most of them need. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProxiedAnswer, ProxiedCall, RpcProxy, TransportFault } from '../../test/support/rpc-proxy.ts';
import { until, type World } from './world.ts';

/** What a fault disturbs: two that share a part cannot be told apart, so they are not injected together. */
export type Part = 'node' | 'rpc' | 'sending' | 'settlement' | 'indexer' | 'engine' | 'postgres' | 'redis';

export type Fault = {
  readonly name: string;
  readonly group: 'chain' | 'RPC' | 'submitter' | 'engine' | 'PostgreSQL' | 'Redis';
  readonly parts: readonly Part[];
  /** Injects, waits as long as the fault shall last, and lifts it. @returns how often it hit; @throws when what was expected did not show */
  readonly inject: (world: World) => Promise<number>;
  /** Takes long, or stops everything: not among the random combinations. */
  readonly alone?: boolean;
};

export const FAULT_LASTS_MS = 2_000;

export async function once(work: Promise<unknown>): Promise<number> {
  await work;
  return 1;
}

/** Does the work over and over for as long as a fault lasts. @returns how often */
export async function during(work: () => Promise<unknown>, lastsMs = FAULT_LASTS_MS): Promise<number> {
  let times = 0;
  for (const endMs = performance.now() + lastsMs; performance.now() < endMs; await sleep(100)) {
    await work();
    times++;
  }
  return times;
}

/** Bends answers of the proxies for a while. */
export async function bending(
  proxies: readonly RpcProxy[],
  bend: (call: ProxiedCall, answer: ProxiedAnswer) => ProxiedAnswer,
  meanwhile: () => Promise<unknown> = () => sleep(FAULT_LASTS_MS),
): Promise<number> {
  let hits = 0;
  for (const proxy of proxies)
    proxy.bendAnswer = (call, answer) => {
      const bent = bend(call, answer);
      if (bent !== answer) hits++;
      return bent;
    };
  try {
    await meanwhile();
  } finally {
    for (const proxy of proxies) proxy.bendAnswer = undefined;
  }
  return hits;
}

/** Breaks whole requests to the proxies for a while. */
export async function breaking(
  proxies: readonly RpcProxy[],
  fault: TransportFault,
  meanwhile: () => Promise<unknown> = () => sleep(FAULT_LASTS_MS),
): Promise<number> {
  let hits = 0;
  for (const proxy of proxies)
    proxy.breakRequest = () => {
      hits++;
      return fault;
    };
  try {
    await meanwhile();
  } finally {
    for (const proxy of proxies) proxy.breakRequest = undefined;
  }
  return hits;
}

/** Lets the proxies answer calls themselves for a while. */
export async function intercepting(
  proxies: readonly RpcProxy[],
  intercept: NonNullable<RpcProxy['intercept']>,
  meanwhile: () => Promise<unknown> = () => sleep(FAULT_LASTS_MS),
): Promise<void> {
  for (const proxy of proxies) proxy.intercept = intercept;
  try {
    await meanwhile();
  } finally {
    for (const proxy of proxies) proxy.intercept = undefined;
  }
}

/**
 * Holds locks in the database until somebody waits for them, and then strikes.
 * @param statement takes the locks
 * @param waiter the application that is to stand still there
 */
export async function whileWaiting(
  world: World,
  lock: { readonly statement: string; readonly waiter: string },
  strike: (pid: number) => Promise<unknown>,
): Promise<number> {
  const client = await world.pool.connect();
  try {
    await client.query(`BEGIN; ${lock.statement}`);
    let pid = 0;
    await until(`${lock.waiter} waiting for the lock`, async () => {
      const { rows } = await world.pool.query<{ pid: number }>(
        `SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = $1 AND datname = current_database()`,
        [lock.waiter],
      );
      pid = rows[0]?.pid ?? 0;
      return pid !== 0;
    });
    await strike(pid);
    await client.query('ROLLBACK').catch(() => undefined);
    return 1;
  } finally {
    // The strike may have ended this connection too.
    client.release(true);
  }
}
