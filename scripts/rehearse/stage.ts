/**
 * What a rehearsal acts on: a fresh vault deployed by Ignition, the keys of every role, and a clock that jumps (a local node) or has to be
 * waited for. Every act is a signed transaction of the role's own key; a refusal is what the chain answers to the same call.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  BaseError,
  createPublicClient,
  createWalletClient,
  decodeErrorResult,
  decodeEventLog,
  encodeFunctionData,
  http,
  type PublicClient,
  parseEther,
} from 'viem';
import { type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts';
import type { DeploymentPlan } from '../../ignition/plan.ts';
import { createDigester, type Digester } from '../../src/chain/digests.ts';
import { testTokenAbi } from '../../src/chain/generated/test-token.ts';
import { vaultAbi } from '../../src/chain/generated/vault.ts';
import { vaultTimelockAbi } from '../../src/chain/generated/vault-timelock.ts';
import { bytesToHex } from '../../src/chain/hex.ts';
import { keccakText } from '../../src/chain/keccak.ts';
import { eip712Domain } from '../../src/domain/typed-data.ts';
import type { Address, Hash, Hex } from '../../src/domain/units.ts';
import { type Deployment, deployLocal } from '../deploy.ts';

/** Paid by the deployer to each role's key; a rehearsal spends a small part of it on any test chain. */
const ETHER_PER_KEY = parseEther('0.05');
const GAS_LIMIT = 3_000_000n;
const ROLES = ['guardian', 'first engine key', 'second engine key', 'ann', 'ben'] as const;
export type Role = 'deployer' | (typeof ROLES)[number];

/** A step did not behave; the message says what was expected. */
export class RehearsalFailure extends Error {}
/** Time that this chain cannot jump over; `seconds` would have to be waited for. */
export class MustWait extends Error {
  readonly seconds: number;
  constructor(seconds: number) {
    super(`${seconds} seconds must pass, and this chain's clock cannot be moved`);
    this.seconds = seconds;
  }
}

type Event = { readonly name: string; readonly args: Readonly<Record<string, unknown>> };

export type StageOptions = {
  readonly rpcUrl: string;
  readonly deployerKey: Hex;
  /** Waits in real time where the clock cannot be moved. */
  readonly wait: boolean;
  readonly say: (line: string) => void;
};

export class Stage {
  readonly plan: DeploymentPlan;
  readonly deployment: Deployment;
  readonly digester: Digester;
  readonly client: PublicClient;
  /** Signs messages of a role off chain: orders, batches. */
  readonly keys: ReadonlyMap<Role, Hex>;
  /** How much chain time had to pass so far. */
  passedSeconds = 0;
  readonly #options: StageOptions;
  readonly #accounts: ReadonlyMap<Role, PrivateKeyAccount>;

  private constructor(
    options: StageOptions,
    plan: DeploymentPlan,
    deployment: Deployment,
    client: PublicClient,
    keys: ReadonlyMap<Role, Hex>,
  ) {
    this.#options = options;
    this.plan = plan;
    this.deployment = deployment;
    this.client = client;
    this.keys = keys;
    this.#accounts = new Map([...keys].map(([role, key]) => [role, privateKeyToAccount(key)]));
    this.digester = createDigester(eip712Domain(deployment.chainId, deployment.vault));
  }

  /** Deploys the plan with rehearsal keys for guardian and engine, and gives every role ether for its transactions. */
  static async set(options: StageOptions, plan: DeploymentPlan): Promise<Stage> {
    const keys = new Map<Role, Hex>([['deployer', options.deployerKey]]);
    for (const role of ROLES)
      keys.set(role, bytesToHex(keccakText(`tallystick rehearsal ${options.deployerKey} ${role}`)));
    const address = (role: Role): Address =>
      privateKeyToAccount(keys.get(role) as Hex).address.toLowerCase() as Address;
    const used = { ...plan, guardian: address('guardian'), engineKey: address('first engine key') };
    const deployment = await deployLocal({ ...options, overrides: used });
    const client = createPublicClient({ transport: http(options.rpcUrl), pollingInterval: 50, cacheTime: 0 });
    const stage = new Stage(options, used, deployment, client, keys);
    for (const role of ROLES) await stage.#send('deployer', address(role), '0x', ETHER_PER_KEY);
    return stage;
  }

  addressOf(role: Role): Address {
    return this.#account(role).address.toLowerCase() as Address;
  }

  token(symbol: string): Address {
    const token = this.deployment.tokens[symbol];
    if (token === undefined) throw new RangeError(`the plan lists no ${symbol}`);
    return token;
  }

  /** Mints, approves and deposits a test token. */
  async deposit(role: Role, symbol: string, units: bigint): Promise<void> {
    const token = this.token(symbol);
    const encode = (functionName: string, args: readonly unknown[]) => encodeCall(testTokenAbi, functionName, args);
    await this.#send('deployer', token, encode('mint', [this.addressOf(role), units]));
    await this.#send(role, token, encode('approve', [this.deployment.vault, units]));
    await this.act(role, 'deposit', [token, units, this.addressOf(role)]);
  }

  /** Sends a call of the vault. @throws RehearsalFailure when it reverts */
  async act(role: Role, functionName: string, args: readonly unknown[] = []): Promise<Event[]> {
    return this.#send(role, this.deployment.vault, encodeCall(vaultAbi, functionName, args), 0n, functionName);
  }

  async actOnTimelock(role: Role, functionName: string, args: readonly unknown[]): Promise<void> {
    const request = encodeCall(vaultTimelockAbi, functionName, args);
    await this.#send(role, this.deployment.timelock, request, 0n, `timelock ${functionName}`);
  }

  /** @throws RehearsalFailure unless the vault refuses the call with this error */
  async mustRefuse(error: string, role: Role, functionName: string, args: readonly unknown[] = []): Promise<void> {
    const request = encodeCall(vaultAbi, functionName, args);
    const found = await this.#refusal(role, this.deployment.vault, request);
    if (found !== error)
      throw new RehearsalFailure(`${functionName} by ${role}: expected ${error}, got ${found ?? 'no refusal'}`);
  }

  /** @throws RehearsalFailure unless the timelock refuses the call */
  async timelockMustRefuse(role: Role, functionName: string, args: readonly unknown[]): Promise<void> {
    const request = encodeCall(vaultTimelockAbi, functionName, args);
    if ((await this.#refusal(role, this.deployment.timelock, request)) === undefined)
      throw new RehearsalFailure(`the timelock let ${functionName} pass`);
  }

  async read<T>(functionName: string, args: readonly unknown[] = []): Promise<T> {
    const call = { address: this.deployment.vault, abi: vaultAbi, functionName, args };
    return (await this.client.readContract(call as never)) as T;
  }

  async held(symbol: string, holder: Address): Promise<bigint> {
    return this.client.readContract({
      address: this.token(symbol),
      abi: testTokenAbi,
      functionName: 'balanceOf',
      args: [holder],
    });
  }

  async now(): Promise<number> {
    return Number((await this.client.getBlock({ blockTag: 'latest' })).timestamp);
  }

  /** Lets time pass until a moment. @throws MustWait when the clock cannot be moved and waiting was not asked for */
  async passUntil(time: number, why: string): Promise<void> {
    const seconds = time - (await this.now());
    if (seconds <= 0) return;
    this.#options.say(`    ${duration(seconds)} must pass: ${why}`);
    const jumped = await this.#jump(seconds);
    if (!jumped && !this.#options.wait) throw new MustWait(seconds);
    this.passedSeconds += seconds;
    while ((await this.now()) < time) await sleep(2_000);
  }

  async #jump(seconds: number): Promise<boolean> {
    try {
      await this.client.request({ method: 'evm_increaseTime', params: [seconds] } as never);
      await this.client.request({ method: 'evm_mine', params: [] } as never);
      return true;
    } catch (error) {
      if (error instanceof BaseError) return false;
      throw error;
    }
  }

  async #refusal(role: Role, to: Address, data: Hex): Promise<string | undefined> {
    try {
      await this.client.call({ account: this.#account(role).address, to, data, gas: GAS_LIMIT });
      return undefined;
    } catch (error) {
      return revertName(error);
    }
  }

  async #send(role: Role, to: Address, data: Hex, value = 0n, what = 'a transfer'): Promise<Event[]> {
    const account = this.#account(role);
    const wallet = createWalletClient({ account, transport: http(this.#options.rpcUrl) });
    const gas = data === '0x' ? 21_000n : GAS_LIMIT;
    const hash: Hash = await wallet.sendTransaction({ to, data, value, gas, chain: null });
    const receipt = await this.client.waitForTransactionReceipt({ hash });
    if (receipt.status !== 'success') {
      const refusal = await this.#refusal(role, to, data);
      throw new RehearsalFailure(`${what} by ${role} was refused: ${refusal ?? 'no reason is given'}`);
    }
    const logs = receipt.logs.filter(({ address }) => address.toLowerCase() === this.deployment.vault);
    return logs.map(({ data: body, topics }) => {
      const event = decodeEventLog({ abi: vaultAbi, data: body, topics });
      return { name: event.eventName, args: event.args as Readonly<Record<string, unknown>> };
    });
  }

  #account(role: Role): PrivateKeyAccount {
    return this.#accounts.get(role) as PrivateKeyAccount;
  }
}

/** Days, hours, minutes: what a person would wait. */
export function duration(seconds: number): string {
  if (seconds >= 86_400) return `${Math.round(seconds / 8_640) / 10} days`;
  if (seconds >= 3_600) return `${Math.round(seconds / 360) / 10} hours`;
  return `${Math.ceil(seconds / 60)} minutes`;
}

export function encodeCall(abi: unknown, functionName: string, args: readonly unknown[]): Hex {
  return encodeFunctionData({ abi, functionName, args } as unknown as Parameters<typeof encodeFunctionData>[0]);
}

/** Name of the vault's error, or what the node said. @throws what is no revert */
function revertName(error: unknown): string {
  if (!(error instanceof BaseError)) throw error;
  const carrier = error.walk((cause) => typeof (cause as { data?: unknown }).data === 'string') as {
    data?: Hex;
  } | null;
  if (carrier?.data === undefined || carrier.data === '0x') return error.shortMessage;
  try {
    return decodeErrorResult({ abi: vaultAbi, data: carrier.data }).errorName;
  } catch {
    // An error of another contract: the timelock's.
    return carrier.data.slice(0, 10);
  }
}
