// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IVaultViews } from "./interfaces/IVault.sol";
import { Progress } from "./libraries/Progress.sol";
import { Raw } from "./libraries/Raw.sol";
import { Slots } from "./libraries/Slots.sol";
import { Transfers } from "./libraries/Transfers.sol";
import { VaultStorage } from "./VaultStorage.sol";

/// @title What anyone may look up, and all of it that an auditor compares in one call.
abstract contract Views is VaultStorage, IVaultViews {
    /// @inheritdoc IVaultViews
    function marketState(uint16 market) external view returns (MarketState memory state) {
        if (market >= _markets.length) revert UnknownMarket(market);
        Market memory m = _markets[market];
        return
            MarketState({
                baseAsset: m.baseAsset,
                quoteAsset: m.quoteAsset,
                lotQuanta: m.lotQuanta,
                tickQuanta: m.tickQuanta,
                maxSizeLots: m.maxSizeLots,
                maxPriceTicks: m.maxPriceTicks,
                delistedAt: m.delistedAt == 0 ? 0 : DEPLOYED_AT + m.delistedAt
            });
    }

    /// @inheritdoc IVaultViews
    function listed() external view returns (uint256 assets, uint256 markets) {
        return (_tokens.length, _markets.length);
    }

    /// @inheritdoc IVaultViews
    function inspect(address[] calldata accounts) external view returns (VaultState memory state) {
        Progress progress = _progress;
        state.batchId = progress.batchId();
        state.batchHash = _batchHash;
        state.epoch = progress.epoch();
        state.eventSequence = progress.eventSequence();
        state.pausedUntil = progress.pausedUntil();
        state.engineKey = _engine.key;
        uint256 count = _tokens.length;
        state.assets = new AssetState[](count);
        for (uint256 i = 0; i < count; ++i) {
            address token = _tokens[i];
            Asset memory asset = _loadAsset(token);
            state.assets[i] = AssetState({
                token: token,
                quantum: uint64(_quantum(asset.quantumExponent)),
                booked: asset.booked,
                fees: asset.fees,
                held: Transfers.held(token)
            });
        }
        state.accounts = new AccountState[](accounts.length);
        for (uint256 i = 0; i < accounts.length; ++i) _inspectAccount(state.accounts[i], accounts[i], count);
    }

    function _inspectAccount(AccountState memory shown, address account, uint256 assetCount) private view {
        uint256 header = Raw.read(Slots.ofAccount(account));
        shown.account = account;
        shown.lane0Sequence = uint40(header >> Slots.SEQUENCE_SHIFT);
        shown.lane0FilledLots = uint40(header >> Slots.FILLED_SHIFT);
        shown.cancelledBefore = uint64(_cutoff(header));
        uint64 latest = uint64(((header >> Slots.SECOND_STAMP_SHIFT) & Slots.MASK_24) * 60_000);
        shown.cancellingBefore = latest == shown.cancelledBefore ? 0 : latest;
        shown.balances = new uint64[](assetCount);
        for (uint256 i = 0; i < assetCount; ++i) {
            (uint256 slot, uint256 shift) = _balanceSlot(account, i);
            shown.balances[i] = uint64(Raw.read(slot) >> shift);
        }
    }

    /// @inheritdoc IVaultViews
    function laneState(
        address account,
        uint16 lane
    ) external view returns (uint40 sequence, uint40 filledLots, bytes20 tag) {
        uint256 word = Raw.read(lane == 0 ? Slots.ofAccount(account) : Slots.ofAccount(account) | Slots.LANE | lane);
        return (
            uint40(word >> Slots.SEQUENCE_SHIFT),
            uint40(word >> Slots.FILLED_SHIFT),
            lane == 0 ? bytes20(0) : bytes20(uint160(word >> Slots.TAG_SHIFT))
        );
    }

    /// @inheritdoc IVaultViews
    function withdrawalLane(address account, uint16 lane) external view returns (uint40 sequence) {
        return uint40(Raw.read(Slots.ofAccount(account) | Slots.WITHDRAWAL_LANE | lane));
    }

    /// @inheritdoc IVaultViews
    function balanceOf(address account, address token) external view returns (uint64 quanta) {
        (uint256 slot, uint256 shift) = _balanceSlot(account, _listedAsset(token).index);
        return uint64(Raw.read(slot) >> shift);
    }

    /// @inheritdoc IVaultViews
    function exitAvailableAt(address account, address token) external view returns (uint64 availableAt) {
        _listedAsset(token);
        uint256 request = Raw.read(Slots.ofExit(account, token));
        return request >> 96 == uint160(token) ? uint64(request) : 0;
    }
}
