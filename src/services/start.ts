/**
 * `npm start`: the exchange in one process. What is not named in the environment is embedded: PostgreSQL, an EVM node with the
 * deployed vault and test tokens, demo traders. Ctrl-C stops everything in order; starting again continues.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { BaseError, encodeFunctionData, parseAbi } from 'viem';
import { mnemonicToAccount, privateKeyToAccount } from 'viem/accounts';
import { deployLocal } from '../../scripts/deploy.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { Address } from '../domain/units.ts';
import { createTransactionSender } from '../sdk/transactions.ts';
import { migrate } from '../storage/database.ts';
import { addressSetting, readSettings, rpcUrls, type Settings } from './config.ts';
import { type DemoTraders, startDemoTraders } from './demo-traders.ts';
import { startEmbeddedPostgres } from './embedded-postgres.ts';
import { type Exchange, startExchange } from './exchange.ts';
import { LOCAL_ACCOUNTS, localKey } from './local-keys.ts';
import { LOCAL_CHAIN_ID, LOCAL_MNEMONIC, startLocalNode } from './local-node.ts';
import { createLogger } from './logger.ts';
import { createProcessContext } from './process-context.ts';
import { type ChainIdAnswer, hostOf, readChainId } from './read-chain-id.ts';
import { chooseEngineSigner, chooseTransactionSigner } from './signing-keys.ts';
import { finalityOf, recordedVault, requireActiveKey } from './vault-place.ts';

/** Printed when everything runs; whoever starts this as a child waits for it. */
const READY = 'Ready. Ctrl-C stops everything; starting again continues.';

/** Blocks to finality and a start under load take seconds. */
const LISTINGS_TIMEOUT_MS = 60_000;

type Stoppable = { readonly name: string; readonly stop: () => Promise<void> };

const say = (line = ''): void => void process.stdout.write(`${line}\n`);

async function main(): Promise<void> {
  const running: Stoppable[] = [];
  const ended = Promise.withResolvers<number>();
  let stopRequested = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    // A second Ctrl-C does not wait: what is committed survives anyway.
    if (stopRequested) process.exit(130);
    stopRequested = true;
    say(`\n${signal}: stopping …`);
    ended.resolve(0);
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);

  let code: number;
  let trouble: string | undefined;
  try {
    const settings = readSettings({ LOG_LEVEL: 'warn', ...process.env });
    // A signal while parts are starting waits for them, so that none is left behind.
    await startAll(settings, running, ended);
    code = await ended.promise;
  } catch (error) {
    trouble = explain(error);
    code = 1;
  }
  // Reverse order: who uses before who is used.
  for (let part = running.pop(); part !== undefined; part = running.pop()) {
    try {
      await part.stop();
    } catch (error) {
      process.stderr.write(`${part.name} did not stop cleanly: ${String(error)}\n`);
      code = 1;
    }
  }
  // Last, so that nothing that the parts log while they stop hides it.
  if (trouble !== undefined) process.stderr.write(`\n${trouble}\n`);
  if (stopRequested) say('Stopped.');
  process.exit(code);
}

async function startAll(settings: Settings, running: Stoppable[], ended: PromiseWithResolvers<number>): Promise<void> {
  say('Tallystick: signed orders, matched off chain, settled on chain, reconciled.\n');
  const logger = createLogger(settings.LOG_LEVEL, 'exchange');
  const directory = resolve(settings.DATA_DIRECTORY);
  await mkdir(directory, { recursive: true });

  const databaseUrl = settings.DATABASE_URL ?? (await startDatabase(directory, running));
  const nodes = settings.RPC_URL === undefined ? [await startNode(directory, running)] : rpcUrls(settings);
  const { chainId, rpcUrl } = await timed('chain', () => readChainId(nodes), describeChain);
  const engineSigner = chooseEngineSigner(settings, chainId);
  const transactionSigner = chooseTransactionSigner(settings, chainId);
  await migrate(databaseUrl);
  const apiKeySecret = settings.API_KEY_SECRET ?? (await readOrCreateSecret(directory));
  const vault = await findVault({ settings, databaseUrl, rpcUrl, chainId, engine: engineSigner.address });
  const context = await createProcessContext({
    settings,
    logger,
    databaseUrl,
    rpcUrls: nodes,
    vault,
    finality: finalityOf(settings, chainId),
    publicRpcUrl: chainId === LOCAL_CHAIN_ID ? rpcUrl : undefined,
  });
  requireActiveKey(context.chain.engine, engineSigner.address);
  const exchange = await timed(
    'exchange',
    () => startExchange({ context, engineSigner, transactionSigner, apiKeySecret }),
    ({ url }) => `listens at ${url}`,
  );
  running.push({ name: 'exchange', stop: exchange.stop });
  exchange.done.catch((error: unknown) => {
    logger.fatal({ err: error }, 'a part of the exchange had to stop');
    process.stderr.write(`The exchange had to stop: ${error instanceof Error ? error.message : String(error)}\n`);
    ended.resolve(1);
  });
  const assets = chainId === LOCAL_CHAIN_ID ? await waitForListings(exchange.url) : [];
  if (chainId === LOCAL_CHAIN_ID && settings.DEMO_TRADERS !== 'off') {
    await fundYours(assets, rpcUrl);
    const traders = await startTraders(exchange, rpcUrl, logger);
    running.push({ name: 'demo traders', stop: traders.stop });
  }
  await printSummary({ settings, exchange, vault, rpcUrl, chainId, databaseUrl });
}

async function startDatabase(directory: string, running: Stoppable[]): Promise<string> {
  const postgres = await timed(
    'database',
    () => startEmbeddedPostgres({ dataDirectory: join(directory, 'postgres') }),
    ({ port, adopted }) => `embedded PostgreSQL on port ${port}${adopted ? ', still running from before' : ''}`,
  );
  running.push({ name: 'PostgreSQL', stop: postgres.stop });
  return postgres.socketUrl;
}

async function startNode(directory: string, running: Stoppable[]): Promise<string> {
  const node = await timed(
    'node',
    () => startLocalNode({ blockTimeSeconds: 1, flags: ['--mixed-mining'], stateFile: join(directory, 'chain.json') }),
    ({ rpcUrl }) => `local EVM node at ${rpcUrl}`,
  );
  running.push({ name: 'local node', stop: node.stop });
  return node.rpcUrl;
}

/** Prints how long a step took; long steps are announced when they begin. */
async function timed<T>(name: string, work: () => Promise<T>, describe: (result: T) => string): Promise<T> {
  const startedAt = performance.now();
  const result = await work();
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  say(`  ${name.padEnd(10)} ${describe(result)} (${seconds} s)`);
  return result;
}

const describeChain = ({ chainId, rpcUrl, silent }: ChainIdAnswer): string =>
  [`id ${chainId} at ${hostOf(rpcUrl)}`, ...silent.map((problem) => `passed over: ${problem}`)].join('; ');

/** The vault of the settings, or the one this database belongs to, or on the local chain a new one. */
async function findVault(options: {
  settings: Settings;
  databaseUrl: string;
  rpcUrl: string;
  chainId: number;
  engine: Address;
}): Promise<Address> {
  const { settings, databaseUrl, rpcUrl, chainId, engine } = options;
  const given = addressSetting(settings.VAULT_ADDRESS);
  if (given !== undefined) return given;
  const recorded = await recordedVault(databaseUrl);
  if (recorded !== undefined) return recorded;
  if (chainId !== LOCAL_CHAIN_ID) {
    throw new ExchangeError('CONFIGURATION', `Set VAULT_ADDRESS to the vault deployed on chain ${chainId}.`);
  }
  const deployment = await timed(
    'contracts',
    () => deployLocal({ rpcUrl, deployerKey: localKey(LOCAL_ACCOUNTS.deployer), overrides: { engineKey: engine } }),
    ({ vault }) => `vault deployed at ${vault}`,
  );
  return deployment.vault;
}

async function readOrCreateSecret(directory: string): Promise<string> {
  const file = join(directory, 'api-key-secret');
  const existing = await readFile(file, 'utf8').catch(() => '');
  if (existing.trim().length >= 32) return existing.trim();
  const secret = randomBytes(32).toString('base64url');
  await writeFile(file, `${secret}\n`, { mode: 0o600 });
  return secret;
}

async function startTraders(
  exchange: Exchange,
  rpcUrl: string,
  logger: ReturnType<typeof createLogger>,
): Promise<DemoTraders> {
  const { makers, takers } = LOCAL_ACCOUNTS;
  return startDemoTraders({ url: exchange.url, rpcUrl, makers, takers, logger });
}

type ListedAsset = { readonly token: Address; readonly decimals: number };

/** Listings are known once their block is final and the engine has applied them: before that nothing can be traded. */
async function waitForListings(url: string): Promise<readonly ListedAsset[]> {
  const list = async <T>(path: string): Promise<readonly T[]> => {
    const response = await fetch(`${url}/api/v1${path}`);
    return ((await response.json()) as { data: readonly T[] }).data;
  };
  const deadlineMs = performance.now() + LISTINGS_TIMEOUT_MS;
  while (performance.now() < deadlineMs) {
    if ((await list('/markets')).length > 0) return list<ListedAsset>('/assets');
    await new Promise((wake) => setTimeout(wake, 200));
  }
  throw new ExchangeError(
    'NOT_READY',
    `No market was listed within ${LISTINGS_TIMEOUT_MS / 1000} s; is the node mining?`,
  );
}

/** Test tokens in the wallets that are offered to the reader, once. */
async function fundYours(assets: readonly ListedAsset[], rpcUrl: string): Promise<void> {
  const mintAbi = parseAbi([
    'function mint(address to, uint256 amount)',
    'function balanceOf(address owner) view returns (uint256)',
  ]);
  const deployer = privateKeyToAccount(localKey(LOCAL_ACCOUNTS.deployer));
  const sender = createTransactionSender({ wallet: deployer, rpcUrl, chainId: LOCAL_CHAIN_ID });
  for (const index of LOCAL_ACCOUNTS.yours) {
    const owner = mnemonicToAccount(LOCAL_MNEMONIC, { addressIndex: index }).address;
    for (const { token, decimals } of assets) {
      const held = await sender.publicClient.readContract({
        address: token,
        abi: mintAbi,
        functionName: 'balanceOf',
        args: [owner],
      });
      if (held > 0n) continue;
      const amount = 10_000n * 10n ** BigInt(decimals);
      await sender.send({
        to: token,
        data: encodeFunctionData({ abi: mintAbi, functionName: 'mint', args: [owner, amount] }),
      });
    }
  }
}

async function printSummary(options: {
  settings: Settings;
  exchange: Exchange;
  vault: Address;
  rpcUrl: string;
  chainId: number;
  databaseUrl: string;
}): Promise<void> {
  const { settings, exchange, vault, rpcUrl, chainId } = options;
  say();
  say(`  Web page     ${exchange.url}`);
  say(`  API          ${exchange.url}/api/v1   documentation ${exchange.url}/docs`);
  say(`  Operations   ${exchange.operationsUrl}/readyz  /metrics`);
  say(`  Vault        ${vault} on chain ${chainId}, node ${hostOf(rpcUrl)}`);
  if (settings.DATABASE_URL === undefined)
    say(`  Files        ${resolve(settings.DATA_DIRECTORY)} (delete it to begin anew)`);
  if (chainId === LOCAL_CHAIN_ID) {
    say();
    say('  Wallets with test tokens, for you (public test keys, local chain only):');
    for (const index of LOCAL_ACCOUNTS.yours) {
      say(`    ${mnemonicToAccount(LOCAL_MNEMONIC, { addressIndex: index }).address}  ${localKey(index)}`);
    }
  }
  say(`\n${READY}`);
}

/** One sentence without a stack for whatever the surroundings are to blame for; the stack for a fault of this program. */
function explain(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return explain(error.errors[0]);
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (code === 'EADDRINUSE') {
    return `A port is taken (${String(message)}). Set PORT and OPERATIONS_PORT (${process.env['PORT'] ?? 3000} and ${process.env['OPERATIONS_PORT'] ?? 3001} now), or 0 for any free one.`;
  }
  if (error instanceof ExchangeError) return `${error.code}: ${error.message}`;
  if (error instanceof BaseError) return `The node at RPC_URL does not do what is asked: ${error.shortMessage}`;
  if (code === 'ECONNREFUSED' || code === 'ENOTFOUND' || code === 'ETIMEDOUT')
    return `The database or the node does not answer (${String(message)}). Check DATABASE_URL and RPC_URL.`;
  if (typeof code === 'string' && /^E(ACCES|PERM|ROFS|NOSPC|NOTDIR|EXIST|ISDIR)$/.test(code))
    return `A file cannot be written (${String(message)}). Choose a directory with DATA_DIRECTORY that this user may write, with space left.`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

await main();
