/**
 * Commands on their way into the engine, as records of 128 bytes: what is frequent (orders and their cancellation) is numbers, with
 * the account resolved and the digest as bytes, so that applying it allocates nothing and reads no text. Rare commands stand
 * beside their record as they are.
 *
 * Numbers beyond what a slot holds become the nearest one that is refused for the same reason.
 */
import type { Command, SequencedCommand } from '../domain/commands.ts';
import type { NewOrder, OrderKey, StopTrigger } from '../domain/orders.ts';
import * as units from '../domain/units.ts';
import type { Accounts } from './accounts.ts';
import { packFlags } from './book/order-pool.ts';
import * as codes from './codes.ts';
import { stopDirection } from './codes.ts';
import { writeDigest } from './digest-words.ts';
import { RecordTable } from './record-table.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { LANE_MAX } = units;
const { PREVENTIONS, SIDES, TIMES_IN_FORCE } = codes;

/** Int32 slots of a record. */
export const KIND = 0;
/** Index; −1 when the address had no account when the record was written. */
export const OF_ACCOUNT = 1;
export const ORDER_LANE = 2;
/** As the order pool's FLAGS, and `REGISTERED`. */
export const ORDER_FLAGS = 3;
export const ORDER_MARKET = 16;
export const ORDER_MAX_FEE_PPM = 17;
/** −1 when beyond any price. */
export const ORDER_TRIGGER_PRICE = 18;
/** Of the order that is replaced. */
export const REPLACED_LANE = 19;
/** Where the account's address stands in the bytes the record was decoded from. */
export const ADDRESS_AT = 22;
/** First of eight. */
export const ORDER_DIGEST = 24;
/** Float64 slots. */
export const ORDER_SIZE = 2;
export const ORDER_PRICE = 3;
export const OF_SEQUENCE = 4;
export const ORDER_EXPIRY = 5;
export const TIME_MS = 6;
export const COMMAND_SEQUENCE = 7;
export const REPLACED_SEQUENCE = 10;

/** KIND. */
export const PLACE = 1;
export const REPLACE = 2;
export const CANCEL = 3;
/** Any other command: see `commands`. */
export const OTHER = 0;

/** ORDER_FLAGS: registered on chain instead of signed. */
export const FLAG_REGISTERED = 512;

const RECORD_SHIFT = 7;
export const COMMAND_INT_SHIFT = 5;
export const COMMAND_FLOAT_SHIFT = 4;
const INT_MAX = 2 ** 31 - 1;

export class CommandRecords {
  ints: Int32Array;
  floats: Float64Array;
  bytes: Uint8Array;
  /** Session keys that signed, by record; empty where the owner signed or registered the order. */
  readonly signers: string[] = [];
  /** Rare commands, by record. */
  readonly commands: (Command | undefined)[] = [];
  readonly #table: RecordTable;

  /** @param records a power of two; it grows beyond it */
  constructor(records = 1) {
    this.#table = new RecordTable(RECORD_SHIFT, records);
    this.ints = this.#table.ints;
    this.floats = this.#table.floats;
    this.bytes = new Uint8Array(this.ints.buffer);
  }

  write(index: number, { sequence, timestampMs, command }: SequencedCommand, accounts: Accounts): void {
    this.reserve(index + 1);
    const at = index << COMMAND_INT_SHIFT;
    const floatAt = index << COMMAND_FLOAT_SHIFT;
    this.floats[floatAt | COMMAND_SEQUENCE] = sequence;
    this.floats[floatAt | TIME_MS] = timestampMs;
    this.commands[index] = undefined;
    switch (command.kind) {
      case 'placeOrder':
        this.ints[at | KIND] = PLACE;
        this.#writeOrder(index, command.order, accounts);
        return;
      case 'replaceOrder': {
        const { order, replaced } = command;
        // An order of another account is not found.
        const sameAccount = order.account === replaced.account;
        this.ints[at | KIND] = REPLACE;
        this.ints[at | REPLACED_LANE] = laneSlotValue(replaced.lane);
        this.floats[floatAt | REPLACED_SEQUENCE] = sameAccount ? replaced.orderSequence : -1;
        this.#writeOrder(index, order, accounts);
        return;
      }
      case 'cancelOrder':
        this.ints[at | KIND] = CANCEL;
        this.#writeKey(index, command.order, accounts);
        return;
      default:
        this.ints[at | KIND] = OTHER;
        this.commands[index] = command;
    }
  }

  /** Looks an unknown account up again, in the bytes the record was decoded from. */
  resolve(index: number, encoded: Uint8Array, accounts: Accounts): void {
    const at = index << COMMAND_INT_SHIFT;
    const addressAt = this.ints[at + ADDRESS_AT]!;
    if (this.commands[index] !== undefined || this.ints[at + OF_ACCOUNT]! >= 0) return;
    this.ints[at + OF_ACCOUNT] = accounts.findBytes(encoded, addressAt);
  }

  reserve(records: number): void {
    if (!this.#table.reserve(records)) return;
    this.ints = this.#table.ints;
    this.floats = this.#table.floats;
    this.bytes = new Uint8Array(this.ints.buffer);
  }

  #writeKey(index: number, { account, lane, orderSequence }: OrderKey, accounts: Accounts): void {
    const at = index << COMMAND_INT_SHIFT;
    this.ints[at | OF_ACCOUNT] = accounts.find(account);
    this.ints[at | ORDER_LANE] = laneSlotValue(lane);
    this.floats[(index << COMMAND_FLOAT_SHIFT) | OF_SEQUENCE] = orderSequence;
  }

  #writeOrder(index: number, order: NewOrder, accounts: Accounts): void {
    const { ints, floats } = this;
    const at = index << COMMAND_INT_SHIFT;
    const floatAt = index << COMMAND_FLOAT_SHIFT;
    this.#writeKey(index, order, accounts);
    ints[at | ORDER_FLAGS] =
      packFlags(
        SIDES.indexOf(order.side),
        TIMES_IN_FORCE.indexOf(order.timeInForce),
        order.postOnly,
        PREVENTIONS.indexOf(order.selfTradePrevention),
        stopDirection(order.stop),
      ) | (order.signature === '0x' ? FLAG_REGISTERED : 0);
    ints[at | ORDER_MARKET] = Math.min(order.market, INT_MAX);
    ints[at | ORDER_MAX_FEE_PPM] = feeSlotValue(order.maxFeePpm);
    ints[at | ORDER_TRIGGER_PRICE] = triggerSlotValue(order.stop);
    floats[floatAt | ORDER_SIZE] = order.sizeLots;
    floats[floatAt | ORDER_PRICE] = order.priceTicks;
    floats[floatAt | ORDER_EXPIRY] = order.expiry;
    this.signers[index] = order.signer === order.account ? '' : order.signer;
    writeDigest(ints, at + ORDER_DIGEST, order.digest);
  }
}

function laneSlotValue(lane: number): number {
  return Number.isInteger(lane) && lane >= 0 && lane <= LANE_MAX ? lane : LANE_MAX + 1;
}

function feeSlotValue(maxFeePpm: number): number {
  return maxFeePpm >= 0 && maxFeePpm < INT_MAX ? maxFeePpm : INT_MAX;
}

function triggerSlotValue(stop: StopTrigger | undefined): number {
  if (stop === undefined) return 0;
  const { triggerPriceTicks } = stop;
  return Number.isInteger(triggerPriceTicks) && triggerPriceTicks <= INT_MAX ? triggerPriceTicks : -1;
}
