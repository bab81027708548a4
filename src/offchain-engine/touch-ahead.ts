/**
 * Memory latency of a group of commands at a time. A command reads a dozen records that lie anywhere, each named by the one
 * before: applied one by one, an engine with many orders mostly waits for memory. So before a group is applied, what its commands will
 * read is read once, table by table: the loads of one table do not depend on each other, and wait together.
 *
 * Nothing is decided here and nothing is kept: a record that is not there yet, or that an earlier command of the group changes, is
 * only looked at in vain.
 */
import * as accountTable from './accounts.ts';
import * as orders from './book/order-pool.ts';
import type { CommandRecords } from './command-records.ts';
import * as records from './command-records.ts';
import * as balances from './ledger.ts';
import type { EngineState } from './state.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { ACCOUNT_INT_SHIFT, NEAR_BALANCES } = accountTable;
const { INT_SHIFT, LIFE_INT_SHIFT, NEXT, PREVIOUS } = orders;
const { COMMAND_INT_SHIFT, KIND, OF_ACCOUNT, ORDER_LANE, OTHER } = records;
const { BALANCE_SHIFT } = balances;

/** Commands touched together: enough for their loads to overlap, few enough to stay in the nearest cache until they are applied. */
export const GROUP = 16;
/** Orders from which it pays: the tables of fewer fit a near cache. */
export const FAR_ORDERS = 10_000;

/** What was read, added up: a sum without meaning, kept so that no read is left out. */
const read = new Float64Array(1);
const slots = new Int32Array(GROUP);
const ids = new Int32Array(GROUP);

/** Reads what the commands [first, first + count) will read, count ≤ GROUP. */
export function touchAhead(state: EngineState, { ints }: CommandRecords, first: number, count: number): void {
  const { accounts, lanes, pool, ledger } = state;
  let sum = 0;
  for (let index = 0; index < count; index++) {
    const at = (first + index) << COMMAND_INT_SHIFT;
    const account = ints[at | OF_ACCOUNT]!;
    slots[index] = 0;
    ids[index] = 0;
    if (ints[at | KIND] === OTHER || account < 0) continue;
    sum += accounts.ints[(account << ACCOUNT_INT_SHIFT) | NEAR_BALANCES]!;
    slots[index] = lanes.guess(account, ints[at | ORDER_LANE]!);
  }
  for (let index = 0; index < count; index++) {
    const slot = slots[index]!;
    const at = (first + index) << COMMAND_INT_SHIFT;
    if (ints[at | KIND] === OTHER || ints[at | OF_ACCOUNT]! < 0) continue;
    const accountAt = ints[at | OF_ACCOUNT]! << ACCOUNT_INT_SHIFT;
    sum += ledger.records[accounts.ints[accountAt | NEAR_BALANCES]! << BALANCE_SHIFT]!;
    sum += ledger.records[accounts.ints[(accountAt | NEAR_BALANCES) + 1]! << BALANCE_SHIFT]!;
    if (slot !== 0) ids[index] = lanes.order(slot);
  }
  const { ints: queue, lifeInts } = pool;
  for (let index = 0; index < count; index++) {
    const id = ids[index]!;
    if (id !== 0) sum += queue[id << INT_SHIFT]! + lifeInts[id << LIFE_INT_SHIFT]!;
  }
  for (let index = 0; index < count; index++) {
    const at = ids[index]! << INT_SHIFT;
    if (at !== 0) sum += queue[queue[at | NEXT]! << INT_SHIFT]! + queue[queue[at | PREVIOUS]! << INT_SHIFT]!;
  }
  read[0] = sum;
}
