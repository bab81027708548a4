/**
 * `npm run prove`: the compiler's SMTChecker on what the vault's unchecked arithmetic relies on, in test/contracts/proofs: plain Solidity that the
 * fuzz tests hold the packed and assembled code against (the checker does not model assembly). Each assertion, overflow, underflow and division is
 * proved for every input, by bounded model checking; there are no loops, so the bound loses nothing, and books and stamps go by
 * induction over single steps. The solver is the one inside the pinned compiler: nothing else is needed. Exit code 1 unless all is proved.
 */
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PROJECT_DIRECTORY } from './run-command.ts';

const PROOFS = join(PROJECT_DIRECTORY, 'test', 'contracts', 'proofs');
/** Holds a false claim: there the checker must object. */
export const REFUTED = 'Wrong';

type Message = { readonly severity: string; readonly message: string; readonly sourceLocation?: { start: number } };
export type Proof = {
  readonly contract: string;
  readonly proved: number;
  /** What is false, or could not be decided: the claim and the line where it stands. */
  readonly open: readonly string[];
};

/** @throws Error when the compiler refuses the source or checks nothing */
export async function prove(contract: string): Promise<Proof> {
  const file = `${contract}.sol`;
  const content = await readFile(join(PROOFS, file), 'utf8');
  const solc = createRequire(import.meta.url)('solc') as { compile: (input: string) => string };
  const modelChecker = {
    // With a time limit the solver would start a thread, which WebAssembly has not; without one it counts its own steps.
    engine: 'bmc',
    solvers: ['z3'],
    targets: ['assert', 'overflow', 'underflow', 'divByZero'],
    contracts: { [file]: [contract] },
    showProvedSafe: true,
    showUnproved: true,
    showUnsupported: true,
  };
  const settings = { modelChecker, outputSelection: { '*': { '*': ['abi'] } } };
  const input = { language: 'Solidity', sources: { [file]: { content } }, settings };
  const { errors = [] } = JSON.parse(solc.compile(JSON.stringify(input))) as { errors?: readonly Message[] };
  const proved = errors.filter(({ message }) => message.trim().endsWith(' check is safe!')).length;
  const open = errors
    .filter(({ severity, message }) => severity === 'error' || /happens? here|unsupported|not possible/i.test(message))
    .map(({ message, sourceLocation }) => {
      const line = content.slice(0, sourceLocation?.start ?? 0).split('\n').length;
      return `${file}:${line}: ${message.split('\n')[0]}`;
    });
  if (proved + open.length === 0) throw new Error(`nothing in ${file} was checked`);
  return { contract, proved, open };
}

export async function proofContracts(): Promise<string[]> {
  const files = await readdir(PROOFS);
  return files
    .map((file) => file.replace(/\.sol$/, ''))
    .filter((contract) => contract !== REFUTED)
    .sort();
}

async function main(): Promise<void> {
  let open = 0;
  for (const contract of await proofContracts()) {
    const startMs = performance.now();
    const proof = await prove(contract);
    open += proof.open.length;
    const seconds = Math.round((performance.now() - startMs) / 1_000);
    console.log(`${proof.open.length === 0 ? '✔' : '✘'} ${contract}: ${proof.proved} checks proved (${seconds} s)`);
    for (const claim of proof.open) console.log(`    ${claim}`);
  }
  const refuted = (await prove(REFUTED)).open.length > 0;
  console.log(`${refuted ? '✔' : '✘'} ${REFUTED}: a false claim is ${refuted ? '' : 'not '}refuted`);
  process.exitCode = open === 0 && refuted ? 0 : 1;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
