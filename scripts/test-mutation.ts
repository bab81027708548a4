/**
 * `npm run test:mutation`: plants one bug after the other into a copy of the contracts and runs the tests that must notice it. Ends with a table, and
 * fails when a bug went unnoticed. Compiles for each bug, so it takes a minute per line; not part of `npm test`.
 */

import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PROJECT_DIRECTORY } from './run-command.ts';

type Mutant = {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** File in test/contracts that must fail. */
  readonly test: string;
};

const MUTANTS: readonly Mutant[] = [
  {
    name: 'overfill is not checked',
    file: 'libraries/FastPath.sol',
    from: 'or(gt(laneSequence, sequence), gt(size, and(shr(144, word), 0xffffffffff)))',
    to: 'gt(laneSequence, sequence)',
    test: 'settlement',
  },
  {
    name: 'an older order of a lane is accepted',
    file: 'libraries/FastPath.sol',
    from: 'or(gt(laneSequence, sequence), gt(size, and(shr(144, word), 0xffffffffff)))',
    to: 'gt(size, and(shr(144, word), 0xffffffffff))',
    test: 'settlement',
  },
  {
    name: 'the sign of the seller’s debit is swapped',
    file: 'libraries/FastPath.sol',
    from: 'mstore(sellerPointer, sub(sellerWord',
    to: 'mstore(sellerPointer, add(sellerWord',
    test: 'settlement',
  },
  {
    name: 'the buyer’s balance is not checked',
    file: 'libraries/FastPath.sol',
    from: 'lt(and(shr(shape, word), 0xffffffffffffffff), cost)',
    to: '0',
    test: 'settlement',
  },
  {
    name: 'the maker’s lane is not written',
    file: 'Settlement.sol',
    from: 'FastPath.advance(makerWord, maker, size);',
    to: '',
    test: 'settlement',
  },
  {
    name: 'the price is not checked',
    file: 'libraries/FastPath.sol',
    from: 'bad := or(bad, lt(takerPrice, makerPrice))',
    to: 'bad := or(bad, 0)',
    test: 'settlement',
  },
  {
    name: 'the parent is not checked',
    file: 'Settlement.sol',
    from: 'if (batch.parent != parent) revert WrongParent(parent, batch.parent);',
    to: '',
    test: 'batches',
  },
  {
    name: 'an older epoch is accepted',
    file: 'Settlement.sol',
    from: 'if (batch.epoch < progress.epoch) revert StaleEpoch(progress.epoch, batch.epoch);',
    to: '',
    test: 'batches',
  },
  {
    name: 'bytes may follow the content',
    file: 'Settlement.sol',
    from: 'if (cursor != end) revert MalformedContent(cursor - start);',
    to: '',
    test: 'batches',
  },
  {
    name: 'an undone fill-or-kill keeps its balances',
    file: 'Settlement.sol',
    from: 'Raw.store(Raw.load(top), Raw.load(top + 0x20));',
    to: '',
    test: 'settlement',
  },
  {
    name: 'a paused exit fails',
    file: 'Custody.sol',
    from: 'function exit(address token, address recipient) external nonReentrant {',
    to: 'function exit(address token, address recipient) external nonReentrant whenNotPaused {',
    test: 'custody',
  },
  {
    name: 'a failed withdrawal is not credited back',
    file: 'Withdrawals.sol',
    from: '_credit(w.account, w.asset, w.amount);',
    to: '',
    test: 'custody',
  },
  {
    name: 'a used withdrawal nonce is accepted',
    file: 'Withdrawals.sol',
    from: 'if (w.sequence <= lastSequence) return W_NONCE_USED;',
    to: '',
    test: 'custody',
  },
  {
    name: 'what was received is not checked',
    file: 'Custody.sol',
    from: 'if (received != amount) revert ReceivedOther(amount, received);',
    to: '',
    test: 'custody',
  },
  {
    name: 'a cancellation binds at once',
    file: 'VaultStorage.sol',
    from: 'return DEPLOYED_AT + (stamp - 1) * 60 + GRACE;',
    to: 'return DEPLOYED_AT + (stamp - 1) * 60;',
    test: 'no-free-options',
  },
  {
    name: 'a revoked session key goes on',
    file: 'VaultStorage.sol',
    from: 'if (block.timestamp > word & Slots.MASK_40) return false;',
    to: '',
    test: 'no-free-options',
  },
];

/** Runs a command in the copy; true when it succeeded. */
function run(directory: string, args: readonly string[]): boolean {
  const env = {
    ...process.env,
    PATH: `${join(PROJECT_DIRECTORY, 'node_modules', '.bin')}:${process.env['PATH'] ?? ''}`,
  };
  return spawnSync('hardhat', args, { cwd: directory, env, stdio: 'ignore' }).status === 0;
}

async function isNoticed(mutant: Mutant): Promise<boolean> {
  const directory = await mkdtemp(join(tmpdir(), 'tallystick-mutant-'));
  try {
    for (const entry of [
      'contracts',
      'src',
      'test',
      'scripts',
      'bench',
      'ignition',
      'hardhat.config.ts',
      'package.json',
      'tsconfig.json',
    ]) {
      await cp(join(PROJECT_DIRECTORY, entry), join(directory, entry), { recursive: true });
    }
    await rm(join(directory, 'contracts', 'test'), { recursive: true });
    await symlink(join(PROJECT_DIRECTORY, 'node_modules'), join(directory, 'node_modules'));
    const path = join(directory, 'contracts', mutant.file);
    const source = await readFile(path, 'utf8');
    if (source.split(mutant.from).length !== 2)
      throw new RangeError(`${mutant.name}: the line to change stands not once in ${mutant.file}`);
    await writeFile(
      path,
      source.replace(mutant.from, () => mutant.to),
    );
    if (!run(directory, ['compile'])) throw new Error(`${mutant.name}: the changed contract does not compile`);
    const generate = await import(join(directory, 'scripts', 'generate-abis.ts'));
    for (const [file, text] of await generate.generateFiles())
      await writeFile(join(generate.GENERATED_DIRECTORY, file), text);
    return !run(directory, ['test', 'mocha', '--no-compile', `test/contracts/${mutant.test}.test.ts`]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

let unnoticed = 0;
const only = process.argv[2];
for (const mutant of MUTANTS) {
  if (only !== undefined && !mutant.name.includes(only)) continue;
  const noticed = await isNoticed(mutant);
  if (!noticed) unnoticed++;
  console.log(`${noticed ? 'noticed  ' : 'UNNOTICED'}  ${mutant.name}  (${mutant.test})`);
}
process.exitCode = unnoticed === 0 ? 0 : 1;
