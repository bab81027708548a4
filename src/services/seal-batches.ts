/** When and how large batches are sealed, as the settings and the price of gas say, and as reseals have taught. */
import type { SequencedCommand } from '../domain/commands.ts';
import type { SealPolicy } from '../offchain-engine/sequencer/sealing.ts';
import { decideSeal } from '../settlement/seal-policy.ts';
import type { BaseFeeWatch } from '../settlement/watch-base-fees.ts';
import type { Settings } from './config.ts';

/** A batch with nothing but withdrawals pays its fixed gas for them alone, so they wait longer than trades. */
const WITHDRAWAL_AGE_MS = 60_000;
/** However cheap gas is, trades gather for this part of their longest wait: each batch has a fixed cost. */
const SEAL_EARLIEST_DIVISOR = 4;
/**
 * So long after a reseal batches are sealed no larger than it cut them: those of the size before would not fit either, and only so many
 * reseals are remembered at a time. After it the full size is tried again, for one reseal more where it still does not fit.
 */
export const RESEALED_SIZE_MS = 10 * 60_000;

export type Sealing = {
  readonly policy: SealPolicy;
  /** Commands that were journaled. */
  readonly note: (commands: readonly SequencedCommand[]) => void;
};

/** A batch is sealed when it is full or its oldest trade or withdrawal is due; where gas costs, also earlier while it is cheap. */
export function createSealing(settings: Settings, baseFees: Pick<BaseFeeWatch, 'current'> | undefined): Sealing {
  const seal = {
    tradesMax: settings.SEAL_TRADES,
    withdrawalsMax: 50,
    tradeAgeMaxMs: settings.SEAL_AGE_MS,
    withdrawalAgeMaxMs:
      settings.SEAL_WITHDRAWAL_AGE_MS ?? (settings.RPC_URL === undefined ? settings.SEAL_AGE_MS : WITHDRAWAL_AGE_MS),
    ageMinMs: settings.SEAL_AGE_MS / SEAL_EARLIEST_DIVISOR,
  };
  let size = seal;
  let untilMs = 0;
  return {
    policy: (facts) => {
      if (facts.nowMs >= untilMs) size = seal;
      return decideSeal(facts, size, baseFees?.current());
    },
    note: (commands) => {
      for (const { command, timestampMs } of commands) {
        if (command.kind !== 'resealBatch') continue;
        untilMs = timestampMs + RESEALED_SIZE_MS;
        const tradesMax = Math.min(size.tradesMax, command.tradesMax);
        size = { ...size, tradesMax, withdrawalsMax: Math.min(size.withdrawalsMax, command.withdrawalsMax) };
      }
    },
  };
}
