/**
 * The Tallystick SDK: connect → deposit → sign → fill → verify.
 * Integer and string arithmetic only; takes a viem account or wallet client, or an ethers signer.
 */
export {
  type ConnectOptions,
  connect,
  type PlacedOrder,
  type RequestControl,
  type SignedOrder,
  TallystickClient,
} from './client.ts';
export type { DisconnectGuard } from './disconnect-guard.ts';
export { TallystickError } from './errors.ts';
export type { TrackedFill } from './fills.ts';
export type { MarketOrderInput } from './market-order.ts';
export type { BookLevel, OrderBook } from './order-book.ts';
export { explainSignature, type MarketRules } from './sign-order.ts';
export type { AnySigner } from './signers.ts';
export type * from './types.ts';
export { openVault, type Vault } from './vault.ts';
export type { VerifiedFill } from './verify-fill.ts';
