/** Which chain this is about: what everything else of a start depends on, asked of the nodes in their order until one answers. */
import { createRpcEndpoint, numberOf } from '../chain/rpc-pool.ts';
import { ExchangeError } from '../domain/errors.ts';

/** A node that takes longer is passed over; one that is only slow is found again later. */
const ANSWER_TIMEOUT_MS = 5_000;

export type ChainIdAnswer = {
  readonly chainId: number;
  /** The node that answered. */
  readonly rpcUrl: string;
  /** One sentence for each node before it that did not; names hosts only, since the rest of a URL may hold an API key. */
  readonly silent: readonly string[];
};

/** @throws ExchangeError RPC_FAILED naming every node and its fault, when none answers; CONFIGURATION when there is none */
export async function readChainId(rpcUrls: readonly string[], timeoutMs = ANSWER_TIMEOUT_MS): Promise<ChainIdAnswer> {
  if (rpcUrls.length === 0) throw new ExchangeError('CONFIGURATION', 'RPC_URL names no node.');
  const silent: string[] = [];
  let cause: unknown;
  for (const rpcUrl of rpcUrls) {
    try {
      const answer = await createRpcEndpoint(rpcUrl, timeoutMs).request('eth_chainId', []);
      return { chainId: numberOf(answer, 'the chain id'), rpcUrl, silent };
    } catch (error) {
      if (!(error instanceof ExchangeError) || error.code !== 'RPC_FAILED') throw error;
      silent.push(error.message.includes(hostOf(rpcUrl)) ? error.message : `${hostOf(rpcUrl)}: ${error.message}`);
      cause = error;
    }
  }
  const message = `No node of RPC_URL tells the chain id. ${silent.join('; ')}. Check RPC_URL, or name a node that runs.`;
  throw new ExchangeError('RPC_FAILED', message, { cause });
}

export const hostOf = (url: string): string => new URL(url).host;
