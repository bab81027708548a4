import assert from 'node:assert/strict';
import type pg from 'pg';
import { openDatabase } from '../../src/storage/database.ts';
import { type Columns, columnParameters, unnestOf } from '../../src/storage/projections/binary-columns.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

describe('columns in binary form', () => {
  let database: TestDatabase;
  let pool: pg.Pool;

  before(async () => {
    database = await createTestDatabase();
    pool = openDatabase({ url: database.url, applicationName: 'test', onIdleError: () => undefined });
  });
  after(async () => {
    await pool.end();
    await database.drop();
  });

  it('come back from PostgreSQL as they were, at the ends of their ranges, empty and null', async () => {
    const columns: Columns = { a: 'integer', b: 'bigint', c: 'boolean', d: 'bytea', e: 'text' };
    const rows = [
      { a: 0, b: 0, c: false, d: '\\x', e: '' },
      { a: 2 ** 31 - 1, b: Number.MAX_SAFE_INTEGER, c: true, d: `\\x${'ff'.repeat(32)}`, e: 'größer ✓ \\ "{}"' },
      { a: -(2 ** 31), b: Number.MIN_SAFE_INTEGER, c: true, d: '\\x00', e: 'null' },
      { a: -1, b: -1, c: false, d: '\\x0102', e: ' ' },
      { a: 1, b: 2 ** 32, c: true, d: '\\xab', e: 'x' },
      { a: null, b: null, c: null, d: null, e: null },
    ];
    const read = await pool.query({
      text: `SELECT a::text, b::text, c::text, d::text, e FROM ${unnestOf(columns)}`,
      values: columnParameters(columns, rows),
    });
    assert.deepEqual(
      read.rows,
      rows.map(({ e, ...others }) => ({
        ...Object.fromEntries(
          Object.entries(others).map(([name, value]) => [name, value === null ? null : `${value}`]),
        ),
        e,
      })),
    );
  });

  it('refuse a number that their type cannot hold', () => {
    assert.throws(() => columnParameters({ a: 'integer' }, [{ a: 2 ** 31 }]), RangeError);
    assert.throws(() => columnParameters({ a: 'bigint' }, [{ a: 2 ** 70 }]), RangeError);
  });
});
