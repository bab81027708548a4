/**
 * Places, replaces and cancels: what REST and WebSocket share. A placement needs no login: the order's signature is the authority.
 *
 * Idempotency: the same signed order again, or another with the same client order id and content, gets the original; the same id
 * with other content is refused. Three layers, each exact on its own ground: this gateway's memory (what is under way), the claim
 * of a client order id in the database (across gateways), and the engine, which knows every nonce.
 */
import type { Pool } from 'pg';
import type { SignaturePool } from '../../chain/signature-pool.ts';
import { toNewOrder } from '../../chain/signed-order.ts';
import type { UserCommand } from '../../domain/commands.ts';
import type { Receipt } from '../../domain/journal.ts';
import type { NewOrder, OrderKey } from '../../domain/orders.ts';
import type { RejectReason } from '../../domain/reasons.ts';
import type { Address, Hash, Lots, TimestampMs } from '../../domain/units.ts';
import type { CommandClient } from '../../messaging/port.ts';
import type { OrderRow } from '../../storage/queries/orders.ts';
import { findOrder, findPlacement } from '../../storage/queries/orders.ts';
import type { FillRow } from '../../storage/queries/trades.ts';
import { listFills } from '../../storage/queries/trades.ts';
import type { ListedMarket, MarketCatalogue } from '../market-catalogue.ts';
import { notFound, ProblemError } from '../problem.ts';
import type { ReadYourWrites } from '../read-your-writes.ts';
import type { PlacedOrder, PlaceOrderBody } from '../schemas.ts';
import { fillView, orderView, receiptView } from '../views.ts';
import { checkSigner } from './check-signer.ts';
import type { Claim } from './client-order-ids.ts';
import {
  CLAIM_STALE_MS,
  ClientOrderIdClaims,
  contentHashOf,
  releaseClientOrderId,
  takeOverClientOrderId,
} from './client-order-ids.ts';
import type { Committed } from './engine-reply.ts';
import { cancelledDigests, committedOf, notProjected, orderRejected, placementOf } from './engine-reply.ts';
import type { KnownAccounts } from './known-accounts.ts';
import type { PlaceInLine, PlacementLine } from './placement-line.ts';
import { NO_LINE } from './placement-line.ts';
import { PlacementMemory } from './placement-memory.ts';
import type { ReadOrder } from './read-signed.ts';
import { readOrder } from './read-signed.ts';

export type DeskDependencies = {
  readonly pool: Pool;
  readonly commands: CommandClient;
  readonly signatures: SignaturePool;
  readonly accounts: KnownAccounts;
  readonly catalogue: MarketCatalogue;
  readonly writes: ReadYourWrites;
  readonly clock: () => number;
  readonly commandTimeoutMs: number;
};

/** An order as it stands after its command, or later when it is an earlier one that is shown again. */
export type Placed = {
  readonly order: OrderRow;
  readonly fills: readonly FillRow[];
  readonly receipt: Receipt | undefined;
  readonly listed: ListedMarket;
};

/** After these an order with the very same digest may be live or done already. */
const MAYBE_PLACED_BEFORE: ReadonlySet<RejectReason> = new Set([
  'duplicate_order',
  'nonce_reused',
  'nonce_superseded',
  'lane_busy',
  'sequence_too_old',
  'expired',
]);

export class OrderDesk {
  readonly #using: DeskDependencies;
  readonly #memory = new PlacementMemory<Placed>();
  readonly #claims: ClientOrderIdClaims;

  constructor(dependencies: DeskDependencies) {
    this.#using = dependencies;
    this.#claims = new ClientOrderIdClaims(dependencies.pool);
  }

  /**
   * `isNew` is false when the answer is an earlier order. Orders of one `line` reach the engine in the order of the calls.
   * @throws ProblemError VALIDATION_FAILED, ACCOUNT_UNKNOWN, INVALID_SIGNATURE, CONFLICT, ORDER_REJECTED, OVERLOADED, STATUS_UNKNOWN, NOT_FOUND (`replaces`)
   */
  async place(body: PlaceOrderBody, line?: PlacementLine): Promise<{ placed: PlacedOrder; isNew: boolean }> {
    const place = line?.take() ?? NO_LINE;
    try {
      const { order, read } = await this.#checked(body);
      if (!place.begin.isReached) await place.begin.reached();
      const { placed, isNew } = await this.#placeOnce(body, read, order, place);
      return { placed: placedView(placed), isNew };
    } finally {
      place.begin.pass();
      place.submit.pass();
    }
  }

  /** The order that the body says, signed by somebody who may. What is known already is not waited for: each turn of the microtask queue costs every order. */
  async #checked(body: PlaceOrderBody): Promise<{ order: NewOrder; read: ReadOrder }> {
    const { catalogue, signatures, accounts } = this.#using;
    const reading = catalogue.refresh();
    if (reading !== undefined) await reading;
    const read = readOrder(body, catalogue);
    if (!accounts.has(read.terms.account)) await accounts.require(read.terms.account, '/order/account');
    const checked = await signatures.check({ kind: 'order', message: read.message, signature: body.signature });
    if (checked.signer !== checked.account) await checkSigner(checked, read.terms.market, this.#using);
    return { order: toNewOrder(read.terms, checked, read.options), read };
  }

  #placeOnce(
    body: PlaceOrderBody,
    read: ReadOrder,
    order: NewOrder,
    place: PlaceInLine,
  ): Promise<{ placed: Placed; isNew: boolean }> {
    // What makes two requests with one digest the same request: everything around the signed message.
    const { selfTradePrevention, stop, clientOrderId } = order;
    const trigger = stop === undefined ? '' : `${stop.direction}${stop.triggerPriceTicks}`;
    const content = `${selfTradePrevention}/${trigger}/${clientOrderId}/${body.replaces ?? ''}`;
    const replaces = body.replaces?.toLowerCase() as Hash | undefined;
    let joined = true;
    const placing = this.#memory.once(order.digest, content, () => {
      joined = false;
      const described = { read, order, replaces, place };
      return clientOrderId === '' ? this.#placeClaimed(described) : this.#claimAndPlace(described);
    });
    // Whoever joins an earlier request has nothing to submit.
    if (joined) place.submit.pass();
    place.begin.pass();
    return placing;
  }

  /**
   * Cancels one live order. An order that was cancelled before counts as done.
   * @throws ProblemError NOT_FOUND, ORDER_REJECTED (it has ended otherwise), OVERLOADED, STATUS_UNKNOWN
   */
  async cancel(account: Address, digest: Hash): Promise<OrderRow> {
    const order = await this.find(account, digest);
    const reply = await this.#submit(
      { kind: 'cancelOrder', order: keyOf(order) },
      account,
      `Look at GET /api/v1/orders/${digest}.`,
    );
    const done = reply.events.find((event) => event.kind === 'orderDone' && event.digest === digest);
    if (done?.kind === 'orderDone' && done.filled === order.filledLots) {
      const { status, reason } = done;
      return {
        ...order,
        status,
        reason,
        remainingLots: 0 as OrderRow['remainingLots'],
        updatedAtMs: reply.timestampMs,
      };
    }
    // It was filled meanwhile, or had ended before: the projections have its figures.
    await this.#using.writes.reached(reply.sequence);
    const now = (await findOrder(this.#using.pool, digest)) ?? order;
    if (now.status === 'cancelled') return now;
    const rejection = reply.events.find((event) => event.kind === 'cancelRejected' && event.account === account);
    throw orderRejected(rejection?.kind === 'cancelRejected' ? rejection.reason : 'order_not_found', digest, {
      orderStatus: now.status,
    });
  }

  /**
   * Shrinks what a live order has left. One that has so much left already counts as done.
   * @throws ProblemError NOT_FOUND, ORDER_REJECTED (it has less, or has ended), OVERLOADED, STATUS_UNKNOWN
   */
  async reduce(account: Address, digest: Hash, remaining: Lots): Promise<OrderRow> {
    const order = await this.find(account, digest);
    const reply = await this.#submit(
      { kind: 'reduceOrder', order: keyOf(order), remaining },
      account,
      `Look at GET /api/v1/orders/${digest}.`,
    );
    await this.#using.writes.reached(reply.sequence);
    const now = (await findOrder(this.#using.pool, digest)) ?? order;
    const rejection = reply.events.find((event) => event.kind === 'cancelRejected' && event.account === account);
    const isLive = now.status === 'open' || now.status === 'partially_filled';
    if (rejection?.kind !== 'cancelRejected' || (isLive && now.remainingLots === remaining)) return now;
    throw orderRejected(rejection.reason, digest, { orderStatus: now.status });
  }

  /** Cancels every live order of the account, in one market or in all; the ids of those that it ended. */
  async cancelAll(account: Address, market: number | undefined): Promise<Hash[]> {
    // It has no orders; the engine need not say so.
    if ((await this.#using.accounts.standing(account)) === 'unknown') return [];
    const reply = await this.#submit(
      { kind: 'cancelAllOrders', account, market },
      account,
      'Cancelling again does no harm.',
    );
    return cancelledDigests(reply, account);
  }

  /** Sets or renews the dead man's switch; undefined switches it off. @throws ProblemError ACCOUNT_UNKNOWN: the engine would not keep it */
  async cancelAfter(account: Address, deadlineMs: TimestampMs | undefined): Promise<void> {
    await this.#using.accounts.require(account, '');
    await this.#submit({ kind: 'cancelAfter', account, deadlineMs }, account, 'Sending it again does no harm.');
  }

  /** The order that an id names, if it is the account's. @throws ProblemError NOT_FOUND */
  async find(account: Address, digest: Hash): Promise<OrderRow> {
    const remembered = (await this.#memory.submitted(digest))?.order;
    const order = remembered ?? (await this.#fromProjections(account, digest));
    if (order === undefined || order.account !== account) throw notFound(`The account has no order ${digest}.`);
    return order;
  }

  async #fromProjections(account: Address, digest: Hash): Promise<OrderRow | undefined> {
    await this.#using.writes.settled(account);
    return findOrder(this.#using.pool, digest);
  }

  async #claimAndPlace(placing: Placing): Promise<{ placed: Placed; isNew: boolean }> {
    const { order, read } = placing;
    const contentHash = contentHashOf(read);
    const claim = {
      account: order.account,
      clientOrderId: order.clientOrderId,
      digest: order.digest,
      contentHash,
      claimedAtMs: this.#using.clock(),
    };
    const standing = await this.#claims.claim(claim);
    if (standing !== undefined && !(await this.#mayTakeOver(standing, claim))) {
      placing.place.submit.pass();
      const original = await this.#original(standing.digest, order);
      if (standing.contentHash !== contentHash) throw conflict(order.clientOrderId, standing.digest);
      if (original !== undefined) return { placed: original, isNew: false };
      throw new ProblemError(
        'STATUS_UNKNOWN',
        `An order with the client order id ${order.clientOrderId} is under way; look it up.`,
        {
          retryAfterMs: 1_000,
        },
      );
    }
    try {
      return await this.#placeClaimed(placing);
    } catch (error) {
      // Whoever was refused may use the id again; an unknown outcome keeps it.
      if (!(error instanceof ProblemError) || error.code !== 'STATUS_UNKNOWN') {
        // A claim that cannot be released now is taken over once it is stale.
        await releaseClientOrderId(this.#using.pool, order.account, order.clientOrderId, order.digest).catch(
          () => undefined,
        );
      }
      throw error;
    }
  }

  /** A claim whose gateway died before the order was placed does not hold the id for ever. */
  async #mayTakeOver(standing: Claim, claim: Parameters<typeof takeOverClientOrderId>[2]): Promise<boolean> {
    if (standing.claimedAtMs > claim.claimedAtMs - CLAIM_STALE_MS) return false;
    const existing = await findPlacement(this.#using.pool, {
      account: claim.account,
      digest: standing.digest,
      clientOrderId: '',
    });
    if (existing.sameDigest !== undefined) return false;
    return takeOverClientOrderId(this.#using.pool, standing, claim);
  }

  async #placeClaimed({ read, order, replaces, place }: Placing): Promise<{ placed: Placed; isNew: boolean }> {
    if (!place.submit.isReached) await place.submit.reached();
    const command: UserCommand =
      replaces === undefined
        ? { kind: 'placeOrder', order }
        : { kind: 'replaceOrder', replaced: keyOf(await this.find(order.account, replaces)), order };
    if (place.isClosed())
      throw new ProblemError(
        'OVERLOADED',
        'The connection ended before the order went to the engine; nothing was executed.',
      );
    const replying = this.#submit(command, order.account, lookUpHint(order));
    this.#memory.markSubmitted(order.digest);
    place.submit.pass();
    const reply = await replying;
    const placement = placementOf(order, reply, read.listed);
    if (placement.kind === 'accepted') {
      return { placed: { ...placement, receipt: reply.receipt, listed: read.listed }, isNew: true };
    }
    if (MAYBE_PLACED_BEFORE.has(placement.reason)) {
      const isProjected = await this.#using.writes.reached(reply.sequence);
      const original = await this.#original(order.digest, order);
      if (original !== undefined) {
        if (original.order.clientOrderId !== order.clientOrderId) throw conflict(order.clientOrderId, order.digest);
        return { placed: original, isNew: false };
      }
      // A refusal would invite a new signature for an order that may be live.
      if (!isProjected) throw notProjected(lookUpHint(order));
    }
    throw orderRejected(placement.reason, order.digest, { receipt: receiptView(reply.receipt) });
  }

  /** An order accepted before, with its fills as they stand now. */
  async #original(digest: Hash, placing: NewOrder): Promise<Placed | undefined> {
    const { account } = placing;
    // A placement must not wait for itself.
    const remembered = digest === placing.digest ? undefined : await this.#memory.find(digest);
    if (remembered !== undefined) return remembered;
    await this.#using.writes.settled(account);
    const { sameDigest } = await findPlacement(this.#using.pool, { account, digest, clientOrderId: '' });
    if (sameDigest === undefined) return undefined;
    const fills = await listFills(this.#using.pool, { account, digest }, { limit: 200 });
    const listed = await this.#using.catalogue.marketAt(sameDigest.market);
    return { order: sameDigest, fills: fills.rows, receipt: undefined, listed };
  }

  async #submit(command: UserCommand, account: Address, lookUp: string): Promise<Committed> {
    const notAfterMs = (this.#using.clock() + this.#using.commandTimeoutMs) as TimestampMs;
    const reply = committedOf(await this.#using.commands.submit(command, { notAfterMs }), lookUp);
    this.#using.writes.wrote(account, reply.sequence);
    return reply;
  }
}

type Placing = {
  readonly read: ReadOrder;
  readonly order: NewOrder;
  readonly replaces: Hash | undefined;
  readonly place: PlaceInLine;
};

export function placedView({ order, fills, receipt, listed }: Placed): PlacedOrder {
  return {
    order: orderView(order, listed),
    fills: fills.map((fill) => fillView(fill, listed)),
    receipt: receipt === undefined ? null : receiptView(receipt),
  };
}

function keyOf(order: OrderKey): OrderKey {
  return { account: order.account, lane: order.lane, orderSequence: order.orderSequence };
}

function lookUpHint(order: NewOrder): string {
  return order.clientOrderId === ''
    ? `Look at GET /api/v1/orders/${order.digest}, or send the same signed order again.`
    : `Look at GET /api/v1/orders/by-client-id/${order.clientOrderId}, or send the same signed order again.`;
}

function conflict(clientOrderId: string, existing: Hash): ProblemError {
  const message =
    clientOrderId === ''
      ? `The order ${existing} was placed before with another client order id.`
      : `The client order id ${clientOrderId} stands for the order ${existing}, which has other content.`;
  return new ProblemError('CONFLICT', message, {
    errors: [{ pointer: '/clientOrderId', code: 'client_order_id_used', message }],
    extensions: { existingOrderId: existing },
  });
}
