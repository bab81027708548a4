/** The three ways an order travels, each from body to acknowledgement. Every one throws unless the order was placed. */
import { Agent, request } from 'node:http';
import type { SignedBody } from './orders.ts';

/** Places orders and resolves when all of them are acknowledged. */
export type Client = { readonly place: (orders: readonly SignedBody[]) => Promise<void>; readonly close: () => void };

export function httpClient(url: string, connections: number): Client {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  return {
    place: async ([order]) => {
      const { status, text } = await post(agent, `${url}/api/v1/orders`, (order as SignedBody).json);
      if (status !== 201) throw new Error(`POST /orders answered ${status}: ${text}`);
    },
    close: () => agent.destroy(),
  };
}

export function batchClient(url: string, connections: number): Client {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  return {
    place: async (orders) => {
      const body = `{"orders":[${orders.map(({ json }) => json).join(',')}]}`;
      const { status, text } = await post(agent, `${url}/api/v1/orders/batch`, body);
      const results = status === 200 ? (JSON.parse(text) as { results: { status: number }[] }).results : [];
      if (results.length !== orders.length || results.some((result) => result.status !== 201)) {
        throw new Error(`POST /orders/batch answered ${status}: ${text.slice(0, 500)}`);
      }
    },
    close: () => agent.destroy(),
  };
}

function post(agent: Agent, url: string, body: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** One socket of the pool per order, turn by turn; answers are matched by their id. */
export async function webSocketClient(url: string, connections: number): Promise<Client> {
  const waiting = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  const sockets = await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`);
      await new Promise((resolve, reject) => {
        socket.addEventListener('open', resolve, { once: true });
        socket.addEventListener('error', reject, { once: true });
      });
      socket.addEventListener('message', ({ data }) => {
        const text = String(data);
        const answer = JSON.parse(text) as { id?: number; error?: object; status?: number };
        const order = answer.id === undefined ? undefined : waiting.get(answer.id);
        if (order === undefined || answer.id === undefined) return;
        waiting.delete(answer.id);
        if (answer.error === undefined && !text.includes('"problem"')) order.resolve();
        else order.reject(new Error(`the WebSocket answered ${text.slice(0, 500)}`));
      });
      return socket;
    }),
  );
  let next = 0;
  return {
    place: ([order]) =>
      new Promise((resolve, reject) => {
        const id = ++next;
        waiting.set(id, { resolve, reject });
        sockets[id % sockets.length]?.send(`{"op":"place","id":${id},${(order as SignedBody).json.slice(1)}`);
      }),
    close: () => {
      for (const socket of sockets) socket.close();
    },
  };
}
