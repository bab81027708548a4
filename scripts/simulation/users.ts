/** What users and operators do, drawn from the seed. */
import type { OperatorCommand, UserCommand } from '../../src/domain/commands.ts';
import type { NewOrder, OrderKey, SelfTradePrevention, TimeInForce } from '../../src/domain/orders.ts';
import type { Address, Hash } from '../../src/domain/units.ts';
import type { Random } from './faulty-world.ts';
import { ACCOUNTS, DEPLOYED_MS, GENESIS, PARAMETERS, SESSION_KEY, unit } from './listings.ts';

const TIMES_IN_FORCE: readonly TimeInForce[] = ['gtc', 'gtc', 'gtc', 'gtd', 'ioc', 'fok'];
const PREVENTIONS: readonly SelfTradePrevention[] = ['cancel_newest', 'cancel_oldest', 'cancel_both', 'decrement'];

export class Users {
  readonly #random: Random;
  readonly #sent: UserCommand[] = [];
  readonly #orders: OrderKey[] = [];
  #digests = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** @param nowMs the time that users see */
  next(nowMs: number): UserCommand {
    const command = this.#draw(nowMs);
    this.#sent.push(command);
    return command;
  }

  operate(): OperatorCommand {
    const random = this.#random;
    const market = random(2);
    switch (random(12)) {
      case 0:
        return { kind: 'haltWithdrawals', reason: 'drift' };
      case 1:
      case 2:
        return { kind: 'resumeWithdrawals', reason: 'resolved' };
      case 3:
        return { kind: 'setMarketState', market, state: random(2) === 0 ? 'cancel_only' : 'halted' };
      case 4:
      case 5:
        return { kind: 'setMarketState', market, state: 'open' };
      case 6:
      case 7: {
        const tiers = [20_000, 60_000, 400_000].slice(0, random(4)).map((volume, index) => ({
          volumeMin: unit<never>(volume + random(10_000)),
          makerFeePpm: unit<never>(900 - 300 * index),
          takerFeePpm: unit<never>(2_000 - 600 * index),
        }));
        return { kind: 'setFeeTiers', market, tiers, reason: 'schedule' };
      }
      case 8: {
        const terms = { asset: random(3), fee: unit<never>(random(20)), minimum: unit<never>(random(500)) };
        return { kind: 'setWithdrawalTerms', ...terms, reason: 'gas' };
      }
      case 9: {
        const openOrdersPerAccountMax = 8 + random(12);
        return { kind: 'setLimits', limits: { ...GENESIS.limits, openOrdersPerAccountMax }, reason: 'memory' };
      }
      case 10:
        return { kind: 'acceptClockJump', reason: 'it is right' };
      default: {
        const parameters = {
          ...PARAMETERS,
          takerFeePpm: unit<never>(random(4) * 1_000),
          priceBandPpm: random(2) * 90_000,
        };
        return { kind: 'setMarketParameters', market, parameters };
      }
    }
  }

  #draw(nowMs: number): UserCommand {
    const random = this.#random;
    const account = pick(ACCOUNTS, random);
    const roll = random(100);
    const known = this.#orders.length > 0 ? pick(this.#orders.slice(-15), random) : undefined;
    if (roll < 12 && known !== undefined) return { kind: 'cancelOrder', order: known };
    if (roll < 20 && known !== undefined)
      return { kind: 'replaceOrder', replaced: known, order: this.#order(known.account, nowMs) };
    if (roll < 23) return { kind: 'cancelAllOrders', account, market: random(2) === 0 ? undefined : random(2) };
    if (roll < 26) {
      const deadlineMs = random(3) === 0 ? undefined : unit<never>(nowMs + random(20_000));
      return { kind: 'cancelAfter', account, deadlineMs };
    }
    if (roll < 28 && known !== undefined)
      return { kind: 'reduceOrder', order: known, remaining: unit(random(random(3) === 0 ? 120 : 12)) };
    if (roll < 30) return this.#connection(account);
    if (roll < 35) return this.#withdrawal(account, nowMs);
    // An answer was lost, so the very same command is sent again.
    if (roll < 40 && this.#sent.length > 0) return pick(this.#sent.slice(-30), random);
    return { kind: 'placeOrder', order: this.#order(account, nowMs) };
  }

  #connection(account: Address): UserCommand {
    const random = this.#random;
    const gateway = `gateway-${random(2)}`;
    const leaseMs = 1_000 + random(30_000);
    const roll = random(6);
    if (roll < 3) return { kind: 'armDisconnect', gateway, account, leaseMs };
    if (roll < 4) return { kind: 'disarmDisconnect', gateway, account, cancel: random(2) === 0 };
    return { kind: 'renewGateway', gateway, leaseMs };
  }

  #order(account: Address, nowMs: number): NewOrder {
    const random = this.#random;
    const timeInForce = pick(TIMES_IN_FORCE, random);
    const rests = timeInForce === 'gtc' || timeInForce === 'gtd';
    const order: NewOrder = {
      account,
      market: random(6) === 0 ? 1 : 0,
      side: random(2) === 0 ? 'buy' : 'sell',
      sizeLots: unit(1 + random(random(4) === 0 ? 120 : 12)),
      priceTicks: unit(95 + random(11)),
      timeInForce,
      postOnly: rests && random(8) === 0,
      lane: random(12),
      orderSequence: Math.floor(nowMs) - DEPLOYED_MS - random(50),
      expiry: unit(Math.floor(nowMs / 1_000) + 1 + random(random(2) === 0 ? 15 : 3_000)),
      maxFeePpm: unit(random(10) === 0 ? 1_000 : 5_000),
      signer: random(14) === 0 ? SESSION_KEY : account,
      digest: this.#digest(),
      signature: `0x${'5a'.repeat(64)}`,
      clientOrderId: '',
      selfTradePrevention: pick(PREVENTIONS, random),
      stop:
        rests && random(12) === 0
          ? { direction: random(2) === 0 ? 'at_or_above' : 'at_or_below', triggerPriceTicks: unit(95 + random(11)) }
          : undefined,
    };
    this.#orders.push({ account, lane: order.lane, orderSequence: order.orderSequence });
    return order;
  }

  #withdrawal(account: Address, nowMs: number): UserCommand {
    const random = this.#random;
    return {
      kind: 'requestWithdrawal',
      withdrawal: {
        account,
        asset: random(3),
        amount: unit(1 + random(4_000)),
        recipient: account,
        native: false,
        lane: random(3),
        withdrawalSequence: Math.floor(nowMs) - DEPLOYED_MS - random(20),
        expiry: unit(Math.floor(nowMs / 1_000) + 60),
        maxFee: unit(random(6) === 0 ? 3 : 50),
        digest: this.#digest(),
        signature: `0x${'5b'.repeat(64)}`,
      },
    };
  }

  #digest(): Hash {
    return `0x${(++this.#digests).toString(16).padStart(64, '0')}`;
  }
}

export function pick<Item>(items: readonly Item[], random: Random): Item {
  const item = items[random(items.length)];
  if (item === undefined) throw new RangeError('nothing to pick from');
  return item;
}
