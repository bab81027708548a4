/**
 * `npm run test:differential -- --batches 10000 --seed 7`: random batches through the real vault and through the plain model of its
 * specification, some forty a second. Each vault has a seed of its own and ends with a line, so that a run which was stopped goes on from the
 * next seed: `--seed 19 --batches 7000`. The seed of a failure is printed with the number of its step; kept seeds stand in `cases.ts`.
 */
import { parseArgs } from 'node:util';
import { Scenario } from './scenario.ts';

/** Steps on one vault; then a fresh one begins, with a seed of its own that repeats alone. */
const STEPS_PER_VAULT = 250;

export type Figures = Scenario['twin']['figures'] & {
  readonly reasons: Map<number, number>;
  readonly outcomes: Map<number, number>;
};

/** Steps from one seed on one vault. @throws AssertionError when vault and model differ, naming the seed and the step */
export async function runScenario(seed: number, steps: number): Promise<Figures> {
  const scenario = await Scenario.create(seed);
  const { twin } = scenario;
  try {
    for (let step = 0; step < steps; step++) {
      try {
        await scenario.step();
      } catch (error) {
        throw new Error(`vault and model differ at step ${step} of seed ${seed}: ${(error as Error).message}`, {
          cause: error,
        });
      }
    }
    await twin.compareBooks();
    return { ...twin.figures, reasons: twin.reasons, outcomes: twin.outcomes };
  } finally {
    await twin.lab.connection.close();
  }
}

/**
 * As many settled or refused batches as asked for.
 *
 * @param onVault hears of every vault that has agreed with the model to its end
 */
export async function runDifferential(
  seed: number,
  batches: number,
  onVault: (seed: number, batches: number) => void = () => undefined,
): Promise<Figures> {
  const total: Figures = {
    batches: 0,
    reverted: 0,
    fills: 0,
    executed: 0,
    withdrawals: 0,
    paid: 0,
    calls: 0,
    reasons: new Map(),
    outcomes: new Map(),
  };
  for (let done = 0, vault = 0; done < batches; vault++) {
    const steps = Math.min(STEPS_PER_VAULT, batches - done);
    const figures = await runScenario(seed + vault, steps);
    for (const key of ['batches', 'reverted', 'fills', 'executed', 'withdrawals', 'paid', 'calls'] as const)
      total[key] += figures[key];
    for (const name of ['reasons', 'outcomes'] as const) {
      for (const [reason, count] of figures[name]) total[name].set(reason, (total[name].get(reason) ?? 0) + count);
    }
    done += steps;
    onVault(seed + vault, done);
  }
  return total;
}

/** A line for people. */
export function describeFigures({ reasons, outcomes, ...figures }: Figures): string {
  const list = (counts: Map<number, number>): string =>
    [...counts]
      .sort(([a], [b]) => a - b)
      .map(([reason, count]) => `${reason}: ${count}`)
      .join(', ');
  return `${figures.batches} batches settled, ${figures.reverted} refused, ${figures.calls} other calls; ${figures.executed} of ${figures.fills} fills executed (reasons ${list(reasons)}); ${figures.paid} of ${figures.withdrawals} withdrawals paid (outcomes ${list(outcomes)})`;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { batches: { type: 'string', default: '10000' }, seed: { type: 'string' } },
  });
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`seed ${seed}`);
  const startMs = performance.now();
  const seconds = (): string => `${Math.round((performance.now() - startMs) / 1_000)} s`;
  const figures = await runDifferential(seed, Number(values.batches), (vaultSeed, done) =>
    console.log(`${done} of ${values.batches} batches agree, with seed ${vaultSeed} (${seconds()})`),
  );
  console.log(describeFigures(figures));
  console.log(seconds());
}
