/**
 * `node scripts/write-golden.ts`: freezes the present rules version in golden journals. Run once per version, before it ships:
 * files that are there already are never written again, and a test holds them to the fingerprints that this prints.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { type Command, RULES_VERSION, type SequencedCommand } from '../src/domain/commands.ts';
import type { Ppm, Quanta, TimestampSeconds } from '../src/domain/units.ts';
import {
  ALICE,
  BASE,
  BOB,
  CAROL,
  digest,
  Exchange,
  FEES,
  PARAMETERS,
  QUOTE,
} from '../test/offchain-engine/support/exchange.ts';
import {
  fingerprintOf,
  goldenDirectory,
  packJournal,
  replayGolden,
} from '../test/offchain-engine/support/golden-journals.ts';
import { simulateSeed } from './simulation/simulate-seed.ts';

const SEEDS = [3, 8, 21];
const STEPS = 60;

/** Kinds that no simulated life has, and one life of each order type. */
function scripted(): readonly SequencedCommand[] {
  const exchange = new Exchange({ withdrawalFee: 3 });
  const registered = digest(0xabc);
  const decisions: Command[] = [
    { kind: 'activateRules', version: RULES_VERSION },
    { kind: 'acceptClockJump', reason: 'right after all' },
    { kind: 'haltWithdrawals', reason: 'drift' },
    { kind: 'resumeWithdrawals', reason: 'resolved' },
    { kind: 'setMarketState', market: 0, state: 'open' },
    {
      kind: 'setFeeTiers',
      market: 0,
      tiers: [{ volumeMin: 1_000 as Quanta, makerFeePpm: 1 as Ppm, takerFeePpm: 2 as Ppm }],
      reason: 'schedule',
    },
  ];
  for (const account of [ALICE, BOB, CAROL]) exchange.deposit(account, 1_000, 1_000_000);
  exchange.fact({ kind: 'feesChanged', takerFeePpm: 1_800 as Ppm, makerFeePpm: 900 as Ppm });
  for (const decision of decisions) exchange.apply(decision);
  const parameters = { ...PARAMETERS, minNotional: 50 as Quanta, priceBandPpm: 900_000 };
  exchange.apply({ kind: 'setMarketParameters', market: 0, parameters });
  const terms = { asset: QUOTE, fee: 4 as Quanta, minimum: 100 as Quanta, reason: 'gas' };
  exchange.apply({ kind: 'setWithdrawalTerms', ...terms });
  const key = { account: ALICE, key: FEES, validUntil: (exchange.nowMs / 1_000 + 60) as TimestampSeconds };
  exchange.fact({ kind: 'sessionKeyRegistered', ...key, marketMask: 1n << 255n });
  exchange.fact({ kind: 'sessionKeyRevoked', ...key });
  exchange.fact({ kind: 'orderRegistered', account: CAROL, digest: registered });
  exchange.place({ account: CAROL, side: 'sell', size: 5, price: 100, digest: registered, signature: '0x' });
  exchange.place({ account: BOB, side: 'sell', size: 9, price: 101, timeInForce: 'gtd' });
  exchange.place({ account: BOB, side: 'sell', size: 9, price: 102, postOnly: true });
  exchange.place({ account: ALICE, side: 'buy', size: 7, price: 101, timeInForce: 'fok' });
  exchange.place({ account: ALICE, side: 'buy', size: 50, price: 101, timeInForce: 'ioc' });
  exchange.apply({ kind: 'armDisconnect', gateway: 'golden', account: BOB, leaseMs: 5_000 });
  exchange.apply({ kind: 'renewGateway', gateway: 'golden', leaseMs: 6_000 });
  exchange.withdraw({ account: ALICE, amount: 500 });
  exchange.seal();
  exchange.settle(1, [{ trade: 1, reason: 7 }], [{ index: 0, state: 'failed', reason: 'transfer_failed' }]);
  exchange.nowMs += 86_400_000;
  exchange.apply({ kind: 'tick' });
  exchange.place({ account: BOB, side: 'sell', size: 2, price: 90 });
  exchange.place({ account: ALICE, side: 'buy', size: 2, price: 90 });
  exchange.seal();
  exchange.fact({ kind: 'exitRequested', account: BOB, asset: BASE });
  exchange.fact({ kind: 'exitCancelled', account: BOB, asset: BASE });
  exchange.settle(2);
  exchange.fact({ kind: 'feesCollected', asset: QUOTE, amount: 1 as Quanta });
  exchange.fact({ kind: 'chainEventNoted', name: 'Paused' });
  exchange.place({ account: ALICE, side: 'buy', size: 2, price: 50 });
  exchange.fact({ kind: 'marketDelisted', market: 0 });
  return exchange.journal;
}

/** Batches cut anew, twice; first the newest cut settles, then an earlier one. */
function resealed(): readonly SequencedCommand[] {
  const exchange = new Exchange();
  for (const account of [ALICE, BOB, CAROL]) exchange.deposit(account, 1_000, 1_000_000);
  for (let batch = 0; batch < 3; batch++) {
    for (let trade = 0; trade < 4; trade++) {
      exchange.place({ account: BOB, side: 'sell', size: 2, price: 100 });
      exchange.place({ account: ALICE, side: 'buy', size: 2, price: 100, timeInForce: trade === 0 ? 'fok' : 'gtc' });
    }
    exchange.withdraw({ account: CAROL, amount: 100 + batch });
    exchange.seal();
  }
  const [, second] = exchange.engine.batchesInFlight();
  exchange.reseal(2, 2);
  exchange.reseal(1, 3);
  const outcomes = [{ index: 0, state: 'executed' as const, reason: 'executed' }];
  exchange.settle(1);
  exchange.settle(2);
  exchange.settle(3, [], outcomes);
  exchange.reseal(4, 1);
  if (second === undefined) throw new Error('three batches were sealed');
  exchange.place({ account: BOB, side: 'sell', size: 1, price: 100 });
  exchange.place({ account: ALICE, side: 'buy', size: 1, price: 100 });
  exchange.seal();
  const [earlier] = exchange.engine.core.earlierCuts.at(-1) ?? [];
  exchange.settle(4, [{ trade: 1, reason: 7 }], [], earlier?.contentHash as `0x${string}`);
  return exchange.journal;
}

function freeze(name: string, commands: readonly SequencedCommand[]): void {
  const file = new URL(`${name}.json`, goldenDirectory(RULES_VERSION));
  if (existsSync(file)) {
    console.log(`${name} is frozen already`);
    return;
  }
  const journal = packJournal(commands);
  const golden = { ...replayGolden(journal), journal };
  writeFileSync(file, `${JSON.stringify(golden, undefined, 2)}\n`);
  console.log(`${name}: ${commands.length} commands. For FROZEN in test/offchain-engine/golden.test.ts:`);
  console.log(`    '${name}.json': '${fingerprintOf(golden)}',`);
}

mkdirSync(goldenDirectory(RULES_VERSION), { recursive: true });
freeze('scripted', scripted());
freeze('resealed', resealed());
for (const seed of SEEDS) freeze(`life-${seed}`, (await simulateSeed(seed, STEPS)).journal);
