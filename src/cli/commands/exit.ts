/**
 * The way out that needs nobody: a node of the chain, the vault's address, the wallet's key. With --vault and a token's address the API is
 * never asked. Run again after the delay, it pays out.
 */
import type { Command } from 'commander';
import { encodeFunctionData, type PublicClient } from 'viem';
import { createRpcEndpoint } from '../../chain/rpc-pool.ts';
import type { Address, Hex } from '../../domain/units.ts';
import { createTransactionSender, type TransactionReceipt } from '../../sdk/transactions.ts';
import { vaultCalls } from '../../sdk/vault-abi.ts';
import { UsageError } from '../exit-codes.ts';
import {
  type ApiOptions,
  addressValue,
  type KeyOptions,
  openApi,
  type RpcOptions,
  readWallet,
  withApi,
  withKey,
  withRpc,
} from '../options.ts';
import { type Terminal, timeText } from '../terminal.ts';

type ExitOptions = ApiOptions &
  KeyOptions &
  RpcOptions & { vault?: Address; recipient?: Address; wait?: boolean; cancel?: boolean; status?: boolean };

type Place = { readonly vault: Address; readonly token: Address; readonly rpcUrl: string };

export function addExit(program: Command, terminal: Terminal): void {
  withRpc(withKey(withApi(program.command('exit'))))
    .description('leave without the operator: request the exit of an asset, and after the delay take it out')
    .argument('<asset>', "symbol, or the token's address, for which the API is not needed")
    .option('--vault <address>', "the vault's address; the API's answer when absent", addressValue)
    .option('--recipient <address>', 'who is paid; the wallet itself when absent', addressValue)
    .option('--wait', 'through the delay until it is paid out')
    .option('--cancel', 'take the request back')
    .option('--status', 'only say how far it is')
    .addHelpText(
      'after',
      '\nExample, with the exchange gone:\n  tallystick exit 0xTOKEN --vault 0xVAULT --rpc https://node.example --wait',
    )
    .action(async (asset: string, options: ExitOptions) => {
      if ([options.wait, options.cancel, options.status].filter((flag) => flag === true).length > 1) {
        throw new UsageError('--wait, --cancel and --status exclude each other');
      }
      terminal.show(await leave(await findPlace(asset, options), options, terminal));
    });
}

/** Asks the API only for what was not given. */
async function findPlace(asset: string, options: ExitOptions): Promise<Place> {
  const isToken = /^0x[0-9a-fA-F]{40}$/.test(asset);
  const api = openApi(options);
  const contracts =
    options.vault !== undefined && options.rpc !== undefined
      ? undefined
      : await api.request<{ vault: string; rpcUrl: string | null }>('/api/v1/contracts');
  const rpcUrl = options.rpc ?? contracts?.rpcUrl ?? undefined;
  if (rpcUrl === undefined) throw new UsageError('name a node of the chain with --rpc: the API offers none');
  const vault = options.vault ?? (contracts?.vault.toLowerCase() as Address);
  if (isToken) return { vault, token: asset.toLowerCase() as Address, rpcUrl };
  const { data } = await api.request<{ data: { symbol: string; token: string }[] }>('/api/v1/assets');
  const listed = data.find(({ symbol }) => symbol === asset);
  if (listed === undefined) {
    throw new UsageError(`asset must be one of ${data.map(({ symbol }) => symbol).join(', ')}, got "${asset}"`);
  }
  return { vault, token: listed.token.toLowerCase() as Address, rpcUrl };
}

async function leave(place: Place, options: ExitOptions, terminal: Terminal) {
  const wallet = readWallet(options);
  const owner = wallet.address.toLowerCase() as Address;
  const chainId = Number(await createRpcEndpoint(place.rpcUrl).request('eth_chainId', []));
  const sender = createTransactionSender({ wallet, rpcUrl: place.rpcUrl, chainId });
  const send = (data: Hex): Promise<TransactionReceipt> => sender.send({ to: place.vault, data });
  const { publicClient } = sender;
  const describe = (state: string, text: string, receipt?: TransactionReceipt, availableAt?: bigint) => ({
    json: {
      state,
      account: owner,
      ...place,
      rpcUrl: undefined,
      availableAt: availableAt === undefined ? null : Number(availableAt) * 1000,
      transactionHash: receipt?.transactionHash ?? null,
    },
    text: receipt === undefined ? text : `${text}\n  transaction ${receipt.transactionHash}`,
  });

  let availableAt = await readAvailableAt(publicClient, place, owner);
  if (options.status === true) {
    const text = availableAt === 0n ? 'no exit is requested' : `requested; can be taken out from ${when(availableAt)}`;
    return describe(availableAt === 0n ? 'none' : 'requested', text, undefined, availableAt);
  }
  if (options.cancel === true) {
    if (availableAt === 0n) throw new UsageError('no exit of this asset is requested');
    const data = encodeFunctionData({ abi: vaultCalls, functionName: 'cancelExit', args: [place.token] });
    return describe('cancelled', 'the request is taken back', await send(data));
  }
  let requested: TransactionReceipt | undefined;
  if (availableAt === 0n) {
    const data = encodeFunctionData({ abi: vaultCalls, functionName: 'requestExit', args: [place.token] });
    requested = await send(data);
    availableAt = await readAvailableAt(publicClient, place, owner);
    terminal.progress(`requested; can be taken out from ${when(availableAt)}`);
  }
  if (options.wait === true) await waitForBlockTime(publicClient, availableAt);
  const { timestamp } = await publicClient.getBlock();
  if (timestamp < availableAt) {
    const text = `requested; run this again from ${when(availableAt)} on, then it is paid out`;
    return describe('requested', text, requested, availableAt);
  }
  const args = [place.token, options.recipient ?? owner] as const;
  const receipt = await send(encodeFunctionData({ abi: vaultCalls, functionName: 'exit', args }));
  return describe('executed', `paid out to ${options.recipient ?? owner}`, receipt, availableAt);
}

/** Unix seconds; 0 when none is requested. */
function readAvailableAt(client: PublicClient, { vault, token }: Place, owner: Address): Promise<bigint> {
  return client.readContract({
    address: vault,
    abi: vaultCalls,
    functionName: 'exitAvailableAt',
    args: [owner, token],
  });
}

/** The chain's own time decides, not this machine's. */
async function waitForBlockTime(client: PublicClient, seconds: bigint): Promise<void> {
  while ((await client.getBlock()).timestamp < seconds) await new Promise((wake) => setTimeout(wake, 1_000));
}

const when = (seconds: bigint): string => `${timeText(Number(seconds) * 1000)} UTC`;
