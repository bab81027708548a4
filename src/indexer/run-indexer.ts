/**
 * The indexer's loop: next step, store it, tell whoever waits, again; sleep only when there was nothing new.
 *
 * Trouble with nodes is retried for ever and shows in the status; when it lasts, an incident says so. A deep reorganisation or another chain
 * behind the nodes ends the loop with an incident: what was stored stays as it is, and the service must not go on as if it were current.
 */
import type { Pool } from 'pg';
import type { Finality } from '../chain/finality.ts';
import { createRpcPool, type RpcPool, rpcFailureReason } from '../chain/rpc-pool.ts';
import type { VaultReader } from '../chain/vault-reader.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { ChainEventSequence } from '../domain/units.ts';
import { isDatabaseTrouble } from '../storage/database-trouble.ts';
import { closeIncident, openIncident, readOpenIncidents } from '../storage/incidents.ts';
import { readChainIdentity, requireSameChain, type VaultPlace } from './chain-identity.ts';
import { type BlockRef, type ChainIdentity, type ChainStep, type FollowedChain, tipOf } from './chain-steps.ts';
import { createFollower, type Follower } from './follow-chain.ts';
import {
  loadChainIdentity,
  loadFollowedChain,
  recordChainIdentity,
  rewindToLastEvent,
  storeStep,
} from './store-chain.ts';
import { watchHeads } from './watch-heads.ts';

export type IndexerOptions = {
  readonly pool: Pool;
  readonly rpcUrls: readonly string[];
  readonly place: VaultPlace;
  readonly reader: VaultReader;
  readonly finality: Finality;
  /** Wait between looks at the head when nothing is new and no node announces a block. */
  readonly pollIntervalMs?: number;
  /** Time without a good answer after which an incident is opened. */
  readonly stalledAfterMs?: number;
  readonly rangeBlocksMax?: number;
  readonly rpcTimeoutMs?: number;
  /** As in RpcPoolOptions. */
  readonly frozenAfterMs?: number;
  /** After each stored step, not awaited by the loop: wake the feeder, the reconciler, metrics. */
  readonly onStored?: (step: ChainStep, status: IndexerStatus) => void;
  readonly onWarning?: (message: string, error: unknown) => void;
};

export type IndexerStatus = {
  readonly state: 'starting' | 'following' | 'stalled' | 'halted' | 'stopped';
  /** Height of the node's head at the last look; 0 before the first. */
  readonly head: number;
  readonly tip: BlockRef | undefined;
  readonly final: BlockRef | undefined;
  readonly lastEventSequence: ChainEventSequence;
  readonly reorgs: number;
  readonly deepestReorg: number;
  /** Milliseconds since a node last answered well. */
  readonly silentMs: number;
  readonly lastError: string | undefined;
  readonly nodes: ReturnType<RpcPool['health']>;
};

export type Indexer = {
  readonly status: () => IndexerStatus;
  /** Resolves after `stop`; rejects with DEEP_REORG or CHAIN_MISMATCH when following has to end, or with what storing threw. */
  readonly done: Promise<void>;
  readonly stop: () => Promise<void>;
};

/** Gaps seen in a row after which the blocks since the last event are read again. */
const GAPS_BEFORE_REWIND = 3;

export function startIndexer(options: IndexerOptions): Indexer {
  const { pool, place } = options;
  const pollIntervalMs = options.pollIntervalMs ?? 250;
  const stalledAfterMs = options.stalledAfterMs ?? 30_000;
  let stopped = false;
  let bell = Promise.withResolvers<void>();
  let identity: ChainIdentity | undefined;
  let chain: FollowedChain | undefined;
  let state: IndexerStatus['state'] = 'starting';
  let head = 0;
  let reorgs = 0;
  let deepestReorg = 0;
  let gaps = 0;
  let stalledIncident: number | undefined;
  let lastError: string | undefined;
  let lastGoodAt = performance.now();

  const rpc = createRpcPool(options.rpcUrls, {
    timeoutMs: options.rpcTimeoutMs ?? 10_000,
    backoffMaxMs: Math.max(1_000, pollIntervalMs * 4),
    ...(options.frozenAfterMs === undefined ? {} : { frozenAfterMs: options.frozenAfterMs }),
    verify: async (endpoint) => {
      const got = await readChainIdentity(endpoint, place);
      if (identity !== undefined) requireSameChain(identity, got, endpoint.name);
    },
  });
  const heads = watchHeads(options.rpcUrls, () => bell.resolve());
  const follower = createFollower({
    pool: rpc,
    reader: options.reader,
    finality: options.finality,
    ...optionalRange(options),
  });

  const status = (): IndexerStatus => ({
    state,
    head,
    tip: chain && tipOf(chain),
    final: chain?.final,
    lastEventSequence: (chain === undefined ? 0 : tipOf(chain).lastEventSequence) as ChainEventSequence,
    reorgs,
    deepestReorg,
    silentMs: performance.now() - lastGoodAt,
    lastError,
    nodes: rpc.health(),
  });

  /** Retryable trouble: remember, alarm when it lasts, read again from the last event when the numbering stays broken. */
  const suffer = async (error: Error): Promise<void> => {
    lastError = error.message;
    options.onWarning?.('the chain cannot be followed now; trying again', error);
    const silentMs = performance.now() - lastGoodAt;
    if (silentMs > stalledAfterMs) state = 'stalled';
    // By the incident, not by the state: when the database is away too, the next failure opens it.
    if (state === 'stalled' && stalledIncident === undefined) {
      const details = { reason: error.message, silentMs };
      const incident = { kind: 'chain_stalled', summary: 'The chain cannot be followed', details };
      stalledIncident = (await openIncident(pool, incident)).id;
    }
    gaps = rpcFailureReason(error) === 'events_missing' ? gaps + 1 : 0;
    if (gaps >= GAPS_BEFORE_REWIND && identity !== undefined) {
      gaps = 0;
      await rewindToLastEvent(pool);
      chain = await loadFollowedChain(pool, identity);
    }
  };

  const takeStep = async (follow: Follower, known: ChainIdentity, from: FollowedChain): Promise<boolean> => {
    const { step, head: seen } = await follow.next(from);
    head = seen;
    state = 'following';
    lastError = undefined;
    lastGoodAt = performance.now();
    if (stalledIncident !== undefined) {
      await closeIncident(pool, stalledIncident, 'The chain is followed again.');
      stalledIncident = undefined;
    }
    if (step === undefined) return false;
    chain = await storeStep(pool, known, from, step);
    gaps = 0;
    if (step.kind === 'reorg') {
      reorgs += 1;
      deepestReorg = Math.max(deepestReorg, step.depth);
    }
    options.onStored?.(step, status());
    return true;
  };

  const start = async (): Promise<{ known: ChainIdentity }> => {
    identity = await loadChainIdentity(pool);
    const known =
      identity ?? (await recordChainIdentity(pool, await rpc.run((endpoint) => readChainIdentity(endpoint, place))));
    if (known.vault !== place.vault || known.deploymentBlock !== place.deploymentBlock) {
      requireSameChain(known, { ...known, ...place }, 'the configuration');
    }
    identity = known;
    chain = await loadFollowedChain(pool, known);
    // One that an earlier run opened and could not close.
    stalledIncident ??= (await readOpenIncidents(pool)).find(({ kind }) => kind === 'chain_stalled')?.id;
    return { known };
  };

  /** Until a block is announced, or the next look is due. */
  const pause = async (): Promise<void> => {
    const timer = setTimeout(() => bell.resolve(), pollIntervalMs);
    await bell.promise;
    clearTimeout(timer);
  };

  const loop = async (): Promise<void> => {
    let known: ChainIdentity | undefined;
    while (!stopped) {
      // A block that is announced while a step is taken is looked for right after it.
      bell = Promise.withResolvers();
      try {
        known ??= (await start()).known;
        if (chain === undefined) throw new Error('following began before the stored chain was loaded');
        if (await takeStep(follower, known, chain)) continue;
      } catch (error) {
        if (!(error instanceof ExchangeError && error.retryable) && !isDatabaseTrouble(error)) throw error;
        // The incident and the rewind need the database, which may be what is in trouble.
        await suffer(error as Error).catch((failure: unknown) =>
          options.onWarning?.('trouble could not be recorded', failure),
        );
      }
      await pause();
    }
    state = 'stopped';
  };

  const done = loop()
    .finally(() => heads.stop())
    .catch(async (error: unknown) => {
      state = 'halted';
      lastError = error instanceof Error ? error.message : String(error);
      if (error instanceof ExchangeError) {
        const incident = { kind: error.code.toLowerCase(), summary: error.message, details: error.details };
        await openIncident(pool, incident).catch((failure: unknown) =>
          options.onWarning?.('the halt could not be recorded', failure),
        );
      }
      throw error;
    });
  // Whoever starts the indexer watches `done`; until they do, its rejection must not end the process by itself.
  done.catch(() => undefined);
  return {
    status,
    done,
    stop: async () => {
      stopped = true;
      bell.resolve();
      await done.catch(() => undefined);
    },
  };
}

const optionalRange = (options: IndexerOptions): { rangeBlocksMax?: number } =>
  options.rangeBlocksMax === undefined ? {} : { rangeBlocksMax: options.rangeBlocksMax };
