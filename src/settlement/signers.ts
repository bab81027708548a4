/**
 * The two keys of settlement, behind interfaces: the engine's (signs batches) and the submitter's (pays gas). They are different keys.
 *
 * Whatever a signer returns is checked before it is used: a signer may hang, fail, or return another payload than it was asked for.
 */
import { parseTransaction, recoverTransactionAddress, type TransactionSerializedEIP1559 } from 'viem';
import { privateKeyToAccount, sign } from 'viem/accounts';
import { toCompactSignature } from '../chain/compact-signature.ts';
import { type BatchMessage, createDigester, type Digester } from '../chain/digests.ts';
import { keccak } from '../chain/keccak.ts';
import { createRowSigner, type SignedRow } from '../chain/receipts.ts';
import { recoverSigner } from '../chain/recover.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { Eip712Domain } from '../domain/typed-data.ts';
import type { Address, Hash, Hex } from '../domain/units.ts';

export type EngineSigner = {
  readonly address: Address;
  /** EIP-712 signature of the batch, 64 or 65 bytes. */
  readonly signBatch: (message: BatchMessage, domain: Eip712Domain) => Promise<Hex>;
  /** Compact signature of a journal row, for receipts; checked by the signer itself. */
  readonly signRow: (row: SignedRow, domain: Eip712Domain) => Promise<Hex>;
};

/** An EIP-1559 transaction without value. */
export type UnsignedTransaction = {
  readonly chainId: number;
  readonly txNonce: number;
  readonly to: Address;
  readonly data: Hex;
  readonly gasLimit: bigint;
  readonly maxFeePerGas: bigint;
  readonly maxPriorityFeePerGas: bigint;
};

export type TransactionSigner = {
  readonly address: Address;
  /** The signed transaction's bytes, ready for eth_sendRawTransaction. */
  readonly signTransaction: (transaction: UnsignedTransaction) => Promise<Hex>;
};

const SIGNER_TIMEOUT_MS = 10_000;

export function createLocalEngineSigner(privateKey: Hex): EngineSigner {
  let digester: Digester | undefined;
  let rows: { readonly domain: Eip712Domain; readonly sign: ReturnType<typeof createRowSigner> } | undefined;
  return {
    address: privateKeyToAccount(privateKey).address.toLowerCase() as Address,
    signRow: (row, domain) => {
      if (rows?.domain !== domain) rows = { domain, sign: createRowSigner(privateKey, domain) };
      return rows.sign(row);
    },
    signBatch: (message, domain) => {
      if (digester?.domain !== domain) digester = createDigester(domain);
      return sign({ hash: digester.batch(message), privateKey, to: 'hex' });
    },
  };
}

export function createLocalTransactionSigner(privateKey: Hex): TransactionSigner {
  const account = privateKeyToAccount(privateKey);
  return {
    address: account.address.toLowerCase() as Address,
    signTransaction: ({ txNonce, gasLimit, ...transaction }) =>
      account.signTransaction({ ...transaction, nonce: txNonce, gas: gasLimit, type: 'eip1559' }),
  };
}

/**
 * The engine's signature in compact form.
 * @throws ExchangeError NOT_READY when the signer did not answer in time, INTERNAL when it signed something else, or is another key.
 */
export async function signBatchChecked(signer: EngineSigner, message: BatchMessage, digester: Digester): Promise<Hex> {
  const signature = await withTimeout(signer.signBatch(message, digester.domain), `batch ${message.id}`);
  const digest = digester.batch(message);
  const recovered = recoverSigner(digest, signature);
  if (recovered.kind === 'malformed' || recovered.signer !== signer.address) {
    throw new ExchangeError(
      'INTERNAL',
      `the engine's signer returned a signature of batch ${message.id} that is not its own`,
      {
        details: { expected: signer.address, recovered, digest },
      },
    );
  }
  return toCompactSignature(signature);
}

/** @throws ExchangeError INTERNAL when what comes back is not exactly what was asked for, signed by the signer's address. */
export async function signTransactionChecked(
  signer: TransactionSigner,
  transaction: UnsignedTransaction,
): Promise<{ readonly raw: Hex; readonly txHash: Hash }> {
  const raw = await withTimeout(signer.signTransaction(transaction), `transaction ${transaction.txNonce}`);
  const differences = await compareSigned(raw, transaction, signer.address);
  if (differences.length > 0) {
    throw new ExchangeError(
      'INTERNAL',
      `the transaction signer returned another transaction: ${differences.join(', ')}`,
      {
        details: { txNonce: transaction.txNonce, sender: signer.address, differences },
      },
    );
  }
  return { raw, txHash: keccak(raw) };
}

async function compareSigned(raw: Hex, asked: UnsignedTransaction, sender: Address): Promise<string[]> {
  if (!raw.startsWith('0x02')) return ['it is no EIP-1559 transaction'];
  const parsed = parseTransaction(raw as TransactionSerializedEIP1559);
  const pairs: readonly (readonly [name: string, asked: unknown, got: unknown])[] = [
    ['chainId', asked.chainId, parsed.chainId],
    ['nonce', asked.txNonce, parsed.nonce ?? 0],
    ['to', asked.to, parsed.to?.toLowerCase()],
    ['data', asked.data, parsed.data],
    ['gas', asked.gasLimit, parsed.gas],
    ['maxFeePerGas', asked.maxFeePerGas, parsed.maxFeePerGas ?? 0n],
    ['maxPriorityFeePerGas', asked.maxPriorityFeePerGas, parsed.maxPriorityFeePerGas ?? 0n],
    ['value', 0n, parsed.value ?? 0n],
    ['access list', 0, parsed.accessList?.length ?? 0],
    [
      'signer',
      sender,
      (await recoverTransactionAddress({ serializedTransaction: raw as TransactionSerializedEIP1559 })).toLowerCase(),
    ],
  ];
  return pairs
    .filter(([, expected, got]) => expected !== got)
    .map(([name, expected, got]) => `${name} is ${got} instead of ${expected}`);
}

async function withTimeout<T>(work: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    const error = new ExchangeError('NOT_READY', `the signer did not sign ${what} within ${SIGNER_TIMEOUT_MS} ms`);
    timer = setTimeout(() => reject(error), SIGNER_TIMEOUT_MS);
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
