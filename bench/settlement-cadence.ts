/**
 * What the sealing policy saves: synthetic weeks of base fees, settled by the policy and at a fixed interval with the same worst delay.
 * One row for each kind of week: calm, daily waves, spikes, all three. Run it as `node bench/settlement-cadence.ts`; `--json` prints the last line alone.
 */
import { parseArgs } from 'node:util';
import { type CadenceResult, compareCadence, WEEKS } from '../test/settlement/cadence-weeks.ts';

const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } });

const ethOf = ({ cost }: CadenceResult): string => (cost / 1e18).toFixed(3);
const rows = Object.entries(WEEKS).map(([week, kind]) => {
  const { adaptive, fixed } = compareCadence(kind);
  return { week, adaptive, fixed, ratio: Number((adaptive.cost / fixed.cost).toFixed(3)) };
});
if (!values.json) {
  console.table(
    rows.map(({ week, adaptive, fixed, ratio }) => ({
      week,
      'policy, ETH': ethOf(adaptive),
      'fixed, ETH': ethOf(fixed),
      ratio,
      'policy, batches': adaptive.batches,
      'fixed, batches': fixed.batches,
      'policy, worst delay in minutes': adaptive.worstDelayMs / 60_000,
      'fixed, worst delay in minutes': fixed.worstDelayMs / 60_000,
    })),
  );
}
console.log(JSON.stringify({ weeks: rows.map(({ week, ratio }) => ({ week, ratio })) }));
