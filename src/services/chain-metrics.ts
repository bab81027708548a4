/** What an operator asks of those who look at the chain, read when scraped: do they follow it, how far, which node is in trouble, do the books agree. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Indexer, IndexerStatus } from '../indexer/run-indexer.ts';
import type { Reconciler } from '../reconciliation/run-reconciler.ts';
import { type Figure, observeFigures } from './observe-figures.ts';

export function observeIndexer(registry: Registry, indexer: Pick<Indexer, 'status'>): void {
  const figure = (name: string, help: string, read: (status: IndexerStatus) => number | undefined): Figure => [
    name,
    help,
    () => read(indexer.status()),
  ];
  observeFigures(registry, 'tallystick_indexer', [
    figure('following', 'Whether the chain is followed (1).', ({ state }) => Number(state === 'following')),
    figure('head_block', "Height of the node's head at the last look.", ({ head }) => head),
    figure('indexed_block', 'The last block whose events are stored.', ({ tip }) => tip?.number),
    figure('final_block', 'The last block held for final.', ({ final }) => final?.number),
    figure('last_event_sequence', "The vault's last event that is stored.", (status) => status.lastEventSequence),
    figure('deepest_reorganisation_blocks', 'Blocks replaced by the deepest one.', (status) => status.deepestReorg),
    figure('silent_seconds', 'Since a node last answered well.', ({ silentMs }) => silentMs / 1000),
  ]);
  new Counter({
    name: 'tallystick_indexer_reorganisations_total',
    help: 'Reorganisations followed.',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(indexer.status().reorgs);
    },
  });
  new Gauge({
    name: 'tallystick_indexer_node_failures',
    help: 'Failures of the node since it last answered well.',
    labelNames: ['node'],
    registers: [registry],
    collect() {
      for (const { name, failures } of indexer.status().nodes) this.set({ node: name }, failures);
    },
  });
  new Gauge({
    name: 'tallystick_indexer_node_frozen',
    help: "Whether the node's head stands still while another's goes on (1).",
    labelNames: ['node'],
    registers: [registry],
    collect() {
      for (const { name, frozen } of indexer.status().nodes) this.set({ node: name }, Number(frozen));
    },
  });
}

/** 0 before the first comparison. */
export function observeReconciliation(registry: Registry, { lastReport }: Pick<Reconciler, 'lastReport'>): void {
  observeFigures(registry, 'tallystick_reconciliation', [
    ['block', 'Block of the last comparison.', () => lastReport()?.blockNumber],
    ['batch', 'Last batch in it.', () => lastReport()?.batchId],
    ['accounts', 'Accounts that it compared.', () => lastReport()?.accountsCompared],
    ['drift', 'Balances that differed between ledger and vault in it.', () => lastReport()?.drift.length],
  ]);
}
