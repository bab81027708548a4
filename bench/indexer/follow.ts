/** What a live indexer is measured by: a block until its rows are there, and a reorganisation until the rows are those of the new chain. */
import type pg from 'pg';
import type { Address, Hex } from '../../src/domain/units.ts';
import type { SettlementLab } from '../../test/support/settlement-lab.ts';
import type { Depositor } from './make-chain.ts';
import type { Subject } from './subjects.ts';

/** A row is looked for this long: then the indexer counts as stuck. */
const ROW_TIMEOUT_MS = 60_000;
const DEPOSITS = 5;
const DEPOSITS_OF_THE_OTHER_FORK = 3;

export type FollowFigures = { readonly liveMs: number; readonly reorgMs: number };

/** Medians of `rounds` blocks and as many reorganisations two deep. The node mines only when it is told to. */
export async function measureFollowing(
  lab: SettlementLab,
  depositor: Depositor,
  subject: Subject,
  database: pg.Client,
  rounds: number,
): Promise<FollowFigures> {
  const { rpc } = lab;
  const lastStored = async (): Promise<number> => {
    const { rows } = await database.query<{ last: number }>(subject.lastStored);
    return rows[0]?.last ?? 0;
  };
  /** Milliseconds from now until the last stored event is this one. */
  const until = async (sequence: number): Promise<number> => {
    const beganMs = performance.now();
    while ((await lastStored()) !== sequence) {
      if (performance.now() - beganMs > ROW_TIMEOUT_MS)
        throw new Error(`event ${sequence} did not become the last one`);
    }
    return performance.now() - beganMs;
  };
  await rpc.request('evm_setAutomine', [false]);
  let last = await lastEvent(lab);
  await until(last);
  const live: number[] = [];
  const reorg: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await depositor.deposit(DEPOSITS);
    // Neither indexer's polling shall fit the blocks.
    await pause(300 + ((round * 379) % 1_000));
    await rpc.request('evm_mine', []);
    live.push(await until(last + DEPOSITS));
    await rpc.request('evm_mine', []);
    await pause(1_500 + ((round * 379) % 1_000));
    await rpc.request('anvil_reorg', [2, [[depositor.request(DEPOSITS_OF_THE_OTHER_FORK), 0]]]);
    reorg.push(await until(last + DEPOSITS_OF_THE_OTHER_FORK));
    last += DEPOSITS_OF_THE_OTHER_FORK;
  }
  await rpc.request('evm_setAutomine', [true]);
  return { liveMs: median(live), reorgMs: median(reorg) };
}

/** Sequence of the vault's last event at the head. */
export async function lastEvent(lab: SettlementLab): Promise<number> {
  const logs = (await lab.rpc.request('eth_getLogs', [{ address: lab.vault, fromBlock: await lastBlocks(lab) }])) as {
    address: Address;
    data: Hex;
  }[];
  const data = logs.at(-1)?.data;
  if (data === undefined) throw new Error('the last blocks hold no event of the vault');
  return Number(data.slice(0, 66));
}

async function lastBlocks(lab: SettlementLab): Promise<Hex> {
  const head = Number(await lab.rpc.request('eth_blockNumber', []));
  return `0x${Math.max(0, head - 100).toString(16)}`;
}

const pause = (ms: number): Promise<void> => new Promise((wake) => setTimeout(wake, ms));

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.floor(sorted.length / 2)] ?? Number.NaN);
}
