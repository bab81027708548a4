/** Incidents that open while the submitter cannot go on, and close by themselves once it can. */
import type { Pool } from 'pg';
import { closeIncident, openIncident, readOpenIncidents } from '../storage/incidents.ts';

const ALARMS = {
  gas_wallet_empty: "The submitter's wallet cannot pay for the next batch; send it ether",
  batch_refused: 'The vault would refuse the next batch',
  signer: 'The transaction signer does not sign',
} as const;

export type Alarms = {
  /** `reason`: why nothing can be sent now; undefined when all is well. Other reasons leave the alarms as they are. */
  readonly note: (reason: string | undefined, detail: string) => Promise<void>;
};

export function createAlarms(pool: Pool): Alarms {
  // An alarm may be open from before a restart, so the first call looks.
  let open: Map<string, number> | undefined;
  return {
    note: async (reason, detail) => {
      if (open === undefined) {
        const incidents = await readOpenIncidents(pool);
        open = new Map(incidents.filter(({ kind }) => kind in ALARMS).map(({ kind, id }) => [kind, id]));
      }
      if (reason !== undefined && reason in ALARMS && !open.has(reason)) {
        const summary = `${ALARMS[reason as keyof typeof ALARMS]}: ${detail}`;
        open.set(reason, (await openIncident(pool, { kind: reason, summary, details: { detail } })).id);
      }
      if (reason !== undefined) return;
      for (const [kind, id] of open) {
        await closeIncident(pool, id, 'settlement goes on');
        open.delete(kind);
      }
    },
  };
}
