/** P3: an owner takes every settled balance out within the exit delay, every service dead and the contract paused; no power is faster. */
import assert from 'node:assert/strict';
import { encodeDeployData, encodeFunctionData, type Hex, parseAbi } from 'viem';
import { mnemonicToAccount } from 'viem/accounts';
import { deployLocal } from '../../scripts/deploy.ts';
import { vaultAbi, vaultArtifact } from '../../src/chain/generated/vault.ts';
import { vaultTimelockAbi } from '../../src/chain/generated/vault-timelock.ts';
import type { Address } from '../../src/domain/units.ts';
import { LOCAL_MNEMONIC } from '../../src/services/local-node.ts';
import { LabExchange } from '../support/lab-exchange.ts';
import { useLocalNode } from '../support/local-node.ts';
import { LAB_EXIT_DELAY, type LabUser } from '../support/settlement-lab.ts';
import { HandMadeBatches } from './support/hand-made-batches.ts';

const TOKEN = parseAbi(['function balanceOf(address) view returns (uint256)']);

describe('P3 Exit', () => {
  const node = useLocalNode();
  let batches: HandMadeBatches;

  before(async () => {
    batches = await HandMadeBatches.on(node.node());
  });

  const call = async (to: Address, data: Hex): Promise<bigint> =>
    BigInt((await batches.lab.rpc.request('eth_call', [{ to, data }, 'latest'])) as Hex);
  const held = (owner: Address, asset: number): Promise<bigint> =>
    call(
      batches.lab.tokens[asset] as Address,
      encodeFunctionData({ abi: TOKEN, functionName: 'balanceOf', args: [owner] }),
    );
  /** A vault function of no special helper. */
  const govern = (from: Address, functionName: string, args: readonly unknown[]): Promise<Hex> => {
    const data = encodeFunctionData({ abi: vaultAbi, functionName, args } as never);
    return batches.lab.sendRaw(from, batches.lab.vault, data);
  };

  it('P3: everything settled leaves after the delay, to the quantum, with services dead, the vault paused and the engine key revoked', async () => {
    const { lab } = batches;
    const [ann, ben] = (await batches.users(['ann', 'ben'], 1_000_000_000)) as [LabUser, LabUser];
    // Some of the balance has been through trades; an order is open still. From here on no service runs: there is only the chain.
    const exchange = await LabExchange.open(lab);
    await exchange.place(ann, { side: 'sell', sizeLots: 20, priceTicks: 100 });
    await exchange.place(ben, { side: 'buy', sizeLots: 7, priceTicks: 100, timeInForce: 'ioc' });
    await exchange.settle();

    for (const token of lab.tokens) await lab.send(ann.address, lab.vault, 'requestExit', [token]);
    await govern(lab.deployer, 'pause', []);
    await govern(lab.deployer, 'revokeEngineKey', []);
    const { accounts } = await batches.books([ann]);
    const settled = accounts[0]?.balances ?? [];
    assert.notEqual(settled[0], settled[1]);
    for (const token of lab.tokens)
      await assert.rejects(lab.send(ann.address, lab.vault, 'exit', [token, ann.address]), /ExitNotYet|revert/);
    await lab.passTime(LAB_EXIT_DELAY);
    const { assets } = await batches.books([ann]);
    for (const [asset, token] of lab.tokens.entries()) {
      await lab.send(ann.address, lab.vault, 'exit', [token, ann.address]);
      const units = BigInt(settled[asset] ?? 0) * (assets[asset]?.quantumUnits ?? 0n);
      assert.ok(units > 0n);
      assert.equal(await held(ann.address, asset), units);
    }
    assert.deepEqual(await batches.balances(ann), [0, 0, 0]);
    await assert.rejects(
      lab.send(ann.address, lab.vault, 'exit', [lab.tokens[0], ann.address]),
      /revert|NoExit/,
      'once',
    );
  });

  it('P3: an exit can be asked for while the vault is paused, however long governance extends that', async () => {
    const { lab } = batches;
    const cleo = await lab.createFundedUser('cleo');
    await govern(lab.deployer, 'unpause', []);
    await lab.deposit(cleo, 1, 5_000);
    await lab.passTime(15 * 86_400);
    await govern(lab.deployer, 'pause', []);
    await govern(lab.deployer, 'extendPause', [BigInt((await lab.now()) + 8 * 86_400)]);
    await assert.rejects(lab.deposit(cleo, 1, 5_000), /VaultPaused|revert/);
    await lab.send(cleo.address, lab.vault, 'requestExit', [lab.tokens[1]]);
    await lab.passTime(LAB_EXIT_DELAY);
    const before = await held(cleo.address, 1);
    await lab.send(cleo.address, lab.vault, 'exit', [lab.tokens[1], cleo.address]);
    assert.equal((await held(cleo.address, 1)) - before, 5_000n);
  });

  it('P3: neither an outflow limit nor a delisting holds one up', async () => {
    const { lab } = batches;
    const user = await lab.createFundedUser('dan');
    await govern(lab.deployer, 'unpause', []);
    await lab.deposit(user, 0, 1_000_000);
    await lab.send(lab.deployer, lab.vault, 'setOutflowLimit', [lab.tokens[0], 1n, 86_400]);
    await lab.send(lab.deployer, lab.vault, 'delistMarket', [0]);
    await lab.send(user.address, lab.vault, 'requestExit', [lab.tokens[0]]);
    await lab.passTime(LAB_EXIT_DELAY);
    await lab.send(user.address, lab.vault, 'exit', [lab.tokens[0], user.address]);
    assert.deepEqual((await batches.balances(user))[0], 0);
  });

  it('P3: the delays are ordered for ever: grace < exit delay < timelock delay, or there is no vault', async () => {
    const { lab } = batches;
    const parameters = {
      governance: lab.deployer,
      guardian: lab.deployer,
      feeCollector: lab.submitter,
      engineKey: lab.engine.address,
      wrappedNative: lab.tokens[0],
      permit2: lab.submitter,
      takerFeePpm: 0,
      makerFeePpm: 0,
    };
    const deploy = (grace: bigint, exitDelay: bigint, timelockDelay: bigint): Promise<unknown> => {
      const args = [{ ...parameters, grace, exitDelay, timelockDelay }];
      const data = encodeDeployData({ abi: vaultAbi, bytecode: vaultArtifact.bytecode, args } as never);
      return lab.rpc.request('eth_estimateGas', [{ from: lab.deployer, data }]);
    };
    await deploy(1n, 2n, 3n);
    for (const [grace, exitDelay, timelockDelay] of [
      [2n, 2n, 3n],
      [1n, 3n, 3n],
      [3n, 2n, 4n],
      [1n, 4n, 3n],
      [0n, 2n, 3n],
    ] as const)
      await assert.rejects(
        deploy(grace, exitDelay, timelockDelay),
        /revert|BadDelays/,
        `${grace} ${exitDelay} ${timelockDelay}`,
      );
  });

  it('P3: once deployed, every power but pausing waits in a timelock longer than the exit delay, which nobody can shorten', async () => {
    const { rpc } = batches.lab;
    const privateKey = mnemonicToAccount(LOCAL_MNEMONIC, { addressIndex: 5 }).getHdKey().privateKey;
    const deployerKey: Hex = `0x${Buffer.from(privateKey ?? []).toString('hex')}`;
    const deployer = mnemonicToAccount(LOCAL_MNEMONIC, { addressIndex: 5 }).address;
    const { vault, timelock } = await deployLocal({ rpcUrl: node.node().rpcUrl, deployerKey });
    const read = (functionName: 'GRACE' | 'EXIT_DELAY' | 'TIMELOCK_DELAY' | 'governance'): Promise<bigint> =>
      call(vault, encodeFunctionData({ abi: vaultAbi, functionName }));
    const [grace, exitDelay, timelockDelay] = await Promise.all([
      read('GRACE'),
      read('EXIT_DELAY'),
      read('TIMELOCK_DELAY'),
    ]);
    assert.ok(grace < exitDelay && exitDelay < timelockDelay, `${grace} < ${exitDelay} < ${timelockDelay}`);
    assert.equal(await read('governance'), BigInt(timelock));
    const minDelay = (): Promise<bigint> =>
      call(timelock, encodeFunctionData({ abi: vaultTimelockAbi, functionName: 'getMinDelay' }));
    assert.ok((await minDelay()) >= timelockDelay);

    const send = async (to: Address, data: Hex): Promise<void> => {
      const estimate = { from: deployer, to, data };
      await rpc.request('eth_estimateGas', [estimate]);
      await rpc.request('eth_sendTransaction', [{ ...estimate, gas: '0x400000' }]);
      await rpc.request('evm_mine', []);
    };
    const powers: readonly (readonly [string, readonly unknown[]])[] = [
      ['setFees', [9, 9]],
      ['registerEngineKey', [deployer]],
      ['delistMarket', [0]],
      ['setGuardian', [vault]],
      ['transferGovernance', [timelock]],
      ['extendPause', [2n ** 40n]],
    ];
    const powerCall = (index: number): Hex => {
      const [functionName, args] = powers[index] ?? ['setFees', []];
      return encodeFunctionData({ abi: vaultAbi, functionName, args } as never);
    };
    for (const index of powers.keys()) await assert.rejects(send(vault, powerCall(index)), /revert|NotGovernance/);

    const zero: Hex = `0x${'00'.repeat(32)}`;
    const schedule = (to: Address, data: Hex, delay: bigint): Hex =>
      encodeFunctionData({
        abi: vaultTimelockAbi,
        functionName: 'schedule',
        args: [to, 0n, data, zero, zero, delay],
      } as never);
    const execute = (to: Address, data: Hex): Hex =>
      encodeFunctionData({ abi: vaultTimelockAbi, functionName: 'execute', args: [to, 0n, data, zero, zero] } as never);
    const fees = powerCall(0);
    const shorten = encodeFunctionData({ abi: vaultTimelockAbi, functionName: 'updateDelay', args: [0n] } as never);
    await assert.rejects(send(timelock, schedule(vault, fees, exitDelay)), /revert/, 'too short a delay');
    await send(timelock, schedule(timelock, shorten, timelockDelay));
    await rpc.request('evm_increaseTime', [Number(exitDelay)]);
    await rpc.request('evm_mine', []);
    await assert.rejects(send(timelock, execute(timelock, shorten)), /revert/, 'those who disagree have left by now');
    await rpc.request('evm_increaseTime', [Number(timelockDelay - exitDelay)]);
    await rpc.request('evm_mine', []);
    await send(timelock, execute(timelock, shorten));
    assert.ok((await minDelay()) >= timelockDelay, 'even its own governance cannot shorten it');
    await assert.rejects(send(timelock, schedule(vault, fees, exitDelay)), /revert/);
  });
});
