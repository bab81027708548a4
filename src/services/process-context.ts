/** What every process of the exchange is made of: logger, database, nodes, the vault's facts. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { ChainFacts } from '../api/context.ts';
import type { Finality } from '../chain/finality.ts';
import { createRpcPool, type RpcEndpoint, type RpcPool } from '../chain/rpc-pool.ts';
import type { Address } from '../domain/units.ts';
import { readChainIdentity, requireSameChain } from '../indexer/chain-identity.ts';
import type { ChainIdentity } from '../indexer/chain-steps.ts';
import { openDatabase } from '../storage/database.ts';
import type { Settings } from './config.ts';
import { readChainFacts } from './vault-place.ts';

export type ProcessContext = {
  readonly settings: Settings;
  readonly logger: Logger;
  readonly databaseUrl: string;
  readonly rpcUrls: readonly string[];
  readonly rpc: RpcPool;
  readonly chain: ChainFacts;
  readonly finality: Finality;
  /** Unique per process and start: names leases. */
  readonly owner: string;
  /** Reports what was survived. */
  readonly warn: (message: string, error: unknown) => void;
  /** A pool of the context, ended by `close`. */
  readonly openPool: (service: string, connectionsMax: number) => Pool;
  readonly close: () => Promise<void>;
};

/** @throws ExchangeError CONFIGURATION when there is no vault at the address, RPC errors as they come */
export async function createProcessContext(options: {
  settings: Settings;
  logger: Logger;
  databaseUrl: string;
  rpcUrls: readonly string[];
  vault: Address;
  finality: Finality;
  publicRpcUrl: string | undefined;
}): Promise<ProcessContext> {
  const { settings, logger, databaseUrl, rpcUrls, vault, finality, publicRpcUrl } = options;
  const pools: Pool[] = [];
  const chain = await readChainFacts({ rpcUrls, vault, publicRpcUrl });
  return {
    settings,
    logger,
    databaseUrl,
    rpcUrls,
    rpc: createRpcPool(rpcUrls, { verify: verifierOf(chain) }),
    chain,
    finality,
    owner: `${hostname()}:${process.pid}:${randomUUID()}`,
    warn: (message, error) => logger.warn({ err: error }, message),
    openPool: (service, connectionsMax) => {
      const pool = openDatabase({
        url: databaseUrl,
        applicationName: `tallystick-${service}`,
        connectionsMax,
        onIdleError: (error) => logger.warn({ err: error }, 'an idle database connection was lost'),
      });
      pools.push(pool);
      return pool;
    },
    close: async () => {
      await Promise.all(pools.map((pool) => pool.end()));
    },
  };
}

/** Lets those nodes through that have the vault's deployment in the same block as the first one that was let through. */
function verifierOf({ chainId, vault, deploymentBlock }: ChainFacts): (endpoint: RpcEndpoint) => Promise<void> {
  let known: ChainIdentity | undefined;
  return async (endpoint) => {
    const got = await readChainIdentity(endpoint, { vault, deploymentBlock });
    requireSameChain(known ?? { ...got, chainId }, got, endpoint.name);
    known ??= got;
  };
}
