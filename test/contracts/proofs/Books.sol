// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The books of one asset, reduced to two owners: P4 by induction. Each function is one step of the vault from any state that satisfies the
/// invariant; the checker proves that the state after it does, and that no subtraction on the way can fail.
/// @dev The first state, all zeros, satisfies it. Mirrors what deposits, fills, withdrawals, exits and collecting do.
contract Books {
    uint256 private constant TOTAL_MAX = 1 << 53;

    struct State {
        uint256 ann;
        uint256 ben;
        uint256 fees;
        uint256 booked;
        uint256 held;
    }

    /// @dev P4, and the bound that lets no 64-bit field overflow.
    function holds(State memory s) private pure returns (bool) {
        // The checker looks at this function by itself as well, where nothing bounds the sum; in every step `assume` does.
        unchecked {
            return s.ann + s.ben + s.fees == s.booked && s.booked <= s.held && s.booked < TOTAL_MAX;
        }
    }

    function assume(State memory s) private pure {
        require(s.ann < TOTAL_MAX && s.ben < TOTAL_MAX && s.fees < TOTAL_MAX && s.held < 1 << 128);
        require(holds(s));
    }

    function deposit(State memory s, uint64 quanta) external pure {
        assume(s);
        require(s.booked + quanta < TOTAL_MAX);
        s.held += quanta;
        s.booked += quanta;
        s.ann += quanta;
        assert(holds(s));
    }

    function donate(State memory s, uint64 quanta) external pure {
        assume(s);
        s.held += quanta;
        assert(holds(s));
    }

    function fill(State memory s, uint64 cost, uint64 proceeds) external pure {
        assume(s);
        require(proceeds <= cost);
        if (s.ann < cost) return;
        s.ann -= cost;
        s.ben += proceeds;
        s.fees += cost - proceeds;
        assert(holds(s));
    }

    function withdraw(State memory s, uint64 amount, uint64 fee) external pure {
        assume(s);
        require(fee <= amount);
        if (s.ann < amount) return;
        s.ann -= amount;
        s.booked -= amount - fee;
        s.fees += fee;
        s.held -= amount - fee;
        assert(holds(s));
    }

    function exit(State memory s) external pure {
        assume(s);
        s.booked -= s.ann;
        s.held -= s.ann;
        s.ann = 0;
        assert(holds(s));
    }

    function collect(State memory s) external pure {
        assume(s);
        s.booked -= s.fees;
        s.held -= s.fees;
        s.fees = 0;
        assert(holds(s));
    }
}
