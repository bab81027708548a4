// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IWrappedNative } from "./interfaces/IExternals.sol";
import { Hashes } from "./libraries/Hashes.sol";
import { Raw } from "./libraries/Raw.sol";
import { Signatures } from "./libraries/Signatures.sol";
import { Slots } from "./libraries/Slots.sol";
import { Transfers } from "./libraries/Transfers.sol";
import { VaultStorage } from "./VaultStorage.sol";

/// @title Cooperative withdrawals: signed by their owner, executed at the end of a batch.
/// @dev Each is checked, debited, paid, and credited back when the payment failed; none can stop the others.
abstract contract Withdrawals is VaultStorage {
    /// @dev One cooperative withdrawal, as read from the content.
    struct Withdrawal {
        address account;
        uint256 asset;
        uint256 lane;
        uint256 sequence;
        uint256 amount;
        uint256 maxFee;
        uint256 fee;
        uint256 expiry;
        address recipient;
        bool isContractWallet;
        bool isNative;
        bytes signature;
    }

    /// @dev Outcomes of a withdrawal, see docs/batch-format.md.
    uint256 internal constant W_EXECUTED = 0;
    uint256 internal constant W_BAD_SIGNATURE = 1;
    uint256 internal constant W_UNKNOWN_ASSET = 2;
    uint256 internal constant W_BAD_AMOUNT = 3;
    uint256 internal constant W_FEE_TOO_HIGH = 4;
    uint256 internal constant W_EXPIRED = 5;
    uint256 internal constant W_BAD_SEQUENCE = 6;
    uint256 internal constant W_NONCE_USED = 7;
    uint256 internal constant W_BAD_RECIPIENT = 8;
    uint256 internal constant W_INSUFFICIENT_BALANCE = 9;
    uint256 internal constant W_OUTFLOW_LIMIT = 10;
    uint256 internal constant W_TRANSFER_FAILED = 11;

    address internal constant NATIVE = 0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE;
    uint256 private constant _WITHDRAWAL_BYTES = 56;

    /// @dev Executes the withdrawals at the end of a batch's content, one by one against storage, all pages having been written.
    /// @param cursor calldata offset of the first withdrawal.
    /// @param start calldata offset of the content, to name positions in errors.
    /// @param end calldata offset behind the content.
    /// @return next calldata offset behind the last withdrawal.
    /// @return outcomes 17 bytes per withdrawal.
    function _withdrawAll(
        uint256 cursor,
        uint256 count,
        uint256 start,
        uint256 end
    ) internal returns (uint256 next, bytes memory outcomes) {
        outcomes = new bytes(count * 17);
        Withdrawal memory w;
        uint256 free = Raw.freePointer();
        for (uint256 i = 0; i < count; ++i) {
            uint256 position = cursor;
            cursor = _readWithdrawal(w, cursor, end);
            if (cursor == 0) revert MalformedContent(position - start);
            uint256 outcome = _withdraw(w);
            _recordOutcome(outcomes, i, (i << 120) | (outcome << 112) | (w.amount << 56) | w.fee);
            // What one withdrawal allocated is of no use to the next.
            Raw.setFreePointer(free);
        }
        next = cursor;
    }

    function _recordOutcome(bytes memory outcomes, uint256 index, uint256 record) private pure {
        assembly ("memory-safe") {
            let pointer := add(add(outcomes, 0x20), mul(index, 17))
            // The word's tail lies over the next record, written later, or behind the array, where nothing is allocated yet but `w`: restore it.
            let tail := and(mload(pointer), shr(136, not(0)))
            mstore(pointer, or(shl(120, record), tail))
        }
    }

    /// @return next zero when malformed.
    function _readWithdrawal(Withdrawal memory w, uint256 cursor, uint256 end) private pure returns (uint256 next) {
        unchecked {
            next = cursor + _WITHDRAWAL_BYTES;
            if (next > end) return 0;
            uint256 word = Raw.input(cursor);
            w.account = address(uint160(word >> 96));
            w.asset = (word >> 80) & 0xffff;
            w.lane = (word >> 64) & 0xffff;
            w.sequence = (word >> 24) & Slots.MASK_40;
            word = Raw.input(cursor + 29);
            w.amount = word >> 200;
            w.maxFee = (word >> 144) & ((1 << 56) - 1);
            w.fee = (word >> 88) & ((1 << 56) - 1);
            w.expiry = (word >> 48) & Slots.MASK_40;
            uint256 flags = (word >> 40) & 0xff;
            if (flags > 7) return 0;
            w.isContractWallet = flags & 2 != 0;
            w.isNative = flags & 4 != 0;
            w.recipient = w.account;
            if (flags & 1 != 0) {
                w.recipient = address(uint160(Raw.input(next) >> 96));
                next += 20;
            }
            uint256 length = 64;
            if (w.isContractWallet) {
                length = Raw.input(next) >> 240;
                next += 2;
            }
            if (next + length > end) return 0;
            bytes memory signature = new bytes(length);
            assembly ("memory-safe") {
                calldatacopy(add(signature, 0x20), next, length)
            }
            w.signature = signature;
            return next + length;
        }
    }

    /// @return outcome `W_EXECUTED`, or why nothing was changed.
    function _withdraw(Withdrawal memory w) private returns (uint256 outcome) {
        if (w.asset >= _tokens.length) return W_UNKNOWN_ASSET;
        address token = _tokens[w.asset];
        if (w.isNative && token != WRAPPED_NATIVE) return W_UNKNOWN_ASSET;
        if (w.amount == 0 || w.fee > w.amount) return W_BAD_AMOUNT;
        if (w.fee > w.maxFee) return W_FEE_TOO_HIGH;
        if (block.timestamp > w.expiry) return W_EXPIRED;
        if (w.sequence == 0 || w.sequence > (block.timestamp + SEQUENCE_AHEAD - DEPLOYED_AT) * 1000)
            return W_BAD_SEQUENCE;
        uint256 laneSlot = Slots.ofAccount(w.account) | Slots.WITHDRAWAL_LANE | w.lane;
        uint256 lastSequence = Raw.read(laneSlot);
        if (w.sequence <= lastSequence) return W_NONCE_USED;
        if (w.recipient != w.account && _isBadRecipient(w.recipient)) return W_BAD_RECIPIENT;
        Asset memory asset = _loadAsset(token);
        uint256 quantum = _quantum(asset.quantumExponent);
        if (!_isSignedByOwner(w, w.isNative ? NATIVE : token, quantum)) return W_BAD_SIGNATURE;
        (uint256 slot, uint256 shift) = _balanceSlot(w.account, w.asset);
        uint256 page = Raw.read(slot);
        if ((page >> shift) & Slots.MASK_64 < w.amount) return W_INSUFFICIENT_BALANCE;
        uint256 paid = w.amount - w.fee;
        if (!_withinOutflowLimit(token, asset.booked, paid)) return W_OUTFLOW_LIMIT;

        Raw.write(slot, page - (w.amount << shift));
        Raw.write(laneSlot, w.sequence);
        asset.booked -= uint56(paid);
        asset.fees += uint56(w.fee);
        _storeTotals(token, asset);
        if (_pay(token, w.recipient, paid * quantum, w.isNative)) return W_EXECUTED;

        // The lock kept everyone else out, but a token may have been a depositor's hook: undo on what is stored now.
        _credit(w.account, w.asset, w.amount);
        Raw.write(laneSlot, lastSequence);
        asset = _loadAsset(token);
        asset.booked += uint56(paid);
        asset.fees -= uint56(w.fee);
        _storeTotals(token, asset);
        return W_TRANSFER_FAILED;
    }

    function _isSignedByOwner(Withdrawal memory w, address signedToken, uint256 quantum) private view returns (bool) {
        bytes32 digest = _digest(
            keccak256(
                abi.encode(
                    Hashes.WITHDRAWAL_TYPEHASH,
                    w.account,
                    signedToken,
                    w.amount * quantum,
                    w.recipient,
                    (w.lane << 48) | w.sequence,
                    w.expiry,
                    w.maxFee * quantum
                )
            )
        );
        if (w.isContractWallet) {
            // Copying the signature into the call must not be paid from the wallet's grant.
            Transfers.ensureGas(WALLET_GAS + 8 * w.signature.length);
            return Signatures.accepts(w.account, digest, w.signature, WALLET_GAS);
        }
        bytes memory signature = w.signature;
        bytes32 r;
        bytes32 vs;
        assembly ("memory-safe") {
            r := mload(add(signature, 0x20))
            vs := mload(add(signature, 0x40))
        }
        return w.account != address(0) && Signatures.recover(digest, r, vs) == w.account;
    }

    /// @dev The booked total may fall by at most the limit within a window. It rises by deposits, so the limit is net of them. An exit lowers it as well,
    /// and thereby what withdrawals may take, but is never limited itself.
    function _withinOutflowLimit(address token, uint256 booked, uint256 paid) private returns (bool) {
        Outflow memory outflow = _outflows[token];
        if (outflow.limit == 0) return true;
        if (block.timestamp >= uint256(outflow.startedAt) + outflow.windowSeconds) {
            outflow.startedAt = uint40(block.timestamp);
            outflow.bookedAtStart = uint56(booked);
            _outflows[token] = outflow;
        }
        return booked - paid + outflow.limit >= outflow.bookedAtStart;
    }

    /// @dev Nothing has moved when it returns false.
    function _pay(address token, address recipient, uint256 amount, bool isNative) private returns (bool paid) {
        if (!isNative) return Transfers.tryTransfer(token, recipient, amount);
        Transfers.ensureGas(Transfers.TOKEN_GAS);
        try IWrappedNative(token).withdraw{ gas: Transfers.TOKEN_GAS }(amount) {} catch {
            return false;
        }
        if (Transfers.trySendNative(recipient, amount)) return true;
        IWrappedNative(token).deposit{ value: amount }();
        return false;
    }
}
