/** The whole exchange in this process, on a real node and database, whose blocks are mined and whose engine signs as the test says. */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { privateKeyToAccount } from 'viem/accounts';
import { deployLocal } from '../../scripts/deploy.ts';
import { ExchangeError } from '../../src/domain/errors.ts';
import type { Address } from '../../src/domain/units.ts';
import { connect, type TallystickClient } from '../../src/sdk/client.ts';
import { readSettings } from '../../src/services/config.ts';
import { type Exchange, startExchange } from '../../src/services/exchange.ts';
import { findFreePort } from '../../src/services/free-port.ts';
import { LOCAL_ACCOUNTS, localKey } from '../../src/services/local-keys.ts';
import type { LocalNode } from '../../src/services/local-node.ts';
import { createLogger } from '../../src/services/logger.ts';
import { createProcessContext } from '../../src/services/process-context.ts';
import {
  createLocalEngineSigner,
  createLocalTransactionSigner,
  type EngineSigner,
} from '../../src/settlement/signers.ts';
import { createFundedWallet } from '../support/running-exchange.ts';

const PATIENCE_MS = 60_000;
const ENGINE_KEY = localKey(LOCAL_ACCOUNTS.engine);

type BatchView = {
  readonly batchId: number;
  readonly state: string;
  readonly trades: number;
  readonly journalSequence: number;
};

export class ResealingExchange {
  readonly node: LocalNode;
  readonly pool: pg.Pool;
  readonly databaseUrl: string;
  readonly vault: Address;
  /** While true, the engine's key signs no batch, as when its signer is away. */
  signerAway = false;
  #exchange: Exchange | undefined;
  /** The same after a restart, for its clients. */
  #port = 0;
  #traders: { readonly maker: TallystickClient; readonly taker: TallystickClient } | undefined;

  private constructor(node: LocalNode, pool: pg.Pool, databaseUrl: string, vault: Address) {
    this.node = node;
    this.pool = pool;
    this.databaseUrl = databaseUrl;
    this.vault = vault;
  }

  static async open(node: LocalNode, pool: pg.Pool, databaseUrl: string): Promise<ResealingExchange> {
    const { vault } = await deployLocal({
      rpcUrl: node.rpcUrl,
      deployerKey: localKey(LOCAL_ACCOUNTS.deployer),
      overrides: { engineKey: privateKeyToAccount(ENGINE_KEY).address },
    });
    const exchange = new ResealingExchange(node, pool, databaseUrl, vault);
    exchange.#port = await findFreePort();
    await exchange.start();
    exchange.#traders = { maker: await exchange.#enter(), taker: await exchange.#enter() };
    return exchange;
  }

  get url(): string {
    return this.#exchange?.url ?? '';
  }

  async start(): Promise<void> {
    const settings = readSettings({
      PORT: `${this.#port}`,
      OPERATIONS_PORT: '0',
      SEAL_AGE_MS: '2000',
      LOG_LEVEL: 'fatal',
    });
    const context = await createProcessContext({
      settings,
      logger: createLogger('fatal', 'test'),
      databaseUrl: this.databaseUrl,
      rpcUrls: [this.node.rpcUrl],
      vault: this.vault,
      finality: { kind: 'confirmations', count: 2 },
      publicRpcUrl: this.node.rpcUrl,
    });
    const local = createLocalEngineSigner(ENGINE_KEY);
    const engineSigner: EngineSigner = {
      ...local,
      signBatch: (message, domain) => {
        if (this.signerAway) throw new ExchangeError('NOT_READY', 'the signer is away');
        return local.signBatch(message, domain);
      },
    };
    this.#exchange = await startExchange({
      context,
      engineSigner,
      transactionSigner: createLocalTransactionSigner(localKey(LOCAL_ACCOUNTS.submitter)),
      apiKeySecret: 'a secret of the tests, at least 32 characters long',
    });
  }

  async stop(): Promise<void> {
    await this.#exchange?.stop();
    this.#exchange = undefined;
  }

  async #enter(): Promise<TallystickClient> {
    const { rpcUrl, chainId } = this.node;
    await this.until('markets', async () => (await this.get<unknown[]>('/markets')).length > 0 || undefined);
    const key = await createFundedWallet({ url: this.url, rpcUrl, chainId }, { WETH: '50', USDC: '200000' });
    const client = await connect({ url: this.url, wallet: privateKeyToAccount(key), rpcUrl });
    await client.deposit({ asset: 'WETH', amount: '50' });
    await client.deposit({ asset: 'USDC', amount: '200000' });
    await client.waitForBalance({ asset: 'USDC', available: '200000' });
    return client;
  }

  /** So many trades at once, so that one batch seals them; the order that makes them is none that must settle as a whole. */
  async trade(count: number): Promise<void> {
    const { maker, taker } = this.#traders ?? fail();
    const terms = { market: 'WETH-USDC', price: '2500' } as const;
    for (let made = 0; made < count; made++)
      await maker.placeOrder({ ...terms, side: 'sell', size: '0.1', postOnly: true });
    const { fills } = await taker.placeOrder({ ...terms, side: 'buy', size: `${count / 10}` });
    if (fills.length !== count) throw new Error(`expected ${count} trades, got ${fills.length}`);
  }

  /** Blocks come every second, or only when told. */
  async mineBySecond(on: boolean): Promise<void> {
    await this.rpc('evm_setAutomine', on);
    await this.rpc('evm_setIntervalMining', on ? 1 : 0);
  }

  /** Of the next block on, which is mined at once. */
  async setBlockGasLimit(gasLimit: number): Promise<void> {
    await this.rpc('evm_setBlockGasLimit', `0x${gasLimit.toString(16)}`);
    await this.rpc('evm_mine');
  }

  async rpc(method: string, ...params: unknown[]): Promise<unknown> {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const response = await fetch(this.node.rpcUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    const answer = (await response.json()) as { result?: unknown; error?: { message: string } };
    if (answer.error !== undefined) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result;
  }

  async get<T>(path: string): Promise<T> {
    return ((await (await fetch(`${this.url}/api/v1${path}`)).json()) as { data: T }).data;
  }

  /** Oldest first. */
  async batches(): Promise<BatchView[]> {
    return (await this.get<BatchView[]>('/batches')).toReversed();
  }

  /** Until nothing waits and every batch is final; the trades in them, which must be all there ever were. */
  async settled(trades: number): Promise<void> {
    await this.until(`${trades} final trades`, async () => {
      const { rows } = await this.pool.query<{ states: string[] | null; trades: number }>(
        'SELECT array_agg(DISTINCT state) AS states, count(*)::integer AS trades FROM trades',
      );
      return rows[0]?.trades === trades && rows[0].states?.join() === 'final' ? true : undefined;
    });
    await this.until('a comparison of ledger and vault', async () => {
      const { rows } = await this.pool.query<{ drifted: boolean; last: boolean }>(
        `SELECT drifted, batch_id = (SELECT max(batch_id) FROM settlements WHERE state = 'final') AS last
           FROM reconciliations ORDER BY id DESC LIMIT 1`,
      );
      if (rows[0]?.drifted === true) throw new Error('ledger and vault have drifted apart');
      return rows[0]?.last || undefined;
    });
  }

  async until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      // Rejects when a part had to stop by itself.
      await Promise.race([this.#exchange?.done, sleep(0)]);
      if (performance.now() > deadlineMs) throw new Error(`waited too long for ${what}`);
      await sleep(50);
    }
  }
}

function fail(): never {
  throw new Error('the exchange is not open');
}
