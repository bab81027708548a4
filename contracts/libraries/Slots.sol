// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Where an account's words lie in storage, and what their bits mean.
/// @notice slot = account (160) · kind (16) · index (80). No hash is needed: an account's words are found by shifting its address. They cannot meet the
/// compiler's own slots: those are small numbers (an account would have to be zero, which is refused everywhere) or keccak256 values
/// (whose 160 + 16 + 64 bits would have to be hit, beyond the strength that addresses themselves rest on).
///
/// Page 0:        lane 0 sequence (40) · lane 0 filled lots (40) · first stamp (24) · second stamp (24) · asset 1 (64) · asset 0 (64) = 256
/// Page p > 0:    asset 4p+1 (64) · asset 4p (64) · asset 4p−1 (64) · asset 4p−2 (64) = 256
/// Lane l > 0:    sequence (40) · filled lots (40) · tag (160) · unused (16) = 256
/// Withdrawal lane: sequence (40)
/// Exit request:  token (160) · asset (16) · quantum exponent (8) · unused (8) · time from which it can be executed (64) = 256
library Slots {
    uint256 internal constant LANE = 1 << 80;
    uint256 internal constant WITHDRAWAL_LANE = 2 << 80;
    uint256 internal constant EXIT = 3 << 80;

    uint256 internal constant SEQUENCE_SHIFT = 216;
    uint256 internal constant FILLED_SHIFT = 176;
    uint256 internal constant FIRST_STAMP_SHIFT = 152;
    uint256 internal constant SECOND_STAMP_SHIFT = 128;
    uint256 internal constant TAG_SHIFT = 16;
    uint256 internal constant MASK_24 = (1 << 24) - 1;
    uint256 internal constant MASK_48 = (1 << 48) - 1;
    uint256 internal constant MASK_40 = (1 << 40) - 1;
    uint256 internal constant MASK_64 = (1 << 64) - 1;
    /// @dev What a lane update keeps of page 0.
    uint256 internal constant BELOW_FILLED = (1 << 176) - 1;

    /// @dev Two listed tokens whose last 80 bits are the same would share a word: then only one of them at a time, as its upper bits say.
    function ofExit(address account, address token) internal pure returns (uint256 slot) {
        return ofAccount(account) | EXIT | uint80(uint160(token));
    }

    /// @dev All that the exit needs to know of the asset, so that it reads nothing else about it.
    function exitRequest(
        address token,
        uint16 asset,
        uint8 quantumExponent,
        uint64 availableAt
    ) internal pure returns (uint256 word) {
        return
            (uint256(uint160(token)) << 96) | (uint256(asset) << 80) | (uint256(quantumExponent) << 72) | availableAt;
    }

    function ofAccount(address account) internal pure returns (uint256 base) {
        return uint256(uint160(account)) << 96;
    }

    /// @return page number of the storage page.
    /// @return shift of the balance within the page's word.
    function ofAsset(uint256 asset) internal pure returns (uint256 page, uint256 shift) {
        unchecked {
            if (asset < 2) return (0, asset << 6);
            return (1 + ((asset - 2) >> 2), ((asset - 2) & 3) << 6);
        }
    }
}
