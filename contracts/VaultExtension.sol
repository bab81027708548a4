// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Governance } from "./Governance.sol";
import { OwnerRequests } from "./OwnerRequests.sol";
import { SessionKeys } from "./SessionKeys.sol";
import { VaultStorage } from "./VaultStorage.sol";
import { Views } from "./Views.sol";

/// @title The vault's rarely used functions, in a contract of their own because of the size limit.
/// @notice Works only on the storage of the vault that deployed it, by delegatecall; it can never be replaced. Called directly it sees empty storage
/// without governance, holds nothing, and can do nothing.
contract VaultExtension is SessionKeys, OwnerRequests, Governance, Views {
    constructor(Parameters memory parameters, address vault) VaultStorage(parameters, vault) {}
}
