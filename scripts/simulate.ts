/**
 * `npm run simulate`: lives of the exchange drawn from seeds; see simulation/simulate-seed.ts for what happens in one and what is checked.
 *
 *   npm run simulate -- --seeds 1000          seeds 1 to 1000
 *   npm run simulate -- --from 5000 --seeds 10
 *   npm run simulate -- --seed 42             one seed, with the events that were seen
 *
 * Ends with exit code 1 and the failing seed when an invariant does not hold. The last line is one JSON object.
 */
import { parseArgs } from 'node:util';
import { type SimulatedLife, STEPS, simulateSeed } from './simulation/simulate-seed.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    steps: { type: 'string', default: String(STEPS) },
  },
});
const first = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
const steps = Number(values.steps);
if (![first, count, steps].every((number) => Number.isSafeInteger(number) && number > 0)) {
  console.error('--seed, --seeds, --from and --steps are positive whole numbers');
  process.exit(2);
}

const startedMs = performance.now();
const lives: SimulatedLife[] = [];
for (let seed = first; seed < first + count; seed++) {
  try {
    lives.push(await simulateSeed(seed, steps));
  } catch (error) {
    console.error(error);
    console.error(`seed ${seed} failed; again with: npm run simulate -- --seed ${seed} --steps ${steps}`);
    console.log(JSON.stringify({ seeds: lives.length + 1, failedSeed: seed }));
    process.exit(1);
  }
  if (lives.length % 100 === 0) console.log(`${lives.length} of ${count} seeds hold`);
}
const [only] = lives;
if (values.seed !== undefined && only !== undefined) {
  for (const [kind, times] of [...only.events].sort(([left], [right]) => (left < right ? -1 : 1)))
    console.log(`${kind} ${times}`);
  console.log(`state ${only.stateHash}, journal ${only.journalHash}`);
}
const sum = (figure: (life: SimulatedLife) => number): number => lives.reduce((total, life) => total + figure(life), 0);
console.log(
  JSON.stringify({
    seeds: lives.length,
    commands: sum(({ commands }) => commands),
    trades: sum(({ trades }) => trades),
    batches: sum(({ batches }) => batches),
    skippedTrades: sum(({ skippedTrades }) => skippedTrades),
    takeovers: sum(({ takeovers }) => takeovers),
    refusedRows: sum(({ refusedRows }) => refusedRows),
    acknowledged: sum(({ acknowledged }) => acknowledged),
    failedSeed: null,
    seconds: Math.round((performance.now() - startedMs) / 1_000),
  }),
);
