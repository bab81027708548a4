/** Leaders of the real engine over a real PostgreSQL, within this process or as processes that can be killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createRowSigner } from '../../../src/chain/receipts.ts';
import type { AppliedCommand } from '../../../src/domain/events.ts';
import type { JournalRow } from '../../../src/domain/journal.ts';
import { eip712Domain } from '../../../src/domain/typed-data.ts';
import type { Hex } from '../../../src/domain/units.ts';
import type { Engine } from '../../../src/offchain-engine/engine.ts';
import { SYSTEM_CLOCK } from '../../../src/offchain-engine/sequencer/command-clock.ts';
import { type Leading, leadJournal } from '../../../src/offchain-engine/sequencer/lead.ts';
import { sealByCountAndAge } from '../../../src/offchain-engine/sequencer/sealing.ts';
import { ENGINE_FORM } from '../../../src/services/engine-form.ts';
import { openDatabase } from '../../../src/storage/database.ts';
import { PostgresJournal } from '../../../src/storage/journal/postgres-journal.ts';
import { PostgresLeadership } from '../../../src/storage/leadership.ts';
import { PostgresSnapshots } from '../../../src/storage/snapshots.ts';
import { listingsAndDeposits, TRADING_GENESIS } from '../../sequencer/trading-commands.ts';

export const RECEIPT_KEY: Hex = `0x${'77'.repeat(32)}`;
export const RECEIPT_DOMAIN = eip712Domain(TRADING_GENESIS.chainId, TRADING_GENESIS.vault);

export type EngineLeader = Leading<Engine> & {
  readonly journal: PostgresJournal;
  /** What was released to the outside, in order. */
  readonly applied: AppliedCommand[];
  readonly rows: JournalRow[];
  readonly close: () => Promise<void>;
};

let leaders = 0;

/** Leads with the real engine; seals every twenty trades, takes snapshots often. */
export async function startEngineLeader(
  url: string,
  options: { readonly leaseMs?: number } = {},
): Promise<EngineLeader> {
  const owner = `promise leader ${process.pid} ${++leaders}`;
  const pool = openDatabase({ url, applicationName: 'tallystick-test-leader', connectionsMax: 3 });
  const leaseMs = options.leaseMs ?? 1_500;
  const journal = new PostgresJournal({ pool, owner, leaseMs });
  const applied: AppliedCommand[] = [];
  const rows: JournalRow[] = [];
  try {
    const leading = await leadJournal<Engine>({
      journal,
      leadership: new PostgresLeadership({ pool, owner, leaseMs }),
      snapshots: new PostgresSnapshots({ pool }),
      form: ENGINE_FORM,
      wall: SYSTEM_CLOCK,
      clockStepMaxMs: Number.POSITIVE_INFINITY,
      genesis: TRADING_GENESIS,
      sign: createRowSigner(RECEIPT_KEY, RECEIPT_DOMAIN),
      seal: sealByCountAndAge({ tradesMin: 20, tradeAgeMs: 200, withdrawalAgeMs: 200 }),
      snapshotEveryCommands: 100,
      onApplied: (commands, row) => {
        applied.push(...commands);
        rows.push(row);
      },
      onLeading: () => undefined,
      onProblem: () => undefined,
    });
    const { sequencer, engine } = leading;
    const facts = listingsAndDeposits().slice(engine.lastChainEventSequence);
    for (const fact of facts) await sequencer.submitChain(fact);
    const close = async (): Promise<void> => {
      await sequencer.stop().catch(() => undefined);
      await pool.end();
    };
    return { ...leading, journal, applied, rows, close };
  } catch (error) {
    await pool.end();
    throw error;
  }
}

const PROGRAM = fileURLToPath(new URL('../../sequencer/engine-process.ts', import.meta.url));

export type Acknowledged = { readonly sequence: number; readonly digest?: string };
export type EngineProcess = {
  readonly child: ChildProcess;
  readonly leading: Promise<void>;
  /** Commands whose acknowledgement left the process. */
  readonly acknowledged: Acknowledged[];
  readonly exited: Promise<void>;
};

/** An engine process that trades with itself as fast as it can. @param salt tells its orders from another's */
export function startEngineProcess(url: string, salt: number): EngineProcess {
  const child = spawn(process.execPath, [PROGRAM, url, String(salt)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const leading = Promise.withResolvers<void>();
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const acknowledged: Acknowledged[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    // A process killed in the middle of a line leaves half of one, which nobody would have read.
    if (!line.endsWith('}')) return;
    const word = JSON.parse(line) as { kind: string };
    if (word.kind === 'acknowledged') acknowledged.push(word as never);
    if (word.kind === 'leading') leading.resolve();
  });
  return { child, leading: leading.promise, acknowledged, exited };
}
