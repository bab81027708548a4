/** What users and the engine sign (EIP-712): the one source for SDK, API, contracts' tests and wallets' descriptors. */
import type { Address } from './units.ts';

export const DOMAIN_NAME = 'Tallystick';
export const DOMAIN_VERSION = '1';

export type Eip712Domain = {
  readonly name: string;
  readonly version: string;
  readonly chainId: number;
  readonly verifyingContract: Address;
};

export function eip712Domain(chainId: number, vault: Address): Eip712Domain {
  return { name: DOMAIN_NAME, version: DOMAIN_VERSION, chainId, verifyingContract: vault };
}

/** Amounts are token base units and are the limit; words, not numbers, so that a wallet shows them as they are. Expiry in Unix seconds. */
export const ORDER_TYPES = {
  Order: [
    { name: 'account', type: 'address' },
    { name: 'side', type: 'string' },
    { name: 'baseToken', type: 'address' },
    { name: 'baseAmount', type: 'uint256' },
    { name: 'quoteToken', type: 'address' },
    { name: 'quoteAmount', type: 'uint256' },
    { name: 'timeInForce', type: 'string' },
    { name: 'postOnly', type: 'bool' },
    { name: 'nonce', type: 'uint64' },
    { name: 'expiry', type: 'uint64' },
    { name: 'maxFeePpm', type: 'uint32' },
  ],
} as const;

export const WITHDRAWAL_TYPES = {
  Withdrawal: [
    { name: 'account', type: 'address' },
    { name: 'token', type: 'address' },
    { name: 'amount', type: 'uint256' },
    { name: 'recipient', type: 'address' },
    { name: 'nonce', type: 'uint64' },
    { name: 'expiry', type: 'uint64' },
    { name: 'maxFee', type: 'uint256' },
  ],
} as const;

export const SESSION_KEY_TYPES = {
  SessionKey: [
    { name: 'account', type: 'address' },
    { name: 'key', type: 'address' },
    { name: 'expiry', type: 'uint64' },
    { name: 'nonce', type: 'uint64' },
  ],
} as const;

export const BATCH_TYPES = {
  Batch: [
    { name: 'id', type: 'uint64' },
    { name: 'parent', type: 'bytes32' },
    { name: 'contentHash', type: 'bytes32' },
    { name: 'epoch', type: 'uint64' },
    { name: 'journalSequence', type: 'uint64' },
    { name: 'journalHash', type: 'bytes32' },
  ],
} as const;

/** Signed off chain only, to authorise cancels and reads without a pop-up per request; the API checks `timestamp` against its window. */
export const CANCEL_TYPES = {
  Cancel: [
    { name: 'account', type: 'address' },
    { name: 'scope', type: 'string' },
    { name: 'timestamp', type: 'uint64' },
  ],
} as const;

/** Signed off chain only, to make an API key. `scopes` is a comma-separated list of read, cancel, trade; `expiry` and `timestamp` in milliseconds. */
export const API_KEY_TYPES = {
  ApiKey: [
    { name: 'account', type: 'address' },
    { name: 'scopes', type: 'string' },
    { name: 'expiry', type: 'uint64' },
    { name: 'timestamp', type: 'uint64' },
  ],
} as const;

/** Signed by the engine for every journal row: a receipt is this signature with a Merkle proof that a command is in the row. */
export const JOURNAL_ROW_TYPES = {
  JournalRow: [
    { name: 'firstSequence', type: 'uint64' },
    { name: 'lastSequence', type: 'uint64' },
    { name: 'merkleRoot', type: 'bytes32' },
    { name: 'rowHash', type: 'bytes32' },
  ],
} as const;
