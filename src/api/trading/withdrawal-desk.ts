/** Takes signed withdrawals. Only the owner's own signature counts; the same withdrawal again gets the original. */
import type { Pool } from 'pg';
import type { Static } from 'typebox';
import { SIGNATURE_PROBLEMS } from '../../chain/compact-signature.ts';
import type { SignaturePool } from '../../chain/signature-pool.ts';
import { toNewWithdrawal } from '../../chain/signed-order.ts';
import type { NewWithdrawal } from '../../domain/orders.ts';
import type { Quanta, TimestampMs } from '../../domain/units.ts';
import type { CommandClient } from '../../messaging/port.ts';
import type { WithdrawalRow } from '../../storage/queries/transfers.ts';
import { findWithdrawal } from '../../storage/queries/transfers.ts';
import { invalidSignature } from '../auth/authenticate.ts';
import type { MarketCatalogue } from '../market-catalogue.ts';
import type { WithdrawalView } from '../market-schemas.ts';
import type { ReadYourWrites } from '../read-your-writes.ts';
import type { WithdrawalBody } from '../schemas.ts';
import { withdrawalView } from '../views.ts';
import type { Committed } from './engine-reply.ts';
import { committedOf, notProjected, withdrawalRejected } from './engine-reply.ts';
import type { KnownAccounts } from './known-accounts.ts';
import { readWithdrawal } from './read-signed.ts';

export type WithdrawalDeskDependencies = {
  readonly pool: Pool;
  readonly commands: CommandClient;
  readonly signatures: SignaturePool;
  readonly accounts: KnownAccounts;
  readonly catalogue: MarketCatalogue;
  readonly writes: ReadYourWrites;
  readonly clock: () => number;
  readonly commandTimeoutMs: number;
};

export class WithdrawalDesk {
  readonly #using: WithdrawalDeskDependencies;

  constructor(dependencies: WithdrawalDeskDependencies) {
    this.#using = dependencies;
  }

  /** @throws ProblemError VALIDATION_FAILED, ACCOUNT_UNKNOWN, INVALID_SIGNATURE, WITHDRAWAL_REJECTED, OVERLOADED, STATUS_UNKNOWN */
  async request(body: Static<typeof WithdrawalBody>): Promise<{ withdrawal: WithdrawalView; isNew: boolean }> {
    const { pool, commands, signatures, accounts, catalogue, writes, clock, commandTimeoutMs } = this.#using;
    const { message, terms } = await readWithdrawal(body, catalogue);
    await accounts.require(terms.account, '/withdrawal/account');
    const checked = await signatures.check({ kind: 'withdrawal', message, signature: body.signature });
    if (checked.signer !== terms.account) {
      const { account, signer, digest, problem } = checked;
      const reason = problem === undefined ? {} : { code: problem, message: SIGNATURE_PROBLEMS[problem] };
      throw invalidSignature({ account, signer, digest, domain: signatures.domain, ...reason });
    }
    const withdrawal = toNewWithdrawal(terms, checked);
    const notAfterMs = (clock() + commandTimeoutMs) as TimestampMs;
    const lookUp = `Look at GET /api/v1/withdrawals/${withdrawal.digest}, or send the same signed withdrawal again.`;
    const reply = committedOf(await commands.submit({ kind: 'requestWithdrawal', withdrawal }, { notAfterMs }), lookUp);
    writes.wrote(withdrawal.account, reply.sequence);
    const asset = await catalogue.assetAt(withdrawal.asset);
    const outcome = outcomeOf(withdrawal, reply);
    if (outcome.kind === 'accepted') return { withdrawal: withdrawalView(outcome.row, asset), isNew: true };
    if (outcome.reason === 'duplicate_withdrawal' || outcome.reason === 'nonce_reused') {
      const isProjected = await writes.reached(reply.sequence);
      const original = await findWithdrawal(pool, withdrawal.digest);
      if (original !== undefined) return { withdrawal: withdrawalView(original, asset), isNew: false };
      if (!isProjected) throw notProjected(lookUp);
    }
    throw withdrawalRejected(outcome.reason, withdrawal.digest);
  }
}

type Outcome =
  | { readonly kind: 'accepted'; readonly row: WithdrawalRow }
  | { readonly kind: 'rejected'; readonly reason: Parameters<typeof withdrawalRejected>[0] };

function outcomeOf(withdrawal: NewWithdrawal, reply: Committed): Outcome {
  let fee: Quanta | undefined;
  let reason: Parameters<typeof withdrawalRejected>[0] | undefined;
  for (const event of reply.events) {
    if (event.kind === 'withdrawalAccepted' && event.withdrawal.digest === withdrawal.digest) fee = event.fee;
    if (event.kind === 'withdrawalRejected' && event.digest === withdrawal.digest) reason = event.reason;
  }
  // The engine answers one or the other; a transport that joins a repeated command shows the first answer.
  if (fee === undefined) return { kind: 'rejected', reason: reason ?? 'duplicate_withdrawal' };
  return {
    kind: 'accepted',
    row: {
      digest: withdrawal.digest,
      account: withdrawal.account,
      asset: withdrawal.asset,
      amount: withdrawal.amount,
      fee,
      recipient: withdrawal.recipient,
      native: withdrawal.native,
      state: 'pending',
      reason: undefined,
      batchId: undefined,
      txHash: undefined,
      blockNumber: undefined,
      journalSequence: reply.sequence,
      createdAtMs: reply.timestampMs,
      updatedAtMs: reply.timestampMs,
    },
  };
}
