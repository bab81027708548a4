/** What the auditor reads of the vault, written down from its published interface, not from anything that the exchange's services use. */
import { parseAbi } from 'viem';

export const VAULT_EVENTS = parseAbi([
  'event BatchSettled(uint64 indexed id, uint64 eventSequence, uint64 epoch, bytes32 contentHash, bytes32 batchHash, bytes skips, bytes withdrawals)',
  'event Deposited(uint64 eventSequence, address indexed account, uint16 indexed asset, uint64 quanta, address payer)',
  'event ExitRequested(uint64 eventSequence, address indexed account, uint16 indexed asset, uint64 availableAt)',
  'event ExitCancelled(uint64 eventSequence, address indexed account, uint16 indexed asset)',
  'event ExitExecuted(uint64 eventSequence, address indexed account, uint16 indexed asset, uint64 quanta, address recipient)',
  'event OrdersCancelled(uint64 eventSequence, address indexed account, uint64 beforeSequence, uint64 bindingAt)',
  'event OrderRegistered(uint64 eventSequence, address indexed account, bytes32 digest)',
  'event SessionKeyRegistered(uint64 eventSequence, address indexed account, address indexed key, uint64 expiry, uint256 marketMask, uint64 nonce)',
  'event SessionKeyRevoked(uint64 eventSequence, address indexed account, address indexed key, uint64 settleableUntil)',
  'event AssetListed(uint64 eventSequence, uint16 indexed asset, address indexed token, uint64 quantum, uint64 minimumDeposit, uint8 decimals, string symbol)',
  'event MarketListed(uint64 eventSequence, uint16 indexed market, uint16 baseAsset, uint16 quoteAsset, uint64 lotQuanta, uint64 tickQuanta, uint40 maxSizeLots, uint32 maxPriceTicks)',
  'event MarketDelisted(uint64 eventSequence, uint16 indexed market)',
  'event FeesChanged(uint64 eventSequence, uint16 takerFeePpm, uint16 makerFeePpm)',
  'event FeesCollected(uint64 eventSequence, uint16 indexed asset, uint64 quanta)',
  'event OutflowLimitChanged(uint64 eventSequence, uint16 indexed asset, uint64 limitQuanta, uint32 windowSeconds)',
  'event EngineKeyRegistered(uint64 eventSequence, address indexed key, bool active)',
  'event EngineKeyRevoked(uint64 eventSequence, address indexed key, address indexed successor, uint64 epoch)',
  'event Paused(uint64 eventSequence, uint64 until)',
  'event Unpaused(uint64 eventSequence)',
  'event GuardianChanged(uint64 eventSequence, address indexed guardian)',
  'event GovernanceTransferred(uint64 eventSequence, address indexed governance)',
]);

export const VAULT_CALLS = parseAbi([
  'struct Batch { uint64 id; bytes32 parent; uint64 epoch; uint64 journalSequence; bytes32 journalHash; }',
  'function settle(Batch batch, bytes content, bytes32 engineSignatureR, bytes32 engineSignatureVs)',
  'function DEPLOYED_AT() view returns (uint64)',
  'function GRACE() view returns (uint64)',
  'function EXIT_DELAY() view returns (uint64)',
  'function WRAPPED_NATIVE() view returns (address)',
]);
