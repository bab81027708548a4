/** How the indexer reads the vault: its events, and the number of the last one from its state at a block. */
import type { Pool } from 'pg';
import { createVaultDecoder } from '../chain/vault-events.ts';
import type { Address, ChainEventSequence, Hex } from '../domain/units.ts';
import { decodeChainFact } from '../storage/chain-facts.ts';
import type { VaultReader } from './read-blocks.ts';

/** `inspect(address[])` with no accounts: selector, offset, length. */
const INSPECT_NOTHING: Hex = `0x573a3f29${'20'.padStart(64, '0')}${'0'.repeat(64)}`;
/** The answer is one struct behind its offset: batchId, batchHash, epoch, eventSequence … */
const EVENT_SEQUENCE_WORD = 4;

/** @throws RangeError when the answer is not that of `inspect`. */
export function lastEventOfInspect(answer: Hex): ChainEventSequence {
  const word = answer.slice(2 + 64 * EVENT_SEQUENCE_WORD, 66 + 64 * EVENT_SEQUENCE_WORD);
  if (word.length !== 64) throw new RangeError(`expected the vault's state, got ${answer.length} characters`);
  return Number(`0x${word}`) as ChainEventSequence;
}

/** A reader of `vault` that goes on where the stored events end: market symbols are made of assets listed long before. */
export async function createVaultReader(pool: Pool, vault: Address): Promise<VaultReader> {
  const { rows } = await pool.query<{ payload: unknown }>(
    "SELECT payload FROM chain_events WHERE kind = 'assetListed'",
  );
  const symbols = rows.flatMap(({ payload }): [number, string][] => {
    const fact = decodeChainFact(payload);
    return fact.kind === 'assetListed' ? [[fact.asset.index, fact.asset.symbol]] : [];
  });
  const decoder = createVaultDecoder(symbols);
  return {
    vault,
    decodeLog: (log) => decoder.decode(log),
    lastEventCall: INSPECT_NOTHING,
    decodeLastEvent: lastEventOfInspect,
  };
}
