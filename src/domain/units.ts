/**
 * The three integer units, and every conversion between them and the outside world.
 *
 * Invariants: each value is a non-negative safe integer (below 2^53) unless its name says otherwise;
 * quote quanta = lots × ticks × quote quanta per lot-tick, exactly, so matching never rounds; fees round down.
 * Users never see quanta: the API speaks decimal strings, typed data speaks token base units (bigint).
 */
declare const unit: unique symbol;
type Unit<Name extends string> = number & { readonly [unit]: Name };

/** Smallest amount of an asset that the exchange accounts in. */
export type Quanta = Unit<'Quanta'>;
/** Order size in lots of a market. */
export type Lots = Unit<'Lots'>;
/** Order price in ticks of a market. */
export type PriceTicks = Unit<'PriceTicks'>;
/** Milliseconds since the Unix epoch. */
export type TimestampMs = Unit<'TimestampMs'>;
/** Seconds since the Unix epoch, the chain's own unit. */
export type TimestampSeconds = Unit<'TimestampSeconds'>;
/** Position of a command in the journal, 1, 2, 3 … */
export type JournalSequence = Unit<'JournalSequence'>;
/** Position of an event in the vault's gapless numbering, 1, 2, 3 … */
export type ChainEventSequence = Unit<'ChainEventSequence'>;
/** Parts per million of the notional. */
export type Ppm = Unit<'Ppm'>;

/** 20 bytes, lower-case hex: the one form inside the exchange. Checksummed only at the API's edge. */
export type Address = `0x${string}`;
/** Any bytes as lower-case hex. */
export type Hex = `0x${string}`;
/** 32 bytes as lower-case hex. */
export type Hash = `0x${string}`;

/** Largest order size and accumulated fill of an order, in lots (40 bits on chain). */
export const SIZE_LOTS_MAX = 2 ** 40 - 1;
/** Largest price in ticks. The book keeps prices in 32-bit signed integers. */
export const PRICE_TICKS_MAX = 2 ** 31 - 1;
/** Largest lane (16 bits). */
export const LANE_MAX = 2 ** 16 - 1;
/** Largest order sequence (40 bits): milliseconds since the vault's deployment. */
export const ORDER_SEQUENCE_MAX = 2 ** 40 - 1;
/** No signed maximum fee may exceed 5 %, in parts per million; the contract holds the same cap. */
export const FEE_PPM_MAX = 50_000;

/** Throws RangeError unless `value` is an integer within [0, 2^53). Call where a value enters. */
export function asSafeInteger(value: number, name: string): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${name} must be a non-negative integer below 2^53, got ${value}`);
  }
  return value;
}

export const quanta = (value: number): Quanta => asSafeInteger(value, 'quanta') as Quanta;
export const lots = (value: number): Lots => asSafeInteger(value, 'lots') as Lots;
export const priceTicks = (value: number): PriceTicks => asSafeInteger(value, 'price ticks') as PriceTicks;

/** Quote quanta of a trade; exact. The caller has checked that the product stays below 2^53 (see `fitsNotional`). */
export function notional(price: PriceTicks, size: Lots, market: { readonly tickQuanta: Quanta }): Quanta {
  return (price * size * market.tickQuanta) as Quanta;
}

/** Whether price × size × tickQuanta is exactly representable; false for anything at or above 2^53. */
export function fitsNotional(price: PriceTicks, size: Lots, market: { readonly tickQuanta: Quanta }): boolean {
  return (
    price * market.tickQuanta * size < Number.MAX_SAFE_INTEGER && price * market.tickQuanta < Number.MAX_SAFE_INTEGER
  );
}

/**
 * floor(notional × feePpm / 10^6), in quote quanta, without leaving safe integers:
 * the notional is split at one million so that each partial product stays exact (feePpm ≤ 50,000).
 */
export function feeOf(notionalQuanta: Quanta, feePpm: Ppm): Quanta {
  const millions = Math.floor(notionalQuanta / 1_000_000);
  const rest = notionalQuanta - millions * 1_000_000;
  return (millions * feePpm + Math.floor((rest * feePpm) / 1_000_000)) as Quanta;
}

/** Whole quanta in an amount of token base units, rounded down, and the remainder in base units. */
export function unitsToQuanta(
  units: bigint,
  asset: { readonly quantumUnits: bigint },
): { amount: Quanta; remainderUnits: bigint } {
  const whole = units / asset.quantumUnits;
  if (whole < 0n || whole > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new RangeError(`${units} base units do not fit in [0, 2^53) quanta of ${asset.quantumUnits} base units`);
  }
  return { amount: Number(whole) as Quanta, remainderUnits: units % asset.quantumUnits };
}

/** Decimal string of `units` × 10^-decimals without trailing zeros ("1.5", "0", "1000"); exact. */
export function unitsToDecimal(units: bigint, decimals: number): string {
  if (units === 0n) return '0';
  const negative = units < 0n;
  const digits = (negative ? -units : units).toString().padStart(decimals + 1, '0');
  const whole = digits.slice(0, digits.length - decimals);
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, '');
  return `${negative ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`;
}

/**
 * Base units of a plain decimal string ("0.015"); exact.
 * @returns undefined when the text is not a plain non-negative decimal of at most 60 characters, or has more than `decimals` places.
 */
export function decimalToUnits(text: string, decimals: number): bigint | undefined {
  if (text.length > 60) return undefined;
  const match = /^(0|[1-9][0-9]*)(?:\.([0-9]+))?$/.exec(text);
  if (match === null) return undefined;
  const fraction = (match[2] ?? '').replace(/0+$/, '');
  if (fraction.length > decimals) return undefined;
  return BigInt((match[1] ?? '0') + fraction.padEnd(decimals, '0'));
}
