/**
 * Word of new blocks as they come, from nodes that offer it: `newHeads` over a WebSocket at the node's own address, as most nodes and
 * providers serve it. Only a hint to look at once: what a message says is not believed, and without any the indexer's polling finds the
 * same blocks, later.
 *
 * A node without WebSocket is asked again after a while, at most once a minute; that is no trouble and raises no warning.
 */
const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 60_000;

export type HeadWatch = {
  readonly stop: () => void;
};

/** Calls `onHead` at each block that any of the nodes announces. @param rpcUrls http(s) addresses of the nodes */
export function watchHeads(rpcUrls: readonly string[], onHead: () => void): HeadWatch {
  const watches = rpcUrls.map((url) => watchNode(url.replace(/^http/, 'ws'), onHead));
  return {
    stop: () => {
      for (const watch of watches) watch.stop();
    },
  };
}

function watchNode(url: string, onHead: () => void): HeadWatch {
  let stopped = false;
  let retryMs = RETRY_FIRST_MS;
  let timer: NodeJS.Timeout | undefined;
  let socket: WebSocket | undefined;

  const connect = (): void => {
    socket = new WebSocket(url);
    socket.onopen = () => {
      socket?.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_subscribe', params: ['newHeads'] }));
    };
    socket.onmessage = ({ data: text }) => {
      if (!isNotification(text)) return;
      retryMs = RETRY_FIRST_MS;
      onHead();
    };
    // A failed connection and a lost one both end here.
    socket.onclose = () => {
      if (stopped) return;
      // Whoever watches keeps the process running, not the wait.
      timer = setTimeout(connect, retryMs).unref();
      retryMs = Math.min(RETRY_MAX_MS, retryMs * 2);
    };
  };
  connect();
  return {
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      socket?.close();
    },
  };
}

function isNotification(text: unknown): boolean {
  return typeof text === 'string' && text.includes('"eth_subscription"');
}
