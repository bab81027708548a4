// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The test runner's own functions, as far as the stateful tests use them.
interface IRunner {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function warp(uint256 timestamp) external;
    function prank(address sender, address origin) external;
    function prank(address sender) external;
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function addr(uint256 key) external pure returns (address);
    function recordLogs() external;
    function getCode(string calldata artifact) external view returns (bytes memory creation);
    function getRecordedLogs() external returns (Log[] memory logs);
}

IRunner constant RUNNER = IRunner(address(uint160(uint256(keccak256("hevm cheat code")))));
