/**
 * Judges the withdrawals of a batch, one by one after its fills, in the order of checks of docs/batch-format.md, section 3.
 *
 * Two outcomes depend on contracts outside the vault and cannot be derived from calldata: whether an ERC-1271 wallet accepted a signature,
 * and whether a token or recipient took a transfer. There the vault's report is taken over, once everything before it holds.
 */
import type { Digester } from '../chain/digests.ts';
import { recoverSigner } from '../chain/recover.ts';
import { NATIVE_CURRENCY, packNonce } from '../domain/orders.ts';
import type { Hash } from '../domain/units.ts';
import type { ContentWithdrawal } from './read-content.ts';
import type { ModelAsset, VaultModel } from './vault-model.ts';

const OUTCOME = {
  executed: 0,
  badSignature: 1,
  unknownAsset: 2,
  badAmount: 3,
  feeTooHigh: 4,
  expired: 5,
  badSequence: 6,
  nonceUsed: 7,
  badRecipient: 8,
  insufficientBalance: 9,
  outflowLimit: 10,
  transferFailed: 11,
} as const;

const SEQUENCE_AHEAD_SECONDS = 120;

export type JudgedWithdrawal = { readonly digest: Hash | undefined; readonly outcome: number };

/**
 * @param reported the vault's outcome, for what only the chain can know
 * @returns the outcome by the rules; an executed one has been applied to the model
 */
export function judgeWithdrawal(
  model: VaultModel,
  digester: Digester,
  withdrawal: ContentWithdrawal,
  reported: number,
  now: number,
): JudgedWithdrawal {
  const asset = model.assets[withdrawal.asset];
  const refuse = (outcome: number, digest?: Hash): JudgedWithdrawal => ({ digest, outcome });
  if (asset === undefined || (withdrawal.isNative && asset.token !== model.parameters.wrappedNative))
    return refuse(OUTCOME.unknownAsset);
  if (withdrawal.amount === 0n || withdrawal.fee > withdrawal.amount) return refuse(OUTCOME.badAmount);
  if (withdrawal.fee > withdrawal.maxFee) return refuse(OUTCOME.feeTooHigh);
  if (now > withdrawal.expiry) return refuse(OUTCOME.expired);
  const sequenceMax = (now + SEQUENCE_AHEAD_SECONDS - model.parameters.deployedAt) * 1000;
  if (withdrawal.sequence === 0 || withdrawal.sequence > sequenceMax) return refuse(OUTCOME.badSequence);
  const account = model.account(withdrawal.account);
  if (withdrawal.sequence <= (account.withdrawalLanes.get(withdrawal.lane) ?? 0)) return refuse(OUTCOME.nonceUsed);
  const { recipient } = withdrawal;
  if (recipient !== withdrawal.account && isBadRecipient(model, recipient)) return refuse(OUTCOME.badRecipient);
  const digest = digestOf(digester, withdrawal, asset);
  const isSigned = withdrawal.isContractWallet
    ? reported !== OUTCOME.badSignature
    : isSignedByOwner(withdrawal, digest);
  if (!isSigned) return refuse(OUTCOME.badSignature, digest);
  const amount = Number(withdrawal.amount);
  if ((account.balances[withdrawal.asset] ?? 0) < amount) return refuse(OUTCOME.insufficientBalance, digest);
  const fee = Number(withdrawal.fee);
  if (!isWithinOutflowLimit(asset, amount - fee, now)) return refuse(OUTCOME.outflowLimit, digest);
  if (reported === OUTCOME.transferFailed) return refuse(OUTCOME.transferFailed, digest);
  account.balances[withdrawal.asset] = (account.balances[withdrawal.asset] ?? 0) - amount;
  account.withdrawalLanes.set(withdrawal.lane, withdrawal.sequence);
  asset.booked -= amount - fee;
  asset.fees += fee;
  return { digest, outcome: OUTCOME.executed };
}

function digestOf(digester: Digester, withdrawal: ContentWithdrawal, asset: ModelAsset): Hash {
  return digester.withdrawal({
    account: withdrawal.account,
    token: withdrawal.isNative ? NATIVE_CURRENCY : asset.token,
    amount: withdrawal.amount * asset.quantumUnits,
    recipient: withdrawal.recipient,
    nonce: packNonce(withdrawal.lane, withdrawal.sequence),
    expiry: BigInt(withdrawal.expiry),
    maxFee: withdrawal.maxFee * asset.quantumUnits,
  });
}

function isSignedByOwner(withdrawal: ContentWithdrawal, digest: Hash): boolean {
  const recovered = recoverSigner(digest, withdrawal.signature);
  return recovered.kind === 'recovered' && recovered.signer === withdrawal.account;
}

function isBadRecipient(model: VaultModel, recipient: string): boolean {
  return (
    /^0x0{40}$/.test(recipient) ||
    recipient === model.parameters.vault ||
    model.assets.some((asset) => asset.token === recipient)
  );
}

/** Starts a new window when the old one is over, as the vault does at this point even when a later check refuses. */
function isWithinOutflowLimit(asset: ModelAsset, paid: number, now: number): boolean {
  const { outflow } = asset;
  if (outflow.limit === 0) return true;
  if (now >= outflow.startedAt + outflow.windowSeconds) {
    outflow.startedAt = now;
    outflow.bookedAtStart = asset.booked;
  }
  return asset.booked - paid + outflow.limit >= outflow.bookedAtStart;
}
