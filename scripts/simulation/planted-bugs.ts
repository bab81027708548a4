/** The bugs that `node scripts/plant-bugs.ts` plants: mistakes in the engine and around it that a few seeds must notice. */
import type { PlantedBug } from '../break-promises/planted-bugs.ts';

export const PLANTED_BUGS: readonly Omit<PlantedBug, 'promise'>[] = [
  {
    what: 'a buyer’s fee is not posted to what it still owes the vault',
    file: 'src/offchain-engine/matching.ts',
    text: 'records[quoteAt | UNSETTLED_OUT]! += notional + fee;',
    replacement: 'records[quoteAt | UNSETTLED_OUT]! += notional;',
  },
  {
    what: 'a reduction gives too much of the lock back',
    file: 'src/offchain-engine/cancels.ts',
    text: 'lockedFor(market, side, price, left, maxFeePpm) - lockedFor(market, side, price, remaining, maxFeePpm);',
    replacement:
      'lockedFor(market, side, price, left, maxFeePpm) - lockedFor(market, side, price, remaining - 1, maxFeePpm);',
  },
  {
    what: 'a voided trade is not taken back from the seller',
    file: 'src/offchain-engine/reversals.ts',
    text: 'takeBack(state, seller, market.quote, notional - sellerFee);',
    replacement: '',
  },
  {
    what: 'fees ignore the vault’s maximum for takers',
    file: 'src/offchain-engine/fees.ts',
    text: 'Math.min(fees.takerFeePpm, feeMaximum.takerFeePpm)',
    replacement: 'fees.takerFeePpm',
  },
  {
    what: 'volume of today counts for the tier',
    file: 'src/offchain-engine/volumes.ts',
    text: 'let ago = passed === 0 ? 1 : 0;',
    replacement: 'let ago = 0;',
  },
  {
    what: 'a withdrawal that failed is not given back',
    file: 'src/offchain-engine/withdrawals.ts',
    text: 'state.ledger.add(slot, AVAILABLE, withdrawal.amount);',
    replacement: '',
  },
  {
    what: 'a fact from the chain is applied twice',
    file: 'src/offchain-engine/chain-facts.ts',
    text: 'if (command.eventSequence !== state.lastChainEventSequence + 1) return;',
    replacement: 'if (command.eventSequence > state.lastChainEventSequence + 1) return;',
  },
  {
    what: 'a deposed leader’s answers count as committed',
    file: 'src/offchain-engine/sequencer/sequencer.ts',
    text: "if (outcome.kind === 'refused') {",
    replacement: "if (outcome.kind === 'refused' && outcome.reason !== 'leadership_lost') {",
  },
];
