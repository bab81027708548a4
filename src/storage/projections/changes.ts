/**
 * Everything a run of applied commands changes in the projections, gathered in memory so that it can be written by a handful of
 * statements in one transaction. What is gathered depends on the commands alone, never on where runs are cut: tables
 * rebuilt from nothing are the same, row by row.
 */
import type { Command, SequencedCommand } from '../../domain/commands.ts';
import type { AppliedCommand, EngineEvent } from '../../domain/events.ts';
import type { Market, MarketParameters } from '../../domain/markets.ts';
import type { NewOrder } from '../../domain/orders.ts';
import type { ChainEventSequence, JournalSequence } from '../../domain/units.ts';
import { notional } from '../../domain/units.ts';
import type { AssetJson, ListedParameters } from '../queries/listings.ts';
import { AccountChanges } from './account-changes.ts';
import { OrderChanges } from './order-changes.ts';
import { SettlementChanges } from './settlement-changes.ts';
import type { Moment } from './sql-values.ts';

/** What later runs need to know of earlier ones; starts from the tables. */
export type ProjectionContext = {
  readonly markets: Map<number, Market>;
  /** Of markets that are not listed yet; undefined before command 1. */
  defaultParameters: MarketParameters | undefined;
  chainEventSequence: ChainEventSequence;
};

export type MarketUpsert = {
  market: number;
  definition: Market | null;
  state: string | null;
  state_reason: string | null;
  parameters: ListedParameters | null;
};

export class ProjectionChanges {
  readonly orders = new OrderChanges();
  readonly settlements = new SettlementChanges();
  readonly accounts = new AccountChanges();
  readonly assets = new Map<number, { asset: number; definition: AssetJson }>();
  readonly markets = new Map<number, MarketUpsert>();
  readonly status = new Map<string, { name: string; value: unknown }>();
  lastSequence = 0 as JournalSequence;
  commands = 0;

  private readonly context: ProjectionContext;

  constructor(context: ProjectionContext) {
    this.context = context;
  }

  get chainEventSequence(): ChainEventSequence {
    return this.context.chainEventSequence;
  }

  add({ command }: SequencedCommand, applied: AppliedCommand): void {
    const moment: Moment = applied;
    this.lastSequence = applied.sequence;
    this.commands++;
    const chainApplied = applied.events.find((event) => event.kind === 'chainApplied');
    if (chainApplied !== undefined) this.context.chainEventSequence = chainApplied.eventSequence;
    // A fact that the engine had applied before, or refused, has no event; its command changes nothing.
    if (chainApplied !== undefined) this.addFact(command);
    else this.addOperator(command);
    const placed = command.kind === 'placeOrder' || command.kind === 'replaceOrder' ? command.order : undefined;
    for (const event of applied.events) this.addEvent(event, placed, moment);
  }

  private addFact(command: Command): void {
    switch (command.kind) {
      case 'assetListed': {
        const definition = { ...command.asset, quantumUnits: command.asset.quantumUnits.toString() };
        this.assets.set(command.asset.index, { asset: command.asset.index, definition });
        return;
      }
      case 'marketListed': {
        const { market } = command;
        this.context.markets.set(market.index, market);
        const listed = this.marketOf(market.index);
        listed.definition = market;
        listed.state = 'open';
        listed.state_reason = '';
        return;
      }
      case 'sessionKeyRegistered':
        this.accounts.sessionKeyRegistered(command.account, command.key, command.validUntil, command.marketMask);
        return;
      case 'sessionKeyRevoked':
        this.accounts.sessionKeyRevoked(command.account, command.key, command.validUntil);
        return;
      default:
        return;
    }
  }

  private addOperator(command: Command): void {
    switch (command.kind) {
      case 'genesis': {
        if (this.context.defaultParameters !== undefined) return;
        this.context.defaultParameters = command.defaultParameters;
        const { kind: _, ...value } = command;
        this.status.set('genesis', { name: 'genesis', value });
        return;
      }
      case 'epochStarted':
        this.status.set('epoch', { name: 'epoch', value: { epoch: command.epoch } });
        return;
      case 'setLimits':
        this.status.set('limits', { name: 'limits', value: command.limits });
        return;
      case 'activateRules':
        this.status.set('rules', { name: 'rules', value: { version: command.version } });
        return;
      default:
        return;
    }
  }

  private addEvent(event: EngineEvent, placed: NewOrder | undefined, moment: Moment): void {
    switch (event.kind) {
      case 'orderAccepted':
        this.orders.accepted(event.order, moment);
        return;
      case 'orderRejected':
        // The answer that the first one got stands.
        if (event.reason === 'duplicate_order') return;
        if (placed?.digest === event.digest) this.orders.rejected(placed, event.reason, moment);
        else this.orders.ended(event.digest, 'rejected', event.reason, moment);
        return;
      case 'orderReduced':
        this.orders.reduced(event.digest, event.remaining, moment);
        return;
      case 'orderDone':
        this.orders.ended(event.digest, event.status, event.reason, moment);
        return;
      case 'trade':
        this.addTrade(event, moment);
        return;
      case 'tradeVoided':
        this.settlements.voided(event.tradeId, event.reason);
        return;
      case 'balanceChanged':
        this.accounts.balance(event, this.context.chainEventSequence, moment);
        return;
      case 'depositCredited':
        this.accounts.deposit(event, moment);
        return;
      case 'withdrawalAccepted':
        this.settlements.requested(event.withdrawal, event.fee, moment);
        return;
      case 'withdrawalDone':
        this.settlements.withdrawn(event.digest, event.status, event.reason, moment);
        return;
      case 'exitChanged':
        this.accounts.exit(event, moment);
        return;
      case 'batchSealed':
        this.settlements.sealed(event.batch, moment);
        return;
      case 'batchesRecut':
        this.settlements.unsealed(event.unsealedTrades, event.unsealedWithdrawals, moment);
        return;
      case 'batchFinal':
        for (const tradeId of event.settledTrades) this.settlements.settled(tradeId);
        for (const { tradeId, reason } of event.voidedTrades) this.settlements.voided(tradeId, reason);
        return;
      case 'marketStateChanged': {
        const market = this.marketOf(event.market);
        market.state = event.state;
        market.state_reason = event.reason;
        return;
      }
      case 'marketParametersChanged':
        this.marketOf(event.market).parameters = { ...event.parameters, feeTiers: event.feeTiers };
        return;
      case 'withdrawalTermsChanged': {
        const { kind: _, ...value } = event;
        const name = `withdrawalTerms.${event.asset}`;
        this.status.set(name, { name, value });
        return;
      }
      case 'volumeCounted':
        this.accounts.volume(event);
        return;
      case 'withdrawalsHalted':
      case 'withdrawalsResumed': {
        const value = { halted: event.kind === 'withdrawalsHalted', reason: event.reason };
        this.status.set('withdrawals', { name: 'withdrawals', value });
        return;
      }
      case 'orderTriggered':
      case 'cancelRejected':
      case 'levelChanged':
      case 'proceedsFrozen':
      case 'gatewayLease':
      case 'withdrawalRejected':
      case 'accountInDeficit':
      case 'chainApplied':
        return;
    }
  }

  private addTrade(event: Extract<EngineEvent, { kind: 'trade' }>, moment: Moment): void {
    const market = this.context.markets.get(event.market);
    if (market === undefined)
      throw new Error(`trade ${event.tradeId} is in market ${event.market}, which was never listed`);
    const quote = notional(event.price, event.size, market);
    this.settlements.traded(event, quote, moment);
    for (const side of [event.taker, event.maker]) {
      this.orders.filled(side.digest, { size: event.size, notional: quote, fee: side.fee }, moment);
    }
  }

  private marketOf(index: number): MarketUpsert {
    let market = this.markets.get(index);
    if (market === undefined) {
      market = { market: index, definition: null, state: null, state_reason: null, parameters: null };
      this.markets.set(index, market);
    }
    return market;
  }
}
