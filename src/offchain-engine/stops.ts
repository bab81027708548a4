/**
 * Stop orders whose trigger was reached run as takers, in the order they were triggered, after the command that triggered
 * them; their own trades may trigger more. One command runs a bounded number; the rest waits for the next command.
 */
import * as orders from './book/order-pool.ts';
import { preventionOf, timeInForceOf } from './book/order-pool.ts';
import { cancellation } from './codes.ts';
import * as sinkRecords from './event-sink.ts';
import { closeOrder, releaseLock, unlinkOrder } from './live-orders.ts';
import { canFill, runTaker } from './matching.ts';
import { takesOrders } from './order-checks.ts';
import type { EngineState } from './state.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const {
  ACCOUNT,
  FLAG_SIDE,
  FLAGS,
  FLOAT_SHIFT,
  FOK,
  INT_SHIFT,
  LIFE_INT_SHIFT,
  MARKET,
  PRICE,
  REMAINING,
  STATE,
  STATE_MATCHING,
} = orders;
const { STATUS_CANCELLED, TRIGGERED } = sinkRecords;

/** Most triggered orders that run in one command. */
export const STOPS_PER_COMMAND_MAX = 100;

const IOC_REMAINDER = cancellation('ioc_remainder');

/** Runs triggered stop orders of markets that take orders; those of other markets keep waiting. */
export function runTriggeredStops(state: EngineState): void {
  for (let runs = 0; runs < STOPS_PER_COMMAND_MAX; runs++) {
    const next = nextRunnable(state);
    if (next < 0) return;
    const id = state.triggered.splice(next, 1)[0]!;
    runStop(state, id);
  }
}

/** Position of the first triggered order that may run now; −1 for none. */
function nextRunnable(state: EngineState): number {
  return state.triggered.findIndex((id) =>
    takesOrders(state, state.markets[state.pool.ints[(id << INT_SHIFT) | MARKET]!]!),
  );
}

/** Whether a triggered order could run if a command came. */
export function hasRunnableStops(state: EngineState): boolean {
  return state.triggered.length > 0 && nextRunnable(state) >= 0;
}

function runStop(state: EngineState, id: number): void {
  const { ints, floats } = state.pool;
  const at = id << INT_SHIFT;
  const market = state.markets[ints[at | MARKET]!]!;
  state.pool.lifeInts[(id << LIFE_INT_SHIFT) | STATE] = STATE_MATCHING;
  state.sink.write(TRIGGERED, id, 0, 0);
  const flags = ints[at | FLAGS]!;
  const left = floats[(id << FLOAT_SHIFT) | REMAINING]!;
  const killed =
    timeInForceOf(flags) === FOK &&
    !canFill(state, market, ints[at | ACCOUNT]!, flags & FLAG_SIDE, ints[at | PRICE]!, left, preventionOf(flags), 0);
  if (!killed) {
    runTaker(state, market, id, true);
    return;
  }
  releaseLock(state, market, id);
  unlinkOrder(state, id);
  closeOrder(state, id, STATUS_CANCELLED, IOC_REMAINDER);
}
