import type { Command } from 'commander';
import { downloadJournal } from '../journal-source.ts';
import { type ApiOptions, withApi } from '../options.ts';
import type { Terminal } from '../terminal.ts';

export function addJournal(program: Command, terminal: Terminal): void {
  withApi(program.command('journal'))
    .description('download the public journal, one row of JSON per line, as "tallystick audit --journal" takes it')
    .addHelpText('after', '\nExample:\n  tallystick journal --url https://exchange.example > journal.jsonl')
    .action(async (options: ApiOptions) => {
      let rows = 0;
      for await (const row of downloadJournal(options.url)) {
        if (!process.stdout.write(`${JSON.stringify(row)}\n`)) {
          await new Promise<void>((resume) => {
            process.stdout.once('drain', () => resume());
          });
        }
        rows += 1;
      }
      terminal.progress(`${rows} rows`);
    });
}
