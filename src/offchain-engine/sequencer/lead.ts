/**
 * From nothing to leading: recover, follow the journal as a standby until the lease is free, take over, start the sequencer.
 *
 * A standby is up to date within one poll, so a takeover costs the rest of the lease and one transaction. The first leader of a
 * journal writes genesis as command 1; every leader opens its epoch with `epochStarted`.
 */
import { ExchangeError } from '../../domain/errors.ts';
import { type ClockJump, CommandClock } from './command-clock.ts';
import type { QueueBounds } from './command-queue.ts';
import { verifyRowContent } from './journal-row.ts';
import type { Journal, Leadership, LeadingEngine, ProblemListener, RowSigner } from './ports.ts';
import { Replica } from './replica.ts';
import type { SealPolicy } from './sealing.ts';
import { type AppliedListener, RENEW_EVERY_MS, Sequencer } from './sequencer.ts';
import { SnapshotTaker } from './snapshot-taker.ts';
import { type StandbyOptions, standBy } from './standby.ts';

export type { GenesisCommand } from './standby.ts';

export type LeadOptions<Engine extends LeadingEngine> = StandbyOptions<Engine> & {
  readonly journal: Journal;
  readonly sign: RowSigner;
  readonly seal: SealPolicy;
  /** Rows applied while leading: publish, hand sealed batches on. Must not throw. */
  readonly onApplied: AppliedListener;
  /**
   * Once, when recovered and leading, before any new command: hand on the batches in flight, which the leader before may not have.
   */
  readonly onLeading: (leading: { readonly engine: Engine; readonly epoch: number }) => Promise<void> | void;
  readonly onClockJump?: (jump: ClockJump) => void;
  readonly bounds?: QueueBounds;
  readonly rowCommandsMax?: number;
  readonly renewEveryMs?: number;
  readonly snapshotEveryCommands?: number;
};

export type Leading<Engine extends LeadingEngine> = {
  readonly sequencer: Sequencer<Engine>;
  readonly engine: Engine;
  readonly epoch: number;
  readonly clock: CommandClock;
};

const SNAPSHOT_EVERY_COMMANDS = 100_000;

/**
 * Resolves when this process leads.
 * @throws ExchangeError JOURNAL_CORRUPT, CHAIN_MISMATCH, CONFIGURATION; the signal's reason when aborted
 */
export async function leadJournal<Engine extends LeadingEngine>(
  options: LeadOptions<Engine>,
): Promise<Leading<Engine>> {
  const replica = await Replica.recover(options);
  await checkGenesis(options);
  const epoch = await standBy(options, replica);
  return renewing(options, () => beginLeading(options, replica, epoch));
}

async function beginLeading<Engine extends LeadingEngine>(
  options: LeadOptions<Engine>,
  replica: Replica<Engine>,
  epoch: number,
): Promise<Leading<Engine>> {
  // What the leader before wrote last, and this epoch's opening row.
  await replica.catchUp();
  if (replica.position.epoch !== epoch) {
    throw new ExchangeError('LEADERSHIP_LOST', `epoch ${epoch} ended before it began; another engine leads`);
  }
  const clock = new CommandClock({
    wall: options.wall,
    lastTimestampMs: replica.position.timestampMs,
    onJump: options.onClockJump,
    stepMaxMs: options.clockStepMaxMs,
  });
  const snapshots = new SnapshotTaker<Engine>({
    engine: replica.engine,
    form: options.form,
    store: options.snapshots,
    everyCommands: options.snapshotEveryCommands ?? SNAPSHOT_EVERY_COMMANDS,
    onProblem: options.onProblem,
  });
  await options.onLeading({ engine: replica.engine, epoch });
  const sequencer = new Sequencer({ ...options, replica, epoch, clock, snapshots });
  return { sequencer, engine: replica.engine, epoch, clock };
}

/** Keeps the lease while the sequencer, which will keep it, is not there yet. */
async function renewing<Result>(
  options: { readonly leadership: Leadership; readonly onProblem: ProblemListener; readonly renewEveryMs?: number },
  begin: () => Promise<Result>,
): Promise<Result> {
  const renewal = setInterval(() => {
    options.leadership.renew().catch((cause: unknown) => {
      options.onProblem({ message: 'the lease could not be renewed', cause });
    });
  }, options.renewEveryMs ?? RENEW_EVERY_MS);
  try {
    return await begin();
  } finally {
    clearInterval(renewal);
  }
}

/** @throws ExchangeError CHAIN_MISMATCH when the journal belongs to another chain or vault */
async function checkGenesis<Engine extends LeadingEngine>(options: LeadOptions<Engine>): Promise<void> {
  for await (const row of options.journal.rowsFrom(1)) {
    const first = verifyRowContent(row)[0]?.command;
    const { chainId, vault } = options.genesis;
    if (first?.kind === 'genesis' && first.chainId === chainId && first.vault === vault) return;
    const recorded = first?.kind === 'genesis' ? `chain ${first.chainId} and vault ${first.vault}` : 'no genesis';
    throw new ExchangeError(
      'CHAIN_MISMATCH',
      `the journal has ${recorded}; expected chain ${chainId} and vault ${vault}`,
    );
  }
}
