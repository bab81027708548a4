/**
 * The comparison itself: ledger against vault, account by account and asset by asset, in quanta. Pure.
 *
 * The ledger's figures come from the engine's own batches minus the skips that the vault reported, the vault's from its storage; neither is
 * derived from the other, so that an error on either side shows.
 */
import type { Address, Quanta } from '../domain/units.ts';

/** Owner of the fees in the ledger. */
export const FEE_ACCOUNT: Address = '0x0000000000000000000000000000000000000000';

export type LedgerBalance = { readonly account: Address; readonly asset: number; readonly settled: Quanta };

/** The vault's side: quanta by asset index for each account asked for, and totals per asset. */
export type VaultBooks = {
  readonly balances: ReadonlyMap<Address, readonly Quanta[]>;
  readonly assets: readonly {
    readonly booked: Quanta;
    readonly fees: Quanta;
    readonly quantumUnits: bigint;
    readonly heldUnits: bigint;
  }[];
};

/** One figure that differs. `account` is FEE_ACCOUNT for fees, and `total` for the sum over all accounts of an asset. */
export type Drift = {
  readonly account: Address | 'total';
  readonly asset: number;
  readonly ledger: number;
  readonly vault: number;
};

export type AssetSolvency = {
  readonly asset: number;
  /** Token base units. */
  readonly bookedUnits: bigint;
  readonly feesUnits: bigint;
  readonly heldUnits: bigint;
  readonly solvent: boolean;
};

export type Comparison = {
  readonly drift: readonly Drift[];
  readonly solvency: readonly AssetSolvency[];
  readonly accountsCompared: number;
  readonly balancesCompared: number;
};

/**
 * Compares every ledger row, and every vault balance of the accounts in `vault.balances`: one that the ledger does not have counts as zero there.
 *
 * @param ledgerTotals sum of all settled balances per asset, fees included; undefined when not every account was read
 */
export function compareBooks(
  ledger: readonly LedgerBalance[],
  vault: VaultBooks,
  ledgerTotals?: ReadonlyMap<number, number>,
): Comparison {
  const settled = new Map(ledger.map((row) => [`${row.account} ${row.asset}`, row.settled]));
  const drift: Drift[] = [];
  let balancesCompared = 0;
  const check = (account: Drift['account'], asset: number, inLedger: number, inVault: number): void => {
    balancesCompared += 1;
    if (inLedger !== inVault) drift.push({ account, asset, ledger: inLedger, vault: inVault });
  };
  for (const [account, balances] of vault.balances) {
    for (const [asset, balance] of balances.entries())
      check(account, asset, settled.get(`${account} ${asset}`) ?? 0, balance);
  }
  for (const { account, asset, settled: amount } of ledger) {
    // The vault shows no figure for an asset that it has not listed, or an account that was not asked for: only zero fits that.
    const shown = account === FEE_ACCOUNT ? vault.assets[asset] : vault.balances.get(account)?.[asset];
    if (shown === undefined) check(account, asset, amount, 0);
  }
  for (const [asset, state] of vault.assets.entries()) {
    check(FEE_ACCOUNT, asset, settled.get(`${FEE_ACCOUNT} ${asset}`) ?? 0, state.fees);
    if (ledgerTotals !== undefined) check('total', asset, ledgerTotals.get(asset) ?? 0, state.booked);
  }
  const solvency = vault.assets.map((state, asset) => {
    const bookedUnits = BigInt(state.booked) * state.quantumUnits;
    const feesUnits = BigInt(state.fees) * state.quantumUnits;
    return { asset, bookedUnits, feesUnits, heldUnits: state.heldUnits, solvent: bookedUnits <= state.heldUnits };
  });
  return { drift, solvency, accountsCompared: vault.balances.size, balancesCompared };
}
