/**
 * Golden journals: for each rules version, journals as they were written when the version was frozen, with the state and the
 * unsigned batches they gave then. Replaying them must give the same for ever; a difference is a change of semantics, which
 * takes a new version. The files of a version that has shipped are never written again; `write-golden.ts` refuses to.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { RULES_VERSION } from '../../src/domain/commands.ts';
import { COMMAND_KINDS } from '../domain/arbitrary-commands.ts';
import { Exchange } from './support/exchange.ts';
import { type Golden, goldenDirectory, kindsOf, replayGolden } from './support/golden-journals.ts';

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
