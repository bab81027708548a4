// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title A claim that is false by one: the checker must refute it, or its proofs would show nothing.
contract Wrong {
    function notional(uint40 size, uint32 price, uint56 tickQuanta) external pure {
        assert(uint256(size) * price * tickQuanta < (1 << 128) - (1 << 97));
    }
}
