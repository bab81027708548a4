/** What a follower of the vault needs: its events decoded, and the number of the last one as the vault itself states it. */
import type { ChainFact } from '../domain/commands.ts';
import type { Address, ChainEventSequence, Hex } from '../domain/units.ts';
import { decodeInspectAnswer, encodeInspectCall } from './inspect-vault-codec.ts';
import { createVaultDecoder, type VaultLog } from './vault-events.ts';

export type VaultReader = {
  readonly vault: Address;
  /** Throws when the log is not one of the vault's events. Logs are to be decoded in order of their event sequence. */
  readonly decodeLog: (log: VaultLog) => { readonly eventSequence: ChainEventSequence; readonly fact: ChainFact };
  /** Call data of a view that returns the sequence of the last event. */
  readonly lastEventCall: Hex;
  readonly decodeLastEvent: (answer: Hex) => ChainEventSequence;
};

/** @param assetSymbols of the assets that were listed in events already followed: markets are named after them */
export function createVaultReader(
  vault: Address,
  assetSymbols: Iterable<readonly [index: number, symbol: string]> = [],
): VaultReader {
  const decoder = createVaultDecoder(assetSymbols);
  return {
    vault,
    decodeLog: (log) => decoder.decode(log),
    lastEventCall: encodeInspectCall([]),
    decodeLastEvent: (answer) => decodeInspectAnswer(answer).eventSequence,
  };
}
