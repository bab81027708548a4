// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { RUNNER } from "./Runner.sol";
import { Batches } from "./Batches.sol";
import { Broken } from "./Ledger.sol";

/// @title Every entry point of the vault, called by those who may and at any time; a call that is refused must have had to be refused.
abstract contract Actors is Batches {
    uint256 public exits;
    address private immutable _TEST = msg.sender;

    constructor() {
        _countEvents();
        for (uint256 owner = 0; owner < OWNERS; ++owner) {
            for (uint256 asset = 0; asset < ASSETS; ++asset) deposit(owner, asset, 20_000_000);
        }
    }

    modifier counted() {
        _;
        _countEvents();
    }

    function deposit(uint256 owner, uint256 asset, uint256 amount) public counted {
        (owner, asset) = (owner % OWNERS, asset % ASSETS);
        amount = 1 + (amount % 50_000_000);
        tokens[asset].mint(address(this), amount);
        try VAULT.deposit(address(tokens[asset]), amount, owners[owner]) {
            _must(block.timestamp >= pausedUntil, "deposited while paused");
            balances[owner][asset] += amount;
        } catch {
            _must(block.timestamp < pausedUntil, "deposit refused");
        }
    }

    function cancelAll(uint256 owner) external counted {
        owner %= OWNERS;
        RUNNER.prank(owners[owner]);
        try VAULT.cancelAll() {} catch {
            _must(_pendingCancellations(owner) != 0, "cancellation refused");
        }
    }

    function authorize(uint256 owner, uint256 time) external counted {
        owner %= OWNERS;
        uint256 expiry = block.timestamp + 1 + (time % 1 days);
        RUNNER.prank(owners[owner]);
        try VAULT.authorizeSessionKey(RUNNER.addr(_sessionKey(owner)), uint64(expiry), 1 << 255) {
            _must(block.timestamp >= pausedUntil, "authorized while paused");
            sessionUntil[owner] = expiry + GRACE;
        } catch {
            _must(block.timestamp < pausedUntil || expiry + GRACE < sessionUntil[owner], "authorization refused");
        }
    }

    function revoke(uint256 owner) external counted {
        owner %= OWNERS;
        RUNNER.prank(owners[owner]);
        try VAULT.revokeSessionKey(RUNNER.addr(_sessionKey(owner))) {
            if (block.timestamp + GRACE < sessionUntil[owner]) sessionUntil[owner] = block.timestamp + GRACE;
        } catch {
            _must(sessionUntil[owner] <= block.timestamp, "revocation refused");
        }
    }

    function requestExit(uint256 owner, uint256 asset) public counted {
        (owner, asset) = (owner % OWNERS, asset % ASSETS);
        RUNNER.prank(owners[owner]);
        try VAULT.requestExit(address(tokens[asset])) {
            _must(exitDue[owner][asset] == 0, "an exit was requested twice");
            exitDue[owner][asset] = block.timestamp + EXIT_DELAY;
        } catch {
            _must(exitDue[owner][asset] != 0, "exit request refused");
        }
    }

    function cancelExit(uint256 owner, uint256 asset) external counted {
        (owner, asset) = (owner % OWNERS, asset % ASSETS);
        RUNNER.prank(owners[owner]);
        try VAULT.cancelExit(address(tokens[asset])) {
            _must(exitDue[owner][asset] != 0, "an exit was cancelled that nobody asked for");
            exitDue[owner][asset] = 0;
        } catch {
            _must(exitDue[owner][asset] == 0, "cancelling an exit refused");
        }
    }

    /// @notice I14: from its time on an exit pays the whole balance, whatever is paused; never before, never twice.
    /// @param owner who leaves.
    /// @param asset with what.
    function exit(uint256 owner, uint256 asset) public counted {
        (owner, asset) = (owner % OWNERS, asset % ASSETS);
        uint256 due = exitDue[owner][asset];
        uint256 balance = balances[owner][asset];
        uint256 before = tokens[asset].balanceOf(owners[owner]);
        bool owed = due != 0 && block.timestamp >= due && balance != 0;
        RUNNER.prank(owners[owner]);
        try VAULT.exit(address(tokens[asset]), owners[owner]) {
            _must(owed, "an exit that was not due");
            (balances[owner][asset], exitDue[owner][asset]) = (0, 0);
            ++exits;
        } catch {
            _must(!owed, "an exit that was due refused");
            balance = 0;
        }
        uint256 paid = tokens[asset].balanceOf(owners[owner]) - before;
        if (paid != balance) revert Broken("paid by the exit", balance, paid);
    }

    function collectFees(uint256 asset) external counted {
        asset %= ASSETS;
        uint256 before = tokens[asset].balanceOf(address(0xfee));
        try VAULT.collectFees(address(tokens[asset])) {
            uint256 paid = tokens[asset].balanceOf(address(0xfee)) - before;
            if (paid != fees[asset]) revert Broken("fees collected", fees[asset], paid);
            fees[asset] = 0;
        } catch {
            _must(fees[asset] == 0, "collecting fees refused");
        }
    }

    function pause(uint256 time) external counted {
        // Rarely, since little goes on in a pause.
        if (time % 3 != 0) return;
        VAULT.pause();
        pausedUntil = block.timestamp + 7 days;
    }

    function unpause() public counted {
        try VAULT.unpause() {
            pausedUntil = block.timestamp;
        } catch {
            _must(block.timestamp >= pausedUntil, "unpausing refused");
        }
    }

    /// @notice The engine's key is revoked, and the next one takes over with a higher epoch.
    /// @param rare most calls do nothing.
    function rotateEngine(uint256 rare) external counted {
        if (rare % 4 != 0) return;
        VAULT.registerEngineKey(RUNNER.addr(engineKey + 1));
        VAULT.revokeEngineKey();
        ++engineKey;
        ++epoch;
    }

    function wait(uint256 time) external counted {
        uint256 step =
            time % 4 == 0
                ? GRACE
                : time % 4 == 1
                    ? 60
                    : time % 600;
        RUNNER.warp(block.timestamp + step + (time % 3));
        // Called from outside: within one function the compiler takes the time for constant.
        if (time % 8 == 7) this.unpause();
    }

    /// @notice A donation is nobody's, and harms nobody.
    /// @param asset which.
    /// @param amount how much.
    function donate(uint256 asset, uint256 amount) external counted {
        tokens[asset % ASSETS].mint(address(VAULT), amount % 1_000);
    }

    /// @notice Everyone leaves, with everything, while the vault is paused and the operator is silent.
    function everyoneLeaves() external {
        // The last thing that happens in a sequence of calls.
        if (msg.sender != _TEST) return;
        VAULT.pause();
        // The runner now and then plays the test itself: then the sequence goes on.
        pausedUntil = block.timestamp + 7 days;
        for (uint256 owner = 0; owner < OWNERS; ++owner) {
            for (uint256 asset = 0; asset < ASSETS; ++asset) {
                if (exitDue[owner][asset] == 0) this.requestExit(owner, asset);
            }
        }
        // The latest of all requests is due then.
        RUNNER.warp(block.timestamp + EXIT_DELAY);
        for (uint256 owner = 0; owner < OWNERS; ++owner) {
            for (uint256 asset = 0; asset < ASSETS; ++asset) {
                if (balances[owner][asset] == 0) continue;
                this.exit(owner, asset);
                if (balances[owner][asset] != 0) revert Broken("left behind", 0, balances[owner][asset]);
            }
        }
    }

    function _must(bool holds, string memory what) private pure {
        if (!holds) revert Broken(what, 1, 0);
    }
}
