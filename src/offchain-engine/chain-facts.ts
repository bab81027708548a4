/**
 * Facts from the chain. Each carries the vault's gapless event sequence: one that was applied before is ignored, and so is
 * one that leaves a gap; both change nothing and say nothing, and the feeder goes on from `lastChainEventSequence`.
 */
import type { ChainCommand } from '../domain/commands.ts';
import type { Address, ChainEventSequence, Quanta } from '../domain/units.ts';
import * as accountTable from './accounts.ts';
import { type SessionKey, sessionKeyAllows } from './accounts.ts';
import { finishBatch, refreshUnsettled } from './batches.ts';
import * as orders from './book/order-pool.ts';
import { cancelWhere } from './cancels.ts';
import { cancellation } from './codes.ts';
import * as sinkRecords from './event-sink.ts';
import { applyFees } from './fees.ts';
import { refreeze, thaw } from './freezing.ts';
import * as balances from './ledger.ts';
import { byArrival, endLiveOrder, liveOrdersOf } from './live-orders.ts';
import { takeLandedCut } from './reseal.ts';
import { noteShortfall, remedyDeficits } from './reversals.ts';
import { type EngineState, MarketBook } from './state.ts';
import { failPendingWithdrawals } from './withdrawals.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { CANCELLED_BEFORE, FEE_ACCOUNT, SESSION_KEYS_PER_ACCOUNT_MAX } = accountTable;
const { DUE, EXPIRY, INT_SHIFT, LIFE_FLOAT_SHIFT, MARKET, ORDER_SEQUENCE, TERM_FLOAT_SHIFT } = orders;
const { STATUS_CANCELLED, VOLUME } = sinkRecords;
const { AVAILABLE, SETTLED } = balances;

const CANCELLED_ON_CHAIN = cancellation('cancelled_on_chain');
const EXIT_REQUESTED = cancellation('exit_requested');
const MARKET_DELISTED = cancellation('market_delisted');
const SESSION_KEY_ENDED = cancellation('session_key_ended');

export function applyChainFact(state: EngineState, command: ChainCommand): void {
  if (command.eventSequence !== state.lastChainEventSequence + 1) return;
  state.lastChainEventSequence = command.eventSequence;
  applyFact(state, command);
  state.sink.push({ kind: 'chainApplied', eventSequence: command.eventSequence });
}

function applyFact(state: EngineState, command: ChainCommand): void {
  switch (command.kind) {
    case 'assetListed':
      listAsset(state, command);
      return;
    case 'marketListed':
      listMarket(state, command);
      return;
    case 'marketDelisted':
      delistMarket(state, command.market);
      return;
    case 'depositCredited':
      creditDeposit(state, command.account, command.asset, command.amount, command.eventSequence);
      return;
    case 'exitRequested':
      requestExit(state, command.account, command.asset);
      return;
    case 'exitCancelled':
      endExit(state, command.account, command.asset);
      sayExit(state, command.account, command.asset, 'cancelled', 0);
      return;
    case 'exitExecuted':
      executeExit(state, command.account, command.asset, command.amount);
      return;
    case 'feesChanged':
      state.feeMaximum = { takerFeePpm: command.takerFeePpm, makerFeePpm: command.makerFeePpm };
      for (const market of state.markets) applyFees(state, market);
      return;
    case 'feesCollected':
      collectFees(state, command.asset, command.amount);
      return;
    case 'ordersCancelledOnChain':
      cancelBefore(state, command.account, command.beforeSequence);
      return;
    case 'sessionKeyRegistered':
      registerSessionKey(state, command.account, command);
      return;
    case 'sessionKeyRevoked':
      revokeSessionKey(state, command.account, command.key);
      return;
    case 'orderRegistered':
      state.accounts.open(command.account);
      state.registeredOrders.add(`${command.account}:${command.digest}`);
      return;
    case 'batchSettled':
      settleBatch(state, command);
      return;
    case 'chainEventNoted':
      return;
  }
}

function listAsset(state: EngineState, { asset }: Extract<ChainCommand, { kind: 'assetListed' }>): void {
  if (asset.index !== state.assets.length)
    throw new Error(`asset ${asset.index} listed where ${state.assets.length} was expected`);
  state.assets.push(asset);
}

function listMarket(state: EngineState, { market }: Extract<ChainCommand, { kind: 'marketListed' }>): void {
  if (market.index !== state.markets.length)
    throw new Error(`market ${market.index} listed where ${state.markets.length} was expected`);
  const book = new MarketBook(market, state.genesis!.defaultParameters, state.pool);
  state.markets.push(book);
  applyFees(state, book);
}

function delistMarket(state: EngineState, index: number): void {
  const market = state.markets[index];
  if (market === undefined) throw new Error(`market ${index} was delisted and never listed`);
  market.delisted = true;
  market.state = 'halted';
  const { ints } = state.pool;
  const ids: number[] = [];
  for (let account = 0; account < state.accounts.count; account++) {
    ids.push(...liveOrdersOf(state, account, (id) => ints[(id << INT_SHIFT) | MARKET] === index));
  }
  for (const id of byArrival(state, ids)) endLiveOrder(state, id, STATUS_CANCELLED, MARKET_DELISTED);
  state.sink.push({ kind: 'marketStateChanged', market: index, state: 'halted', reason: 'delisted' });
}

function creditDeposit(
  state: EngineState,
  address: Address,
  asset: number,
  amount: Quanta,
  eventSequence: ChainEventSequence,
): void {
  const slot = state.ledger.slot(state.accounts.open(address), asset);
  state.ledger.add(slot, AVAILABLE, amount);
  state.ledger.add(slot, SETTLED, amount);
  state.sink.push({ kind: 'depositCredited', account: address, asset, amount, eventSequence });
}

/** No free option: matching in that asset stops at once, while what was matched before still settles. */
function requestExit(state: EngineState, address: Address, asset: number): void {
  const account = state.accounts.open(address);
  const exits = state.accounts.exits[account] ?? new Set();
  exits.add(asset);
  state.accounts.exits[account] = exits;
  const { ints } = state.pool;
  cancelWhere(state, account, EXIT_REQUESTED, (id) => {
    const market = state.markets[ints[(id << INT_SHIFT) | MARKET]!]!;
    return market.base === asset || market.quote === asset;
  });
  failPendingWithdrawals(
    state,
    'exit_requested',
    (withdrawal) => withdrawal.account === address && withdrawal.asset === asset,
  );
  sayExit(state, address, asset, 'requested', 0);
}

function endExit(state: EngineState, address: Address, asset: number): void {
  const account = state.accounts.open(address);
  const exits = state.accounts.exits[account];
  exits?.delete(asset);
  if (exits?.size === 0) state.accounts.exits[account] = undefined;
}

/** The vault paid out the whole balance of that asset; trades that spend it and are not settled yet will be skipped. */
function executeExit(state: EngineState, address: Address, asset: number, amount: Quanta): void {
  endExit(state, address, asset);
  const frozen = thaw(state);
  const slot = state.ledger.slot(state.accounts.open(address), asset);
  state.ledger.add(slot, AVAILABLE, -amount);
  state.ledger.add(slot, SETTLED, -amount);
  noteShortfall(state, slot);
  sayExit(state, address, asset, 'executed', amount);
  remedyDeficits(state);
  refreshUnsettled(state);
  refreeze(state, frozen, true);
}

function settleBatch(state: EngineState, settled: Extract<ChainCommand, { kind: 'batchSettled' }>): void {
  const frozen = thaw(state);
  takeLandedCut(state, settled.batchId, settled.contentHash);
  finishBatch(state, settled, settled.eventSequence);
  countVolumes(state);
  refreeze(state, frozen, settled.skips.length > 0);
}

/** What the batch settled counts for fee tiers from tomorrow on. */
function countVolumes({ volumes, sink, nowMs }: EngineState): void {
  volumes.takeNoted(nowMs, (slot, volume) => void sink.write(VOLUME, slot, volume, 0));
}

/** The vault paid settled fees out to the collector. */
function collectFees(state: EngineState, asset: number, amount: Quanta): void {
  const slot = state.ledger.slot(FEE_ACCOUNT, asset);
  state.ledger.add(slot, AVAILABLE, -amount);
  state.ledger.add(slot, SETTLED, -amount);
}

function sayExit(
  state: EngineState,
  account: Address,
  asset: number,
  status: 'requested' | 'cancelled' | 'executed',
  amount: number,
): void {
  state.sink.push({ kind: 'exitChanged', account, asset, status, amount: amount as Quanta });
}

function cancelBefore(state: EngineState, address: Address, beforeSequence: number): void {
  const account = state.accounts.open(address);
  state.accounts.raise(account, CANCELLED_BEFORE, beforeSequence);
  const { termFloats } = state.pool;
  cancelWhere(
    state,
    account,
    CANCELLED_ON_CHAIN,
    (id) => termFloats[(id << TERM_FLOAT_SHIFT) | ORDER_SEQUENCE]! < beforeSequence,
  );
}

function registerSessionKey(state: EngineState, address: Address, registered: SessionKey): void {
  const account = state.accounts.open(address);
  const keys = state.accounts.sessionKeys[account] ?? new Map<Address, SessionKey>();
  state.accounts.sessionKeys[account] = keys;
  if (!keys.has(registered.key) && keys.size >= SESSION_KEYS_PER_ACCOUNT_MAX) dropEarliestKey(state, account, keys);
  const key = { key: registered.key, validUntil: registered.validUntil, marketMask: registered.marketMask };
  keys.set(key.key, key);
  const { ints, signers } = state.pool;
  const nowSeconds = state.nowMs / 1000;
  const signed = (id: number): boolean => signers.get(id) === key.key;
  cancelWhere(state, account, SESSION_KEY_ENDED, (id) => {
    return signed(id) && !sessionKeyAllows(key, ints[(id << INT_SHIFT) | MARKET]!, nowSeconds);
  });
  for (const id of liveOrdersOf(state, account, signed)) moveDeadline(state, id, key.validUntil);
}

/** The key that signed the order now ends at another time. */
function moveDeadline(state: EngineState, id: number, validUntil: number): void {
  const { lifeFloats, termFloats } = state.pool;
  state.deadlines.remove(id);
  lifeFloats[(id << LIFE_FLOAT_SHIFT) | DUE] = Math.min(termFloats[(id << TERM_FLOAT_SHIFT) | EXPIRY]!, validUntil);
  state.deadlines.insert(id);
}

function dropEarliestKey(state: EngineState, account: number, keys: Map<Address, SessionKey>): void {
  const [earliest] = [...keys.values()].sort((a, b) => a.validUntil - b.validUntil || (a.key < b.key ? -1 : 1));
  endSessionKey(state, account, earliest!.key, keys);
}

/** Matching stops at once; on chain the key still settles what was matched before. */
function revokeSessionKey(state: EngineState, address: Address, key: Address): void {
  const account = state.accounts.open(address);
  const keys = state.accounts.sessionKeys[account];
  if (keys !== undefined) endSessionKey(state, account, key, keys);
}

function endSessionKey(state: EngineState, account: number, key: Address, keys: Map<Address, SessionKey>): void {
  keys.delete(key);
  if (keys.size === 0) state.accounts.sessionKeys[account] = undefined;
  const { signers } = state.pool;
  cancelWhere(state, account, SESSION_KEY_ENDED, (id) => signers.get(id) === key);
}
