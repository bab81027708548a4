/**
 * The indexer beside a peer (ponder): 100,000 events of a real vault from a local node into PostgreSQL, then live blocks and
 * reorganisations. Both read the same node and write to databases of their own on the same server, one after the other in one run.
 *
 *   npm run bench:indexer -- --json               the last line is one JSON object
 *   npm run bench:indexer -- --events 20000       a shorter chain
 *   npm run bench:indexer -- --peer-websocket     tells the peer the node's WebSocket address too, for live blocks
 *
 * Every block holds 100 deposits. The peer stores what Tallystick stores of a deposit, by the way its documentation shows. It is installed
 * in a folder of its own by the first run. Tallystick's backfill is so short that another load on the machine can double it: it is run twice
 * before and twice after the peer's, and the median counts.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { startEmbeddedPostgres } from '../src/services/embedded-postgres.ts';
import { startLocalNode } from '../src/services/local-node.ts';
import { migrate } from '../src/storage/database.ts';
import { SettlementLab } from '../test/support/settlement-lab.ts';
import { type FollowFigures, lastEvent, measureFollowing } from './indexer/follow.ts';
import { createDepositor, mined } from './indexer/make-chain.ts';
import { runPonder, runTallystick, type Subject, type VaultChain } from './indexer/subjects.ts';

const EVENTS_PER_BLOCK = 100;
/** Blocks on top of the last event: more than either indexer waits for before it calls a block final. */
const BLOCKS_ON_TOP = 64;
const ROUNDS = 9;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    events: { type: 'string', default: '100000' },
    'peer-websocket': { type: 'boolean', default: false },
  },
});
const events = Number(values.events);
const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

const directory = await mkdtemp(join(tmpdir(), 'tallystick-bench-'));
const postgres = await startEmbeddedPostgres({ dataDirectory: join(directory, 'postgres') });
const node = await startLocalNode();
let running: Subject | undefined;
try {
  const lab = await SettlementLab.create(node);
  const depositor = await createDepositor(lab, events + 10_000);
  for (let stored = 0; stored < events; stored += EVENTS_PER_BLOCK) {
    await mined(lab.rpc, await depositor.deposit(EVENTS_PER_BLOCK));
  }
  await lab.rpc.request('anvil_mine', [`0x${BLOCKS_ON_TOP.toString(16)}`]);
  const chain: VaultChain = {
    rpcUrl: node.rpcUrl,
    chainId: node.chainId,
    vault: lab.vault,
    deploymentBlock: lab.deploymentBlock,
    lastSequence: await lastEvent(lab),
  };
  say(`${chain.lastSequence} events in ${Math.ceil(events / EVENTS_PER_BLOCK)} blocks`);

  /** Backfill, then following if asked for; the indexer is stopped afterwards. */
  const measure = async (
    name: string,
    start: (databaseUrl: string) => Promise<Subject>,
    follows: boolean,
  ): Promise<{ eventsPerSec: number } & FollowFigures> => {
    const databaseUrl = await createDatabase(name);
    const subject = await start(databaseUrl);
    running = subject;
    const eventsPerSec = Math.round((chain.lastSequence * 1_000) / subject.backfillMs);
    say(`${name}: ${eventsPerSec} events/s`);
    const database = new pg.Client({ connectionString: databaseUrl });
    await database.connect();
    const none = { liveMs: Number.NaN, reorgMs: Number.NaN };
    const following = follows ? await measureFollowing(lab, depositor, subject, database, ROUNDS) : none;
    if (follows) say(`${name}: live ${following.liveMs} ms, reorganisation ${following.reorgMs} ms`);
    await database.end();
    await subject.stop();
    running = undefined;
    return { eventsPerSec, ...following };
  };
  const ours = (databaseUrl: string): Promise<Subject> => runTallystick(chain, databaseUrl);

  const first = await measure('tallystick_1', ours, true);
  const others = [await measure('tallystick_2', ours, false)];
  const ponder = await measure(
    'ponder',
    (databaseUrl) => runPonder(chain, databaseUrl, values['peer-websocket']),
    true,
  );
  for (const name of ['tallystick_3', 'tallystick_4']) others.push(await measure(name, ours, false));
  const rates = [first, ...others].map(({ eventsPerSec }) => eventsPerSec).sort((a, b) => a - b);
  const median = Math.round(((rates[1] ?? 0) + (rates[2] ?? 0)) / 2);
  const tallystick = { ...first, eventsPerSec: median };
  const ratio = Number((tallystick.eventsPerSec / ponder.eventsPerSec).toFixed(2));
  const result = { tallystick, ponder, ratio };
  process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : `${JSON.stringify(result, undefined, 2)}\n`);
} finally {
  await running?.stop();
  await node.stop();
  await postgres.stop();
  await rm(directory, { recursive: true, force: true });
}

/** A new database on the server; with Tallystick's tables for Tallystick. */
async function createDatabase(name: string): Promise<string> {
  const admin = new pg.Client({ connectionString: postgres.url });
  await admin.connect();
  await admin.query(`CREATE DATABASE ${name}`);
  await admin.end();
  const url = new URL(postgres.url);
  url.pathname = `/${name}`;
  if (name.startsWith('tallystick')) await migrate(url.href);
  return url.href;
}
