/**
 * Gas prices, in wei: what to offer for a new transaction, and what a replacement must offer at least.
 *
 * Pure. The base fee moves at most 12.5 % per block, so twice the next base fee stays includable for six full blocks; beyond
 * that a replacement follows. Nodes refuse a replacement that does not raise both fees by 10 %; 12.5 % satisfies the strictest.
 */

export type Fees = { readonly maxFeePerGas: bigint; readonly maxPriorityFeePerGas: bigint };

/** What `eth_feeHistory` says of the last blocks, oldest first. `baseFees` has one more: the next block's; `tips` only congested blocks'. */
export type FeeHistory = { readonly baseFees: readonly bigint[]; readonly tips: readonly bigint[] };

export type FeeLimits = {
  /** Lowest tip offered. */
  readonly tipMin: bigint;
  readonly tipMax: bigint;
  /** Never offer more per gas in total than this. */
  readonly feeMax: bigint;
};

const GWEI = 1_000_000_000n;
export const DEFAULT_FEE_LIMITS: FeeLimits = { tipMin: GWEI / 100n, tipMax: 50n * GWEI, feeMax: 1_000n * GWEI };

/** Base fee of the block that comes next. @throws RangeError when the history is empty. */
export function nextBaseFee(history: FeeHistory): bigint {
  const last = history.baseFees.at(-1);
  if (last === undefined) throw new RangeError('the fee history is empty');
  return last;
}

/**
 * Fees for a new transaction: the median tip of the recent congested blocks, and room for the base fee to double;
 * when it has been rising through the whole window, room to triple.
 */
export function suggestFees(history: FeeHistory, limits: FeeLimits = DEFAULT_FEE_LIMITS): Fees {
  const base = nextBaseFee(history);
  const tips = history.tips.filter((tip) => tip > 0n).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const median = tips[tips.length >> 1] ?? limits.tipMin;
  const tip = clamp(median, limits.tipMin, limits.tipMax);
  const room = isRising(history.baseFees) ? 3n : 2n;
  return withinCap({ maxFeePerGas: base * room + tip, maxPriorityFeePerGas: tip }, limits);
}

/** The least that replaces a transaction offering `replaced`: one eighth more on both, rounded up. */
export function bumpFees(replaced: Fees): Fees {
  return {
    maxFeePerGas: raise(replaced.maxFeePerGas),
    maxPriorityFeePerGas: raise(replaced.maxPriorityFeePerGas),
  };
}

/** For replacing a transaction that nodes hold and we do not know: what it offers has to be found by trying. */
export function doubleFees(refused: Fees): Fees {
  return { maxFeePerGas: refused.maxFeePerGas * 2n, maxPriorityFeePerGas: refused.maxPriorityFeePerGas * 2n };
}

/** The higher of both in each part. */
export function maxFees(a: Fees, b: Fees): Fees {
  return {
    maxFeePerGas: most(a.maxFeePerGas, b.maxFeePerGas),
    maxPriorityFeePerGas: most(a.maxPriorityFeePerGas, b.maxPriorityFeePerGas),
  };
}

/** Whether `fees` replaces a transaction that offered `replaced`, by the rules of real nodes. */
export function replaces(fees: Fees, replaced: Fees): boolean {
  const least = bumpFees(replaced);
  return fees.maxFeePerGas >= least.maxFeePerGas && fees.maxPriorityFeePerGas >= least.maxPriorityFeePerGas;
}

/** Whether the next block can take a transaction with these fees at all. */
export function isIncludable(fees: Fees, baseFee: bigint): boolean {
  return fees.maxFeePerGas >= baseFee;
}

function isRising(baseFees: readonly bigint[]): boolean {
  const recent = baseFees.slice(-5);
  return recent.length === 5 && recent.every((fee, index) => index === 0 || fee > (recent[index - 1] as bigint));
}

function withinCap(fees: Fees, limits: FeeLimits): Fees {
  const maxFeePerGas = least(fees.maxFeePerGas, limits.feeMax);
  return { maxFeePerGas, maxPriorityFeePerGas: least(fees.maxPriorityFeePerGas, maxFeePerGas) };
}

/** One eighth more, rounded up; at least one wei. */
const raise = (fee: bigint): bigint => fee + (fee === 0n ? 1n : (fee + 7n) / 8n);
const clamp = (value: bigint, lowest: bigint, highest: bigint): bigint => least(most(value, lowest), highest);

// Math.min and Math.max take no bigint.
function least(a: bigint, b: bigint): bigint {
  if (a < b) return a;
  return b;
}

function most(a: bigint, b: bigint): bigint {
  if (a > b) return a;
  return b;
}
