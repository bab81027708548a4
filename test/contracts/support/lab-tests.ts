/** What the test files of the vault share: every test begins where `before` ended, refusals by name, hostile tokens. */
import type { Contract } from 'ethers';
import { type LabUser, revertOf, type VaultLab } from './vault-lab.ts';

const ALLOWANCE_MAX = 2n ** 256n - 1n;

/** Takes chain and lab back to where they were before each test of the enclosing `describe`. */
export function undoAfterEach(lab: () => VaultLab): void {
  let undo: () => Promise<void>;
  beforeEach(async () => {
    const present = lab();
    const snapshot = await present.connection.networkHelpers.takeSnapshot();
    const { batchId, parent, sequence } = present;
    const { length } = present.tokens;
    undo = async () => {
      await snapshot.restore();
      present.tokens.length = length;
      present.assets.length = length;
      Object.assign(present, { batchId, parent, sequence });
    };
  });
  afterEach(() => undo());
}

/** Name of the error that the call reverts with; undefined when it does not revert. */
export async function refusalOf(call: Promise<unknown>): Promise<string | undefined> {
  return (await revertOf(call))?.name;
}

/** A hostile token, listed as the next asset, of which the owner has 10^24 and has approved all. */
export async function listHostileToken(
  lab: VaultLab,
  owner: LabUser,
  source: string,
  args: readonly unknown[] = [],
  quantum = 1n,
): Promise<Contract> {
  const token = await lab.deploy(`mocks/HostileTokens.sol/${source}`, args);
  await lab.listAsset(token, quantum, 1, { decimals: 18, symbol: 'BAD' });
  lab.tokens.push(token);
  lab.assets.push({ symbol: 'BAD', decimals: 18, quantum, kind: source });
  await token['mint']!(owner.address, 10n ** 24n);
  const vault = await lab.as(owner);
  await (token.connect(vault.runner) as Contract)['approve']!(vault.target, ALLOWANCE_MAX);
  return token;
}
