/**
 * The vault without the exchange: what an owner can do when every service is dead. Speaks to a node of the chain only.
 *
 * An exit takes what the vault's books show. Trades that were matched before the request may still settle until the grace period is over,
 * which is shorter than the exit delay.
 */
import { createPublicClient, encodeFunctionData, http } from 'viem';
import type { Address, Hex } from '../domain/units.ts';
import { TallystickError } from './errors.ts';
import { type AnySigner, toSigner } from './signers.ts';
import { createTransactionSender, type TransactionReceipt } from './transactions.ts';
import { vaultCalls } from './vault-abi.ts';

export type Vault = {
  readonly owner: Address;
  readonly vault: Address;
  readonly chainId: number;
  /** The owner's balance on the vault's books, in quanta of the asset. */
  balanceQuanta(token: string): Promise<bigint>;
  /** Starts the exit from one asset, and cancels all orders. */
  requestExit(token: string): Promise<TransactionReceipt>;
  cancelExit(token: string): Promise<TransactionReceipt>;
  /** When `exit` can be called, in milliseconds; undefined when no exit was requested. */
  exitAvailableAtMs(token: string): Promise<number | undefined>;
  /** Takes out everything; to the owner unless `recipient` says otherwise. @throws before the delay is over */
  exit(token: string, recipient?: string): Promise<TransactionReceipt>;
  /** Nothing signed so far is matched any more, and after the grace period nothing of it settles. */
  cancelAllOrders(): Promise<TransactionReceipt>;
};

/** @throws TallystickError INVALID_ARGUMENT when there is no contract at `vault` on the node's chain */
export async function openVault(options: { wallet: AnySigner; vault: string; rpcUrl: string }): Promise<Vault> {
  const { wallet, rpcUrl } = options;
  const vault = addressOf(options.vault, 'vault');
  const { address: owner } = await toSigner(wallet);
  const chainId = await createPublicClient({ transport: http(rpcUrl) }).getChainId();
  const sender = createTransactionSender({ wallet, rpcUrl, chainId });
  const { publicClient } = sender;
  if ((await publicClient.getCode({ address: vault })) === undefined) {
    throw new TallystickError('INVALID_ARGUMENT', `there is no contract at ${vault} on chain ${chainId}`);
  }
  const send = (data: Hex): Promise<TransactionReceipt> => sender.send({ to: vault, data });
  const call = (functionName: 'requestExit' | 'cancelExit', token: string): Promise<TransactionReceipt> =>
    send(encodeFunctionData({ abi: vaultCalls, functionName, args: [addressOf(token, 'token')] }));
  return {
    owner,
    vault,
    chainId,
    balanceQuanta: async (token) => {
      const args = [owner, addressOf(token, 'token')] as const;
      return publicClient.readContract({ address: vault, abi: vaultCalls, functionName: 'balanceOf', args });
    },
    requestExit: async (token) => call('requestExit', token),
    cancelExit: async (token) => call('cancelExit', token),
    exitAvailableAtMs: async (token) => {
      const args = [owner, addressOf(token, 'token')] as const;
      const seconds = await publicClient.readContract({
        address: vault,
        abi: vaultCalls,
        functionName: 'exitAvailableAt',
        args,
      });
      return seconds === 0n ? undefined : Number(seconds) * 1000;
    },
    exit: async (token, recipient = owner) => {
      const args = [addressOf(token, 'token'), addressOf(recipient, 'recipient')] as const;
      return send(encodeFunctionData({ abi: vaultCalls, functionName: 'exit', args }));
    },
    cancelAllOrders: () => send(encodeFunctionData({ abi: vaultCalls, functionName: 'cancelAll' })),
  };
}

function addressOf(text: string, name: string): Address {
  if (!/^0x[0-9a-fA-F]{40}$/.test(text)) {
    throw new TallystickError('INVALID_ARGUMENT', `${name} must be an address of 0x and 40 hex digits, got "${text}"`);
  }
  return text.toLowerCase() as Address;
}
