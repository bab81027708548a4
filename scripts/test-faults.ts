/**
 * `npm run test:faults`: faults injected into real processes, and what they did to the invariants.
 *
 *   npm run test:faults -- --kills 200     engine processes killed, stopped and cut off while they trade
 *   npm run test:faults -- --seeds 10      the table of faults, and random combinations of them from seeds
 *   --json                                 nothing but the last line, which is JSON in any case
 *
 * Ends with exit code 1 when anything was lost, happened twice or drifted.
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
    json: { type: 'boolean', default: false },
  },
});
const say = (line: string): void => {
  if (!values.json) console.log(line);
};
const [kills, seeds, seed] = [Number(values.kills ?? 0), Number(values.seeds), Number(values.seed)];
if (![kills, seeds, seed].every((number) => Number.isSafeInteger(number) && number >= 0)) {
  console.error('--kills, --seeds and --seed are whole numbers');
  process.exit(2);
}

const database = await createTestDatabase();
try {
  if (values.kills !== undefined) {
    const report = await killEngines({
      databaseUrl: database.url,
      kills,
      seed,
      onBlow: ({ kill, blow, takeoverMs }) => say(`${kill} of ${kills}: ${blow}, led again after ${takeoverMs} ms`),
    });
    console.log(JSON.stringify(report));
    if (report.lost > 0 || report.double > 0) process.exitCode = 1;
  } else {
    const report = await faultTable({ databaseUrl: database.url, seeds, seed, say });
    console.log(JSON.stringify(report));
    if (!report.ok) process.exitCode = 1;
  }
} finally {
  await database.drop();
  await stopTestServer();
}
