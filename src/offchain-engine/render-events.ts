/** Turns what a command wrote into the sink into the domain's events, in order; then levels and balances, each once. */
import type { Command } from '../domain/commands.ts';
import type { EngineEvent, TradeSide } from '../domain/events.ts';
import type { NewOrder, OrderKey } from '../domain/orders.ts';
import { type Address, feeOf, type Lots, type Ppm, type PriceTicks, type Quanta } from '../domain/units.ts';
import { toSealedBatch } from './batches.ts';
import * as orders from './book/order-pool.ts';
import * as codes from './codes.ts';
import * as sinkRecords from './event-sink.ts';
import { recordFilled, recordFirst, recordKind, recordSecond } from './event-sink.ts';
import * as balances from './ledger.ts';
import type { EngineState } from './state.ts';
import * as tradeLog from './trades.ts';

import { dayOf } from './volumes.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { ACCOUNT, INT_SHIFT, LANE, ORDER_SEQUENCE, TERM_FLOAT_SHIFT, TERM_INT_SHIFT } = orders;
const { CANCELS, REJECTIONS, SIDES } = codes;
const { ACCEPTED, CANCEL_REJECTED, DONE, OBJECT, ORDER_REJECTED, REDUCED, SEALED, TRADED, TRIGGERED, VOLUME } =
  sinkRecords;
const { AVAILABLE, LOCKED, PENDING_WITHDRAWAL, SETTLED, UNSETTLED_IN, UNSETTLED_OUT } = balances;
const {
  MAKER,
  MAKER_FEE_PPM,
  TAKER,
  TAKER_FEE_PPM,
  TRADE_FLAGS,
  TRADE_FLOAT_SHIFT,
  TRADE_ID,
  TRADE_INT_SHIFT,
  TRADE_MARKET,
  TRADE_PRICE,
  TRADE_SIZE,
  TRADE_TAKER_SIDE,
} = tradeLog;

const STATUSES = ['filled', 'cancelled', 'expired'] as const;

/** @param command the one that wrote them */
export function renderEvents(state: EngineState, command: Command): EngineEvent[] {
  const { sink } = state;
  const events: EngineEvent[] = [];
  for (let position = 0; position < sink.count; position++) events.push(renderRecord(state, position, command));
  renderLevels(state, events);
  const { touched, touchedCount } = state.ledger;
  for (let index = 0; index < touchedCount; index++) events.push(renderBalance(state, touched[index]!));
  return events;
}

function renderRecord(state: EngineState, position: number, command: Command): EngineEvent {
  const { sink, pool } = state;
  const first = recordFirst(sink, position);
  const second = recordSecond(sink, position);
  switch (recordKind(sink, position)) {
    case ACCEPTED:
      return { kind: 'orderAccepted', order: orderOf(command), resting: second as Lots };
    case ORDER_REJECTED: {
      const { account, digest } = orderOf(command);
      return { kind: 'orderRejected', account, digest, reason: REJECTIONS[first]! };
    }
    case CANCEL_REJECTED:
      return { kind: 'cancelRejected', account: keyOf(command).account, reason: REJECTIONS[first]! };
    case TRADED:
      return renderTrade(state, first - state.trades.moved);
    case DONE:
      return {
        kind: 'orderDone',
        account: accountOf(state, first),
        lane: pool.termInts[(first << TERM_INT_SHIFT) | LANE]!,
        orderSequence: pool.termFloats[(first << TERM_FLOAT_SHIFT) | ORDER_SEQUENCE]!,
        digest: pool.digest(first),
        status: STATUSES[Math.floor(second / 64)]!,
        reason: CANCELS[second % 64],
        filled: recordFilled(sink, position) as Lots,
      };
    case REDUCED:
      return {
        kind: 'orderReduced',
        account: accountOf(state, first),
        digest: pool.digest(first),
        remaining: second as Lots,
      };
    case TRIGGERED:
      return { kind: 'orderTriggered', account: accountOf(state, first), digest: pool.digest(first) };
    case SEALED:
      return { kind: 'batchSealed', batch: toSealedBatch(state, state.batches.at(-1)!) };
    case VOLUME:
      return {
        kind: 'volumeCounted',
        account: state.accounts.addresses[state.ledger.slotAccounts[first]!]!,
        asset: state.ledger.slotAssets[first]!,
        day: dayOf(state.nowMs),
        volume: second as Quanta,
      };
    case OBJECT:
      return sink.objects[first]!;
    default:
      throw new Error(`unknown record kind ${recordKind(sink, position)}`);
  }
}

/** The order that the command places. */
function orderOf(command: Command): NewOrder {
  if (command.kind !== 'placeOrder' && command.kind !== 'replaceOrder')
    throw new Error(`a command of kind ${command.kind} has placed an order`);
  return command.order;
}

/** The order that the command is to end or shrink. */
function keyOf(command: Command): OrderKey {
  if (command.kind !== 'cancelOrder' && command.kind !== 'reduceOrder')
    throw new Error(`a command of kind ${command.kind} was refused as one for a live order`);
  return command.order;
}

function accountOf(state: EngineState, id: number): Address {
  return state.accounts.addresses[state.pool.ints[(id << INT_SHIFT) | ACCOUNT]!]!;
}

function renderTrade(state: EngineState, position: number): EngineEvent {
  const { trades } = state;
  const at = position << TRADE_INT_SHIFT;
  const floatAt = position << TRADE_FLOAT_SHIFT;
  const market = state.markets[trades.ints[at | TRADE_MARKET]!]!;
  const price = trades.ints[at | TRADE_PRICE]! as PriceTicks;
  const size = trades.floats[floatAt | TRADE_SIZE]! as Lots;
  const notional = (price * size * market.tickQuanta) as Quanta;
  return {
    kind: 'trade',
    tradeId: trades.floats[floatAt | TRADE_ID]!,
    market: market.index,
    price,
    size,
    takerSide: SIDES[trades.ints[at | TRADE_FLAGS]! & TRADE_TAKER_SIDE]!,
    taker: renderSide(state, trades.ints[at | TAKER]!, trades.ints[at | TAKER_FEE_PPM]! as Ppm, notional),
    maker: renderSide(state, trades.ints[at | MAKER]!, trades.ints[at | MAKER_FEE_PPM]! as Ppm, notional),
  };
}

function renderSide(state: EngineState, id: number, feePpm: Ppm, notional: Quanta): TradeSide {
  return {
    account: accountOf(state, id),
    lane: state.pool.termInts[(id << TERM_INT_SHIFT) | LANE]!,
    orderSequence: state.pool.termFloats[(id << TERM_FLOAT_SHIFT) | ORDER_SEQUENCE]!,
    digest: state.pool.digest(id),
    feePpm,
    fee: feeOf(notional, feePpm),
  };
}

function renderLevels(state: EngineState, events: EngineEvent[]): void {
  const { levels, levelCount } = state.sink;
  const seen = new Set<number>();
  for (let index = 0; index < levelCount; index++) {
    const market = levels[index * 3]!;
    const side = levels[index * 3 + 1]!;
    const price = levels[index * 3 + 2]!;
    const key = (market * 2 + side) * 2 ** 31 + price;
    if (seen.has(key)) continue;
    seen.add(key);
    const size = state.markets[market]!.book.sizeAt(side, price) as Lots;
    events.push({ kind: 'levelChanged', market, side: SIDES[side]!, price: price as PriceTicks, size });
  }
}

function renderBalance(state: EngineState, slot: number): EngineEvent {
  const { ledger } = state;
  const figure = (which: number): Quanta => ledger.get(slot, which) as Quanta;
  return {
    kind: 'balanceChanged',
    account: state.accounts.addresses[ledger.slotAccounts[slot]!]!,
    asset: ledger.slotAssets[slot]!,
    available: figure(AVAILABLE),
    locked: figure(LOCKED),
    pendingWithdrawal: figure(PENDING_WITHDRAWAL),
    unsettledIn: figure(UNSETTLED_IN),
    unsettledOut: figure(UNSETTLED_OUT),
    settled: figure(SETTLED),
  };
}
