/** A vault event as JSON in `chain_events.payload`: integers beyond 2^53 are decimal strings. */
import type { ChainFact } from '../domain/commands.ts';

export function encodeChainFact(fact: ChainFact): string {
  switch (fact.kind) {
    case 'assetListed':
      return JSON.stringify({ ...fact, asset: { ...fact.asset, quantumUnits: fact.asset.quantumUnits.toString() } });
    case 'sessionKeyRegistered':
      return JSON.stringify({ ...fact, marketMask: fact.marketMask.toString() });
    default:
      return JSON.stringify(fact);
  }
}

/** The fact of a parsed payload. Written by `encodeChainFact` only, so its shape is trusted. */
export function decodeChainFact(payload: unknown): ChainFact {
  const fact = payload as ChainFact;
  switch (fact.kind) {
    case 'assetListed':
      return { ...fact, asset: { ...fact.asset, quantumUnits: BigInt(fact.asset.quantumUnits) } };
    case 'sessionKeyRegistered':
      return { ...fact, marketMask: BigInt(fact.marketMask) };
    default:
      return fact;
  }
}
