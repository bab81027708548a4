/** `?limit&cursor` in, `{ data, nextCursor }` out. */
import type { Page, PageRequest } from '../storage/queries/rows.ts';
import { PAGE_ROWS_MAX } from '../storage/queries/rows.ts';
import { validationFailed } from './problem.ts';

const LIMIT_DEFAULT = 100;

type PagingQuery = { readonly limit?: string | undefined; readonly cursor?: string | undefined };

/** @throws ProblemError VALIDATION_FAILED when the limit is out of range */
export function pageRequest(query: PagingQuery, limitMax: number = PAGE_ROWS_MAX): PageRequest {
  const limit = query.limit === undefined ? Math.min(LIMIT_DEFAULT, limitMax) : Number(query.limit);
  if (limit < 1 || limit > limitMax) {
    throw validationFailed([{ pointer: 'query/limit', code: 'out_of_range', message: `Must be 1 to ${limitMax}.` }]);
  }
  return query.cursor === undefined ? { limit } : { limit, cursor: query.cursor };
}

export async function toPage<Row, View>(
  page: Page<Row>,
  toView: (row: Row) => View | Promise<View>,
): Promise<{ data: View[]; nextCursor: string | null }> {
  return { data: await Promise.all(page.rows.map(toView)), nextCursor: page.nextCursor ?? null };
}

export function whole<View>(views: readonly View[]): { data: View[]; nextCursor: null } {
  return { data: [...views], nextCursor: null };
}

/** A query parameter of digits; undefined stays undefined. @throws ProblemError VALIDATION_FAILED beyond 2^53 */
export function integerQuery(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value)) {
    throw validationFailed([{ pointer: `query/${name}`, code: 'out_of_range', message: 'Must be below 2^53.' }]);
  }
  return value;
}
