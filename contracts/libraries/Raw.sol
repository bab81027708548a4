// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Single words of memory, calldata and storage, so that hot loops need no assembly of their own.
/// @dev The compiler inlines each function to its one instruction. Callers own the memory they write: it was allocated, or lies above the
/// free pointer in code that allocates nothing until it has moved the pointer past it.
library Raw {
    function load(uint256 pointer) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(pointer)
        }
    }

    function store(uint256 pointer, uint256 word) internal pure {
        assembly ("memory-safe") {
            mstore(pointer, word)
        }
    }

    /// @dev Bytes beyond the end of calldata read as zero.
    function input(uint256 offset) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(offset)
        }
    }

    function read(uint256 slot) internal view returns (uint256 word) {
        assembly ("memory-safe") {
            word := sload(slot)
        }
    }

    function write(uint256 slot, uint256 word) internal {
        assembly ("memory-safe") {
            sstore(slot, word)
        }
    }

    function freePointer() internal pure returns (uint256 pointer) {
        assembly ("memory-safe") {
            pointer := mload(0x40)
        }
    }

    function setFreePointer(uint256 pointer) internal pure {
        assembly ("memory-safe") {
            mstore(0x40, pointer)
        }
    }
}
