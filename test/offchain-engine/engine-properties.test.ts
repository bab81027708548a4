import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Engine } from '../../src/offchain-engine/engine.ts';
import { decodeSnapshot, encodeInSteps, encodeSnapshot, stateHash } from '../../src/offchain-engine/snapshot.ts';
import { assertSound, Life, lives } from './support/random-exchange.ts';

describe('the engine, whatever happens', () => {
  it('is tried with lives in which everything happens', () => {
    const seen = new Set<string>();
    for (const steps of fc.sample(lives(150), { numRuns: 60, seed: 7 })) {
      const life = new Life();
      for (const step of steps) {
        for (const event of life.take(step))
          seen.add(
            event.kind === 'orderDone'
              ? `${event.status} ${event.reason}`
              : event.kind === 'batchesRecut'
                ? `${event.kind} ${event.cause}`
                : event.kind,
          );
      }
    }
    const expected = [
      'trade',
      'orderTriggered',
      'orderReduced',
      'batchSealed',
      'batchFinal',
      'batchesRecut resealed',
      'batchesRecut earlier_cut_settled',
      'tradeVoided',
      'accountInDeficit',
      'withdrawalDone',
      'exitChanged',
    ];
    const ends = [
      'requested',
      'replaced',
      'ioc_remainder',
      'self_trade_prevention',
      'cancel_after',
      'cancelled_on_chain',
      'session_key_ended',
      'exit_requested',
      'account_in_deficit',
    ];
    assert.deepEqual(
      [...expected, ...ends.map((reason) => `cancelled ${reason}`), 'expired expired', 'filled undefined'].filter(
        (kind) => !seen.has(kind),
      ),
      [],
    );
  });

  it('conserves every asset, keeps balances and locks exact and the book uncrossed', () => {
    fc.assert(
      fc.property(lives(150), (steps) => {
        const life = new Life();
        for (const step of steps) assertSound(life, life.take(step));
      }),
      { numRuns: 200, endOnFailure: true },
    );
  });

  it('is in a snapshot as it was when that was begun, whatever happens while it is encoded', () => {
    fc.assert(
      fc.property(lives(120), fc.nat(1_000), (steps, cut) => {
        const life = new Life();
        const begun = cut % steps.length;
        for (const step of steps.slice(0, begun)) life.take(step);
        const { engine } = life.exchange;
        const bytes = encodeSnapshot(engine);
        const encoding = encodeInSteps(engine);
        let encoded = encoding.next();
        for (const step of steps.slice(begun)) {
          life.take(step);
          if (!encoded.done) encoded = encoding.next();
        }
        while (!encoded.done) encoded = encoding.next();
        assert.deepEqual(encoded.value, bytes);
      }),
      { numRuns: 60, endOnFailure: true },
    );
  });

  it('gives the same events and the same state when its journal is replayed, in one go or through a snapshot anywhere', () => {
    fc.assert(
      fc.property(lives(120), fc.nat(1_000), (steps, cut) => {
        const life = new Life();
        for (const step of steps) life.take(step);
        const { journal, engine } = life.exchange;
        const whole = new Engine();
        const events = journal.map((command) => whole.apply(command).events);
        assert.equal(stateHash(whole), stateHash(engine));

        const half = cut % journal.length;
        const first = new Engine();
        for (const command of journal.slice(0, half)) first.apply(command);
        const bytes = encodeSnapshot(first);
        const second = decodeSnapshot(bytes);
        assert.deepEqual(encodeSnapshot(second), bytes);
        assert.deepEqual(second.batchesInFlight(), first.batchesInFlight());
        assert.deepEqual(
          journal.slice(half).map((command) => second.apply(command).events),
          events.slice(half),
        );
        assert.equal(stateHash(second), stateHash(engine));
        assert.equal(second.nextDeadlineMs, engine.nextDeadlineMs);
        assert.equal(second.pendingWithdrawalCount, engine.pendingWithdrawalCount);
      }),
      { numRuns: 150, endOnFailure: true },
    );
  });
});
