import type { Command } from 'commander';
import { migrate } from '../../storage/database.ts';
import type { Terminal } from '../terminal.ts';
import { readSettings, requireDatabase } from './environment.ts';

export function addMigrate(program: Command, terminal: Terminal): void {
  program
    .command('migrate')
    .description("bring the database's tables up to date; safe to run at any time")
    .action(async () => {
      const applied = await migrate(await requireDatabase(readSettings(process.env)));
      const text = applied.length === 0 ? 'the tables are up to date' : `applied:\n  ${applied.join('\n  ')}`;
      terminal.show({ json: { applied }, text });
    });
}
