// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import { Refused } from "./TestToken.sol";

/// @title An ERC-1271 wallet that accepts its owner's ECDSA signature, and misbehaves on demand.
contract TestWallet {
    enum Mood {
        Good,
        Reverts,
        ReturnsGarbage,
        BurnsGas,
        ReturnsHuge,
        ReturnsShort,
        Refuses
    }

    address public immutable OWNER;
    Mood public mood;
    bool public refusesEther;

    constructor(address owner) {
        OWNER = owner;
    }

    receive() external payable {
        if (!(!refusesEther)) revert Refused("no ether");
    }

    /// @notice Sets the behaviour of signature checks.
    /// @param newMood one of them.
    function setMood(Mood newMood) external {
        mood = newMood;
    }

    /// @notice Sets whether ether is refused.
    /// @param refuses true to refuse.
    function setRefusesEther(bool refuses) external {
        refusesEther = refuses;
    }

    /// @notice Calls anything in the wallet's name.
    /// @param target whom.
    /// @param value ether to send along.
    /// @param request calldata.
    /// @return answer what came back.
    function execute(
        address target,
        uint256 value,
        bytes calldata request
    ) external payable returns (bytes memory answer) {
        bool success;
        (success, answer) = target.call{ value: value }(request);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(answer, 0x20), mload(answer))
            }
        }
    }

    /// @notice ERC-1271.
    /// @param hash what was signed.
    /// @param signature the owner's, 65 bytes.
    /// @return magic when accepted.
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4 magic) {
        Mood m = mood;
        if (!(m != Mood.Reverts)) revert Refused("in a bad mood");
        if (m == Mood.ReturnsGarbage) return 0xdeadbeef;
        if (m == Mood.BurnsGas) {
            assembly ("memory-safe") {
                invalid()
            }
        }
        if (m == Mood.ReturnsHuge) {
            assembly ("memory-safe") {
                return(0, 1000000)
            }
        }
        if (m == Mood.ReturnsShort) {
            assembly ("memory-safe") {
                mstore(0, shl(224, 0x1626ba7e))
                return(0, 4)
            }
        }
        if (m == Mood.Refuses) return 0xffffffff;
        (address signer, ECDSA.RecoverError problem, ) = ECDSA.tryRecover(hash, signature);
        return problem == ECDSA.RecoverError.NoError && signer == OWNER ? this.isValidSignature.selector : bytes4(0);
    }
}

/// @title An ERC-1271 wallet that calls back whenever it is asked or paid, accepts its owner's signature if that failed, and remembers how it went.
contract ReentrantWallet {
    address public immutable OWNER;
    address public target;
    bytes public request;
    /// @notice Whether a call back got through while the wallet was paid.
    bool public entered;
    /// @notice What came back then.
    bytes public answer;

    constructor(address owner) {
        OWNER = owner;
    }

    receive() external payable {
        (entered, answer) = target.call(request);
    }

    /// @notice Sets the call to make.
    /// @param target_ whom to call.
    /// @param request_ calldata.
    function setCallback(address target_, bytes calldata request_) external {
        (target, request) = (target_, request_);
    }

    /// @notice ERC-1271, without promising to change nothing.
    /// @param hash what was signed.
    /// @param signature the owner's, 65 bytes.
    /// @return magic when accepted; zero when the call back got through.
    function isValidSignature(bytes32 hash, bytes calldata signature) external returns (bytes4 magic) {
        (bool success, ) = target.call(request);
        if (success) return 0;
        return ECDSA.recover(hash, signature) == OWNER ? this.isValidSignature.selector : bytes4(0);
    }
}

/// @title Submits on behalf of another, as a contract.
contract Forwarder {
    /// @notice Calls the target.
    /// @param target whom.
    /// @param request calldata.
    function forward(address target, bytes calldata request) external {
        (bool success, bytes memory answer) = target.call(request);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(answer, 0x20), mload(answer))
            }
        }
    }
}
