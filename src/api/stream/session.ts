/** Answers the messages of one socket. Each gets an `ack` or an `error` with its id; the error is the problem document of REST. */
import type { FastifyBaseLogger } from 'fastify';
import type { Hash } from '../../domain/units.ts';
import { toChecksum } from '../addresses.ts';
import type { Caller, SignedRequest } from '../auth/authenticate.ts';
import { authenticateKey, authenticateWallet } from '../auth/authenticate.ts';
import type { ApiContext } from '../context.ts';
import type { FieldError } from '../problem.ts';
import { ProblemError, problemOf, toExchangeError, validationFailed } from '../problem.ts';
import { type Budget, rateLimited, type Taken } from '../rate-limits.ts';
import { parseStrictJson } from '../strict-json.ts';
import { cancelAfterTimeout } from '../trading/cancel-after-timeout.ts';
import { PlacementLine } from '../trading/placement-line.ts';
import { reduceOrder } from '../trading/reduce-order.ts';
import { orderView } from '../views.ts';
import type { AccountFeeds } from './account-feeds.ts';
import type { Channel } from './channel.ts';
import type { Connection } from './connection.ts';
import type { ChannelRequest, ClientMessage, MessageId } from './protocol.ts';
import { isPrivateChannel, OPERATIONS } from './protocol.ts';
import type { PublicChannels } from './public-channels.ts';

/** What counts as an order; a login costs a signature check. */
const ORDER_OPERATIONS: ReadonlySet<string> = new Set([
  'login',
  'place',
  'reduce',
  'cancel',
  'cancelAll',
  'cancelAfter',
  'cancelOnDisconnect',
]);
const SUBSCRIPTIONS_MAX = 200;
const PENDING_MAX = 1_000;

export type SessionDependencies = {
  readonly context: ApiContext;
  readonly publicChannels: PublicChannels;
  readonly feeds: AccountFeeds;
  /** Faults of a message against the schema of its op; empty when it fits. */
  readonly check: (op: keyof typeof OPERATIONS, message: unknown) => readonly FieldError[];
  /** Counts one message against its budget. */
  readonly take: (budget: Budget) => Taken;
  readonly docsBase: string;
  readonly logger: FastifyBaseLogger;
};

export class Session {
  readonly #connection: Connection;
  readonly #using: SessionDependencies;
  /** Orders of a socket reach the engine as they were sent; nobody waits for the acknowledgement of the one before. */
  readonly #line = new PlacementLine();

  constructor(connection: Connection, dependencies: SessionDependencies) {
    this.#connection = connection;
    this.#using = dependencies;
  }

  /** Never rejects. */
  async receive(bytes: Uint8Array): Promise<void> {
    let id: MessageId;
    try {
      const parsed = parseStrictJson(bytes);
      id = idOf(parsed);
      const message = this.#checked(parsed);
      const taken = this.#using.take(ORDER_OPERATIONS.has(message.op) ? 'orders' : 'requests');
      if (!taken.allowed) throw rateLimited(taken, 'Too many messages; slow down.');
      if (this.#connection.pending >= PENDING_MAX) {
        throw new ProblemError('OVERLOADED', `${PENDING_MAX} requests of this socket are under way already.`, {
          retryAfterMs: 100,
        });
      }
      this.#connection.pending++;
      try {
        await this.#handle(message, id);
      } finally {
        this.#connection.pending--;
      }
    } catch (error) {
      const problem = problemOf(toExchangeError(error), '/ws', this.#using.docsBase);
      if (problem.status === 500) this.#using.logger.error({ err: error }, 'a WebSocket request failed');
      this.#connection.send({ op: 'error', ...withId(id), error: problem });
    }
  }

  /** Never rejects. */
  async closed(): Promise<void> {
    const { caller, cancelOnDisconnect } = this.#connection;
    this.#connection.dispose();
    if (caller === undefined || !cancelOnDisconnect) return;
    // An order that is still being checked would otherwise come to rest behind the cancel.
    this.#line.close();
    await this.#using.context.disconnects.disarm(caller.account, this.#connection, true);
  }

  #checked(parsed: unknown): ClientMessage {
    const op = typeof parsed === 'object' && parsed !== null && 'op' in parsed ? parsed.op : undefined;
    if (typeof op !== 'string' || !Object.hasOwn(OPERATIONS, op)) {
      const message = `Must be one of ${Object.keys(OPERATIONS).join(', ')}.`;
      throw validationFailed([{ pointer: '/op', code: 'bad_value', message }]);
    }
    const errors = this.#using.check(op as keyof typeof OPERATIONS, parsed);
    if (errors.length > 0) throw validationFailed(errors);
    return parsed as ClientMessage;
  }

  async #handle(message: ClientMessage, id: MessageId): Promise<void> {
    const { context } = this.#using;
    switch (message.op) {
      case 'ping':
        this.#connection.send({ op: 'pong', ...withId(id), time: context.clock() });
        return;
      case 'subscribe':
        return this.#subscribe(message, id, undefined);
      case 'resume':
        return this.#subscribe(message, id, message.fromSeq);
      case 'unsubscribe':
        this.#connection.unfollow(keyOf(message));
        this.#ack(id, nameOf(message));
        return;
      case 'login': {
        const caller = await this.#login(message);
        const { cancelOnDisconnect, caller: before } = this.#connection;
        // What the socket was promised was for the account it spoke for.
        if (cancelOnDisconnect && before !== undefined && before.account !== caller.account)
          await this.#setCancelOnDisconnect(before, false);
        this.#connection.caller = caller;
        this.#ack(id, { account: toChecksum(caller.account), scopes: [...caller.scopes] });
        return;
      }
      case 'place': {
        const { placed, isNew } = await context.desk.place(message, this.#line);
        this.#ack(id, { isNew, order: placed.order, fills: placed.fills, receipt: placed.receipt });
        return;
      }
      case 'cancel': {
        const { account } = this.#requireScope('cancel');
        const order = await context.desk.cancel(account, message.orderId.toLowerCase() as Hash);
        this.#ack(id, { order: orderView(order, await context.catalogue.marketAt(order.market)) });
        return;
      }
      case 'reduce': {
        const { account } = this.#requireScope('cancel');
        const { orderId, remaining } = message;
        this.#ack(id, {
          order: await reduceOrder({ account, digest: orderId.toLowerCase() as Hash, remaining }, context),
        });
        return;
      }
      case 'cancelAll': {
        const { account } = this.#requireScope('cancel');
        const listed = message.market === undefined ? undefined : await context.catalogue.market(message.market);
        this.#ack(id, { cancelled: await context.desk.cancelAll(account, listed?.market.index) });
        return;
      }
      case 'cancelAfter': {
        const { account } = this.#requireScope('cancel');
        const deadline = await cancelAfterTimeout(account, message.timeoutMs, context);
        this.#ack(id, { deadline: deadline ?? null });
        return;
      }
      case 'cancelOnDisconnect':
        if (message.enabled) await context.accounts.require(this.#requireScope('cancel').account, '');
        await this.#setCancelOnDisconnect(this.#requireScope('cancel'), message.enabled);
        this.#ack(id, { enabled: message.enabled });
    }
  }

  async #setCancelOnDisconnect({ account }: Caller, enabled: boolean): Promise<void> {
    const connection = this.#connection;
    // A socket that is gone would stay armed for ever.
    if (connection.isDisposed || connection.cancelOnDisconnect === enabled) return;
    connection.cancelOnDisconnect = enabled;
    try {
      if (enabled) await this.#using.context.disconnects.arm(account, connection);
      else await this.#using.context.disconnects.disarm(account, connection, false);
    } catch (error) {
      connection.cancelOnDisconnect = !enabled;
      throw error;
    }
  }

  async #subscribe(request: ChannelRequest, id: MessageId, fromSeq: number | undefined): Promise<void> {
    if (this.#connection.subscriptionCount >= SUBSCRIPTIONS_MAX) {
      throw new ProblemError('RATE_LIMITED', `A socket follows at most ${SUBSCRIPTIONS_MAX} channels.`);
    }
    const channel = await this.#open(request);
    // From here on nothing yields: what the socket is sent first and what follows fit together.
    const key = keyOf(request);
    this.#connection.unfollow(key);
    const missed = fromSeq === undefined ? undefined : channel.since(fromSeq);
    this.#ack(id, { ...channel.name, ...(fromSeq === undefined ? {} : { resumed: missed !== undefined }) });
    this.#connection.follow(key, channel);
    if (missed === undefined)
      this.#connection.send(channel.snapshotText(fromSeq === undefined ? 'snapshot' : 'resync'));
    else for (const text of missed) this.#connection.send(text);
  }

  async #open(request: ChannelRequest): Promise<Channel> {
    const { context, publicChannels, feeds } = this.#using;
    const { channel } = request;
    if (isPrivateChannel(channel)) {
      const { account } = this.#requireScope('read');
      return (await feeds.open(account)).channels[channel];
    }
    if (channel === 'batches') return publicChannels.openBatches();
    if (request.market === undefined) {
      throw validationFailed([
        { pointer: '/market', code: 'required', message: `The channel ${channel} needs a market.` },
      ]);
    }
    const listed = await context.catalogue.market(request.market);
    return publicChannels.open(channel as 'depth' | 'trades' | 'ticker', listed);
  }

  async #login(message: Extract<ClientMessage, { op: 'login' }>): Promise<Caller> {
    const { credentials } = this.#using.context;
    const headers: Record<string, string | undefined> = {
      'tallystick-timestamp': String(message.timestamp),
      ...(message.key === undefined
        ? { 'tallystick-account': message.account, 'tallystick-wallet-signature': message.signature }
        : { 'tallystick-key': message.key, 'tallystick-signature': message.signature }),
    };
    const request: SignedRequest = { method: 'GET', path: '/ws', body: '', header: (name) => headers[name] };
    return message.key === undefined
      ? authenticateWallet(request, 'login', credentials)
      : authenticateKey(request, 'read', credentials);
  }

  #requireScope(scope: 'read' | 'cancel'): Caller {
    const { caller } = this.#connection;
    if (caller === undefined) throw new ProblemError('UNAUTHENTICATED', 'Log in first: { "op": "login", … }.');
    if (!caller.scopes.has(scope)) throw new ProblemError('FORBIDDEN', `The API key lacks the scope ${scope}.`);
    return caller;
  }

  #ack(id: MessageId, result: object): void {
    this.#connection.send(Object.assign(id === undefined ? { op: 'ack' } : { op: 'ack', id }, result));
  }
}

function withId(id: MessageId): { id?: number | string } {
  return id === undefined ? {} : { id };
}

function idOf(parsed: unknown): MessageId {
  if (typeof parsed !== 'object' || parsed === null || !('id' in parsed)) return undefined;
  const { id } = parsed;
  return typeof id === 'number' || (typeof id === 'string' && id.length <= 64) ? id : undefined;
}

function nameOf({ channel, market }: ChannelRequest): { channel: string; market?: string } {
  return market === undefined ? { channel } : { channel, market: market.toUpperCase() };
}

/** Market names compare without case, as in REST. */
function keyOf({ channel, market }: ChannelRequest): string {
  const hasMarket = channel === 'depth' || channel === 'trades' || channel === 'ticker';
  return hasMarket ? `${channel}:${market?.toUpperCase() ?? ''}` : channel;
}
