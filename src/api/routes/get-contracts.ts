/** GET /contracts: all that a client needs to sign, and to check what it is given. */
import {
  API_KEY_TYPES,
  BATCH_TYPES,
  CANCEL_TYPES,
  ORDER_TYPES,
  SESSION_KEY_TYPES,
  WITHDRAWAL_TYPES,
} from '../../domain/typed-data.ts';
import { toChecksum } from '../addresses.ts';
import type { Route } from '../context.ts';
import { ContractsView } from '../market-schemas.ts';

export const getContracts: Route = (app, { chain }) => {
  const types = Object.fromEntries(
    [ORDER_TYPES, WITHDRAWAL_TYPES, SESSION_KEY_TYPES, CANCEL_TYPES, API_KEY_TYPES, BATCH_TYPES].flatMap((group) =>
      Object.entries(group).map(([name, members]) => [
        name,
        members.map((member: { name: string; type: string }) => ({ ...member })),
      ]),
    ),
  );
  const contracts: ContractsView = {
    chainId: chain.chainId,
    vault: toChecksum(chain.vault),
    engine: chain.engine === undefined ? null : toChecksum(chain.engine),
    deployedAt: chain.deployedAtMs,
    deploymentBlock: chain.deploymentBlock,
    exitDelaySeconds: chain.exitDelaySeconds,
    graceSeconds: chain.graceSeconds,
    wrappedNative: chain.wrappedNative === undefined ? null : toChecksum(chain.wrappedNative),
    rpcUrl: chain.publicRpcUrl ?? null,
    domain: { ...chain.domain, verifyingContract: toChecksum(chain.domain.verifyingContract) },
    types,
  };
  app.get(
    '/contracts',
    { schema: { tags: ['public'], summary: 'Addresses, EIP-712 domain and types', response: { 200: ContractsView } } },
    async () => contracts,
  );
};
