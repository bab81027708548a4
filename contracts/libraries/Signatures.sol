// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IVaultErrors } from "../interfaces/IVaultErrors.sol";

/// @title Recovery of 64-byte compact (ERC-2098) signatures, and bounded ERC-1271 checks.
library Signatures {
    /// @dev Half of secp256k1's order: a higher s is the twin of a lower one, and refused.
    uint256 internal constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;
    bytes4 internal constant MAGIC = 0x1626ba7e;

    /// @return signer zero when the signature is invalid.
    function recover(bytes32 digest, bytes32 r, bytes32 vs) internal view returns (address signer) {
        uint256 s = uint256(vs) & (type(uint256).max >> 1);
        if (s > HALF_ORDER) return address(0);
        bool success;
        assembly ("memory-safe") {
            let pointer := mload(0x40)
            mstore(pointer, digest)
            mstore(add(pointer, 0x20), add(27, shr(255, vs)))
            mstore(add(pointer, 0x40), r)
            mstore(add(pointer, 0x60), s)
            mstore(0, 0)
            success := staticcall(gas(), 1, pointer, 0x80, 0, 0x20)
            signer := mload(0)
        }
        // The precompile fails only for want of gas; an invalid signature succeeds without output.
        if (!success) revert IVaultErrors.NotEnoughGas(3000, gasleft());
    }

    /// @dev Accepts 64 bytes (r, vs) or 65 bytes (r, s, v with v = 27 or 28); zero for anything else.
    function recoverAny(bytes32 digest, bytes calldata signature) internal view returns (address signer) {
        if (signature.length == 64) return recover(digest, bytes32(signature[0:32]), bytes32(signature[32:64]));
        if (signature.length != 65) return address(0);
        uint256 s = uint256(bytes32(signature[32:64]));
        uint256 v = uint8(signature[64]);
        if (s > HALF_ORDER || (v != 27 && v != 28)) return address(0);
        return recover(digest, bytes32(signature[0:32]), bytes32(((v - 27) << 255) | s));
    }

    /// @dev Whether `wallet` accepts the signature. At most `gasCap` gas; output beyond one word is not copied. The caller has made sure of the gas.
    function accepts(
        address wallet,
        bytes32 digest,
        bytes memory signature,
        uint256 gasCap
    ) internal view returns (bool accepted) {
        if (wallet.code.length == 0) return false;
        bytes memory request = abi.encodeWithSelector(MAGIC, digest, signature);
        assembly ("memory-safe") {
            mstore(0, 0)
            let success := staticcall(gasCap, wallet, add(request, 0x20), mload(request), 0, 0x20)
            accepted := and(and(success, gt(returndatasize(), 0x1f)), eq(mload(0), shl(224, 0x1626ba7e)))
        }
    }
}
