/**
 * Exact arithmetic and display of the API's decimal strings. No floating point touches an amount: strings become integers of a
 * fixed scale (BigInt), and come back as strings.
 */

/**
 * Units of `text` × 10^`decimals`; digits beyond that scale are cut off.
 * @param {string} text a plain decimal such as "0.015"
 * @param {number} decimals
 */
export function toUnits(text, decimals) {
  const negative = text.startsWith('-');
  const [whole = '0', fraction = ''] = (negative ? text.slice(1) : text).split('.');
  const units = BigInt(whole + fraction.slice(0, decimals).padEnd(decimals, '0'));
  return negative ? -units : units;
}

/**
 * Text of `units` × 10^-`decimals` with every decimal place and the thousands grouped: "2,491.60".
 * @param {bigint} units
 * @param {number} decimals
 */
export function fromUnits(units, decimals) {
  const digits = (units < 0n ? -units : units).toString().padStart(decimals + 1, '0');
  const whole = digits.slice(0, digits.length - decimals).replace(/\B(?=(\d{3})+$)/g, ',');
  const fraction = digits.slice(digits.length - decimals);
  return `${units < 0n ? '−' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`;
}

/** Places behind the point: 2 for "0.01". */
export const placesOf = (/** @type {string} */ text) => text.split('.')[1]?.length ?? 0;

/** A decimal string with exactly `decimals` places and grouped thousands. */
export const withPlaces = (/** @type {string} */ text, /** @type {number} */ decimals) =>
  fromUnits(toUnits(text, decimals), decimals);

/** A decimal string as it is, thousands grouped. */
export const grouped = (/** @type {string} */ text) => withPlaces(text, placesOf(text));

/** An integer with grouped thousands. */
export const groupedInteger = (/** @type {number | bigint} */ value) => fromUnits(BigInt(value), 0);

/**
 * Change from `before` to `now` in per cent with two places and a sign, rounded towards zero; undefined when there is nothing to compare.
 * @param {string | null} before
 * @param {string | null} now
 */
export function percentChange(before, now) {
  if (before === null || now === null) return undefined;
  const decimals = Math.max(placesOf(before), placesOf(now));
  const from = toUnits(before, decimals);
  if (from === 0n) return undefined;
  const hundredths = ((toUnits(now, decimals) - from) * 10_000n) / from;
  return {
    isRise: hundredths > 0n,
    isFall: hundredths < 0n,
    text: `${hundredths > 0n ? '+' : ''}${fromUnits(hundredths, 2)} %`,
  };
}
