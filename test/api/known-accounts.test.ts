/** The look-up of accounts by itself: what is remembered, what is asked together, and what is never said. */
import assert from 'node:assert/strict';
import { KnownAccounts } from '../../src/api/trading/known-accounts.ts';
import type { Address, JournalSequence } from '../../src/domain/units.ts';
import type { KnownDeposits } from '../../src/storage/queries/known-accounts.ts';

const account = (index: number): Address => `0x${index.toString(16).padStart(40, '0')}`;
const at = (sequence: number): JournalSequence => sequence as JournalSequence;

/** A database that answers one query at a time, when told to. */
function startDesk(options: { readonly projected?: number; readonly head?: number; readonly reaches?: boolean } = {}) {
  const deposits = new Set<Address>();
  const queries: (readonly Address[])[] = [];
  const gates: PromiseWithResolvers<void>[] = [];
  let isHeld = false;
  const look = async (asked: readonly Address[]): Promise<KnownDeposits> => {
    queries.push(asked);
    // What is committed after the query began is not in its answer.
    const known = new Set(asked.filter((one) => deposits.has(one)));
    if (isHeld) {
      const gate = Promise.withResolvers<void>();
      gates.push(gate);
      await gate.promise;
    }
    return { known, projectedSequence: at(options.projected ?? 5), journalHead: at(options.head ?? 5) };
  };
  const accounts = new KnownAccounts({ look, reached: async () => options.reaches ?? true });
  return {
    accounts,
    deposits,
    queries,
    hold: () => {
      isHeld = true;
    },
    release: () => {
      isHeld = false;
      for (const gate of gates.splice(0)) gate.resolve();
    },
  };
}

describe('known accounts', () => {
  it('remembers those that had a deposit, and never those that had none', async () => {
    const { accounts, deposits, queries } = startDesk();
    deposits.add(account(1));
    assert.equal(accounts.has(account(1)), false);
    assert.equal(await accounts.standing(account(1)), 'known');
    assert.equal(await accounts.standing(account(1)), 'known');
    assert.equal(accounts.has(account(1)), true);
    assert.equal(queries.length, 1);
    assert.equal(await accounts.standing(account(2)), 'unknown');
    deposits.add(account(2));
    assert.equal(await accounts.standing(account(2)), 'known');
  });

  it('asks for all who wait in one query at a time', async () => {
    const { accounts, queries, hold, release } = startDesk();
    hold();
    const first = accounts.standing(account(1));
    const others = Array.from({ length: 1_200 }, (_, index) => accounts.standing(account(2 + (index % 700))));
    release();
    await Promise.all([first, ...others]);
    assert.deepEqual(
      queries.map(({ length }) => length),
      [1, 500, 200],
    );
  });

  it('does not answer a request by a query that began before it', async () => {
    const { accounts, deposits, hold, release } = startDesk();
    hold();
    const early = accounts.standing(account(1));
    deposits.add(account(1));
    const late = accounts.standing(account(1));
    release();
    assert.equal(await late, 'known');
    assert.notEqual(await early, 'undecided');
  });

  it('looks again when the balances have caught up, and says nothing when they have not', async () => {
    for (const [reaches, standing] of [
      [true, 'unknown'],
      [false, 'undecided'],
    ] as const) {
      const { accounts, queries } = startDesk({ projected: 4, head: 5, reaches });
      assert.equal(await accounts.standing(account(1)), standing);
      assert.equal(queries.length, 2);
    }
    const behind = startDesk({ projected: 4, head: 5, reaches: false });
    await assert.rejects(behind.accounts.require(account(1), ''), { code: 'NOT_READY', retryable: true });
  });

  it('gives the error of a failed look-up to those who waited for it, and goes on', async () => {
    let fails = true;
    const accounts = new KnownAccounts({
      look: async (asked) => {
        if (fails) throw new Error('away');
        return { known: new Set(asked), projectedSequence: at(5), journalHead: at(5) };
      },
      reached: async () => true,
    });
    await assert.rejects(accounts.standing(account(1)), /away/);
    fails = false;
    assert.equal(await accounts.standing(account(1)), 'known');
  });

  it('turns requests away rather than let ever more of them wait', async () => {
    const { accounts, hold, release } = startDesk();
    hold();
    const waiting = Array.from({ length: 20_001 }, (_, index) => accounts.standing(account(index)));
    await assert.rejects(accounts.standing(account(99_999)), { code: 'OVERLOADED' });
    release();
    await Promise.all(waiting);
    assert.equal(await accounts.standing(account(99_999)), 'unknown');
  });
});
