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
  type TrackedFill,
} from './client.ts';
export { TallystickError } from './errors.ts';
export type { BookLevel, OrderBook } from './order-book.ts';
export { explainSignature, type MarketRules } from './sign-order.ts';
export type { AnySigner } from './signers.ts';
export type * from './types.ts';
export { openVault, type Vault } from './vault.ts';
export type { VerifiedFill } from './verify-fill.ts';
