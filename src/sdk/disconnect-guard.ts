/**
 * Cancel on disconnect: a connection of its own that the exchange holds the account's orders to. When it goes, everything of the account is
 * cancelled, within 15 seconds also when the gateway behind it dies. It is not opened again by itself: whoever asked for it has to know.
 */
import { TallystickError } from './errors.ts';

const PING_INTERVAL_MS = 5_000;
const SILENCE_MAX_MS = 12_000;
const LOGIN = 1;
const ARM = 2;
const DISARM = 3;

export type DisconnectGuard = {
  /** Ends the connection, and leaves the orders alone. */
  readonly disarm: () => Promise<void>;
  /** Resolves when the connection has gone by itself: the orders are cancelled, or about to be. Never after `disarm`. */
  readonly lost: Promise<void>;
};

type Answer = {
  readonly op?: string;
  readonly id?: number;
  readonly error?: {
    readonly code: string;
    readonly detail: string;
    readonly type: string;
    readonly retryable: boolean;
  };
};

/**
 * Resolves once the exchange has promised it. `login` makes the message that speaks for the account; the signal gives up waiting.
 * @throws TallystickError with the API's code, or NETWORK when the connection ends before
 */
export async function guardByConnection(
  baseUrl: string,
  login: () => Promise<object>,
  signal?: AbortSignal,
): Promise<DisconnectGuard> {
  const url = new URL('/ws', baseUrl);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  signal?.throwIfAborted();
  const socket = new WebSocket(url);
  const waiting = new Map<number, PromiseWithResolvers<void>>();
  const lost = Promise.withResolvers<void>();
  let heardAtMs = performance.now();
  let disarmed = false;

  const end = (): void => {
    clearInterval(pinger);
    const ended = new TallystickError('NETWORK', 'the connection ended before the exchange answered', {
      retryable: true,
    });
    for (const { reject } of waiting.values()) reject(ended);
    waiting.clear();
    if (!disarmed) lost.resolve();
  };
  const ask = (message: Readonly<Record<string, unknown>> & { readonly id: number }): Promise<void> => {
    const answer = Promise.withResolvers<void>();
    waiting.set(message.id, answer);
    socket.send(JSON.stringify(message));
    return answer.promise;
  };
  const pinger = setInterval(() => {
    if (performance.now() - heardAtMs > SILENCE_MAX_MS) socket.close();
    else if (socket.readyState === WebSocket.OPEN) socket.send('{"op":"ping"}');
  }, PING_INTERVAL_MS);
  socket.addEventListener('close', end);
  socket.addEventListener('message', ({ data }) => {
    heardAtMs = performance.now();
    const { id, error } = JSON.parse(String(data)) as Answer;
    const answer = id === undefined ? undefined : waiting.get(id);
    if (id === undefined || answer === undefined) return;
    waiting.delete(id);
    if (error === undefined) answer.resolve();
    else
      answer.reject(new TallystickError(error.code, error.detail, { docsUrl: error.type, retryable: error.retryable }));
  });

  const giveUp = (): void => socket.close();
  signal?.addEventListener('abort', giveUp, { once: true });
  try {
    await opened(socket);
    await ask({ ...(await login()), id: LOGIN });
    await ask({ op: 'cancelOnDisconnect', enabled: true, id: ARM });
  } catch (error) {
    disarmed = true;
    socket.close();
    end();
    throw signal?.aborted === true ? signal.reason : error;
  } finally {
    signal?.removeEventListener('abort', giveUp);
  }
  return {
    lost: lost.promise,
    disarm: async () => {
      if (socket.readyState !== WebSocket.OPEN) return;
      await ask({ op: 'cancelOnDisconnect', enabled: false, id: DISARM });
      disarmed = true;
      socket.close();
    },
  };
}

function opened(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (): void => reject(new TallystickError('NETWORK', 'the WebSocket did not open', { retryable: true }));
    socket.addEventListener('open', () => resolve(), { once: true });
    socket.addEventListener('close', fail, { once: true });
    socket.addEventListener('error', fail, { once: true });
  });
}
