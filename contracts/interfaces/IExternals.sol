// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The wrapped native currency, as far as the vault uses it.
interface IWrappedNative {
    /// @notice Wraps the value sent.
    function deposit() external payable;

    /// @notice Unwraps.
    /// @param amount to unwrap.
    function withdraw(uint256 amount) external;
}

/// @title EIP-2612, as far as the vault uses it.
interface IPermit {
    /// @notice Sets an allowance by signature.
    /// @param owner who signed.
    /// @param spender who may spend.
    /// @param value how much.
    /// @param deadline until when the signature is good.
    /// @param v of the signature.
    /// @param r of the signature.
    /// @param s of the signature.
    function permit(
        address owner,
        address spender,
        uint256 value,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;
}

/// @title Permit2's signature transfer, as far as the vault uses it.
interface IPermit2 {
    /// @notice Token and amount that may be taken.
    struct TokenPermissions {
        address token;
        uint256 amount;
    }

    /// @notice What the owner signs, with the witness.
    struct PermitTransferFrom {
        TokenPermissions permitted;
        uint256 nonce;
        uint256 deadline;
    }

    /// @notice Where to and how much.
    struct SignatureTransferDetails {
        address to;
        uint256 requestedAmount;
    }

    /// @notice Transfers by signature, bound to a witness.
    /// @param permit what was signed.
    /// @param transferDetails where to.
    /// @param owner who signed.
    /// @param witness struct hash of what else was signed.
    /// @param witnessTypeString its type.
    /// @param signature of the owner.
    function permitWitnessTransferFrom(
        PermitTransferFrom memory permit,
        SignatureTransferDetails calldata transferDetails,
        address owner,
        bytes32 witness,
        string calldata witnessTypeString,
        bytes calldata signature
    ) external;
}
