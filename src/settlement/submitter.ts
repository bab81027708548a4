/**
 * Brings batches from the outbox onto the chain: sealed → submitted → included → final, and back when the chain goes back.
 *
 * Each turn looks at the chain afresh (one node, one block hash), records what it shows, and brings the transactions under way to
 * what the plan asks for. There is no memory that matters: killed at any point, the next turn of any submitter goes on.
 *
 * Invariants:
 * 1. A transaction is persisted before it is sent (I8), under the lease's token.
 * 2. A batch is settled when the vault says so at a block, never because a transaction was mined: a revert settles nothing, a missing
 *    receipt denies nothing, and a stranger's settlement counts like ours.
 * 3. Batches go out in order on consecutive nonces; the first one is simulated before it is signed, and others only when they surely fit.
 * 4. Of an id's contents any may land, and what follows is found from the one that did: see next-batches.
 *
 * Not here: what a batch contains (publish-batch), and what the ledger makes of it (indexer, then engine).
 */
import type { Pool } from 'pg';
import type { Finality } from '../chain/finality.ts';
import { type RpcEndpoint, type RpcPool, rpcFailure } from '../chain/rpc-pool.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { Address } from '../domain/units.ts';
import { createAlarms } from './alarms.ts';
import { askForReseal } from './ask-for-reseal.ts';
import { type ChainView, readChainView, readFeeHistory, readPool } from './chain-view.ts';
import { DEFAULT_FEE_LIMITS, type FeeLimits, nextBaseFee, suggestFees } from './fees.ts';
import { acquireLease, type Lease, releaseLease } from './lease.ts';
import { batchesAfter } from './next-batches.ts';
import { isPublished, type OutboxBatch, readOpenBatches, readTransactionsFrom } from './outbox.ts';
import { planTransactions } from './plan-transactions.ts';
import { recordChain } from './record-chain.ts';
import { createSender, type SendOutcome } from './send-transaction.ts';
import { transactionGasMax } from './settle-call.ts';
import type { TransactionSigner } from './signers.ts';

export type SubmitterOptions = {
  readonly pool: Pool;
  readonly rpc: RpcPool;
  readonly chainId: number;
  readonly vault: Address;
  /** Nothing before this block is searched for settlements. */
  readonly deploymentBlock: number;
  readonly signer: TransactionSigner;
  readonly finality: Finality;
  /** Names this process in the lease; must differ between processes. */
  readonly owner: string;
  /** Wait between turns when nobody wakes it; 1 s by default. */
  readonly pollIntervalMs?: number;
  /** 3 s by default; another submitter may take over this long after the last turn. */
  readonly leaseMs?: number;
  /** Most batches under way; 4 by default. */
  readonly inFlightMax?: number;
  /** A transaction in the pool that waits this long is replaced; 30 s by default. */
  readonly bumpAfterMs?: number;
  readonly feeLimits?: FeeLimits;
  /** The clock; only ages are computed from it. */
  readonly now?: () => number;
  readonly onStateChanged?: (change: {
    readonly batchId: number;
    readonly state: 'submitted' | 'included' | 'final' | 'reorganised';
  }) => void;
  readonly onWarning?: (message: string, error: unknown) => void;
};

export type SubmitterStatus = {
  readonly state: 'starting' | 'standby' | 'working' | 'stopped';
  /** Why it waits although batches are pending; undefined when it does not. */
  readonly waitingFor: WaitReason | undefined;
  readonly sender: Address;
  /** Batches not settled at the head. */
  readonly pending: number;
  /** Age of the oldest of them since it was sealed; 0 when there is none. */
  readonly oldestPendingAgeMs: number;
  /** Batches settled, but not final. */
  readonly unfinal: number;
  /** Wei; undefined before the first look. */
  readonly gasBalance: bigint | undefined;
  /** Wei per gas; undefined before the first look at fees. */
  readonly baseFee: bigint | undefined;
  readonly lastSettledBatchId: number;
  readonly transactionsSigned: number;
  readonly replacements: number;
  readonly reorganisations: number;
  readonly lastError: string | undefined;
};

export const WAIT_REASONS = [
  'rpc',
  'database',
  'gas_wallet_empty',
  'fee_cap',
  'batch_refused',
  'batch_too_large',
  'signer',
  'deep_reorg',
  'lagging_node',
] as const;
export type WaitReason = (typeof WAIT_REASONS)[number];

export type Submitter = {
  readonly start: () => void;
  /** Takes a turn now: a batch was published, or a block arrived. */
  readonly wake: () => void;
  /** Ends after the turn under way and gives the lease back. */
  readonly stop: () => Promise<void>;
  readonly status: () => SubmitterStatus;
  /** One turn, for tests and tools; not while started. */
  readonly turn: () => Promise<void>;
};

/** A node that shows an older head than before is given this many turns to catch up before it is believed. */
const LAGGING_TURNS_MAX = 5;

export function createSubmitter(options: SubmitterOptions): Submitter {
  const { pool, rpc, signer } = options;
  const now = options.now ?? Date.now;
  const limits = options.feeLimits ?? DEFAULT_FEE_LIMITS;
  const sender = createSender(options);
  const alarms = createAlarms(pool);
  const counters = { transactionsSigned: 0, replacements: 0, reorganisations: 0 };
  let state: SubmitterStatus['state'] = 'starting';
  let lease: Lease | undefined;
  let view: ChainView | undefined;
  let pending: readonly OutboxBatch[] = [];
  let unfinal = 0;
  let baseFee: bigint | undefined;
  let waitingFor: WaitReason | undefined;
  let waitingDetail = '';
  let lastError: string | undefined;
  let laggingTurns = 0;

  const takeTurn = async (): Promise<void> => {
    lease = await acquireLease(pool, options.owner, lease, options.leaseMs ?? 3_000);
    if (lease === undefined) {
      state = 'standby';
      waitingFor = undefined;
      ({ pending, unfinal } = withoutLook(await readOpenBatches(pool)));
      return;
    }
    state = 'working';
    const held = lease;
    const look = async (endpoint: RpcEndpoint): Promise<WaitReason | undefined> => {
      const seen = await readChainView(endpoint, {
        vault: options.vault,
        sender: signer.address,
        finality: options.finality,
      });
      if (view !== undefined && seen.head.number < view.head.number && laggingTurns < LAGGING_TURNS_MAX) {
        // Retryable: another node is asked at once.
        const message = `${endpoint.name} is at block ${seen.head.number}, after ${view.head.number} was seen`;
        throw rpcFailure('inconsistent', message, { lagging: true });
      }
      laggingTurns = 0;
      view = seen;
      const recorded = await recordChain({ ...options, endpoint, lease: held, view: seen });
      counters.reorganisations += recorded.reorganised;
      const last = { batchId: seen.lastBatchId, batchHash: seen.lastBatchHash };
      pending = batchesAfter(recorded.open, last);
      unfinal = new Set(recorded.open.map(({ batchId }) => batchId).filter((id) => id <= last.batchId)).size;
      if (recorded.trouble !== undefined) return recorded.trouble;
      if (pending.length === 0) {
        if (await isPublished(pool, last)) return undefined;
        waitingDetail = `the vault has settled ${last.batchHash} as batch ${last.batchId}, which was never published here; see the runbook on refused batches`;
        return 'batch_refused';
      }
      const history = await readFeeHistory(endpoint);
      baseFee = nextBaseFee(history);
      const transactions = await readTransactionsFrom(pool, signer.address, seen.txNonce);
      const inFlightMax = options.inFlightMax ?? 4;
      const candidates = transactions.filter((transaction) => transaction.txNonce < seen.txNonce + inFlightMax);
      const plan = planTransactions({
        nowMs: now(),
        txNonce: seen.txNonce,
        batches: pending,
        transactions,
        inPool: await readPool(
          endpoint,
          candidates.map((transaction) => transaction.txHash),
        ),
        baseFee,
        suggested: suggestFees(history, limits),
        feeMax: limits.feeMax,
        gasMax: transactionGasMax(seen.head.gasLimit),
        inFlightMax,
        bumpAfterMs: options.bumpAfterMs ?? 30_000,
      });
      return carryOut(plan, endpoint, held, seen);
    };
    try {
      waitingFor = await rpc.run(look);
    } catch (error) {
      if (!(error instanceof ExchangeError && error.details['lagging'] === true)) throw error;
      laggingTurns += 1;
      waitingFor = 'lagging_node';
    }
    await alarms.note(waitingFor, waitingDetail);
  };

  /** Slot by slot; a slot that fails stops the ones after it, which depend on it. */
  const carryOut = async (
    plan: ReturnType<typeof planTransactions>,
    endpoint: Parameters<typeof readChainView>[0],
    held: Lease,
    seen: ChainView,
  ): Promise<WaitReason | undefined> => {
    for (const action of plan) {
      if (action.kind === 'wait') {
        if (action.why === 'fee_cap') return 'fee_cap';
        continue;
      }
      let outcome: SendOutcome;
      if (action.kind === 'resend') {
        outcome = await sender.resend(action.transaction);
      } else {
        const isNext = action.batch.batchId === seen.lastBatchId + 1;
        outcome = await sender.signAndSend(action, {
          endpoint,
          lease: held,
          view: seen,
          simulate: isNext,
          nowMs: now(),
        });
        if (outcome.kind === 'sent' || outcome.kind === 'refused') {
          counters.transactionsSigned += 1;
          if (action.why !== 'first') counters.replacements += 1;
        }
        if (outcome.kind === 'sent') options.onStateChanged?.({ batchId: action.batch.batchId, state: 'submitted' });
      }
      if (outcome.kind === 'held') return undefined;
      if (outcome.kind === 'sent') continue;
      const stopped = outcome.kind === 'too_large' ? await askForReseal(pool, outcome) : outcome;
      waitingDetail = stopped.detail;
      return stopped.why;
    }
    return undefined;
  };

  const turn = async (): Promise<void> => {
    try {
      await takeTurn();
      lastError = undefined;
    } catch (error) {
      lastError = error instanceof Error ? error.message : String(error);
      if (error instanceof ExchangeError && error.code === 'LEADERSHIP_LOST') {
        lease = undefined;
        state = 'standby';
      } else {
        waitingFor = error instanceof ExchangeError && error.code === 'RPC_FAILED' ? 'rpc' : 'database';
        options.onWarning?.('a turn of the submitter failed; it is repeated', error);
      }
    }
  };

  const loop = createLoop(turn, options.pollIntervalMs ?? 1_000);
  return {
    turn,
    start: loop.start,
    wake: loop.wake,
    stop: async () => {
      await loop.stop();
      state = 'stopped';
      if (lease !== undefined) await releaseLease(pool, lease);
      lease = undefined;
    },
    status: () => {
      const oldest = pending[0];
      return {
        state,
        waitingFor,
        sender: signer.address,
        pending: pending.length,
        oldestPendingAgeMs: oldest === undefined ? 0 : Math.max(0, now() - oldest.sealedAtMs),
        unfinal,
        gasBalance: view?.balance,
        baseFee,
        lastSettledBatchId: view?.lastBatchId ?? 0,
        ...counters,
        lastError,
      };
    },
  };
}

/** What a submitter that stands by can tell from the outbox alone: of each id the newest content. */
function withoutLook(open: readonly OutboxBatch[]): { pending: OutboxBatch[]; unfinal: number } {
  const newest = [...new Map(open.map((batch) => [batch.batchId, batch])).values()];
  const pending = newest.filter(({ state }) => state !== 'included');
  return { pending, unfinal: newest.length - pending.length };
}

function createLoop(
  turn: () => Promise<void>,
  intervalMs: number,
): { start: () => void; wake: () => void; stop: () => Promise<void> } {
  let running: Promise<void> | undefined;
  let stopping = false;
  let awake = false;
  let rouse: () => void = () => undefined;
  const sleep = (): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, intervalMs);
      rouse = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  const wake = (): void => {
    awake = true;
    rouse();
  };
  return {
    wake,
    start: () => {
      running ??= (async () => {
        while (!stopping) {
          awake = false;
          await turn();
          if (!awake && !stopping) await sleep();
        }
      })();
    },
    stop: async () => {
      stopping = true;
      wake();
      await running;
    },
  };
}
