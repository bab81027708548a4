import { formatEther } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { inspectVault, type VaultState } from '../../chain/inspect-vault.ts';
import { createRpcEndpoint, type RpcEndpoint } from '../../chain/rpc-pool.ts';
import type { Address, Hash, Hex } from '../../domain/units.ts';
import { explainError } from '../exit-codes.ts';
import { redact } from './config-check.ts';
import type { Finding } from './doctor.ts';
import type { Settings } from './environment.ts';

/** A head block older than this on a public chain means that the node has stopped following. */
const HEAD_AGE_MAX_SECONDS = 120;
/** Less than this pays for some tens of batches at most, at a usual price. */
const SUBMITTER_BALANCE_MIN_WEI = 10n ** 17n;
const TIMEOUT_MS = 10_000;

type Head = { readonly number: Hex; readonly hash: Hash; readonly timestamp: Hex };

/** @param recorded the vault that the database belongs to */
export async function examineChain(settings: Settings, recorded: Address | undefined): Promise<Finding[]> {
  const urls = (settings.RPC_URL ?? '')
    .split(',')
    .map((url) => url.trim())
    .filter((url) => url !== '');
  if (urls.length === 0) {
    return [{ name: 'node', state: 'skipped', found: 'RPC_URL is not set: "npm start" brings a local one' }];
  }
  const examined = await Promise.all(urls.map((url) => examineNode(url)));
  const findings = examined.flatMap((node) => node.findings);
  const ids = new Set(examined.flatMap(({ chainId }) => (chainId === undefined ? [] : [chainId])));
  if (ids.size > 1) {
    const found = `the nodes of RPC_URL serve different chains: ${[...ids].join(', ')}`;
    findings.push({ name: 'chain', state: 'failed', found, remedy: 'Name nodes of one chain only.' });
  }
  const well = examined.find(({ head }) => head !== undefined);
  if (well?.head === undefined) return findings;
  const vault = (settings.VAULT_ADDRESS?.toLowerCase() as Address | undefined) ?? recorded;
  if (recorded !== undefined && vault !== recorded) {
    const found = `VAULT_ADDRESS is ${vault}, but the database belongs to ${recorded}`;
    findings.push({
      name: 'vault',
      state: 'failed',
      found,
      remedy: 'Use another database, or the vault it belongs to.',
    });
  }
  findings.push(...(await examineVault(well.endpoint, vault, well.head, settings)));
  findings.push(await examineSubmitter(well.endpoint, settings));
  return findings;
}

async function examineNode(
  url: string,
): Promise<{ endpoint: RpcEndpoint; findings: Finding[]; chainId?: number; head?: Head }> {
  const name = `node ${redact('RPC_URL', url)}`;
  const endpoint = createRpcEndpoint(url, TIMEOUT_MS);
  let chainId: number;
  let head: Head;
  try {
    chainId = Number(await endpoint.request('eth_chainId', []));
    head = (await endpoint.request('eth_getBlockByNumber', ['latest', false])) as Head;
  } catch (error) {
    const remedy = 'Check that the node runs and is reachable from here, and RPC_URL.';
    return { endpoint, findings: [{ name, state: 'failed', found: explainError(error).message, remedy }] };
  }
  const findings: Finding[] = [{ name, state: 'ok', found: `chain ${chainId}, at block ${Number(head.number)}` }];
  findings.push(await examineReceipts(endpoint, name, head), examineHeadTime(name, head));
  return { endpoint, findings, chainId, head };
}

async function examineReceipts(endpoint: RpcEndpoint, node: string, head: Head): Promise<Finding> {
  const name = `${node}, eth_getBlockReceipts`;
  try {
    const receipts = await endpoint.request('eth_getBlockReceipts', [head.hash]);
    if (Array.isArray(receipts)) return { name, state: 'ok', found: 'answers by block hash' };
    return { name, state: 'failed', found: 'does not know its own head by hash', remedy: 'Use another node.' };
  } catch (error) {
    const remedy = 'Use a node or provider that has this method, such as geth, reth, nethermind, erigon or anvil.';
    return { name, state: 'failed', found: explainError(error).message, remedy };
  }
}

/** The chain's time decides expiry: a machine far from it refuses good orders or accepts dead ones. */
function examineHeadTime(node: string, head: Head): Finding {
  const name = `${node}, time`;
  const behind = Math.round(Date.now() / 1000) - Number(head.timestamp);
  if (behind < -15) {
    const found = `its head lies ${-behind} s in the future: this machine's clock is behind`;
    return { name, state: 'failed', found, remedy: 'Synchronise this machine with NTP.' };
  }
  const found = `its head is ${Math.max(0, behind)} s old`;
  if (behind <= HEAD_AGE_MAX_SECONDS) return { name, state: 'ok', found };
  const remedy = "Wait until the node has caught up, or check this machine's clock.";
  return { name, state: 'warning', found, remedy };
}

async function examineVault(
  endpoint: RpcEndpoint,
  vault: Address | undefined,
  head: Head,
  settings: Settings,
): Promise<Finding[]> {
  const name = 'vault';
  if (vault === undefined) {
    const found = 'VAULT_ADDRESS is not set, and the database names none yet';
    return [
      {
        name,
        state: 'warning',
        found,
        remedy: 'Deploy a vault and set VAULT_ADDRESS (the local chain gets one by itself).',
      },
    ];
  }
  const remedy = 'Check VAULT_ADDRESS, and that RPC_URL serves its chain.';
  let state: VaultState;
  try {
    const code = await endpoint.request('eth_getCode', [vault, 'latest']);
    if (code === '0x') return [{ name, state: 'failed', found: `there is no contract at ${vault}`, remedy }];
    state = await inspectVault(endpoint, vault, [], head.hash);
  } catch (error) {
    return [
      {
        name,
        state: 'failed',
        found: `the contract at ${vault} does not answer: ${explainError(error).message}`,
        remedy,
      },
    ];
  }
  const insolvent = state.assets.filter(
    ({ booked, quantumUnits, heldUnits }) => BigInt(booked) * quantumUnits > heldUnits,
  );
  const findings: Finding[] = [
    {
      name,
      state: 'ok',
      found: `${vault}, batch ${state.batchId}, ${state.assets.length} assets, epoch ${state.epoch}`,
    },
    insolvent.length === 0
      ? { name: 'solvency', state: 'ok', found: 'the vault holds at least what it owes' }
      : {
          name: 'solvency',
          state: 'failed',
          found: `the vault holds less than it owes of asset ${insolvent.map(({ asset }) => asset).join(', ')}`,
          remedy: 'Halt withdrawals, and run "tallystick audit".',
        },
  ];
  const engine = accountOf(settings.ENGINE_ADDRESS, settings.ENGINE_PRIVATE_KEY);
  if (engine !== undefined) findings.push(examineEngineKey(engine, state.engineKey));
  return findings;
}

function examineEngineKey(ours: Address, active: Address): Finding {
  const name = 'engine key';
  if (ours === active) return { name, state: 'ok', found: `${ours} is the vault's active one` };
  return {
    name,
    state: 'failed',
    found: `the vault's active key is ${active}, ours is ${ours}: its batches would be refused`,
    remedy: 'Register ours with the vault, or use the active one.',
  };
}

async function examineSubmitter(endpoint: RpcEndpoint, settings: Settings): Promise<Finding> {
  const name = 'gas wallet';
  const submitter = accountOf(settings.SUBMITTER_ADDRESS, settings.SUBMITTER_PRIVATE_KEY);
  if (submitter === undefined) {
    return { name, state: 'skipped', found: 'SUBMITTER_PRIVATE_KEY is not set' };
  }
  try {
    const balance = BigInt((await endpoint.request('eth_getBalance', [submitter, 'latest'])) as Hex);
    const found = `${submitter} holds ${formatEther(balance)} ether`;
    if (balance === 0n) {
      return { name, state: 'failed', found, remedy: 'Send it ether: without it nothing is settled.' };
    }
    if (balance < SUBMITTER_BALANCE_MIN_WEI) {
      return { name, state: 'warning', found, remedy: 'Send it more ether before it runs dry.' };
    }
    return { name, state: 'ok', found };
  } catch (error) {
    return { name, state: 'failed', found: explainError(error).message, remedy: 'Check RPC_URL.' };
  }
}

/** Never the key, only whose it is. */
function accountOf(address: string | undefined, key: string | undefined): Address | undefined {
  if (address !== undefined) return address.toLowerCase() as Address;
  return key === undefined ? undefined : (privateKeyToAccount(key as Hex).address.toLowerCase() as Address);
}
