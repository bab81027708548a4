/**
 * Journaled commands straight into records, without objects in between: the way of a replay. Covers the frequent kinds in their common
 * form; whatever else there is, malformed bytes included, is left to the codec (`src/domain/command-codec.ts`), which owns the
 * format and says what is wrong. A property test holds the two to the same result.
 */
import { COMMAND_CODEC_VERSION, decodeSequencedCommand } from '../domain/command-codec.ts';
import type { Accounts } from './accounts.ts';
import { packFlags } from './book/order-pool.ts';
import type { CommandRecords } from './command-records.ts';
import * as commandRecords from './command-records.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const {
  ADDRESS_AT,
  CANCEL,
  COMMAND_FLOAT_SHIFT,
  COMMAND_INT_SHIFT,
  COMMAND_SEQUENCE,
  FLAG_REGISTERED,
  KIND,
  OF_ACCOUNT,
  OF_SEQUENCE,
  ORDER_DIGEST,
  ORDER_EXPIRY,
  ORDER_FLAGS,
  ORDER_LANE,
  ORDER_MARKET,
  ORDER_MAX_FEE_PPM,
  ORDER_PRICE,
  ORDER_SIZE,
  ORDER_TRIGGER_PRICE,
  PLACE,
  TIME_MS,
} = commandRecords;

/** Kind numbers of the codec. */
const PLACE_ORDER = 1;
const CANCEL_ORDER = 3;
const ADDRESS_BYTES = 20;
const DIGEST_BYTES = 32;
const INT_LIMIT = 2 ** 31;
const LANES = 65_536;
const VARINT_BYTES_MAX = 8;
/** Nothing that was written: the rest of the command is not read. */
const MALFORMED = -1;

/** Where reading stands; only one command is read at a time. */
const cursor: { bytes: Uint8Array; at: number; fieldsAt: number } = { bytes: new Uint8Array(), at: 0, fieldsAt: 0 };

/**
 * Writes the command into the record `index`.
 * @param encoded one command as in a row's body
 * @throws CodecError for bytes that are not exactly one command
 */
export function decodeRecord(records: CommandRecords, index: number, encoded: Uint8Array, accounts: Accounts): void {
  records.reserve(index + 1);
  records.commands[index] = undefined;
  records.signers[index] = '';
  if (decodeFrequent(records, index, encoded, accounts)) return;
  const fieldsAt = cursor.fieldsAt;
  records.write(index, decodeSequencedCommand(encoded), accounts);
  // The account is the first field of every command that is a record.
  records.ints[(index << COMMAND_INT_SHIFT) | ADDRESS_AT] = fieldsAt;
}

/** @returns false for what is left to the codec; the record is then undefined */
function decodeFrequent(records: CommandRecords, index: number, encoded: Uint8Array, accounts: Accounts): boolean {
  cursor.bytes = encoded;
  cursor.at = 1;
  if (encoded[0] !== COMMAND_CODEC_VERSION) return false;
  const floatAt = index << COMMAND_FLOAT_SHIFT;
  const sequence = readUint();
  const timeMs = readUint();
  if (sequence < 0 || timeMs < 0) return false;
  records.floats[floatAt | COMMAND_SEQUENCE] = sequence;
  records.floats[floatAt | TIME_MS] = timeMs;
  const kind = encoded[cursor.at++];
  cursor.fieldsAt = cursor.at;
  if (kind === CANCEL_ORDER) return readCancel(records, index, accounts);
  return kind === PLACE_ORDER && readOrder(records, index, accounts);
}

function readCancel(records: CommandRecords, index: number, accounts: Accounts): boolean {
  const at = index << COMMAND_INT_SHIFT;
  records.ints[at | KIND] = CANCEL;
  return readAccount(records.ints, at, accounts) && readNonce(records, index) && cursor.at === cursor.bytes.length;
}

function readOrder(records: CommandRecords, index: number, accounts: Accounts): boolean {
  const { ints, floats } = records;
  const { bytes } = cursor;
  const at = index << COMMAND_INT_SHIFT;
  const floatAt = index << COMMAND_FLOAT_SHIFT;
  ints[at | KIND] = PLACE;
  if (!readAccount(ints, at, accounts)) return false;
  const market = readUint();
  const side = readByte();
  const size = readUint();
  const price = readUint();
  const timeInForce = readByte();
  const postOnly = readByte();
  if (!readNonce(records, index)) return false;
  const expiry = readUint();
  const maxFeePpm = readUint();
  const signer = cursor.at;
  const digest = signer + ADDRESS_BYTES;
  cursor.at = digest + DIGEST_BYTES;
  const signatureBytes = readUint();
  if (signatureBytes < 0) return false;
  cursor.at += signatureBytes;
  // No client's own id, then a mode of prevention, then no stop.
  const end = cursor.at + 3;
  if (end !== bytes.length || bytes[cursor.at] !== 0 || bytes[cursor.at + 2] !== 0) return false;
  const prevention = bytes[cursor.at + 1]!;
  const inRange = market >= 0 && market < INT_LIMIT && size >= 0 && price >= 0 && expiry >= 0;
  if (!inRange || maxFeePpm < 0 || maxFeePpm >= INT_LIMIT) return false;
  if (side > 1 || timeInForce > 3 || postOnly > 1 || prevention > 3 || !sameAddress(ints[at | ADDRESS_AT]!, signer))
    return false;
  const registered = signatureBytes === 0 ? FLAG_REGISTERED : 0;
  ints[at | ORDER_FLAGS] = packFlags(side, timeInForce, postOnly === 1, prevention, 0) | registered;
  ints[at | ORDER_MARKET] = market;
  ints[at | ORDER_MAX_FEE_PPM] = maxFeePpm;
  ints[at | ORDER_TRIGGER_PRICE] = 0;
  floats[floatAt | ORDER_SIZE] = size;
  floats[floatAt | ORDER_PRICE] = price;
  floats[floatAt | ORDER_EXPIRY] = expiry;
  records.bytes.set(bytes.subarray(digest, digest + DIGEST_BYTES), (at | ORDER_DIGEST) << 2);
  return true;
}

function readAccount(ints: Int32Array, at: number, accounts: Accounts): boolean {
  const start = cursor.at;
  if (start + ADDRESS_BYTES > cursor.bytes.length) return false;
  ints[at | ADDRESS_AT] = start;
  ints[at | OF_ACCOUNT] = accounts.findBytes(cursor.bytes, start);
  cursor.at = start + ADDRESS_BYTES;
  return true;
}

function readNonce({ ints, floats }: CommandRecords, index: number): boolean {
  const lane = readUint();
  const orderSequence = readUint();
  ints[(index << COMMAND_INT_SHIFT) | ORDER_LANE] = lane;
  floats[(index << COMMAND_FLOAT_SHIFT) | OF_SEQUENCE] = orderSequence;
  return lane >= 0 && lane < LANES && orderSequence >= 0;
}

function sameAddress(one: number, other: number): boolean {
  const { bytes } = cursor;
  for (let index = 0; index < ADDRESS_BYTES; index++) if (bytes[one + index] !== bytes[other + index]) return false;
  return true;
}

/** 255, which no field takes, beyond the end. */
function readByte(): number {
  return cursor.bytes[cursor.at++] ?? 255;
}

/** Groups of seven bits, lowest first, in their shortest form; `MALFORMED` for anything else, or from 2^53 on. */
function readUint(): number {
  const { bytes } = cursor;
  let value = 0;
  let scale = 1;
  for (let count = 1; count <= VARINT_BYTES_MAX; count++) {
    const byte = bytes[cursor.at++];
    if (byte === undefined) return MALFORMED;
    value += (byte & 127) * scale;
    if (byte < 128) return (byte === 0 && count > 1) || value > Number.MAX_SAFE_INTEGER ? MALFORMED : value;
    scale *= 128;
  }
  return MALFORMED;
}
