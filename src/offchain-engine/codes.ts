/** The words of the domain as small integers, for the hot path; the tables are the domain's own, in its order. */
import type { SelfTradePrevention, Side, StopTrigger, TimeInForce } from '../domain/orders.ts';
import type { CancelReason, RejectReason } from '../domain/reasons.ts';
import * as reasons from '../domain/reasons.ts';
import * as orders from './book/order-pool.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { CANCEL_REASONS, REJECT_REASONS } = reasons;
const { STOP_AT_OR_ABOVE, STOP_AT_OR_BELOW, STOP_NONE } = orders;

export const SIDES: readonly Side[] = ['buy', 'sell'];
export const TIMES_IN_FORCE: readonly TimeInForce[] = ['gtc', 'ioc', 'fok', 'gtd'];
export const PREVENTIONS: readonly SelfTradePrevention[] = [
  'cancel_newest',
  'cancel_oldest',
  'cancel_both',
  'decrement',
];

/** Reject code 0 means accepted. */
export const REJECTIONS: readonly (RejectReason | undefined)[] = [
  undefined,
  ...(Object.keys(REJECT_REASONS) as RejectReason[]),
];
/** Cancel code 0 means none (filled). */
export const CANCELS: readonly (CancelReason | undefined)[] = [
  undefined,
  ...(Object.keys(CANCEL_REASONS) as CancelReason[]),
];

export const rejection = (reason: RejectReason): number => REJECTIONS.indexOf(reason);
export const cancellation = (reason: CancelReason): number => CANCELS.indexOf(reason);

export function stopDirection(stop: StopTrigger | undefined): number {
  if (stop === undefined) return STOP_NONE;
  return stop.direction === 'at_or_above' ? STOP_AT_OR_ABOVE : STOP_AT_OR_BELOW;
}
