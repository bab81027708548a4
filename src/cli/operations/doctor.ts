/** Looks at everything that a service needs, and says of each thing that is wrong how to mend it. Changes nothing. */
import type { Command } from 'commander';
import { EXIT, explainError } from '../exit-codes.ts';
import { styled, type Terminal } from '../terminal.ts';
import { readSettings, type Settings } from './environment.ts';
import { examineChain } from './examine-chain.ts';
import { examineDatabase } from './examine-database.ts';
import { examineMachine } from './examine-machine.ts';
import { examineRedis } from './examine-redis.ts';

export type Finding = {
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'failed' | 'skipped';
  /** What was found. */
  readonly found: string;
  /** How to mend it; only with a warning or a failure. */
  readonly remedy?: string;
};

const MARKS: Readonly<Record<Finding['state'], string>> = { ok: '✓', warning: '!', failed: '✗', skipped: '-' };
const COLOURS = { ok: 'green', warning: 'yellow', failed: 'red', skipped: 'dim' } as const;

export function addDoctor(program: Command, terminal: Terminal): void {
  program
    .command('doctor')
    .description('look at everything the services need, and say what is wrong and how to mend it')
    .action(async () => {
      const findings = await examine();
      const failed = findings.filter(({ state }) => state === 'failed').length;
      const warnings = findings.filter(({ state }) => state === 'warning').length;
      const lines = findings.map(({ name, state, found, remedy }) => {
        const head = `${styled(COLOURS[state], MARKS[state])} ${name}: ${found}`;
        return remedy === undefined ? head : `${head}\n    ${remedy}`;
      });
      const verdict =
        failed > 0
          ? styled('red', `${failed} of ${findings.length} checks failed.`)
          : styled('green', warnings > 0 ? `Nothing is broken; ${warnings} warnings.` : 'Everything is in order.');
      terminal.show({
        json: { ok: failed === 0, failed, warnings, checks: findings },
        text: `${lines.join('\n')}\n\n${verdict}`,
        exitCode: failed === 0 ? EXIT.ok : EXIT.wrong,
      });
    });
}

async function examine(): Promise<Finding[]> {
  const findings = examineMachine();
  let settings: Settings;
  try {
    settings = readSettings(process.env);
  } catch (error) {
    const found = explainError(error).message;
    return [...findings, { name: 'settings', state: 'failed', found, remedy: 'Mend the variables named above.' }];
  }
  findings.push({ name: 'settings', state: 'ok', found: 'valid; "tallystick config check" shows them' });
  const database = await examineDatabase(settings);
  const others = await Promise.all([examineChain(settings, database.vault), examineRedis(settings)]);
  return [...findings, ...database.findings, ...others.flat()];
}
