/**
 * The three ways an order travels, as lean as a fleet of bots would be: requests are bytes before the clock starts, they leave through plain
 * sockets with one request under way per connection (HTTP) or many (WebSocket), and of an answer only what tells success is read.
 * Every one throws unless all of its orders were placed.
 */
import { randomBytes } from 'node:crypto';
import { connect, type OnReadOpts, type Socket } from 'node:net';
import type { SignedBody } from './orders.ts';

/** Bytes of one request, which places one order or a batch. */
export type Request = Buffer;
export type Client = {
  readonly prepare: (orders: readonly SignedBody[]) => Request;
  /** Resolves when everything in the request is acknowledged. */
  readonly place: (request: Request) => Promise<void>;
  readonly close: () => void;
};

type Waiting = { readonly resolve: () => void; readonly reject: (error: Error) => void };

export function httpClient(url: string, connections: number): Client {
  const pool = Array.from({ length: connections }, () =>
    httpConnection(url, (answer) => (answer.status === 201 ? undefined : answer.body())),
  );
  return httpOver(pool, url, '/api/v1/orders', ([order]) => (order as SignedBody).json);
}

export function batchClient(url: string, connections: number, perBatch: number): Client {
  const isPlaced = ({ status, body }: HttpAnswer): boolean =>
    status === 200 && countOf(body(), '"status":201') === perBatch;
  const pool = Array.from({ length: connections }, () =>
    httpConnection(url, (answer) => (isPlaced(answer) ? undefined : answer.body())),
  );
  return httpOver(
    pool,
    url,
    '/api/v1/orders/batch',
    (orders) => `{"orders":[${orders.map(({ json }) => json).join(',')}]}`,
  );
}

type HttpAnswer = { readonly status: number; readonly body: () => string };
type HttpConnection = { readonly send: (request: Request) => Promise<void>; readonly close: () => void };

function httpOver(
  pool: HttpConnection[],
  url: string,
  path: string,
  bodyOf: (orders: readonly SignedBody[]) => string,
): Client {
  const idle = [...pool];
  const queue: ((connection: HttpConnection) => void)[] = [];
  const { host } = new URL(url);
  return {
    prepare: (orders) => {
      const body = bodyOf(orders);
      return Buffer.from(
        `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
    },
    place: async (request) => {
      const connection = idle.pop() ?? (await new Promise<HttpConnection>((resolve) => queue.push(resolve)));
      try {
        await connection.send(request);
      } finally {
        const next = queue.shift();
        if (next === undefined) idle.push(connection);
        else next(connection);
      }
    },
    close: () => {
      for (const connection of pool) connection.close();
    },
  };
}

/**
 * Opened by its first request and again when the server has closed it in an idle moment.
 * @param fault what is wrong with an answer; undefined when it says that everything was placed
 */
function httpConnection(url: string, fault: (answer: HttpAnswer) => string | undefined): HttpConnection {
  let socket: Socket | undefined;
  let waiting: Waiting | undefined;
  let begun: Buffer | undefined;
  const onData = (chunk: Buffer): void => {
    const received = begun === undefined ? chunk : Buffer.concat([begun, chunk]);
    const answer = answerIn(received);
    // The socket's buffer is filled again by what comes next.
    begun = answer === undefined ? Buffer.from(received) : undefined;
    if (answer === undefined) return;
    const asked = waiting;
    waiting = undefined;
    const wrong = fault(answer);
    if (wrong === undefined) asked?.resolve();
    else asked?.reject(new Error(`the API answered ${answer.status}: ${wrong.slice(0, 500)}`));
  };
  const connected = async (): Promise<Socket> => {
    const opened = await open(url, onData);
    opened.on('close', () => {
      socket = undefined;
      begun = undefined;
      waiting?.reject(new Error('the API closed the connection'));
    });
    socket = opened;
    return opened;
  };
  return {
    send: async (request) => {
      const through = socket ?? (await connected());
      await new Promise<void>((resolve, reject) => {
        waiting = { resolve, reject };
        through.write(request);
      });
    },
    close: () => socket?.destroy(),
  };
}

const CHUNK_BYTES = 16_384;

/** Undefined until it is whole. */
function answerIn(received: Buffer): HttpAnswer | undefined {
  const headEnd = received.indexOf('\r\n\r\n');
  if (headEnd === -1) return undefined;
  const head = received.toString('latin1', 0, headEnd);
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1]);
  if (received.length < headEnd + 4 + length) return undefined;
  return { status: Number(head.slice(9, 12)), body: () => received.toString('latin1', headEnd + 4) };
}

function countOf(text: string, part: string): number {
  let count = 0;
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + part.length)) count++;
  return count;
}

/** One socket of the pool per order, turn by turn; answers are matched by their id. */
export async function webSocketClient(url: string, connections: number): Promise<Client> {
  const waiting = new Map<number, Waiting>();
  const answered = (text: Buffer): void => {
    const [, op, number] = /^{"op":"(\w+)","id":(\d+)/.exec(text.toString('latin1', 0, ANSWER_HEAD_BYTES)) ?? [];
    const id = Number(number);
    const order = waiting.get(id);
    waiting.delete(id);
    if (op === 'ack') order?.resolve();
    else order?.reject(new Error(`the WebSocket answered ${text.toString('latin1', 0, 500)}`));
  };
  const closed = (): void => {
    for (const { reject } of waiting.values()) reject(new Error('the API closed a WebSocket'));
    waiting.clear();
  };
  const sockets = await Promise.all(Array.from({ length: connections }, () => openWebSocket(url, answered, closed)));
  let next = 0;
  const idAt = (request: Request): number => request.readUInt32LE(request.length - 4);
  return {
    prepare: ([order]) => {
      const id = ++next;
      const frame = textFrame(`{"op":"place","id":${id},${(order as SignedBody).json.slice(1)}`);
      const number = Buffer.alloc(4);
      number.writeUInt32LE(id);
      return Buffer.concat([frame, number]);
    },
    place: (request) =>
      new Promise((resolve, reject) => {
        const id = idAt(request);
        waiting.set(id, { resolve, reject });
        const socket = sockets[id % sockets.length] as Socket;
        // Orders that are decided on in one turn leave in one write.
        if (socket.writableCorked === 0) {
          socket.cork();
          process.nextTick(() => socket.uncork());
        }
        socket.write(request.subarray(0, -4));
      }),
    close: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Enough for `{"op":"error","id":4294967295`. */
const ANSWER_HEAD_BYTES = 48;
const TEXT = 1;
const PING = 9;
/** Masked, as a client's frames must be, and empty, as the server's pings are. */
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);

/** A final, masked text frame (RFC 6455 §5.2). */
function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  if (payload.length < 126 || payload.length > 0xffff)
    throw new RangeError('expected a message of 126 to 65,535 bytes');
  const frame = Buffer.alloc(8 + payload.length);
  frame[0] = 0x81;
  frame[1] = 0x80 | 126;
  frame.writeUInt16BE(payload.length, 2);
  const mask = randomBytes(4);
  mask.copy(frame, 4);
  for (const [index, byte] of payload.entries()) frame[8 + index] = byte ^ (mask[index & 3] as number);
  return frame;
}

/** After the upgrade, every whole text frame is told; the server masks nothing and fragments nothing. */
async function openWebSocket(url: string, onText: (text: Buffer) => void, onClose: () => void): Promise<Socket> {
  const socket = await open(url);
  socket.write(
    `GET /ws HTTP/1.1\r\nHost: ${new URL(url).host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
  );
  let received: Buffer = Buffer.alloc(0);
  await new Promise<void>((resolve, reject) => {
    socket.on('close', () => reject(new Error('the WebSocket was closed')));
    const onUpgrade = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf('\r\n\r\n');
      if (end === -1) return;
      socket.off('data', onUpgrade);
      if (!received.toString('latin1', 0, 12).endsWith('101')) reject(new Error(received.toString('latin1', 0, end)));
      received = received.subarray(end + 4);
      resolve();
    };
    socket.on('data', onUpgrade);
  });
  socket.on('close', onClose);
  socket.on('data', (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    for (let at = 0; ; ) {
      const frame = frameAt(received, at);
      if (frame === undefined) {
        received = received.subarray(at);
        return;
      }
      if (frame.opcode === PING) socket.write(PONG);
      else if (frame.opcode === TEXT) onText(received.subarray(frame.start, frame.end));
      at = frame.end;
    }
  });
  return socket;
}

function frameAt(bytes: Buffer, at: number): { opcode: number; start: number; end: number } | undefined {
  if (bytes.length < at + 2) return undefined;
  const opcode = (bytes[at] as number) & 0x0f;
  const short = (bytes[at + 1] as number) & 0x7f;
  const header = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < at + header) return undefined;
  const length =
    short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
  const start = at + header;
  return bytes.length < start + length ? undefined : { opcode, start, end: start + length };
}

/** @param onData is handed what comes in a buffer that is used again; without it the socket is a stream as any. */
function open(url: string, onData?: (chunk: Buffer) => void): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const place = { host: hostname, port: Number(port), noDelay: true };
  const socket = onData === undefined ? connect(place) : connect({ ...place, onread: intoOneBuffer(onData) });
  return new Promise((resolve, reject) => {
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
}

function intoOneBuffer(onData: (chunk: Buffer) => void): OnReadOpts {
  return {
    buffer: Buffer.alloc(CHUNK_BYTES),
    callback: (length, buffer) => {
      onData(Buffer.from(buffer.buffer, buffer.byteOffset, length));
      return true;
    },
  };
}
