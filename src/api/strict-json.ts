/**
 * JSON as money needs it. `JSON.parse` keeps the last of two equal keys and rounds long numbers: a signed order could then mean
 * something else to the wallet and to us. So a scan comes first and refuses duplicate keys, deep nesting, and every number that
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
    return withoutPrototype(JSON.parse(text));
  } catch (cause) {
    throw cause instanceof ProblemError
      ? cause
      : malformed(`The body is not valid JSON: ${(cause as Error).message}.`, cause);
  }
}

type Frame = { readonly kind: 'object' | 'array'; readonly keys: Set<string>; expectKey: boolean };

function scan(text: string): void {
  const frames: Frame[] = [];
  let at = 0;
  while (at < text.length) {
    const character = text.charAt(at);
    const frame = frames.at(-1);
    if (character === '{' || character === '[') {
      if (frames.length === JSON_DEPTH_MAX) throw malformed(`The body is nested deeper than ${JSON_DEPTH_MAX} levels.`);
      frames.push({ kind: character === '{' ? 'object' : 'array', keys: new Set(), expectKey: character === '{' });
      at++;
    } else if (character === '}' || character === ']') {
      frames.pop();
      at++;
    } else if (character === ',') {
      if (frame !== undefined) frame.expectKey = frame.kind === 'object';
      at++;
    } else if (character === '"') {
      const end = endOfString(text, at);
      if (frame?.expectKey === true) {
        const key = keyOf(text.slice(at, end));
        if (frame.keys.has(key))
          throw malformed(`The key ${JSON.stringify(key.slice(0, 60))} occurs twice in one object.`);
        frame.keys.add(key);
        frame.expectKey = false;
      }
      at = end;
    } else if (character === '-' || (character >= '0' && character <= '9')) {
      at = checkNumber(text, at);
    } else {
      at++;
    }
  }
}

/** Index just behind the closing quote, or the end of the text. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== 34) at += text.charCodeAt(at) === 92 ? 2 : 1;
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

/** Refuses the keys that reach a prototype. */
function withoutPrototype(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Object.hasOwn(value, '__proto__')) throw malformed('The key "__proto__" is not allowed.');
  for (const child of Object.values(value)) withoutPrototype(child);
  return value;
}

function malformed(message: string, cause?: unknown): ProblemError {
  return new ProblemError('MALFORMED_JSON', message, {
    ...(cause === undefined ? {} : { cause }),
    errors: [{ pointer: '', code: 'malformed_json', message }],
  });
}
