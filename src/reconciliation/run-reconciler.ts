/**
 * Reconciles after every batch that became final, and sweeps every account on a schedule.
 *
 * Drift, or books above the vault's token balance, opens an incident that names the accounts, and halts withdrawals. Nothing here resumes
 * them: that is an operator's journaled decision, after which the next difference halts them again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { RpcPool } from '../chain/rpc-pool.ts';
import type { Address } from '../domain/units.ts';
import { openIncident } from '../storage/incidents.ts';
import type { Drift } from './compare.ts';
import { type ReconciliationReport, reconcile } from './reconcile.ts';

export type ReconcilerOptions = {
  readonly pool: Pool;
  readonly rpc: RpcPool;
  readonly vault: Address;
  /** Submits the operator command of that name; called again at every comparison that finds a difference. */
  readonly haltWithdrawals: (reason: string) => Promise<void>;
  /** Time between sweeps of every account. */
  readonly sweepIntervalMs?: number;
  /** Looks at the ledger this often even when nobody wakes it. */
  readonly pollIntervalMs?: number;
  readonly onReport?: (report: ReconciliationReport) => void;
  readonly onWarning?: (message: string, error: unknown) => void;
};

export type Reconciler = {
  /** The ledger may have moved. Cheap; call it when the projector has written or the indexer has stored. */
  readonly wake: () => void;
  /** Compares every account as soon as that is possible. @returns the report of that sweep */
  readonly sweep: () => Promise<ReconciliationReport>;
  readonly lastReport: () => ReconciliationReport | undefined;
  /** Resolves when the comparison under way is done. Sweeps still waited for are rejected. */
  readonly stop: () => Promise<void>;
};

const NAMED_MAX = 20;

export function startReconciler(options: ReconcilerOptions): Reconciler {
  const sweepIntervalMs = options.sweepIntervalMs ?? 15 * 60_000;
  const pollIntervalMs = options.pollIntervalMs ?? 1_000;
  const abort = new AbortController();
  let bell = Promise.withResolvers<void>();
  let waiting: PromiseWithResolvers<ReconciliationReport>[] = [];
  let nextSweepAt = performance.now();
  let unhalted: string | undefined;
  let last: ReconciliationReport | undefined;

  const halt = async (reason: string): Promise<void> => {
    unhalted = reason;
    await options.haltWithdrawals(reason);
    unhalted = undefined;
  };

  const react = async (report: ReconciliationReport): Promise<void> => {
    const insolvent = report.solvency.filter((asset) => !asset.solvent);
    if (report.drift.length > 0) {
      const summary = describeDrift(report.drift);
      await openIncident(options.pool, { kind: 'drift', summary, details: report });
      await halt(summary);
    }
    if (insolvent.length > 0) {
      const summary = `The vault holds less than it has booked of asset ${insolvent.map(({ asset }) => asset).join(', ')}`;
      await openIncident(options.pool, { kind: 'insolvent', summary, details: report });
      await halt(summary);
    }
  };

  const turn = async (): Promise<void> => {
    // A halt that could not be handed over comes before everything else.
    if (unhalted !== undefined) await halt(unhalted);
    const fullSweep = waiting.length > 0 || performance.now() >= nextSweepAt;
    const result = await reconcile(options, { fullSweep });
    if (result.kind !== 'compared') return;
    last = result.report;
    if (fullSweep) {
      nextSweepAt = performance.now() + sweepIntervalMs;
      const done = waiting;
      waiting = [];
      for (const promise of done) promise.resolve(result.report);
    }
    options.onReport?.(result.report);
    await react(result.report);
  };

  const loop = async (): Promise<void> => {
    while (!abort.signal.aborted) {
      bell = Promise.withResolvers();
      try {
        await turn();
      } catch (error) {
        options.onWarning?.('reconciliation could not be completed; trying again', error);
      }
      const timer = sleep(pollIntervalMs, undefined, { signal: abort.signal }).catch(() => undefined);
      await Promise.race([bell.promise, timer]);
    }
  };
  const done = loop();

  return {
    wake: () => bell.resolve(),
    sweep: () => {
      const promise = Promise.withResolvers<ReconciliationReport>();
      waiting.push(promise);
      bell.resolve();
      return promise.promise;
    },
    lastReport: () => last,
    stop: async () => {
      abort.abort();
      bell.resolve();
      await done;
      for (const promise of waiting) promise.reject(new Error('the reconciler was stopped before it could sweep'));
    },
  };
}

/** Names the accounts, so that the alarm alone says where to look. */
export function describeDrift(drift: readonly Drift[]): string {
  const named = drift
    .slice(0, NAMED_MAX)
    .map(({ account, asset, ledger, vault }) => `${account} asset ${asset}: ledger ${ledger}, vault ${vault}`);
  const more = drift.length > NAMED_MAX ? ` and ${drift.length - NAMED_MAX} more` : '';
  return `Ledger and vault differ: ${named.join('; ')}${more}`;
}
