// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { TimelockController } from "@openzeppelin/contracts/governance/TimelockController.sol";

/// @title OpenZeppelin's timelock, with a floor below which even its own governance cannot set the delay.
/// @notice The floor is the vault's timelock delay, longer than the exit delay: so no decision takes effect before those who disagree could leave.
contract VaultTimelock is TimelockController {
    /// @notice Least delay in seconds.
    uint256 public immutable FLOOR;

    constructor(
        uint256 floor,
        address[] memory proposers,
        address[] memory executors
    ) TimelockController(floor, proposers, executors, address(0)) {
        FLOOR = floor;
    }

    /// @inheritdoc TimelockController
    function getMinDelay() public view override returns (uint256 duration) {
        duration = super.getMinDelay();
        if (duration < FLOOR) duration = FLOOR;
    }
}
