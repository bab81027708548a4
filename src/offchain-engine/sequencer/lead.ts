/**
 * From nothing to leading: recover, follow the journal as a standby until the lease is free, take over, start the sequencer.
 *
 * A standby is up to date within one poll, so a takeover costs the rest of the lease and one transaction. The first leader of a
 * journal writes genesis as command 1; every leader opens its epoch with `epochStarted`.
 */
import { encodeSequencedCommand } from '../../domain/command-codec.ts';
import type { Command, OperatorCommand, SequencedCommand } from '../../domain/commands.ts';
import { ExchangeError } from '../../domain/errors.ts';
import type { JournalRow } from '../../domain/journal.ts';
import type { JournalSequence } from '../../domain/units.ts';
import { type ClockJump, CommandClock, checkClockAtStart } from './command-clock.ts';
import type { QueueBounds } from './command-queue.ts';
import { buildRow, corrupt, JOURNAL_START, type JournalPosition, verifyRowContent } from './journal-row.ts';
import type {
  EngineForm,
  Journal,
  Leadership,
  LeadingEngine,
  NewJournalRow,
  ProblemListener,
  RowSigner,
  SnapshotStore,
  WallClock,
} from './ports.ts';
import { type AppliedRow, Replica } from './replica.ts';
import type { SealPolicy } from './sealing.ts';
import { Sequencer } from './sequencer.ts';
import { SnapshotTaker } from './snapshot-taker.ts';

export type GenesisCommand = Extract<OperatorCommand, { readonly kind: 'genesis' }>;

export type LeadOptions<Engine extends LeadingEngine> = {
  readonly journal: Journal;
  readonly leadership: Leadership;
  readonly snapshots: SnapshotStore;
  readonly form: EngineForm<Engine>;
  readonly wall: WallClock;
  /** Command 1 of an empty journal; of any other, its chain and vault must be these. */
  readonly genesis: GenesisCommand;
  readonly sign: RowSigner;
  readonly seal: SealPolicy;
  /** Rows applied while leading: publish, hand sealed batches on. Must not throw. */
  readonly onApplied: AppliedRow;
  /**
   * Once, when recovered and leading, before any new command: hand on the batches in flight, which the leader before may not have.
   */
  readonly onLeading: (leading: { readonly engine: Engine; readonly epoch: number }) => Promise<void> | void;
  readonly onProblem: ProblemListener;
  readonly onClockJump?: (jump: ClockJump) => void;
  /** The operator's word that this machine's clock is right. */
  readonly acceptClock?: boolean;
  readonly clockStepMaxMs?: number;
  readonly bounds?: QueueBounds;
  readonly rowCommandsMax?: number;
  readonly renewEveryMs?: number;
  readonly snapshotEveryCommands?: number;
  /** How often a standby reads new rows and looks at the lease. */
  readonly pollMs?: number;
  /** A journal that ends before this sequence has lost its tail: something outside it has seen that command. */
  readonly knownSequence?: number;
  readonly signal?: AbortSignal;
};

export type Leading<Engine extends LeadingEngine> = {
  readonly sequencer: Sequencer<Engine>;
  readonly engine: Engine;
  readonly epoch: number;
  readonly clock: CommandClock;
};

const POLL_MS = 150;
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
  const epoch = await waitForLeadership(options, replica);
  // What the leader before wrote last, and this epoch's opening row.
  await replica.catchUp();
  if (replica.position.epoch !== epoch) {
    throw new ExchangeError('LEADERSHIP_LOST', `epoch ${epoch} ended before it began; another engine leads`);
  }
  const clock = commandClock(options, replica.position);
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

async function waitForLeadership<Engine extends LeadingEngine>(
  options: LeadOptions<Engine>,
  replica: Replica<Engine>,
): Promise<number> {
  for (;;) {
    options.signal?.throwIfAborted();
    await replica.catchUp();
    const acquisition = await options.leadership.tryAcquire((last, epoch, databaseMs) => {
      checkClockAtStart({
        wallMs: options.wall.nowMs(),
        databaseMs,
        nextDeadlineMs: replica.engine.nextDeadlineMs,
        accepted: options.acceptClock ?? options.clockStepMaxMs === Infinity,
      });
      return openingRow(options, replica.position, last, epoch);
    });
    if (acquisition.kind === 'acquired') return acquisition.epoch;
    const pauseMs = Math.min(options.pollMs ?? POLL_MS, Math.max(acquisition.remainingMs, 10));
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** Genesis on an empty journal, and the start of the epoch. */
function openingRow<Engine extends LeadingEngine>(
  options: LeadOptions<Engine>,
  position: JournalPosition,
  last: JournalRow | undefined,
  epoch: number,
): NewJournalRow {
  const lastSequence = last?.lastSequence ?? 0;
  const known = Math.max(options.knownSequence ?? 0, position.lastSequence);
  if (lastSequence < known)
    corrupt('missing_row', lastSequence + 1, `command ${known} has been seen, but is not there`);
  const lastCommands = last === undefined ? [] : verifyRowContent(last);
  const lastTimestampMs = lastCommands[lastCommands.length - 1]?.timestampMs ?? 0;
  const timestampMs = commandClock(options, { timestampMs: lastTimestampMs }).now(undefined);
  const start: Command = { kind: 'epochStarted', epoch };
  const commands: Command[] = last === undefined ? [options.genesis, start] : [start];
  const encoded = commands.map((command, index): Uint8Array => {
    const sequenced: SequencedCommand = {
      sequence: (lastSequence + 1 + index) as JournalSequence,
      timestampMs,
      command,
    };
    return encodeSequencedCommand(sequenced);
  });
  return buildRow(last?.hash ?? JOURNAL_START.hash, epoch, lastSequence + 1, encoded).row;
}

function commandClock<Engine extends LeadingEngine>(
  options: LeadOptions<Engine>,
  position: { readonly timestampMs: number },
): CommandClock {
  return new CommandClock({
    wall: options.wall,
    lastTimestampMs: position.timestampMs,
    ...(options.onClockJump === undefined ? {} : { onJump: options.onClockJump }),
    ...(options.clockStepMaxMs === undefined ? {} : { stepMaxMs: options.clockStepMaxMs }),
  });
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
