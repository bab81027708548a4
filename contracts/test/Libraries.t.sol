// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { FastPath } from "../libraries/FastPath.sol";
import { OrderHash, OrderHashReference } from "../libraries/OrderHash.sol";
import { Progress } from "../libraries/Progress.sol";
import { Raw } from "../libraries/Raw.sol";
import { Signatures } from "../libraries/Signatures.sol";
import { Slots } from "../libraries/Slots.sol";
import { CHEATS, expectEqual } from "./Cheats.sol";

/// @title The assembly libraries against plain Solidity.
contract LibrariesTest {
    function testFuzz_orderDigestEqualsItsReference(
        uint256 word,
        address account,
        address baseToken,
        address quoteToken,
        uint120 baseUnits,
        uint120 quoteUnits,
        bytes32 separator
    ) external pure {
        uint256 scratch = _scratch(separator);
        uint256 digest = OrderHash.digest(
            scratch,
            word,
            uint160(account),
            uint160(baseToken),
            uint160(quoteToken),
            baseUnits,
            quoteUnits
        );
        bytes32 expected = OrderHashReference.digest(
            separator,
            word,
            account,
            baseToken,
            quoteToken,
            baseUnits,
            quoteUnits
        );
        expectEqual(digest, uint256(expected), "digest");
        // The scratch memory is used again: a second order must not see the first.
        digest = OrderHash.digest(scratch, ~word, uint160(account), 1, 2, 3, 4);
        expected = OrderHashReference.digest(separator, ~word, account, address(1), address(2), 3, 4);
        expectEqual(digest, uint256(expected), "second digest");
    }

    function testFuzz_recoveryEqualsThePrecompiles(uint256 key, bytes32 digest) external view {
        key = 1 + (key % (2 ** 250));
        (uint8 v, bytes32 r, bytes32 s) = CHEATS.sign(key, digest);
        bytes32 vs = bytes32((uint256(v - 27) << 255) | uint256(s));
        expectEqual(uint160(this.recoverFromCalldata(digest, r, vs)), uint160(CHEATS.addr(key)), "signer");
        expectEqual(uint160(Signatures.recover(digest, r, vs)), uint160(CHEATS.addr(key)), "signer");
        // The twin with a high s: its top bit is the parity's place, so it never stands for the same signer.
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        vs = bytes32((uint256(28 - v) << 255) | (order - uint256(s)));
        expectEqual(this.recoverFromCalldata(digest, r, vs) == CHEATS.addr(key) ? 1 : 0, 0, "high s");
        expectEqual(Signatures.recover(digest, r, vs) == CHEATS.addr(key) ? 1 : 0, 0, "high s");
    }

    function testFuzz_valuesAboveHalfTheOrderAreRefused(bytes32 digest, bytes32 r, uint256 above) external view {
        uint256 s = Signatures.HALF_ORDER + 1 + (above % ((1 << 255) - 1 - Signatures.HALF_ORDER));
        expectEqual(uint160(this.recoverFromCalldata(digest, r, bytes32(s))), 0, "high s");
        expectEqual(uint160(Signatures.recover(digest, r, bytes32(s))), 0, "high s");
    }

    function recoverFromCalldata(bytes32 digest, bytes32, bytes32) external view returns (address) {
        return address(uint160(OrderHash.recover(_scratch(0), uint256(digest), 36)));
    }

    function testFuzz_tagEqualsItsDefinition(bytes32 digest, address signer) external pure {
        uint256 expected = uint256(keccak256(abi.encode(digest, signer))) >> 96;
        expectEqual(OrderHash.tag(uint256(digest), uint160(signer)), expected, "tag");
    }

    function testFuzz_assetsHavePlacesOfTheirOwn(uint16 asset) external pure {
        (uint256 page, uint256 shift) = Slots.ofAsset(asset);
        expectEqual(page, asset < 2 ? 0 : 1 + (uint256(asset) - 2) / 4, "page");
        expectEqual(shift, asset < 2 ? 64 * uint256(asset) : 64 * ((uint256(asset) - 2) % 4), "shift");
    }

    function testFuzz_badTermsEqualsTheChecksOneByOne(
        uint256 word,
        bool open,
        uint48 cutoff,
        uint48 sequenceMax,
        uint48 expiryMin,
        uint64 lifeBase
    ) external pure {
        uint256 sequence = uint40(word >> 200);
        uint256 expiry = uint40(word >> 72);
        bool bad =
            !open ||
                uint16(word >> 56) > 50_000 ||
                sequence == 0 ||
                sequence > sequenceMax ||
                expiry * 1000 > lifeBase + sequence ||
                expiry < expiryMin ||
                sequence < cutoff;
        uint256 found = FastPath.badTerms(word, open ? 1 << 48 : 0, cutoff, sequenceMax, expiryMin, lifeBase);
        expectEqual(found == 0 ? 0 : 1, bad ? 1 : 0, "bad terms");
    }

    function testFuzz_badPairEqualsTheChecksOneByOne(uint256 taker, uint256 maker, uint8 alike) external pure {
        // Random words differ everywhere; make some fields agree.
        if (alike & 1 != 0) maker = (maker & ~uint256(0xff << 192)) | (taker & (0xff << 192));
        if (alike & 2 != 0) maker = (maker & ~uint256(1 << 184)) | (~taker & (1 << 184));
        if (alike & 4 != 0) (taker, maker) = (taker & ~uint256(0xff), maker & ~uint256(0xff));
        if (alike & 8 != 0) maker &= ~uint256(3 << 185);
        if (alike & 16 != 0) taker &= ~uint256(1 << 187);
        if (alike & 32 != 0) maker = (maker & ~uint256(0xffffffff << 112)) | (taker & (0xffffffff << 112));
        if (alike & 64 != 0) maker = (maker & ~uint256(0xffffff << 32)) | (taker & (0xffffff << 32));
        uint256 timeInForce = (maker >> 185) & 3;
        bool takerBuys = (taker >> 184) & 1 == 0;
        bool bad =
            uint8(taker) != 0 ||
                uint8(maker) != 0 ||
                uint8(taker >> 192) != uint8(maker >> 192) ||
                (taker >> 184) & 1 == (maker >> 184) & 1 ||
                uint24(taker >> 32) == uint24(maker >> 32) ||
                (taker >> 187) & 1 == 1 ||
                timeInForce == 1 ||
                timeInForce == 2 ||
                (takerBuys ? uint32(taker >> 112) < uint32(maker >> 112) : uint32(taker >> 112) > uint32(maker >> 112));
        expectEqual(FastPath.badPair(taker, maker, 1) == 0 ? 0 : 1, bad ? 1 : 0, "bad pair");
        expectEqual(FastPath.badPair(taker, maker, 0) == 0 ? 0 : 1, 1, "zero notional");
    }

    function testFuzz_laneTakesWhatItsReferenceTakes(
        uint256 word,
        uint256 lane,
        uint40 size,
        uint16 fee,
        uint16 feeMax,
        bool same
    ) external pure {
        if (same) lane = (lane & Slots.BELOW_FILLED) | (uint256(uint40(word >> 200)) << 216);
        uint256 pointer = Raw.freePointer();
        Raw.setFreePointer(pointer + 0x20);
        Raw.store(pointer, lane);
        uint256 second = (uint256(uint160(word)) << 96) | (pointer << 24);
        uint256 sequence = uint40(word >> 200);
        uint256 filled = lane >> 216 == sequence ? uint40(lane >> 176) : 0;
        bool bad =
            fee > uint16(word >> 56) || fee > feeMax || lane >> 216 > sequence || filled + size > uint40(word >> 144);
        expectEqual(FastPath.badLane(word, second, size, fee, feeMax) == 0 ? 0 : 1, bad ? 1 : 0, "bad lane");
        if (bad) return;
        FastPath.advance(word, second, size);
        uint256 rest = word >> 240 == 0 ? lane & Slots.BELOW_FILLED : uint256(uint160(word)) << 16;
        expectEqual(Raw.load(pointer), (sequence << 216) | ((filled + size) << 176) | rest, "lane");
    }

    function testFuzz_movesWhatItsReferenceMoves(
        uint64[4] memory balances,
        uint64 cost,
        uint64 fee,
        uint32 size,
        uint8 places
    ) external pure {
        for (uint256 i = 0; i < 4; ++i) balances[i] %= 1 << 53;
        cost %= 1 << 53;
        uint256 proceeds = cost - (fee % (uint256(cost) + 1));
        // Words: buyer base, buyer quote, seller base, seller quote; base in slot 0 or 2, quote in slot 1 or 3; one word when both are on one page.
        uint256 baseShift = places & 1 == 0 ? 0 : 128;
        uint256 quoteShift = places & 2 == 0 ? 64 : 192;
        bool onePage = places & 4 == 0;
        uint256 pointer = Raw.freePointer();
        Raw.setFreePointer(pointer + 0x180);
        uint256 market = pointer + 0x80;
        Raw.store(market + 0x80, 3);
        Raw.store(market + 0xc0, (baseShift << 8) | quoteShift);
        Raw.store(market + 0xe0, 5);
        uint256[2] memory bases = [pointer, pointer + 0x40];
        uint256[2] memory quotes = onePage ? [pointer, pointer + 0x40] : [pointer + 0x20, pointer + 0x60];
        for (uint256 i = 0; i < 4; ++i) Raw.store(pointer + 0x20 * i, 0);
        for (uint256 i = 0; i < 2; ++i) {
            Raw.store(bases[i], Raw.load(bases[i]) | (uint256(balances[2 * i]) << baseShift));
            Raw.store(quotes[i], Raw.load(quotes[i]) | (uint256(balances[2 * i + 1]) << quoteShift));
        }
        uint256 base = uint256(size) * 3;
        bool bad = balances[1] < cost || balances[2] < base;
        uint256 found = FastPath.move(
            market,
            (bases[0] << 72) | (quotes[0] << 48),
            (bases[1] << 72) | (quotes[1] << 48),
            size,
            cost,
            proceeds
        );
        expectEqual(found == 0 ? 0 : 1, bad ? 1 : 0, "moved");
        if (bad) (base, cost, proceeds) = (0, 0, 0);
        expectEqual((Raw.load(bases[0]) >> baseShift) & Slots.MASK_64, balances[0] + base, "buyer's base");
        expectEqual((Raw.load(quotes[0]) >> quoteShift) & Slots.MASK_64, balances[1] - cost, "buyer's quote");
        expectEqual((Raw.load(bases[1]) >> baseShift) & Slots.MASK_64, balances[2] - base, "seller's base");
        expectEqual((Raw.load(quotes[1]) >> quoteShift) & Slots.MASK_64, balances[3] + proceeds, "seller's quote");
        expectEqual(Raw.load(market + 0xe0), 5 + cost - proceeds, "fees");
    }

    function testFuzz_progressKeepsItsFieldsApart(
        uint32 batchId,
        uint32 epoch,
        uint40 events,
        uint40 pausedUntil,
        uint56[3] memory totals
    ) external pure {
        events = uint40(events % 1_000_000);
        totals = [totals[0] >> 4, totals[1] >> 4, totals[2] >> 4];
        // One event more than before, whatever lies beside it.
        Progress progress = Progress
            .wrap(uint256(events) << 64)
            .withPause(pausedUntil)
            .withBatch(batchId, 7)
            .withEpoch(epoch)
            .withNextEvent()
            .withTotals(totals[0], totals[1])
            .plusBooked(totals[2])
            .plusFees(totals[2]);
        expectEqual(progress.batchId(), batchId, "batch id");
        expectEqual(progress.epoch(), epoch, "epoch");
        expectEqual(progress.eventSequence(), events + 1, "event sequence");
        expectEqual(progress.pausedUntil(), pausedUntil, "paused until");
        expectEqual(progress.booked(), totals[0] + totals[2], "booked");
        expectEqual(progress.fees(), totals[1] + totals[2], "fees");
        uint256 word = Progress.unwrap(progress.minusBooked(totals[2]));
        uint256 plain = (uint256(totals[1] + totals[2]) << 200) | (uint256(totals[0]) << 144);
        plain |= (uint256(pausedUntil) << 104) | (uint256(events + 1) << 64) | (uint256(epoch) << 32) | batchId;
        expectEqual(word, plain, "word");
    }

    function testFuzz_exitRequestsTellTokensApart(
        address account,
        address token,
        uint16 asset,
        uint64 due
    ) external pure {
        uint256 word = Slots.exitRequest(token, asset, 9, due);
        expectEqual(word >> 96, uint160(token), "token");
        expectEqual(uint16(word >> 80), asset, "asset");
        expectEqual(uint8(word >> 72), 9, "exponent");
        expectEqual(uint64(word), due, "due");
        uint256 slot = Slots.ofExit(account, token);
        expectEqual(slot >> 96, uint160(account), "account");
        expectEqual((slot >> 80) & 0xffff, 3, "kind");
        expectEqual(uint80(slot), uint80(uint160(token)), "end of the token");
    }

    function _scratch(bytes32 separator) private pure returns (uint256 scratch) {
        scratch = Raw.freePointer();
        Raw.setFreePointer(scratch + OrderHash.SCRATCH_SIZE);
        OrderHash.prepare(scratch, separator);
    }
}
