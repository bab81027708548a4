import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CodecError } from '../../src/domain/byte-codec.ts';
import { decodeSequencedCommand, encodeSequencedCommand } from '../../src/domain/command-codec.ts';
import type { SequencedCommand } from '../../src/domain/commands.ts';
import type { Address, Hex } from '../../src/domain/units.ts';
import { Accounts } from '../../src/offchain-engine/accounts.ts';
import { CommandRecords } from '../../src/offchain-engine/command-records.ts';
import { decodeRecord } from '../../src/offchain-engine/decode-record.ts';
import { Engine } from '../../src/offchain-engine/engine.ts';
import { stateHash } from '../../src/offchain-engine/snapshot.ts';
import { anySequencedCommand, commandOfKind } from '../domain/arbitrary-commands.ts';
import { Life, lives } from './support/random-exchange.ts';

const NAMED = ['placeOrder', 'replaceOrder', 'cancelOrder'];

/** What applying a record reads of it. */
function contentOf(records: CommandRecords): unknown {
  const { ints, floats, commands, signers } = records;
  const kind = ints[0];
  const key = [kind, floats[6], floats[7]];
  if (commands[0] !== undefined) return [...key, commands[0]];
  const nonce = [ints[1], ints[2], floats[4]];
  // Slots that a kind does not use hold whatever the record's last use left there.
  if (kind === 3) return [...key, ...nonce];
  const replaced = kind === 2 ? [ints[19], floats[10]] : [];
  return [
    ...key,
    ...nonce,
    ...replaced,
    signers[0],
    ...ints.slice(3, 4),
    ...ints.slice(16, 19),
    floats[2],
    floats[3],
    floats[5],
    ...ints.slice(24, 32),
  ];
}

function assertSameRecord(sequenced: SequencedCommand, accounts: Accounts): void {
  const written = new CommandRecords();
  written.write(0, sequenced, accounts);
  const decoded = new CommandRecords();
  decodeRecord(decoded, 0, encodeSequencedCommand(sequenced), accounts);
  assert.deepEqual(contentOf(decoded), contentOf(written));
}

/** The form that nearly all orders have: signed by the owner, without an id of the client's or a stop. */
function plain(sequenced: SequencedCommand): SequencedCommand {
  const { command } = sequenced;
  if (command.kind !== 'placeOrder') return sequenced;
  const order = { ...command.order, signer: command.order.account, clientOrderId: '', stop: undefined };
  return { ...sequenced, command: { kind: 'placeOrder', order } };
}

function accountsOf(sequenced: SequencedCommand): Accounts {
  const accounts = new Accounts();
  const { command } = sequenced;
  if ('order' in command) accounts.open(command.order.account);
  return accounts;
}

describe('records decoded from a journal row', () => {
  it('are those written for the decoded command, whatever the command', () => {
    fc.assert(
      fc.property(anySequencedCommand, (sequenced) => assertSameRecord(sequenced, new Accounts())),
      { numRuns: 2_000 },
    );
  });

  for (const kind of NAMED) {
    it(`are those written for a ${kind} of a known account, in its common form and in any other`, () => {
      const sequenced = fc.tuple(anySequencedCommand, commandOfKind(kind as 'placeOrder'));
      fc.assert(
        fc.property(sequenced, ([place, command]) => {
          const any = { ...place, command } as SequencedCommand;
          assertSameRecord(any, accountsOf(any));
          assertSameRecord(plain(any), accountsOf(any));
        }),
        { numRuns: 500 },
      );
    });
  }

  it('are refused exactly when the codec refuses the bytes', () => {
    fc.assert(
      fc.property(
        anySequencedCommand,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.nat(),
        (sequenced, at, flip, cut) => {
          const bytes = encodeSequencedCommand(plain(sequenced));
          const altered = bytes.slice();
          altered[at % bytes.length]! ^= flip;
          for (const candidate of [altered, bytes.subarray(0, cut % bytes.length), Uint8Array.of(...bytes, 0)]) {
            const verdict = outcomeOf(() => decodeSequencedCommand(candidate));
            assert.equal(
              outcomeOf(() => decodeRecord(new CommandRecords(), 0, candidate, new Accounts())),
              verdict,
            );
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('bring an engine to where the commands themselves bring it, rows of any length', () => {
    fc.assert(
      fc.property(lives(120), fc.integer({ min: 1, max: 40 }), (steps, perRow) => {
        const life = new Life();
        for (const step of steps) life.take(step);
        const engine = new Engine();
        const { journal } = life.exchange;
        for (let first = 0; first < journal.length; first += perRow)
          engine.executeEncoded(journal.slice(first, first + perRow).map(encodeSequencedCommand));
        assert.equal(stateHash(engine), stateHash(life.exchange.engine));
      }),
      { numRuns: 60 },
    );
  });
});

describe('accounts by their bytes', () => {
  it('are found like by their text, however many there are', () => {
    const accounts = new Accounts();
    const addresses = Array.from(
      { length: 3_000 },
      (_, index): Address => `0x${(index * 7_919).toString(16).padStart(40, '0')}`,
    );
    for (const address of addresses.slice(0, 2_000)) accounts.open(address);
    for (const address of addresses) assert.equal(accounts.findBytes(bytesOf(address), 0), accounts.find(address));
    assert.equal(
      accounts.findBytes(Buffer.concat([Buffer.from([9]), bytesOf(addresses[5]!)]), 1),
      accounts.find(addresses[5]!),
    );
  });
});

function bytesOf(hex: Hex): Uint8Array {
  return Buffer.from(hex.slice(2), 'hex');
}

function outcomeOf(decode: () => unknown): string {
  try {
    decode();
    return 'decoded';
  } catch (error) {
    assert.ok(error instanceof CodecError || error instanceof RangeError, String(error));
    return 'refused';
  }
}
