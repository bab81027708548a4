/** From PostgreSQL's types to the domain's: bytea ↔ lower-case hex, bigint (text in node-postgres) → safe integer. */
import type { Pool } from 'pg';
import { ExchangeError } from '../../domain/errors.ts';
import type { Hex } from '../../domain/units.ts';

/** A pool, or a client within a transaction. */
export type Queryable = Pick<Pool, 'query'>;

/** What node-postgres gives for a bigint column, with or without a type parser. */
export type SqlInteger = string | number;

export type PageRequest = {
  /** 1 … `PAGE_ROWS_MAX`. */
  readonly limit: number;
  /** `nextCursor` of the page before; undefined for the first. */
  readonly cursor?: string | undefined;
};

export type Page<Row> = { readonly rows: readonly Row[]; readonly nextCursor: string | undefined };

export const PAGE_ROWS_MAX = 1000;

export function hexOf(bytes: Buffer): Hex {
  return `0x${bytes.toString('hex')}`;
}

export function optionalHex(bytes: Buffer | null): Hex | undefined {
  return bytes === null ? undefined : hexOf(bytes);
}

export function bytesOf(hex: Hex): Buffer {
  return Buffer.from(hex.slice(2), 'hex');
}

/** @throws RangeError when the figure is not a safe integer: a column never holds one. */
export function integer<Unit extends number = number>(value: SqlInteger): Unit {
  const result = Number(value);
  if (!Number.isSafeInteger(result)) throw new RangeError(`expected a safe integer from the database, got ${value}`);
  return result as Unit;
}

export function optionalInteger<Unit extends number = number>(value: SqlInteger | null): Unit | undefined {
  return value === null ? undefined : integer<Unit>(value);
}

/**
 * The position to continue below, in a list that is sorted by a falling integer; the largest integer when there is no cursor.
 * @throws ExchangeError VALIDATION_FAILED when the cursor is not one that was handed out, or the limit is out of range.
 */
export function positionBefore(page: PageRequest): number {
  if (!Number.isInteger(page.limit) || page.limit < 1 || page.limit > PAGE_ROWS_MAX) {
    throw new ExchangeError('VALIDATION_FAILED', `limit must be 1…${PAGE_ROWS_MAX}, got ${page.limit}`);
  }
  if (page.cursor === undefined) return Number.MAX_SAFE_INTEGER;
  if (!/^[1-9][0-9]{0,15}$/.test(page.cursor) || !Number.isSafeInteger(Number(page.cursor))) {
    throw new ExchangeError('VALIDATION_FAILED', 'cursor is not one that a page before handed out');
  }
  return Number(page.cursor);
}

/** A page of rows queried with LIMIT limit + 1: the extra one tells that there is more. */
export function pageOf<Row>(rows: readonly Row[], page: PageRequest, positionOf: (row: Row) => number): Page<Row> {
  if (rows.length <= page.limit) return { rows, nextCursor: undefined };
  const shown = rows.slice(0, page.limit);
  const last = shown.at(-1);
  return { rows: shown, nextCursor: last === undefined ? undefined : String(positionOf(last)) };
}
