// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IVaultParameters } from "./interfaces/IVault.sol";
import { Hashes } from "./libraries/Hashes.sol";
import { Progress } from "./libraries/Progress.sol";
import { Raw } from "./libraries/Raw.sol";
import { Slots } from "./libraries/Slots.sol";

/// @title What the parts of the vault share: parameters, storage, the lock, the pause, the numbering of events.
abstract contract VaultStorage is IVaultParameters {
    /// @notice Everything that is fixed at deployment, and the first holders of each role.
    struct Parameters {
        address governance;
        address guardian;
        /// Receives collected fees, for ever.
        address feeCollector;
        address engineKey;
        /// Zero on chains without one: then `depositEther` and native withdrawals are off.
        address wrappedNative;
        /// Zero on chains without it.
        address permit2;
        uint64 grace;
        uint64 exitDelay;
        uint64 timelockDelay;
        uint16 takerFeePpm;
        uint16 makerFeePpm;
    }

    /// @dev 160 + 4 × 16 + 32 = 256. The earlier fees hold on until GRACE after the change where they are higher.
    struct Engine {
        address key;
        uint16 takerFeePpm;
        uint16 makerFeePpm;
        uint16 earlierTakerFeePpm;
        uint16 earlierMakerFeePpm;
        /// Seconds since deployment at which the present fees were set.
        uint32 feesSetAt;
    }

    /// @dev 56 + 56 + 56 + 16 + 8 + 8 = 200. Listed when `minimumDeposit` is not zero.
    struct Asset {
        /// Sum of all balances and `fees`, below 2^53, so that no balance can overflow. Both lie in `Progress` for the main asset, and zero here.
        uint56 booked;
        uint56 fees;
        uint56 minimumDeposit;
        uint16 index;
        /// A quantum is 10^quantumExponent token base units.
        uint8 quantumExponent;
        uint8 decimals;
    }

    /// @dev 56 + 56 + 40 + 32 = 184
    struct Outflow {
        /// Booked total when the window began.
        uint56 bookedAtStart;
        /// Zero means unlimited.
        uint56 limit;
        uint40 startedAt;
        uint32 windowSeconds;
    }

    /// @dev First word: 160 + 56 + 16 + 16 + 8 = 256. Second word: 160 + 56 + 32 + 8 = 256. Third: 40 + 32 = 72, not read by `settle`.
    struct Market {
        address baseToken;
        uint56 lotQuanta;
        uint16 baseAsset;
        uint16 quoteAsset;
        uint8 baseExponent;
        address quoteToken;
        uint56 tickQuanta;
        /// Seconds since deployment; zero while listed.
        uint32 delistedAt;
        uint8 quoteExponent;
        uint40 maxSizeLots;
        uint32 maxPriceTicks;
    }

    /// @dev No signed fee above 5 %.
    uint256 internal constant FEE_CAP_PPM = 50_000;
    /// @dev No order lives longer, from its sequence's time to its expiry.
    uint256 internal constant ORDER_LIFE = 30 days;
    /// @dev How far a batch's epoch may lie above the one before it.
    uint256 internal constant EPOCH_STEP_MAX = 1_024;
    /// @dev The word of the vault's progress holds no higher one.
    uint256 internal constant EPOCH_MAX = type(uint32).max;
    /// @dev How far a sequence may lie ahead of the block's time.
    uint256 internal constant SEQUENCE_AHEAD = 2 minutes;
    uint256 internal constant BOOKED_MAX = 1 << 53;
    uint256 internal constant ASSETS_MAX = 1_022;
    /// @dev The second asset listed, in which most markets are quoted: its totals lie in `_progress`.
    uint256 internal constant MAIN_ASSET = 1;
    /// @dev Gas granted to an ERC-1271 wallet to check a signature.
    uint256 internal constant WALLET_GAS = 150_000;
    uint256 internal constant ALL_MARKETS = 1 << 255;
    uint256 internal constant MASK_SHIFT = 40;

    /// @inheritdoc IVaultParameters
    uint64 public immutable DEPLOYED_AT;
    /// @inheritdoc IVaultParameters
    uint64 public immutable GRACE;
    /// @inheritdoc IVaultParameters
    uint64 public immutable EXIT_DELAY;
    /// @inheritdoc IVaultParameters
    uint64 public immutable TIMELOCK_DELAY;
    /// @notice Where collected fees go.
    address public immutable FEE_COLLECTOR;
    /// @notice The wrapped native currency; zero when there is none.
    address public immutable WRAPPED_NATIVE;
    /// @notice Permit2; zero when there is none.
    address public immutable PERMIT2;

    bytes32 private immutable _CACHED_DOMAIN;
    uint256 private immutable _CACHED_CHAIN_ID;

    /// @dev Batch hash of the last settled batch.
    bytes32 internal _batchHash;
    Progress internal _progress;
    Engine internal _engine;
    /// @notice May list, set fees, register engine keys: a timelock, once handed over.
    address public governance;
    /// @notice May pause and revoke the active engine key.
    address public guardian;
    address[] internal _tokens;
    Market[] internal _markets;
    mapping(address token => Asset) internal _assets;
    mapping(address token => Outflow) internal _outflows;
    /// @dev settleable until (40) · market mask (192 bits, from bit 40) · bit 255 all markets.
    mapping(address account => mapping(address key => uint256)) internal _sessionKeys;
    mapping(address account => uint64) internal _sessionNonces;
    mapping(address account => mapping(bytes32 digest => bool)) internal _registeredOrders;
    /// @dev Market index + 1 by pair, of the latest listing.
    mapping(address baseToken => mapping(address quoteToken => uint256)) internal _marketOfPair;
    address[] internal _standbyKeys;
    uint256 internal _standbyNext;

    /// @dev Zero or one: a word of its own is written without being read.
    uint256 private transient _entered;

    modifier nonReentrant() {
        if (_entered != 0) revert Reentered();
        _entered = 1;
        _;
        _entered = 0;
    }

    modifier whenNotPaused() {
        uint64 until = _progress.pausedUntil();
        if (block.timestamp < until) revert VaultPaused(until);
        _;
    }

    /// @param vault the contract whose storage this code works on: itself, or the vault that deploys it as its extension.
    constructor(Parameters memory p, address vault) {
        if (p.grace == 0 || p.grace >= p.exitDelay || p.exitDelay >= p.timelockDelay) {
            revert BadDelays(p.grace, p.exitDelay, p.timelockDelay);
        }
        if (p.feeCollector == address(0) || p.feeCollector == vault) revert BadAddress(p.feeCollector);
        DEPLOYED_AT = uint64(block.timestamp);
        GRACE = p.grace;
        EXIT_DELAY = p.exitDelay;
        TIMELOCK_DELAY = p.timelockDelay;
        FEE_COLLECTOR = p.feeCollector;
        WRAPPED_NATIVE = p.wrappedNative;
        PERMIT2 = p.permit2;
        _CACHED_DOMAIN = Hashes.domain(vault);
        _CACHED_CHAIN_ID = block.chainid;
    }

    /// @inheritdoc IVaultParameters
    function domainSeparator() public view returns (bytes32 separator) {
        return block.chainid == _CACHED_CHAIN_ID ? _CACHED_DOMAIN : Hashes.domain(address(this));
    }

    function _nextEvent() internal returns (uint64 eventSequence) {
        Progress progress = _progress.withNextEvent();
        _progress = progress;
        return progress.eventSequence();
    }

    function _digest(bytes32 structHash) internal view returns (bytes32) {
        return Hashes.digest(domainSeparator(), structHash);
    }

    function _listedAsset(address token) internal view returns (Asset memory asset) {
        asset = _loadAsset(token);
        if (asset.minimumDeposit == 0) revert UnknownAsset(token);
    }

    /// @dev With its totals, wherever they lie.
    function _loadAsset(address token) internal view returns (Asset memory asset) {
        asset = _assets[token];
        if (asset.index == MAIN_ASSET) {
            Progress progress = _progress;
            asset.booked = progress.booked();
            asset.fees = progress.fees();
        }
    }

    /// @dev Nothing else of an asset ever changes.
    function _storeTotals(address token, Asset memory asset) internal {
        if (asset.index == MAIN_ASSET) {
            _progress = _progress.withTotals(asset.booked, asset.fees);
        } else {
            Asset storage stored = _assets[token];
            stored.booked = asset.booked;
            stored.fees = asset.fees;
        }
    }

    function _quantum(uint256 exponent) internal pure returns (uint256) {
        unchecked {
            return 10 ** exponent;
        }
    }

    /// @dev Storage slot and shift of an account's balance.
    function _balanceSlot(address account, uint256 assetIndex) internal pure returns (uint256 slot, uint256 shift) {
        (slot, shift) = Slots.ofAsset(assetIndex);
        slot |= Slots.ofAccount(account);
    }

    /// @dev Adds to a balance. The booked total, checked below 2^53 beforehand, bounds every balance.
    function _credit(address account, uint256 assetIndex, uint256 quanta) internal {
        (uint256 slot, uint256 shift) = _balanceSlot(account, assetIndex);
        unchecked {
            Raw.write(slot, Raw.read(slot) + (quanta << shift));
        }
    }

    /// @dev When a cancellation stamp begins to bind settlement: GRACE after the start of the minute that it ends.
    function _bindsAt(uint256 stamp) internal view returns (uint256) {
        unchecked {
            return DEPLOYED_AT + (stamp - 1) * 60 + GRACE;
        }
    }

    /// @dev Sequences below the result are refused by settlement.
    function _cutoff(uint256 header) internal view returns (uint256 sequence) {
        // Most accounts have never cancelled.
        if ((header >> Slots.SECOND_STAMP_SHIFT) & Slots.MASK_48 == 0) return 0;
        uint256 first = (header >> Slots.FIRST_STAMP_SHIFT) & Slots.MASK_24;
        uint256 second = (header >> Slots.SECOND_STAMP_SHIFT) & Slots.MASK_24;
        unchecked {
            if (second != 0 && block.timestamp >= _bindsAt(second)) return second * 60_000;
            if (first != 0 && block.timestamp >= _bindsAt(first)) return first * 60_000;
        }
    }

    function _isSessionKeyValid(address account, address key, uint256 market) internal view returns (bool) {
        uint256 word = _sessionKeys[account][key];
        if (block.timestamp > word & Slots.MASK_40) return false;
        unchecked {
            return word >= ALL_MARKETS || (market < 192 && (word >> (MASK_SHIFT + market)) & 1 == 1);
        }
    }

    /// @dev Whether anyone's money would be lost by paying to this address.
    function _isBadRecipient(address recipient) internal view returns (bool) {
        return recipient == address(0) || recipient == address(this) || _assets[recipient].minimumDeposit != 0;
    }
}
