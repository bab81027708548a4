/** Rules version 1: what each command does to the state. */
import type { ChainCommand, UserCommand } from '../domain/commands.ts';
import { sealBatch } from './batches.ts';
import { cancelAllOrders, cancelOrder, reduceOrder, setCancelAfter } from './cancels.ts';
import { applyChainFact } from './chain-facts.ts';
import { rejection } from './codes.ts';
import type { CommandRecords } from './command-records.ts';
import * as records from './command-records.ts';
import { armDisconnect, disarmDisconnect, renewGateway } from './disconnects.ts';
import * as sinkRecords from './event-sink.ts';
import { applyFees, refuseParameters, refuseTiers } from './fees.ts';
import { placeOrder, replaceOrder } from './order-entry.ts';
import { resealBatches } from './reseal.ts';
import type { RuledCommand } from './rules.ts';
import type { EngineState } from './state.ts';
import { requestWithdrawal, withdrawalFee } from './withdrawals.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { CANCEL, COMMAND_FLOAT_SHIFT, COMMAND_INT_SHIFT, KIND, OF_ACCOUNT, OF_SEQUENCE, ORDER_LANE, PLACE, REPLACE } =
  records;
const { CANCEL_REJECTED, ORDER_REJECTED } = sinkRecords;

const ORDER_NOT_FOUND = rejection('order_not_found');

/** Applies the record `index`. */
export function applyRules1(core: EngineState, records: CommandRecords, index: number): void {
  switch (records.ints[(index << COMMAND_INT_SHIFT) | KIND]) {
    case PLACE:
      sayRejected(core, placeOrder(core, records, index));
      return;
    case CANCEL:
      cancel(core, records, index);
      return;
    case REPLACE:
      sayRejected(core, replaceOrder(core, records, index));
      return;
    default:
      applyRare(core, records.commands[index] as RareCommand);
  }
}

function cancel(core: EngineState, { ints, floats }: CommandRecords, index: number): void {
  const at = index << COMMAND_INT_SHIFT;
  const orderSequence = floats[(index << COMMAND_FLOAT_SHIFT) | OF_SEQUENCE]!;
  if (cancelOrder(core, ints[at | OF_ACCOUNT]!, ints[at | ORDER_LANE]!, orderSequence)) return;
  core.sink.write(CANCEL_REJECTED, ORDER_NOT_FOUND, 0, 0);
}

function sayRejected({ sink }: EngineState, code: number): void {
  if (code !== 0) sink.write(ORDER_REJECTED, code, 0, 0);
}

type RareCommand = Exclude<RuledCommand, { readonly kind: 'placeOrder' | 'replaceOrder' | 'cancelOrder' }>;

function applyRare(core: EngineState, command: RareCommand): void {
  switch (command.kind) {
    case 'reduceOrder': {
      const { account, lane, orderSequence } = command.order;
      const reason = reduceOrder(core, core.accounts.find(account), lane, orderSequence, command.remaining);
      if (reason !== undefined) core.sink.push({ kind: 'cancelRejected', account, reason });
      return;
    }
    case 'cancelAllOrders': {
      const account = core.accounts.find(command.account);
      if (account >= 0) cancelAllOrders(core, account, command.market);
      return;
    }
    case 'cancelAfter':
      setCancelAfter(core, core.accounts.find(command.account), command.deadlineMs);
      return;
    case 'requestWithdrawal':
      requestWithdrawal(core, command.withdrawal);
      return;
    case 'armDisconnect':
      armDisconnect(core, command.gateway, command.account, command.leaseMs);
      return;
    case 'disarmDisconnect':
      disarmDisconnect(core, command.gateway, command.account, command.cancel);
      return;
    case 'renewGateway':
      renewGateway(core, command.gateway, command.leaseMs);
      return;
    default:
      if ('eventSequence' in command) applyChainFact(core, command);
      else operate(core, command);
  }
}

function operate(core: EngineState, command: Exclude<RareCommand, ChainCommand | UserCommand>): void {
  switch (command.kind) {
    case 'genesis': {
      if (core.genesis !== undefined) throw new Error('genesis was applied before');
      const { kind: _, ...genesis } = command;
      core.genesis = genesis;
      return;
    }
    case 'epochStarted':
      if (command.epoch <= core.epoch) throw new Error(`epoch ${command.epoch} started after epoch ${core.epoch}`);
      core.epoch = command.epoch;
      return;
    case 'setMarketState': {
      const market = core.markets[command.market];
      if (market === undefined || market.delisted) return;
      market.state = command.state;
      core.sink.push({ kind: 'marketStateChanged', market: command.market, state: command.state, reason: 'operator' });
      return;
    }
    case 'setMarketParameters': {
      const market = core.markets[command.market];
      if (market === undefined || refuseParameters(command.parameters) !== undefined) return;
      market.chosenParameters = command.parameters;
      applyFees(core, market);
      return;
    }
    case 'setFeeTiers': {
      const market = core.markets[command.market];
      if (market === undefined || refuseTiers(command.tiers) !== undefined) return;
      market.chosenTiers = command.tiers;
      applyFees(core, market);
      return;
    }
    case 'setLimits':
      if (core.genesis !== undefined) core.genesis = { ...core.genesis, limits: command.limits };
      return;
    case 'setWithdrawalTerms': {
      const { asset, fee, minimum } = command;
      if (core.genesis === undefined) return;
      const others = core.genesis.withdrawalFees.filter((entry) => entry.asset !== asset);
      const withdrawalFees = [...others, { asset, fee }].sort((a, b) => a.asset - b.asset);
      core.genesis = { ...core.genesis, withdrawalFees };
      core.withdrawalMinimums.set(asset, minimum);
      core.sink.push({ kind: 'withdrawalTermsChanged', asset, fee: withdrawalFee(core, asset), minimum });
      return;
    }
    case 'haltWithdrawals':
      core.withdrawalsHalted = true;
      core.sink.push({ kind: 'withdrawalsHalted', reason: command.reason });
      return;
    case 'resumeWithdrawals':
      core.withdrawalsHalted = false;
      core.sink.push({ kind: 'withdrawalsResumed', reason: command.reason });
      return;
    case 'sealBatch':
      sealBatch(core, command.tradesMax, command.withdrawalsMax);
      return;
    case 'resealBatch':
      resealBatches(core, command);
      return;
    // Time has passed, or may pass: the sequencer's clock is what these are about.
    case 'tick':
    case 'acceptClockJump':
      return;
  }
}
