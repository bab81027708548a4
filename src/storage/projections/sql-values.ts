/** Values as the JSON that a whole run of rows travels to PostgreSQL in. */
import type { Hex, JournalSequence, TimestampMs } from '../../domain/units.ts';

/** Position and time of the command that changed a row. */
export type Moment = { readonly sequence: JournalSequence; readonly timestampMs: TimestampMs };

/** PostgreSQL's own text form of bytea. */
export function bytea(hex: Hex): string {
  return `\\x${hex.slice(2)}`;
}
