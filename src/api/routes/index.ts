/** Every route below /api/v1. */
import type { Route } from '../context.ts';
import { cancelAfter } from './cancel-after.ts';
import { createApiKey } from './create-api-key.ts';
import { deleteApiKey } from './delete-api-key.ts';
import { deleteOrder } from './delete-order.ts';
import { deleteOrders } from './delete-orders.ts';
import { getAccountFees } from './get-account-fees.ts';
import { getApiKeys } from './get-api-keys.ts';
import { getAssets } from './get-assets.ts';
import { getBalances } from './get-balances.ts';
import { getBatch } from './get-batch.ts';
import { getBatchFills } from './get-batch-fills.ts';
import { getBatches } from './get-batches.ts';
import { getCandles } from './get-candles.ts';
import { getContracts } from './get-contracts.ts';
import { getDeposits } from './get-deposits.ts';
import { getDepth } from './get-depth.ts';
import { getExit } from './get-exit.ts';
import { getFees } from './get-fees.ts';
import { getFills } from './get-fills.ts';
import { getIncidents } from './get-incidents.ts';
import { getJournal } from './get-journal.ts';
import { getMarket } from './get-market.ts';
import { getMarkets } from './get-markets.ts';
import { getOrder } from './get-order.ts';
import { getOrderByClientId } from './get-order-by-client-id.ts';
import { getOrderProof } from './get-order-proof.ts';
import { getOrders } from './get-orders.ts';
import { getPing } from './get-ping.ts';
import { getReconciliation } from './get-reconciliation.ts';
import { getReconciliations } from './get-reconciliations.ts';
import { getSolvency } from './get-solvency.ts';
import { getStatus } from './get-status.ts';
import { getTicker } from './get-ticker.ts';
import { getTickers } from './get-tickers.ts';
import { getTime } from './get-time.ts';
import { getTrades } from './get-trades.ts';
import { getTransactionFills } from './get-transaction-fills.ts';
import { getWithdrawal } from './get-withdrawal.ts';
import { getWithdrawals } from './get-withdrawals.ts';
import { placeOrder } from './place-order.ts';
import { placeOrders } from './place-orders.ts';
import { reduceOrder } from './reduce-order.ts';
import { replaceOrder } from './replace-order.ts';
import { requestWithdrawal } from './request-withdrawal.ts';
import { validateOrder } from './validate-order.ts';

export const ROUTES: readonly Route[] = [
  getPing,
  getTime,
  getStatus,
  getContracts,
  getMarkets,
  getMarket,
  getAssets,
  getFees,
  getDepth,
  getTrades,
  getCandles,
  getTicker,
  getTickers,
  placeOrder,
  validateOrder,
  placeOrders,
  replaceOrder,
  reduceOrder,
  cancelAfter,
  deleteOrder,
  deleteOrders,
  getOrders,
  getOrder,
  getOrderByClientId,
  getFills,
  getAccountFees,
  getBalances,
  getDeposits,
  getWithdrawals,
  getWithdrawal,
  requestWithdrawal,
  getExit,
  getBatches,
  getBatch,
  getBatchFills,
  getTransactionFills,
  getOrderProof,
  getJournal,
  getReconciliation,
  getReconciliations,
  getSolvency,
  getIncidents,
  createApiKey,
  getApiKeys,
  deleteApiKey,
];
