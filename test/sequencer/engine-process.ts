/**
 * An engine process for fault tests: recovers, leads, trades with itself as fast as the journal takes it, and says on standard
 * output what was acknowledged, one JSON object a line, written at once. Ends with its parent.
 *
 * Usage: engine-process.ts DATABASE_URL SALT
 */
import type { TimestampMs } from '../../src/domain/units.ts';
import { SYSTEM_CLOCK } from '../../src/offchain-engine/sequencer/command-clock.ts';
import { leadJournal } from '../../src/offchain-engine/sequencer/lead.ts';
import { sealByCountAndAge } from '../../src/offchain-engine/sequencer/sealing.ts';
import { ENGINE_FORM } from '../../src/services/engine-form.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresJournal } from '../../src/storage/journal/postgres-journal.ts';
import { PostgresLeadership } from '../../src/storage/leadership.ts';
import { PostgresSnapshots } from '../../src/storage/snapshots.ts';
import { signRow } from './leading.ts';
import { listingsAndDeposits, TRADING_GENESIS, tradingCommand } from './trading-commands.ts';

const IN_FLIGHT = 40;

const [url = '', salt = '0'] = process.argv.slice(2);
const say = (line: object): void => {
  process.stdout.write(`${JSON.stringify(line)}\n`);
};
process.stdin.on('end', () => process.exit(0)).resume();

const owner = `engine process ${process.pid}`;
const pool = openDatabase({ url, applicationName: 'tallystick-test-engine' });
const leadership = new PostgresLeadership({ pool, owner });
let following = false;
say({ kind: 'started' });
const { sequencer, engine, epoch } = await leadJournal({
  journal: new PostgresJournal({ pool, owner }),
  leadership: {
    tryAcquire: (opening) => {
      // Recovered, and up to date: from here on it is the standby that a takeover needs.
      if (!following) say({ kind: 'following' });
      following = true;
      return leadership.tryAcquire(opening);
    },
    renew: () => leadership.renew(),
    release: () => leadership.release(),
  },
  snapshots: new PostgresSnapshots({ pool }),
  form: ENGINE_FORM,
  wall: SYSTEM_CLOCK,
  genesis: TRADING_GENESIS,
  sign: signRow,
  seal: sealByCountAndAge({ tradesMin: 100, tradeAgeMs: 300, withdrawalAgeMs: 300 }),
  snapshotEveryCommands: 500,
  onApplied: () => undefined,
  onLeading: () => undefined,
  onProblem: ({ message, cause }) => say({ kind: 'problem', message, cause: String(cause) }),
});
say({ kind: 'leading', epoch, atMs: Date.now(), sequence: engine.lastSequence });
sequencer.stopped.catch((error: unknown) => {
  say({ kind: 'stopped', code: (error as { code?: string }).code, message: String(error) });
  process.exit(3);
});

for (const fact of listingsAndDeposits().slice(engine.lastChainEventSequence)) await sequencer.submitChain(fact);

let next = 0;
async function trade(): Promise<void> {
  for (;;) {
    const command = tradingCommand(next++, Number(salt), Date.now());
    const reply = await sequencer.submit(command, { notAfterMs: (Date.now() + 5_000) as TimestampMs });
    const digest = command.kind === 'placeOrder' ? command.order.digest : undefined;
    if (reply.kind === 'committed')
      say({ kind: 'acknowledged', sequence: reply.sequence, digest, root: reply.receipt.merkleRoot });
    else await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
await Promise.all(Array.from({ length: IN_FLIGHT }, trade));
