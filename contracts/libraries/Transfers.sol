// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IVaultErrors } from "../interfaces/IVaultErrors.sol";

/// @title Calls to tokens and recipients: bounded in gas and output, a missing return value accepted, a false one not.
library Transfers {
    /// @dev Gas granted to one token transfer.
    uint256 internal constant TOKEN_GAS = 200_000;
    /// @dev Gas granted to a recipient of the native currency.
    uint256 internal constant NATIVE_GAS = 50_000;

    /// @dev Reverts unless a call with this cap really gets it: the EVM keeps back 1/64, and would silently hand over less. So want of gas
    /// can undo a batch, but never make an item of it look failed.
    function ensureGas(uint256 gasCap) internal view {
        uint256 left = gasleft();
        uint256 required = gasCap + gasCap / 63 + 10_000;
        if (left < required) revert IVaultErrors.NotEnoughGas(required, left);
    }

    /// @return success false when the token reverted, returned something other than true, or has no code.
    function tryTransfer(address token, address to, uint256 amount) internal returns (bool success) {
        ensureGas(TOKEN_GAS);
        uint256 gasCap = TOKEN_GAS;
        assembly ("memory-safe") {
            let pointer := mload(0x40)
            mstore(pointer, shl(224, 0xa9059cbb))
            mstore(add(pointer, 4), to)
            mstore(add(pointer, 36), amount)
            mstore(0, 0)
            success := call(gasCap, token, 0, pointer, 68, 0, 0x20)
            switch returndatasize()
            case 0 {
                success := and(success, gt(extcodesize(token), 0))
            }
            default {
                success := and(success, and(gt(returndatasize(), 0x1f), eq(mload(0), 1)))
            }
        }
    }

    /// @return success false when the token reverted, returned something other than true, or has no code.
    function tryTransferFrom(address token, address from, uint256 amount) internal returns (bool success) {
        assembly ("memory-safe") {
            let pointer := mload(0x40)
            mstore(pointer, shl(224, 0x23b872dd))
            mstore(add(pointer, 4), from)
            mstore(add(pointer, 36), address())
            mstore(add(pointer, 68), amount)
            mstore(0, 0)
            success := call(gas(), token, 0, pointer, 100, 0, 0x20)
            switch returndatasize()
            case 0 {
                success := and(success, gt(extcodesize(token), 0))
            }
            default {
                success := and(success, and(gt(returndatasize(), 0x1f), eq(mload(0), 1)))
            }
        }
    }

    function trySendNative(address to, uint256 amount) internal returns (bool success) {
        // A call with value costs 9,000 more, and 25,000 when it creates the account.
        ensureGas(NATIVE_GAS + 40_000);
        uint256 gasCap = NATIVE_GAS;
        assembly ("memory-safe") {
            success := call(gasCap, to, amount, 0, 0, 0, 0)
        }
    }

    /// @dev What `token` says that the vault holds; reverts when the token does not answer.
    function held(address token) internal view returns (uint256 amount) {
        bool success;
        assembly ("memory-safe") {
            mstore(0, shl(224, 0x70a08231))
            mstore(4, address())
            success := staticcall(gas(), token, 0, 36, 0, 0x20)
            success := and(success, gt(returndatasize(), 0x1f))
            amount := mload(0)
        }
        if (!success) revert IVaultErrors.TransferFailed(token);
    }
}
