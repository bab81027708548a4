// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IVaultViews } from "../../interfaces/IVault.sol";
import { Actors } from "./Actors.sol";
import { Broken } from "./Ledger.sol";
import { RUNNER } from "./Runner.sol";

/// @dev Of this file, so that the runner finds it whichever files it is told to run.
contract Crowd is Actors {}

/// @title What holds after any sequence of calls to any entry point, skips and refusals included.
/// @notice The actors judge every call by books of their own and revert when the vault did something else; here the two are compared as wholes. The runner
/// prints how many calls it made. `hardhat test solidity --test-profile deep` makes many more.
contract VaultUnderActorsTest {
    Crowd private _actors;

    function setUp() external {
        // The runner's first block stands at one second after 1970; orders that expired an hour ago need more room.
        RUNNER.warp(1_800_000_000);
        _actors = new Crowd();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_actors);
    }

    /// @notice I1 to I5 in one, so that one sequence of calls serves them all.
    /// hardhat-config: default.invariant.runs = 12
    /// hardhat-config: default.invariant.depth = 100
    /// hardhat-config: default.invariant.failOnRevert = true
    /// hardhat-config: deep.invariant.runs = 400
    /// hardhat-config: deep.invariant.depth = 500
    /// hardhat-config: deep.invariant.failOnRevert = true
    function invariant_booksHoldAndEveryoneCanLeave() external view {
        IVaultViews.VaultState memory state = _inspect();
        _solvent(state);
        _balancesAgree(state);
        _lanesAgree();
        _linked(state);
    }

    /// @notice I14, at the end of each sequence: all owners leave while everything is paused.
    function afterInvariant() external {
        _actors.everyoneLeaves();
        IVaultViews.VaultState memory state = _inspect();
        for (uint256 asset = 0; asset < state.assets.length; ++asset) {
            _equal("booked once all have left", state.assets[asset].fees, state.assets[asset].booked);
        }
        _solvent(state);
    }

    /// @dev I1, I3, P4: per asset, balances and fees add up to what is booked; the tokens are there.
    function _solvent(IVaultViews.VaultState memory state) private pure {
        for (uint256 asset = 0; asset < state.assets.length; ++asset) {
            uint256 sum = state.assets[asset].fees;
            for (uint256 i = 0; i < state.accounts.length; ++i) sum += state.accounts[i].balances[asset];
            _equal("booked", sum, state.assets[asset].booked);
            if (state.assets[asset].held < sum) revert Broken("held", sum, state.assets[asset].held);
        }
    }

    /// @dev I2: every balance is deposits − withdrawals − exits ± fills − fees.
    function _balancesAgree(IVaultViews.VaultState memory state) private view {
        for (uint256 asset = 0; asset < state.assets.length; ++asset) {
            _equal("fees", _actors.fees(asset), state.assets[asset].fees);
            for (uint256 i = 0; i < state.accounts.length; ++i) {
                _equal("balance", _actors.balances(i, asset), state.accounts[i].balances[asset]);
            }
        }
    }

    /// @dev I4: every lane shows its latest order, and how much of it was filled.
    function _lanesAgree() private view {
        for (uint256 owner = 0; owner < _actors.OWNERS(); ++owner) {
            for (uint256 lane = 0; lane < _actors.LANES(); ++lane) {
                (uint256 sequence, uint256 filled) = _actors.lanes(owner, lane);
                (uint40 stored, uint40 lots, ) = _actors.VAULT().laneState(_actors.owners(owner), uint16(lane));
                _equal("lane sequence", sequence, stored);
                _equal("filled lots", filled, lots);
            }
        }
    }

    /// @dev I5, and the numbering of events: the vault stands where its last batch and its last event left it.
    function _linked(IVaultViews.VaultState memory state) private view {
        _equal("batch id", _actors.batchId(), state.batchId);
        _equal("batch hash", uint256(_actors.batchHash()), uint256(state.batchHash));
        _equal("epoch", _actors.epoch(), state.epoch);
        _equal("events", _actors.events(), state.eventSequence);
    }

    function _inspect() private view returns (IVaultViews.VaultState memory) {
        address[] memory accounts = new address[](_actors.OWNERS());
        for (uint256 i = 0; i < accounts.length; ++i) accounts[i] = _actors.owners(i);
        return _actors.VAULT().inspect(accounts);
    }

    function _equal(string memory what, uint256 expected, uint256 found) private pure {
        if (expected != found) revert Broken(what, expected, found);
    }
}
