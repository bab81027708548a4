/** The call that settles a batch, and how much gas it may need. */
import { decodeErrorResult, encodeFunctionData, parseAbi } from 'viem';
import type { Hex } from '../domain/units.ts';
import type { BatchToSettle } from './outbox.ts';

const SETTLE_ABI = parseAbi([
  'struct Batch { uint64 id; bytes32 parent; uint64 epoch; uint64 journalSequence; bytes32 journalHash; }',
  'function settle(Batch batch, bytes content, bytes32 engineSignatureR, bytes32 engineSignatureVs)',
  'error Reentered()',
  'error VaultPaused(uint64 until)',
  'error NotFromPlainAccount(address caller)',
  'error WrongBatchId(uint64 expected, uint64 given)',
  'error WrongParent(bytes32 expected, bytes32 given)',
  'error StaleEpoch(uint64 stored, uint64 given)',
  'error EpochTooFar(uint64 stored, uint64 given)',
  'error BadEngineSignature(address expected, address recovered)',
  'error MalformedContent(uint256 position)',
  'error NotEnoughGas(uint256 required, uint256 left)',
  'error NoEngineKey()',
]);

export function encodeSettle(batch: BatchToSettle): Hex {
  return encodeFunctionData({
    abi: SETTLE_ABI,
    functionName: 'settle',
    args: [
      {
        id: BigInt(batch.batchId),
        parent: batch.parentHash,
        epoch: BigInt(batch.epoch),
        journalSequence: BigInt(batch.journalSequence),
        journalHash: batch.journalHash,
      },
      batch.content,
      batch.engineSignature.slice(0, 66) as Hex,
      `0x${batch.engineSignature.slice(66)}`,
    ],
  });
}

/** Name and arguments of the vault's error; undefined when the revert data are none of its errors. */
export function decodeSettleError(revertData: unknown): string | undefined {
  if (typeof revertData !== 'string' || !/^0x[0-9a-fA-F]{8,}$/.test(revertData)) return undefined;
  try {
    const { errorName, args } = decodeErrorResult({ abi: SETTLE_ABI, data: revertData as Hex });
    return `${errorName}(${(args ?? []).join(', ')})`;
  } catch {
    // Another contract's error, such as a token's.
    return undefined;
  }
}

/** What an operator can do about each of the vault's refusals; the runbook on refused batches has it at length. */
const REMEDIES: Readonly<Record<string, string>> = {
  VaultPaused: 'a pause ends by itself within seven days; governance ends it sooner',
  BadEngineSignature: 'the active engine key is not ours: follow the runbook on engine keys',
  StaleEpoch: 'an engine key was revoked: restart the engine with the active key, which signs the batch again',
  EpochTooFar:
    "the database's epoch lies far above the vault's: stop the engine and check DATABASE_URL and VAULT_ADDRESS",
  NoEngineKey: 'no engine key is active: register one through governance',
  WrongBatchId: 'the node lags, or another settled this batch: compare the vault with GET /api/v1/batches',
  WrongParent:
    'the batch before it settled with other content: stop the engine and compare the vault with GET /api/v1/batches',
  NotFromPlainAccount: "the submitter's account has code: settle from a plain account",
  NotEnoughGas: 'the node caps the gas of calls too low: use another node',
  MalformedContent:
    'the outbox and this vault do not fit together: stop the engine and check VAULT_ADDRESS and the version',
};

/** @param error as `decodeSettleError` gives it; undefined when only looking at the node's own words helps */
export function remedyOf(error: string): string | undefined {
  return REMEDIES[error.slice(0, error.indexOf('('))];
}

/** No transaction may ask for more (EIP-7825). */
const TRANSACTION_GAS_MAX = 16_777_216n;

/** The most gas that a transaction may ask for where a block has so much. */
export function transactionGasMax(blockGasLimit: bigint): bigint {
  return atMost(blockGasLimit, TRANSACTION_GAS_MAX);
}

// Measured worst cases, rounded up: an order on a fresh lane with its signature, a trade on fresh pages of two accounts, a
// withdrawal to a new holder of a token that spends its capped gas.
const GAS_PER_ORDER = 40_000n;
const GAS_PER_TRADE = 30_000n;
const GAS_PER_WITHDRAWAL = 250_000n;
const GAS_BASE = 250_000n;

/** The most that the batch can need, whatever the slots hold: for one that cannot be simulated yet, because the one before it is under way. */
export function worstCaseGas(batch: BatchToSettle): bigint {
  const contentBytes = BigInt(batch.content.length / 2 - 1);
  // Two orders a trade at most; the content is the better witness when several trades share an order.
  const orders = BigInt(Math.min(batch.tradeCount * 2, Math.ceil(batch.content.length / 2 / 89)));
  return (
    GAS_BASE +
    contentBytes * 16n +
    orders * GAS_PER_ORDER +
    BigInt(batch.tradeCount) * GAS_PER_TRADE +
    BigInt(batch.withdrawalCount) * GAS_PER_WITHDRAWAL
  );
}

/** Gas limit from an estimate: a quarter more, since other transactions may change what slots hold before ours is mined. */
export function gasLimitFrom(estimate: bigint, gasMax: bigint): bigint {
  return atMost(estimate + estimate / 4n + 50_000n, gasMax);
}

export function atMost(gas: bigint, gasMax: bigint): bigint {
  if (gas > gasMax) return gasMax;
  return gas;
}
