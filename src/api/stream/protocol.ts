/** What a client may say on the WebSocket: one schema per `op`. `id` is echoed in the answer. */
import { type Static, Type } from 'typebox';
import {
  AddressIn,
  CancelTimeoutMs,
  DecimalIn,
  HashText,
  MarketSymbol,
  object,
  PlaceOrderBody,
  SignatureIn,
} from '../schemas.ts';

export const MessageIdSchema = Type.Optional(
  Type.Union([Type.Integer(), Type.String({ maxLength: 64 })], {
    description: 'an integer or a string of at most 64 characters',
  }),
);

export const PUBLIC_CHANNELS = ['depth', 'trades', 'ticker', 'batches'] as const;
export const PRIVATE_CHANNELS = ['orders', 'fills', 'balances'] as const;
const Channel = Type.Enum([...PUBLIC_CHANNELS, ...PRIVATE_CHANNELS]);

const Subscribe = object({
  op: Type.Literal('subscribe'),
  id: MessageIdSchema,
  channel: Channel,
  market: Type.Optional(MarketSymbol),
});
const Unsubscribe = object({
  op: Type.Literal('unsubscribe'),
  id: MessageIdSchema,
  channel: Channel,
  market: Type.Optional(MarketSymbol),
});
const Resume = object({
  op: Type.Literal('resume'),
  id: MessageIdSchema,
  channel: Channel,
  market: Type.Optional(MarketSymbol),
  fromSeq: Type.Integer({ minimum: 0, description: 'the seq of the last message that was seen' }),
});
/** By an API key (HMAC over GET, /ws, the time and an empty body), or by the wallet over the Cancel message with the scope `login`. */
const Login = object({
  op: Type.Literal('login'),
  id: MessageIdSchema,
  timestamp: Type.Integer({ minimum: 0 }),
  key: Type.Optional(Type.String({ maxLength: 64 })),
  signature: SignatureOrHmac(),
  account: Type.Optional(AddressIn),
});
const Place = object({ op: Type.Literal('place'), id: MessageIdSchema, ...PlaceOrderBody.properties });
const Cancel = object({ op: Type.Literal('cancel'), id: MessageIdSchema, orderId: HashText });
const Reduce = object({ op: Type.Literal('reduce'), id: MessageIdSchema, orderId: HashText, remaining: DecimalIn });
const CancelAll = object({ op: Type.Literal('cancelAll'), id: MessageIdSchema, market: Type.Optional(MarketSymbol) });
const CancelAfter = object({ op: Type.Literal('cancelAfter'), id: MessageIdSchema, timeoutMs: CancelTimeoutMs });
const CancelOnDisconnect = object({
  op: Type.Literal('cancelOnDisconnect'),
  id: MessageIdSchema,
  enabled: Type.Boolean(),
});
const Ping = object({ op: Type.Literal('ping'), id: MessageIdSchema });

function SignatureOrHmac() {
  return Type.Union([SignatureIn, Type.String({ pattern: '^[0-9a-fA-F]{64}$' })]);
}

export const OPERATIONS = {
  subscribe: Subscribe,
  unsubscribe: Unsubscribe,
  resume: Resume,
  login: Login,
  place: Place,
  cancel: Cancel,
  reduce: Reduce,
  cancelAll: CancelAll,
  cancelAfter: CancelAfter,
  cancelOnDisconnect: CancelOnDisconnect,
  ping: Ping,
} as const;

export type ClientMessage =
  | Static<typeof Subscribe>
  | Static<typeof Unsubscribe>
  | Static<typeof Resume>
  | Static<typeof Login>
  | Static<typeof Place>
  | Static<typeof Cancel>
  | Static<typeof Reduce>
  | Static<typeof CancelAll>
  | Static<typeof CancelAfter>
  | Static<typeof CancelOnDisconnect>
  | Static<typeof Ping>;

export type MessageId = number | string | undefined;
export type ChannelRequest = { readonly channel: string; readonly market?: string | undefined };
export type PrivateChannel = (typeof PRIVATE_CHANNELS)[number];

export function isPrivateChannel(channel: string): channel is PrivateChannel {
  return (PRIVATE_CHANNELS as readonly string[]).includes(channel);
}
