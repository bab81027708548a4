import type { Command } from 'commander';
import type { Terminal } from '../terminal.ts';
import { table } from '../terminal.ts';
import { readSettings } from './environment.ts';

export function addConfigCheck(program: Command, terminal: Terminal): void {
  const config = program.command('config').description('settings of the services');
  config
    .command('check')
    .description('check the environment as the services would, all errors at once, and show what takes effect')
    .action(() => {
      const settings = Object.entries(readSettings(process.env)).map(([name, value]) => ({
        name,
        value: redact(name, String(value)),
        given: (process.env[name] ?? '') !== '',
      }));
      const rows = settings.map(({ name, value, given }) => [name, value, given ? 'environment' : 'default']);
      terminal.show({ json: { ok: true, settings }, text: table(['setting', 'value', 'from'], rows) });
    });
}

/** Keys and secrets are hidden whole; of a URL only scheme, host and database are shown, since the rest may hold a password or an API key. */
export function redact(name: string, value: string): string {
  if (/KEY|SECRET|PASSWORD|TOKEN/.test(name)) return '(set)';
  if (!name.endsWith('_URL')) return value;
  return value
    .split(',')
    .map((text) => {
      const url = URL.canParse(text.trim()) ? new URL(text.trim()) : undefined;
      if (url === undefined) return '(set)';
      const path = url.protocol.startsWith('http') ? (url.pathname.length > 1 ? '/…' : '') : url.pathname;
      return `${url.protocol}//${url.username === '' ? '' : '…@'}${url.host}${path}`;
    })
    .join(', ');
}
