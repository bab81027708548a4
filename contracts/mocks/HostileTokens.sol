// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Refused, TestToken } from "./TestToken.sol";

/// @title Keeps one in a hundred of every transfer.
contract FeeOnTransferToken is TestToken {
    constructor() TestToken("Fee", "FEE", 18) {}

    function _update(address from, address to, uint256 value) internal override {
        if (from != address(0) && to != address(0)) {
            super._update(from, address(0xfee), value / 100);
            value -= value / 100;
        }
        super._update(from, to, value);
    }
}

/// @title Scales everyone's balance at will.
contract RebasingToken is TestToken {
    /// @notice Percent of the ledger that `balanceOf` shows.
    uint256 public percent = 100;

    constructor() TestToken("Rebasing", "REB", 18) {}

    /// @notice Sets the scale.
    /// @param newPercent of the ledger.
    function rebase(uint256 newPercent) external {
        percent = newPercent;
    }

    /// @notice Scaled balance.
    /// @param account the holder.
    /// @return shown the ledger's figure times the scale.
    function balanceOf(address account) public view override returns (uint256 shown) {
        return (super.balanceOf(account) * percent) / 100;
    }
}

/// @title Returns nothing from its transfers, as old tokens do.
contract NoReturnToken is TestToken {
    constructor(uint8 decimals_) TestToken("No return", "NRT", decimals_) {}

    function transfer(address to, uint256 value) public override returns (bool) {
        _transfer(msg.sender, to, value);
        assembly ("memory-safe") {
            return(0, 0)
        }
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        _spendAllowance(from, msg.sender, value);
        _transfer(from, to, value);
        assembly ("memory-safe") {
            return(0, 0)
        }
    }
}

/// @title Misbehaves on demand: false, revert, huge output, endless gas; or refuses one recipient, or zero amounts.
contract MoodyToken is TestToken {
    enum Mood {
        Good,
        ReturnsFalse,
        Reverts,
        ReturnsHuge,
        BurnsGas,
        ReturnsShort
    }

    Mood public mood;
    /// @notice Refused as sender and recipient.
    mapping(address => bool) public blocked;

    constructor(uint8 decimals_) TestToken("Moody", "MOO", decimals_) {}

    /// @notice Sets the behaviour of transfers.
    /// @param newMood one of them.
    function setMood(Mood newMood) external {
        mood = newMood;
    }

    /// @notice Blocks or frees an address.
    /// @param account the address.
    /// @param isBlocked whether transfers from and to it revert.
    function setBlocked(address account, bool isBlocked) external {
        blocked[account] = isBlocked;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        _act();
        if (mood == Mood.ReturnsFalse) return false;
        return super.transfer(to, value);
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        _act();
        if (mood == Mood.ReturnsFalse) return false;
        return super.transferFrom(from, to, value);
    }

    function _update(address from, address to, uint256 value) internal override {
        if (!(!blocked[from] && !blocked[to])) revert Refused("blocked");
        if (!(value != 0)) revert Refused("zero amount");
        super._update(from, to, value);
    }

    function _act() private view {
        if (!(mood != Mood.Reverts)) revert Refused("in a bad mood");
        if (mood == Mood.ReturnsHuge) {
            assembly ("memory-safe") {
                return(0, 1000000)
            }
        }
        if (mood == Mood.ReturnsShort) {
            assembly ("memory-safe") {
                mstore(0, not(0))
                return(0, 8)
            }
        }
        if (mood == Mood.BurnsGas) {
            assembly ("memory-safe") {
                invalid()
            }
        }
    }
}

/// @title Calls back into a target during every transfer, and remembers how that went.
contract ReentrantToken is TestToken {
    address public target;
    bytes public request;
    bool public entered;
    bytes public answer;

    constructor() TestToken("Reentrant", "REE", 18) {}

    /// @notice Sets the call to make.
    /// @param target_ whom to call; zero for nobody.
    /// @param request_ calldata.
    function setCallback(address target_, bytes calldata request_) external {
        target = target_;
        request = request_;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (target == address(0) || from == address(0)) return;
        (entered, answer) = target.call(request);
    }
}

/// @title Nothing that ERC-20 leaves optional: no name, no symbol, no decimals.
contract BareToken {
    mapping(address holder => uint256) public balanceOf;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    /// @notice Makes new tokens out of nothing.
    /// @param to who receives them.
    /// @param amount in base units.
    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        return true;
    }
}
