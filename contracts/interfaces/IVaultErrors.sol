// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Errors of the vault.
interface IVaultErrors {
    /// @notice A function was entered while another of the vault was running.
    error Reentered();
    /// @notice The vault is paused until `until`.
    error VaultPaused(uint64 until);
    /// @notice The caller is not the governance (or guardian, where it may act).
    error Unauthorized(address caller);
    /// @notice Deployment parameters must satisfy 0 < grace < exitDelay < timelockDelay.
    error BadDelays(uint64 grace, uint64 exitDelay, uint64 timelockDelay);
    /// @notice An address was zero, or one that cannot play this part.
    error BadAddress(address given);

    /// @notice Batches are submitted straight from an EOA without code.
    error NotFromPlainAccount(address caller);
    /// @notice Batch ids are gapless.
    error WrongBatchId(uint64 expected, uint64 given);
    /// @notice The batch does not follow the last one settled.
    error WrongParent(bytes32 expected, bytes32 given);
    /// @notice The batch was signed in a reign that is over.
    error StaleEpoch(uint64 stored, uint64 given);
    /// @notice The batch's epoch lies more than 1,024 above the one before it.
    error EpochTooFar(uint64 stored, uint64 given);
    /// @notice The batch was not signed by the active engine key. `recovered` is zero when nothing could be recovered.
    error BadEngineSignature(address expected, address recovered);
    /// @notice The content breaks its format at this byte.
    error MalformedContent(uint256 position);
    /// @notice Too little gas is left for a capped call and the rest of the batch.
    error NotEnoughGas(uint256 required, uint256 left);

    /// @notice The token is not listed.
    error UnknownAsset(address token);
    /// @notice There is no such market.
    error UnknownMarket(uint16 market);
    /// @notice The token is listed already.
    error AssetListedAlready(address token);
    /// @notice The pair is listed, or its delisting is not over yet.
    error MarketListedAlready(uint16 market);
    /// @notice A parameter is outside its bounds.
    error BadParameter(uint256 given);
    /// @notice The vault lists no more of these.
    error TooMany();

    /// @notice The amount is not a whole number of quanta.
    error NotWholeQuanta(uint256 amount, uint64 quantum);
    /// @notice The amount is below the asset's minimum.
    error DepositTooSmall(uint256 quanta, uint64 minimum);
    /// @notice The vault received another amount than asked (fee on transfer, rebasing).
    error ReceivedOther(uint256 asked, uint256 received);
    /// @notice The asset's booked total would reach 2^53 quanta.
    error TooMuchBooked(uint256 booked);
    /// @notice The token refused a transfer.
    error TransferFailed(address token);

    /// @notice No exit was requested for this asset.
    error NoExitRequested(address account, address token);
    /// @notice An exit is pending for this asset.
    error ExitPending(uint64 availableAt);
    /// @notice The exit delay is not over yet.
    error ExitNotYet(uint64 availableAt);
    /// @notice There is nothing to pay.
    error NothingToPay();
    /// @notice Two cancellations are under way; the earlier must become binding first.
    error CancellationPending(uint64 bindingAt);

    /// @notice The signature is not the account's.
    error BadSignature(address account);
    /// @notice Session nonces rise.
    error StaleSessionNonce(uint64 last, uint64 given);
    /// @notice The key is unknown or no longer valid.
    error UnknownSessionKey(address account, address key);
    /// @notice A valid key cannot be narrowed at once; revoke it instead.
    error SessionKeyStillValid(uint64 until);
    /// @notice The expiry lies in the past, or beyond 2^40.
    error BadExpiry(uint64 expiry);

    /// @notice The guardian cannot pause again before this time.
    error PauseTooSoon(uint64 from);
    /// @notice The fees cannot change again before this time: the earlier ones may still be paid until then.
    error FeesChangedTooSoon(uint64 from);
    /// @notice There is no active engine key to revoke.
    error NoEngineKey();
    /// @notice The timelock's delay is below the vault's least.
    error TimelockTooShort(uint256 delay, uint64 least);
}
