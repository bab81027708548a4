/**
 * Gas of the vault's scenarios in steady state, on an in-process network, with real signatures, fees, partial fills and events.
 *
 *   npm run bench:gas -- --json      one JSON object on the last line: scenario → whole-transaction gas per trade
 *   npm run bench:gas -- --update    writes bench/gas-snapshot.json
 *   npm run bench:gas -- --check     fails when a scenario costs more than the snapshot allows
 *
 * Steady state: every account, lane and fee slot has been used before; allowances are infinite. Keys, genesis and the time of
 * every block are fixed, so that the figures are the same in every run, to the unit.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import type { Contract } from 'ethers';
import {
  createUser,
  type LabFill,
  type LabOrder,
  type LabUser,
  VaultLab,
} from '../test/contracts/support/vault-lab.ts';

const SNAPSHOT = new URL('gas-snapshot.json', import.meta.url);
const FUNDS = 10 ** 10;

type Scenario = { readonly name: string; readonly run: (lab: VaultLab) => Promise<number> };

const users = (name: string, count: number): LabUser[] =>
  Array.from({ length: count }, (_, i) => createUser(`${name} ${i}`));

async function fundAll(lab: VaultLab, accounts: readonly LabUser[], assets: readonly number[]): Promise<void> {
  for (const user of accounts) for (const asset of assets) await lab.fund(user, asset, FUNDS);
}

/** Settles and returns gas per trade; `skips` of the trades must be skipped. */
async function measure(lab: VaultLab, fills: readonly LabFill[], skips = 0): Promise<number> {
  const settled = await lab.settle({ fills });
  if (settled.skips.length !== skips) throw new Error(`expected ${skips} skips, got ${JSON.stringify(settled.skips)}`);
  return Number(settled.gasUsed) / fills.length;
}

type PairTerms = { readonly market?: number; readonly lane?: number; readonly by?: (user: LabUser) => LabOrder['by'] };

/** One trade between each taker and its maker, filling part of both orders. */
async function pairFills(
  lab: VaultLab,
  takers: readonly LabUser[],
  makers: readonly LabUser[],
  terms: (index: number) => PairTerms = () => ({}),
): Promise<LabFill[]> {
  const fills: LabFill[] = [];
  for (const [index, user] of takers.entries()) {
    const { market = 0, lane = 0, by = () => ({ kind: 'owner' as const }) } = terms(index);
    const maker = makers[index % makers.length] as LabUser;
    const common = { market, lane, sizeLots: 50 };
    fills.push({
      taker: await lab.order(user, { ...common, side: 'buy', priceTicks: 120, by: by(user) }),
      maker: await lab.order(maker, { ...common, side: 'sell', priceTicks: 100, by: by(maker) }),
      size: 7,
    });
  }
  return fills;
}

function pairs(options: {
  readonly name: string;
  readonly count?: number;
  readonly assets?: readonly number[];
  readonly terms?: (index: number) => PairTerms;
  readonly cold?: boolean;
}): Scenario {
  const { name, count = 100, assets = [0, 1], terms, cold = false } = options;
  return {
    name,
    run: async (lab) => {
      const [takers, makers] = [users(`${name} taker`, count), users(`${name} maker`, count)];
      await fundAll(lab, [...takers, ...makers], assets);
      if (!cold) await measure(lab, await pairFills(lab, takers, makers, terms));
      return measure(lab, await pairFills(lab, takers, makers, terms));
    },
  };
}

/** A vault that others use already: two of them hold every asset, have traded in every market, and stay. */
async function createUsedLab(): Promise<VaultLab> {
  const lab = await VaultLab.create({ everySecond: true });
  const [taker, maker] = users('stayer', 2) as [LabUser, LabUser];
  const everyAsset = [...lab.assets.keys()];
  await fundAll(lab, [taker, maker], everyAsset);
  for (const market of lab.markets.keys())
    await measure(lab, await pairFills(lab, [taker], [maker], () => ({ market })));
  return lab;
}

const sessionKeys: Scenario = {
  name: 'pairs100SessionKeys',
  run: async (lab) => {
    const [takers, makers] = [users('session taker', 100), users('session maker', 100)];
    await fundAll(lab, [...takers, ...makers], [0, 1]);
    const keyOf = (user: LabUser): LabUser => createUser(`key of ${user.address}`);
    for (const user of [...takers, ...makers]) {
      const vault = await lab.as(user);
      await vault['authorizeSessionKey']!(keyOf(user).address, (await lab.now()) + 10 ** 7, 1n << 255n);
    }
    const terms = (): PairTerms => ({ by: (user) => ({ kind: 'session', key: keyOf(user) }) });
    await measure(lab, await pairFills(lab, takers, makers, terms));
    return measure(lab, await pairFills(lab, takers, makers, terms));
  },
};

const skips: Scenario = {
  name: 'pairs100Skips',
  run: async (lab) => {
    const [takers, makers] = [users('skip taker', 100), users('skip maker', 100)];
    await fundAll(lab, [...takers, ...makers], [0, 1]);
    await measure(lab, await pairFills(lab, takers, makers));
    const fills = await pairFills(lab, takers, makers);
    const authorisation = { kind: 'owner', signature: `0x${'17'.repeat(64)}` } as const;
    const bad = fills.map((fill, index) =>
      index % 5 === 0 ? { ...fill, taker: { ...fill.taker, by: { kind: 'raw' as const, authorisation } } } : fill,
    );
    return measure(lab, bad, 20);
  },
};

/** Ten makers, each with one resting order that ten takers fill. */
const takersMakers: Scenario = {
  name: 'takers100makers10',
  run: async (lab) => {
    const [takers, makers] = [users('many taker', 100), users('few maker', 10)];
    await fundAll(lab, [...takers, ...makers], [0, 1]);
    const fillsOf = async (): Promise<LabFill[]> => {
      const resting: LabOrder[] = [];
      for (const maker of makers)
        resting.push(await lab.order(maker, { side: 'sell', priceTicks: 100, sizeLots: 500 }));
      const fills: LabFill[] = [];
      for (const [index, user] of takers.entries()) {
        const taker = await lab.order(user, { side: 'buy', priceTicks: 120, sizeLots: 50 });
        fills.push({ taker, maker: resting[index % 10] as LabOrder, size: 7 });
      }
      return fills;
    };
    await measure(lab, await fillsOf());
    return measure(lab, await fillsOf());
  },
};

const sweep: Scenario = {
  name: 'sweep50',
  run: async (lab) => {
    const [[taker], makers] = [users('sweeper', 1) as [LabUser], users('swept', 50)];
    await fundAll(lab, [taker, ...makers], [0, 1]);
    const fillsOf = async (): Promise<LabFill[]> => {
      const order = await lab.order(taker, { side: 'buy', priceTicks: 120, sizeLots: 1_000 });
      const fills: LabFill[] = [];
      for (const user of makers) {
        fills.push({ taker: order, maker: await lab.order(user, { side: 'sell', sizeLots: 50 }), size: 7 });
      }
      return fills;
    };
    await measure(lab, await fillsOf());
    return measure(lab, await fillsOf());
  },
};

/** Twenty successive orders of one account in lane 0, against twenty accounts. */
const lane20: Scenario = {
  name: 'lane20',
  run: async (lab) => {
    const [[taker], makers] = [users('lane taker', 1) as [LabUser], users('lane maker', 20)];
    await fundAll(lab, [taker, ...makers], [0, 1]);
    const same = Array.from({ length: 20 }, () => taker);
    await measure(lab, await pairFills(lab, same, makers));
    return measure(lab, await pairFills(lab, same, makers));
  },
};

/** The same fifty orders filled again on the strength of their lanes' tags, as a share of fifty orders signed anew. */
const refill: Scenario = {
  name: 'refill50',
  run: async (lab) => {
    const [takers, makers] = [users('refill taker', 50), users('refill maker', 50)];
    await fundAll(lab, [...takers, ...makers], [0, 1]);
    const terms = (): PairTerms => ({ lane: 3 });
    await measure(lab, await pairFills(lab, takers, makers, terms));
    const fresh = await pairFills(lab, takers, makers, terms);
    const signed = await measure(lab, fresh);
    const verified = { kind: 'verified_owner' } as const;
    const again = fresh.map((fill) => ({
      ...fill,
      taker: { ...fill.taker, by: verified },
      maker: { ...fill.maker, by: verified },
    }));
    return (await measure(lab, again)) / signed;
  },
};

/** Fresh lanes, and a page that receives for the first time. */
const coldPages: Scenario = {
  name: 'coldPages100',
  run: async (lab) => {
    const [takers, makers] = [users('cold taker', 100), users('cold maker', 100)];
    await fundAll(lab, takers, [1]);
    await fundAll(lab, makers, [2]);
    return measure(lab, await pairFills(lab, takers, makers, () => ({ market: 1, lane: 1 })));
  },
};

async function gasOf(call: Promise<{ wait: () => Promise<{ gasUsed: bigint } | null> }>): Promise<number> {
  return Number((await (await call).wait())?.gasUsed);
}

const deposit: Scenario = {
  name: 'deposit',
  run: async (lab) => {
    const [user] = users('depositor', 1) as [LabUser];
    const vault = await lab.as(user);
    const token = lab.tokens[1]!;
    await token['mint']!(user.address, 10 ** 9);
    await (token.connect(vault.runner) as Contract)['approve']!(await lab.vault.getAddress(), 2n ** 256n - 1n);
    const address = await token.getAddress();
    await vault['deposit']!(address, 1_000, user.address);
    return gasOf(vault['deposit']!(address, 1_000, user.address));
  },
};

const withdraw: Scenario = {
  name: 'withdraw',
  run: async (lab) => {
    const accounts = users('withdrawer', 50);
    await fundAll(lab, accounts, [1]);
    const settle = async (): Promise<number> => {
      const withdrawals = [];
      for (const user of accounts) withdrawals.push(await lab.withdrawal(user));
      const settled = await lab.settle({ withdrawals });
      if (settled.withdrawals.some(({ state }) => state !== 'executed')) throw new Error('a withdrawal failed');
      return Number(settled.gasUsed) / accounts.length;
    };
    await settle();
    return settle();
  },
};

const exit: Scenario = {
  name: 'exit',
  run: async (lab) => {
    const [user] = users('leaver', 1) as [LabUser];
    await lab.fund(user, 0, 1_000);
    await lab.fund(user, 1, 1_000);
    await lab.tokens[1]!['mint']!(user.address, 1);
    const vault = await lab.as(user);
    const token = await lab.tokens[1]!.getAddress();
    await vault['requestExit']!(token);
    await lab.advance(7_201);
    return gasOf(vault['exit']!(token, user.address));
  },
};

const SCENARIOS: readonly Scenario[] = [
  pairs({ name: 'pairs100' }),
  sessionKeys,
  skips,
  takersMakers,
  pairs({ name: 'pairs100Lanes', terms: () => ({ lane: 2 }) }),
  pairs({ name: 'pairs100TwoPages', assets: [1, 2], terms: () => ({ market: 1 }) }),
  pairs({ name: 'pairs100NoPageZero', assets: [2, 3], terms: () => ({ market: 3 }) }),
  pairs({ name: 'pairs100ThreePages', assets: [2, 6], terms: () => ({ market: 4 }) }),
  pairs({ name: 'markets3', assets: [0, 1, 2, 3], terms: (index) => ({ market: [0, 1, 3][index % 3] as number }) }),
  sweep,
  lane20,
  refill,
  pairs({ name: 'single', count: 1 }),
  pairs({ name: 'coldPairs100', terms: () => ({ lane: 1 }), cold: true }),
  coldPages,
  deposit,
  withdraw,
  exit,
];

/** @param only names of scenarios, separated by commas; all when undefined */
export async function measureAll(only: string | undefined): Promise<Record<string, number>> {
  const results: Record<string, number> = {};
  for (const { name, run } of SCENARIOS) {
    if (only !== undefined && !only.split(',').includes(name)) continue;
    // Each on a chain of its own: what ran before it changes no byte of it.
    const gas = await run(await createUsedLab());
    results[name] = gas < 10 ? Math.round(gas * 1_000) / 1_000 : Math.round(gas);
    if (only === undefined) console.log(`${name.padEnd(22)} ${results[name]}`);
  }
  return results;
}

/** A sentence for each scenario that costs more than the snapshot allows. */
export async function regressions(results: Readonly<Record<string, number>>): Promise<string[]> {
  const snapshot = JSON.parse(await readFile(SNAPSHOT, 'utf8')) as Record<string, number>;
  return Object.entries(results)
    .filter(([name, gas]) => gas > (snapshot[name] ?? 0))
    .map(
      ([name, gas]) =>
        `${name} costs ${gas}, the snapshot ${snapshot[name]}: mend it, or update with npm run bench:gas -- --update`,
    );
}

async function main(): Promise<void> {
  const argument = (name: string): boolean => process.argv.includes(name);
  const only = process.argv.find((value) => value.startsWith('--only='))?.slice('--only='.length);
  const results = await measureAll(only);
  if (argument('--update')) await writeFile(SNAPSHOT, `${JSON.stringify(results, undefined, 2)}\n`);
  if (argument('--check')) {
    for (const sentence of await regressions(results)) {
      console.error(sentence);
      process.exitCode = 1;
    }
  }
  if (argument('--json')) console.log(JSON.stringify(results));
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
