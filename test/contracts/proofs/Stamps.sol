// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The two cancellation stamps of an account: rule 2 by induction over cancellations and passing time.
/// @dev Whole minutes since deployment, below 2^24; a GRACE of an hour. Mirrors `OwnerRequests._cancelOrders` and `VaultStorage._cutoff`.
contract Stamps {
    uint256 private constant GRACE = 60;

    /// @dev A cancellation postpones no pending one, revives nothing, and takes effect later than at once. The cut-off before and after is written
    /// out: sequences of minutes below it are refused.
    function cancel(uint24 minute, uint24 first, uint24 second) external pure {
        require(first <= second && second <= uint256(minute) + 1);
        bool secondBinds = second != 0 && uint256(minute) + 1 >= uint256(second) + GRACE;
        bool firstBinds = first != 0 && uint256(minute) + 1 >= uint256(first) + GRACE;
        if (first != 0 && second != 0 && !secondBinds) return;
        uint256 before =
            secondBinds
                ? second
                : firstBinds
                    ? first
                    : 0;
        // The second stamp moves to first place, the new one takes its own.
        uint256 stamp = uint256(minute) + 1;
        uint256 afterwards = secondBinds ? second : 0;
        assert(second <= stamp);
        assert(afterwards >= before);
        assert(afterwards < stamp);
        // What was pending binds when it would have: then the cut-off is at least that stamp.
        uint256 due = uint256(second) + GRACE;
        uint256 thenCutoff = due >= stamp + GRACE ? stamp : second;
        assert(thenCutoff >= second);
    }

    /// @dev Time alone never makes settlement accept again what it refused.
    function pass(uint24 minute, uint24 later, uint24 first, uint24 second) external pure {
        require(first <= second && second <= uint256(minute) + 1 && later >= minute);
        uint256 present = uint256(minute) + 1;
        uint256 future = uint256(later) + 1;
        uint256 now_ = second != 0 && present >= uint256(second) + GRACE ? second : 0;
        if (now_ == 0 && first != 0 && present >= uint256(first) + GRACE) now_ = first;
        uint256 then_ = second != 0 && future >= uint256(second) + GRACE ? second : 0;
        if (then_ == 0 && first != 0 && future >= uint256(first) + GRACE) then_ = first;
        assert(then_ >= now_);
    }
}
