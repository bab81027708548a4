/** What an operator asks of the engine: is its time right, how far has it come, what waits for settlement. */
import type { Registry } from 'prom-client';
import type { EngineService } from './engine-service.ts';
import { observeFigures } from './observe-figures.ts';

export function observeEngine(registry: Registry, { leading }: Pick<EngineService, 'leading'>): void {
  const { engine, clock, sequencer, epoch } = leading;
  observeFigures(registry, 'tallystick_engine', [
    [
      'clock_refused_seconds',
      "How far the machine's clock stepped without being followed; anything but 0 needs an operator's word.",
      () => clock.refusedMs / 1000,
    ],
    ['journal_sequence', 'The last command applied.', () => engine.lastSequence],
    ['epoch', 'The epoch in which this engine leads.', () => epoch],
    ['queue_commands', 'Commands that wait for their journal row.', () => sequencer.queueLength],
    ['unsealed_trades', 'Trades in no batch yet.', () => engine.unsealedTrades],
    ['batches_in_flight', 'Batches that are sealed and not final.', () => engine.core.batches.length],
  ]);
}

/** Readiness of a leading engine. @throws Error while a clock jump waits for an operator's word */
export async function checkClock({ leading }: Pick<EngineService, 'leading'>): Promise<void> {
  const { refusedMs } = leading.clock;
  if (refusedMs === 0) return;
  throw new Error(
    `the machine's clock stepped by ${refusedMs} ms and is not followed; set it right, or say "tallystick operator accept-clock-jump"`,
  );
}
