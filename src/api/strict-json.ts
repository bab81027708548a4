/**
 * JSON as money needs it. `JSON.parse` keeps the last of two equal keys and rounds long numbers: a signed order could then mean
 * something else to the wallet and to us. So a scan comes first and refuses duplicate keys, `__proto__`, deep nesting, and every number that
 * is not a plain integer of safe size (amounts are strings here). It tolerates bad grammar, which JSON.parse then refuses.
 */
import { ProblemError } from './problem.ts';

export const JSON_DEPTH_MAX = 12;

const decoder = new TextDecoder('utf-8', { fatal: true });

/** @throws ProblemError MALFORMED_JSON with the place at fault. */
export function parseStrictJson(body: Uint8Array | string): unknown {
  let text: string;
  try {
    text = typeof body === 'string' ? body : decoder.decode(body);
  } catch (cause) {
    throw malformed('The body is not UTF-8.', cause);
  }
  scan(text);
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw malformed(`The body is not valid JSON: ${(cause as Error).message}.`, cause);
  }
}

/** Keys are looked through one by one while they are few, as in every message of ours; then they become a set. */
type Frame = {
  readonly isObject: boolean;
  readonly keys: string[];
  keySet: Set<string> | undefined;
  expectKey: boolean;
};

const KEYS_LISTED_MAX = 24;

function scan(text: string): void {
  const frames: Frame[] = [];
  const hasEscapes = text.includes('\\');
  let at = 0;
  while (at < text.length) {
    const frame = frames.at(-1);
    switch (text.charCodeAt(at)) {
      case OPEN_BRACE:
      case OPEN_BRACKET: {
        if (frames.length === JSON_DEPTH_MAX)
          throw malformed(`The body is nested deeper than ${JSON_DEPTH_MAX} levels.`);
        const isObject = text.charCodeAt(at) === OPEN_BRACE;
        frames.push({ isObject, keys: [], keySet: undefined, expectKey: isObject });
        at++;
        break;
      }
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        frames.pop();
        at++;
        break;
      case COMMA:
        if (frame !== undefined) frame.expectKey = frame.isObject;
        at++;
        break;
      case QUOTE: {
        const end = endOfString(text, at, hasEscapes);
        if (frame?.expectKey === true) {
          addKey(frame, hasEscapes ? keyOf(text.slice(at, end)) : text.slice(at + 1, end - 1));
          frame.expectKey = false;
        }
        at = end;
        break;
      }
      default:
        at = isNumberStart(text.charCodeAt(at)) ? checkNumber(text, at) : at + 1;
    }
  }
}

const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

function isNumberStart(code: number): boolean {
  return code === 0x2d || (code >= 0x30 && code <= 0x39);
}

/** Refuses a key that was there before, and the one that reaches a prototype. */
function addKey(frame: Frame, key: string): void {
  const isKnown = frame.keySet === undefined ? frame.keys.includes(key) : frame.keySet.has(key);
  if (isKnown) throw malformed(`The key ${JSON.stringify(key.slice(0, 60))} occurs twice in one object.`);
  if (key === '__proto__') throw malformed('The key "__proto__" is not allowed.');
  if (frame.keySet !== undefined) {
    frame.keySet.add(key);
    return;
  }
  frame.keys.push(key);
  if (frame.keys.length > KEYS_LISTED_MAX) frame.keySet = new Set(frame.keys);
}

/** Index just behind the closing quote, or the end of the text. */
function endOfString(text: string, start: number, hasEscapes: boolean): number {
  if (!hasEscapes) {
    const quote = text.indexOf('"', start + 1);
    return quote === -1 ? text.length : quote + 1;
  }
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1;
  return Math.min(at + 1, text.length);
}

/** Keys are compared unescaped, so that "a" and "\u0061" count as one. */
function keyOf(literal: string): string {
  try {
    return JSON.parse(literal) as string;
  } catch {
    return literal;
  }
}

function checkNumber(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && '0123456789+-.eE'.includes(text.charAt(at))) at++;
  const literal = text.slice(start, at);
  if (!/^-?(0|[1-9][0-9]*)$/.test(literal) || !Number.isSafeInteger(Number(literal)) || literal === '-0') {
    throw malformed(
      `The number ${literal.slice(0, 60)} is not a plain integer below 2^53; send amounts and prices as decimal strings.`,
    );
  }
  return at;
}

function malformed(message: string, cause?: unknown): ProblemError {
  return new ProblemError('MALFORMED_JSON', message, {
    ...(cause === undefined ? {} : { cause }),
    errors: [{ pointer: '', code: 'malformed_json', message }],
  });
}
