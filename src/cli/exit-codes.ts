/** What a process of the command ends with, and which error leads to which. The table stands in --help and in docs/cli.md. */
import { CommanderError } from 'commander';
import { BaseError, decodeErrorResult, HttpRequestError, TimeoutError } from 'viem';
import { vaultAbi } from '../chain/generated/vault.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { Hex } from '../domain/units.ts';
import { TallystickError } from '../sdk/errors.ts';

export const EXIT = {
  ok: 0,
  /** The command ran; what it looked at is not in order. */
  wrong: 1,
  usage: 2,
  incomplete: 3,
  refused: 4,
  unavailable: 5,
  internal: 70,
  interrupted: 130,
} as const;

export const EXIT_TABLE: readonly (readonly [code: number, meaning: string])[] = [
  [EXIT.ok, 'done, and what was checked holds'],
  [EXIT.wrong, 'the check failed: audit, doctor or replay found something wrong'],
  [EXIT.usage, 'bad option, argument, key or setting; nothing was done'],
  [EXIT.incomplete, 'audit: nothing wrong was found, but not everything could be read'],
  [EXIT.refused, 'the exchange, the vault or the engine refused'],
  [EXIT.unavailable, 'API, node or database is away or busy, or the outcome is not known: look, then try again'],
  [EXIT.internal, 'a fault of this program'],
  [EXIT.interrupted, 'interrupted (Ctrl-C)'],
];

/** A wrong use that commander cannot see, such as a missing key. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export type Explained = {
  readonly exitCode: number;
  readonly code: string;
  /** The engine's reason for refusing an order or a withdrawal, such as `withdrawals_halted`; the message says it in words. */
  readonly reason?: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly docsUrl: string | undefined;
};

const UNAVAILABLE_CODES: ReadonlySet<string> = new Set([
  'NETWORK',
  'TIMEOUT',
  'INTERNAL',
  'RPC_FAILED',
  'NOT_READY',
  'OVERLOADED',
  'STATUS_UNKNOWN',
  'RATE_LIMITED',
  'LEADERSHIP_LOST',
]);
const USAGE_CODES: ReadonlySet<string> = new Set(['INVALID_ARGUMENT', 'NO_RPC', 'CONFIGURATION', 'WRONG_NETWORK']);
const WRONG_CODES: ReadonlySet<string> = new Set([
  'JOURNAL_CORRUPT',
  'SNAPSHOT_CORRUPT',
  'CHAIN_MISMATCH',
  'VERIFICATION_FAILED',
]);

export function explainError(error: unknown): Explained {
  if (error instanceof CommanderError || error instanceof UsageError) {
    return { exitCode: EXIT.usage, code: 'USAGE', message: error.message, retryable: false, docsUrl: undefined };
  }
  if (error instanceof TallystickError) {
    const { code, shortMessage: message, retryable, docsUrl } = error;
    const explained = { exitCode: exitCodeOf(code, retryable), code, message, retryable, docsUrl };
    const { reason } = error.details;
    return typeof reason === 'string' ? { ...explained, reason } : explained;
  }
  if (error instanceof ExchangeError) {
    const { code, message, retryable } = error;
    return { exitCode: exitCodeOf(code, retryable), code, message, retryable, docsUrl: undefined };
  }
  const away = databaseAway(error);
  if (away !== undefined) {
    return { exitCode: EXIT.unavailable, code: 'NOT_READY', message: away, retryable: true, docsUrl: undefined };
  }
  if (error instanceof BaseError) return explainNodeError(error);
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { exitCode: EXIT.internal, code: 'INTERNAL', message, retryable: false, docsUrl: undefined };
}

/** Errors of viem: the node is away, or refuses a transaction, often with an error of the vault. */
function explainNodeError(error: BaseError): Explained {
  if (error.walk((cause) => cause instanceof HttpRequestError || cause instanceof TimeoutError) !== null) {
    const message = `the node does not answer: ${error.shortMessage}`;
    return { exitCode: EXIT.unavailable, code: 'RPC_FAILED', message, retryable: true, docsUrl: undefined };
  }
  // Nodes tell a custom error as its bytes, each in its own words.
  const found = /custom error (0x[0-9a-f]{8}):? ?([0-9a-f]*)/.exec(error.message);
  const message = `the node refused: ${vaultError(found?.[1], found?.[2]) ?? error.shortMessage}`;
  return { exitCode: EXIT.refused, code: 'TRANSACTION_FAILED', message, retryable: false, docsUrl: undefined };
}

function vaultError(selector = '', encoded = ''): string | undefined {
  try {
    const { errorName, args } = decodeErrorResult({ abi: vaultAbi, data: `${selector}${encoded}` as Hex });
    return `${errorName}(${(args ?? []).join(', ')})`;
  } catch {
    return undefined;
  }
}

function exitCodeOf(code: string, retryable: boolean): number {
  if (USAGE_CODES.has(code)) return EXIT.usage;
  if (WRONG_CODES.has(code)) return EXIT.wrong;
  return retryable || UNAVAILABLE_CODES.has(code) ? EXIT.unavailable : EXIT.refused;
}

/** Errors of pg are told by their codes: of the system, or SQLSTATE. */
function databaseAway(error: unknown): string | undefined {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (error instanceof AggregateError) return databaseAway(error.errors[0]);
  if (typeof code !== 'string') {
    return typeof message === 'string' && /timeout exceeded when trying to connect|Connection terminated/.test(message)
      ? `the database does not answer: ${message}`
      : undefined;
  }
  if (/^(ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH)$/.test(code)) {
    return `the database cannot be reached (${code}): check DATABASE_URL`;
  }
  if (/^(08|57P|53|28|3D)/.test(code)) return `the database refused the connection: ${String(message)}`;
  if (code === '42P01') return `a table is missing (${String(message)}): run "tallystick migrate"`;
  return undefined;
}
