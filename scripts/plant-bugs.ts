/**
 * `node scripts/plant-bugs.ts [--seeds 60]`: plants one bug after another in a copy of the engine and shows that the simulation
 * notices each. Ends with exit code 1 when one stays unnoticed, or when the code that it would change is no longer there.
 */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

type Bug = { readonly what: string; readonly file: string; readonly right: string; readonly wrong: string };

const BUGS: readonly Bug[] = [
  {
    what: 'a buyer’s fee is not posted to what it still owes the vault',
    file: 'matching.ts',
    right: 'records[quoteAt + UNSETTLED_OUT]! += notional + fee;',
    wrong: 'records[quoteAt + UNSETTLED_OUT]! += notional;',
  },
  {
    what: 'a reduction gives too much of the lock back',
    file: 'cancels.ts',
    right: 'lockedFor(market, side, price, left, maxFeePpm) - lockedFor(market, side, price, remaining, maxFeePpm);',
    wrong:
      'lockedFor(market, side, price, left, maxFeePpm) - lockedFor(market, side, price, remaining - 1, maxFeePpm);',
  },
  {
    what: 'a voided trade is not taken back from the seller',
    file: 'reversals.ts',
    right: 'takeBack(state, seller, market.quote, notional - sellerFee);',
    wrong: '',
  },
  {
    what: 'fees ignore the vault’s maximum for takers',
    file: 'fees.ts',
    right: 'Math.min(fees.takerFeePpm, feeMaximum.takerFeePpm)',
    wrong: 'fees.takerFeePpm',
  },
  {
    what: 'volume of today counts for the tier',
    file: 'volumes.ts',
    right: 'let ago = passed === 0 ? 1 : 0;',
    wrong: 'let ago = 0;',
  },
  {
    what: 'a withdrawal that failed is not given back',
    file: 'withdrawals.ts',
    right: 'state.ledger.add(slot, AVAILABLE, withdrawal.amount);',
    wrong: '',
  },
  {
    what: 'a fact from the chain is applied twice',
    file: 'chain-facts.ts',
    right: 'if (command.eventSequence !== state.lastChainEventSequence + 1) return;',
    wrong: 'if (command.eventSequence > state.lastChainEventSequence + 1) return;',
  },
];

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({ options: { seeds: { type: 'string', default: '60' } } });

/** @returns the first seed that failed, undefined when none did */
async function simulate(directory: string): Promise<number | undefined> {
  const last = await run(process.execPath, ['scripts/simulate.ts', '--seeds', values.seeds], {
    cwd: directory,
    maxBuffer: 1 << 26,
  }).then(
    ({ stdout }) => stdout.trimEnd().split('\n').at(-1),
    ({ stdout }: { stdout?: string }) => stdout?.trimEnd().split('\n').at(-1),
  );
  const { failedSeed } = JSON.parse(last ?? '{}') as { failedSeed?: number | null };
  return failedSeed ?? undefined;
}

const copy = await mkdtemp(join(tmpdir(), 'planted-'));
let missed = 0;
try {
  for (const part of ['src', 'scripts', 'test/support', 'package.json'])
    await cp(join(root, part), join(copy, part), { recursive: true });
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
  for (const { what, file, right, wrong } of BUGS) {
    const path = join(copy, 'src/offchain-engine', file);
    const sound = await readFile(path, 'utf8');
    if (sound.split(right).length < 2) throw new Error(`${file} no longer has: ${right}`);
    await writeFile(path, sound.replace(right, wrong));
    const seed = await simulate(copy);
    await writeFile(path, sound);
    if (seed === undefined) missed++;
    console.log(`${seed === undefined ? 'MISSED ' : 'noticed'} ${what}${seed === undefined ? '' : ` (seed ${seed})`}`);
  }
} finally {
  await rm(copy, { recursive: true, force: true });
}
console.log(JSON.stringify({ planted: BUGS.length, noticed: BUGS.length - missed }));
process.exit(missed === 0 ? 0 : 1);
