/** Checksummed at the edge, lower-case inside. */
import { getAddress } from 'viem';
import type { Address } from '../domain/units.ts';

const KEPT_MAX = 20_000;
const checksums = new Map<Address, Address>();

export function toChecksum(address: Address): Address {
  const known = checksums.get(address);
  if (known !== undefined) return known;
  const checksum = getAddress(address);
  if (checksums.size >= KEPT_MAX) checksums.clear();
  checksums.set(address, checksum);
  return checksum;
}

/** Any case in; the caller has checked the form. */
export function toInternal(address: string): Address {
  return address.toLowerCase() as Address;
}
