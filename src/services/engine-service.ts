/**
 * The engine process: waits for leadership, then sequences commands, publishes events, and hands sealed batches to the outbox.
 *
 * What ends it ends the process: a lost leadership, a journal that does not verify, a batch that contradicts the outbox. The next
 * start recovers from the journal.
 */
import type { Pool } from 'pg';
import type { ChainCommand, EngineLimits, OperatorCommand } from '../domain/commands.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { MarketParameters } from '../domain/markets.ts';
import { type JournalSequence, type Ppm, quanta } from '../domain/units.ts';
import { startFeed } from '../indexer/feed-engine.ts';
import type { BookSnapshot, Level, Transport } from '../messaging/port.ts';
import type { Engine } from '../offchain-engine/engine.ts';
import { SYSTEM_CLOCK } from '../offchain-engine/sequencer/command-clock.ts';
import { type Leading, leadJournal } from '../offchain-engine/sequencer/lead.ts';
import type { EngineSigner } from '../settlement/signers.ts';
import { startBaseFeeWatch } from '../settlement/watch-base-fees.ts';
import { PostgresJournal } from '../storage/journal/postgres-journal.ts';
import { PostgresLeadership } from '../storage/leadership.ts';
import type { OperatorDecision } from '../storage/operator-requests.ts';
import type { LiveRow } from '../storage/projections/live-rows.ts';
import { seenSequence } from '../storage/seen-sequence.ts';
import { PostgresSnapshots } from '../storage/snapshots.ts';
import { createBatchPublishing } from './batch-publishing.ts';
import { ENGINE_FORM } from './engine-form.ts';
import { startOperatorRequests } from './operator-requests.ts';
import type { ProcessContext } from './process-context.ts';
import { refuseDecision } from './refuse-decision.ts';
import { resealBatch } from './reseal-batches.ts';
import { createSealing } from './seal-batches.ts';

const LIMITS: EngineLimits = {
  openOrdersPerAccountMax: 500,
  // Bounds memory; the age below is what turns markets cancel-only when settlement lags behind.
  batchesInFlightMax: 2_048,
  unsettledAgeMaxMs: 30 * 60_000,
  orderAgeMaxMs: 10 * 60_000,
};

const PARAMETERS: Omit<MarketParameters, 'makerFeePpm' | 'takerFeePpm'> = {
  minNotional: quanta(1_000_000),
  priceBandPpm: 0,
};

export type EngineServiceOptions = {
  readonly context: ProcessContext;
  readonly pool: Pool;
  readonly transport: Transport;
  readonly engineSigner: EngineSigner;
  /** A row was journaled and applied: projections may follow. */
  readonly onJournaled?: (row: LiveRow) => void;
  /** A batch is in the outbox. */
  readonly onPublished?: () => void;
  readonly signal?: AbortSignal;
};

export type EngineService = {
  readonly leading: Leading<Engine>;
  /** Rejects when the service had to stop by itself; the process must end. */
  readonly done: Promise<void>;
  /** Journals an operator's decision. @throws ExchangeError OVERLOADED or STATUS_UNKNOWN */
  readonly submitOperator: (command: OperatorCommand) => Promise<void>;
  /** New final vault events may be there. */
  readonly wakeFeed: () => void;
  /** Answers what was accepted, writes a snapshot, gives the leadership up. */
  readonly stop: () => Promise<void>;
};

/** Resolves once this process leads; until then it follows the journal as a standby. */
export async function startEngineService(options: EngineServiceOptions): Promise<EngineService> {
  const { pool, transport } = options;
  const { chain, owner, logger, settings } = options.context;
  const journal = new PostgresJournal({ pool, owner });
  const snapshots = new PostgresSnapshots({ pool });
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => undefined);

  let engine: Engine | undefined;
  const publishing = createBatchPublishing({
    context: options.context,
    pool,
    journal,
    engineSigner: options.engineSigner,
    engine: () => engine,
    onPublished: options.onPublished,
    onFailed: failure.reject,
  });
  const onProblem = ({ message, cause }: { message: string; cause: unknown }): void =>
    logger.warn({ err: cause }, message);
  // Gas on the local chain costs nothing.
  const baseFees =
    settings.RPC_URL === undefined
      ? undefined
      : startBaseFeeWatch({ rpc: options.context.rpc, onWarning: options.context.warn });
  const sealing = createSealing(settings, baseFees);

  // What was matched must settle while cancellations do not bind yet.
  const unsettledAgeMaxMs = chain.graceSeconds * 500;
  const leading = await leadJournal({
    journal,
    leadership: new PostgresLeadership({ pool, owner }),
    snapshots,
    form: ENGINE_FORM,
    wall: SYSTEM_CLOCK,
    genesis: {
      kind: 'genesis',
      chainId: chain.chainId,
      vault: chain.vault,
      deployedAtMs: chain.deployedAtMs,
      limits: { ...LIMITS, unsettledAgeMaxMs: Math.min(LIMITS.unsettledAgeMaxMs, unsettledAgeMaxMs) },
      defaultParameters: {
        ...PARAMETERS,
        makerFeePpm: settings.MAKER_FEE_PPM as Ppm,
        takerFeePpm: settings.TAKER_FEE_PPM as Ppm,
      },
      withdrawalFees: [],
    },
    sign: (row) => options.engineSigner.signRow(row, chain.domain),
    seal: sealing.policy,
    knownSequence: await seenSequence(pool),
    snapshotEveryCommands: settings.SNAPSHOT_COMMANDS,
    // Only the local chain runs on laptops, which sleep.
    ...(settings.RPC_URL === undefined ? { clockStepMaxMs: Number.POSITIVE_INFINITY } : {}),
    ...(settings.ACCEPT_CLOCK === 'on' ? { acceptClock: true } : {}),
    onProblem,
    onClockJump: (jump) =>
      logger.error(jump, "the machine's clock stepped and is not followed until an operator accepts it"),
    onLeading: (taken) => {
      engine = taken.engine;
      logger.info({ epoch: taken.epoch, sequence: taken.engine.lastSequence }, 'leading');
      publishing.publishAll(taken.engine.batchesInFlight());
    },
    onApplied: (applied, row, commands) => {
      transport.publish(applied);
      publishing.publishSealed(applied, row);
      sealing.note(commands);
      options.onJournaled?.({ commands, applied });
    },
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const { sequencer } = leading;
  const stopServing = await Promise.all([
    transport.serveCommands((command, submitted) => sequencer.submit(command, submitted)),
    transport.serveSnapshots(() => bookSnapshot(leading.engine)),
  ]);
  const feed = startFeed({
    pool,
    lastAppliedSequence: () => leading.engine.lastChainEventSequence,
    submit: (command: ChainCommand) => committed(sequencer.submitChain(command), command.kind),
    onWarning: (message, error) => logger.warn({ err: error }, message),
  });
  const refuse = (command: OperatorDecision): string | undefined =>
    refuseDecision({ engine: leading.engine, clock: leading.clock, unsettledAgeMaxMs }, command);
  const resealing = { engine: leading.engine, sequencer, contentHashOf: publishing.contentHashOf, refuse };
  const stopOperatorRequests = startOperatorRequests({
    pool,
    journal,
    lastSequence: () => leading.engine.lastSequence,
    refuse,
    submit: async (command) => {
      if (command.kind === 'resealBatch') return resealBatch(resealing, command);
      const reply = await sequencer.submitOperator(command);
      if (reply.kind === 'committed' && command.kind === 'acceptClockJump') leading.clock.acceptJump();
      return reply;
    },
    onWarning: (message, error) => logger.warn({ err: error }, message),
  });

  const stop = async (): Promise<void> => {
    await stopOperatorRequests();
    await feed.stop();
    for (const end of stopServing) await end();
    await baseFees?.stop();
    await sequencer.stop();
    await publishing.stop();
    await saveFinalSnapshot(journal, snapshots, leading.engine);
  };
  return {
    leading,
    done: Promise.race([sequencer.stopped, failure.promise]),
    submitOperator: (command) => committed(sequencer.submitOperator(command), command.kind),
    wakeFeed: feed.wake,
    stop,
  };
}

async function committed(
  reply: Promise<{ kind: 'committed' | 'overloaded' | 'unknown' }>,
  what: string,
): Promise<void> {
  const { kind } = await reply;
  if (kind === 'overloaded')
    throw new ExchangeError('OVERLOADED', `the engine did not take ${what}; it is tried again`);
  if (kind === 'unknown') throw new ExchangeError('STATUS_UNKNOWN', `whether the engine took ${what} is not known`);
}

function bookSnapshot(engine: Engine): BookSnapshot {
  const levels = (market: number, side: 'buy' | 'sell'): Level[] =>
    engine.levels(market, side).map(({ price, size }) => [price, size]);
  return {
    sequence: engine.lastSequence as JournalSequence,
    books: engine.core.markets.map(({ index }) => ({
      market: index,
      bids: levels(index, 'buy'),
      asks: levels(index, 'sell'),
    })),
  };
}

/** A clean stop leaves a snapshot at the journal's end, so that the next start need not replay. */
async function saveFinalSnapshot(
  journal: PostgresJournal,
  snapshots: PostgresSnapshots,
  engine: Engine,
): Promise<void> {
  const row = await journal.lastRow();
  if (row === undefined || row.lastSequence !== engine.lastSequence) return;
  await snapshots.save({
    sequence: row.lastSequence,
    rulesVersion: row.rulesVersion,
    stateHash: ENGINE_FORM.stateHash(engine),
    journalHash: row.hash,
    body: ENGINE_FORM.encode(engine),
  });
}
