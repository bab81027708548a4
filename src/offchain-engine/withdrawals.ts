/**
 * Withdrawals that the owner signed: checked, debited to `pendingWithdrawal`, and executed by a batch after its trades.
 *
 * Only what is settled can leave: withdrawable = min(available, settled − unsettledOut − pendingWithdrawal). Then the vault
 * can pay it whatever becomes of the trades that are not final yet.
 */
import type { WITHDRAWAL_OUTCOMES } from '../domain/batches.ts';
import type { NewWithdrawal } from '../domain/orders.ts';
import type { WithdrawalRejectReason } from '../domain/reasons.ts';
import type { Hash, Quanta } from '../domain/units.ts';
import * as units from '../domain/units.ts';
import * as accountTable from './accounts.ts';
import * as balances from './ledger.ts';
import type { EngineState, PendingWithdrawal, WithdrawalLane } from './state.ts';
import * as stateModule from './state.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { LANE_MAX, ORDER_SEQUENCE_MAX } = units;
const { FEE_ACCOUNT, FEE_ACCOUNT_ADDRESS } = accountTable;
const { AVAILABLE, PENDING_WITHDRAWAL, SETTLED, UNSETTLED_OUT } = balances;
const { ORDER_LIFE_MAX_SECONDS, SEQUENCE_AHEAD_MAX_MS } = stateModule;

/** Most withdrawals of one account that are requested and not final. */
export const PENDING_WITHDRAWALS_PER_ACCOUNT_MAX = 10;
/**
 * Most withdrawal lanes an account can use at a time. A lane is dead, and forgotten when another is needed, once a withdrawal
 * with its sequence could have expired at the latest: every one up to that sequence is then refused as expired.
 */
export const WITHDRAWAL_LANES_PER_ACCOUNT_MAX = 16;

const TRANSFER_FAILED: (typeof WITHDRAWAL_OUTCOMES)[11] = 'transfer_failed';
/** How long an account waits after a transfer that its recipient or token refused; doubled each time in a row. */
const RETRY_AFTER_MIN_MS = 60_000;
const RETRY_AFTER_MAX_MS = 86_400_000;

export function requestWithdrawal(state: EngineState, withdrawal: NewWithdrawal): void {
  const account = state.accounts.find(withdrawal.account);
  const reason = check(state, account, withdrawal);
  if (reason !== undefined) {
    state.sink.push({ kind: 'withdrawalRejected', account: withdrawal.account, digest: withdrawal.digest, reason });
    return;
  }
  const fee = withdrawalFee(state, withdrawal.asset);
  const lanes = state.withdrawalLanes.get(account) ?? new Map();
  if (!lanes.has(withdrawal.lane) && lanes.size >= WITHDRAWAL_LANES_PER_ACCOUNT_MAX) dropDeadLanes(state, lanes);
  lanes.set(withdrawal.lane, { sequence: withdrawal.withdrawalSequence, digest: withdrawal.digest });
  state.withdrawalLanes.set(account, lanes);
  const slot = state.ledger.slot(account, withdrawal.asset);
  state.ledger.add(slot, AVAILABLE, -withdrawal.amount);
  state.ledger.add(slot, PENDING_WITHDRAWAL, withdrawal.amount);
  countPending(state, account, 1);
  state.withdrawals.push(pendingWithdrawal(withdrawal, fee, state.sequence));
  state.sink.push({ kind: 'withdrawalAccepted', withdrawal, fee });
}

function dropDeadLanes(state: EngineState, lanes: Map<number, WithdrawalLane>): void {
  for (const [lane, use] of lanes) if (isDead(state, use)) lanes.delete(lane);
}

function isDead(state: EngineState, { sequence }: WithdrawalLane): boolean {
  return state.genesis!.deployedAtMs + sequence + ORDER_LIFE_MAX_SECONDS * 1000 < state.nowMs;
}

/** Its terms without the signature; the journal holds that, at `requestedAt`. */
function pendingWithdrawal(withdrawal: NewWithdrawal, fee: Quanta, requestedAt: number): PendingWithdrawal {
  const { account, asset, amount, recipient, native, lane, withdrawalSequence, expiry, maxFee, digest } = withdrawal;
  return {
    account,
    asset,
    amount,
    recipient,
    native,
    lane,
    withdrawalSequence,
    expiry,
    maxFee,
    digest,
    fee,
    requestedAt,
  };
}

function check(state: EngineState, account: number, withdrawal: NewWithdrawal): WithdrawalRejectReason | undefined {
  const lane = state.withdrawalLanes.get(account)?.get(withdrawal.lane);
  if (lane?.digest === withdrawal.digest) return 'duplicate_withdrawal';
  return checkTerms(state, withdrawal) ?? checkAccount(state, account, withdrawal, lane?.sequence);
}

function checkTerms(state: EngineState, withdrawal: NewWithdrawal): WithdrawalRejectReason | undefined {
  const { asset, amount, maxFee, expiry, withdrawalSequence, recipient } = withdrawal;
  if (state.assets[asset] === undefined) return 'unknown_asset';
  if (state.withdrawalsHalted) return 'withdrawals_halted';
  if (!Number.isSafeInteger(amount) || amount < 1) return 'amount_zero';
  const fee = withdrawalFee(state, asset);
  if (fee > maxFee) return 'fee_above_maximum';
  if (amount <= fee) return 'amount_below_fee';
  if (amount < (state.withdrawalMinimums.get(asset) ?? 0)) return 'amount_below_minimum';
  if (!(expiry * 1000 > state.nowMs)) return 'expired';
  const sinceDeploymentMs = state.nowMs - state.genesis!.deployedAtMs;
  const bornMs = state.genesis!.deployedAtMs + Math.min(withdrawalSequence, sinceDeploymentMs);
  if (expiry > bornMs / 1000 + ORDER_LIFE_MAX_SECONDS) return 'expiry_too_far';
  if (!(withdrawalSequence <= ORDER_SEQUENCE_MAX && withdrawalSequence <= sinceDeploymentMs + SEQUENCE_AHEAD_MAX_MS)) {
    return 'sequence_in_future';
  }
  const forbidden = recipient === FEE_ACCOUNT_ADDRESS || recipient === state.genesis!.vault;
  if (forbidden || state.assets.some((listed) => listed.token === recipient)) return 'bad_recipient';
  return undefined;
}

function checkAccount(
  state: EngineState,
  account: number,
  withdrawal: NewWithdrawal,
  usedSequence: number | undefined,
): WithdrawalRejectReason | undefined {
  const { asset, amount, lane, withdrawalSequence } = withdrawal;
  if (account <= FEE_ACCOUNT) return 'insufficient_balance';
  if (!(withdrawalSequence >= 1) || withdrawalSequence <= (usedSequence ?? 0)) return 'nonce_reused';
  if (!Number.isInteger(lane) || lane < 0 || lane > LANE_MAX) return 'nonce_reused';
  if (usedSequence === undefined && liveLanes(state, account) >= WITHDRAWAL_LANES_PER_ACCOUNT_MAX) {
    return 'too_many_pending';
  }
  if (state.nowMs < (state.failedWithdrawals.get(account)?.untilMs ?? 0)) return 'failed_recently';
  if (state.accounts.hasExit(account, asset)) return 'exit_pending';
  if (state.ledger.inDeficit(account)) return 'account_in_deficit';
  if ((state.withdrawalCounts.get(account) ?? 0) >= PENDING_WITHDRAWALS_PER_ACCOUNT_MAX) return 'too_many_pending';
  const slot = state.ledger.find(account, asset);
  if (slot === 0 || amount > state.ledger.get(slot, AVAILABLE)) return 'insufficient_balance';
  const { ledger } = state;
  const settled = ledger.get(slot, SETTLED) - ledger.get(slot, UNSETTLED_OUT) - ledger.get(slot, PENDING_WITHDRAWAL);
  return amount > settled ? 'not_settled_yet' : undefined;
}

function liveLanes(state: EngineState, account: number): number {
  const lanes = state.withdrawalLanes.get(account);
  if (lanes === undefined || lanes.size < WITHDRAWAL_LANES_PER_ACCOUNT_MAX) return lanes?.size ?? 0;
  return [...lanes.values()].filter((use) => !isDead(state, use)).length;
}

/** Charged per withdrawal of the asset, in its quanta. */
export function withdrawalFee(state: EngineState, asset: number): Quanta {
  return state.genesis?.withdrawalFees.find((entry) => entry.asset === asset)?.fee ?? (0 as Quanta);
}

/** A withdrawal the vault has paid: it leaves the books, its fee stays with the exchange. */
export function executeWithdrawal(state: EngineState, withdrawal: PendingWithdrawal): void {
  const { ledger } = state;
  const account = state.accounts.find(withdrawal.account);
  const slot = ledger.slot(account, withdrawal.asset);
  ledger.add(slot, PENDING_WITHDRAWAL, -withdrawal.amount);
  ledger.add(slot, SETTLED, -withdrawal.amount);
  if (withdrawal.fee > 0) {
    const fees = ledger.slot(FEE_ACCOUNT, withdrawal.asset);
    ledger.add(fees, AVAILABLE, withdrawal.fee);
    ledger.add(fees, SETTLED, withdrawal.fee);
  }
  countPending(state, account, -1);
  state.failedWithdrawals.delete(account);
  sayDone(state, withdrawal, 'executed', '');
}

/** The vault tried to pay it and could not deliver: each time in a row, the next attempt has to wait twice as long. */
export function failDelivery(state: EngineState, withdrawal: PendingWithdrawal, reason: string): void {
  const account = state.accounts.find(withdrawal.account);
  failWithdrawal(state, withdrawal, reason);
  if (reason !== TRANSFER_FAILED) return;
  const failures = (state.failedWithdrawals.get(account)?.failures ?? 0) + 1;
  const waitMs = Math.min(RETRY_AFTER_MIN_MS * 2 ** (failures - 1), RETRY_AFTER_MAX_MS);
  state.failedWithdrawals.set(account, { failures, untilMs: state.nowMs + waitMs });
}

/** A withdrawal that will not be paid: its amount is available again. */
export function failWithdrawal(state: EngineState, withdrawal: PendingWithdrawal, reason: string): void {
  const account = state.accounts.find(withdrawal.account);
  const slot = state.ledger.slot(account, withdrawal.asset);
  state.ledger.add(slot, PENDING_WITHDRAWAL, -withdrawal.amount);
  state.ledger.add(slot, AVAILABLE, withdrawal.amount);
  countPending(state, account, -1);
  sayDone(state, withdrawal, 'failed', reason);
}

/** Fails the withdrawals that are in no batch yet and that `wanted` selects, oldest first. */
export function failPendingWithdrawals(
  state: EngineState,
  reason: string,
  wanted: (withdrawal: PendingWithdrawal) => boolean,
): void {
  const failed = state.withdrawals.filter(wanted);
  if (failed.length === 0) return;
  const kept = state.withdrawals.filter((withdrawal) => !failed.includes(withdrawal));
  state.withdrawals.splice(0, state.withdrawals.length, ...kept);
  for (const withdrawal of failed) failWithdrawal(state, withdrawal, reason);
}

function countPending(state: EngineState, account: number, change: number): void {
  const count = (state.withdrawalCounts.get(account) ?? 0) + change;
  if (count === 0) state.withdrawalCounts.delete(account);
  else state.withdrawalCounts.set(account, count);
}

function sayDone(
  state: EngineState,
  withdrawal: PendingWithdrawal,
  status: 'executed' | 'failed',
  reason: string,
): void {
  state.sink.push({
    kind: 'withdrawalDone',
    account: withdrawal.account,
    digest: withdrawal.digest as Hash,
    status,
    reason,
  });
}
