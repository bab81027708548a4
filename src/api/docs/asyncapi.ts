/**
 * AsyncAPI 3 of the WebSocket. What clients send is described by the very schemas that their messages are checked against; a test holds
 * what we send against the messages described here. `receive` and `send` are the exchange's view, as AsyncAPI has it.
 */
import { type TSchema, Type } from 'typebox';
import { BalanceView, BatchView, TickerView } from '../market-schemas.ts';
import {
  AddressOut,
  DecimalOut,
  FillView,
  HashText,
  nullable,
  OrderView,
  object,
  PlacedOrder,
  ProblemSchema,
  Side,
  TimeMs,
} from '../schemas.ts';
import { CLOSE_CODES } from '../stream/connection.ts';
import { MessageIdSchema, OPERATIONS } from '../stream/protocol.ts';

type Op = keyof typeof OPERATIONS;

const SUMMARIES: Readonly<Record<Op, string>> = {
  subscribe: 'Follow a channel: the acknowledgement, a snapshot, then deltas.',
  unsubscribe: 'Follow a channel no more.',
  resume: 'Follow a channel from the last message that was seen; a snapshot of type resync where that is too long ago.',
  login: 'Speak for an account, by an API key or by its wallet.',
  place: 'Place a signed order; with `replaces`, in the place of a live one. Needs no login.',
  cancel: 'Cancel one order. Needs a login with the scope cancel.',
  reduce: 'Leave an order with less, in its place in the queue. Needs a login with the scope cancel.',
  cancelAll: 'Cancel every order, of one market or of all. Needs a login with the scope cancel.',
  cancelAfter: "Set, renew or clear the dead man's switch. Needs a login with the scope cancel.",
  cancelOnDisconnect: 'Cancel everything of the account when this socket goes. Needs a login with the scope cancel.',
  ping: 'Answered by pong.',
};

const ChannelName = object({ channel: Type.String(), market: Type.Optional(Type.String()) });

/** What an acknowledgement holds besides `op` and `id`. */
const ACKNOWLEDGEMENTS: Readonly<Record<Exclude<Op, 'ping'>, ReturnType<typeof object>>> = {
  subscribe: ChannelName,
  unsubscribe: ChannelName,
  resume: object({ ...ChannelName.properties, resumed: Type.Boolean({ description: 'Whether the deltas follow.' }) }),
  login: object({ account: AddressOut, scopes: Type.Array(Type.String()) }),
  place: object({ isNew: Type.Boolean({ description: 'False for an earlier order.' }), ...PlacedOrder.properties }),
  cancel: object({ order: OrderView }),
  reduce: object({ order: OrderView }),
  cancelAll: object({ cancelled: Type.Array(HashText) }),
  cancelAfter: object({ deadline: nullable(TimeMs) }),
  cancelOnDisconnect: object({ enabled: Type.Boolean() }),
};

const Levels = Type.Array(Type.Array(Type.String(), { description: '[price, size]', minItems: 2, maxItems: 2 }));
const PublicTrade = object({
  tradeId: Type.Integer(),
  price: DecimalOut,
  size: DecimalOut,
  takerSide: Side,
  time: TimeMs,
});

/** What the messages of a channel hold besides its name, type and sequence. */
const CHANNELS = {
  depth: object({ bids: Levels, asks: Levels, checksum: Type.Integer(), time: TimeMs }),
  trades: object({ trades: Type.Array(PublicTrade) }),
  ticker: object({ ticker: nullable(TickerView) }),
  batches: object({ batches: Type.Array(BatchView) }),
  orders: object({ orders: Type.Array(OrderView) }),
  fills: object({ fills: Type.Array(FillView) }),
  balances: object({ balances: Type.Array(BalanceView) }),
} as const;

const ID = { id: MessageIdSchema };

/** One schema per message that we send, by name. */
export const SENT_MESSAGES: Readonly<Record<string, TSchema>> = {
  ...Object.fromEntries(
    Object.entries(ACKNOWLEDGEMENTS).map(([op, { properties }]) => [
      `${op}Ack`,
      object({ op: Type.Literal('ack'), ...ID, ...properties }),
    ]),
  ),
  pong: object({ op: Type.Literal('pong'), ...ID, time: TimeMs }),
  error: object({ op: Type.Literal('error'), ...ID, error: ProblemSchema }),
  notice: object({ op: Type.Literal('notice'), code: Type.Enum(['shutdown', 'login_ended']), message: Type.String() }),
  ...Object.fromEntries(
    Object.entries(CHANNELS).map(([channel, { properties }]) => [
      channel,
      object({
        channel: Type.Literal(channel),
        market: Type.Optional(Type.String()),
        type: Type.Enum(['snapshot', 'delta', 'resync']),
        seq: Type.Integer(),
        prevSeq: Type.Optional(Type.Integer({ description: 'In a delta: the seq of the message before it.' })),
        ...properties,
      }),
    ]),
  ),
};

const reference = (path: string): { $ref: string } => ({ $ref: `#/${path}` });
const requestOf = (op: string): string => `${op}Request`;

function message(name: string, payload: TSchema, summary?: string): object {
  return { name, contentType: 'application/json', payload, ...(summary === undefined ? {} : { summary }) };
}

function requestOperation(op: string): object {
  const answer = op === 'ping' ? 'pong' : `${op}Ack`;
  const onSocket = (name: string) => reference(`channels/socket/messages/${name}`);
  return {
    action: 'receive',
    channel: reference('channels/socket'),
    summary: SUMMARIES[op as Op],
    messages: [onSocket(requestOf(op))],
    reply: { channel: reference('channels/socket'), messages: [onSocket(answer), onSocket('error')] },
  };
}

export function asyncApiDocument({ chainId }: { readonly chainId: number }): object {
  const ops = Object.keys(OPERATIONS) as Op[];
  const messages = {
    ...Object.fromEntries(ops.map((op) => [requestOf(op), message(op, OPERATIONS[op], SUMMARIES[op])])),
    ...Object.fromEntries(Object.entries(SENT_MESSAGES).map(([name, payload]) => [name, message(name, payload)])),
  };
  const told = ['notice', ...Object.keys(CHANNELS)];
  return {
    asyncapi: '3.0.0',
    info: {
      title: `Tallystick, chain ${chainId}`,
      version: '1',
      license: { name: 'MIT' },
      description: `One JSON message per frame of at most 64 KiB; \`id\` is echoed in the answer. Closed with ${Object.values(CLOSE_CODES).join(', ')} or 1001; docs/api.md of the source says what each means.`,
    },
    defaultContentType: 'application/json',
    channels: {
      socket: {
        address: '/ws',
        messages: Object.fromEntries(
          Object.keys(messages).map((name) => [name, reference(`components/messages/${name}`)]),
        ),
      },
    },
    operations: {
      ...Object.fromEntries(ops.map((op) => [op, requestOperation(op)])),
      tell: {
        action: 'send',
        channel: reference('channels/socket'),
        summary: 'Notices, and the channels that were subscribed to.',
        messages: told.map((name) => reference(`channels/socket/messages/${name}`)),
      },
    },
    components: { messages },
  };
}
