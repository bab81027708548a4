// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import { IPermit2 } from "../interfaces/IExternals.sol";
import { Refused } from "./TestToken.sol";

/// @title Permit2's witness transfer with its hashing and unordered nonces, for chains that lack the original.
contract TestPermit2 is IPermit2 {
    bytes32 private constant _TOKEN_PERMISSIONS_TYPEHASH = keccak256("TokenPermissions(address token,uint256 amount)");
    string private constant _WITNESS_STUB =
        "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,";

    mapping(address owner => mapping(uint256 nonce => bool)) public used;

    /// @inheritdoc IPermit2
    function permitWitnessTransferFrom(
        PermitTransferFrom memory permit,
        SignatureTransferDetails calldata transferDetails,
        address owner,
        bytes32 witness,
        string calldata witnessTypeString,
        bytes calldata signature
    ) external {
        if (!(block.timestamp <= permit.deadline)) revert Refused("expired");
        if (!(!used[owner][permit.nonce])) revert Refused("nonce used");
        if (!(transferDetails.requestedAmount <= permit.permitted.amount)) revert Refused("too much");
        used[owner][permit.nonce] = true;
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256(abi.encodePacked(_WITNESS_STUB, witnessTypeString)),
                keccak256(abi.encode(_TOKEN_PERMISSIONS_TYPEHASH, permit.permitted.token, permit.permitted.amount)),
                msg.sender,
                permit.nonce,
                permit.deadline,
                witness
            )
        );
        if (!(ECDSA.recover(keccak256(abi.encodePacked(hex"1901", domainSeparator(), structHash)), signature) == owner))
            revert Refused("signer");
        if (!(IERC20(permit.permitted.token).transferFrom(owner, transferDetails.to, transferDetails.requestedAmount)))
            revert Refused("transfer");
    }

    /// @notice Permit2's domain has no version.
    /// @return separator for this contract.
    function domainSeparator() public view returns (bytes32 separator) {
        return
            keccak256(
                abi.encode(
                    keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)"),
                    keccak256("Permit2"),
                    block.chainid,
                    address(this)
                )
            );
    }
}
