/**
 * Keys that live elsewhere: the JSON-RPC of a remote signer such as web3signer (`eth_signTypedData`, `eth_signTransaction`).
 *
 * What comes back is checked by whoever asked (see signers): a remote signer is trusted to hold the key, not to be right.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { toCompactSignature } from '../chain/compact-signature.ts';
import { createDigester, type Digester } from '../chain/digests.ts';
import { journalRowMessage } from '../chain/receipts.ts';
import { recoverSigner } from '../chain/recover.ts';
import { createRpcEndpoint } from '../chain/rpc-pool.ts';
import { ExchangeError } from '../domain/errors.ts';
import { BATCH_TYPES, type Eip712Domain, JOURNAL_ROW_TYPES } from '../domain/typed-data.ts';
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

type TypedDataTypes = Readonly<Record<string, readonly { readonly name: string; readonly type: string }[]>>;

/** What `eth_signTypedData` takes. JSON has no integers of 64 bits: decimal strings stand for them. */
function typedDataOf(primaryType: string, types: TypedDataTypes, message: object, domain: Eip712Domain) {
  const values = Object.entries(message).map(([name, value]) => [
    name,
    typeof value === 'bigint' ? value.toString() : value,
  ]);
  return {
    types: { EIP712Domain: DOMAIN_TYPE, ...types },
    primaryType,
    domain,
    message: Object.fromEntries(values),
  };
}

const ROW_ATTEMPTS_MAX = 5;
const ROW_RETRY_MS = 100;

/**
 * Batches and journal rows. A row is asked for while it is being committed, so the signer's time is felt only where it is longer than the
 * database's. The engine stops when a row stays unsigned, so for rows a signer that does not answer is asked a few times.
 * @throws ExchangeError RPC_FAILED, retryable, when the signer does not answer or refuses; for a row, INTERNAL when it signed something else
 */
export function createRemoteEngineSigner(options: RemoteSignerOptions): EngineSigner {
  const signer = createRpcEndpoint(options.url, options.timeoutMs ?? 5_000);
  const sign = async (typedData: ReturnType<typeof typedDataOf>): Promise<Hex> =>
    (await signer.request('eth_signTypedData', [options.address, typedData])) as Hex;
  let digester: Digester | undefined;
  return {
    address: options.address,
    signBatch: (message, domain) => sign(typedDataOf('Batch', BATCH_TYPES, message, domain)),
    signRow: async (row, domain) => {
      if (digester?.domain !== domain) digester = createDigester(domain);
      const message = journalRowMessage(row);
      const digest = digester.journalRow(message);
      const signature = await persevere(() => sign(typedDataOf('JournalRow', JOURNAL_ROW_TYPES, message, domain)));
      const recovered = recoverSigner(digest, signature);
      if (recovered.kind === 'recovered' && recovered.signer === options.address) return toCompactSignature(signature);
      throw new ExchangeError('INTERNAL', `the signer returned a signature of row ${row.hash} that is not its own`, {
        details: { expected: options.address, recovered },
      });
    },
  };
}

async function persevere<Result>(work: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const again = error instanceof ExchangeError && error.retryable && attempt < ROW_ATTEMPTS_MAX;
      if (!again) throw error;
      await sleep(ROW_RETRY_MS * 2 ** (attempt - 1));
    }
  }
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
