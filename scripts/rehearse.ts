/**
 * `npm run rehearse`: deploys a vault of its own and goes through what an operator should have done once before it matters: rotating the
 * engine key, pausing, extending a pause, and leaving with everything dead. Real transactions; each step prints what it shows.
 *
 *   npm run rehearse                                         on a local node, whose clock jumps: about a minute
 *   DEPLOYER_KEY=0x… npm run rehearse -- --rpc URL           on a test chain: as far as no clock has to be moved
 *   DEPLOYER_KEY=0x… npm run rehearse -- --rpc URL --wait    the same, waiting for days where days must pass
 *   npm run rehearse -- --json                               ends with one line of JSON
 *
 * The delays are those of ignition/parameters/local.json. Exit code 0 when every step that ran behaved, 1 when one did not, 2 for a bad option.
 */
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { mnemonicToAccount } from 'viem/accounts';
import { bytesToHex } from '../src/chain/hex.ts';
import type { Hex } from '../src/domain/units.ts';
import { LOCAL_MNEMONIC, startLocalNode } from '../src/services/local-node.ts';
import { readLocalPlan } from './deploy.ts';
import { rehearsalOf } from './rehearse/acts.ts';
import { duration, MustWait, RehearsalFailure, Stage } from './rehearse/stage.ts';

export type Rehearsed = {
  readonly ok: boolean;
  readonly vault: string;
  readonly steps: number;
  readonly passed: number;
  /** Names of the steps that did not run, because the chain's clock cannot be moved. */
  readonly leftOut: readonly string[];
  /** The step that did not behave, and how. */
  readonly failed: string | null;
  readonly seconds: number;
  /** What a chain whose clock cannot be moved would have had to wait for. */
  readonly chainSeconds: number;
};

export async function rehearse(options: {
  readonly rpcUrl: string;
  readonly deployerKey: Hex;
  readonly wait?: boolean;
  readonly say: (line: string) => void;
}): Promise<Rehearsed> {
  const startMs = performance.now();
  const { say } = options;
  const stage = await Stage.set({ ...options, wait: options.wait ?? false }, await readLocalPlan());
  say(`vault ${stage.deployment.vault} on chain ${stage.deployment.chainId}, deployed by Ignition`);
  const leftOut: string[] = [];
  let passed = 0;
  let steps = 0;
  let failed: string | null = null;
  for (const act of rehearsalOf(stage)) {
    say(`\n${act.name}`);
    for (const { name, run } of act.steps) {
      steps++;
      // Steps build on each other: after one that could not run, the rest cannot either.
      if (leftOut.length > 0 || failed !== null) {
        if (leftOut.length > 0) leftOut.push(name);
        continue;
      }
      try {
        await run();
        passed++;
        say(`  ✔ ${name}`);
      } catch (error) {
        if (error instanceof MustWait) {
          leftOut.push(name);
          say(`  … ${name}: not rehearsed, ${duration(error.seconds)} would have to pass (--wait waits)`);
        } else if (error instanceof RehearsalFailure) {
          failed = `${name}: ${error.message}`;
          say(`  ✘ ${failed}`);
        } else throw error;
      }
    }
  }
  const seconds = Math.round((performance.now() - startMs) / 100) / 10;
  const { passedSeconds: chainSeconds, deployment } = stage;
  return { ok: failed === null, vault: deployment.vault, steps, passed, leftOut, failed, seconds, chainSeconds };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { rpc: { type: 'string' }, wait: { type: 'boolean' }, json: { type: 'boolean' } },
  });
  const { DEPLOYER_KEY: deployerKey } = process.env;
  if (values.rpc !== undefined && deployerKey === undefined) {
    console.error('Set DEPLOYER_KEY to the key of a funded account of that chain.');
    process.exit(2);
  }
  const node = values.rpc === undefined ? await startLocalNode() : undefined;
  try {
    const rehearsed = await rehearse({
      rpcUrl: values.rpc ?? (node?.rpcUrl as string),
      deployerKey: (deployerKey ?? localKey()) as Hex,
      wait: values.wait ?? false,
      say: (line) => process.stderr.write(`${line}\n`),
    });
    const rest = rehearsed.leftOut.length > 0 ? `, ${rehearsed.leftOut.length} left out` : '';
    process.stderr.write(`\n${rehearsed.passed} of ${rehearsed.steps} steps behaved${rest} (${rehearsed.seconds} s)\n`);
    if (values.json === true) console.log(JSON.stringify(rehearsed));
    process.exitCode = rehearsed.ok ? 0 : 1;
  } finally {
    await node?.stop();
  }
}

/** The first account of the local node. */
export function localKey(): Hex {
  return bytesToHex(mnemonicToAccount(LOCAL_MNEMONIC).getHdKey().privateKey as Uint8Array);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
