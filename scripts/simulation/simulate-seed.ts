/**
 * One simulated life of the exchange: the real sequencer and engine, with users, vault, clocks, journal and crashes drawn from one seed.
 *
 * Time is the simulation's own and the journal is in memory, so nothing depends on the machine: the same seed gives the same journal, byte
 * for byte. After every journal row the commands in it go through a second engine, which has never crashed, and a plain ledger: both must
 * agree with the engine that leads, whatever that one was recovered from.
 *
 * Checked at every command: conservation and the vault's books (I1, I2), no negative balance and exact locks (I3), fills within orders, limits
 * and fees (I4), batches gapless and settled once (I5), rising epochs (I6), the same state and events by replay (I9), and that what
 * was acknowledged stands in the journal (I10).
 */
import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import { mock } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { encodeCommand } from '../../src/domain/command-codec.ts';
import type { Command, SequencedCommand } from '../../src/domain/commands.ts';
import { ExchangeError } from '../../src/domain/errors.ts';
import type { AppliedCommand } from '../../src/domain/events.ts';
import type { JournalRow } from '../../src/domain/journal.ts';
import type { TimestampMs } from '../../src/domain/units.ts';
import { Engine } from '../../src/offchain-engine/engine.ts';
import { JOURNAL_START, receiptProves, verifyRow } from '../../src/offchain-engine/sequencer/journal-row.ts';
import { type Leading, leadJournal } from '../../src/offchain-engine/sequencer/lead.ts';
import type { SequencerReply, Snapshot } from '../../src/offchain-engine/sequencer/ports.ts';
import { Replica } from '../../src/offchain-engine/sequencer/replica.ts';
import { sealByCountAndAge } from '../../src/offchain-engine/sequencer/sealing.ts';
import { ENGINE_FORM } from '../../src/services/engine-form.ts';
import { seededRandom } from '../../test/support/random.ts';
import { APPEND_FAULTS, damaged, FaultyWorld, type Random, readerOf } from './faulty-world.ts';
import { ACCOUNTS, FEE_ADDRESS, GENESIS, listings, SESSION_KEY, unit } from './listings.ts';
import { ModelLedger } from './model-ledger.ts';
import { ModelVault } from './model-vault.ts';
import { pick, Users } from './users.ts';

export type SimulatedLife = {
  readonly seed: number;
  readonly commands: number;
  readonly trades: number;
  readonly batches: number;
  readonly skippedTrades: number;
  readonly takeovers: number;
  readonly refusedRows: number;
  readonly acknowledged: number;
  /** State of the engine and hash of the journal at the end: equal for equal seeds. */
  readonly stateHash: string;
  readonly journalHash: string;
  /** Every command that was journaled. */
  readonly journal: readonly SequencedCommand[];
  /** How often each kind of event was seen. */
  readonly events: ReadonlyMap<string, number>;
};

/** Steps of one life, in `npm run simulate` and in its test alike. */
export const STEPS = 120;
/** The lease is no part of the simulation: a leader that is gone is known to be gone. */
const NEVER_MS = 2 ** 30;

/** @throws AssertionError when an invariant does not hold */
export async function simulateSeed(seed: number, steps = STEPS): Promise<SimulatedLife> {
  const simulation = new Simulation(seed);
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  // By this, long work knows when to give way to the rest, and a sequencer how fast its journal is.
  const { now } = performance;
  performance.now = simulation.workingMs;
  try {
    await simulation.live(steps);
    return simulation.summary();
  } finally {
    performance.now = now;
    mock.timers.reset();
  }
}

type Process = { dead: boolean; readonly leading: Leading<Engine> };
type Acknowledged = Extract<SequencerReply, { kind: 'committed' }> & { readonly command: Command };

class Simulation {
  readonly #seed: number;
  readonly #random: Random;
  readonly #pace: Random;
  readonly #world: FaultyWorld;
  readonly #vault: ModelVault;
  readonly #users: Users;
  readonly #ledger: ModelLedger;
  readonly #shadow = new Engine();
  readonly #commands: SequencedCommand[] = [];
  readonly #published = new Map<number, AppliedCommand>();
  readonly #acknowledged: Acknowledged[] = [];
  readonly #unexpected: unknown[] = [];
  #position = JOURNAL_START;
  #rowsChecked = 0;
  #acknowledgedChecked = 0;
  #takeovers = 0;
  #workedMs = 0;
  #process: Process | undefined;

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = seededRandom(seed);
    this.#pace = seededRandom(seed + 1_000_000);
    this.#world = new FaultyWorld(this.#random);
    this.#vault = new ModelVault(this.#random);
    this.#users = new Users(this.#random);
    this.#ledger = new ModelLedger(this.#vault);
    for (const fact of listings()) this.#vault.emit(fact);
  }

  /** How long work takes is drawn too: up to a few milliseconds between two looks. */
  readonly workingMs = (): number => (this.#workedMs += this.#pace(4));

  async live(steps: number): Promise<void> {
    // Who has little spends at once what was bought: one trade that is skipped makes later ones fail.
    const wealth = this.#random(3) === 0 ? 800 : 4_000;
    for (const account of ACCOUNTS)
      for (const asset of [0, 1, 2]) this.#deposit(account, asset, asset === 1 ? 10 * wealth : wealth);
    // Mostly everything is listed and paid in before anyone trades.
    if (this.#random(5) > 0) {
      this.#process = await this.#takeOver();
      while (this.#feedNext() > 0) await this.#world.settle();
    }
    for (let step = 0; step < steps; step++) {
      this.#process ??= await this.#takeOver();
      await this.#step();
      await this.#world.settle();
      this.#check();
    }
    await this.#end();
  }

  summary(): SimulatedLife {
    return {
      seed: this.#seed,
      commands: this.#commands.length,
      trades: this.#ledger.trades,
      batches: this.#vault.settledBatches,
      skippedTrades: this.#vault.skippedTrades,
      takeovers: this.#takeovers,
      refusedRows: this.#world.counts.refused,
      acknowledged: this.#acknowledged.length,
      stateHash: ENGINE_FORM.stateHash(this.#shadow),
      journalHash: createHash('sha256').update(this.#position.hash).digest('hex').slice(0, 16),
      journal: this.#commands,
      events: this.#ledger.seen,
    };
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const roll = random(100);
    if (roll < 50) this.#trade();
    else if (roll < 62) this.#world.pass(this.#pause());
    else if (roll < 78) this.#chainActs();
    else if (roll < 85) this.#feed(1 + random(12));
    else if (roll < 88) this.#operate();
    else if (roll < 90) this.#world.clockErrorMs = random(2) === 0 ? 0 : random(7_200_000) - 3_600_000;
    else if (roll < 93) this.#crash();
    else if (roll < 96) await this.#depose();
    else {
      this.#world.nextAppend = APPEND_FAULTS[random(APPEND_FAULTS.length)];
      this.#trade();
      await this.#world.settle();
      this.#crash();
    }
  }

  /** Mostly seconds; now and then minutes, seldom days. */
  #pause(): number {
    const random = this.#random;
    if (random(30) > 0) return random(4_000);
    return random(8) === 0 ? random(260_000_000) : random(900_000);
  }

  #trade(): void {
    for (let left = 1 + this.#random(8); left > 0; left--) {
      const command = this.#users.next(this.#world.trueMs);
      this.#world.trueMs += this.#random(5);
      const notAfterMs = (this.#world.trueMs + this.#world.clockErrorMs + 5_000) as TimestampMs;
      this.#note(command, this.#process?.leading.sequencer.submit(command, { notAfterMs }));
    }
  }

  #operate(): void {
    const command = this.#users.operate();
    this.#note(command, this.#process?.leading.sequencer.submitOperator(command));
  }

  /** Facts from where the engine stands on; now and then one it has had, or one that leaves a gap. */
  #feed(count: number): void {
    const { leading } = this.#process as Process;
    const from = leading.engine.lastChainEventSequence + (this.#random(8) === 0 ? this.#random(7) - 3 : 0);
    for (const { command } of this.#vault.events.slice(Math.max(0, from), Math.max(0, from) + count))
      this.#note(command, leading.sequencer.submitChain(command));
  }

  #note(command: Command, reply: Promise<SequencerReply> | undefined): void {
    reply?.then(
      (answer) => {
        this.#world.activity++;
        if (answer.kind === 'committed') this.#acknowledged.push({ ...answer, command });
      },
      (cause: unknown) => this.#unexpected.push(cause),
    );
  }

  #chainActs(): void {
    const random = this.#random;
    const account = pick(ACCOUNTS, random);
    const nowSeconds = Math.floor(this.#world.trueMs / 1_000);
    const roll = random(20);
    if (roll < 9) while (this.#vault.settleNext() && random(3) > 0);
    else if (roll < 12) this.#deposit(account, random(3), 1 + random(20_000));
    else if (roll < 14) this.#vault.exit(account, random(3));
    else if (roll < 15) {
      const beforeSequence = this.#world.trueMs - GENESIS.deployedAtMs - random(3_000);
      this.#vault.emit({ kind: 'ordersCancelledOnChain', account, beforeSequence });
    } else if (roll < 17) {
      const validUntil = unit<never>(nowSeconds + random(600));
      const key = { account, key: SESSION_KEY, validUntil };
      if (random(4) === 0) this.#vault.emit({ kind: 'sessionKeyRevoked', ...key });
      else this.#vault.emit({ kind: 'sessionKeyRegistered', ...key, marketMask: random(2) === 0 ? 1n : 1n << 255n });
    } else if (roll < 18) this.#collectFees();
    else if (roll < 19) {
      const fees = { takerFeePpm: unit<never>(random(5) * 700), makerFeePpm: unit<never>(random(5) * 300) };
      this.#vault.emit({ kind: 'feesChanged', ...fees });
    } else this.#vault.emit({ kind: 'chainEventNoted', name: 'EngineKeyChanged' });
    if (random(3) > 0) this.#feed(12);
  }

  #deposit(account: (typeof ACCOUNTS)[number], asset: number, amount: number): void {
    this.#vault.emit({ kind: 'depositCredited', account, asset, amount: unit(amount) }, [{ account, asset, amount }]);
  }

  #collectFees(): void {
    const amount = this.#vault.bookOf(FEE_ADDRESS, 1);
    if (amount === 0) return;
    const deltas = [{ account: FEE_ADDRESS, asset: 1, amount: -amount }];
    this.#vault.emit({ kind: 'feesCollected', asset: 1, amount: unit(amount) }, deltas);
  }

  /** The process is gone, with everything that it had not written. */
  #crash(): void {
    if (this.#process === undefined) return;
    this.#process.dead = true;
    this.#process = undefined;
    this.#world.nextAppend = undefined;
  }

  /** Another process takes over while this one still works; nothing that the old one writes after that may count. */
  async #depose(): Promise<void> {
    const old = this.#process as Process;
    if (this.#random(2) === 0) this.#trade();
    const before = this.#world.lastSequence;
    this.#process = await this.#takeOver();
    const command = this.#users.next(this.#world.trueMs);
    const reply = old.leading.sequencer.submit(command, {
      notAfterMs: (this.#world.trueMs + 3_600_000) as TimestampMs,
    });
    this.#note(command, reply);
    await this.#world.settle();
    for (const row of this.#world.rows)
      if (row.firstSequence > before && row.epoch < this.#world.epoch)
        assert.ok(
          this.#world.rows.some((later) => later.epoch === this.#world.epoch && later.firstSequence > row.lastSequence),
          'a deposed leader wrote a row',
        );
    old.dead = true;
  }

  /** Recovers, checks what it recovered, and leads. A clock that is refused is set right first. */
  async #takeOver(): Promise<Process> {
    const world = this.#world;
    if (this.#random(4) === 0) world.damageNewestSnapshot();
    if (this.#random(4) === 0) await this.#checkDamageIsFound();
    for (;;) {
      const state = { dead: false };
      const isDead = (): boolean => state.dead;
      try {
        const leading = await leadJournal<Engine>({
          journal: world.journal(isDead),
          leadership: world.leadership(isDead),
          snapshots: world.snapshotStore,
          form: ENGINE_FORM,
          wall: world.clock,
          genesis: GENESIS,
          sign: async (row) => `0x${row.merkleRoot.slice(2)}${row.merkleRoot.slice(2)}`,
          seal: sealByCountAndAge({ tradesMin: 6, tradeAgeMs: 3_000, withdrawalAgeMs: 2_000, tradesMax: 20 }),
          snapshotEveryCommands: 40,
          renewEveryMs: NEVER_MS,
          knownSequence: world.lastSequence,
          onApplied: (applied) => this.#publish(applied),
          onLeading: ({ engine }) => {
            this.#check();
            assert.equal(ENGINE_FORM.stateHash(engine), ENGINE_FORM.stateHash(this.#shadow), 'recovered state');
            for (const batch of engine.batchesInFlight()) this.#vault.publish(batch);
          },
          onProblem: () => undefined,
        });
        this.#takeovers++;
        return Object.assign(state, { leading });
      } catch (error) {
        if (!(error instanceof ExchangeError) || error.code !== 'CONFIGURATION') throw error;
        assert.notEqual(world.clockErrorMs, 0, 'a right clock was refused');
        world.clockErrorMs = 0;
      }
    }
  }

  async #checkDamageIsFound(): Promise<void> {
    const rows = damaged(this.#world.rows, this.#random);
    if (rows === undefined) return;
    const recovering = Replica.recover({
      journal: readerOf(rows),
      snapshots: { save: async () => undefined, newestFirst: noSnapshots },
      form: ENGINE_FORM,
      onProblem: () => undefined,
    });
    await assert.rejects(recovering, { code: 'JOURNAL_CORRUPT' });
  }

  #publish(applied: readonly AppliedCommand[]): void {
    for (const command of applied) {
      assert.ok(!this.#published.has(command.sequence), `command ${command.sequence} was published twice`);
      this.#published.set(command.sequence, command);
      for (const event of command.events) if (event.kind === 'batchSealed') this.#vault.publish(event.batch);
    }
  }

  /** Takes in the rows written since, and holds everything against them. */
  #check(): void {
    if (this.#unexpected.length > 0) throw this.#unexpected[0];
    for (; this.#rowsChecked < this.#world.rows.length; this.#rowsChecked++)
      this.#checkRow(this.#world.rows[this.#rowsChecked] as JournalRow);
    for (; this.#acknowledgedChecked < this.#acknowledged.length; this.#acknowledgedChecked++)
      this.#checkAcknowledged(this.#acknowledged[this.#acknowledgedChecked] as Acknowledged);
    const { leading } = this.#process ?? {};
    if (leading !== undefined && leading.engine.lastSequence === this.#shadow.lastSequence)
      assert.equal(ENGINE_FORM.stateHash(leading.engine), ENGINE_FORM.stateHash(this.#shadow), 'state while leading');
  }

  #checkRow(row: JournalRow): void {
    assert.ok(row.epoch >= this.#position.epoch, 'epochs only rise');
    const { commands, position } = verifyRow(this.#position, row);
    this.#position = position;
    for (const sequenced of commands) {
      const applied = this.#shadow.apply(sequenced);
      this.#commands.push(sequenced);
      this.#ledger.take(sequenced, applied.events, this.#shadow);
      const published = this.#published.get(sequenced.sequence);
      if (published !== undefined) assert.ok(isDeepStrictEqual(applied, published), `replay of ${sequenced.sequence}`);
    }
  }

  #checkAcknowledged(acknowledged: Acknowledged): void {
    const written = this.#commands[acknowledged.sequence - 1];
    assert.ok(written !== undefined, `acknowledged at ${acknowledged.sequence}, and not in the journal`);
    const bytes = encodeCommand(written.command);
    assert.ok(Buffer.compare(bytes, encodeCommand(acknowledged.command)) === 0, 'another command was acknowledged');
    assert.ok(receiptProves(acknowledged.receipt, written), 'the receipt does not prove the command');
    assert.equal(this.#published.get(acknowledged.sequence)?.events, acknowledged.events);
  }

  /** Everything comes to rest: what is matched settles, every fact is fed, and the journal gives the same state once more. */
  async #end(): Promise<void> {
    this.#world.clockErrorMs = 0;
    this.#crash();
    this.#process = await this.#takeOver();
    for (let round = 0; round < 40; round++) {
      this.#process.leading.sequencer.requestSeal();
      this.#world.pass(1_000);
      await this.#world.settle();
      this.#vault.settleNext();
      this.#feedNext();
      await this.#world.settle();
      this.#check();
      const { engine } = this.#process.leading;
      const rest = engine.batchesInFlight().length === 0 && engine.unsealedTrades === 0;
      if (rest && engine.lastChainEventSequence === this.#vault.events.length) break;
    }
    const { engine } = this.#process.leading;
    assert.equal(engine.lastChainEventSequence, this.#vault.events.length, 'every fact of the chain was taken in');
    assert.deepEqual(engine.batchesInFlight(), [], 'every batch became final');
    const replayed = new Engine();
    for (const command of this.#commands) replayed.apply(command);
    assert.equal(ENGINE_FORM.stateHash(replayed), ENGINE_FORM.stateHash(engine), 'the whole journal once more');
    this.#crash();
  }

  /** @returns how many facts were still missing */
  #feedNext(): number {
    const { leading } = this.#process as Process;
    const from = leading.engine.lastChainEventSequence;
    const next = this.#vault.events.slice(from, from + 50);
    for (const { command } of next) this.#note(command, leading.sequencer.submitChain(command));
    return next.length;
  }
}

async function* noSnapshots(): AsyncGenerator<Snapshot> {
  yield* [];
}
