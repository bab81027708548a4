/**
 * What must hold after every fault, looked at from outside: the journal is replayed, the chain's own logs are read from the node, and both
 * are held against what clients were told and what the services stored.
 */
import { strict as assert } from 'node:assert';
import { createRpcPool } from '../../src/chain/rpc-pool.ts';
import { createVaultDecoder } from '../../src/chain/vault-events.ts';
import type { Hash, Hex } from '../../src/domain/units.ts';
import { Engine } from '../../src/offchain-engine/engine.ts';
import { JOURNAL_START, type JournalPosition, verifyRow } from '../../src/offchain-engine/sequencer/journal-row.ts';
import { Replica } from '../../src/offchain-engine/sequencer/replica.ts';
import { reconcile } from '../../src/reconciliation/reconcile.ts';
import { ENGINE_FORM } from '../../src/services/engine-form.ts';
import { readOpenIncidents } from '../../src/storage/incidents.ts';
import { PostgresJournalReader } from '../../src/storage/journal/read-journal.ts';
import { PostgresSnapshots } from '../../src/storage/snapshots.ts';
import { until, type World } from './world.ts';

export type Verdict = {
  /** Acknowledged orders that are not in the journal. */
  readonly lost: number;
  /** Orders accepted twice, batches settled or final twice. */
  readonly double: number;
};

export type Judge = {
  /** @throws AssertionError when journal, replay, chain, outbox and index do not fit together */
  readonly check: () => Promise<Verdict>;
  /** Balances that differ: in every comparison that the service made since `mark`, and in a sweep of all accounts made now. */
  readonly countDrift: (mark: number) => Promise<number>;
  /** Where comparisons stand now. */
  readonly mark: () => Promise<number>;
};

type Log = {
  readonly topics: readonly Hex[];
  readonly data: Hex;
  readonly transactionHash: Hash;
  readonly blockNumber: Hex;
};

export function createJudge(world: World): Judge {
  const { pool, rpc, vault } = world;
  const journal = new PostgresJournalReader(pool);
  const snapshots = new PostgresSnapshots({ pool });
  const engine = new Engine();
  const accepted = new Map<string, number>();
  const final = new Map<number, number>();
  let position: JournalPosition = JOURNAL_START;

  /** Replays the journal up to a row. Epochs that fall, gaps and forks are refused here (I6). */
  const replay = async (lastSequence: number): Promise<void> => {
    for await (const row of journal.rowsFrom(position.lastSequence + 1)) {
      if (row.lastSequence > lastSequence) return;
      const verified = verifyRow(position, row);
      position = verified.position;
      for (const event of verified.commands.flatMap((command) => engine.apply(command).events)) {
        if (event.kind === 'orderAccepted') count(accepted, event.order.digest);
        if (event.kind === 'batchFinal') count(final, event.batchId);
      }
    }
  };

  /** Recovery from the newest sound snapshot gives the state that replay from nothing gives (I9). */
  const checkReplay = async (): Promise<void> => {
    const recovered = await Replica.recover({ journal, snapshots, form: ENGINE_FORM, onProblem: () => undefined });
    await replay(recovered.position.lastSequence);
    assert.equal(engine.lastSequence, recovered.engine.lastSequence);
    assert.equal(ENGINE_FORM.stateHash(recovered.engine), ENGINE_FORM.stateHash(engine), 'snapshot and journal differ');
  };

  /** The vault's own numbering is gapless (I5), what it settled was persisted before it was sent (I8), and the index shows it (I11). */
  const checkChain = async (): Promise<number> => {
    const filter = { address: vault, fromBlock: '0x0', toBlock: 'latest' };
    const indexed = await pool.query<{ sequence: number; transaction: string }>(
      `SELECT event_sequence AS sequence, encode(tx_hash, 'hex') AS transaction
         FROM chain_events JOIN chain_blocks ON number = block_number WHERE final`,
    );
    const logs = (await rpc.request('eth_getLogs', [filter])) as Log[];
    const persisted = await pool.query<{ hash: string }>(
      `SELECT encode(tx_hash, 'hex') AS hash FROM batch_transactions`,
    );
    const ours = new Set(persisted.rows.map(({ hash }) => `0x${hash}`));
    const decoder = createVaultDecoder();
    const settled = new Map<number, number>();
    for (const [index, log] of logs.entries()) {
      const { eventSequence, fact } = decoder.decode(log);
      assert.equal(eventSequence, index + 1, "the vault's events are numbered without a gap");
      if (fact.kind !== 'batchSettled') continue;
      count(settled, fact.batchId);
      assert.equal(fact.batchId, settled.size, "the vault's batches are numbered without a gap");
      if (!ours.has(log.transactionHash)) await requireStranger(log.transactionHash);
    }
    for (const { sequence, transaction } of indexed.rows)
      assert.equal(`0x${transaction}`, logs[sequence - 1]?.transactionHash, `final event ${sequence} is the chain's`);
    return twice(settled);
  };

  const requireStranger = async (hash: Hash): Promise<void> => {
    const transaction = (await rpc.request('eth_getTransactionByHash', [hash])) as { from: string };
    assert.notEqual(
      transaction.from,
      world.submitter.address.toLowerCase(),
      `${hash} was sent before it was persisted`,
    );
  };

  return {
    check: async () => {
      // What is acknowledged while the journal is read may stand after its end.
      const acknowledged = [...world.traffic.acknowledged];
      await checkReplay();
      const settledTwice = await checkChain();
      const open = await readOpenIncidents(pool);
      assert.deepEqual(open, [], 'no incident is left open');
      const lost = acknowledged.filter((digest) => !accepted.has(digest)).length;
      return { lost, double: twice(accepted) + twice(final) + settledTwice };
    },
    countDrift: async (mark) => {
      let sweep = 0;
      await until('a sweep of every account', async () => {
        const result = await reconcile({ pool, rpc: createRpcPool([world.node.rpcUrl]), vault }, { fullSweep: true });
        if (result.kind !== 'compared') return false;
        const { drift, solvency } = result.report;
        assert.ok(solvency.every(({ solvent }) => solvent));
        sweep = drift.length;
        return true;
      });
      const { rows } = await pool.query<{ drift: unknown[] }>('SELECT drift FROM reconciliations WHERE id > $1', [
        mark,
      ]);
      return Math.max(sweep, ...rows.map(({ drift }) => drift.length));
    },
    mark: async () => {
      const { rows } = await pool.query<{ last: number }>('SELECT coalesce(max(id), 0) AS last FROM reconciliations');
      return rows[0]?.last ?? 0;
    },
  };
}

function count<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

const twice = (counts: ReadonlyMap<unknown, number>): number =>
  [...counts.values()].filter((times) => times > 1).length;
