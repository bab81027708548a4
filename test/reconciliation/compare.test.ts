import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Address, quanta } from '../../src/domain/units.ts';
import { compareBooks, FEE_ACCOUNT, type LedgerBalance, type VaultBooks } from '../../src/reconciliation/compare.ts';
import { describeDrift } from '../../src/reconciliation/run-reconciler.ts';

const address = (number: number): Address => `0x${number.toString(16).padStart(40, '0')}`;
const row = (account: Address, asset: number, settled: number): LedgerBalance => ({
  account,
  asset,
  settled: quanta(settled),
});

function books(balances: [Address, number[]][], fees: number[], held?: bigint[]): VaultBooks {
  return {
    balances: new Map(balances.map(([account, amounts]) => [account, amounts.map(quanta)])),
    assets: fees.map((fee, asset) => {
      const booked = fee + balances.reduce((sum, [, amounts]) => sum + (amounts[asset] ?? 0), 0);
      return {
        booked: quanta(booked),
        fees: quanta(fee),
        quantumUnits: 10n,
        heldUnits: held?.[asset] ?? BigInt(booked) * 10n,
      };
    }),
  };
}

describe('comparing ledger and vault', () => {
  it('finds nothing where both show the same', () => {
    const ledger = [row(address(1), 0, 5), row(address(2), 1, 7), row(FEE_ACCOUNT, 0, 1)];
    const totals = new Map([
      [0, 6],
      [1, 7],
    ]);
    const result = compareBooks(
      ledger,
      books(
        [
          [address(1), [5, 0]],
          [address(2), [0, 7]],
        ],
        [1, 0],
      ),
      totals,
    );
    assert.deepEqual(result.drift, []);
    assert.equal(result.accountsCompared, 2);
    assert.equal(result.balancesCompared, 8);
  });

  it('finds one quantum in one account and names it', () => {
    const result = compareBooks([row(address(1), 0, 5)], books([[address(1), [6]]], [0]));
    assert.deepEqual(result.drift, [{ account: address(1), asset: 0, ledger: 5, vault: 6 }]);
    assert.equal(describeDrift(result.drift), `Ledger and vault differ: ${address(1)} asset 0: ledger 5, vault 6`);
  });

  it('takes a balance that the ledger does not have as zero', () => {
    const result = compareBooks([row(address(1), 0, 5)], books([[address(1), [5, 3]]], [0, 0]));
    assert.deepEqual(result.drift, [{ account: address(1), asset: 1, ledger: 0, vault: 3 }]);
  });

  it('finds a ledger balance of an asset that the vault does not list', () => {
    const result = compareBooks([row(address(1), 0, 5), row(address(1), 4, 2)], books([[address(1), [5]]], [0]));
    assert.deepEqual(result.drift, [{ account: address(1), asset: 4, ledger: 2, vault: 0 }]);
  });

  it('finds fees that differ', () => {
    const result = compareBooks([row(FEE_ACCOUNT, 0, 3)], books([], [4]));
    assert.deepEqual(result.drift, [{ account: FEE_ACCOUNT, asset: 0, ledger: 3, vault: 4 }]);
  });

  it('finds an account that only the vault has by the total of a sweep', () => {
    const vault = books([[address(1), [5]]], [0]);
    const hidden = { ...vault, assets: [{ ...vault.assets[0]!, booked: quanta(9) }] };
    const result = compareBooks([row(address(1), 0, 5)], hidden, new Map([[0, 5]]));
    assert.deepEqual(result.drift, [{ account: 'total', asset: 0, ledger: 5, vault: 9 }]);
  });

  it('compares books and token balance in base units', () => {
    const [short, exact] = [49n, 50n].map(
      (held) => compareBooks([], books([[address(1), [5]]], [0], [held])).solvency[0],
    );
    assert.equal(short?.solvent, false);
    assert.equal(exact?.solvent, true);
    assert.equal(exact?.bookedUnits, 50n);
  });

  it('finds exactly the balances that were changed, whatever they are', () => {
    const amounts = fc.array(fc.array(fc.nat(1_000), { minLength: 3, maxLength: 3 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(amounts, fc.nat(), fc.nat(2), (table, victim, asset) => {
        const accounts = table.map((_, index) => address(index + 1));
        const vault = books(
          table.map((balances, index) => [accounts[index] as Address, balances]),
          [0, 0, 0],
        );
        const chosen = accounts[victim % accounts.length] as Address;
        const ledger = table.flatMap((balances, index) =>
          balances.map((balance, slot) =>
            row(accounts[index] as Address, slot, accounts[index] === chosen && slot === asset ? balance + 1 : balance),
          ),
        );
        const { drift } = compareBooks(ledger, vault);
        assert.equal(drift.length, 1);
        assert.equal(drift[0]?.account, chosen);
        assert.equal(drift[0]?.asset, asset);
      }),
    );
  });
});
