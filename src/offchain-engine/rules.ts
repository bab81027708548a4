/**
 * Versions of the engine's semantics. A journal is replayed under the rules it was written under: from genesis on the first
 * version applies, and each `activateRules` command hands over to a later one.
 *
 * A version that has run anywhere is never changed: whatever gives another state, event or batch for some journal is a new
 * version, which shares the modules that did not change and brings its own of those that did. Golden journals, one set
 * per version, hold each to this; they are never regenerated.
 */

import type { Command } from '../domain/commands.ts';
import * as commandTerms from '../domain/commands.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { CommandRecords } from './command-records.ts';
import { applyRules1 } from './rules-1.ts';
import type { EngineState } from './state.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { RULES_VERSION } = commandTerms;

/** What a command does; deadlines before and triggered stops after it are the same in every version. */
type Rules = (state: EngineState, records: CommandRecords, index: number) => void;

/** Every command but the one that all versions share. */
export type RuledCommand = Exclude<Command, { readonly kind: 'activateRules' }>;

/** By version. */
const VERSIONS: readonly (Rules | undefined)[] = [undefined, applyRules1];

/**
 * Applies the command of the record `index` under the state's rules.
 * @throws ExchangeError CONFIGURATION when it activates a version that this program does not know, or one that is older than the active one
 */
export function applyByRules(state: EngineState, records: CommandRecords, index: number): void {
  const rules = VERSIONS[state.rulesVersion];
  if (rules === undefined) throw unknownRules(state.rulesVersion);
  const rare = records.commands[index];
  if (rare !== undefined && rare.kind === 'activateRules') activateRules(state, rare.version);
  else rules(state, records, index);
}

function activateRules(state: EngineState, version: number): void {
  if (VERSIONS[version] === undefined) throw unknownRules(version);
  if (version < state.rulesVersion) {
    throw new ExchangeError(
      'CONFIGURATION',
      `the journal activates rules version ${version} after version ${state.rulesVersion}; versions only rise`,
      { details: { version, active: state.rulesVersion } },
    );
  }
  state.rulesVersion = version;
}

function unknownRules(version: number): ExchangeError {
  return new ExchangeError(
    'CONFIGURATION',
    `the journal activates rules version ${version}; this program knows versions 1 to ${RULES_VERSION}. Run a newer one`,
    { details: { version, newest: RULES_VERSION } },
  );
}
