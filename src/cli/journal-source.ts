/**
 * The published journal, from where an auditor finds it: the API's download, page by page, or a file of the same rows.
 *
 * A file holds what the API answers, in any of three forms: one row per line, one page per line, or one page. What cannot be read makes the
 * audit incomplete; what can be read and is no journal row makes it fail.
 */
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { ExchangeError } from '../domain/errors.ts';
import type { JournalRow } from '../domain/journal.ts';
import type { Hex, JournalSequence, TimestampMs } from '../domain/units.ts';
import { createHttpClient } from '../sdk/http.ts';

/** A journal row as the API publishes it: bytes as hex. */
export type PublishedRow = {
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly epoch: number;
  readonly rulesVersion: number;
  readonly body: string;
  readonly previousHash: string;
  readonly merkleRoot: string;
  readonly hash: string;
  readonly committedAt: number;
};

const JOURNAL_PATH = '/api/v1/journal';
const ROWS_PER_PAGE = 500;

/** @param source a file, the API's address, or the address of its journal */
export async function* readPublishedJournal(source: string): AsyncGenerator<JournalRow, void, undefined> {
  const isRemote = /^https?:\/\//.test(source);
  try {
    for await (const row of isRemote ? downloadJournal(source) : readJournalFile(source)) yield toJournalRow(row);
  } catch (error) {
    if (error instanceof ExchangeError) throw error;
    const { message } = error as Error;
    throw new ExchangeError('NOT_READY', `the journal could not be read from ${source}: ${message}`, { cause: error });
  }
}

/** Every row that the API has at the moment, from the first one on. */
export async function* downloadJournal(source: string): AsyncGenerator<unknown, void, undefined> {
  const url = new URL(source);
  const path = url.pathname.endsWith('/journal') ? url.pathname : JOURNAL_PATH;
  const api = createHttpClient(url.origin);
  let cursor: string | undefined;
  do {
    const query = { limit: ROWS_PER_PAGE, cursor };
    const page = await api.request<{ data: unknown[]; nextCursor: string | null }>(path, { query });
    yield* page.data;
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
}

async function* readJournalFile(path: string): AsyncGenerator<unknown, void, undefined> {
  const lines = createInterface({ input: createReadStream(path, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY });
  let isFirst = true;
  for await (const line of lines) {
    if (line.trim() === '') continue;
    const parsed = parseLine(line);
    if (parsed === undefined && isFirst) {
      lines.close();
      yield* rowsOf(JSON.parse(await readFile(path, 'utf8')));
      return;
    }
    if (parsed === undefined) return corrupt('a line of the file is not JSON');
    isFirst = false;
    yield* rowsOf(parsed);
  }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function rowsOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  const { data } = value as { data?: unknown };
  return Array.isArray(data) ? data : [value];
}

const INTEGERS = ['firstSequence', 'lastSequence', 'epoch', 'rulesVersion', 'committedAt'] as const;
const HASHES = ['previousHash', 'merkleRoot', 'hash'] as const;

function toJournalRow(value: unknown): JournalRow {
  if (typeof value !== 'object' || value === null) return corrupt('it is not an object');
  const row = value as PublishedRow;
  for (const name of INTEGERS) {
    if (!Number.isSafeInteger(row[name]) || row[name] < 0) return corrupt(`its ${name} is ${String(row[name])}`);
  }
  for (const name of HASHES) {
    if (!/^0x[0-9a-f]{64}$/.test(row[name])) return corrupt(`its ${name} is ${String(row[name])}`);
  }
  if (typeof row.body !== 'string' || !/^0x([0-9a-f]{2})*$/.test(row.body)) return corrupt('its body is not hex');
  return {
    firstSequence: row.firstSequence as JournalSequence,
    lastSequence: row.lastSequence as JournalSequence,
    epoch: row.epoch,
    rulesVersion: row.rulesVersion,
    body: Buffer.from(row.body.slice(2), 'hex'),
    previousHash: row.previousHash as Hex,
    merkleRoot: row.merkleRoot as Hex,
    hash: row.hash as Hex,
    committedAtMs: row.committedAt as TimestampMs,
  };
}

function corrupt(what: string): never {
  throw new ExchangeError('JOURNAL_CORRUPT', `something in the journal is not a journal row: ${what}`);
}
