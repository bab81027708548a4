/**
 * How long an engine takes to come back: a journal replayed from command 1, and a restart from a snapshot; and how long taking that
 * snapshot keeps the engine. A real PostgreSQL that syncs; rows are verified as in production.
 *
 *   npm run bench:recovery -- --json                the last line is one JSON object
 *   npm run bench:recovery -- --commands 200000     a shorter journal
 *
 * The journal: 1,000 traders keep 100,000 orders resting (fewer in a short journal); beyond that each placement is followed by the
 * cancellation of the oldest order, and every hundredth order trades.
 */
import { strict as assert } from 'node:assert';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { encodeCommand, sequenceEncoded } from '../src/domain/command-codec.ts';
import { type Command, RULES_VERSION } from '../src/domain/commands.ts';
import type { NewOrder } from '../src/domain/orders.ts';
import type { Address, TimestampMs } from '../src/domain/units.ts';
import type { Engine } from '../src/offchain-engine/engine.ts';
import { buildRow, JOURNAL_START, sha256, toHex } from '../src/offchain-engine/sequencer/journal-row.ts';
import { Replica } from '../src/offchain-engine/sequencer/replica.ts';
import { startEmbeddedPostgres } from '../src/services/embedded-postgres.ts';
import { ENGINE_FORM } from '../src/services/engine-form.ts';
import { migrate, openDatabase } from '../src/storage/database.ts';
import { PostgresJournal } from '../src/storage/journal/postgres-journal.ts';
import { PostgresLeadership } from '../src/storage/leadership.ts';
import { PostgresSnapshots } from '../src/storage/snapshots.ts';
import { CHAIN_ID, deployedAtMs, type Trader, traders, VAULT, vaultEvents } from './durable/orders.ts';

const TRADERS = 1_000;
const RESTING = 100_000;
const ROW_COMMANDS = 512;
const PAUSES = 5;
const unit = <T>(value: number): T => value as T;

const { values } = parseArgs({
  options: { json: { type: 'boolean', default: false }, commands: { type: 'string', default: '1000000' } },
});
const commandCount = Number(values.commands);
const startedMs = Date.now();
const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

const directory = await mkdtemp(join(tmpdir(), 'tallystick-bench-'));
const postgres = await startEmbeddedPostgres({ dataDirectory: directory });
await migrate(postgres.url);
const pool = openDatabase({ url: postgres.socketUrl, applicationName: 'bench-recovery' });
const journal = new PostgresJournal({ pool, owner: 'bench' });
const snapshots = new PostgresSnapshots({ pool });
const recover = (): Promise<Replica<Engine>> =>
  Replica.recover({
    journal,
    snapshots,
    form: ENGINE_FORM,
    onProblem: ({ message, cause }) => {
      throw new Error(message, { cause });
    },
  });
try {
  await writeJournal();
  say(`${commandCount} commands are journaled`);
  const replay = await timed(recover);
  const { engine, position } = replay.result;
  const resting = traders(TRADERS).reduce((sum, { account }) => sum + engine.liveOrders(account).length, 0);
  say(`replay: ${replay.wallMs} ms (${replay.cpuMs} ms of processor time), ${resting} orders rest`);

  // Fixed between two commands; encoded in short steps, hashed and written while the engine goes on.
  const pauses = [];
  let body: Uint8Array = new Uint8Array();
  let longestStepMs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < PAUSES; round++) {
    const ready = ENGINE_FORM.makeReady(engine, 0);
    while (ready.next().done !== true);
    const pause = await timed(async () => ENGINE_FORM.encodeInSteps(engine));
    pauses.push(pause);
    let longestMs = 0;
    for (let done = false; !done; ) {
      const step = await timed(async () => pause.result.next());
      longestMs = Math.max(longestMs, step.cpuMs);
      if (step.result.done === true) [body, done] = [step.result.value, true];
    }
    longestStepMs = Math.min(longestStepMs, longestMs);
  }
  const stateHash = toHex(sha256(body));
  const pauseMs = Math.min(...pauses.map(({ cpuMs }) => cpuMs));
  await snapshots.save({
    sequence: unit(position.lastSequence),
    rulesVersion: RULES_VERSION,
    stateHash,
    journalHash: position.hash,
    body,
  });
  say(`snapshot: the engine stands ${pauseMs} ms at best, then ${longestStepMs} ms at a time; ${body.length} bytes`);
  const restart = await timed(recover);
  assert.equal(ENGINE_FORM.stateHash(restart.result.engine), stateHash);
  say(`restart from it: ${restart.wallMs} ms (${restart.cpuMs} ms of processor time)`);
  const result = {
    commands: position.lastSequence,
    restingOrders: resting,
    replayMs: replay.wallMs,
    replayCpuMs: replay.cpuMs,
    commandsPerSec: Math.round((position.lastSequence * 1_000) / replay.wallMs),
    snapshotPauseCpuMs: pauseMs,
    snapshotStepCpuMs: longestStepMs,
    snapshotPauseMaxMs: Math.max(...pauses.map(({ wallMs }) => wallMs)),
    snapshotBytes: body.length,
    restartMs: restart.wallMs,
    restartCpuMs: restart.cpuMs,
  };
  process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : `${JSON.stringify(result, undefined, 2)}\n`);
} finally {
  await pool.end();
  await postgres.stop();
  await rm(directory, { recursive: true, force: true });
}

async function timed<T>(run: () => Promise<T>): Promise<{ result: T; wallMs: number; cpuMs: number }> {
  const beganMs = performance.now();
  const before = process.threadCpuUsage();
  const result = await run();
  const after = process.threadCpuUsage();
  const round = (ms: number): number => Number(ms.toFixed(1));
  return {
    result,
    wallMs: round(performance.now() - beganMs),
    cpuMs: round((after.user - before.user + after.system - before.system) / 1_000),
  };
}

async function writeJournal(): Promise<void> {
  const leadership = new PostgresLeadership({ pool, owner: 'bench' });
  let previous = JOURNAL_START.hash;
  let sequence = 1;
  const build = (commands: readonly Command[], epoch: number) => {
    // A millisecond per row: nothing expires meanwhile.
    const timestampMs = unit<TimestampMs>(startedMs + Math.floor(sequence / ROW_COMMANDS));
    const encoded = commands.map((command, index) =>
      sequenceEncoded(encodeCommand(command), unit(sequence + index), timestampMs),
    );
    const { row } = buildRow(previous, epoch, sequence, encoded);
    previous = row.hash;
    sequence += commands.length;
    return row;
  };
  const acquired = await leadership.tryAcquire((_, epoch) =>
    build([genesis(), { kind: 'epochStarted', epoch }], epoch),
  );
  assert.equal(acquired.kind, 'acquired');
  const epoch = acquired.kind === 'acquired' ? acquired.epoch : 0;
  let gathered: Command[] = [];
  const flush = async (): Promise<void> => {
    const outcome = await journal.append(build(gathered, epoch));
    assert.equal(outcome.kind, 'committed');
    gathered = [];
  };
  for (const command of commandsOf(traders(TRADERS))) {
    if (sequence + gathered.length > commandCount) break;
    gathered.push(command);
    if (gathered.length === ROW_COMMANDS) await flush();
  }
  if (gathered.length > 0) await flush();
}

function genesis(): Command {
  return {
    kind: 'genesis',
    chainId: CHAIN_ID,
    vault: VAULT,
    deployedAtMs: unit(deployedAtMs(startedMs)),
    limits: {
      openOrdersPerAccountMax: 500,
      batchesInFlightMax: 64,
      unsettledAgeMaxMs: 30 * 60_000,
      orderAgeMaxMs: 10 * 60_000,
    },
    defaultParameters: { makerFeePpm: unit(200), takerFeePpm: unit(500), minNotional: unit(1), priceBandPpm: 0 },
    withdrawalFees: [],
  };
}

function* commandsOf(accounts: readonly Trader[]): Generator<Command, never, undefined> {
  let eventSequence = 0;
  for (const fact of vaultEvents(accounts)) yield { ...fact, eventSequence: unit(++eventSequence) };
  const resting = Math.min(RESTING, Math.floor(commandCount / 4));
  for (let index = 0; ; index++) {
    if (index >= resting) {
      const { account, lane, orderSequence } = orderOf(accounts, index - resting);
      yield { kind: 'cancelOrder', order: { account, lane, orderSequence } };
    }
    yield { kind: 'placeOrder', order: orderOf(accounts, index) };
  }
}

function orderOf(accounts: readonly Trader[], index: number): NewOrder {
  const { account } = accounts[index % accounts.length] as Trader;
  const turn = Math.floor(index / accounts.length);
  const away = (index * 7_919) % 3_000;
  const isTaker = index % 100 === 99;
  const hex = index.toString(16);
  return {
    account: account.toLowerCase() as Address,
    market: 0,
    side: index % 2 === 0 ? 'buy' : 'sell',
    sizeLots: unit(1),
    // Buys rest below 4,000, sells above 6,000; every hundredth order sells into the buys.
    priceTicks: unit(isTaker ? 1_000 : (index % 2 === 0 ? 1_000 : 6_000) + away),
    timeInForce: isTaker ? 'ioc' : 'gtc',
    postOnly: false,
    lane: turn % 1_000,
    orderSequence: 3_500_000 + turn,
    expiry: unit(Math.floor(startedMs / 1_000) + 86_400),
    maxFeePpm: unit(1_000),
    signer: account,
    digest: `0x${hex.padStart(64, '0')}`,
    signature: `0x${hex.padStart(128, '5')}`,
    clientOrderId: '',
    selfTradePrevention: 'cancel_newest',
    stop: undefined,
  };
}
