/** The vault's reader for a database that holds some of its events already. */
import type { Pool } from 'pg';
import { createVaultReader, type VaultReader } from '../chain/vault-reader.ts';
import type { Address } from '../domain/units.ts';
import { decodeChainFact } from '../storage/chain-facts.ts';

/** Goes on where the stored events end: markets are named after assets that were listed long before. */
export async function createStoredVaultReader(pool: Pool, vault: Address): Promise<VaultReader> {
  const { rows } = await pool.query<{ payload: unknown }>(
    "SELECT payload FROM chain_events WHERE kind = 'assetListed'",
  );
  const symbols = rows.flatMap(({ payload }): [number, string][] => {
    const fact = decodeChainFact(payload);
    return fact.kind === 'assetListed' ? [[fact.asset.index, fact.asset.symbol]] : [];
  });
  return createVaultReader(vault, symbols);
}
