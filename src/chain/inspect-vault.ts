/** The vault's own view of its books at one block: what reconciliation and audit compare with. */
import { decodeFunctionResult, encodeFunctionData, parseAbi } from 'viem';
import { type Address, type ChainEventSequence, type Hash, type Hex, type Quanta, quanta } from '../domain/units.ts';
import type { RpcEndpoint } from './rpc-pool.ts';

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
  readonly lane0Sequence: number;
  readonly lane0FilledLots: number;
};

export type VaultState = {
  readonly batchId: number;
  readonly batchHash: Hash;
  readonly epoch: number;
  readonly eventSequence: ChainEventSequence;
  readonly engineKey: Address;
  readonly assets: readonly VaultAssetState[];
  readonly accounts: readonly VaultAccountState[];
};

/** A thousand accounts with a few assets each cost a call some ten million gas, far below nodes' limits for calls. */
export const INSPECT_ACCOUNTS_MAX = 1_000;

/**
 * Reads the vault at the block of a hash, at most INSPECT_ACCOUNTS_MAX accounts per request.
 * @throws ExchangeError RPC_FAILED when the node does not have the block or its state, or there is no vault
 */
export async function inspectVault(
  endpoint: RpcEndpoint,
  vault: Address,
  accounts: readonly Address[],
  blockHash: Hash,
): Promise<VaultState> {
  const chunks: Address[][] = [];
  for (let start = 0; start < Math.max(1, accounts.length); start += INSPECT_ACCOUNTS_MAX) {
    chunks.push(accounts.slice(start, start + INSPECT_ACCOUNTS_MAX));
  }
  let first: VaultState | undefined;
  const states: VaultAccountState[] = [];
  for (const chunk of chunks) {
    const input = encodeFunctionData({ abi: INSPECT_ABI, functionName: 'inspect', args: [chunk] });
    const answer = await endpoint.request('eth_call', [{ to: vault, data: input }, { blockHash }]);
    const state = decodeState(answer as Hex);
    first ??= state;
    for (const account of state.accounts) states.push(account);
  }
  if (first === undefined) throw new Error('no chunk was read');
  return { ...first, accounts: states };
}

function decodeState(answer: Hex): VaultState {
  const state = decodeFunctionResult({ abi: INSPECT_ABI, functionName: 'inspect', data: answer });
  return {
    batchId: Number(state.batchId),
    batchHash: state.batchHash,
    epoch: Number(state.epoch),
    eventSequence: Number(state.eventSequence) as ChainEventSequence,
    engineKey: state.engineKey.toLowerCase() as Address,
    assets: state.assets.map((asset, index) => ({
      asset: index,
      token: asset.token.toLowerCase() as Address,
      quantumUnits: asset.quantum,
      booked: quanta(Number(asset.booked)),
      fees: quanta(Number(asset.fees)),
      heldUnits: asset.held,
    })),
    accounts: state.accounts.map((account) => ({
      account: account.account.toLowerCase() as Address,
      balances: account.balances.map((balance) => quanta(Number(balance))),
      lane0Sequence: account.lane0Sequence,
      lane0FilledLots: account.lane0FilledLots,
    })),
  };
}
