// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The test runner's own functions, as far as these tests use them.
// solhint-disable-next-line interface-starts-with-i
interface Cheats {
    function warp(uint256 timestamp) external;
    function prank(address sender, address origin) external;
    function prank(address sender) external;
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function addr(uint256 key) external pure returns (address);
    function assume(bool holds) external pure;
}

// Where the runner answers.
Cheats constant CHEATS = Cheats(address(uint160(uint256(keccak256("hevm cheat code")))));

/// @notice A test's expectation does not hold.
error Broken(string what, uint256 expected, uint256 found);

function expectEqual(uint256 found, uint256 expected, string memory what) pure {
    if (found != expected) revert Broken(what, expected, found);
}
