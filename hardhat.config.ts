import { globSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import hardhatToolboxMochaEthers from '@nomicfoundation/hardhat-toolbox-mocha-ethers';
import { defineConfig } from 'hardhat/config';

/** The compiler comes with the npm package `solc`, so that compiling needs no network and its version is locked like any other dependency. */
const soljsonPath = createRequire(import.meta.url).resolve('solc/soljson.js');

/**
 * The compiler's own sequence of optimiser steps, but for the rematerialiser (m): it computes offsets and fields again where they are used,
 * which costs the settlement loops several hundred gas a trade. More than 20,000 runs and the vault's creation code passes its size limit.
 */
const YUL_STEPS =
  'dhfoDgvulfnTUtnIf[xa[r]EscLMcCTUtTOntnfDIulLculVcul [j]Tpeulxa[rul]xa[r]cLgvifCTUca[r]LSsTFOtfDnca[r]Iulc]jul[jul] VcTOcul jul:fDnTOcu';

/** Of what is deployed. */
const DEPLOYED = {
  version: '0.8.37',
  path: soljsonPath,
  settings: {
    evmVersion: 'prague',
    viaIR: true,
    optimizer: {
      enabled: true,
      runs: 20_000,
      details: { yul: true, yulDetails: { stackAllocation: true, optimizerSteps: YUL_STEPS } },
    },
  },
};

/** The other pipeline, which takes a tenth of the time, is good enough for what only tests use. */
const TESTING = { ...DEPLOYED, settings: { evmVersion: 'prague' } };

/** Libraries are tested as they are deployed; the tokens that the gas benchmark moves, and the timelock, are compiled like the vault, but apart. */
const LIKE_DEPLOYED = [
  'contracts/VaultTimelock.sol',
  'contracts/mocks/TestToken.sol',
  'contracts/test/Libraries.t.sol',
];

/**
 * Each file that the vault does not import, with its compiler. What is left are the vault's own sources: the compiler numbers all files of a run
 * together, and the order of the bytecode follows those numbers, so that this set must be the same whatever had to be compiled again.
 */
const apart = [
  'contracts/VaultTimelock.sol',
  ...globSync('contracts/{test,mocks}/**/*.sol', { cwd: import.meta.dirname }),
]
  .map((file) => file.replaceAll('\\', '/'))
  .map((file) => [file, { ...(LIKE_DEPLOYED.includes(file) ? DEPLOYED : TESTING) }] as const);

export default defineConfig({
  plugins: [hardhatToolboxMochaEthers],
  solidity: {
    compilers: [DEPLOYED],
    overrides: Object.fromEntries(apart),
  },
  paths: {
    sources: 'contracts',
    tests: { solidity: 'contracts', mocha: 'test/contracts' },
  },
  test: {
    mocha: {
      reporter: fileURLToPath(new URL('./scripts/mocha-count-reporter.cjs', import.meta.url)),
      timeout: 60_000,
      forbidOnly: true,
    },
    // `hardhat test solidity --test-profile deep` runs far longer.
    solidity: {
      profiles: {
        default: { fuzz: { runs: 256 }, invariant: { runs: 4, depth: 60, failOnRevert: true } },
        deep: { fuzz: { runs: 20_000 }, invariant: { runs: 200, depth: 500, failOnRevert: true } },
      },
    },
  },
  networks: {
    default: { type: 'edr-simulated', chainType: 'l1', hardfork: 'osaka' },
  },
});
