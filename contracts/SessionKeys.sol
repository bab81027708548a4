// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IVaultSessionKeys } from "./interfaces/IVault.sol";
import { Hashes } from "./libraries/Hashes.sol";
import { Signatures } from "./libraries/Signatures.sol";
import { Slots } from "./libraries/Slots.sol";
import { VaultStorage } from "./VaultStorage.sol";

/// @title Session keys: registered by their owner, directly or by a signature that anyone relays, and revoked.
/// @dev No free options: a revocation binds settlement only after GRACE, so that what was matched before still settles.
abstract contract SessionKeys is VaultStorage, IVaultSessionKeys {
    /// @dev Bits of a market mask that mean something: markets 0 to 191, and all.
    uint256 internal constant MASK_BITS = ALL_MARKETS | ((1 << 192) - 1);

    /// @inheritdoc IVaultSessionKeys
    function registerSessionKey(
        address account,
        address key,
        uint64 expiry,
        uint64 nonce,
        bytes calldata signature
    ) external nonReentrant whenNotPaused {
        bytes32 digest = _digest(keccak256(abi.encode(Hashes.SESSION_KEY_TYPEHASH, account, key, expiry, nonce)));
        _requireSignature(account, digest, signature);
        _register(account, key, expiry, nonce, ALL_MARKETS);
    }

    /// @inheritdoc IVaultSessionKeys
    function authorizeSessionKey(address key, uint64 expiry, uint256 marketMask) external nonReentrant whenNotPaused {
        if (marketMask == 0 || marketMask & ~MASK_BITS != 0) revert BadParameter(marketMask);
        _register(msg.sender, key, expiry, _sessionNonces[msg.sender] + 1, marketMask);
    }

    /// @inheritdoc IVaultSessionKeys
    function revokeSessionKey(address key) external nonReentrant {
        uint256 word = _sessionKeys[msg.sender][key];
        uint256 until = word & Slots.MASK_40;
        if (until <= block.timestamp) revert UnknownSessionKey(msg.sender, key);
        uint256 revoked = block.timestamp + GRACE;
        if (revoked < until) until = revoked;
        _sessionKeys[msg.sender][key] = (word & ~Slots.MASK_40) | until;
        emit SessionKeyRevoked(_nextEvent(), msg.sender, key, uint64(until));
    }

    /// @inheritdoc IVaultSessionKeys
    function sessionKey(
        address account,
        address key
    ) external view returns (uint64 settleableUntil, uint256 marketMask) {
        uint256 word = _sessionKeys[account][key];
        return (uint64(word & Slots.MASK_40), (word & ALL_MARKETS) | ((word >> MASK_SHIFT) & ((1 << 192) - 1)));
    }

    /// @inheritdoc IVaultSessionKeys
    function sessionNonce(address account) external view returns (uint64 nonce) {
        return _sessionNonces[account];
    }

    function _requireSignature(address account, bytes32 digest, bytes calldata signature) private view {
        if (account == address(0)) revert BadAddress(account);
        if (Signatures.recoverAny(digest, signature) == account) return;
        if (!Signatures.accepts(account, digest, signature, gasleft())) revert BadSignature(account);
    }

    /// @dev A key that is still valid can be widened, not narrowed: narrowing at once would void what was matched under it.
    function _register(address account, address key, uint64 expiry, uint64 nonce, uint256 marketMask) private {
        if (key == address(0)) revert BadAddress(key);
        if (nonce <= _sessionNonces[account]) revert StaleSessionNonce(_sessionNonces[account], nonce);
        uint256 until = uint256(expiry) + GRACE;
        if (expiry <= block.timestamp || until > Slots.MASK_40) revert BadExpiry(expiry);
        uint256 packed = (marketMask & ALL_MARKETS) | ((marketMask & ~ALL_MARKETS) << MASK_SHIFT);
        uint256 word = _sessionKeys[account][key];
        uint256 oldUntil = word & Slots.MASK_40;
        if (oldUntil > block.timestamp) {
            uint256 oldMarkets = word & ~Slots.MASK_40;
            bool narrower = packed < ALL_MARKETS && oldMarkets & ~packed != 0;
            if (narrower || until < oldUntil) revert SessionKeyStillValid(uint64(oldUntil));
        }
        _sessionNonces[account] = nonce;
        _sessionKeys[account][key] = packed | until;
        emit SessionKeyRegistered(_nextEvent(), account, key, expiry, marketMask, nonce);
    }
}
