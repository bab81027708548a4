// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Custody } from "./Custody.sol";
import { Settlement } from "./Settlement.sol";
import { VaultExtension } from "./VaultExtension.sol";
import { VaultStorage } from "./VaultStorage.sol";

/// @title Tallystick's vault: custody and settlement, without a proxy. What is rarely used lies in its extension, deployed with it, fixed for ever.
/// @dev Both inherit `VaultStorage` first and add no storage, so they agree on every slot and on the lock. `IVault` is the whole interface.
contract Vault is Custody, Settlement {
    /// @notice Holds the code of session keys, requests, governance and views.
    address public immutable EXTENSION;

    constructor(Parameters memory p) VaultStorage(p, address(this)) {
        EXTENSION = address(new VaultExtension(p, address(this)));
        if (p.governance == address(0)) revert BadAddress(p.governance);
        if (p.engineKey == address(0)) revert BadAddress(p.engineKey);
        if (p.takerFeePpm > FEE_CAP_PPM || p.makerFeePpm > FEE_CAP_PPM) revert BadParameter(FEE_CAP_PPM);
        governance = p.governance;
        guardian = p.guardian;
        _engine = Engine(p.engineKey, p.takerFeePpm, p.makerFeePpm, 0, 0, 0);
        emit GovernanceTransferred(_nextEvent(), p.governance);
        emit GuardianChanged(_nextEvent(), p.guardian);
        emit FeesChanged(_nextEvent(), p.takerFeePpm, p.makerFeePpm);
        emit EngineKeyRegistered(_nextEvent(), p.engineKey, true);
    }

    /// @dev Everything else of `IVault`.
    // solhint-disable-next-line no-complex-fallback
    fallback() external {
        address target = EXTENSION;
        assembly ("memory-safe") {
            let pointer := mload(0x40)
            calldatacopy(pointer, 0, calldatasize())
            let success := delegatecall(gas(), target, pointer, calldatasize(), 0, 0)
            returndatacopy(pointer, 0, returndatasize())
            if iszero(success) {
                revert(pointer, returndatasize())
            }
            return(pointer, returndatasize())
        }
    }
}
