import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CodecError } from '../../src/domain/byte-codec.ts';
import {
  decodeCommand,
  decodeSequencedCommand,
  encodeCommand,
  encodeSequencedCommand,
  joinBody,
  splitBody,
} from '../../src/domain/command-codec.ts';
import type { SequencedCommand } from '../../src/domain/commands.ts';
import { anyCommand, anySequencedCommand, COMMAND_KINDS, commandOfKind } from './arbitrary-commands.ts';

const TICK = { sequence: 300, timestampMs: 1, command: { kind: 'tick' } } as SequencedCommand;

function problemOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof CodecError, String(error));
    return error.problem;
  }
  throw new assert.AssertionError({ message: 'nothing was thrown' });
}

describe('the binary form of commands', () => {
  for (const kind of COMMAND_KINDS) {
    it(`gives every ${kind} back exactly`, () => {
      fc.assert(
        fc.property(commandOfKind(kind), (command) => {
          assert.deepEqual(decodeCommand(encodeCommand(command)), command);
        }),
        { numRuns: 40 },
      );
    });
  }

  it('keeps sequence and time', () => {
    fc.assert(
      fc.property(anySequencedCommand, (sequenced) => {
        assert.deepEqual(decodeSequencedCommand(encodeSequencedCommand(sequenced)), sequenced);
      }),
    );
  });

  it('has one encoding per command: bytes that decode encode to themselves', () => {
    fc.assert(
      fc.property(anySequencedCommand, fc.nat(), fc.nat({ max: 255 }), (sequenced, at, byte) => {
        const bytes = encodeSequencedCommand(sequenced);
        bytes[at % bytes.length] = byte;
        let decoded: SequencedCommand;
        try {
          decoded = decodeSequencedCommand(bytes);
        } catch (error) {
          assert.ok(error instanceof CodecError, String(error));
          return;
        }
        assert.deepEqual(encodeSequencedCommand(decoded), bytes);
      }),
      { numRuns: 2_000 },
    );
  });

  it('refuses missing and trailing bytes by name', () => {
    fc.assert(
      fc.property(anyCommand, fc.nat(), (command, cut) => {
        const bytes = encodeCommand(command);
        assert.notEqual(
          problemOf(() => decodeCommand(bytes.subarray(0, cut % bytes.length))),
          'trailing_bytes',
        );
        assert.equal(
          problemOf(() => decodeCommand(new Uint8Array([...bytes, 0]))),
          'trailing_bytes',
        );
      }),
    );
    assert.equal(
      problemOf(() => decodeCommand(new Uint8Array())),
      'truncated',
    );
  });

  it('refuses versions and kinds it does not know', () => {
    assert.equal(
      problemOf(() => decodeCommand(new Uint8Array([2, 40]))),
      'unknown_version',
    );
    assert.equal(
      problemOf(() => decodeCommand(new Uint8Array([1, 255]))),
      'unknown_kind',
    );
  });

  it('stays as it was first written: version, sequence 300, time 1, kind 40', () => {
    assert.deepEqual([...encodeSequencedCommand(TICK)], [1, 0xac, 0x02, 1, 40]);
  });

  it('refuses values that would not come back', () => {
    assert.throws(() => encodeSequencedCommand({ ...TICK, timestampMs: -1 } as SequencedCommand), RangeError);
    assert.throws(() => encodeSequencedCommand({ ...TICK, timestampMs: 0.5 } as SequencedCommand), RangeError);
    assert.throws(() => encodeCommand({ kind: 'haltWithdrawals', reason: '\ud800' }), RangeError);
    const account = `0x${'AB'.repeat(20)}` as const;
    assert.throws(() => encodeCommand({ kind: 'cancelAllOrders', account, market: undefined }), RangeError);
  });

  it('splits a body into the commands it was joined from, and notices a torn one', () => {
    fc.assert(
      fc.property(fc.array(anySequencedCommand, { minLength: 1, maxLength: 5 }), (commands) => {
        const encoded = commands.map(encodeSequencedCommand);
        const body = joinBody(encoded);
        assert.deepEqual(splitBody(body), encoded);
        assert.equal(
          problemOf(() => splitBody(body.subarray(0, body.length - 1))),
          'truncated',
        );
      }),
    );
  });
});
