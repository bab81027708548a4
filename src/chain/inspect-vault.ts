/** The vault's own view of its books at one block: what reconciliation and audit compare with. */
import { parseAbi } from 'viem';
import type { Address, ChainEventSequence, Hash, Hex, Quanta } from '../domain/units.ts';
import { decodeInspectAnswer, encodeInspectCall } from './inspect-vault-codec.ts';
import { type RpcEndpoint, rpcFailure } from './rpc-pool.ts';

export const INSPECT_ABI = parseAbi([
  'struct AssetState { address token; uint64 quantum; uint64 booked; uint64 fees; uint256 held; }',
  'struct AccountState { address account; uint64 cancelledBefore; uint64 cancellingBefore; uint40 lane0Sequence; uint40 lane0FilledLots; uint64[] balances; }',
  'struct VaultState { uint64 batchId; bytes32 batchHash; uint64 epoch; uint64 eventSequence; uint64 pausedUntil; address engineKey; AssetState[] assets; AccountState[] accounts; }',
  'function inspect(address[] accounts) view returns (VaultState state)',
]);

export type VaultAssetState = {
  readonly asset: number;
  readonly token: Address;
  readonly quantumUnits: bigint;
  /** All accounts' balances and the fees, in quanta. */
  readonly booked: Quanta;
  /** Fees not collected yet, in quanta; part of `booked`. */
  readonly fees: Quanta;
  /** What the token says the vault holds, in token base units. */
  readonly heldUnits: bigint;
};

export type VaultAccountState = {
  readonly account: Address;
  /** Quanta by asset index. */
  readonly balances: readonly Quanta[];
  /** Order sequences below this are cancelled, also for settlement. */
  readonly cancelledBefore: number;
  /** Order sequences below this are cancelled, for settlement only after the grace period; zero when none is pending. */
  readonly cancellingBefore: number;
  readonly lane0Sequence: number;
  readonly lane0FilledLots: number;
};

export type VaultState = {
  readonly batchId: number;
  readonly batchHash: Hash;
  readonly epoch: number;
  readonly eventSequence: ChainEventSequence;
  /** Unix seconds. */
  readonly pausedUntil: number;
  readonly engineKey: Address;
  readonly assets: readonly VaultAssetState[];
  readonly accounts: readonly VaultAccountState[];
};

/** A thousand accounts with a few assets each cost a call some ten million gas, far below nodes' limits for calls. */
export const INSPECT_ACCOUNTS_MAX = 1_000;

/** Requests under way at once: a node computes one while the answer to another is decoded. */
const REQUESTS_MAX = 3;

/**
 * Reads the vault at the block of a hash, at most INSPECT_ACCOUNTS_MAX accounts per request.
 * @throws ExchangeError RPC_FAILED when the node does not have the block or its state, there is no vault, or the answer is another one
 */
export async function inspectVault(
  endpoint: RpcEndpoint,
  vault: Address,
  accounts: readonly Address[],
  blockHash: Hash,
): Promise<VaultState> {
  const chunks: (readonly Address[])[] = [];
  for (let start = 0; start < Math.max(1, accounts.length); start += INSPECT_ACCOUNTS_MAX) {
    chunks.push(accounts.slice(start, start + INSPECT_ACCOUNTS_MAX));
  }
  const states: VaultState[] = [];
  let next = 0;
  const readOn = async (): Promise<void> => {
    for (let index = next++; index < chunks.length; index = next++) {
      const chunk = chunks[index] ?? [];
      const call = { to: vault, data: encodeInspectCall(chunk) };
      states[index] = decodeState(await endpoint.request('eth_call', [call, { blockHash }]), chunk, endpoint.name);
    }
  };
  await Promise.all(Array.from({ length: REQUESTS_MAX }, readOn));
  const [first] = states;
  if (first === undefined) throw new Error('no chunk was read');
  return { ...first, accounts: states.flatMap((state) => state.accounts) };
}

/** Reconciliation must not take an account that was left out for one without drift. */
function decodeState(answer: unknown, asked: readonly Address[], node: string): VaultState {
  let state: VaultState;
  try {
    state = decodeInspectAnswer(answer as Hex);
  } catch (error) {
    throw rpcFailure('malformed', `${node} did not answer with the vault's state: ${String(error)}`, {}, error);
  }
  const isAnswer =
    state.accounts.length === asked.length &&
    asked.every((account, index) => state.accounts[index]?.account === account);
  if (!isAnswer) throw rpcFailure('inconsistent', `${node} shows other accounts than were asked for`);
  return state;
}
