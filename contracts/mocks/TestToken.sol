// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { ERC20 } from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import { ERC20Permit } from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @notice Why a mock refused.
error Refused(string why);

/// @title A well-behaved token for local chains: anyone may mint, permits work.
contract TestToken is ERC20Permit {
    uint8 private immutable _DECIMALS;

    constructor(string memory name, string memory symbol, uint8 decimals_) ERC20(name, symbol) ERC20Permit(name) {
        _DECIMALS = decimals_;
    }

    /// @notice Makes new tokens out of nothing.
    /// @param to who receives them.
    /// @param amount in base units.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    /// @inheritdoc ERC20
    function decimals() public view override returns (uint8) {
        return _DECIMALS;
    }
}

/// @title Wrapped ether for local chains; minted tokens have no ether behind them, wrapped ones do.
contract TestWrappedEther is TestToken {
    constructor() TestToken("Wrapped Ether", "WETH", 18) {}

    /// @notice Wraps the value sent.
    function deposit() external payable {
        _mint(msg.sender, msg.value);
    }

    /// @notice Unwraps.
    /// @param amount to unwrap.
    function withdraw(uint256 amount) external {
        _burn(msg.sender, amount);
        (bool success, ) = msg.sender.call{ value: amount }("");
        if (!(success)) revert Refused("ether refused");
    }
}
