// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IVaultSettlement } from "../../interfaces/IVault.sol";
import { Hashes } from "../../libraries/Hashes.sol";
import { IRunner, RUNNER } from "./Runner.sol";
import { Broken, Ledger } from "./Ledger.sol";

/// @title Random batches, good and bad, really signed, and what the vault must make of them.
abstract contract Batches is Ledger {
    struct Withdrawal {
        uint256 owner;
        uint256 asset;
        uint256 amount;
        uint256 fee;
        uint256 feeMax;
        uint256 sequence;
        uint256 expiry;
        bool forged;
    }

    uint256 public settledBatches;
    uint256 public executedFills;
    uint256 public skippedFills;
    uint256 public executedWithdrawals;

    address internal constant SUBMITTER = address(0x50b117);
    uint256 private _random;
    /// @dev The latest order of each lane, to be filled again.
    mapping(uint256 owner => mapping(uint256 lane => Order)) private _known;

    /// @notice Settles a batch of up to ten orders and eight fills, with a withdrawal now and then.
    /// @param seed decides everything.
    function settle(uint256 seed) external {
        _random = seed;
        Order[] memory orders = new Order[](2 * OWNERS);
        uint256 count = 0;
        for (uint256 owner = 0; owner < OWNERS; ++owner) {
            uint256 lane = _pick(LANES);
            orders[count++] = _makeOrder(owner, lane);
            // A second order now and then, on a higher lane: an owner could trade with itself.
            if (lane + 1 < LANES && _chance(30)) orders[count++] = _makeOrder(owner, lane + 1);
        }
        Fill[] memory fills = new Fill[](1 + _pick(8));
        for (uint256 i = 0; i < fills.length; ++i) fills[i] = _makeFill(orders, count);
        Withdrawal[] memory withdrawals = new Withdrawal[](_pick(3));
        for (uint256 i = 0; i < withdrawals.length; ++i) withdrawals[i] = _makeWithdrawal();
        bytes memory content = _encode(orders, count, fills, withdrawals);
        (bytes memory skips, bytes memory outcomes, bool settled) = _settle(content);
        if (!settled) return;
        ++settledBatches;
        _judge(orders, fills, skips);
        _judgeWithdrawals(withdrawals, outcomes);
    }

    /// @notice What must be refused as a whole: a gap, a wrong parent, a stale epoch, a stranger's signature, malformed bytes, a contract as sender.
    /// @param kind which of them.
    /// @param noise what is put in place of the right value.
    function settleWrong(uint256 kind, uint256 noise) external {
        bytes memory content = new bytes(9);
        (IVaultSettlement.Batch memory batch, ) = _nextBatch(content);
        uint256 key = engineKey;
        kind %= 7;
        if (kind == 0) batch.id += uint64(1 + (noise % 3));
        if (kind == 1) batch.id -= uint64(1 + (noise % (batch.id)));
        if (kind == 2) batch.parent = keccak256(abi.encode(noise));
        if (kind == 3) {
            if (epoch == 0) return;
            batch.epoch -= uint64(1 + (noise % epoch));
        }
        if (kind == 4) key = noise % 2 == 0 ? engineKey + 1 : engineKey - 1;
        if (kind == 5) content = noise % 2 == 0 ? new bytes(8 - (noise % 8)) : new bytes(10 + (noise % 50));
        (bytes32 r, bytes32 vs) = _signBatch(batch, content, key);
        if (kind != 6) RUNNER.prank(SUBMITTER, SUBMITTER);
        try VAULT.settle(batch, content, r, vs) {
            revert Broken("a wrong batch was settled", kind, noise);
        } catch {}
    }

    function _settle(bytes memory content) private returns (bytes memory skips, bytes memory outcomes, bool settled) {
        (IVaultSettlement.Batch memory batch, bytes32 hash) = _nextBatch(content);
        (bytes32 r, bytes32 vs) = _signBatch(batch, content, engineKey);
        RUNNER.prank(SUBMITTER, SUBMITTER);
        try VAULT.settle(batch, content, r, vs) {
            settled = true;
        } catch (bytes memory reason) {
            // Nothing but a pause stops a well-formed batch of the engine.
            if (block.timestamp >= pausedUntil) revert Broken("settle reverted", 0, uint32(bytes4(reason)));
            return (skips, outcomes, false);
        }
        if (block.timestamp < pausedUntil) revert Broken("settled while paused", pausedUntil, block.timestamp);
        (batchId, batchHash) = (batch.id, hash);
        IRunner.Log[] memory logs = _countEvents();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != address(VAULT)) continue;
            (, , , bytes32 emitted, bytes memory emittedSkips, bytes memory emittedOutcomes) = abi.decode(
                logs[i].data,
                (uint64, uint64, bytes32, bytes32, bytes, bytes)
            );
            if (emitted != hash) revert Broken("batch hash", uint256(hash), uint256(emitted));
            (skips, outcomes) = (emittedSkips, emittedOutcomes);
        }
        // I5: the very same batch a second time.
        RUNNER.prank(SUBMITTER, SUBMITTER);
        try VAULT.settle(batch, content, r, vs) {
            revert Broken("a batch was settled twice", batch.id, 0);
        } catch {}
    }

    function _judge(Order[] memory orders, Fill[] memory fills, bytes memory skips) private {
        uint256 next = 0;
        for (uint256 i = 0; i < fills.length; ++i) {
            bool skipped = next < skips.length && (uint256(uint8(skips[next])) << 8) + uint8(skips[next + 1]) == i;
            if (skipped) next += 4;
            bool executed = _applyFill(fills[i], orders[fills[i].taker], orders[fills[i].maker]);
            if (executed == skipped) revert Broken("fill judged otherwise", i, skipped ? uint8(skips[next - 1]) : 0);
            if (executed) ++executedFills;
            else ++skippedFills;
        }
        if (next != skips.length) revert Broken("skips left over", next, skips.length);
    }

    /// @dev I2 for withdrawals: paid when signed by the owner, in sequence and covered; else nothing moves and no nonce is used.
    function _judgeWithdrawals(Withdrawal[] memory withdrawals, bytes memory outcomes) private {
        if (outcomes.length != 17 * withdrawals.length)
            revert Broken("outcomes", 17 * withdrawals.length, outcomes.length);
        for (uint256 i = 0; i < withdrawals.length; ++i) {
            Withdrawal memory w = withdrawals[i];
            bool executed =
                !w.forged &&
                    w.amount != 0 &&
                    w.fee <= w.amount &&
                    w.fee <= w.feeMax &&
                    block.timestamp <= w.expiry &&
                    w.sequence > withdrawalSequence[w.owner] &&
                    w.amount <= balances[w.owner][w.asset];
            if (executed != (outcomes[17 * i + 2] == 0))
                revert Broken("withdrawal judged otherwise", i, uint8(outcomes[17 * i + 2]));
            if (!executed) continue;
            ++executedWithdrawals;
            withdrawalSequence[w.owner] = w.sequence;
            balances[w.owner][w.asset] -= w.amount;
            fees[w.asset] += w.fee;
        }
    }

    function _makeOrder(uint256 owner, uint256 lane) private returns (Order memory order) {
        order = _known[owner][lane];
        if (order.sequence != 0 && _chance(40)) {
            order.forged = false;
            return order;
        }
        bool sells = _chance(50);
        order = Order({
            owner: owner,
            lane: lane,
            // Now and then one that was signed long ago, and so stands below a later one.
            sequence: _chance(5) ? 1 + _pick(lastSequence + 1) : _nextSequence(),
            market: _pick(MARKETS),
            sells: sells,
            postOnly: _chance(10),
            size: 1 + _pick(40),
            price: sells ? 90 + _pick(15) : 100 + _pick(15),
            expiry: _chance(5) ? block.timestamp - GRACE - _pick(2) : block.timestamp + _pick(1 days),
            feeMax: _chance(5) ? 500 : 2_000,
            bySession: _chance(25),
            forged: _chance(5)
        });
        _known[owner][lane] = order;
    }

    function _makeFill(Order[] memory orders, uint256 count) private returns (Fill memory fill) {
        fill.taker = _pick(count);
        fill.maker = _pick(count);
        // Pairs that could trade, most of the time.
        for (uint256 tries = 0; tries < 2 * count && _chance(97); ++tries) {
            Order memory taker = orders[fill.taker];
            Order memory maker = orders[fill.maker];
            if (taker.market == maker.market && taker.sells != maker.sells) break;
            fill.maker = (fill.maker + 1) % count;
            if (tries == count) fill.taker = _pick(count);
        }
        fill.size = _chance(3) ? 0 : 1 + _pick(_chance(20) ? 60 : 12);
        fill.takerFee = _chance(5) ? 2_001 : _pick(FEE_TAKER_MAX + 1);
        fill.makerFee = _chance(5) ? 1_001 : _pick(FEE_MAKER_MAX + 1);
    }

    function _makeWithdrawal() private returns (Withdrawal memory) {
        return
            Withdrawal({
                owner: _pick(OWNERS),
                asset: _pick(ASSETS),
                amount: _pick(_chance(30) ? 1_000_000_000 : 10_000),
                fee: _pick(12),
                feeMax: 10,
                sequence: _chance(15) ? 1 + _pick(lastSequence + 1) : _nextSequence(),
                expiry: _chance(10) ? block.timestamp - 1 : block.timestamp,
                forged: _chance(15)
            });
    }

    function _encode(
        Order[] memory orders,
        uint256 count,
        Fill[] memory fills,
        Withdrawal[] memory withdrawals
    ) private view returns (bytes memory content) {
        content = abi.encodePacked(
            uint16(OWNERS),
            uint16(count),
            uint16(fills.length),
            uint16(withdrawals.length),
            uint8(MARKETS),
            uint16(0),
            uint16(1),
            uint16(2)
        );
        uint256 index = 0;
        for (uint256 owner = 0; owner < OWNERS; ++owner) {
            uint256 end = index;
            while (end < count && orders[end].owner == owner) ++end;
            content = abi.encodePacked(content, owners[owner], uint8(1), uint16(end - index), uint8(1));
            for (; index < end; ++index) content = bytes.concat(content, _encodeOrder(orders[index]));
        }
        for (uint256 i = 0; i < fills.length; ++i) {
            Fill memory fill = fills[i];
            content = abi.encodePacked(
                content,
                uint16(fill.taker),
                uint16(fill.maker),
                uint40(fill.size),
                uint16(fill.takerFee),
                uint16(fill.makerFee)
            );
        }
        for (uint256 i = 0; i < withdrawals.length; ++i)
            content = bytes.concat(content, _encodeWithdrawal(withdrawals[i]));
    }

    function _encodeOrder(Order memory order) private view returns (bytes memory) {
        bytes memory head = abi.encode(
            Hashes.ORDER_TYPEHASH,
            owners[order.owner],
            order.sells ? Hashes.SELL : Hashes.BUY,
            address(tokens[bases[order.market]]),
            order.size * LOT,
            address(tokens[quotes[order.market]]),
            order.size * order.price * TICK
        );
        bytes memory tail = abi.encode(
            Hashes.GTC,
            order.postOnly,
            (order.lane << 48) | order.sequence,
            order.expiry,
            order.feeMax + (order.forged ? 1 : 0)
        );
        (bytes32 r, bytes32 vs) = _sign(
            order.bySession ? _sessionKey(order.owner) : ownerKeys[order.owner],
            keccak256(bytes.concat(head, tail))
        );
        uint256 flags = (order.sells ? 1 : 0) | (order.postOnly ? 8 : 0) | (order.bySession ? 16 : 0);
        return
            bytes.concat(
                abi.encodePacked(uint16(order.lane), uint40(order.sequence), uint8(order.market), uint8(flags)),
                abi.encodePacked(
                    uint40(order.size),
                    uint32(order.price),
                    uint40(order.expiry),
                    uint16(order.feeMax),
                    r,
                    vs
                )
            );
    }

    function _encodeWithdrawal(Withdrawal memory w) private view returns (bytes memory) {
        bytes32 structHash = keccak256(
            abi.encode(
                Hashes.WITHDRAWAL_TYPEHASH,
                owners[w.owner],
                address(tokens[w.asset]),
                w.amount,
                owners[w.owner],
                w.sequence,
                w.expiry,
                w.feeMax
            )
        );
        // A session key signs what is forged: it must never be good for a withdrawal.
        (bytes32 r, bytes32 vs) = _sign(w.forged ? _sessionKey(w.owner) : ownerKeys[w.owner], structHash);
        return
            bytes.concat(
                abi.encodePacked(owners[w.owner], uint16(w.asset), uint16(0), uint40(w.sequence)),
                abi.encodePacked(uint56(w.amount), uint56(w.feeMax), uint56(w.fee), uint40(w.expiry), uint8(0), r, vs)
            );
    }

    function _pick(uint256 below) private returns (uint256) {
        _random = uint256(keccak256(abi.encode(_random)));
        return _random % below;
    }

    function _chance(uint256 percent) private returns (bool) {
        return _pick(100) < percent;
    }
}
