import assert from 'node:assert/strict';
import type { WithdrawalOutcome } from '../../src/domain/batches.ts';
import { WITHDRAWAL_REJECT_REASONS } from '../../src/domain/reasons.ts';
import type { PriceTicks, Quanta, TimestampSeconds } from '../../src/domain/units.ts';
import { decodeSnapshot, encodeSnapshot } from '../../src/offchain-engine/snapshot.ts';
import { SEQUENCE_AHEAD_MAX_MS } from '../../src/offchain-engine/state.ts';
import {
  ALICE,
  all,
  BASE,
  BOB,
  CAROL,
  DEPLOYED_MS,
  Exchange,
  FEES,
  only,
  QUOTE,
  rejection,
  START_MS,
  VAULT,
} from './support/exchange.ts';

function funded(options: ConstructorParameters<typeof Exchange>[0] = {}): Exchange {
  const exchange = new Exchange(options);
  exchange.deposit(ALICE, 0, 1_000_000);
  exchange.deposit(BOB, 1_000, 0);
  return exchange;
}

/** Alice buys 10 lots from Bob at 100: 10,000 quote quanta; Alice takes (20), Bob makes (10). */
function tradeOnce(exchange: Exchange): void {
  exchange.place({ account: BOB, side: 'sell', size: 10, price: 100 });
  exchange.place({ account: ALICE, side: 'buy', size: 10, price: 100 });
}

describe('balances', () => {
  it('locks base for a sell and gives back exactly that on cancel', () => {
    const exchange = funded();
    const { order } = exchange.place({ account: BOB, side: 'sell', size: 10, price: 100 });
    assert.deepEqual([exchange.balance(BOB, BASE).available, exchange.balance(BOB, BASE).locked], [99_000, 1_000]);
    exchange.cancel(order);
    assert.deepEqual([exchange.balance(BOB, BASE).available, exchange.balance(BOB, BASE).locked], [100_000, 0]);
  });

  it('locks the notional at the limit plus the signed maximum fee for a buy', () => {
    const exchange = funded();
    const { order } = exchange.place({ account: ALICE, side: 'buy', size: 7, price: 33, maxFeePpm: 5_000 as never });
    assert.equal(exchange.balance(ALICE, QUOTE).locked, 2_310 + 11);
    exchange.cancel(order);
    assert.deepEqual([exchange.balance(ALICE, QUOTE).available, exchange.balance(ALICE, QUOTE).locked], [1_000_000, 0]);
  });

  it('charges both fees in quote, rounded down, and books them to the fee account', () => {
    const exchange = funded();
    tradeOnce(exchange);
    assert.deepEqual(exchange.balance(ALICE, QUOTE), {
      available: 989_980,
      locked: 0,
      pendingWithdrawal: 0,
      unsettledIn: 0,
      unsettledOut: 10_020,
      settled: 1_000_000,
    });
    assert.deepEqual(exchange.balance(ALICE, BASE), {
      available: 1_000,
      locked: 0,
      pendingWithdrawal: 0,
      unsettledIn: 1_000,
      unsettledOut: 0,
      settled: 0,
    });
    assert.deepEqual(exchange.balance(BOB, QUOTE), {
      available: 9_990,
      locked: 0,
      pendingWithdrawal: 0,
      unsettledIn: 9_990,
      unsettledOut: 0,
      settled: 0,
    });
    assert.deepEqual(exchange.balance(FEES, QUOTE), {
      available: 30,
      locked: 0,
      pendingWithdrawal: 0,
      unsettledIn: 30,
      unsettledOut: 0,
      settled: 0,
    });
  });

  it('gives a taker back what the better price and the lower fee save', () => {
    const exchange = funded();
    exchange.place({ account: BOB, side: 'sell', size: 10, price: 90 });
    exchange.place({ account: ALICE, side: 'buy', size: 10, price: 100 });
    assert.deepEqual(
      [exchange.balance(ALICE, QUOTE).available, exchange.balance(ALICE, QUOTE).locked],
      [1_000_000 - 9_000 - 18, 0],
    );
  });

  it('keeps a buyer’s lock at what the rest needs through odd partial fills, to the last quantum', () => {
    const exchange = funded();
    exchange.place({ account: ALICE, side: 'buy', size: 10, price: 33, maxFeePpm: 4_999 as never });
    for (const size of [1, 3, 2, 4]) exchange.place({ account: BOB, side: 'sell', size, price: 33 });
    const { locked, available, unsettledOut } = exchange.balance(ALICE, QUOTE);
    assert.equal(locked, 0);
    assert.equal(unsettledOut, 3_300 + 0 + 0 + 0 + 1);
    assert.equal(available, 1_000_000 - unsettledOut);
  });

  it('never charges more than the order’s signed maximum, even when fees rise later', () => {
    const exchange = funded();
    exchange.place({ account: BOB, side: 'sell', size: 10, price: 100, maxFeePpm: 2_000 as never });
    exchange.apply({
      kind: 'setMarketParameters',
      market: 0,
      parameters: {
        makerFeePpm: 4_000 as never,
        takerFeePpm: 4_000 as never,
        minNotional: 0 as Quanta,
        priceBandPpm: 0,
      },
    });
    const trade = only(exchange.place({ account: ALICE, side: 'buy', size: 10, price: 100 }).events, 'trade');
    assert.deepEqual(
      [trade?.maker.feePpm, trade?.maker.fee, trade?.taker.feePpm, trade?.taker.fee],
      [2_000, 20, 4_000, 40],
    );
  });

  it('never charges a stop order more than its signed maximum when it takes later', () => {
    const exchange = funded();
    exchange.place({ account: BOB, side: 'sell', size: 2, price: 100 });
    const stop = { direction: 'at_or_above', triggerPriceTicks: 100 as PriceTicks } as const;
    exchange.place({ account: ALICE, side: 'buy', size: 1, price: 100, maxFeePpm: 2_000 as never, stop });
    const parameters = {
      makerFeePpm: 0 as never,
      takerFeePpm: 4_000 as never,
      minNotional: 0 as Quanta,
      priceBandPpm: 0,
    };
    exchange.apply({ kind: 'setMarketParameters', market: 0, parameters });
    const trades = all(exchange.place({ account: ALICE, side: 'buy', size: 1, price: 100 }).events, 'trade');
    assert.deepEqual(
      trades.map(({ taker }) => taker.feePpm),
      [4_000, 2_000],
    );
  });

  it('lets proceeds be traded at once and withdrawn once settled', () => {
    const exchange = funded();
    tradeOnce(exchange);
    assert.equal(rejection(exchange.withdraw({ account: BOB, amount: 9_990 })), 'not_settled_yet');
    assert.equal(rejection(exchange.place({ account: BOB, side: 'buy', size: 5, price: 50 }).events), undefined);
    exchange.seal();
    exchange.settle(1);
    assert.equal(rejection(exchange.withdraw({ account: BOB, amount: 5_000 })), undefined);
  });

  it('reports every balance that a command changed, once, as it stands afterwards', () => {
    const exchange = funded();
    exchange.place({ account: BOB, side: 'sell', size: 10, price: 100 });
    const { events } = exchange.place({ account: ALICE, side: 'buy', size: 10, price: 100 });
    const changed = all(events, 'balanceChanged');
    assert.deepEqual(changed.map(({ account, asset }) => `${account.slice(2, 4)}/${asset}`).sort(), [
      '00/1',
      'a1/0',
      'a1/1',
      'b2/0',
      'b2/1',
    ]);
    for (const { kind: _, account, asset, ...balance } of changed)
      assert.deepEqual(balance, exchange.balance(account, asset));
  });
});

function executed(index: number): WithdrawalOutcome {
  return { index, state: 'executed', reason: 'executed' };
}

/** Alice's withdrawal comes back: its recipient did not take it. */
function failDelivery(exchange: Exchange, batchId = 1): void {
  exchange.withdraw({ account: ALICE, amount: 10 });
  exchange.seal();
  exchange.settle(batchId, [], [{ index: 0, state: 'failed', reason: 'transfer_failed' }]);
}

describe('withdrawals', () => {
  const SECONDS = START_MS / 1000;
  type Terms = Parameters<Exchange['withdrawal']>[0];
  const CASES: {
    reason: keyof typeof WITHDRAWAL_REJECT_REASONS;
    terms: Partial<Terms>;
    before?: (exchange: Exchange) => void;
  }[] = [
    { reason: 'unknown_asset', terms: { asset: 9 } },
    { reason: 'amount_zero', terms: { amount: 0 } },
    { reason: 'amount_below_fee', terms: { amount: 5 } },
    { reason: 'fee_above_maximum', terms: { maxFee: 4 as Quanta } },
    { reason: 'expired', terms: { expiry: SECONDS as TimestampSeconds } },
    { reason: 'expiry_too_far', terms: { expiry: (SECONDS + 31 * 86_400) as TimestampSeconds } },
    { reason: 'sequence_in_future', terms: { withdrawalSequence: START_MS - DEPLOYED_MS + SEQUENCE_AHEAD_MAX_MS + 1 } },
    {
      reason: 'nonce_reused',
      terms: { withdrawalSequence: 50 },
      before: (x) => x.withdraw({ account: ALICE, amount: 10, withdrawalSequence: 50 }),
    },
    {
      reason: 'duplicate_withdrawal',
      terms: { digest: `0x${'77'.repeat(32)}` },
      before: (x) => x.withdraw({ account: ALICE, amount: 10, digest: `0x${'77'.repeat(32)}` }),
    },
    { reason: 'insufficient_balance', terms: { amount: 1_000_001 } },
    { reason: 'insufficient_balance', terms: { account: CAROL } },
    { reason: 'not_settled_yet', terms: { asset: BASE, amount: 1_000 }, before: tradeOnce },
    { reason: 'bad_recipient', terms: { recipient: VAULT } },
    { reason: 'bad_recipient', terms: { recipient: FEES } },
    { reason: 'bad_recipient', terms: { recipient: `0xd1${'00'.repeat(19)}` } },
    { reason: 'withdrawals_halted', terms: {}, before: (x) => x.apply({ kind: 'haltWithdrawals', reason: 'drift' }) },
    {
      reason: 'exit_pending',
      terms: {},
      before: (x) => x.fact({ kind: 'exitRequested', account: ALICE, asset: QUOTE }),
    },
    {
      reason: 'account_in_deficit',
      terms: {},
      before: (x) => x.fact({ kind: 'exitExecuted', account: ALICE, asset: BASE, amount: 1 as Quanta }),
    },
    {
      reason: 'too_many_pending',
      terms: {},
      before: (x) => {
        for (let i = 0; i < 10; i++) x.withdraw({ account: ALICE, amount: 10 });
      },
    },
    {
      reason: 'amount_below_minimum',
      terms: {},
      before: (x) => {
        const terms = { asset: QUOTE, fee: 5 as Quanta, minimum: 101 as Quanta };
        x.apply({ kind: 'setWithdrawalTerms', ...terms, reason: 'gas' });
      },
    },
    { reason: 'failed_recently', terms: {}, before: failDelivery },
  ];
  for (const { reason, terms, before } of CASES) {
    it(`refuses with ${reason} and changes nothing: ${Object.keys(terms).join(', ') || 'as things stand'}`, () => {
      const exchange = funded({ withdrawalFee: 5 });
      before?.(exchange);
      const balance = exchange.balance(ALICE, QUOTE);
      assert.equal(rejection(exchange.withdraw({ account: ALICE, amount: 100, ...terms })), reason);
      assert.deepEqual(exchange.balance(ALICE, QUOTE), balance);
    });
  }

  it('has a case for every reason', () => {
    assert.deepEqual(new Set(CASES.map(({ reason }) => reason)), new Set(Object.keys(WITHDRAWAL_REJECT_REASONS)));
  });

  it('debits at once, leaves the books when executed, and keeps the fee', () => {
    const exchange = funded({ withdrawalFee: 5 });
    const accepted = only(exchange.withdraw({ account: ALICE, amount: 1_000 }), 'withdrawalAccepted');
    assert.equal(accepted?.fee, 5);
    assert.equal(exchange.balance(ALICE, QUOTE).pendingWithdrawal, 1_000);
    const batch = exchange.seal()?.batch;
    assert.deepEqual(
      batch?.withdrawals.map(({ amount, fee, requestedAt }) => [amount, fee, requestedAt]),
      [[1_000, 5, exchange.engine.lastSequence - 1]],
    );
    const events = exchange.settle(1, [], [{ index: 0, state: 'executed', reason: 'executed' }]);
    assert.equal(only(events, 'withdrawalDone')?.status, 'executed');
    assert.deepEqual(exchange.balance(ALICE, QUOTE), {
      available: 999_000,
      locked: 0,
      pendingWithdrawal: 0,
      unsettledIn: 0,
      unsettledOut: 0,
      settled: 999_000,
    });
    assert.equal(exchange.balance(FEES, QUOTE).settled, 5);
    exchange.fact({ kind: 'feesCollected', asset: QUOTE, amount: 5 as Quanta });
    assert.deepEqual(exchange.balance(FEES, QUOTE).settled, 0);
  });

  it('gives a failed withdrawal back', () => {
    const exchange = funded();
    exchange.withdraw({ account: ALICE, amount: 1_000 });
    exchange.seal();
    const done = only(
      exchange.settle(1, [], [{ index: 0, state: 'failed', reason: 'transfer_failed' }]),
      'withdrawalDone',
    );
    assert.deepEqual([done?.status, done?.reason], ['failed', 'transfer_failed']);
    assert.deepEqual(
      [exchange.balance(ALICE, QUOTE).available, exchange.balance(ALICE, QUOTE).pendingWithdrawal],
      [1_000_000, 0],
    );
  });

  it('does not seal a withdrawal that has expired: it fails', () => {
    const exchange = funded();
    exchange.withdraw({ account: ALICE, amount: 1_000, expiry: (SECONDS + 1) as TimestampSeconds });
    exchange.nowMs += 1_000;
    const events = exchange.apply({ kind: 'sealBatch', tradesMax: 200, withdrawalsMax: 50 });
    assert.equal(only(events, 'withdrawalDone')?.reason, 'expired');
    assert.equal(only(events, 'batchSealed'), undefined);
    assert.equal(exchange.balance(ALICE, QUOTE).available, 1_000_000);
  });

  it('counts pending ones across a snapshot, whether in a batch or not', () => {
    const exchange = funded();
    for (let i = 0; i < 10; i++) exchange.withdraw({ account: ALICE, amount: 10 });
    exchange.seal(200, 5);
    exchange.engine = decodeSnapshot(encodeSnapshot(exchange.engine));
    assert.equal(rejection(exchange.withdraw({ account: ALICE, amount: 10 })), 'too_many_pending');
    exchange.settle(1, [], [0, 1, 2, 3, 4].map(executed));
    assert.equal(rejection(exchange.withdraw({ account: ALICE, amount: 10 })), undefined);
  });

  it('demands an outcome for each withdrawal of a final batch', () => {
    const exchange = funded();
    exchange.withdraw({ account: ALICE, amount: 10 });
    exchange.seal();
    assert.throws(() => exchange.settle(1), /did not say what became of withdrawal 0/);
  });

  it('makes an account wait twice as long after each delivery in a row that failed, until one succeeds', () => {
    const exchange = funded();
    let batch = 0;
    for (const waitMs of [60_000, 120_000, 240_000]) {
      failDelivery(exchange, ++batch);
      exchange.nowMs += waitMs - 1;
      exchange.engine = decodeSnapshot(encodeSnapshot(exchange.engine));
      assert.equal(rejection(exchange.withdraw({ account: ALICE, amount: 10 })), 'failed_recently');
      assert.equal(rejection(exchange.withdraw({ account: BOB, asset: BASE, amount: 1 })), undefined);
      exchange.seal();
      exchange.settle(++batch, [], [executed(0)]);
      exchange.nowMs += 1;
    }
    exchange.withdraw({ account: ALICE, amount: 10 });
    exchange.seal();
    exchange.settle(++batch, [], [executed(0)]);
    failDelivery(exchange, ++batch);
    exchange.nowMs += 60_000;
    assert.equal(rejection(exchange.withdraw({ account: ALICE, amount: 10 })), undefined);
  });

  it('forgets lanes of withdrawals that would have expired, so that an account never runs out of them', () => {
    const exchange = funded();
    const use = (lane: number): string | undefined => {
      const refused = rejection(exchange.withdraw({ account: ALICE, amount: 10, lane }));
      const batch = exchange.seal()?.batch;
      if (batch !== undefined) exchange.settle(batch.batchId, [], [executed(0)]);
      return refused;
    };
    for (let lane = 0; lane < 16; lane++) assert.equal(use(lane), undefined);
    assert.equal(use(16), 'too_many_pending');
    exchange.nowMs += 30 * 86_400_000 - 60_000;
    assert.equal(use(16), 'too_many_pending');
    exchange.nowMs += 120_000;
    assert.equal(use(16), undefined);
    assert.equal(exchange.engine.core.withdrawalLanes.get(exchange.engine.core.accounts.find(ALICE))?.size, 1);
  });

  it('seals none while withdrawals are halted, and goes on when resumed', () => {
    const exchange = funded();
    exchange.withdraw({ account: ALICE, amount: 1_000 });
    exchange.apply({ kind: 'haltWithdrawals', reason: 'drift' });
    assert.equal(exchange.engine.canSeal, false);
    assert.equal(exchange.seal(), undefined);
    exchange.apply({ kind: 'resumeWithdrawals', reason: 'resolved' });
    assert.equal(exchange.seal()?.batch.withdrawals.length, 1);
  });

  it('cannot leave less on the vault’s books than unsettled trades still take out', () => {
    const exchange = funded();
    tradeOnce(exchange);
    assert.equal(rejection(exchange.withdraw({ account: ALICE, amount: 989_981 })), 'insufficient_balance');
    assert.equal(rejection(exchange.withdraw({ account: ALICE, amount: 989_980 })), undefined);
  });
});
