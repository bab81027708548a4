/**
 * `npm run test:faults`: faults injected into real processes, and what they did to the invariants.
 *
 *   npm run test:faults                              the table of faults, row by row
 *   npm run test:faults -- --seeds 200               and random combinations of them
 *   npm run test:faults -- --only Redis,chain        only rows whose name starts so; `--only none --seeds 10` for combinations alone
 *   npm run test:faults -- --kills 200               engine processes killed, stopped and cut off while they trade
 *   --seed N                                         the first seed; 1 when absent
 *   --json                                           progress on standard error; the last line is JSON in any case
 *
 * Ends with exit code 1 when anything was lost, happened twice, drifted, or did not come back.
 */
import { parseArgs } from 'node:util';
import { createTestDatabase, stopTestServer } from '../test/support/database.ts';
import { faultTable } from './faults/fault-table.ts';
import { killEngines } from './faults/kill-engines.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string' },
    seeds: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const say = (line: string): void => {
  // Progress in any case; standard output holds only the report then.
  if (values.json) console.error(line);
  else console.log(line);
};
const [kills, seeds, seed] = [Number(values.kills ?? 0), Number(values.seeds), Number(values.seed)];
if (![kills, seeds, seed].every((number) => Number.isSafeInteger(number) && number >= 0)) {
  console.error('--kills, --seeds and --seed are whole numbers');
  process.exit(2);
}

if (values.kills === undefined) {
  const only = values.only?.split(',');
  const report = await faultTable({ seeds, seed, say, ...(only === undefined ? {} : { only }) });
  console.log(JSON.stringify(report));
  if (!report.ok) process.exitCode = 1;
} else {
  const database = await createTestDatabase();
  try {
    const report = await killEngines({
      databaseUrl: database.url,
      kills,
      seed,
      onBlow: ({ kill, blow, takeoverMs }) => say(`${kill} of ${kills}: ${blow}, led again after ${takeoverMs} ms`),
    });
    console.log(JSON.stringify(report));
    if (report.lost > 0 || report.double > 0) process.exitCode = 1;
  } finally {
    await database.drop();
    await stopTestServer();
  }
}
