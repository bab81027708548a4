// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IVaultGovernance } from "./interfaces/IVault.sol";
import { Transfers } from "./libraries/Transfers.sol";
import { VaultStorage } from "./VaultStorage.sol";

interface IDelayed {
    function getMinDelay() external view returns (uint256);
}

/// @title Listings, fees, keys, pauses: everything that governance and guardian may do.
/// @dev Once governance is a timelock, nothing here but pausing and revoking the engine key takes effect sooner than TIMELOCK_DELAY, which is longer than
/// the exit delay: whoever disagrees is out before.
abstract contract Governance is VaultStorage, IVaultGovernance {
    /// @dev Longest pause that ends by itself, and the guardian's rest after it.
    uint256 internal constant PAUSE_LENGTH = 7 days;
    uint256 internal constant PAUSE_EXTENSION_MAX = 30 days;

    modifier onlyGovernance() {
        if (msg.sender != governance) revert Unauthorized(msg.sender);
        _;
    }

    modifier onlyGuardian() {
        if (msg.sender != guardian && msg.sender != governance) revert Unauthorized(msg.sender);
        _;
    }

    /// @inheritdoc IVaultGovernance
    function listAsset(
        address token,
        uint64 quantum,
        uint64 minimumDeposit,
        uint8 decimals,
        string calldata symbol
    ) external nonReentrant onlyGovernance {
        uint256 index = _tokens.length;
        if (index == ASSETS_MAX) revert TooMany();
        if (token.code.length == 0 || token == address(this) || token == PERMIT2) revert BadAddress(token);
        if (_assets[token].minimumDeposit != 0) revert AssetListedAlready(token);
        if (minimumDeposit == 0 || minimumDeposit >= BOOKED_MAX) revert BadParameter(minimumDeposit);
        uint8 exponent = 0;
        while (exponent < 18 && _quantum(exponent) != quantum) ++exponent;
        if (_quantum(exponent) != quantum) revert BadParameter(quantum);
        Transfers.held(token);
        _tokens.push(token);
        _assets[token] = Asset({
            booked: 0,
            fees: 0,
            minimumDeposit: uint56(minimumDeposit),
            index: uint16(index),
            quantumExponent: exponent,
            decimals: decimals
        });
        emit AssetListed(_nextEvent(), uint16(index), token, quantum, minimumDeposit, decimals, symbol);
    }

    /// @inheritdoc IVaultGovernance
    function listMarket(
        address baseToken,
        address quoteToken,
        uint64 lotQuanta,
        uint64 tickQuanta,
        uint40 maxSizeLots,
        uint32 maxPriceTicks
    ) external nonReentrant onlyGovernance {
        Asset memory base = _listedAsset(baseToken);
        Asset memory quote = _listedAsset(quoteToken);
        if (baseToken == quoteToken) revert BadAddress(quoteToken);
        if (lotQuanta == 0 || uint256(lotQuanta) * maxSizeLots >= BOOKED_MAX) revert BadParameter(lotQuanta);
        if (tickQuanta == 0 || uint256(tickQuanta) * maxSizeLots * maxPriceTicks >= BOOKED_MAX)
            revert BadParameter(tickQuanta);
        if (maxSizeLots == 0) revert BadParameter(maxSizeLots);
        if (maxPriceTicks == 0) revert BadParameter(maxPriceTicks);
        uint256 index = _markets.length;
        if (index > type(uint16).max) revert TooMany();
        uint256 previous = _marketOfPair[baseToken][quoteToken];
        if (previous != 0) {
            // Orders signed for the old steps must have died out: they would mean something else under new ones.
            uint256 delistedAt = _markets[previous - 1].delistedAt;
            if (delistedAt == 0 || block.timestamp <= DEPLOYED_AT + delistedAt + ORDER_LIFE + GRACE) {
                revert MarketListedAlready(uint16(previous - 1));
            }
        }
        _marketOfPair[baseToken][quoteToken] = index + 1;
        _markets.push(
            Market({
                baseToken: baseToken,
                lotQuanta: uint56(lotQuanta),
                baseAsset: base.index,
                quoteAsset: quote.index,
                baseExponent: base.quantumExponent,
                quoteToken: quoteToken,
                tickQuanta: uint56(tickQuanta),
                delistedAt: 0,
                quoteExponent: quote.quantumExponent,
                maxSizeLots: maxSizeLots,
                maxPriceTicks: maxPriceTicks
            })
        );
        emit MarketListed(
            _nextEvent(),
            uint16(index),
            base.index,
            quote.index,
            lotQuanta,
            tickQuanta,
            maxSizeLots,
            maxPriceTicks
        );
    }

    /// @inheritdoc IVaultGovernance
    function delistMarket(uint16 market) external nonReentrant onlyGovernance {
        if (market >= _markets.length || _markets[market].delistedAt != 0) revert UnknownMarket(market);
        // One second at least, since zero means listed.
        uint256 age = block.timestamp - DEPLOYED_AT;
        _markets[market].delistedAt = uint32(age == 0 ? 1 : age);
        emit MarketDelisted(_nextEvent(), market);
    }

    /// @inheritdoc IVaultGovernance
    function setFees(uint16 takerFeePpm, uint16 makerFeePpm) external nonReentrant onlyGovernance {
        _setFees(takerFeePpm, makerFeePpm);
    }

    /// @inheritdoc IVaultGovernance
    function setOutflowLimit(
        address token,
        uint64 limitQuanta,
        uint32 windowSeconds
    ) external nonReentrant onlyGovernance {
        Asset memory asset = _listedAsset(token);
        if (limitQuanta >= BOOKED_MAX) revert BadParameter(limitQuanta);
        if (limitQuanta != 0 && windowSeconds == 0) revert BadParameter(windowSeconds);
        _outflows[token] = Outflow({
            bookedAtStart: asset.booked,
            limit: uint56(limitQuanta),
            startedAt: uint40(block.timestamp),
            windowSeconds: windowSeconds
        });
        emit OutflowLimitChanged(_nextEvent(), asset.index, limitQuanta, windowSeconds);
    }

    /// @inheritdoc IVaultGovernance
    function registerEngineKey(address key) external nonReentrant onlyGovernance {
        _registerEngineKey(key);
    }

    /// @inheritdoc IVaultGovernance
    function revokeEngineKey() external nonReentrant onlyGuardian {
        address key = _engine.key;
        if (key == address(0)) revert NoEngineKey();
        uint256 next = _standbyNext;
        address successor = address(0);
        if (next < _standbyKeys.length) {
            successor = _standbyKeys[next];
            _standbyNext = next + 1;
        }
        _engine.key = successor;
        uint64 epoch = _progress.epoch();
        // The last epoch serves all later keys: the active key alone still keeps the others out.
        if (epoch < EPOCH_MAX) ++epoch;
        _progress = _progress.withEpoch(epoch);
        emit EngineKeyRevoked(_nextEvent(), key, successor, epoch);
    }

    /// @inheritdoc IVaultGovernance
    function pause() external nonReentrant onlyGuardian {
        uint64 last = _progress.pausedUntil();
        if (msg.sender != governance && last != 0 && block.timestamp < last + PAUSE_LENGTH) {
            revert PauseTooSoon(uint64(last + PAUSE_LENGTH));
        }
        _pauseUntil(uint64(block.timestamp + PAUSE_LENGTH));
    }

    /// @inheritdoc IVaultGovernance
    function unpause() external nonReentrant onlyGuardian {
        uint64 until = _progress.pausedUntil();
        if (block.timestamp >= until) revert BadParameter(until);
        _progress = _progress.withPause(uint64(block.timestamp));
        emit Unpaused(_nextEvent());
    }

    /// @inheritdoc IVaultGovernance
    function extendPause(uint64 until) external nonReentrant onlyGovernance {
        if (until <= _progress.pausedUntil() || until > block.timestamp + PAUSE_EXTENSION_MAX)
            revert BadParameter(until);
        _pauseUntil(until);
    }

    /// @inheritdoc IVaultGovernance
    function setGuardian(address newGuardian) external nonReentrant onlyGovernance {
        guardian = newGuardian;
        emit GuardianChanged(_nextEvent(), newGuardian);
    }

    /// @inheritdoc IVaultGovernance
    function transferGovernance(address timelock) external nonReentrant onlyGovernance {
        if (timelock.code.length == 0) revert BadAddress(timelock);
        uint256 delay = IDelayed(timelock).getMinDelay();
        if (delay < TIMELOCK_DELAY) revert TimelockTooShort(delay, TIMELOCK_DELAY);
        governance = timelock;
        emit GovernanceTransferred(_nextEvent(), timelock);
    }

    function _pauseUntil(uint64 until) private {
        _progress = _progress.withPause(until);
        emit Paused(_nextEvent(), until);
    }

    function _setFees(uint16 takerFeePpm, uint16 makerFeePpm) private {
        if (takerFeePpm > FEE_CAP_PPM) revert BadParameter(takerFeePpm);
        if (makerFeePpm > FEE_CAP_PPM) revert BadParameter(makerFeePpm);
        Engine storage engine = _engine;
        uint256 age = block.timestamp - DEPLOYED_AT;
        uint256 settledUntil = engine.feesSetAt + GRACE;
        // Only one earlier fee is kept: a second change within GRACE would forget what trades matched before the first may still pay.
        if (engine.feesSetAt != 0 && age < settledUntil) revert FeesChangedTooSoon(uint64(DEPLOYED_AT + settledUntil));
        engine.earlierTakerFeePpm = engine.takerFeePpm;
        engine.earlierMakerFeePpm = engine.makerFeePpm;
        engine.takerFeePpm = takerFeePpm;
        engine.makerFeePpm = makerFeePpm;
        engine.feesSetAt = uint32(age);
        emit FeesChanged(_nextEvent(), takerFeePpm, makerFeePpm);
    }

    function _registerEngineKey(address key) private {
        if (key == address(0)) revert BadAddress(key);
        bool active = _engine.key == address(0);
        if (active) _engine.key = key;
        else _standbyKeys.push(key);
        emit EngineKeyRegistered(_nextEvent(), key, active);
    }
}
