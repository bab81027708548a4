/**
 * What the journal has to say of an event of the vault, from the auditor's own reading of it: the exchange's decoder, which wrote the
 * journal's facts, is not asked.
 */
import { WITHDRAWAL_OUTCOMES, type WithdrawalOutcomeCode } from '../domain/batches.ts';
import type { Hex } from '../domain/units.ts';
import type { ChainEvent } from './read-chain.ts';
import { lower } from './vault-model.ts';

export type ExpectedFact = Readonly<Record<string, unknown>>;

/** Events of the vault in their order; listings of assets tell the names of later markets. */
export function createFactReader(): (event: ChainEvent) => ExpectedFact {
  const symbols = new Map<number, string>();
  return ({ name, args }) => {
    const number = (key: string): number => Number(args[key]);
    const address = (key: string): string => lower(args[key]);
    switch (name) {
      case 'AssetListed': {
        const symbol = String(args['symbol']);
        symbols.set(number('asset'), symbol);
        const asset = {
          index: number('asset'),
          token: address('token'),
          symbol,
          decimals: number('decimals'),
          quantumUnits: args['quantum'],
          minDeposit: number('minimumDeposit'),
        };
        return { kind: 'assetListed', asset };
      }
      case 'MarketListed': {
        const [baseAsset, quoteAsset] = [number('baseAsset'), number('quoteAsset')];
        const market = {
          index: number('market'),
          symbol: `${symbols.get(baseAsset)}-${symbols.get(quoteAsset)}`,
          baseAsset,
          quoteAsset,
          lotQuanta: number('lotQuanta'),
          tickQuanta: number('tickQuanta'),
          maxSizeLots: number('maxSizeLots'),
          maxPriceTicks: number('maxPriceTicks'),
        };
        return { kind: 'marketListed', market };
      }
      case 'MarketDelisted':
        return { kind: 'marketDelisted', market: number('market') };
      case 'Deposited':
        return {
          kind: 'depositCredited',
          account: address('account'),
          asset: number('asset'),
          amount: number('quanta'),
        };
      case 'ExitRequested':
        return { kind: 'exitRequested', account: address('account'), asset: number('asset') };
      case 'ExitCancelled':
        return { kind: 'exitCancelled', account: address('account'), asset: number('asset') };
      case 'ExitExecuted':
        return { kind: 'exitExecuted', account: address('account'), asset: number('asset'), amount: number('quanta') };
      case 'FeesChanged':
        return { kind: 'feesChanged', takerFeePpm: number('takerFeePpm'), makerFeePpm: number('makerFeePpm') };
      case 'FeesCollected':
        return { kind: 'feesCollected', asset: number('asset'), amount: number('quanta') };
      case 'OrdersCancelled':
        return {
          kind: 'ordersCancelledOnChain',
          account: address('account'),
          beforeSequence: number('beforeSequence'),
        };
      case 'OrderRegistered':
        return { kind: 'orderRegistered', account: address('account'), digest: args['digest'] };
      case 'SessionKeyRegistered':
        return {
          kind: 'sessionKeyRegistered',
          account: address('account'),
          key: address('key'),
          validUntil: number('expiry'),
          marketMask: args['marketMask'],
        };
      case 'SessionKeyRevoked':
        return {
          kind: 'sessionKeyRevoked',
          account: address('account'),
          key: address('key'),
          validUntil: number('settleableUntil'),
        };
      case 'BatchSettled':
        return {
          kind: 'batchSettled',
          batchId: number('id'),
          contentHash: args['contentHash'],
          skips: readRecords(args['skips'] as Hex, 4).map((record) => ({
            trade: record.readUInt16BE(0),
            reason: record.readUInt8(3),
          })),
          withdrawals: readRecords(args['withdrawals'] as Hex, 17).map((record) => {
            const code = record.readUInt8(2) as WithdrawalOutcomeCode;
            const state = code === 0 ? 'executed' : 'failed';
            return { index: record.readUInt16BE(0), state, reason: WITHDRAWAL_OUTCOMES[code] };
          }),
        };
      default:
        return { kind: 'chainEventNoted', name };
    }
  };
}

function readRecords(packed: Hex, bytes: number): Buffer[] {
  const all = Buffer.from(packed.slice(2), 'hex');
  return Array.from({ length: Math.floor(all.length / bytes) }, (_, index) =>
    all.subarray(index * bytes, (index + 1) * bytes),
  );
}
