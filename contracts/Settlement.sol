// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IVaultSettlement } from "./interfaces/IVault.sol";
import { FastPath } from "./libraries/FastPath.sol";
import { Hashes } from "./libraries/Hashes.sol";
import { OrderHash } from "./libraries/OrderHash.sol";
import { Progress } from "./libraries/Progress.sol";
import { Raw } from "./libraries/Raw.sol";
import { Signatures } from "./libraries/Signatures.sol";
import { Slots } from "./libraries/Slots.sol";
import { Withdrawals } from "./Withdrawals.sol";

/// @title Settlement of batches.
/// @notice A batch is read from calldata front to back, once. Accounts bring their storage pages into memory, orders are checked and point to the words in
/// memory that they move, fills move balances between those words, and the words that changed are written back. Then withdrawals run, on storage.
///
/// Why the books stay solvent whatever bytes the engine signs: a fill takes `cost` from one word field that holds at least as much, and adds the same
/// amount, split in three, to the seller, and to two fees; it takes `base` from a field that holds as much and adds it to another. Fields
/// belong to different (account, page, slot) by the strict order of accounts and pages, and a fill between the same account is refused. So the sum
/// per asset never changes; it is below 2^53 (checked at deposit), so that no 64-bit field overflows into its neighbour.
///
/// Words in memory:
///   page or lane record (64 bytes): storage slot · present value
///   order (64 bytes): lane (16) · sequence (40) · market position (8) · flags (8) · size (40) · price (32) · expiry (40) · maximum fee (16)
///                     · account's first record (24) · market (24) · mark (8) = 256
///                     tag (160) · base balance (24) · quote balance (24) · lane (24) · unused (24) = 256; the last three point to present values
///   market (256 bytes): tokens, units and quanta per step, shape, fees taken in this batch
abstract contract Settlement is Withdrawals, IVaultSettlement {
    /// @dev One run through a batch's trades.
    struct Pass {
        /// Calldata offset of the content.
        uint256 start;
        uint256 markets;
        uint256 marketCount;
        uint256 orders;
        uint256 ordersEnd;
        uint256 records;
        uint256 recordsEnd;
        /// Where order hashes are computed.
        uint256 scratch;
        /// Latest sequence accepted.
        uint256 sequenceMax;
        /// Earliest expiry that still settles.
        uint256 expiryMin;
        /// An order with 1000 × expiry above this plus its sequence lives too long.
        uint256 lifeBase;
        uint256 takerFeeMax;
        uint256 makerFeeMax;
        /// The account whose orders are read: its first record, the end of its pages, its present lane, the lowest lane and sequence that
        /// may come next, the sequence below which its orders are cancelled.
        uint256 firstRecord;
        uint256 pagesEnd;
        uint256 laneRecord;
        uint256 lowestKey;
        uint256 cutoff;
    }

    uint256 private constant _COUNT_BYTES = 9;
    uint256 private constant _ACCOUNT_BYTES = 23;
    uint256 private constant _ORDER_BYTES = 25;
    uint256 private constant _FILL_BYTES = 13;

    uint256 private constant _MARKET_SIZE = 0x100;
    uint256 private constant _M_QUOTE_TOKEN = 0x20;
    uint256 private constant _M_BASE_UNITS = 0x40;
    uint256 private constant _M_QUOTE_UNITS = 0x60;
    uint256 private constant _M_LOT_QUANTA = 0x80;
    uint256 private constant _M_TICK_QUANTA = 0xa0;
    /// @dev open (8) · index (16) · base page (8) · quote page (8) · base shift (8) · quote shift (8)
    uint256 private constant _M_SHAPE = 0xc0;
    uint256 private constant _M_FEES = 0xe0;

    uint256 private constant _MASK_16 = 0xffff;
    uint256 private constant _MASK_24 = 0xffffff;
    uint256 private constant _MASK_32 = 0xffffffff;
    uint256 private constant _MASK_40 = 0xffffffffff;

    uint256 private constant _IOC = 1;
    uint256 private constant _FOK = 2;

    uint256 private constant _BAD_SIGNATURE = 1;
    uint256 private constant _EXPIRED = 2;
    uint256 private constant _CANCELLED = 3;
    uint256 private constant _SUPERSEDED = 4;
    uint256 private constant _OVERFILLED = 5;
    uint256 private constant _MISPRICED = 6;
    uint256 private constant _INSUFFICIENT_BALANCE = 7;
    uint256 private constant _SELF_TRADE = 8;
    uint256 private constant _POST_ONLY_TAKER = 9;
    uint256 private constant _FEE_TOO_HIGH = 10;
    uint256 private constant _FILL_OR_KILL = 11;
    uint256 private constant _INVALID_ORDER = 12;
    uint256 private constant _MARKET_CLOSED = 13;
    uint256 private constant _ZERO_SIZE = 14;
    uint256 private constant _SESSION_KEY_INVALID = 15;
    uint256 private constant _NOT_REGISTERED = 16;
    uint256 private constant _NOT_VERIFIED = 17;
    uint256 private constant _IMMEDIATE_MAKER = 18;
    uint256 private constant _IMMEDIATE_REUSED = 19;
    uint256 private constant _MARKET_MISMATCH = 20;
    uint256 private constant _SAME_SIDE = 21;
    /// @dev Added to a reason when the maker order is at fault.
    uint256 private constant _MAKER_FAULT = 0x80;

    /// @inheritdoc IVaultSettlement
    function settle(
        Batch calldata batch,
        bytes calldata content,
        bytes32 engineSignatureR,
        bytes32 engineSignatureVs
    ) external nonReentrant {
        // solhint-disable-next-line avoid-tx-origin
        if (msg.sender != tx.origin || msg.sender.code.length != 0) revert NotFromPlainAccount(msg.sender);
        Progress progress = _progress;
        if (block.timestamp < progress.pausedUntil()) revert VaultPaused(progress.pausedUntil());
        bytes32 parent = _batchHash;
        unchecked {
            if (batch.id != progress.batchId() + 1) revert WrongBatchId(progress.batchId() + 1, batch.id);
        }
        if (batch.parent != parent) revert WrongParent(parent, batch.parent);
        if (batch.epoch < progress.epoch()) revert StaleEpoch(progress.epoch(), batch.epoch);
        // Nobody, not even with a stolen key, uses the epochs up: that would take millions of batches.
        if (batch.epoch > progress.epoch() + EPOCH_STEP_MAX || batch.epoch > EPOCH_MAX) {
            revert EpochTooFar(progress.epoch(), batch.epoch);
        }
        bytes32 contentHash = _hashContent(content);
        bytes32 separator = domainSeparator();
        Engine memory engine = _engine;
        _checkEngineSignature(batch, contentHash, separator, engine.key, engineSignatureR, engineSignatureVs);

        bytes32 batchHash = keccak256(
            abi.encode(batch.id, batch.parent, contentHash, batch.journalSequence, batch.journalHash)
        );
        progress = progress.withBatch(batch.id, batch.epoch).withNextEvent();
        _batchHash = batchHash;
        _progress = progress;

        (bytes memory skips, bytes memory withdrawals) = _settleContent(content, separator, engine);
        emit BatchSettled(batch.id, progress.eventSequence(), batch.epoch, contentHash, batchHash, skips, withdrawals);
    }

    function _hashContent(bytes calldata content) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let pointer := mload(0x40)
            calldatacopy(pointer, content.offset, content.length)
            hash := keccak256(pointer, content.length)
        }
    }

    function _checkEngineSignature(
        Batch calldata batch,
        bytes32 contentHash,
        bytes32 separator,
        address key,
        bytes32 r,
        bytes32 vs
    ) private view {
        bytes32 structHash = keccak256(
            abi.encode(
                Hashes.BATCH_TYPEHASH,
                batch.id,
                batch.parent,
                contentHash,
                batch.epoch,
                batch.journalSequence,
                batch.journalHash
            )
        );
        address recovered = Signatures.recover(Hashes.digest(separator, structHash), r, vs);
        if (recovered != key || key == address(0)) revert BadEngineSignature(key, recovered);
    }

    function _settleContent(
        bytes calldata content,
        bytes32 separator,
        Engine memory engine
    ) private returns (bytes memory skips, bytes memory withdrawals) {
        unchecked {
            uint256 start;
            assembly ("memory-safe") {
                start := content.offset
            }
            uint256 end = start + content.length;
            uint256 counts = Raw.input(start);
            uint256 cursor;
            {
                Pass memory pass = _begin(start, (counts >> 224) & _MASK_16, (counts >> 184) & 0xff, separator, engine);
                cursor = _loadMarkets(pass);
                cursor = _loadAccounts(pass, cursor, counts >> 240);
                (cursor, skips) = _runFills(pass, cursor, (counts >> 208) & _MASK_16);
                _writeBack(pass);
                // Withdrawals may have been cut off: their reader checks every record against the end.
                if (cursor > end) revert MalformedContent(content.length);
            }
            uint256 withdrawalCount = (counts >> 192) & _MASK_16;
            if (withdrawalCount != 0) (cursor, withdrawals) = _withdrawAll(cursor, withdrawalCount, start, end);
            if (cursor != end) revert MalformedContent(cursor - start);
        }
    }

    /// @dev Lays out memory: markets, orders, hashing scratch, then records, which grow upwards.
    function _begin(
        uint256 start,
        uint256 orderCount,
        uint256 marketCount,
        bytes32 separator,
        Engine memory engine
    ) private view returns (Pass memory pass) {
        unchecked {
            pass.start = start;
            pass.marketCount = marketCount;
            pass.markets = Raw.freePointer();
            pass.orders = pass.markets + marketCount * _MARKET_SIZE;
            pass.ordersEnd = pass.orders + (orderCount << 6);
            pass.scratch = pass.ordersEnd;
            OrderHash.prepare(pass.scratch, separator);
            pass.records = pass.scratch + OrderHash.SCRATCH_SIZE;
            pass.recordsEnd = pass.records;
            Raw.setFreePointer(pass.records);
            uint256 age = block.timestamp - DEPLOYED_AT;
            pass.sequenceMax = (age + SEQUENCE_AHEAD) * 1000;
            pass.expiryMin = block.timestamp - GRACE;
            pass.lifeBase = (DEPLOYED_AT + ORDER_LIFE) * 1000;
            pass.takerFeeMax = engine.takerFeePpm;
            pass.makerFeeMax = engine.makerFeePpm;
            if (age < uint256(engine.feesSetAt) + GRACE) {
                if (engine.earlierTakerFeePpm > pass.takerFeeMax) pass.takerFeeMax = engine.earlierTakerFeePpm;
                if (engine.earlierMakerFeePpm > pass.makerFeeMax) pass.makerFeeMax = engine.earlierMakerFeePpm;
            }
        }
    }

    function _loadMarkets(Pass memory pass) private view returns (uint256 cursor) {
        unchecked {
            cursor = pass.start + _COUNT_BYTES;
            uint256 pointer = pass.markets;
            uint256 lowest = 0;
            for (uint256 i = 0; i < pass.marketCount; ++i) {
                uint256 index = Raw.input(cursor) >> 240;
                if (index < lowest) revert MalformedContent(cursor - pass.start);
                lowest = index + 1;
                cursor += 2;
                _loadMarket(pointer, index);
                pointer += _MARKET_SIZE;
            }
        }
    }

    function _loadMarket(uint256 pointer, uint256 index) private view {
        unchecked {
            Raw.store(pointer + _M_SHAPE, 0);
            Raw.store(pointer + _M_FEES, 0);
            // Not by the array's own access, which would read its length as well: an unlisted market has no base token.
            uint256 slot;
            assembly ("memory-safe") {
                mstore(0, _markets.slot)
                slot := add(keccak256(0, 0x20), mul(index, 3))
            }
            uint256 first = Raw.read(slot);
            if (first == 0) return;
            uint256 second = Raw.read(slot + 1);
            uint256 delistedAt = (second >> 216) & _MASK_32;
            if (delistedAt != 0 && block.timestamp > DEPLOYED_AT + delistedAt + GRACE) return;
            uint256 lotQuanta = (first >> 160) & ((1 << 56) - 1);
            uint256 tickQuanta = (second >> 160) & ((1 << 56) - 1);
            (uint256 basePage, uint256 baseShift) = Slots.ofAsset((first >> 216) & _MASK_16);
            (uint256 quotePage, uint256 quoteShift) = Slots.ofAsset((first >> 232) & _MASK_16);
            Raw.store(pointer, uint160(first));
            Raw.store(pointer + _M_QUOTE_TOKEN, uint160(second));
            Raw.store(pointer + _M_BASE_UNITS, lotQuanta * _quantum(first >> 248));
            Raw.store(pointer + _M_QUOTE_UNITS, tickQuanta * _quantum(second >> 248));
            Raw.store(pointer + _M_LOT_QUANTA, lotQuanta);
            Raw.store(pointer + _M_TICK_QUANTA, tickQuanta);
            Raw.store(
                pointer + _M_SHAPE,
                (1 << 48) | (index << 32) | (basePage << 24) | (quotePage << 16) | (baseShift << 8) | quoteShift
            );
        }
    }

    function _loadAccounts(Pass memory pass, uint256 cursor, uint256 accountCount) private view returns (uint256) {
        unchecked {
            uint256 record = pass.records;
            uint256 order = pass.orders;
            uint256 lowest = 1 << 96;
            while (accountCount != 0) {
                --accountCount;
                uint256 word = Raw.input(cursor);
                uint256 base = word & ~uint256((1 << 96) - 1);
                if (base < lowest) revert MalformedContent(cursor - pass.start);
                lowest = base + 1;
                cursor += _ACCOUNT_BYTES;
                uint256 firstRecord = record;
                record = _addRecord(record, base);
                // Strictly ascending from 1: the lowest page that may come next.
                uint256 nextPage = 1;
                for (uint256 extra = (word >> 88) & 0xff; extra != 0; --extra) {
                    uint256 page = Raw.input(cursor) >> 248;
                    if (page < nextPage) revert MalformedContent(cursor - pass.start);
                    nextPage = page + 1;
                    ++cursor;
                    record = _addRecord(record, base | page);
                }
                word = (word >> 72) & _MASK_16;
                if (word != 0) {
                    if (order + (word << 6) > pass.ordersEnd) revert MalformedContent(cursor - pass.start);
                    (cursor, record) = _loadOrders(pass, cursor, order, word, firstRecord, record);
                    order += word << 6;
                }
            }
            if (order != pass.ordersEnd) revert MalformedContent(cursor - pass.start);
            pass.recordsEnd = record;
            Raw.setFreePointer(record);
            return cursor;
        }
    }

    function _addRecord(uint256 record, uint256 slot) private view returns (uint256 next) {
        unchecked {
            Raw.store(record, slot);
            Raw.store(record + 0x20, Raw.read(slot));
            return record + 0x40;
        }
    }

    /// @dev Reads and checks an account's orders, of which there is at least one.
    function _loadOrders(
        Pass memory pass,
        uint256 cursor,
        uint256 order,
        uint256 count,
        uint256 firstRecord,
        uint256 record
    ) private view returns (uint256, uint256) {
        unchecked {
            pass.firstRecord = firstRecord;
            pass.pagesEnd = record;
            pass.recordsEnd = record;
            pass.laneRecord = firstRecord;
            pass.lowestKey = 0;
            pass.cutoff = _cutoff(Raw.load(firstRecord + 0x20));
            // The first order apart from the others: called from two places, `_loadOrder` keeps a stack of its own.
            cursor = _loadOrder(pass, cursor, order);
            while (--count != 0) {
                order += 0x40;
                cursor = _loadOrder(pass, cursor, order);
            }
            return (cursor, pass.recordsEnd);
        }
    }

    /// @dev An order that fails a check stays in the table, marked with the reason.
    /// @return next calldata offset behind the order.
    function _loadOrder(Pass memory pass, uint256 cursor, uint256 order) private view returns (uint256 next) {
        unchecked {
            uint256 word = Raw.input(cursor);
            if (word >> 200 < pass.lowestKey) revert MalformedContent(cursor - pass.start);
            pass.lowestKey = (word >> 200) + 1;
            uint256 market = (word >> 192) & 0xff;
            if (market >= pass.marketCount || (word >> 184) & 0xff > 79) revert MalformedContent(cursor - pass.start);
            market = pass.markets + market * _MARKET_SIZE;
            uint256 firstRecord = pass.firstRecord;
            word = ((word >> 56) << 56) | (firstRecord << 32) | (market << 8);
            uint256 laneRecord = firstRecord;
            if (word >> 240 != 0) laneRecord = _laneRecord(pass, word >> 240);
            uint256 shape = Raw.load(market + _M_SHAPE);
            uint256 second;
            if (shape & 0xffff0000 == 0) second = ((firstRecord + 0x20) << 72) | ((firstRecord + 0x20) << 48);
            else second = _findPages(pass, shape, cursor);
            uint256 kind = (word >> 188) & 7;
            next = cursor + _ORDER_BYTES;
            uint256 mark = 0;
            if (FastPath.badTerms(word, shape, pass.cutoff, pass.sequenceMax, pass.expiryMin, pass.lifeBase) != 0)
                mark = _checkTerms(pass, word, pass.cutoff);
            if (mark == 0) {
                uint256 tag;
                (mark, tag) = _checkAuthority(
                    pass,
                    word,
                    Raw.load(firstRecord) >> 96,
                    next,
                    Raw.load(laneRecord + 0x20),
                    kind
                );
                second |= tag << 96;
            }
            Raw.store(order, word | mark);
            Raw.store(order + 0x20, second | ((laneRecord + 0x20) << 24));
            if (kind < 2) next += 64;
            else if (kind == 4) next += 20;
        }
    }

    /// @dev Orders rise by lane, so that a lane's orders follow each other and share its record.
    function _laneRecord(Pass memory pass, uint256 lane) private view returns (uint256 record) {
        unchecked {
            uint256 slot = Raw.load(pass.firstRecord) | Slots.LANE | lane;
            record = pass.laneRecord;
            if (Raw.load(record) != slot) {
                record = pass.recordsEnd;
                pass.laneRecord = record;
                pass.recordsEnd = _addRecord(record, slot);
            }
        }
    }

    /// @return pointers to the pages of base (from bit 72) and quote (from bit 48).
    function _findPages(Pass memory pass, uint256 shape, uint256 cursor) private pure returns (uint256 pointers) {
        unchecked {
            uint256 page = _findPage(pass.firstRecord, pass.pagesEnd, (shape >> 24) & 0xff);
            uint256 quotePage = _findPage(pass.firstRecord, pass.pagesEnd, (shape >> 16) & 0xff);
            if (page == 0 || quotePage == 0) revert MalformedContent(cursor - pass.start);
            return (page << 72) | (quotePage << 48);
        }
    }

    /// @return pointer to the page's present value; zero when the account does not list the page.
    function _findPage(uint256 firstRecord, uint256 pagesEnd, uint256 page) private pure returns (uint256 pointer) {
        unchecked {
            if (page == 0) return firstRecord + 0x20;
            for (uint256 record = firstRecord + 0x40; record != pagesEnd; record += 0x40) {
                if (Raw.load(record) & 0xff == page) return record + 0x20;
            }
        }
    }

    /// @return mark zero when the order's terms can be settled now.
    function _checkTerms(Pass memory pass, uint256 word, uint256 cutoff) private pure returns (uint256 mark) {
        unchecked {
            uint256 sequence = (word >> 200) & _MASK_40;
            uint256 expiry = (word >> 72) & _MASK_40;
            if (Raw.load(((word >> 8) & _MASK_24) + _M_SHAPE) == 0) return _MARKET_CLOSED;
            if (
                (word >> 56) & _MASK_16 > FEE_CAP_PPM ||
                sequence == 0 ||
                sequence > pass.sequenceMax ||
                expiry * 1000 > pass.lifeBase + sequence
            ) return _INVALID_ORDER;
            if (expiry < pass.expiryMin) return _EXPIRED;
            if (sequence < cutoff) return _CANCELLED;
        }
    }

    /// @param laneWord the lane as stored.
    /// @return mark zero when the owner stands behind the order.
    /// @return tag to be written into a lane above 0 with the order's first fill.
    function _checkAuthority(
        Pass memory pass,
        uint256 word,
        uint256 account,
        uint256 cursor,
        uint256 laneWord,
        uint256 kind
    ) private view returns (uint256 mark, uint256 tag) {
        unchecked {
            uint256 market = (word >> 8) & _MASK_24;
            uint256 digest = OrderHash.digest(
                pass.scratch,
                word,
                account,
                Raw.load(market),
                Raw.load(market + _M_QUOTE_TOKEN),
                Raw.load(market + _M_BASE_UNITS),
                Raw.load(market + _M_QUOTE_UNITS)
            );
            uint256 signer = account;
            if (kind < 2) {
                signer = OrderHash.recover(pass.scratch, digest, cursor);
                if (kind == 0 ? signer != account : signer == 0) return (_BAD_SIGNATURE, 0);
            } else if (kind == 2) {
                if (!_registeredOrders[address(uint160(account))][bytes32(digest)]) return (_NOT_REGISTERED, 0);
            } else if (kind == 4) {
                signer = Raw.input(cursor) >> 96;
            }
            if (word >> 240 != 0) {
                tag = OrderHash.tag(digest, signer);
                if (kind > 2 && (laneWord >> Slots.TAG_SHIFT) & type(uint160).max != tag) return (_NOT_VERIFIED, 0);
            } else if (kind > 2) {
                return (_NOT_VERIFIED, 0);
            }
            if (kind == 1 || kind == 4) {
                uint256 index = (Raw.load(market + _M_SHAPE) >> 32) & _MASK_16;
                if (!_isSessionKeyValid(address(uint160(account)), address(uint160(signer)), index)) {
                    return (_SESSION_KEY_INVALID, 0);
                }
            }
            // IOC (1) and FOK (2), not GTC (0) and GTD (3).
            if ((((word >> 185) & 3) + 1) & 2 != 0 && laneWord >> Slots.SEQUENCE_SHIFT == (word >> 200) & _MASK_40)
                return (_IMMEDIATE_REUSED, 0);
        }
    }

    /// @return next calldata offset behind the fills.
    /// @return skips 4 bytes per skipped fill.
    function _runFills(
        Pass memory pass,
        uint256 cursor,
        uint256 count
    ) private pure returns (uint256 next, bytes memory skips) {
        unchecked {
            // One reason byte per fill; new memory is zero.
            bytes memory reasons = new bytes(count);
            uint256 skipped = 0;
            uint256 i = 0;
            while (i < count) {
                uint256 fill = Raw.input(cursor);
                uint256 taker = pass.orders + ((fill >> 240) << 6);
                if (taker >= pass.ordersEnd) revert MalformedContent(cursor - pass.start);
                uint256 word = Raw.load(taker);
                // Fill-or-kill and not marked.
                if (word & ((3 << 185) | 0xff) == _FOK << 185) {
                    uint256 run;
                    uint256 bad;
                    (run, bad) = _runFillOrKill(pass, cursor, i, count, reasons);
                    skipped += bad;
                    i += run;
                    cursor += run * _FILL_BYTES;
                    continue;
                }
                uint256 reason = _fill(pass, fill, taker, cursor);
                if (reason != 0) {
                    ++skipped;
                    _setReason(reasons, i, reason);
                }
                cursor += _FILL_BYTES;
                ++i;
            }
            next = cursor;
            if (skipped != 0) skips = _listSkips(reasons, skipped);
        }
    }

    /// @dev Executes the contiguous fills of a fill-or-kill taker, all or none.
    /// @return run how many fills there are.
    /// @return bad how many were skipped: none or all.
    function _runFillOrKill(
        Pass memory pass,
        uint256 cursor,
        uint256 first,
        uint256 count,
        bytes memory reasons
    ) private pure returns (uint256 run, uint256 bad) {
        unchecked {
            uint256 takerIndex = Raw.input(cursor) >> 240;
            uint256 taker = pass.orders + (takerIndex << 6);
            // Above the free pointer: nothing is allocated until the run is over.
            uint256 log = Raw.freePointer();
            uint256 top = log;
            uint256 failed = type(uint256).max;
            while (first + run < count) {
                uint256 fill = Raw.input(cursor);
                if (fill >> 240 != takerIndex) break;
                uint256 maker = pass.orders + (((fill >> 224) & _MASK_16) << 6);
                if (maker >= pass.ordersEnd) revert MalformedContent(cursor - pass.start);
                if (failed == type(uint256).max) {
                    top = _logOrder(_logOrder(top, taker), maker);
                    uint256 reason = _fill(pass, fill, taker, cursor);
                    if (reason != 0) {
                        failed = run;
                        _setReason(reasons, first + run, reason);
                    }
                }
                cursor += _FILL_BYTES;
                ++run;
            }
            if (failed == type(uint256).max && _isComplete(taker)) return (run, 0);
            while (top != log) {
                top -= 0x40;
                Raw.store(Raw.load(top), Raw.load(top + 0x20));
            }
            for (uint256 i = 0; i < run; ++i) {
                if (i != failed) _setReason(reasons, first + i, _FILL_OR_KILL);
            }
            Raw.store(taker, Raw.load(taker) | _FILL_OR_KILL);
            bad = run;
        }
    }

    /// @dev Notes every word in memory that a fill of this order may change.
    function _logOrder(uint256 top, uint256 order) private pure returns (uint256 next) {
        unchecked {
            uint256 second = Raw.load(order + 0x20);
            top = _logWord(top, (second >> 72) & _MASK_24);
            top = _logWord(top, (second >> 48) & _MASK_24);
            top = _logWord(top, (second >> 24) & _MASK_24);
            return _logWord(top, ((Raw.load(order) >> 8) & _MASK_24) + _M_FEES);
        }
    }

    function _logWord(uint256 top, uint256 pointer) private pure returns (uint256 next) {
        unchecked {
            Raw.store(top, pointer);
            Raw.store(top + 0x20, Raw.load(pointer));
            return top + 0x40;
        }
    }

    function _isComplete(uint256 order) private pure returns (bool) {
        unchecked {
            uint256 word = Raw.load(order);
            uint256 lane = Raw.load((Raw.load(order + 0x20) >> 24) & _MASK_24);
            return
                lane >> Slots.SEQUENCE_SHIFT == (word >> 200) & _MASK_40 &&
                (lane >> Slots.FILLED_SHIFT) & _MASK_40 == (word >> 144) & _MASK_40;
        }
    }

    /// @dev Stores all words, and the fees. To write a word that did not change costs little, 100 gas; to know of each whether it changed costs more,
    /// since nearly all did.
    function _writeBack(Pass memory pass) private {
        unchecked {
            uint256 end = pass.recordsEnd;
            for (uint256 record = pass.records; record != end; record += 0x40) {
                Raw.write(Raw.load(record), Raw.load(record + 0x20));
            }
            end = pass.orders;
            for (uint256 market = pass.markets; market != end; market += _MARKET_SIZE) {
                uint256 fees = Raw.load(market + _M_FEES);
                if (fees == 0) continue;
                // Quoted in the main asset: page 0, shift 64.
                if (Raw.load(market + _M_SHAPE) & 0xff00ff == 64) _progress = _progress.plusFees(fees);
                else _assets[address(uint160(Raw.load(market + _M_QUOTE_TOKEN)))].fees += uint56(fees);
            }
        }
    }

    function _setReason(bytes memory reasons, uint256 index, uint256 reason) private pure {
        assembly ("memory-safe") {
            mstore8(add(add(reasons, 0x20), index), reason)
        }
    }

    function _listSkips(bytes memory reasons, uint256 skipped) private pure returns (bytes memory skips) {
        unchecked {
            skips = new bytes(skipped * 4);
            uint256 offset = 0;
            for (uint256 i = 0; i < reasons.length; ++i) {
                uint256 reason = uint8(reasons[i]);
                if (reason == 0) continue;
                uint256 record = (i << 16) | ((reason >> 7) << 8) | (reason & 0x7f);
                assembly ("memory-safe") {
                    let pointer := add(add(skips, 4), offset)
                    mstore(pointer, or(and(mload(pointer), not(0xffffffff)), record))
                }
                offset += 4;
            }
        }
    }

    /// @dev Executes one fill, or changes nothing.
    /// @return reason zero when executed.
    function _fill(
        Pass memory pass,
        uint256 fill,
        uint256 taker,
        uint256 cursor
    ) private pure returns (uint256 reason) {
        unchecked {
            uint256 maker = pass.orders + (((fill >> 224) & _MASK_16) << 6);
            if (maker >= pass.ordersEnd) revert MalformedContent(cursor - pass.start);
            if (_execute(fill, taker, maker, pass.takerFeeMax, pass.makerFeeMax) == 0) return 0;
            reason = _reasonOf(pass, fill, taker, maker);
            // The fast path refuses nothing that has no reason to be refused.
            assert(reason != 0);
        }
    }

    /// @return bad zero when executed; nothing has changed otherwise.
    function _execute(
        uint256 fill,
        uint256 taker,
        uint256 maker,
        uint256 takerFeeMax,
        uint256 makerFeeMax
    ) private pure returns (uint256 bad) {
        unchecked {
            uint256 takerWord = Raw.load(taker);
            uint256 makerWord = Raw.load(maker);
            uint256 size = (fill >> 184) & _MASK_40;
            uint256 market = (takerWord >> 8) & _MASK_24;
            uint256 notional = size * ((makerWord >> 112) & _MASK_32) * Raw.load(market + _M_TICK_QUANTA);
            bad = FastPath.badPair(takerWord, makerWord, notional);
            if (bad != 0) return bad;
            // From here on the pointers are the orders' second words, the fees amounts.
            taker = Raw.load(taker + 0x20);
            maker = Raw.load(maker + 0x20);
            uint256 takerFee = (fill >> 168) & _MASK_16;
            fill = (fill >> 152) & _MASK_16;
            bad =
                FastPath.badLane(takerWord, taker, size, takerFee, takerFeeMax) |
                FastPath.badLane(makerWord, maker, size, fill, makerFeeMax);
            if (bad != 0) return bad;
            takerFee = (notional * takerFee) / 1_000_000;
            fill = (notional * fill) / 1_000_000;
            bad =
                (takerWord >> 184) & 1 == 0
                    ? FastPath.move(market, taker, maker, size, notional + takerFee, notional - fill)
                    : FastPath.move(market, maker, taker, size, notional + fill, notional - takerFee);
            if (bad != 0) return bad;
            FastPath.advance(takerWord, taker, size);
            FastPath.advance(makerWord, maker, size);
        }
    }

    /// @return reason why a fill cannot be executed, in the order of docs/batch-format.md; zero when it can.
    function _reasonOf(
        Pass memory pass,
        uint256 fill,
        uint256 taker,
        uint256 maker
    ) private pure returns (uint256 reason) {
        unchecked {
            uint256 takerWord = Raw.load(taker);
            uint256 makerWord = Raw.load(maker);
            uint256 size = (fill >> 184) & _MASK_40;
            uint256 market = (takerWord >> 8) & _MASK_24;
            uint256 notional = size * ((makerWord >> 112) & _MASK_32) * Raw.load(market + _M_TICK_QUANTA);
            reason = _checkPair(takerWord, makerWord, notional);
            if (reason != 0) return reason;
            uint256 takerSecond = Raw.load(taker + 0x20);
            uint256 makerSecond = Raw.load(maker + 0x20);
            reason = _checkLane(takerWord, takerSecond, size);
            if (reason != 0) return reason;
            reason = _checkLane(makerWord, makerSecond, size);
            if (reason != 0) return reason | _MAKER_FAULT;
            uint256 takerFee = (fill >> 168) & _MASK_16;
            if (takerFee > (takerWord >> 56) & _MASK_16 || takerFee > pass.takerFeeMax) return _FEE_TOO_HIGH;
            uint256 makerFee = (fill >> 152) & _MASK_16;
            if (makerFee > (makerWord >> 56) & _MASK_16 || makerFee > pass.makerFeeMax)
                return _FEE_TOO_HIGH | _MAKER_FAULT;
            uint256 base = size * Raw.load(market + _M_LOT_QUANTA);
            uint256 shape = Raw.load(market + _M_SHAPE);
            bool takerBuys = (takerWord >> 184) & 1 == 0;
            (uint256 buyer, uint256 seller) = takerBuys ? (takerSecond, makerSecond) : (makerSecond, takerSecond);
            uint256 cost = notional + (notional * (takerBuys ? takerFee : makerFee)) / 1_000_000;
            if ((Raw.load((buyer >> 48) & _MASK_24) >> (shape & 0xff)) & Slots.MASK_64 < cost)
                return takerBuys ? _INSUFFICIENT_BALANCE : _INSUFFICIENT_BALANCE | _MAKER_FAULT;
            if ((Raw.load((seller >> 72) & _MASK_24) >> ((shape >> 8) & 0xff)) & Slots.MASK_64 < base)
                return takerBuys ? _INSUFFICIENT_BALANCE | _MAKER_FAULT : _INSUFFICIENT_BALANCE;
        }
    }

    /// @dev What can be said about two orders without looking at lanes and balances.
    function _checkPair(uint256 takerWord, uint256 makerWord, uint256 notional) private pure returns (uint256 reason) {
        unchecked {
            if (takerWord & 0xff != 0) return takerWord & 0xff;
            if (makerWord & 0xff != 0) return (makerWord & 0xff) | _MAKER_FAULT;
            uint256 difference = takerWord ^ makerWord;
            if (difference & (0xff << 192) != 0) return _MARKET_MISMATCH;
            if (difference & (1 << 184) == 0) return _SAME_SIDE;
            if (difference & (_MASK_24 << 32) == 0) return _SELF_TRADE;
            if (takerWord & (1 << 187) != 0) return _POST_ONLY_TAKER;
            uint256 timeInForce = (makerWord >> 185) & 3;
            if (timeInForce == _IOC || timeInForce == _FOK) return _IMMEDIATE_MAKER | _MAKER_FAULT;
            uint256 takerPrice = (takerWord >> 112) & _MASK_32;
            uint256 makerPrice = (makerWord >> 112) & _MASK_32;
            if ((takerWord >> 184) & 1 == 0 ? takerPrice < makerPrice : takerPrice > makerPrice) return _MISPRICED;
            if (notional == 0) return _ZERO_SIZE;
        }
    }

    /// @return reason zero when the order's lane takes the fill.
    function _checkLane(uint256 word, uint256 second, uint256 size) private pure returns (uint256 reason) {
        unchecked {
            uint256 lane = Raw.load((second >> 24) & _MASK_24);
            uint256 sequence = (word >> 200) & _MASK_40;
            uint256 laneSequence = lane >> Slots.SEQUENCE_SHIFT;
            if (laneSequence > sequence) return _SUPERSEDED;
            if (laneSequence == sequence) size += (lane >> Slots.FILLED_SHIFT) & _MASK_40;
            if (size > (word >> 144) & _MASK_40) return _OVERFILLED;
        }
    }
}
