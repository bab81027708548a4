// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The common case of settlement, without branches: an order whose terms are fine, a fill that goes through.
/// @dev Each function only says whether something is wrong; what it is, the plain code of `Settlement` finds out, which is also the reference that the
/// tests hold these functions against. The layout of words in memory is described there.
library FastPath {
    /// @param word the order as read from calldata.
    /// @param shape of its market; zero when the market is closed.
    /// @param cutoff sequences below are cancelled.
    /// @param sequenceMax latest sequence accepted.
    /// @param expiryMin earliest expiry that still settles.
    /// @param lifeBase an order with 1000 × expiry above this plus its sequence lives too long.
    /// @return bad zero when the terms can be settled now.
    function badTerms(
        uint256 word,
        uint256 shape,
        uint256 cutoff,
        uint256 sequenceMax,
        uint256 expiryMin,
        uint256 lifeBase
    ) internal pure returns (uint256 bad) {
        assembly ("memory-safe") {
            let sequence := and(shr(200, word), 0xffffffffff)
            let expiry := and(shr(72, word), 0xffffffffff)
            bad := or(
                or(
                    or(iszero(shape), gt(and(shr(56, word), 0xffff), 50000)),
                    or(iszero(sequence), gt(sequence, sequenceMax))
                ),
                or(gt(mul(expiry, 1000), add(lifeBase, sequence)), or(lt(expiry, expiryMin), lt(sequence, cutoff)))
            )
        }
    }

    /// @dev Several small functions instead of one: each keeps its values on the stack.
    /// @param takerWord first word of the taker's order.
    /// @param makerWord first word of the maker's order.
    /// @param notional of the fill, in quote quanta.
    /// @return bad zero when the two orders may trade, as far as can be said without lanes, fees and balances.
    function badPair(uint256 takerWord, uint256 makerWord, uint256 notional) internal pure returns (uint256 bad) {
        assembly ("memory-safe") {
            // Marks; notional; market and side; account; post-only taker; IOC (1) or FOK (2) maker.
            bad := or(and(or(takerWord, makerWord), 0xff), iszero(notional))
            let difference := xor(takerWord, makerWord)
            bad := or(bad, xor(and(difference, shl(184, 0xff01)), shl(184, 1)))
            bad := or(bad, or(iszero(and(difference, shl(32, 0xffffff))), and(takerWord, shl(187, 1))))
            bad := or(bad, and(add(and(shr(185, makerWord), 3), 1), 2))
            // Price: a buyer's below the maker's, a seller's above it.
            let takerPrice := and(shr(112, takerWord), 0xffffffff)
            let makerPrice := and(shr(112, makerWord), 0xffffffff)
            switch and(shr(184, takerWord), 1)
            case 0 {
                bad := or(bad, lt(takerPrice, makerPrice))
            }
            default {
                bad := or(bad, gt(takerPrice, makerPrice))
            }
        }
    }

    /// @param word first word of the order.
    /// @param second second word of the order.
    /// @param size of the fill in lots.
    /// @param fee of the fill in parts per million.
    /// @param feeMax the vault's own.
    /// @return bad zero when the lane takes the fill, and the fee is within what was signed and what the vault allows.
    function badLane(
        uint256 word,
        uint256 second,
        uint256 size,
        uint256 fee,
        uint256 feeMax
    ) internal pure returns (uint256 bad) {
        assembly ("memory-safe") {
            bad := or(gt(fee, and(shr(56, word), 0xffff)), gt(fee, feeMax))
            let lane := mload(and(shr(24, second), 0xffffff))
            let sequence := and(shr(200, word), 0xffffffffff)
            let laneSequence := shr(216, lane)
            size := add(size, mul(eq(laneSequence, sequence), and(shr(176, lane), 0xffffffffff)))
            bad := or(bad, or(gt(laneSequence, sequence), gt(size, and(shr(144, word), 0xffffffffff))))
        }
    }

    /// @dev Moves `size` lots from seller to buyer and `cost` from the buyer to the seller (`proceeds` of it) and the fees, if both have enough.
    /// @param market pointer to the market.
    /// @param buyer second word of the buyer's order.
    /// @param seller second word of the seller's order.
    /// @param size in lots.
    /// @param cost in quote quanta.
    /// @param proceeds in quote quanta, at most `cost`.
    /// @return bad zero when done; nothing has changed otherwise.
    function move(
        uint256 market,
        uint256 buyer,
        uint256 seller,
        uint256 size,
        uint256 cost,
        uint256 proceeds
    ) internal pure returns (uint256 bad) {
        assembly ("memory-safe") {
            let shape := mload(add(market, 0xc0))
            let baseShift := and(shr(8, shape), 0xff)
            shape := and(shape, 0xff)
            size := mul(size, mload(add(market, 0x80)))
            let pointer := and(shr(48, buyer), 0xffffff)
            let word := mload(pointer)
            let sellerPointer := and(shr(72, seller), 0xffffff)
            let sellerWord := mload(sellerPointer)
            bad := or(
                lt(and(shr(shape, word), 0xffffffffffffffff), cost),
                lt(and(shr(baseShift, sellerWord), 0xffffffffffffffff), size)
            )
            if iszero(bad) {
                mstore(pointer, sub(word, shl(shape, cost)))
                mstore(sellerPointer, sub(sellerWord, shl(baseShift, size)))
                pointer := and(shr(72, buyer), 0xffffff)
                mstore(pointer, add(mload(pointer), shl(baseShift, size)))
                pointer := and(shr(48, seller), 0xffffff)
                mstore(pointer, add(mload(pointer), shl(shape, proceeds)))
                pointer := add(market, 0xe0)
                mstore(pointer, add(mload(pointer), sub(cost, proceeds)))
            }
        }
    }

    /// @dev Notes the fill in the order's lane; after the balances, since lane 0 shares its word with them.
    /// @param word first word of the order.
    /// @param second second word of the order.
    /// @param size of the fill in lots.
    function advance(uint256 word, uint256 second, uint256 size) internal pure {
        assembly ("memory-safe") {
            let pointer := and(shr(24, second), 0xffffff)
            let lane := mload(pointer)
            let sequence := and(shr(200, word), 0xffffffffff)
            size := add(size, mul(eq(shr(216, lane), sequence), and(shr(176, lane), 0xffffffffff)))
            switch shr(240, word)
            case 0 {
                lane := shr(80, shl(80, lane))
            }
            default {
                lane := shl(16, shr(96, second))
            }
            mstore(pointer, or(or(shl(216, sequence), shl(176, size)), lane))
        }
    }
}
