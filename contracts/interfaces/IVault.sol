// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IVaultErrors } from "./IVaultErrors.sol";
import { IVaultEvents } from "./IVaultEvents.sol";

/// @title What is fixed at deployment.
interface IVaultParameters is IVaultEvents, IVaultErrors {
    /// @notice EIP-712 domain separator, recomputed when the chain id has changed.
    /// @return separator for the present chain id.
    function domainSeparator() external view returns (bytes32 separator);

    /// @notice Block time of the deployment, from which sequences count.
    function DEPLOYED_AT() external view returns (uint64);

    /// @notice Seconds between a user's change and its binding settlement.
    function GRACE() external view returns (uint64);

    /// @notice Seconds between an exit's request and its execution.
    function EXIT_DELAY() external view returns (uint64);

    /// @notice Least delay of the timelock that governs the vault, in seconds.
    function TIMELOCK_DELAY() external view returns (uint64);
}

/// @title Settlement of batches.
interface IVaultSettlement {
    /// @notice Everything in a batch's signature but its content hash.
    struct Batch {
        /// Last settled id + 1.
        uint64 id;
        /// Batch hash of the batch before; zero for the first.
        bytes32 parent;
        /// Reign of the engine that signed; never below the stored one.
        uint64 epoch;
        /// Last command of the journal that the batch commits to.
        uint64 journalSequence;
        /// Hash of the journal row that ends with that command.
        bytes32 journalHash;
    }

    /// @notice Settles the next batch. Anyone may submit it, straight from an EOA without code. Bad fills and withdrawals are skipped and
    /// reported in `BatchSettled`; only a batch that is wrong as a whole reverts.
    /// @param batch what the engine signed, but for the content hash.
    /// @param content accounts, orders with their signatures, fills and withdrawals, packed as docs/batch-format.md says.
    /// @param engineSignatureR first half of the engine's ERC-2098 signature.
    /// @param engineSignatureVs second half.
    function settle(
        Batch calldata batch,
        bytes calldata content,
        bytes32 engineSignatureR,
        bytes32 engineSignatureVs
    ) external;
}

/// @title Deposits, exits, collected fees.
interface IVaultCustody {
    /// @notice Deposits tokens of the caller for `beneficiary`.
    /// @param token a listed token that the caller has approved for at least `amount`.
    /// @param amount token base units, a whole number of quanta, at least the asset's minimum.
    /// @param beneficiary the account that is credited.
    function deposit(address token, uint256 amount, address beneficiary) external;

    /// @notice `deposit` with an EIP-2612 permit of the caller. A permit that fails is ignored when the allowance is there already.
    /// @param token a listed token.
    /// @param amount token base units.
    /// @param beneficiary the account that is credited.
    /// @param deadline of the permit.
    /// @param v signature of the permit.
    /// @param r signature of the permit.
    /// @param s signature of the permit.
    function depositWithPermit(
        address token,
        uint256 amount,
        address beneficiary,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice Deposits by Permit2 signature transfer; anyone may relay it, since the witness `Deposit(address beneficiary)` binds the beneficiary.
    /// @param token a listed token.
    /// @param amount token base units.
    /// @param beneficiary the account that is credited.
    /// @param owner who pays and signed.
    /// @param nonce Permit2 nonce.
    /// @param deadline of the permit.
    /// @param signature Permit2 signature of the owner.
    function depositWithPermit2(
        address token,
        uint256 amount,
        address beneficiary,
        address owner,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external;

    /// @notice Wraps the value sent and deposits it for `beneficiary`.
    /// @param beneficiary the account that is credited.
    function depositEther(address beneficiary) external payable;

    /// @notice Pays the caller's whole balance of one asset to `recipient`, once the exit delay has passed since the request.
    /// @param token the asset.
    /// @param recipient not zero, the vault or a listed token.
    function exit(address token, address recipient) external;

    /// @notice Sends an asset's collected fees to the fee collector; anyone may call.
    /// @param token the asset.
    function collectFees(address token) external;
}

/// @title Session keys.
interface IVaultSessionKeys {
    /// @notice Registers a session key with the owner's signature over `SessionKey(account,key,expiry,nonce)`; anyone may relay it. Valid for every market.
    /// @param account the owner.
    /// @param key the key that may sign orders (never withdrawals) for the owner.
    /// @param expiry last second at which the engine matches the key's orders; they settle until GRACE later.
    /// @param nonce above every session nonce that the account used before.
    /// @param signature 64 or 65 bytes of ECDSA by the owner, or ERC-1271 bytes.
    function registerSessionKey(
        address account,
        address key,
        uint64 expiry,
        uint64 nonce,
        bytes calldata signature
    ) external;

    /// @notice Registers a session key of the caller.
    /// @param key the key that may sign orders for the caller.
    /// @param expiry last second at which the engine matches the key's orders.
    /// @param marketMask bit i allows market i (i < 192); bit 255 alone allows all.
    function authorizeSessionKey(address key, uint64 expiry, uint256 marketMask) external;

    /// @notice Revokes a session key of the caller: no matching from now on, no settlement after GRACE.
    /// @dev Callable while paused.
    /// @param key the key to revoke.
    function revokeSessionKey(address key) external;

    /// @notice Validity of a session key.
    /// @param account the owner.
    /// @param key the session key.
    /// @return settleableUntil last second at which settlement accepts the key: expiry or revocation plus GRACE, zero when unknown.
    /// @return marketMask as registered.
    function sessionKey(
        address account,
        address key
    ) external view returns (uint64 settleableUntil, uint256 marketMask);

    /// @notice Highest session nonce that an account has used.
    /// @param account the owner.
    /// @return nonce the next one must be higher.
    function sessionNonce(address account) external view returns (uint64 nonce);
}

/// @title What owners say on chain about their orders and their leaving.
interface IVaultRequests {
    /// @notice Records that `account` stands behind an order, for wallets without a private key (ERC-1271). There is no way back but `cancelAll` and expiry.
    /// @param account the order's account; either the caller, or a contract whose ERC-1271 check accepts `signature` for `digest`.
    /// @param digest EIP-712 digest of the order.
    /// @param signature ignored when the account calls itself.
    function registerOrder(address account, bytes32 digest, bytes calldata signature) external;

    /// @notice Cancels every order of the caller whose sequence lies before the next full minute. The engine stops matching them at once; settlement
    /// refuses them after GRACE, so that what was matched before still settles.
    /// @dev Callable while paused.
    function cancelAll() external;

    /// @notice Starts the exit from one asset, and cancels all orders as `cancelAll` does. The engine stops matching the account at once.
    /// @dev Callable while paused, as is everything about exits.
    /// @param token the asset to take out.
    function requestExit(address token) external;

    /// @notice Withdraws a pending exit request.
    /// @param token the asset.
    function cancelExit(address token) external;

    /// @notice Whether an account has registered an order.
    /// @param account the owner.
    /// @param digest EIP-712 digest of the order.
    /// @return registered true once registered.
    function isOrderRegistered(address account, bytes32 digest) external view returns (bool registered);
}

/// @title Listings, fees, keys, pauses.
interface IVaultGovernance {
    /// @notice Lists an asset. Its index, page and quantum are fixed for ever.
    /// @param token a contract that fulfils the token assumptions above.
    /// @param quantum token base units per quantum, a power of ten up to 10^18.
    /// @param minimumDeposit smallest deposit, in quanta, at least 1.
    /// @param decimals shown to users; not used for accounting.
    /// @param symbol shown to users.
    function listAsset(
        address token,
        uint64 quantum,
        uint64 minimumDeposit,
        uint8 decimals,
        string calldata symbol
    ) external;

    /// @notice Lists a market. Its parameters are fixed; an ordered pair can be listed again only 30 days and GRACE after its delisting.
    /// @param baseToken listed asset.
    /// @param quoteToken another listed asset.
    /// @param lotQuanta base quanta per lot.
    /// @param tickQuanta quote quanta per lot and tick.
    /// @param maxSizeLots largest order.
    /// @param maxPriceTicks highest price; the product of all limits must stay below 2^53 quanta.
    function listMarket(
        address baseToken,
        address quoteToken,
        uint64 lotQuanta,
        uint64 tickQuanta,
        uint40 maxSizeLots,
        uint32 maxPriceTicks
    ) external;

    /// @notice Delists a market: no matching from now on, no settlement after GRACE.
    /// @param market index of the market.
    function delistMarket(uint16 market) external;

    /// @notice Sets the highest fees that settlement accepts; a lower fee binds after GRACE.
    /// @param takerFeePpm parts per million of the notional, at most 50,000.
    /// @param makerFeePpm parts per million of the notional, at most 50,000.
    function setFees(uint16 takerFeePpm, uint16 makerFeePpm) external;

    /// @notice Limits cooperative withdrawals of an asset per window, net of deposits; exits are never limited.
    /// @param token the asset.
    /// @param limitQuanta most that the booked total may fall within a window through withdrawals; zero means unlimited.
    /// @param windowSeconds length of the window.
    function setOutflowLimit(address token, uint64 limitQuanta, uint32 windowSeconds) external;

    /// @notice Appends a standby engine key; the first one becomes active at once.
    /// @param key address of the key.
    function registerEngineKey(address key) external;

    /// @notice Revokes the active engine key: the next registered one takes over with a higher epoch. Guardian or governance.
    function revokeEngineKey() external;

    /// @notice Pauses settlement, deposits and registrations for at most 7 days. Guardian or governance. Exits, cancellations and revocations go on.
    /// @dev The guardian cannot pause again before 7 days have passed since the last pause's end.
    function pause() external;

    /// @notice Ends a pause. Guardian or governance.
    function unpause() external;

    /// @notice Lengthens a pause. Governance only.
    /// @param until new end, at most 30 days ahead.
    function extendPause(uint64 until) external;

    /// @notice Appoints the guardian. Governance only.
    /// @param guardian who may pause and revoke the engine key.
    function setGuardian(address guardian) external;

    /// @notice Hands governance to a timelock. From the deployer's hands, or from one timelock to the next.
    /// @param timelock a contract whose `getMinDelay()` is at least `TIMELOCK_DELAY`.
    function transferGovernance(address timelock) external;
}

/// @title What anyone may look up.
interface IVaultViews {
    /// @notice One asset as `inspect` shows it.
    struct AssetState {
        address token;
        /// Token base units per quantum.
        uint64 quantum;
        /// Sum of all accounts' balances and the fee balance, in quanta.
        uint64 booked;
        /// Fees not yet collected, in quanta; part of `booked`.
        uint64 fees;
        /// What the token says the vault holds, in token base units.
        uint256 held;
    }

    /// @notice One account as `inspect` shows it.
    struct AccountState {
        address account;
        /// Order sequences below this are cancelled; binding for settlement.
        uint64 cancelledBefore;
        /// Order sequences below this are cancelled, binding for settlement after GRACE; zero when none is pending.
        uint64 cancellingBefore;
        uint40 lane0Sequence;
        uint40 lane0FilledLots;
        /// Balance in quanta of each listed asset, by asset index.
        uint64[] balances;
    }

    /// @notice What an auditor or reconciler compares, at one block.
    struct VaultState {
        uint64 batchId;
        bytes32 batchHash;
        uint64 epoch;
        uint64 eventSequence;
        uint64 pausedUntil;
        address engineKey;
        AssetState[] assets;
        AccountState[] accounts;
    }

    /// @notice A market as listed; immutable but for its delisting.
    struct MarketState {
        uint16 baseAsset;
        uint16 quoteAsset;
        /// Base quanta per lot.
        uint64 lotQuanta;
        /// Quote quanta per lot and tick.
        uint64 tickQuanta;
        uint40 maxSizeLots;
        uint32 maxPriceTicks;
        /// Zero while listed.
        uint64 delistedAt;
    }

    /// @notice Everything an auditor compares, in one call at one block.
    /// @param accounts whose balances to show.
    /// @return state batch, asset totals with the tokens' own figures, and each account.
    function inspect(address[] calldata accounts) external view returns (VaultState memory state);

    /// @notice Fill state of one lane.
    /// @param account the owner.
    /// @param lane 0 to 65,535.
    /// @return sequence of the last order that was filled in the lane, in milliseconds since deployment.
    /// @return filledLots of that order.
    /// @return tag of that order, zero on lane 0.
    function laneState(
        address account,
        uint16 lane
    ) external view returns (uint40 sequence, uint40 filledLots, bytes20 tag);

    /// @notice Sequence of the last executed withdrawal in a withdrawal lane.
    /// @param account the owner.
    /// @param lane 0 to 65,535.
    /// @return sequence in milliseconds since deployment, zero when none.
    function withdrawalLane(address account, uint16 lane) external view returns (uint40 sequence);

    /// @notice Balance of one account and asset.
    /// @param account the owner.
    /// @param token the asset.
    /// @return quanta on the vault's books.
    function balanceOf(address account, address token) external view returns (uint64 quanta);

    /// @notice When a requested exit can be executed.
    /// @param account the owner.
    /// @param token the asset.
    /// @return availableAt Unix seconds, zero when none was requested.
    function exitAvailableAt(address account, address token) external view returns (uint64 availableAt);

    /// @notice Parameters of a market.
    /// @param market index.
    /// @return state as listed.
    function marketState(uint16 market) external view returns (MarketState memory state);

    /// @notice Number of assets and markets listed so far.
    /// @return assets next asset index.
    /// @return markets next market index.
    function listed() external view returns (uint256 assets, uint256 markets);
}

/// @title The vault: custody of all assets, and settlement of the trades that their owners signed.
/// @notice Amounts named `quanta` are whole quanta of the asset (a fixed power of ten of token base units); amounts named `amount` are token base units.
/// Times are Unix seconds; order sequences are milliseconds since the vault's deployment.
/// @dev Token assumptions: a listed token moves exactly what is asked or reverts (checked on the way in), never changes balances by
/// itself (rebasing) and keeps its address. A missing return value is accepted, a false one is a failure.
// solhint-disable-next-line no-empty-blocks
interface IVault is
    IVaultParameters,
    IVaultSettlement,
    IVaultCustody,
    IVaultSessionKeys,
    IVaultRequests,
    IVaultGovernance,
    IVaultViews
{}
