import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { during, FAULT_LASTS_MS, type Fault, whileWaiting } from '../fault.ts';
import { until, type World } from '../world.ts';

const ENGINE = { statement: 'SELECT * FROM leader FOR UPDATE', waiter: 'tallystick-engine' };
/** Written by settlement, indexer, projector and engine. */
const CONTENDED = ['settlements', 'chain_events', 'orders', 'batches', 'reconciliations'] as const;
const CONNECTIONS_MAX = 220;
const CONNECTIONS_AT_ONCE = 10;
const OWN_NAME = 'tallystick-test-faults';

export const POSTGRES_FAULTS: readonly Fault[] = [
  postgresFault('killed (SIGKILL) while a commit is under way', (world) =>
    whileWaiting(world, ENGINE, () => world.postgres.killAndRestart()),
  ),
  postgresFault('the committing backend killed (SIGKILL)', (world) =>
    whileWaiting(world, ENGINE, async (pid) => process.kill(pid, 'SIGKILL')),
  ),
  postgresFault('every backend terminated, over and over', ({ pool }) => during(() => endSessions(pool))),
  postgresFault('commit applied, but the answer lost', loseAnswer),
  postgresFault('serialization failures', failToSerialize),
  postgresFault('the pools exhausted by statements that wait', exhaustPools),
  postgresFault('no connection left on the server', takeEveryConnection),
];

function postgresFault(name: string, inject: Fault['inject']): Fault {
  return { name, group: 'PostgreSQL', parts: ['postgres', 'engine', 'settlement', 'indexer'], inject };
}

async function endSessions(pool: pg.Pool | pg.PoolClient): Promise<void> {
  await pool.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE pid <> pg_backend_pid() AND datname = current_database() AND application_name <> '${OWN_NAME}'`,
  );
}

/** Answers to the engines stay on the wire until a row was committed that nobody heard of; then the connections break. */
async function loseAnswer({ pool, postgres: { engineWire } }: World): Promise<number> {
  const last = async (): Promise<number> => {
    const { rows } = await pool.query<{ last: number }>('SELECT max(last_sequence) AS last FROM journal');
    return rows[0]?.last ?? 0;
  };
  let times = 0;
  for (let left = 3; left > 0; left--) {
    engineWire.holdAnswers();
    try {
      const before = await last();
      await until('a row that nobody heard of', async () => (await last()) > before, 3_000).then(
        () => times++,
        // Every connection may wait for another answer: then this try loses that one.
        () => undefined,
      );
    } finally {
      engineWire.drop();
      engineWire.releaseAnswers();
    }
    await sleep(300);
  }
  return times;
}

/** Every third write fails as a serialization failure, raised by the server itself. */
async function failToSerialize({ pool }: World): Promise<number> {
  const counter = 'CREATE SEQUENCE IF NOT EXISTS faults_raised';
  await pool.query(`${counter};
    CREATE OR REPLACE FUNCTION raise_fault() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF random() < 0.33 THEN
        PERFORM nextval('faults_raised');
        RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'could not serialize access due to concurrent update';
      END IF;
      RETURN coalesce(NEW, OLD);
    END $$;`);
  const before = await raised(pool);
  const tables = ['journal', ...CONTENDED];
  for (const table of tables)
    await pool.query(
      `CREATE TRIGGER fault BEFORE INSERT OR UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION raise_fault()`,
    );
  await sleep(FAULT_LASTS_MS);
  for (const table of tables) await pool.query(`DROP TRIGGER fault ON ${table}`);
  return (await raised(pool)) - before;
}

async function raised(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ times: number }>(
    'SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS times FROM faults_raised',
  );
  return rows[0]?.times ?? 0;
}

/** Statements wait for locked tables until each pool's connections are all in use. */
async function exhaustPools({ pool, url }: World): Promise<number> {
  const client = await pool.connect();
  try {
    await client.query(`BEGIN; LOCK TABLE ${CONTENDED.join(', ')} IN ACCESS EXCLUSIVE MODE`);
    const reads = Array.from({ length: 60 }, () =>
      fetch(`${url}/api/v1/markets/WETH-USDC/trades`).then((answer) => answer.body?.cancel()),
    );
    await sleep(FAULT_LASTS_MS);
    await client.query('ROLLBACK');
    await Promise.allSettled(reads);
    return reads.length;
  } finally {
    client.release();
  }
}

/** Takes what the server has, ends the services' own sessions, and takes those as well. */
async function takeEveryConnection({ pool, postgres: { url } }: World): Promise<number> {
  const taken: pg.Client[] = [];
  // Held all the time: the pool would give an idle one back, and get none again.
  const own = await pool.connect();
  const takeAll = async (): Promise<void> => {
    for (let refused = 0; refused === 0 && taken.length < CONNECTIONS_MAX; ) {
      const answers = await Promise.allSettled(Array.from({ length: CONNECTIONS_AT_ONCE }, () => openSession(url)));
      for (const answer of answers) {
        if (answer.status === 'fulfilled') taken.push(answer.value);
        // The server's refusal is what was wanted.
        else refused++;
      }
    }
  };
  try {
    await takeAll();
    for (const endMs = performance.now() + FAULT_LASTS_MS; performance.now() < endMs; await sleep(100)) {
      await endSessions(own);
      await takeAll();
    }
    return taken.length;
  } finally {
    own.release();
    await Promise.all(taken.map((client) => client.end()));
  }
}

/** As one of ours, which `endSessions` leaves alone. */
async function openSession(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: OWN_NAME });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
