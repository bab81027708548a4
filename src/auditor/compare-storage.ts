/** The derived books against the vault's own storage at the last block, and against what the tokens say that it holds. */
import { decodeFunctionResult, encodeFunctionData, parseAbi } from 'viem';
import type { VaultState } from '../chain/inspect-vault.ts';
import type { RpcCall, RpcPool } from '../chain/rpc-pool.ts';
import type { Address, Hex } from '../domain/units.ts';
import type { Findings } from './findings.ts';
import type { BlockPoint } from './read-chain.ts';
import type { ModelLane, VaultModel } from './vault-model.ts';

export type AssetFigures = {
  readonly asset: number;
  readonly token: Address;
  /** Token base units, as decimal strings. */
  readonly booked: string;
  readonly fees: string;
  readonly held: string;
  readonly surplus: string;
};

const TOKEN_ABI = parseAbi(['function balanceOf(address holder) view returns (uint256 units)']);
const LANE_ABI = parseAbi([
  'function laneState(address account, uint16 lane) view returns (uint40 sequence, uint40 filledLots, bytes20 tag)',
]);
const NUMBER_ABI = parseAbi([
  'function withdrawalLane(address account, uint16 lane) view returns (uint40 sequence)',
  'function exitAvailableAt(address account, address token) view returns (uint64 availableAt)',
]);
const LANES_PER_READ = 2_000;

/** @param events how many were applied: the vault's own number must be the same */
export async function compareStorage(
  pool: RpcPool,
  model: VaultModel,
  findings: Findings,
  state: VaultState,
  at: BlockPoint,
  events: number,
): Promise<{ assets: AssetFigures[]; balancesCompared: number }> {
  const expect = (holds: boolean, order: string | undefined, reason: () => string): boolean =>
    findings.check('storage', holds, order === undefined ? {} : { order }, reason);
  const isComplete = state.eventSequence === events;
  findings.check(
    'event_sequence',
    isComplete,
    {},
    () => `the vault has emitted ${state.eventSequence} events by block ${at.number}, ${events} were found`,
  );
  expect(
    state.batchId === model.batchId && state.batchHash === model.batchHash,
    undefined,
    () => `the vault stands at batch ${state.batchId}, not ${model.batchId}`,
  );
  expect(state.epoch === model.epoch, undefined, () => `the vault stands at epoch ${state.epoch}, not ${model.epoch}`);
  expect(
    state.engineKey === model.engineKey,
    undefined,
    () => `the vault's engine key is ${state.engineKey}, not ${model.engineKey}`,
  );
  expect(
    state.pausedUntil === model.pausedUntil,
    undefined,
    () => `the vault is paused until ${state.pausedUntil}, derived ${model.pausedUntil}`,
  );

  let balancesCompared = 0;
  for (const shown of state.accounts) {
    const derived = model.account(shown.account);
    const count = Math.max(shown.balances.length, derived.balances.length);
    for (let asset = 0; asset < count; asset++) {
      const [inModel, inVault] = [derived.balances[asset] ?? 0, shown.balances[asset] ?? 0];
      balancesCompared += 1;
      expect(
        inModel === inVault,
        shown.account,
        () => `${shown.account} has ${inVault} quanta of asset ${asset} in storage, derived ${inModel}`,
      );
    }
    const lane = derived.lanes.get(0);
    const agrees = shown.lane0Sequence === (lane?.sequence ?? 0) && shown.lane0FilledLots === (lane?.filledLots ?? 0);
    expect(
      agrees,
      shown.account,
      () =>
        `lane 0 of ${shown.account} is at ${shown.lane0Sequence}/${shown.lane0FilledLots}, derived ${lane?.sequence ?? 0}/${lane?.filledLots ?? 0}`,
    );
    const cancelled = [model.cutoff(derived, at.time), model.cancelling(derived, at.time)];
    expect(
      shown.cancelledBefore === cancelled[0] && shown.cancellingBefore === cancelled[1],
      shown.account,
      () =>
        `orders of ${shown.account} are cancelled below ${shown.cancelledBefore} and, pending, ${shown.cancellingBefore}; derived ${cancelled.join(' and ')}`,
    );
  }
  await compareLanes(pool, model, expect, at);
  await compareNumbers(pool, model, expect, at);
  const held = await readHeld(pool, model, at);
  return { assets: compareAssets(model, findings, state, held), balancesCompared };
}

/** What each token itself says that the vault holds: the vault's own figure is not taken for it. */
async function readHeld(pool: RpcPool, model: VaultModel, at: BlockPoint): Promise<bigint[]> {
  const args = [model.parameters.vault] as const;
  const data = encodeFunctionData({ abi: TOKEN_ABI, functionName: 'balanceOf', args });
  const calls = model.assets.map(
    ({ token }): RpcCall => ({ method: 'eth_call', params: [{ to: token, data }, { blockHash: at.hash }] }),
  );
  const answers = await pool.run((endpoint) => endpoint.batch(calls));
  return answers.map((answer) =>
    decodeFunctionResult({ abi: TOKEN_ABI, functionName: 'balanceOf', data: answer as Hex }),
  );
}

function compareAssets(
  model: VaultModel,
  findings: Findings,
  state: VaultState,
  heldByToken: readonly bigint[],
): AssetFigures[] {
  findings.check(
    'storage',
    state.assets.length === model.assets.length,
    {},
    () => `the vault lists ${state.assets.length} assets, ${model.assets.length} were derived`,
  );
  return state.assets.map((shown, index) => {
    const derived = model.assets[index];
    const total = [...model.accounts.values()].reduce(
      (sum, account) => sum + (account.balances[index] ?? 0),
      derived?.fees ?? 0,
    );
    const agrees = derived?.booked === shown.booked && derived.fees === shown.fees && derived.token === shown.token;
    findings.check(
      'storage',
      agrees,
      {},
      () =>
        `asset ${index}: booked ${shown.booked} and fees ${shown.fees} in storage, derived ${derived?.booked} and ${derived?.fees}`,
    );
    findings.check(
      'storage',
      total === shown.booked,
      {},
      () => `asset ${index}: balances and fees add up to ${total}, booked are ${shown.booked}`,
    );
    const held = heldByToken[index] ?? 0n;
    // By the derived books and the listed quantum: a storage that lies must not make the vault look solvent.
    const booked = BigInt(derived?.booked ?? shown.booked) * (derived?.quantumUnits ?? shown.quantumUnits);
    findings.check(
      'storage',
      shown.heldUnits === held && shown.quantumUnits === derived?.quantumUnits,
      {},
      () =>
        `asset ${index}: the vault shows ${shown.heldUnits} held and a quantum of ${shown.quantumUnits}, the token says ${held}, the listing ${derived?.quantumUnits}`,
    );
    findings.check(
      'solvency',
      held >= booked,
      {},
      () => `asset ${index}: the vault holds ${held} and owes ${booked} token base units`,
    );
    return {
      asset: index,
      token: shown.token,
      booked: booked.toString(),
      fees: (BigInt(derived?.fees ?? shown.fees) * (derived?.quantumUnits ?? shown.quantumUnits)).toString(),
      held: held.toString(),
      surplus: (held - booked).toString(),
    };
  });
}

async function compareLanes(
  pool: RpcPool,
  model: VaultModel,
  expect: (holds: boolean, order: string | undefined, reason: () => string) => boolean,
  at: BlockPoint,
): Promise<void> {
  const lanes = [...model.accounts].flatMap(([account, { lanes: own }]) =>
    [...own]
      .filter(([lane]) => lane > 0)
      .map(([lane, derived]): [Address, number, ModelLane] => [account, lane, derived]),
  );
  for (let start = 0; start < lanes.length; start += LANES_PER_READ) {
    const chunk = lanes.slice(start, start + LANES_PER_READ);
    const calls = chunk.map(([account, lane]): RpcCall => {
      const data = encodeFunctionData({ abi: LANE_ABI, functionName: 'laneState', args: [account, lane] });
      return { method: 'eth_call', params: [{ to: model.parameters.vault, data }, { blockHash: at.hash }] };
    });
    const answers = await pool.run((endpoint) => endpoint.batch(calls));
    for (const [index, [account, lane, derived]] of chunk.entries()) {
      const [sequence, filledLots, tag] = decodeFunctionResult({
        abi: LANE_ABI,
        functionName: 'laneState',
        data: answers[index] as Hex,
      });
      const agrees = sequence === derived.sequence && filledLots === derived.filledLots && tag === derived.tag;
      expect(
        agrees,
        account,
        () =>
          `lane ${lane} of ${account} is at ${sequence}/${filledLots}, derived ${derived.sequence}/${derived.filledLots}`,
      );
    }
  }
}

/** Withdrawal lanes, and exits that are asked for. */
async function compareNumbers(
  pool: RpcPool,
  model: VaultModel,
  expect: (holds: boolean, order: string | undefined, reason: () => string) => boolean,
  at: BlockPoint,
): Promise<void> {
  const figures = [...model.accounts].flatMap(([account, derived]) => [
    ...[...derived.withdrawalLanes].map(([lane, value]) => ({
      account,
      what: `withdrawal lane ${lane}`,
      value,
      data: encodeFunctionData({ abi: NUMBER_ABI, functionName: 'withdrawalLane', args: [account, lane] }),
    })),
    ...model.assets.flatMap(({ token }, asset) => {
      // An account that never had anything of the asset, nor asked for an exit, has nothing to compare.
      if (derived.balances[asset] === undefined && !derived.exits.has(asset)) return [];
      const data = encodeFunctionData({ abi: NUMBER_ABI, functionName: 'exitAvailableAt', args: [account, token] });
      return [{ account, what: `the exit from asset ${asset}`, value: derived.exits.get(asset) ?? 0, data }];
    }),
  ]);
  for (let start = 0; start < figures.length; start += LANES_PER_READ) {
    const chunk = figures.slice(start, start + LANES_PER_READ);
    const calls = chunk.map(
      ({ data }): RpcCall => ({
        method: 'eth_call',
        params: [{ to: model.parameters.vault, data }, { blockHash: at.hash }],
      }),
    );
    const answers = await pool.run((endpoint) => endpoint.batch(calls));
    for (const [index, { account, what, value }] of chunk.entries()) {
      const shown = Number(answers[index]);
      expect(shown === value, account, () => `${what} of ${account} stands at ${shown}, derived ${value}`);
    }
  }
}
