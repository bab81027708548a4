/** Signs, persists and sends one transaction of a batch, and reads what nodes say about it. */
import type { Pool } from 'pg';
import type { RpcEndpoint, RpcPool } from '../chain/rpc-pool.ts';
import type { Address, Hex } from '../domain/units.ts';
import { type ChainView, readReceipt } from './chain-view.ts';
import type { Fees } from './fees.ts';
import type { Lease } from './lease.ts';
import {
  type BatchKey,
  type BatchToSettle,
  type OutboxTransaction,
  persistTransaction,
  readBatchToSettle,
  readTransactionsOf,
  recordSend,
} from './outbox.ts';
import { atMost, encodeSettle, gasLimitFrom, remedyOf, transactionGasMax, worstCaseGas } from './settle-call.ts';
import { signTransactionChecked, type TransactionSigner } from './signers.ts';
import { simulateSettle } from './simulate-settle.ts';

export type SenderOptions = {
  readonly pool: Pool;
  readonly rpc: RpcPool;
  readonly chainId: number;
  readonly vault: Address;
  readonly signer: TransactionSigner;
  readonly onWarning?: (message: string, error: unknown) => void;
};

export type SendOutcome =
  | { readonly kind: 'sent' }
  /** Persisted, but no node took it. The next turn decides by what is recorded. */
  | { readonly kind: 'refused'; readonly why: 'gas_wallet_empty' | 'rpc'; readonly detail: string }
  /** Nothing was persisted, and nothing after it should be sent. */
  /** Not sent, nor anything after it, and nothing is wrong: it may need more gas than there is, which shows once it can be simulated. */
  | { readonly kind: 'held' }
  /** Simulation shows that it needs more than `gasMax`, which is all that a block and a transaction may have. Nothing was persisted. */
  | { readonly kind: 'too_large'; readonly batch: BatchToSettle; readonly gasMax: bigint }
  | {
      readonly kind: 'stop';
      readonly why: 'gas_wallet_empty' | 'batch_refused' | 'signer' | 'rpc';
      readonly detail: string;
    };

export type SignContext = {
  readonly endpoint: RpcEndpoint;
  readonly lease: Lease;
  readonly view: ChainView;
  readonly nowMs: number;
  /** The batch is the vault's next one, so a call against the head shows whether it would be taken. */
  readonly simulate: boolean;
};

export type Sender = {
  readonly signAndSend: (
    slot: { readonly batch: BatchKey; readonly txNonce: number; readonly fees: Fees },
    context: SignContext,
  ) => Promise<SendOutcome>;
  readonly resend: (transaction: OutboxTransaction) => Promise<SendOutcome>;
};

export function createSender(options: SenderOptions): Sender {
  const { pool, signer } = options;

  const broadcast = async (transaction: Pick<OutboxTransaction, 'txHash' | 'raw'>): Promise<SendOutcome> => {
    const answers = await Promise.all(options.rpc.endpoints.map((endpoint) => sendTo(endpoint, transaction.raw)));
    const taken = answers.some((answer) => answer === undefined);
    const error = taken ? undefined : answers.find((answer) => answer !== undefined);
    await recordSend(pool, transaction.txHash, error);
    if (error === undefined) return { kind: 'sent' };
    options.onWarning?.(`no node took transaction ${transaction.txHash}: ${error}`, undefined);
    return { kind: 'refused', why: isWalletEmpty(error) ? 'gas_wallet_empty' : 'rpc', detail: error };
  };

  return {
    resend: broadcast,
    signAndSend: async ({ batch: key, txNonce, fees }, context) => {
      const { lease, view } = context;
      const batch = await readBatchToSettle(pool, key);
      const { batchId, journalSequence } = batch;
      const data = encodeSettle(batch);
      const chosen = await chooseGasLimit(options, batch, data, context);
      if (typeof chosen !== 'bigint') return chosen;
      const gasLimit = chosen;
      // Nodes refuse a transaction whose whole limit at its highest price is not covered.
      const cost = gasLimit * fees.maxFeePerGas;
      if (view.balance < cost) {
        return {
          kind: 'stop',
          why: 'gas_wallet_empty',
          detail: `${signer.address} holds ${view.balance} wei, ${cost} are needed`,
        };
      }
      const unsigned = { chainId: options.chainId, txNonce, to: options.vault, data, gasLimit, ...fees };
      let signed: Awaited<ReturnType<typeof signTransactionChecked>>;
      try {
        signed = await signTransactionChecked(signer, unsigned);
      } catch (error) {
        options.onWarning?.('the transaction signer failed', error);
        return { kind: 'stop', why: 'signer', detail: error instanceof Error ? error.message : String(error) };
      }
      const transaction = { ...signed, batchId, journalSequence, txNonce, fees, gasLimit };
      await persistTransaction(pool, lease, signer.address, transaction);
      return broadcast(transaction);
    },
  };
}

/** The gas limit of a batch's next transaction, or why none should be sent now. */
async function chooseGasLimit(
  { pool, signer, vault }: SenderOptions,
  batch: BatchToSettle,
  data: Hex,
  { endpoint, view, nowMs, simulate }: SignContext,
): Promise<bigint | SendOutcome> {
  const { batchId } = batch;
  const gasMax = transactionGasMax(view.head.gasLimit);
  const earlier = await readTransactionsOf(pool, signer.address, batch);
  const reverts = await findReverts(endpoint, earlier, view.txNonce);
  if (reverts.count > 0 && nowMs - reverts.lastMs < revertBackoffMs(reverts.count)) {
    const detail = `${reverts.count} transactions of batch ${batchId} reverted`;
    return { kind: 'stop', why: 'batch_refused', detail };
  }
  let gasLimit = earlier.at(-1)?.gasLimit ?? worstCaseGas(batch);
  if (simulate) {
    const simulated = await simulateSettle(
      endpoint,
      { from: signer.address, to: vault, data },
      view.head.number,
      gasMax,
    );
    if (simulated.kind === 'too_large') return { kind: 'too_large', batch, gasMax };
    if (simulated.kind === 'refused') {
      const { error } = simulated;
      // The chain went on since the look: the next turn sees it.
      if (error.startsWith('WrongBatchId')) return { kind: 'stop', why: 'rpc', detail: error };
      const remedy = remedyOf(error) ?? 'see the runbook on refused batches';
      return { kind: 'stop', why: 'batch_refused', detail: `batch ${batchId}: ${error}; ${remedy}` };
    }
    gasLimit = gasLimitFrom(simulated.gas, gasMax);
  } else if (gasLimit > gasMax) {
    return { kind: 'held' };
  }
  if (reverts.count > 0 && gasLimit * 2n < gasMax) gasLimit *= 2n;
  return atMost(gasLimit, gasMax);
}

/** Transactions of a batch that were mined and reverted. A missing receipt counts as nothing. */
async function findReverts(
  endpoint: RpcEndpoint,
  transactions: readonly OutboxTransaction[],
  txNonce: number,
): Promise<{ count: number; lastMs: number }> {
  let count = 0;
  let lastMs = 0;
  for (const transaction of transactions) {
    if (transaction.txNonce >= txNonce) continue;
    const receipt = await readReceipt(endpoint, transaction.txHash);
    if (receipt === undefined || receipt.succeeded) continue;
    count += 1;
    lastMs = transaction.createdAtMs;
  }
  return { count, lastMs };
}

/**
 * A batch whose transactions revert though the simulation passed costs gas each time: wait ever longer, at most ten minutes. The first
 * revert is free: it befalls a batch whose predecessor's place was taken by a stranger's transaction.
 */
function revertBackoffMs(count: number): number {
  return count < 2 ? 0 : Math.min(600_000, 2_500 * 2 ** count);
}

/** Undefined when the node has the transaction now, its words otherwise. */
async function sendTo(endpoint: RpcEndpoint, raw: Hex): Promise<string | undefined> {
  try {
    await endpoint.request('eth_sendRawTransaction', [raw]);
    return undefined;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return /already known|already imported|known transaction|already exists/i.test(message) ? undefined : message;
  }
}

function isWalletEmpty(error: string): boolean {
  return /insufficient funds/i.test(error);
}
