/** GET /exit/:address: the calls with which an owner leaves without the operator, ready to send from any wallet. */
import { Type } from 'typebox';
import { encodeFunctionData, parseAbi } from 'viem';
import { formatAmount } from '../../domain/markets.ts';
import { accountBalances } from '../../storage/queries/balances.ts';
import { listExits } from '../../storage/queries/transfers.ts';
import { toChecksum, toInternal } from '../addresses.ts';
import type { Route } from '../context.ts';
import { AddressIn, AddressOut, nullable, object, TimeMs } from '../schemas.ts';

const vaultExit = parseAbi([
  'function requestExit(address token)',
  'function cancelExit(address token)',
  'function exit(address token, address recipient)',
]);

const Call = object({ to: AddressOut, data: Type.String(), value: Type.String() });
const Exits = object({
  account: AddressOut,
  exitDelaySeconds: Type.Integer(),
  blockNumber: nullable(Type.Integer({ description: 'Block at which `onChain` stands.' })),
  assets: Type.Array(
    object({
      asset: Type.String(),
      token: AddressOut,
      onChain: Type.String({ description: "On the vault's books; trades that are not final yet may still change it." }),
      status: Type.Enum(['none', 'requested', 'cancelled', 'executed']),
      changedAt: nullable(TimeMs),
      requestExit: Call,
      exit: Call,
      cancelExit: Call,
    }),
  ),
});

export const getExit: Route = (app, { pool, catalogue, chain }) => {
  app.get(
    '/exit/:address',
    {
      schema: {
        tags: ['custody'],
        summary: 'Calldata to leave without the operator: requestExit, wait for the delay, exit',
        params: object({ address: AddressIn }),
        response: { 200: Exits },
      },
    },
    async (request) => {
      const account = toInternal(request.params.address);
      const [held, exits, assets] = await Promise.all([
        accountBalances(pool, account),
        listExits(pool, account),
        catalogue.assets(),
      ]);
      const call = (data: `0x${string}`): { to: string; data: string; value: string } => ({
        to: toChecksum(chain.vault),
        data,
        value: '0',
      });
      return {
        account: toChecksum(account),
        exitDelaySeconds: chain.exitDelaySeconds,
        blockNumber: held.blockNumber ?? null,
        assets: assets.map((asset) => {
          const balance = held.balances.find((row) => row.asset === asset.index);
          const exit = exits.find((row) => row.asset === asset.index);
          const { token } = asset;
          return {
            asset: asset.symbol,
            token: toChecksum(token),
            onChain: formatAmount(balance?.settled ?? 0, asset),
            status: exit?.status ?? ('none' as const),
            changedAt: exit?.updatedAtMs ?? null,
            requestExit: call(encodeFunctionData({ abi: vaultExit, functionName: 'requestExit', args: [token] })),
            exit: call(encodeFunctionData({ abi: vaultExit, functionName: 'exit', args: [token, account] })),
            cancelExit: call(encodeFunctionData({ abi: vaultExit, functionName: 'cancelExit', args: [token] })),
          };
        }),
      };
    },
  );
};
