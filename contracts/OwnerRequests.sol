// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IVaultRequests } from "./interfaces/IVault.sol";
import { Raw } from "./libraries/Raw.sol";
import { Signatures } from "./libraries/Signatures.sol";
import { Slots } from "./libraries/Slots.sol";
import { VaultStorage } from "./VaultStorage.sol";

/// @title What owners say on chain about their orders and their leaving: cancellations, registered orders, exit requests.
/// @dev No free options: each stops matching at once, but binds settlement only after GRACE, so that what was matched before still settles.
abstract contract OwnerRequests is VaultStorage, IVaultRequests {
    /// @inheritdoc IVaultRequests
    function registerOrder(
        address account,
        bytes32 digest,
        bytes calldata signature
    ) external nonReentrant whenNotPaused {
        if (msg.sender != account && !Signatures.accepts(account, digest, signature, gasleft()))
            revert BadSignature(account);
        _registeredOrders[account][digest] = true;
        emit OrderRegistered(_nextEvent(), account, digest);
    }

    /// @inheritdoc IVaultRequests
    function cancelAll() external nonReentrant {
        uint64 pendingUntil = _cancelOrders(msg.sender);
        if (pendingUntil != 0) revert CancellationPending(pendingUntil);
    }

    /// @inheritdoc IVaultRequests
    function requestExit(address token) external nonReentrant {
        Asset memory asset = _listedAsset(token);
        uint256 slot = Slots.ofExit(msg.sender, token);
        uint256 pending = Raw.read(slot);
        if (pending != 0) revert ExitPending(uint64(pending));
        uint64 availableAt = uint64(block.timestamp) + EXIT_DELAY;
        Raw.write(slot, Slots.exitRequest(token, asset.index, asset.quantumExponent, availableAt));
        // When two cancellations are under way already, the later becomes binding before the exit does.
        _cancelOrders(msg.sender);
        emit ExitRequested(_nextEvent(), msg.sender, asset.index, availableAt);
    }

    /// @inheritdoc IVaultRequests
    function cancelExit(address token) external nonReentrant {
        Asset memory asset = _listedAsset(token);
        uint256 slot = Slots.ofExit(msg.sender, token);
        if (Raw.read(slot) >> 96 != uint160(token)) revert NoExitRequested(msg.sender, token);
        Raw.write(slot, 0);
        emit ExitCancelled(_nextEvent(), msg.sender, asset.index);
    }

    /// @inheritdoc IVaultRequests
    function isOrderRegistered(address account, bytes32 digest) external view returns (bool registered) {
        return _registeredOrders[account][digest];
    }

    /// @dev The two stamps are whole minutes since deployment, first ≤ second; each cancels what was signed before it and binds settlement GRACE after the
    /// start of the minute that it ends. A new stamp replaces a binding second one (which moves to first place) or fills an
    /// empty place: so no pending stamp is ever postponed, and no cancelled order ever revived.
    /// @return pendingUntil zero when the stamp was set; else when the second stamp becomes binding, and nothing was changed.
    function _cancelOrders(address account) internal returns (uint64 pendingUntil) {
        uint256 slot = Slots.ofAccount(account);
        uint256 header = Raw.read(slot);
        uint256 first = (header >> Slots.FIRST_STAMP_SHIFT) & Slots.MASK_24;
        uint256 second = (header >> Slots.SECOND_STAMP_SHIFT) & Slots.MASK_24;
        uint256 stamp = (block.timestamp - DEPLOYED_AT) / 60 + 1;
        if (second != 0 && first != 0) {
            uint256 secondBindsAt = _bindsAt(second);
            if (block.timestamp < secondBindsAt) return uint64(secondBindsAt);
        }
        header &= ~((Slots.MASK_24 << Slots.FIRST_STAMP_SHIFT) | (Slots.MASK_24 << Slots.SECOND_STAMP_SHIFT));
        header |= (second << Slots.FIRST_STAMP_SHIFT) | (stamp << Slots.SECOND_STAMP_SHIFT);
        Raw.write(slot, header);
        emit OrdersCancelled(_nextEvent(), account, uint64(stamp * 60_000), uint64(_bindsAt(stamp)));
    }
}
