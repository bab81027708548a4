/** JSON as money needs it: what JSON.parse would let pass, and must not. */
import assert from 'node:assert/strict';
import { ProblemError } from '../../src/api/problem.ts';
import { JSON_DEPTH_MAX, parseStrictJson } from '../../src/api/strict-json.ts';

describe('strict JSON', () => {
  it('reads what JSON.parse reads', () => {
    for (const text of [
      '{}',
      '[]',
      '""',
      '1',
      '-5',
      'null',
      '{"a":[1,{"b":"\\"x\\\\"}],"c":{"b":2}}',
      ' { "a" : "}," } ',
      '"1e5"',
    ]) {
      assert.deepEqual(parseStrictJson(Buffer.from(text)), JSON.parse(text), text);
    }
  });

  const refused: [string, string | Buffer, RegExp][] = [
    ['a key twice', '{"a":"1","a":"2"}', /"a" occurs twice/],
    ['a key twice, once escaped', '{"a":1,"\\u0061":2}', /"a" occurs twice/],
    ['a key twice far below', '{"x":[{"y":{"a":1,"b":2,"a":3}}]}', /"a" occurs twice/],
    ['an exponent', '{"a":1e3}', /plain integer/],
    ['a fraction', '{"a":0.1}', /plain integer/],
    ['a number beyond 2^53', '{"a":12345678901234567890}', /plain integer/],
    ['a leading zero', '{"a":01}', /plain integer/],
    ['NaN', '{"a":NaN}', /not valid JSON/],
    ['Infinity', '{"a":Infinity}', /not valid JSON/],
    ['minus zero', '{"a":-0}', /plain integer/],
    ['nesting too deep', `${'['.repeat(JSON_DEPTH_MAX + 1)}${']'.repeat(JSON_DEPTH_MAX + 1)}`, /deeper than 12/],
    ['a million opening brackets', '['.repeat(1_000_000), /deeper than 12/],
    ['a cut body', '{"a":"1', /not valid JSON/],
    ['a comment', '{"a":1 /* one */}', /not valid JSON/],
    ['a trailing comma', '{"a":1,}', /not valid JSON/],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), /not UTF-8/],
    ['a key that reaches the prototype', '{"__proto__":{"admin":true}}', /__proto__/],
    ['the same, escaped and far below', '{"x":[{"\\u005f_proto__":{"admin":true}}]}', /__proto__/],
    ['a key twice behind an escaped quote', '{"a":"\\"}","a":1}', /"a" occurs twice/],
  ];
  for (const [what, text, message] of refused) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => parseStrictJson(typeof text === 'string' ? Buffer.from(text) : text),
        (error) => error instanceof ProblemError && error.code === 'MALFORMED_JSON' && message.test(error.message),
      );
    });
  }
});
