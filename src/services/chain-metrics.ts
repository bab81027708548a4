/** What an operator asks of those who look at the chain, read when scraped: do they follow it, how far, which node is in trouble, do the books agree. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Indexer, IndexerStatus } from '../indexer/run-indexer.ts';
import type { Reconciler } from '../reconciliation/run-reconciler.ts';

type Figure = readonly [name: string, help: string, read: (status: IndexerStatus) => number | undefined];

const GAUGES: readonly Figure[] = [
  ['following', 'Whether the chain is followed (1).', ({ state }) => Number(state === 'following')],
  ['head_block', "Height of the node's head at the last look.", ({ head }) => head],
  ['indexed_block', 'The last block whose events are stored.', ({ tip }) => tip?.number],
  ['final_block', 'The last block held for final.', ({ final }) => final?.number],
  ['last_event_sequence', "The vault's last event that is stored.", ({ lastEventSequence }) => lastEventSequence],
  ['deepest_reorganisation_blocks', 'Blocks replaced by the deepest reorganisation.', (status) => status.deepestReorg],
  ['silent_seconds', 'Since a node last answered well.', ({ silentMs }) => silentMs / 1000],
];

export function observeIndexer(registry: Registry, indexer: Pick<Indexer, 'status'>): void {
  for (const [name, help, read] of GAUGES) {
    new Gauge({
      name: `tallystick_indexer_${name}`,
      help,
      registers: [registry],
      collect() {
        const value = read(indexer.status());
        if (value !== undefined) this.set(value);
      },
    });
  }
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
export function observeReconciliation(registry: Registry, reconciler: Pick<Reconciler, 'lastReport'>): void {
  const figures = [
    ['block', 'Block of the last comparison.', 'blockNumber'],
    ['batch', 'Last batch in it.', 'batchId'],
    ['accounts', 'Accounts that it compared.', 'accountsCompared'],
  ] as const;
  for (const [name, help, field] of figures) {
    new Gauge({
      name: `tallystick_reconciliation_${name}`,
      help,
      registers: [registry],
      collect() {
        const report = reconciler.lastReport();
        if (report !== undefined) this.set(report[field]);
      },
    });
  }
  new Gauge({
    name: 'tallystick_reconciliation_drift',
    help: 'Balances that differed between ledger and vault in the last comparison.',
    registers: [registry],
    collect() {
      const report = reconciler.lastReport();
      if (report !== undefined) this.set(report.drift.length);
    },
  });
}
