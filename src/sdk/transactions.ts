/** Sends the few transactions that a user makes themselves (approve, deposit, cancel-all, exit) with whichever wallet they brought. */
import {
  type Account,
  createPublicClient,
  createWalletClient,
  defineChain,
  type Hex,
  http,
  type PublicClient,
  type WalletClient,
} from 'viem';
import type { Address } from '../domain/units.ts';
import { TallystickError } from './errors.ts';
import type { AnySigner } from './signers.ts';

export type Call = { readonly to: Address; readonly data: Hex; readonly value?: bigint };
export type TransactionReceipt = { readonly transactionHash: Hex; readonly blockNumber: bigint };

export type TransactionSender = {
  readonly publicClient: PublicClient;
  /** Sends and waits for inclusion. @throws TallystickError WRONG_NETWORK, TRANSACTION_REVERTED */
  send(call: Call): Promise<TransactionReceipt>;
};

type EthersSender = {
  sendTransaction(request: { to: string; data: string; value: bigint; nonce: number }): Promise<{ hash: string }>;
};

/** @param rpcUrl a node of the vault's chain; needed for everything that reads or writes the chain. */
export function createTransactionSender(options: {
  wallet: AnySigner;
  rpcUrl: string | undefined;
  chainId: number;
}): TransactionSender {
  const { wallet, chainId } = options;
  const rpcUrl = options.rpcUrl ?? missingRpc();
  const chain = defineChain({
    id: chainId,
    name: `chain ${chainId}`,
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [rpcUrl] } },
  });
  const publicClient = createPublicClient({ chain, transport: http(rpcUrl), pollingInterval: 250 }) as PublicClient;

  async function dispatch(call: Call): Promise<Hex> {
    const value = call.value ?? 0n;
    if ('getAddress' in wallet) {
      if (!('sendTransaction' in wallet))
        throw new TallystickError('INVALID_ARGUMENT', 'this ethers signer has no provider');
      // Ethers keeps the count of transactions for a moment, so that a second one right after the first would repeat its nonce.
      const address = (await wallet.getAddress()) as Address;
      const nonce = await publicClient.getTransactionCount({ address, blockTag: 'pending' });
      const request = { to: call.to, data: call.data, value, nonce };
      const sent = await (wallet as unknown as EthersSender).sendTransaction(request);
      return sent.hash as Hex;
    }
    if ('account' in wallet) {
      const client = wallet as unknown as WalletClient;
      return client.sendTransaction({ account: client.account as Account, chain, to: call.to, data: call.data, value });
    }
    const account = wallet as unknown as Account;
    return createWalletClient({ account, chain, transport: http(rpcUrl) }).sendTransaction({ ...call, value });
  }

  return {
    publicClient,
    async send(call) {
      const served = await publicClient.getChainId();
      if (served !== chainId) {
        throw new TallystickError(
          'WRONG_NETWORK',
          `the vault is on chain ${chainId}, but rpcUrl serves chain ${served}`,
        );
      }
      const hash = await dispatch(call);
      const receipt = await publicClient.waitForTransactionReceipt({ hash, timeout: 120_000 });
      if (receipt.status !== 'success') {
        throw new TallystickError('TRANSACTION_REVERTED', `transaction ${hash} reverted`, {
          details: { transactionHash: hash },
        });
      }
      return { transactionHash: hash, blockNumber: receipt.blockNumber };
    },
  };
}

/** @throws TallystickError NO_RPC always */
export function missingRpc(): never {
  throw new TallystickError('NO_RPC', 'deposits, exits and verification need rpcUrl: connect with { rpcUrl }');
}
