/** An order on its way in, as integers: filled anew for each command, so that entry allocates nothing. */
import type { NewOrder } from '../domain/orders.ts';
import type { Accounts } from './accounts.ts';
import { BUY, FOK, GTC, GTD, IOC, SELL, STOP_NONE } from './book/order-pool.ts';
import { PREVENTIONS, stopDirection } from './codes.ts';

export class OrderTicket {
  /** Index; −1 when the address has no account. */
  account = -1;
  market = 0;
  side = BUY;
  sizeLots = 0;
  priceTicks = 0;
  timeInForce = GTC;
  postOnly = false;
  lane = 0;
  orderSequence = 0;
  /** Unix seconds. */
  expiry = 0;
  maxFeePpm = 0;
  prevention = 0;
  stopDirection = STOP_NONE;
  triggerPrice = 0;
  /** Registered on chain instead of signed. */
  registered = false;
  /** Address of a session key; empty when the owner signed or registered it. */
  sessionKey = '';
  digest = '';
  /** Set by the check: what the order locks. */
  lockQuanta = 0;
}

export function fillTicket(ticket: OrderTicket, order: NewOrder, accounts: Accounts): void {
  ticket.account = accounts.find(order.account);
  ticket.market = order.market;
  ticket.side = order.side === 'buy' ? BUY : SELL;
  ticket.sizeLots = order.sizeLots;
  ticket.priceTicks = order.priceTicks;
  ticket.timeInForce = timeInForceCode(order);
  ticket.postOnly = order.postOnly;
  ticket.lane = order.lane;
  ticket.orderSequence = order.orderSequence;
  ticket.expiry = order.expiry;
  ticket.maxFeePpm = order.maxFeePpm;
  ticket.prevention = PREVENTIONS.indexOf(order.selfTradePrevention);
  ticket.stopDirection = stopDirection(order.stop);
  ticket.triggerPrice = order.stop === undefined ? 0 : order.stop.triggerPriceTicks;
  ticket.registered = order.signature === '0x';
  ticket.sessionKey = order.signer === order.account ? '' : order.signer;
  ticket.digest = order.digest;
}

function timeInForceCode(order: NewOrder): number {
  switch (order.timeInForce) {
    case 'gtc':
      return GTC;
    case 'ioc':
      return IOC;
    case 'fok':
      return FOK;
    case 'gtd':
      return GTD;
  }
}
