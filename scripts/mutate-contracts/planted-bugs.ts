/**
 * Bugs for the contracts, each by exact text: `from` must stand once in its file. In `to`, `ON` and `OFF` are the switch that plants this
 * bug and no other, so that one compilation serves them all.
 */

export type PlantedBug = {
  readonly name: string;
  /** In contracts/. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
};

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'an order may be overfilled',
    file: 'libraries/FastPath.sol',
    from: 'gt(size, and(shr(144, word), 0xffffffffff))',
    to: 'and(OFF, gt(size, and(shr(144, word), 0xffffffffff)))',
  },
  {
    name: "the seller's base is added instead of taken",
    file: 'libraries/FastPath.sol',
    from: 'mstore(sellerPointer, sub(sellerWord, shl(baseShift, size)))',
    to: 'mstore(sellerPointer, sub(sellerWord, mul(sub(1, mul(2, ON)), shl(baseShift, size))))',
  },
  {
    name: 'a fill that nobody can cover is credited',
    file: 'libraries/FastPath.sol',
    from: 'lt(and(shr(baseShift, sellerWord), 0xffffffffffffffff), size)',
    to: 'and(OFF, lt(and(shr(baseShift, sellerWord), 0xffffffffffffffff), size))',
  },
  {
    name: 'a buyer pays more than its limit',
    file: 'libraries/FastPath.sol',
    from: 'bad := or(bad, lt(takerPrice, makerPrice))',
    to: 'bad := or(bad, and(OFF, lt(takerPrice, makerPrice)))',
  },
  {
    name: 'the signed maximum fee is ignored',
    file: 'libraries/FastPath.sol',
    from: 'gt(fee, and(shr(56, word), 0xffff))',
    to: 'and(OFF, gt(fee, and(shr(56, word), 0xffff)))',
  },
  {
    name: "the maker's lane is not updated",
    file: 'Settlement.sol',
    from: 'FastPath.advance(makerWord, maker, size);',
    to: 'if (OFF) FastPath.advance(makerWord, maker, size);',
  },
  {
    name: 'fees are taken and not booked',
    file: 'Settlement.sol',
    from: 'if (fees == 0) continue;',
    to: 'if (fees == 0 || ON) continue;',
  },
  {
    name: 'any parent will do',
    file: 'Settlement.sol',
    from: 'if (batch.parent != parent)',
    to: 'if (OFF && batch.parent != parent)',
  },
  {
    name: 'an old epoch will do',
    file: 'Settlement.sol',
    from: 'if (batch.epoch < progress.epoch())',
    to: 'if (OFF && batch.epoch < progress.epoch())',
  },
  {
    name: 'a page that is not listed is read all the same',
    file: 'Settlement.sol',
    from: 'if (page == 0 || quotePage == 0)',
    to: 'if (OFF && (page == 0 || quotePage == 0))',
  },
  {
    name: 'bytes may follow the content',
    file: 'Settlement.sol',
    from: 'if (cursor != end)',
    to: 'if (OFF && cursor != end)',
  },
  {
    name: 'a fill-or-kill that failed is not undone',
    file: 'Settlement.sol',
    from: 'Raw.store(Raw.load(top), Raw.load(top + 0x20));',
    to: 'if (OFF) Raw.store(Raw.load(top), Raw.load(top + 0x20));',
  },
  {
    name: 'an order is taken for verified without its tag',
    file: 'Settlement.sol',
    from: 'if (kind > 2 && (laneWord',
    to: 'if (OFF && kind > 2 && (laneWord',
  },
  {
    name: 'a high s is accepted',
    file: 'libraries/OrderHash.sol',
    from: 'iszero(gt(s, halfOrder))',
    to: 'iszero(and(OFF, gt(s, halfOrder)))',
  },
  {
    name: 'a revoked session key goes on',
    file: 'VaultStorage.sol',
    from: 'if (block.timestamp > word & Slots.MASK_40) return false;',
    to: 'if (OFF && block.timestamp > word & Slots.MASK_40) return false;',
  },
  {
    name: 'a cancellation binds settlement at once',
    file: 'VaultStorage.sol',
    from: 'return DEPLOYED_AT + (stamp - 1) * 60 + GRACE;',
    to: 'return DEPLOYED_AT + (stamp - 1) * 60 + (ON ? 0 : GRACE);',
  },
  {
    name: 'a session key signs withdrawals',
    file: 'Withdrawals.sol',
    from: 'Signatures.recover(digest, r, vs) == w.account;',
    to: '(Signatures.recover(digest, r, vs) == w.account || (ON && _isSessionKeyValid(w.account, Signatures.recover(digest, r, vs), 0)));',
  },
  {
    name: 'a withdrawal that is refused uses its nonce up',
    file: 'Withdrawals.sol',
    from: 'if ((page >> shift) & Slots.MASK_64 < w.amount) return W_INSUFFICIENT_BALANCE;',
    to: 'if ((page >> shift) & Slots.MASK_64 < w.amount) { if (ON) Raw.write(laneSlot, w.sequence); return W_INSUFFICIENT_BALANCE; }',
  },
  {
    name: 'a pause stops exits',
    file: 'Custody.sol',
    from: 'function exit(address token, address recipient) external nonReentrant {',
    to: 'function exit(address token, address recipient) external nonReentrant { if (ON && block.timestamp < _progress.pausedUntil()) revert VaultPaused(_progress.pausedUntil());',
  },
  {
    name: 'an exit can be repeated',
    file: 'Custody.sol',
    from: 'Raw.write(requestSlot, 0);',
    to: 'if (OFF) Raw.write(requestSlot, 0);',
  },
];
