/** The deployment as Ignition runs it: tokens where the plan asks for them, timelock, vault, listings, and the handover to the timelock last. */
import { buildModule, type ContractFuture, type Future } from '@nomicfoundation/ignition-core';
import type { DeploymentPlan } from '../plan.ts';

type ModuleBuilder = Parameters<Parameters<typeof buildModule>[1]>[0];
type Deployed = ContractFuture<string>;

/** Only the deployer's listings come before the handover; everything after it goes through the timelock. */
export function vaultModule(plan: DeploymentPlan, deployer: string) {
  return buildModule('Tallystick', (m) => {
    const resolve = (who: string): string => (who === 'deployer' ? deployer : who);
    const tokens = new Map<string, Deployed | string>();
    for (const asset of plan.assets) tokens.set(asset.symbol, deployToken(m, asset, plan.wrappedNative));
    const timelock = m.contract('VaultTimelock', [
      plan.timelockDelay,
      plan.governance.proposers.map(resolve),
      plan.governance.executors.map(resolve),
    ]);
    const vault = m.contract('Vault', [
      {
        governance: deployer,
        guardian: resolve(plan.guardian),
        feeCollector: resolve(plan.feeCollector),
        engineKey: resolve(plan.engineKey),
        wrappedNative: tokens.get(plan.wrappedNative) ?? plan.wrappedNative,
        permit2: plan.permit2,
        grace: plan.grace,
        exitDelay: plan.exitDelay,
        timelockDelay: plan.timelockDelay,
        takerFeePpm: plan.takerFeePpm,
        makerFeePpm: plan.makerFeePpm,
      },
    ]);
    const token = (symbol: string): Deployed | string => {
      const found = tokens.get(symbol);
      if (found === undefined) throw new RangeError(`the plan's markets name ${symbol}, which is not among its assets`);
      return found;
    };
    // One after the other: indices follow the order of listing.
    let after: { after?: Future[] } = {};
    for (const asset of plan.assets) {
      const args = [
        token(asset.symbol),
        BigInt(asset.quantum),
        BigInt(asset.minimumDeposit),
        asset.decimals,
        asset.symbol,
      ];
      const listed: Future = m.call(vault, 'listAsset', args, { ...after, id: `list_${asset.symbol}` });
      after = { after: [listed] };
    }
    for (const market of plan.markets) {
      const steps = [
        BigInt(market.lotQuanta),
        BigInt(market.tickQuanta),
        BigInt(market.maxSizeLots),
        market.maxPriceTicks,
      ];
      const listed: Future = m.call(vault, 'listMarket', [token(market.base), token(market.quote), ...steps], {
        ...after,
        id: `list_${market.base}_${market.quote}`,
      });
      after = { after: [listed] };
    }
    m.call(vault, 'transferGovernance', [timelock], { ...after, id: 'handover' });
    const deployed = [...tokens].filter((entry): entry is [string, Deployed] => typeof entry[1] !== 'string');
    return { vault, timelock, ...Object.fromEntries(deployed) };
  });
}

function deployToken(
  m: ModuleBuilder,
  asset: DeploymentPlan['assets'][number],
  wrappedNative: string,
): Deployed | string {
  if (asset.token !== 'deploy') return asset.token;
  if (asset.symbol === wrappedNative) return m.contract('TestWrappedEther', [], { id: asset.symbol });
  return m.contract('TestToken', [asset.symbol, asset.symbol, asset.decimals], { id: asset.symbol });
}
