/**
 * Golden journals: for each rules version, journals as they were written when the version was frozen, with the state and the
 * unsigned batches they gave then. Replaying them must give the same for ever; a difference is a change of semantics, which
 * takes a new version. The files of a version that has shipped are never written again: `write-golden.ts` refuses to, and what it wrote
 * once is held to the fingerprints below, so that files that were deleted and written anew are noticed.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { RULES_VERSION } from '../../src/domain/commands.ts';
import { COMMAND_KINDS } from '../domain/arbitrary-commands.ts';
import { Exchange } from './support/exchange.ts';
import { fingerprintOf, type Golden, goldenDirectory, kindsOf, replayGolden } from './support/golden-journals.ts';

/** By rules version and file, as `write-golden.ts` printed them. Lines are added and never changed. */
const FROZEN: Readonly<Record<number, Readonly<Record<string, string>>>> = {
  1: {
    'life-21.json': 'f122f9125c009e6dbd060e398019f4cbf813d287bdc1c30d7e3ac37d395f712c',
    'life-3.json': '8bc096f6e3f4e106e3c4fdf597ad6446d709810013b155a6256d4012f0eec718',
    'life-8.json': 'a773952bb1a3a71a304db15af7c45660e2a63311dd23b2680d9ceca4e90ccfe6',
    'resealed.json': 'e55b40109cfe7718bf5e23e2c8c2869aeee3e0c95ca3a8e7c24000a083384d2a',
    'scripted.json': '7acbe30a93fbadb570a61c291b1d7acbd4a99d03eebf7e8977ab3c0f3f1a5eed',
  },
};

describe('golden journals', () => {
  for (let version = 1; version <= RULES_VERSION; version++) {
    const directory = goldenDirectory(version);
    const read = (name: string): Golden => JSON.parse(readFileSync(new URL(name, directory), 'utf8')) as Golden;
    const names = readdirSync(directory);

    it(`of rules version ${version} have every kind of command`, () => {
      const seen = new Set(names.flatMap((name) => [...kindsOf(read(name).journal)]));
      assert.deepEqual(
        COMMAND_KINDS.filter((kind) => !seen.has(kind)),
        [],
      );
    });

    it(`of rules version ${version} are the very files that were frozen`, () => {
      const found = Object.fromEntries(names.map((name) => [name, fingerprintOf(read(name))]));
      const advice =
        'A golden file was changed, removed or added. Take the old one back from git: what gives another journal, state or event is a new rules version. One that is new gets a line in FROZEN.';
      assert.deepEqual(found, FROZEN[version], advice);
    });

    for (const name of names) {
      it(`give the same state, events and batches under rules version ${version} as when it was frozen: ${name}`, () => {
        const { journal, ...expected } = read(name);
        assert.equal(expected.rulesVersion, version);
        assert.deepEqual(replayGolden(journal), expected);
      });
    }
  }
});

describe('activating rules', () => {
  it('is refused by name for a version that this program does not know', () => {
    const exchange = new Exchange();
    assert.throws(() => exchange.apply({ kind: 'activateRules', version: RULES_VERSION + 1 }), {
      code: 'CONFIGURATION',
      message: /activates rules version 2; this program knows versions 1 to 1\. Run a newer one/,
    });
  });

  it('never goes back', () => {
    const exchange = new Exchange();
    exchange.engine.core.rulesVersion = 2;
    assert.throws(() => exchange.apply({ kind: 'activateRules', version: 1 }), { code: 'CONFIGURATION' });
  });

  it('is a command like any other for the version in force', () => {
    const exchange = new Exchange();
    assert.deepEqual(exchange.apply({ kind: 'activateRules', version: RULES_VERSION }), []);
    assert.equal(exchange.engine.rulesVersion, RULES_VERSION);
  });
});
