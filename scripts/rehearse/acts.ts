/** The acts of a rehearsal, each a list of steps that have to behave. What they show is written as the step's name. */
import { zeroAddress, zeroHash } from 'viem';
import { vaultAbi } from '../../src/chain/generated/vault.ts';
import { bytesToHex } from '../../src/chain/hex.ts';
import { keccakText } from '../../src/chain/keccak.ts';
import type { Address, Hash } from '../../src/domain/units.ts';
import { Batches, type Sealed } from './batches.ts';
import { encodeCall, RehearsalFailure, type Role, type Stage } from './stage.ts';

const DAY = 86_400;
const PAUSE_SECONDS = 7 * DAY;
const DEPOSIT_UNITS = 10n ** 18n;
const QUOTE_UNITS = 10n ** 9n;

export type Step = { readonly name: string; readonly run: () => Promise<void> };
export type Act = { readonly name: string; readonly steps: readonly Step[] };

/** The whole rehearsal on a stage. Acts build on each other and run in order. */
export function rehearsalOf(stage: Stage): readonly Act[] {
  const batches = new Batches(stage);
  return [
    { name: 'opening', steps: opening(stage, batches) },
    { name: 'rotation of the engine key', steps: rotation(stage, batches) },
    { name: 'pause', steps: pause(stage, batches) },
    { name: 'pause extended by governance', steps: extension(stage, batches) },
    { name: 'exit with everything dead', steps: exitAlone(stage) },
  ];
}

function opening(stage: Stage, batches: Batches): Step[] {
  return [
    {
      name: 'governance is the timelock, with its delay longer than the exit delay',
      run: async () => {
        expectEqual('governance', await stage.read<Address>('governance'), stage.deployment.timelock);
        const [delay, exitDelay] = [await stage.read<bigint>('TIMELOCK_DELAY'), await stage.read<bigint>('EXIT_DELAY')];
        if (delay <= exitDelay) throw new RehearsalFailure(`a delay of ${delay} s is not above ${exitDelay} s`);
      },
    },
    {
      name: 'ann and ben deposit, and a batch of the first engine key settles their trade',
      run: async () => {
        for (const role of ['ann', 'ben'] as const) {
          await stage.deposit(role, 'WETH', DEPOSIT_UNITS);
          await stage.deposit(role, 'USDC', QUOTE_UNITS);
        }
        await batches.settle(await batches.seal(), 'first engine key', 1);
      },
    },
  ];
}

function rotation(stage: Stage, batches: Batches): Step[] {
  const registration = operation(stage, 'registerEngineKey', [stage.addressOf('second engine key')], 'standby');
  let sealed: Sealed;
  return [
    {
      name: 'governance proposes a standby engine key; the timelock refuses to hurry',
      run: async () => {
        await stage.mustRefuse('Unauthorized', 'deployer', 'registerEngineKey', [stage.addressOf('ben')]);
        await registration.propose();
      },
    },
    { name: 'after the delay it is registered, and only stands by', run: registration.execute },
    {
      name: 'the standby key cannot settle while the first is active',
      run: async () => {
        sealed = await batches.seal();
        const args = await batches.signed(sealed, 'second engine key', 2);
        await stage.mustRefuse('BadEngineSignature', 'deployer', 'settle', args);
      },
    },
    {
      name: 'the guardian revokes the first key at once; what it has signed is refused from now on',
      run: async () => {
        await stage.mustRefuse('Unauthorized', 'ann', 'revokeEngineKey');
        await stage.act('guardian', 'revokeEngineKey');
        const stale = await batches.signed(sealed, 'first engine key', 1);
        await stage.mustRefuse('StaleEpoch', 'deployer', 'settle', stale);
        const forged = await batches.signed(sealed, 'first engine key', 2);
        await stage.mustRefuse('BadEngineSignature', 'deployer', 'settle', forged);
      },
    },
    {
      name: 'the successor settles the same content in a higher epoch; the chain of batches goes on unbroken',
      run: () => batches.settle(sealed, 'second engine key', 2),
    },
  ];
}

function pause(stage: Stage, batches: Batches): Step[] {
  let until = 0;
  return [
    {
      name: 'the guardian pauses: deposits and settlement are refused, and so is a second pause',
      run: async () => {
        await stage.mustRefuse('Unauthorized', 'ben', 'pause');
        await stage.act('guardian', 'pause');
        until = (await stage.now()) + PAUSE_SECONDS;
        await mustBePaused(stage, batches);
        await stage.mustRefuse('PauseTooSoon', 'guardian', 'pause');
      },
    },
    {
      name: 'cancelling goes on, and an exit asked for during the pause pays within the exit delay',
      run: async () => {
        await stage.act('ben', 'cancelAll');
        await leave(stage, 'ben', 'USDC');
        await mustBePaused(stage, batches);
      },
    },
    {
      name: 'the pause ends by itself after seven days, without anyone’s doing',
      run: async () => {
        await stage.passUntil(until - 60, 'a pause lasts seven days');
        await mustBePaused(stage, batches);
        await stage.passUntil(until + 1, 'the last minute of the pause');
        await stage.deposit('ben', 'USDC', QUOTE_UNITS);
        await batches.settle(await batches.seal(), 'second engine key', 2);
      },
    },
  ];
}

function extension(stage: Stage, batches: Batches): Step[] {
  const until = { time: 0 };
  let proposed: ReturnType<typeof operation>;
  return [
    {
      name: 'the guardian cannot chain pauses: the next may begin seven days after the last has ended',
      run: async () => {
        await stage.mustRefuse('PauseTooSoon', 'guardian', 'pause');
        const last = Number((await stage.read<{ pausedUntil: bigint }>('inspect', [[]])).pausedUntil);
        await stage.passUntil(last + PAUSE_SECONDS, 'the guardian rests as long as a pause lasts');
        await stage.act('guardian', 'pause');
      },
    },
    {
      name: 'governance extends it through the timelock, to at most 30 days ahead',
      run: async () => {
        until.time = (await stage.now()) + stage.plan.timelockDelay + 20 * DAY;
        proposed = operation(stage, 'extendPause', [BigInt(until.time)], 'extension');
        await stage.mustRefuse('Unauthorized', 'guardian', 'extendPause', [BigInt(until.time)]);
        await proposed.propose();
        await proposed.execute();
      },
    },
    {
      name: 'after seven days it still holds; at its end settlement goes on by itself',
      run: async () => {
        await stage.passUntil((await stage.now()) + PAUSE_SECONDS, 'a pause that was not extended would be over');
        await mustBePaused(stage, batches);
        await stage.passUntil(until.time + 1, 'the extension ends');
        await batches.settle(await batches.seal(), 'second engine key', 2);
      },
    },
  ];
}

function exitAlone(stage: Stage): Step[] {
  return [
    {
      name: 'no engine key is left, the guardian has paused, no service runs',
      run: async () => {
        const last = Number((await stage.read<{ pausedUntil: bigint }>('inspect', [[]])).pausedUntil);
        await stage.passUntil(last + PAUSE_SECONDS, 'the guardian rests as long as a pause lasts');
        await stage.act('guardian', 'revokeEngineKey');
        await stage.act('guardian', 'pause');
        const { engineKey } = await stage.read<{ engineKey: Address }>('inspect', [[]]);
        expectEqual('engine key', engineKey, zeroAddress);
      },
    },
    {
      name: 'ann leaves with both her assets by four transactions of her own key',
      run: async () => {
        for (const symbol of ['WETH', 'USDC']) await leave(stage, 'ann', symbol);
      },
    },
    {
      name: 'ben leaves too; what remains on the books is nothing',
      run: async () => {
        for (const symbol of ['WETH', 'USDC']) await leave(stage, 'ben', symbol);
        const { assets } = await stage.read<{ assets: readonly { booked: bigint; fees: bigint }[] }>('inspect', [[]]);
        for (const { booked, fees } of assets) expectEqual('booked, fees apart', booked - fees, 0n);
      },
    },
  ];
}

async function mustBePaused(stage: Stage, batches: Batches): Promise<void> {
  const deposit = [stage.token('USDC'), QUOTE_UNITS, stage.addressOf('ben')];
  await stage.mustRefuse('VaultPaused', 'ben', 'deposit', deposit);
  const args = await batches.signed(await batches.seal(), 'second engine key', 2);
  await stage.mustRefuse('VaultPaused', 'deployer', 'settle', args);
}

/** Requests, waits, exits; the owner's tokens are the whole balance richer, the books poorer, and nothing is paid twice. */
async function leave(stage: Stage, role: Role, symbol: string): Promise<void> {
  const [owner, token] = [stage.addressOf(role), stage.token(symbol)];
  const quanta = await stage.read<bigint>('balanceOf', [owner, token]);
  const quantum = BigInt(stage.plan.assets.find((asset) => asset.symbol === symbol)?.quantum ?? 0);
  await stage.act(role, 'requestExit', [token]);
  await stage.mustRefuse('ExitNotYet', role, 'exit', [token, owner]);
  const availableAt = Number(await stage.read<bigint>('exitAvailableAt', [owner, token]));
  await stage.passUntil(availableAt, 'the exit delay');
  const before = await stage.held(symbol, owner);
  await stage.act(role, 'exit', [token, owner]);
  expectEqual(`${symbol} paid to ${role}`, (await stage.held(symbol, owner)) - before, quanta * quantum);
  expectEqual(`${symbol} left of ${role}`, await stage.read<bigint>('balanceOf', [owner, token]), 0n);
  await stage.mustRefuse('NoExitRequested', role, 'exit', [token, owner]);
}

/** A decision of governance: proposed, refused while the delay runs, executed after it. */
function operation(stage: Stage, functionName: string, args: readonly unknown[], name: string) {
  const salt: Hash = bytesToHex(keccakText(`rehearsal: ${name}`));
  const call = [stage.deployment.vault, 0n, encodeCall(vaultAbi, functionName, args), zeroHash, salt] as const;
  const delay = stage.plan.timelockDelay;
  let dueAt = 0;
  return {
    propose: async (): Promise<void> => {
      await stage.timelockMustRefuse('deployer', 'schedule', [...call, BigInt(delay - 1)]);
      await stage.actOnTimelock('deployer', 'schedule', [...call, BigInt(delay)]);
      dueAt = (await stage.now()) + delay;
      await stage.timelockMustRefuse('deployer', 'execute', [...call]);
    },
    execute: async (): Promise<void> => {
      await stage.passUntil(dueAt, 'the timelock’s delay');
      await stage.actOnTimelock('deployer', 'execute', [...call]);
    },
  };
}

function expectEqual(what: string, found: unknown, expected: unknown): void {
  const same = typeof found === 'string' ? found.toLowerCase() === String(expected).toLowerCase() : found === expected;
  if (!same) throw new RehearsalFailure(`${what}: expected ${String(expected)}, got ${String(found)}`);
}
