import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import hardhatToolboxMochaEthers from '@nomicfoundation/hardhat-toolbox-mocha-ethers';
import { defineConfig } from 'hardhat/config';

/** The compiler comes with the npm package `solc`, so that compiling needs no network and its version is locked like any other dependency. */
const soljsonPath = createRequire(import.meta.url).resolve('solc/soljson.js');

export default defineConfig({
  plugins: [hardhatToolboxMochaEthers],
  solidity: {
    compilers: [
      {
        version: '0.8.37',
        path: soljsonPath,
        settings: {
          evmVersion: 'prague',
          viaIR: true,
          optimizer: { enabled: true, runs: 20000, details: { yul: true, yulDetails: { stackAllocation: true, optimizerSteps: 'dhfoDgvulfnTUtnIf[xa[r]EscLMcCTUtTOntnfDIulLculVcul [j]Tpeulxa[rul]xa[r]cLgvifCTUca[r]LSsTFOtfDnca[r]Iulc]jul[jul] VcTOcul jul:fDnTOcu' } } },
        },
      },
    ],
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
  },
  networks: {
    default: { type: 'edr-simulated', chainType: 'l1', hardfork: 'osaka' },
  },
});
