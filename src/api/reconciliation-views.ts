/** Reconciliations, solvency and incidents as the API shows them. */
import { type Static, Type } from 'typebox';
import type { Asset } from '../domain/markets.ts';
import { formatAmount } from '../domain/markets.ts';
import type { Address } from '../domain/units.ts';
import { unitsToDecimal } from '../domain/units.ts';
import type { IncidentRow, ReconciliationRow, SolvencyRow } from '../storage/queries/reconciliation.ts';
import { toChecksum } from './addresses.ts';
import { DecimalOut, nullable, object, TimeMs } from './schemas.ts';

export const SolvencyView = object({
  asset: Type.String(),
  booked: Type.String({ description: "Everything on the vault's books, fees included." }),
  fees: Type.String({ description: 'The part of it that is collected fees.' }),
  held: Type.String({ description: "The vault's token balance." }),
  surplus: Type.String({ description: 'Held minus booked; negative when insolvent.' }),
  solvent: Type.Boolean(),
});
export type SolvencyView = Static<typeof SolvencyView>;

export const ReconciliationView = object({
  id: Type.Integer(),
  batchId: Type.Integer(),
  blockNumber: Type.Integer(),
  blockHash: Type.String(),
  eventSequence: Type.Integer({ description: 'Vault event at which both sides were compared.' }),
  accountsCompared: Type.Integer(),
  balancesCompared: Type.Integer(),
  fullSweep: Type.Boolean({ description: 'Every account, not only those that changed.' }),
  drifted: Type.Boolean(),
  drift: Type.Array(object({ account: Type.String(), asset: Type.String(), ledger: DecimalOut, vault: DecimalOut })),
  solvency: Type.Array(SolvencyView),
  checkedAt: TimeMs,
});
export type ReconciliationView = Static<typeof ReconciliationView>;

export const IncidentView = object({
  id: Type.Integer(),
  kind: Type.String(),
  summary: Type.String(),
  openedAt: TimeMs,
  closedAt: nullable(TimeMs),
  resolution: nullable(Type.String()),
});
export type IncidentView = Static<typeof IncidentView>;

export function solvencyViews(rows: readonly SolvencyRow[], assets: readonly Asset[]): SolvencyView[] {
  return rows.flatMap((row) => {
    const asset = assets.find((listed) => listed.index === row.asset);
    if (asset === undefined) return [];
    const surplus = BigInt(row.balanceOf) - BigInt(row.booked);
    const decimal = (units: bigint): string => unitsToDecimal(units, asset.decimals);
    return [
      {
        asset: asset.symbol,
        booked: decimal(BigInt(row.booked)),
        fees: decimal(BigInt(row.fees)),
        held: decimal(BigInt(row.balanceOf)),
        surplus: decimal(surplus),
        solvent: surplus >= 0n,
      },
    ];
  });
}

export function reconciliationView(row: ReconciliationRow, assets: readonly Asset[]): ReconciliationView {
  return {
    id: row.id,
    batchId: row.batchId,
    blockNumber: row.blockNumber,
    blockHash: row.blockHash,
    eventSequence: row.eventSequence,
    accountsCompared: row.accountsCompared,
    balancesCompared: row.balancesCompared,
    fullSweep: row.fullSweep,
    drifted: row.drifted,
    drift: row.drift.flatMap((entry) => {
      const asset = assets.find((listed) => listed.index === entry.asset);
      if (asset === undefined) return [];
      return [
        {
          // "total" stands for the sum over all accounts.
          account: entry.account.startsWith('0x') ? toChecksum(entry.account as Address) : entry.account,
          asset: asset.symbol,
          ledger: formatAmount(entry.ledger, asset),
          vault: formatAmount(entry.vault, asset),
        },
      ];
    }),
    solvency: solvencyViews(row.solvency, assets),
    checkedAt: row.checkedAtMs,
  };
}

export function incidentView(row: IncidentRow): IncidentView {
  return {
    id: row.id,
    kind: row.kind,
    summary: row.summary,
    openedAt: row.openedAtMs,
    closedAt: row.closedAtMs ?? null,
    resolution: row.resolution ?? null,
  };
}
