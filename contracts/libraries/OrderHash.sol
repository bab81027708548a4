// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Hashes } from "./Hashes.sol";
import { IVaultErrors } from "../interfaces/IVaultErrors.sol";
import { Signatures } from "./Signatures.sol";

/// @title Digests and signatures of packed orders, computed in one reused stretch of memory.
/// @dev `OrderHashReference` says the same in plain Solidity; a fuzz test holds this library against it. Scratch memory:
///   0x000  struct: type hash, account, side, base token, base amount, quote token, quote amount, time in force, post-only, nonce, expiry, maximum fee
///   0x180  0x1901, domain separator, struct hash (66 bytes)
///   0x1e0  ecrecover's input: digest, v, r, s
///   0x260  hashes of the words: buy, sell, gtc, ioc, fok, gtd
library OrderHash {
    uint256 internal constant SCRATCH_SIZE = 0x320;

    /// @dev Writes what is the same for every order of a batch.
    function prepare(uint256 scratch, bytes32 separator) internal pure {
        bytes32 orderType = Hashes.ORDER_TYPEHASH;
        bytes32 buy = Hashes.BUY;
        bytes32 sell = Hashes.SELL;
        bytes32 gtc = Hashes.GTC;
        bytes32 ioc = Hashes.IOC;
        bytes32 fok = Hashes.FOK;
        bytes32 gtd = Hashes.GTD;
        assembly ("memory-safe") {
            mstore(scratch, orderType)
            mstore(add(scratch, 0x180), shl(240, 0x1901))
            mstore(add(scratch, 0x182), separator)
            mstore(add(scratch, 0x260), buy)
            mstore(add(scratch, 0x280), sell)
            mstore(add(scratch, 0x2a0), gtc)
            mstore(add(scratch, 0x2c0), ioc)
            mstore(add(scratch, 0x2e0), fok)
            mstore(add(scratch, 0x300), gtd)
        }
    }

    /// @param word the packed order: lane (16) · sequence (40) · 8 bits · flags (8) · size (40) · price (32) · expiry (40) · maximum fee (16) · 56 bits.
    function digest(
        uint256 scratch,
        uint256 word,
        uint256 account,
        uint256 baseToken,
        uint256 quoteToken,
        uint256 baseUnits,
        uint256 quoteUnits
    ) internal pure returns (uint256 result) {
        assembly ("memory-safe") {
            let size := and(shr(144, word), 0xffffffffff)
            mstore(add(scratch, 0x20), account)
            mstore(add(scratch, 0x40), mload(add(add(scratch, 0x260), and(shr(179, word), 0x20))))
            mstore(add(scratch, 0x60), baseToken)
            mstore(add(scratch, 0x80), mul(size, baseUnits))
            mstore(add(scratch, 0xa0), quoteToken)
            mstore(add(scratch, 0xc0), mul(mul(size, and(shr(112, word), 0xffffffff)), quoteUnits))
            mstore(add(scratch, 0xe0), mload(add(add(scratch, 0x2a0), and(shr(180, word), 0x60))))
            mstore(add(scratch, 0x100), and(shr(187, word), 1))
            mstore(add(scratch, 0x120), or(shl(48, shr(240, word)), and(shr(200, word), 0xffffffffff)))
            mstore(add(scratch, 0x140), and(shr(72, word), 0xffffffffff))
            mstore(add(scratch, 0x160), and(shr(56, word), 0xffff))
            mstore(add(scratch, 0x1a2), keccak256(scratch, 0x180))
            result := keccak256(add(scratch, 0x180), 0x42)
        }
    }

    /// @param offset calldata offset of the compact signature.
    /// @return signer zero when the signature is invalid.
    function recover(uint256 scratch, uint256 hash, uint256 offset) internal view returns (uint256 signer) {
        uint256 halfOrder = Signatures.HALF_ORDER;
        bool success;
        assembly ("memory-safe") {
            let pointer := add(scratch, 0x1e0)
            let vs := calldataload(add(offset, 0x20))
            let s := shr(1, shl(1, vs))
            mstore(pointer, hash)
            mstore(add(pointer, 0x20), add(27, shr(255, vs)))
            mstore(add(pointer, 0x40), calldataload(offset))
            mstore(add(pointer, 0x60), s)
            mstore(0, 0)
            success := staticcall(gas(), 1, pointer, 0x80, 0, 0x20)
            signer := mul(mload(0), iszero(gt(s, halfOrder)))
        }
        // The precompile fails only for want of gas; an invalid signature succeeds without output.
        if (!success) revert IVaultErrors.NotEnoughGas(3000, gasleft());
    }

    /// @return result upper 160 bits of keccak256(abi.encode(digest, signer)), as a number.
    function tag(uint256 hash, uint256 signer) internal pure returns (uint256 result) {
        assembly ("memory-safe") {
            mstore(0, hash)
            mstore(0x20, signer)
            result := shr(96, keccak256(0, 0x40))
        }
    }
}

/// @title The same in plain Solidity.
library OrderHashReference {
    function digest(
        bytes32 separator,
        uint256 word,
        address account,
        address baseToken,
        address quoteToken,
        uint256 baseUnits,
        uint256 quoteUnits
    ) internal pure returns (bytes32) {
        uint256 size = uint40(word >> 144);
        bytes32[4] memory timesInForce = [Hashes.GTC, Hashes.IOC, Hashes.FOK, Hashes.GTD];
        bytes memory head = abi.encode(
            Hashes.ORDER_TYPEHASH,
            account,
            (word >> 184) & 1 == 0 ? Hashes.BUY : Hashes.SELL,
            baseToken,
            size * baseUnits,
            quoteToken,
            size * uint32(word >> 112) * quoteUnits
        );
        bytes memory tail = abi.encode(
            timesInForce[(word >> 185) & 3],
            (word >> 187) & 1 == 1,
            (uint64(uint16(word >> 240)) << 48) | uint64(uint40(word >> 200)),
            uint64(uint40(word >> 72)),
            uint32(uint16(word >> 56))
        );
        return Hashes.digest(separator, keccak256(bytes.concat(head, tail)));
    }
}
