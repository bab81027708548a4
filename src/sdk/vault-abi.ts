/** The few vault and token functions that a user calls, as `contracts/interfaces/IVault.sol` declares them. */
import { parseAbi } from 'viem';

export const vaultCalls = parseAbi([
  'function deposit(address token, uint256 amount, address beneficiary)',
  'function depositEther(address beneficiary) payable',
  'function requestExit(address token)',
  'function cancelExit(address token)',
  'function exit(address token, address recipient)',
  'function exitAvailableAt(address account, address token) view returns (uint64)',
  'function balanceOf(address account, address token) view returns (uint64)',
  'function cancelAll()',
  'function EXIT_DELAY() view returns (uint64)',
]);

export const tokenCalls = parseAbi([
  'function approve(address spender, uint256 amount) returns (bool)',
  'function allowance(address owner, address spender) view returns (uint256)',
  'function balanceOf(address owner) view returns (uint256)',
]);
