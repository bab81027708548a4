/** What only the owner can do with custody: deposit and sign withdrawals. Leaving without the operator is in vault.ts. */
import { encodeFunctionData } from 'viem';
import type { Asset } from '../domain/markets.ts';
import { formatAmount } from '../domain/markets.ts';
import { packNonce } from '../domain/orders.ts';
import type { Eip712Domain } from '../domain/typed-data.ts';
import { WITHDRAWAL_TYPES } from '../domain/typed-data.ts';
import type { Address } from '../domain/units.ts';
import { decimalToUnits, unitsToDecimal, unitsToQuanta } from '../domain/units.ts';
import { TallystickError } from './errors.ts';
import type { Signer } from './signers.ts';
import type { TransactionReceipt, TransactionSender } from './transactions.ts';
import { tokenCalls, vaultCalls } from './vault-abi.ts';

/**
 * Token base units of a decimal amount.
 * @throws TallystickError INVALID_ARGUMENT when it is not a plain decimal or not a whole number of quanta; says the remainder.
 */
export function wholeQuanta(amount: string, asset: Asset): bigint {
  const units = decimalToUnits(amount, asset.decimals);
  if (units === undefined || units === 0n) {
    throw new TallystickError(
      'INVALID_ARGUMENT',
      `amount must be a plain decimal above zero with at most ${asset.decimals} places, got "${amount}"`,
    );
  }
  const most = BigInt(Number.MAX_SAFE_INTEGER) * asset.quantumUnits;
  if (units > most) {
    throw new TallystickError(
      'INVALID_ARGUMENT',
      `the exchange accounts for at most ${unitsToDecimal(most, asset.decimals)} ${asset.symbol}, got "${amount}"`,
    );
  }
  const { amount: whole, remainderUnits } = unitsToQuanta(units, asset);
  if (remainderUnits !== 0n) {
    throw new TallystickError(
      'INVALID_ARGUMENT',
      `the exchange accounts in steps of ${unitsToDecimal(asset.quantumUnits, asset.decimals)} ${asset.symbol}: ` +
        `use ${formatAmount(whole, asset)}, which leaves ${unitsToDecimal(remainderUnits, asset.decimals)} out`,
    );
  }
  return units;
}

/** Approves exactly what is missing, then deposits; resolves when the deposit is included (credited at finality). */
export async function deposit(options: {
  sender: TransactionSender;
  vault: Address;
  owner: Address;
  asset: Asset;
  amount: string;
}): Promise<TransactionReceipt> {
  const { sender, vault, owner, asset } = options;
  const units = wholeQuanta(options.amount, asset);
  const allowance = await sender.publicClient.readContract({
    address: asset.token,
    abi: tokenCalls,
    functionName: 'allowance',
    args: [owner, vault],
  });
  if (allowance < units) {
    const data = encodeFunctionData({ abi: tokenCalls, functionName: 'approve', args: [vault, units] });
    await sender.send({ to: asset.token, data });
  }
  const data = encodeFunctionData({ abi: vaultCalls, functionName: 'deposit', args: [asset.token, units, owner] });
  return sender.send({ to: vault, data });
}

export type SignedWithdrawal = {
  readonly withdrawal: {
    readonly account: string;
    readonly token: string;
    readonly amount: string;
    readonly recipient: string;
    readonly nonce: string;
    readonly expiry: string;
    readonly maxFee: string;
  };
  readonly signature: string;
};

/** Signs a withdrawal of `amount` (debited in total; the recipient gets it less a fee of at most `maxFee`). */
export async function signWithdrawal(options: {
  signer: Signer;
  domain: Eip712Domain;
  asset: Asset;
  amount: string;
  maxFee: string;
  recipient: Address;
  lane: number;
  withdrawalSequence: number;
  /** Unix seconds. */
  expiry: number;
}): Promise<SignedWithdrawal> {
  const { signer, domain, asset } = options;
  const maxFee = decimalToUnits(options.maxFee, asset.decimals);
  if (maxFee === undefined) {
    throw new TallystickError(
      'INVALID_ARGUMENT',
      `maxFee must be a plain decimal of ${asset.symbol}, got "${options.maxFee}"`,
    );
  }
  const message = {
    account: signer.address,
    token: asset.token,
    amount: wholeQuanta(options.amount, asset),
    recipient: options.recipient,
    nonce: packNonce(options.lane, options.withdrawalSequence),
    expiry: BigInt(options.expiry),
    maxFee,
  };
  const signature = await signer.signTypedData({ domain, types: WITHDRAWAL_TYPES, primaryType: 'Withdrawal', message });
  return {
    withdrawal: {
      ...message,
      amount: message.amount.toString(),
      nonce: message.nonce.toString(),
      expiry: message.expiry.toString(),
      maxFee: message.maxFee.toString(),
    },
    signature,
  };
}

/** Whether a decimal amount of the API is at least `units` token base units. */
export function atLeast(amount: string, units: bigint, asset: Asset): boolean {
  return (decimalToUnits(amount, asset.decimals) ?? 0n) >= units;
}
