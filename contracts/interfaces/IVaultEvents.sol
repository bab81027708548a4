// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Events of the vault. Each carries the next number of one gapless sequence (1, 2, 3 …), so that a follower notices a missing one.
interface IVaultEvents {
    /// @notice A batch was settled.
    /// @param id of the batch.
    /// @param eventSequence number of this event.
    /// @param epoch of the engine that signed.
    /// @param contentHash keccak256 of the packed content.
    /// @param batchHash the parent that the next batch must carry.
    /// @param skips 4 bytes per skipped fill: index u16, fault u8 (1 = maker order), reason u8.
    /// @param withdrawals 17 bytes per withdrawal: index u16, reason u8 (0 = executed), amount u56, fee u56, in quanta.
    event BatchSettled(
        uint64 indexed id,
        uint64 eventSequence,
        uint64 epoch,
        bytes32 contentHash,
        bytes32 batchHash,
        bytes skips,
        bytes withdrawals
    );

    /// @notice An account was credited.
    /// @param eventSequence number of this event.
    /// @param account the beneficiary.
    /// @param asset index of the asset.
    /// @param quanta credited.
    /// @param payer who paid the tokens.
    event Deposited(uint64 eventSequence, address indexed account, uint16 indexed asset, uint64 quanta, address payer);

    /// @notice An exit was requested.
    /// @param eventSequence number of this event.
    /// @param account the owner.
    /// @param asset index of the asset.
    /// @param availableAt when it can be executed, Unix seconds.
    event ExitRequested(uint64 eventSequence, address indexed account, uint16 indexed asset, uint64 availableAt);

    /// @notice An exit request was withdrawn.
    /// @param eventSequence number of this event.
    /// @param account the owner.
    /// @param asset index of the asset.
    event ExitCancelled(uint64 eventSequence, address indexed account, uint16 indexed asset);

    /// @notice An exit was paid.
    /// @param eventSequence number of this event.
    /// @param account the owner.
    /// @param asset index of the asset.
    /// @param quanta paid: the whole balance.
    /// @param recipient who received the tokens.
    event ExitExecuted(
        uint64 eventSequence,
        address indexed account,
        uint16 indexed asset,
        uint64 quanta,
        address recipient
    );

    /// @notice Orders were cancelled.
    /// @param eventSequence number of this event.
    /// @param account the owner.
    /// @param beforeSequence every order with a lower sequence is cancelled.
    /// @param bindingAt when settlement begins to refuse them, Unix seconds.
    event OrdersCancelled(uint64 eventSequence, address indexed account, uint64 beforeSequence, uint64 bindingAt);

    /// @notice An order was registered.
    /// @param eventSequence number of this event.
    /// @param account the owner.
    /// @param digest EIP-712 digest of the order.
    event OrderRegistered(uint64 eventSequence, address indexed account, bytes32 digest);

    /// @notice A session key was registered.
    /// @param eventSequence number of this event.
    /// @param account the owner.
    /// @param key the session key.
    /// @param expiry last second at which the engine matches its orders.
    /// @param marketMask bit i allows market i, bit 255 all.
    /// @param nonce session nonce of the registration.
    event SessionKeyRegistered(
        uint64 eventSequence,
        address indexed account,
        address indexed key,
        uint64 expiry,
        uint256 marketMask,
        uint64 nonce
    );

    /// @notice A session key was revoked.
    /// @param eventSequence number of this event.
    /// @param account the owner.
    /// @param key the session key.
    /// @param settleableUntil last second at which settlement accepts it.
    event SessionKeyRevoked(uint64 eventSequence, address indexed account, address indexed key, uint64 settleableUntil);

    /// @notice An asset was listed.
    /// @param eventSequence number of this event.
    /// @param asset index, in order of listing; decides the storage page.
    /// @param token the token.
    /// @param quantum token base units per quantum.
    /// @param minimumDeposit in quanta.
    /// @param decimals shown to users.
    /// @param symbol shown to users.
    event AssetListed(
        uint64 eventSequence,
        uint16 indexed asset,
        address indexed token,
        uint64 quantum,
        uint64 minimumDeposit,
        uint8 decimals,
        string symbol
    );

    /// @notice A market was listed.
    /// @param eventSequence number of this event.
    /// @param market index, in order of listing.
    /// @param baseAsset index of the base asset.
    /// @param quoteAsset index of the quote asset.
    /// @param lotQuanta base quanta per lot.
    /// @param tickQuanta quote quanta per lot and tick.
    /// @param maxSizeLots largest order.
    /// @param maxPriceTicks highest price.
    event MarketListed(
        uint64 eventSequence,
        uint16 indexed market,
        uint16 baseAsset,
        uint16 quoteAsset,
        uint64 lotQuanta,
        uint64 tickQuanta,
        uint40 maxSizeLots,
        uint32 maxPriceTicks
    );

    /// @notice A market was delisted.
    /// @param eventSequence number of this event.
    /// @param market index.
    event MarketDelisted(uint64 eventSequence, uint16 indexed market);

    /// @notice The highest fees changed.
    /// @param eventSequence number of this event.
    /// @param takerFeePpm parts per million of the notional.
    /// @param makerFeePpm parts per million of the notional.
    event FeesChanged(uint64 eventSequence, uint16 takerFeePpm, uint16 makerFeePpm);

    /// @notice Fees were paid to the collector.
    /// @param eventSequence number of this event.
    /// @param asset index.
    /// @param quanta paid.
    event FeesCollected(uint64 eventSequence, uint16 indexed asset, uint64 quanta);

    /// @notice The limit on withdrawals changed.
    /// @param eventSequence number of this event.
    /// @param asset index.
    /// @param limitQuanta per window; zero means unlimited.
    /// @param windowSeconds length of the window.
    event OutflowLimitChanged(uint64 eventSequence, uint16 indexed asset, uint64 limitQuanta, uint32 windowSeconds);

    /// @notice A standby engine key was registered.
    /// @param eventSequence number of this event.
    /// @param key its address.
    /// @param active whether it is the active one from now on.
    event EngineKeyRegistered(uint64 eventSequence, address indexed key, bool active);

    /// @notice The active engine key was revoked.
    /// @param eventSequence number of this event.
    /// @param key the revoked key.
    /// @param successor the active key from now on; zero when none is registered.
    /// @param epoch lowest epoch that settlement accepts from now on.
    event EngineKeyRevoked(uint64 eventSequence, address indexed key, address indexed successor, uint64 epoch);

    /// @notice A pause began, or was lengthened.
    /// @param eventSequence number of this event.
    /// @param until when it ends by itself, Unix seconds.
    event Paused(uint64 eventSequence, uint64 until);

    /// @notice A pause was ended.
    /// @param eventSequence number of this event.
    event Unpaused(uint64 eventSequence);

    /// @notice The guardian changed.
    /// @param eventSequence number of this event.
    /// @param guardian who may pause and revoke the engine key.
    event GuardianChanged(uint64 eventSequence, address indexed guardian);

    /// @notice Governance changed hands.
    /// @param eventSequence number of this event.
    /// @param governance who may change parameters from now on.
    event GovernanceTransferred(uint64 eventSequence, address indexed governance);
}
