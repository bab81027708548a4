import { createConfig } from 'ponder';
import { parseAbi } from 'viem';

/** Everything comes from the benchmark that starts this. */
const { BENCH_RPC_URL, BENCH_WS_URL, BENCH_VAULT, BENCH_START_BLOCK, BENCH_CHAIN_ID, DATABASE_URL } = process.env;

export default createConfig({
  database: { kind: 'postgres', connectionString: DATABASE_URL! },
  chains: {
    local: {
      id: Number(BENCH_CHAIN_ID),
      rpc: BENCH_RPC_URL!,
      ...(BENCH_WS_URL === undefined ? {} : { ws: BENCH_WS_URL }),
    },
  },
  contracts: {
    Vault: {
      chain: 'local',
      abi: parseAbi([
        'event Deposited(uint64 eventSequence, address indexed account, uint16 indexed asset, uint64 quanta, address payer)',
      ]),
      address: BENCH_VAULT as `0x${string}`,
      startBlock: Number(BENCH_START_BLOCK),
    },
  },
});
