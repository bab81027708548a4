// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Settlement's arithmetic in plain Solidity, for the SMTChecker to prove what its unchecked code relies on.
/// @dev Bounds of the arguments are those of the packed fields that they are read from.
contract Arithmetic {
    uint256 private constant TOTAL_MAX = 1 << 53;

    /// @dev size × price × step cannot overflow; fees never exceed the notional; what the buyer pays is what the seller and the fees get.
    function notionalAndFees(
        uint40 size,
        uint32 price,
        uint56 tickQuanta,
        uint16 takerPpm,
        uint16 makerPpm
    ) external pure {
        uint256 notional = uint256(size) * price * tickQuanta;
        assert(notional < 1 << 128);
        uint256 takerFee = (notional * takerPpm) / 1_000_000;
        uint256 makerFee = (notional * makerPpm) / 1_000_000;
        assert(takerFee <= notional && makerFee <= notional);
        uint256 cost = notional + takerFee;
        uint256 proceeds = notional - makerFee;
        assert(proceeds <= cost);
        assert(cost - proceeds == takerFee + makerFee);
    }

    /// @dev `FastPath.move` without packing: nothing is created or lost, and no balance outgrows its 64 bits while the total is below 2^53.
    function move(
        uint64 buyerQuote,
        uint64 sellerQuote,
        uint64 buyerBase,
        uint64 sellerBase,
        uint64 fees,
        uint128 cost,
        uint128 proceeds,
        uint128 base
    ) external pure {
        require(uint256(buyerQuote) + sellerQuote + fees < TOTAL_MAX);
        require(uint256(buyerBase) + sellerBase < TOTAL_MAX);
        require(proceeds <= cost);
        if (buyerQuote < cost || sellerBase < base) return;
        uint256 buyerQuoteAfter = buyerQuote - cost;
        uint256 sellerQuoteAfter = uint256(sellerQuote) + proceeds;
        uint256 feesAfter = uint256(fees) + (cost - proceeds);
        uint256 buyerBaseAfter = uint256(buyerBase) + base;
        uint256 sellerBaseAfter = sellerBase - base;
        assert(buyerQuoteAfter + sellerQuoteAfter + feesAfter == uint256(buyerQuote) + sellerQuote + fees);
        assert(buyerBaseAfter + sellerBaseAfter == uint256(buyerBase) + sellerBase);
        assert(sellerQuoteAfter < 1 << 64 && buyerBaseAfter < 1 << 64 && feesAfter < 1 << 56);
    }

    /// @dev A 256-bit word as four fields of 64 bits: adding to one field, within its bound, leaves the three others as they were.
    function addToField(uint64 a, uint64 b, uint64 c, uint64 d, uint64 quanta) external pure {
        uint256 word = a + uint256(b) * 2 ** 64 + uint256(c) * 2 ** 128 + uint256(d) * 2 ** 192;
        require(uint256(b) + quanta < 2 ** 64);
        uint256 changed = word + uint256(quanta) * 2 ** 64;
        assert(changed % 2 ** 64 == a);
        assert((changed / 2 ** 64) % 2 ** 64 == uint256(b) + quanta);
        assert((changed / 2 ** 128) % 2 ** 64 == c);
        assert(changed / 2 ** 192 == d);
    }

    /// @dev The same for taking away.
    function takeFromField(uint64 a, uint64 b, uint64 c, uint64 d, uint64 quanta) external pure {
        uint256 word = a + uint256(b) * 2 ** 64 + uint256(c) * 2 ** 128 + uint256(d) * 2 ** 192;
        require(b >= quanta);
        uint256 changed = word - uint256(quanta) * 2 ** 64;
        assert(changed % 2 ** 64 == a);
        assert((changed / 2 ** 64) % 2 ** 64 == b - quanta);
        assert((changed / 2 ** 128) % 2 ** 64 == c);
        assert(changed / 2 ** 192 == d);
    }

    /// @dev `FastPath.badLane` and `advance` without packing: a lane never goes back, and never holds more than its order's size.
    function fillLane(
        uint40 laneSequence,
        uint40 laneFilled,
        uint40 sequence,
        uint40 orderSize,
        uint40 size
    ) external pure {
        if (laneSequence > sequence) return;
        uint256 filled = uint256(size) + (laneSequence == sequence ? laneFilled : 0);
        if (filled > orderSize) return;
        assert(filled < 1 << 40);
        assert(filled >= size);
        assert(laneSequence != sequence || filled >= laneFilled);
        assert(laneSequence <= sequence);
    }

    /// @dev `Slots.ofAsset` without shifts: every asset has a page below 256 and a field of its own, and only two lie on page 0.
    function placesOfAssets(uint16 one, uint16 other) external pure {
        require(one < 1_022 && other < 1_022);
        uint256 page = one < 2 ? 0 : 1 + (uint256(one) - 2) / 4;
        uint256 field = one < 2 ? one : (uint256(one) - 2) % 4;
        uint256 otherPage = other < 2 ? 0 : 1 + (uint256(other) - 2) / 4;
        uint256 otherField = other < 2 ? other : (uint256(other) - 2) % 4;
        assert(page < 256 && field < 4);
        assert(page != 0 || field < 2);
        assert(one == other || page != otherPage || field != otherField);
    }

    /// @dev `_withinOutflowLimit`: no underflow, and within a window the booked total never falls by more than the limit.
    function outflow(uint56 booked, uint56 bookedAtStart, uint56 limit, uint56 paid) external pure {
        require(paid <= booked);
        if (uint256(booked) - paid + limit < bookedAtStart) return;
        assert(bookedAtStart <= uint256(booked) - paid || bookedAtStart - (uint256(booked) - paid) <= limit);
    }

    /// @dev Times: what a batch compares cannot overflow, at any time before the year 36,800.
    function times(uint40 now_, uint40 deployedAt, uint40 sequence, uint40 expiry, uint32 grace) external pure {
        require(now_ >= deployedAt && now_ >= grace);
        uint256 sequenceMax = (uint256(now_) - deployedAt + 2 minutes) * 1000;
        uint256 lifeBase = (uint256(deployedAt) + 30 days) * 1000;
        assert(sequenceMax < 1 << 64 && lifeBase + sequence < 1 << 64);
        assert(uint256(expiry) * 1000 < 1 << 64);
        assert(now_ - grace <= now_);
    }
}
