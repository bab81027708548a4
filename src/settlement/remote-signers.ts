/**
 * Keys that live elsewhere: the JSON-RPC of a remote signer such as web3signer (`eth_signTypedData`, `eth_signTransaction`).
 *
 * What comes back is checked by whoever asked (see signers): a remote signer is trusted to hold the key, not to be right.
 */
import { createRpcEndpoint } from '../chain/rpc-pool.ts';
import { BATCH_TYPES } from '../domain/typed-data.ts';
import type { Address, Hex } from '../domain/units.ts';
import { hexNumber } from './chain-view.ts';
import type { EngineSigner, TransactionSigner } from './signers.ts';

export type RemoteSignerOptions = {
  readonly url: string;
  /** Account of the key at the signer. */
  readonly address: Address;
  /** 5 s by default. */
  readonly timeoutMs?: number;
};

const DOMAIN_TYPE = [
  { name: 'name', type: 'string' },
  { name: 'version', type: 'string' },
  { name: 'chainId', type: 'uint256' },
  { name: 'verifyingContract', type: 'address' },
];

/** @throws ExchangeError RPC_FAILED, retryable, when the signer does not answer or refuses. */
export function createRemoteEngineSigner(options: RemoteSignerOptions): EngineSigner {
  const signer = createRpcEndpoint(options.url, options.timeoutMs ?? 5_000);
  return {
    address: options.address,
    signBatch: async (message, domain) => {
      // JSON has no integers of 64 bits: decimal strings, as the method takes them.
      const values = Object.entries(message).map(([name, value]) => [
        name,
        typeof value === 'bigint' ? value.toString() : value,
      ]);
      const typedData = {
        types: { EIP712Domain: DOMAIN_TYPE, ...BATCH_TYPES },
        primaryType: 'Batch',
        domain,
        message: Object.fromEntries(values),
      };
      return (await signer.request('eth_signTypedData', [options.address, typedData])) as Hex;
    },
  };
}

/** @throws ExchangeError RPC_FAILED, retryable, when the signer does not answer or refuses. */
export function createRemoteTransactionSigner(options: RemoteSignerOptions): TransactionSigner {
  const signer = createRpcEndpoint(options.url, options.timeoutMs ?? 5_000);
  return {
    address: options.address,
    signTransaction: async (transaction) => {
      const request = {
        from: options.address,
        to: transaction.to,
        chainId: hexNumber(transaction.chainId),
        nonce: hexNumber(transaction.txNonce),
        gas: hexNumber(transaction.gasLimit),
        maxFeePerGas: hexNumber(transaction.maxFeePerGas),
        maxPriorityFeePerGas: hexNumber(transaction.maxPriorityFeePerGas),
        value: '0x0',
        data: transaction.data,
      };
      return (await signer.request('eth_signTransaction', [request])) as Hex;
    },
  };
}
