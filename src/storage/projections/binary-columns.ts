/**
 * Rows as arrays in PostgreSQL's binary form, one per column, which `unnest` puts side by side again: neither side writes or reads
 * text for numbers and bytes, which for the tables with a row per order is most of what writing them costs.
 */

/** Name and type of each column; values of `bytea` are in PostgreSQL's own text form. */
export type Columns = Readonly<Record<string, 'integer' | 'bigint' | 'boolean' | 'bytea' | 'text'>>;

const OIDS = { integer: 23, bigint: 20, boolean: 16, bytea: 17, text: 25 } as const;
const HEADER_BYTES = 20;

/** `unnest($1::bytea[], …) AS r (digest, …)` */
export function unnestOf(columns: Columns): string {
  const parameters = Object.values(columns).map((type, index) => `$${index + 1}::${type}[]`);
  return `unnest(${parameters.join(', ')}) AS r (${Object.keys(columns).join(', ')})`;
}

/** One parameter per column. @throws RangeError for a number that the column cannot hold */
export function columnParameters<Row extends object>(columns: Columns, rows: readonly Row[]): Buffer[] {
  return Object.entries(columns).map(([name, type]) => binaryArray(type, rows, name as keyof Row));
}

type Value = string | number | boolean | null;

const FIXED_BYTES = { integer: 4, bigint: 8, boolean: 1 } as const;
const NULL_LENGTH = 0xffff_ffff;

// By index and straight from the rows: a column of its own, and an iterator over it, would box every number.
function binaryArray<Row extends object>(type: Columns[string], rows: readonly Row[], name: keyof Row): Buffer {
  const room = type === 'bytea' || type === 'text' ? roomFor(type, rows, name) : rows.length * FIXED_BYTES[type];
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + 4 * rows.length + room);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  view.setUint32(0, 1);
  view.setUint32(8, OIDS[type]);
  view.setUint32(12, rows.length);
  // Index of the first element.
  view.setUint32(16, 1);
  let at = HEADER_BYTES;
  let hasNull = 0;
  for (let index = 0; index < rows.length; index++) {
    const value = (rows[index] as Row)[name] as Value;
    if (value === null) hasNull = 1;
    const length = value === null ? 0 : writeValue(bytes, view, at + 4, type, value);
    view.setUint32(at, value === null ? NULL_LENGTH : length);
    at += 4 + length;
  }
  view.setUint32(4, hasNull);
  return bytes.subarray(0, at);
}

/** At least the bytes of the values together. */
function roomFor<Row extends object>(type: 'bytea' | 'text', rows: readonly Row[], name: keyof Row): number {
  let room = 0;
  for (let index = 0; index < rows.length; index++) {
    const value = (rows[index] as Row)[name];
    // A UTF-16 unit is three bytes of UTF-8 at most.
    if (typeof value === 'string') room += type === 'text' ? 3 * value.length : value.length / 2;
  }
  return room;
}

/** @returns the bytes written */
function writeValue(
  bytes: Buffer,
  view: DataView,
  at: number,
  type: Columns[string],
  value: Exclude<Value, null>,
): number {
  switch (type) {
    case 'integer':
      if (Number(value) !== (Number(value) | 0)) throw new RangeError(`expected an integer of 32 bits, got ${value}`);
      view.setInt32(at, Number(value));
      return 4;
    case 'bigint': {
      if (!Number.isSafeInteger(value)) throw new RangeError(`expected a safe integer, got ${value}`);
      const high = Math.floor(Number(value) / 2 ** 32);
      view.setInt32(at, high);
      view.setUint32(at + 4, Number(value) - high * 2 ** 32);
      return 8;
    }
    case 'boolean':
      bytes[at] = value === true ? 1 : 0;
      return 1;
    case 'bytea':
      return bytes.write(String(value).slice(2), at, 'hex');
    case 'text':
      return value === '' ? 0 : bytes.write(String(value), at);
  }
}
