/**
 * The audit of a long history, from the chain alone: every fill between two orders with a signature each, re-derived and checked.
 *
 *   npm run bench:audit -- --json               the last line is one JSON object
 *   npm run bench:audit -- --fills 5000         a shorter history
 *
 * The vault and its batches are real, settled on a local node that shares the machine and answers the auditor.
 */
import { strict as assert } from 'node:assert';
import { parseArgs } from 'node:util';
import secp256k1 from 'secp256k1';
import { auditChain } from '../src/auditor/audit-chain.ts';
import { joinCompact } from '../src/chain/compact-signature.ts';
import { hexToBytes } from '../src/chain/hex.ts';
import { keccak } from '../src/chain/keccak.ts';
import { recoverSigner } from '../src/chain/recover.ts';
import { startLocalNode } from '../src/services/local-node.ts';
import { SettlementLab } from '../test/support/settlement-lab.ts';
import { createPairs, settleFills } from './audit/make-history.ts';

const PAIRS = 100;
/** The best counts: the others share the machine with whatever else runs. */
const ROUNDS = 3;
const RECOVERY_MS = 2_000;

const { values } = parseArgs({
  options: { json: { type: 'boolean', default: false }, fills: { type: 'string', default: '20000' } },
});
const batches = Math.ceil(Number(values.fills) / PAIRS);
const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

const node = await startLocalNode();
try {
  const lab = await SettlementLab.create(node);
  const pairs = await createPairs(lab, PAIRS);
  const now = await lab.now();
  for (let batch = 0; batch < batches; batch++) await settleFills(lab, pairs, now);
  say(`${batches * PAIRS} fills in ${batches} batches`);

  const rates: number[] = [];
  let cpuMsPerFill = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const cpu = process.cpuUsage();
    const report = await auditChain({ rpcUrl: node.rpcUrl, vault: lab.vault });
    const { user, system } = process.cpuUsage(cpu);
    assert.deepEqual(report.failures, []);
    assert.equal(report.verdict, 'ok');
    assert.equal(report.figures.fillsExecuted, batches * PAIRS);
    const { fills, orders, seconds } = report.figures;
    rates.push(fills / seconds);
    cpuMsPerFill = Math.min(cpuMsPerFill, (user + system) / 1_000 / fills);
    say(
      `${Math.round(fills / seconds)} fills/s, ${Math.round(orders / seconds)} signatures/s, ${seconds.toFixed(1)} s`,
    );
  }
  const fillsPerSec = Math.round(Math.max(...rates));
  const recoveriesPerSec = recoveryRate();
  // Two signatures a fill: what one core would do if nothing but recovery had to be done.
  const shareOfRecovery = Number(((2 * fillsPerSec) / recoveriesPerSec).toFixed(2));
  const cpuMs = Number(cpuMsPerFill.toFixed(3));
  const result = { fills: batches * PAIRS, fillsPerSec, cpuMsPerFill: cpuMs, recoveriesPerSec, shareOfRecovery };
  process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : `${JSON.stringify(result, undefined, 2)}\n`);
} finally {
  await node.stop();
}

/** Signatures per second that this machine recovers on one core just now. */
function recoveryRate(): number {
  const digest = keccak(new Uint8Array(32));
  const key = new Uint8Array(32).fill(7);
  const signed = secp256k1.ecdsaSign(hexToBytes(digest), key);
  const signature = joinCompact({ rs: signed.signature, yParity: signed.recid === 0 ? 0 : 1 });
  let count = 0;
  const beganMs = performance.now();
  while (performance.now() - beganMs < RECOVERY_MS) {
    for (let turn = 0; turn < 50; turn++) recoverSigner(digest, signature);
    count += 50;
  }
  return Math.round((count * 1_000) / (performance.now() - beganMs));
}
