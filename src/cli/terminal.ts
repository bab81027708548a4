/**
 * What the command shows: results on standard output, progress and errors on standard error.
 *
 * With --json the result is one line of JSON and nothing else is on standard output. Colours follow NO_COLOR and whether a terminal reads.
 */
import { styleText } from 'node:util';
import { EXIT, type Explained } from './exit-codes.ts';

export type Result = {
  /** What a program reads; bigints become decimal strings. */
  readonly json: unknown;
  /** What a person reads. */
  readonly text: string;
  readonly exitCode?: number;
};

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow';

export class Terminal {
  /** Set from the options before a command runs. */
  json = false;
  exitCode: number = EXIT.ok;

  show(result: Result): void {
    process.stdout.write(`${this.json ? toJson(result.json) : result.text}\n`);
    this.exitCode = result.exitCode ?? EXIT.ok;
  }

  /** One of several lines, as things happen. */
  line(json: unknown, text: string): void {
    process.stdout.write(`${this.json ? toJson(json) : text}\n`);
  }

  progress(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  /** Replaces the line before on a terminal; elsewhere nothing, so that logs do not fill. */
  transient(text: string): void {
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[2K${text}`);
  }

  fail(error: Explained): void {
    const { exitCode, code, reason, message, retryable, docsUrl } = error;
    if (this.json)
      process.stdout.write(`${toJson({ ok: false, error: { code, reason, message, retryable, docsUrl } })}\n`);
    const why = reason === undefined ? '' : ` (${reason})`;
    const more = docsUrl === undefined ? '' : `\n  ${docsUrl}`;
    process.stderr.write(`${styled('red', 'error', process.stderr)} ${code}: ${message}${why}${more}\n`);
    this.exitCode = exitCode;
  }
}

export function styled(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return styleText(style, text, { stream });
}

function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => (typeof member === 'bigint' ? member.toString() : member));
}

/** Columns as wide as their widest cell; numbers (by their header's leading `>`) to the right. */
export function table(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return styled('dim', 'none');
  const names = headers.map((header) => header.replace(/^>/, ''));
  const widths = names.map((name, column) => Math.max(name.length, ...rows.map((row) => (row[column] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return headers[column]?.startsWith('>') ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return [styled('dim', line(names)), ...rows.map(line)].join('\n');
}

/** `2026-01-31 12:34:56`, UTC. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
}
