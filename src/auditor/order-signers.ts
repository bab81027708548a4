/**
 * Who signed the orders of a batch. Recovering signers is most of an audit's work, so it is done ahead on worker threads, while the batches
 * before are still being judged; what was not recovered ahead is recovered when it is asked for, with the same result.
 */
import { availableParallelism } from 'node:os';
import { recoverSigner } from '../chain/recover.ts';
import { createSignaturePool, type SignaturePool } from '../chain/signature-pool.ts';
import type { Eip712Domain } from '../domain/typed-data.ts';
import type { Address, Hash } from '../domain/units.ts';
import { orderMessage } from './judge-batch.ts';
import type { ContentOrder } from './read-content.ts';
import type { VaultModel } from './vault-model.ts';

export type OrderSigners = {
  /** Undefined when the signature is malformed or nobody's. */
  readonly signerOf: (order: ContentOrder, digest: Hash) => Address | undefined;
};

/** Recovers when it is asked, on this thread. */
export const SIGNERS_HERE: OrderSigners = {
  signerOf: (order, digest) => {
    const recovered = recoverSigner(digest, order.proof);
    return recovered.kind === 'recovered' ? recovered.signer : undefined;
  },
};

export class RecoveredSigners implements OrderSigners {
  readonly #pool: SignaturePool;
  readonly #recovered = new WeakMap<ContentOrder, { readonly digest: Hash; readonly signer: Address | undefined }>();

  constructor(domain: Eip712Domain) {
    this.#pool = createSignaturePool(domain, { workers: availableParallelism(), pendingMax: Number.POSITIVE_INFINITY });
  }

  /** Orders of markets that the model does not know yet are left for later. */
  async recoverAhead(model: VaultModel, orders: readonly ContentOrder[]): Promise<void> {
    const checks = orders.flatMap((order) => {
      const market = model.market(order.market);
      if (market === undefined || (order.authorisation !== 'owner' && order.authorisation !== 'session')) return [];
      return [this.#check(order, orderMessage(model, order, market))];
    });
    // A thread that died, or terms that no message can hold: `signerOf` finds out what is to be said of the order.
    await Promise.allSettled(checks);
  }

  async #check(order: ContentOrder, message: ReturnType<typeof orderMessage>): Promise<void> {
    const { digest, signer } = await this.#pool.check({ kind: 'order', message, signature: order.proof });
    this.#recovered.set(order, { digest, signer });
  }

  signerOf(order: ContentOrder, digest: Hash): Address | undefined {
    const ahead = this.#recovered.get(order);
    return ahead?.digest === digest ? ahead.signer : SIGNERS_HERE.signerOf(order, digest);
  }

  /** Recovers the signer of an order that stands in the journal. */
  async recover(message: ReturnType<typeof orderMessage>, signature: string): Promise<Address | undefined> {
    return (await this.#pool.check({ kind: 'order', message, signature })).signer;
  }

  /** Signatures on their way. */
  get pending(): number {
    return this.#pool.pending();
  }

  close(): Promise<void> {
    return this.#pool.close();
  }
}

/**
 * The vault's word instead of a recovery: an owner's order is signed unless the vault skipped a fill for its bad signature. Session keys are
 * recovered all the same, since their validity is derived.
 */
export function trustingSigners(signers: OrderSigners, badlySigned: ReadonlySet<ContentOrder>): OrderSigners {
  return {
    signerOf: (order, digest) => {
      if (order.authorisation !== 'owner') return signers.signerOf(order, digest);
      return badlySigned.has(order) ? undefined : order.account;
    },
  };
}
