/**
 * Stores the followed chain: each step in one transaction, so that a restart anywhere continues from a state that was whole.
 *
 * Invariants:
 * 1. A step is stored only on the tip that it was made for; the row of `chain_identity` is the writer's lock. So two indexers at once
 *    cost time, never correctness.
 * 2. What the tables hold depends on the canonical chain, its finality and the head alone (I11): reorganised rows are deleted, and of the
 *    final blocks only those with events and the last one are kept, whichever way they were read.
 * 3. Final rows are never changed.
 */
import type { Pool, PoolClient } from 'pg';
import type { Address, ChainEventSequence, Hash, TimestampSeconds } from '../domain/units.ts';
import { encodeChainFact } from '../storage/chain-facts.ts';
import { inTransaction } from '../storage/transaction.ts';
import { requireSameChain } from './chain-identity.ts';
import {
  advance,
  type ChainIdentity,
  type ChainStep,
  type ChainTip,
  chainBeforeDeployment,
  type FollowedBlock,
  type FollowedChain,
  tipOf,
} from './chain-steps.ts';

/** The recorded identity; undefined before the first start. */
export async function loadChainIdentity(db: Pool | PoolClient): Promise<ChainIdentity | undefined> {
  const { rows } = await db.query<Record<string, string>>(
    `SELECT chain_id, encode(genesis_hash, 'hex') AS genesis, encode(vault, 'hex') AS vault, deployment_block,
            encode(deployment_block_hash, 'hex') AS block, encode(deployment_parent_hash, 'hex') AS parent,
            extract(epoch FROM deployed_at) AS deployed_at
       FROM chain_identity`,
  );
  const row = rows[0];
  if (row === undefined) return undefined;
  return {
    chainId: Number(row['chain_id']),
    genesisHash: `0x${row['genesis']}`,
    vault: `0x${row['vault']}` as Address,
    deploymentBlock: Number(row['deployment_block']),
    deploymentBlockHash: `0x${row['block']}`,
    deploymentParentHash: `0x${row['parent']}`,
    deployedAt: Number(row['deployed_at']) as TimestampSeconds,
  };
}

/** Records the identity at the first start. @throws ExchangeError CHAIN_MISMATCH when another one is recorded. */
export async function recordChainIdentity(pool: Pool, identity: ChainIdentity): Promise<ChainIdentity> {
  await pool.query(
    `INSERT INTO chain_identity (chain_id, genesis_hash, vault, deployment_block, deployment_block_hash, deployment_parent_hash, deployed_at)
     VALUES ($1, decode($2, 'hex'), decode($3, 'hex'), $4, decode($5, 'hex'), decode($6, 'hex'), to_timestamp($7))
     ON CONFLICT DO NOTHING`,
    [
      identity.chainId,
      digits(identity.genesisHash),
      digits(identity.vault),
      identity.deploymentBlock,
      digits(identity.deploymentBlockHash),
      digits(identity.deploymentParentHash),
      identity.deployedAt,
    ],
  );
  const recorded = await loadChainIdentity(pool);
  if (recorded === undefined) throw new Error('the chain identity was written, but is not there');
  requireSameChain(recorded, identity, 'the node');
  return recorded;
}

const digits = (hex: string): string => hex.slice(2);

/** The chain as stored: the last final block and everything above it. */
export async function loadFollowedChain(db: Pool | PoolClient, identity: ChainIdentity): Promise<FollowedChain> {
  const { rows } = await db.query<{ number: string; hash: string; last: string; final: boolean }>(
    `SELECT number, encode(hash, 'hex') AS hash, last_event_sequence AS last, final FROM chain_blocks
      WHERE number >= COALESCE((SELECT max(number) FROM chain_blocks WHERE final), 0) ORDER BY number`,
  );
  const blocks = rows.map((row): ChainTip & { final: boolean } => ({
    number: Number(row.number),
    hash: `0x${row.hash}` as Hash,
    lastEventSequence: Number(row.last) as ChainEventSequence,
    final: row.final,
  }));
  const tip = ({ number, hash, lastEventSequence }: ChainTip): ChainTip => ({ number, hash, lastEventSequence });
  const [first, ...rest] = blocks;
  if (first === undefined || !first.final) {
    return { final: chainBeforeDeployment(identity).final, recent: blocks.map(tip) };
  }
  return { final: tip(first), recent: rest.map(tip) };
}

/**
 * Stores a step that was made for `chain`.
 * @returns the chain after it; or the chain as another writer has left it, when that is not `chain` any more and nothing was stored
 */
export async function storeStep(
  pool: Pool,
  identity: ChainIdentity,
  chain: FollowedChain,
  step: ChainStep,
): Promise<FollowedChain> {
  const next = advance(chain, step);
  return inTransaction(pool, async (client) => {
    await client.query('SELECT 1 FROM chain_identity FOR UPDATE');
    const stored = await loadFollowedChain(client, identity);
    if (tipOf(stored).hash !== tipOf(chain).hash || stored.final.hash !== chain.final.hash) return stored;
    await writeStep(client, chain, step);
    return next;
  });
}

async function writeStep(client: PoolClient, chain: FollowedChain, step: ChainStep): Promise<void> {
  switch (step.kind) {
    case 'block': {
      await insertBlocks(client, step.blocks, step.sparse);
      const end = step.blocks.at(-1);
      if (step.sparse && end !== undefined) await pruneEmpty(client, chain.final.number, end.number);
      return;
    }
    case 'reorg':
      await client.query(
        `WITH gone AS (DELETE FROM chain_blocks WHERE number > $1 AND NOT final RETURNING number)
         DELETE FROM chain_events WHERE block_number IN (SELECT number FROM gone)`,
        [step.to.number],
      );
      return;
    case 'final':
      await client.query('UPDATE chain_blocks SET final = true WHERE number <= $1 AND NOT final', [step.block.number]);
      await pruneEmpty(client, chain.final.number, step.block.number);
  }
}

/** Final blocks without events below the last final one say nothing that is needed again. */
async function pruneEmpty(client: PoolClient, from: number, last: number): Promise<void> {
  await client.query(
    `DELETE FROM chain_blocks WHERE final AND number >= $1 AND number < $2
        AND NOT EXISTS (SELECT 1 FROM chain_events WHERE block_number = number)`,
    [from, last],
  );
}

async function insertBlocks(client: PoolClient, blocks: readonly FollowedBlock[], final: boolean): Promise<void> {
  await client.query(
    `INSERT INTO chain_blocks (number, hash, parent_hash, block_time, last_event_sequence, final)
     SELECT number, decode(hash, 'hex'), decode(parent, 'hex'), to_timestamp(time), last, $6
       FROM unnest($1::bigint[], $2::text[], $3::text[], $4::float8[], $5::bigint[]) AS b (number, hash, parent, time, last)`,
    [
      blocks.map((block) => block.number),
      blocks.map((block) => digits(block.hash)),
      blocks.map((block) => digits(block.parentHash)),
      blocks.map((block) => block.timestamp),
      blocks.map((block) => block.lastEventSequence),
      final,
    ],
  );
  const events = blocks.flatMap((block) => block.events);
  const [first] = events;
  if (first === undefined) return;
  // A backfill spends most of its time here: five values for any number of events, in the forms that cost client and server least.
  const numbers = blocks.flatMap((block) => block.events.map(() => block.number));
  await client.query(
    `INSERT INTO chain_events (event_sequence, block_number, tx_hash, log_index, kind, payload)
     SELECT $1::bigint + position - 1, block, substr($2::bytea, (32 * (position - 1) + 1)::integer, 32), log, payload ->> 'kind', payload
       FROM ROWS FROM (unnest($3::bigint[]), unnest($4::integer[]), jsonb_array_elements($5::jsonb))
            WITH ORDINALITY AS e (block, log, payload, position)`,
    [
      // The followed chain is gapless (see chain-steps.ts), so that the first number tells the others.
      first.eventSequence,
      Buffer.from(events.map((event) => digits(event.txHash)).join(''), 'hex'),
      `{${numbers.join(',')}}`,
      `{${events.map((event) => event.logIndex).join(',')}}`,
      `[${events.map((event) => encodeChainFact(event.fact)).join(',')}]`,
    ],
  );
}

/**
 * Forgets the blocks after the last stored event, so that they are read again. For a gap in the numbering that shows only after an earlier
 * block was stored without its events: nothing that was handed on is touched, since no event after the gap was stored.
 */
export async function rewindToLastEvent(pool: Pool): Promise<void> {
  await pool.query(
    'DELETE FROM chain_blocks WHERE number > COALESCE((SELECT max(block_number) FROM chain_events), -1)',
  );
}
