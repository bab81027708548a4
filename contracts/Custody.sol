// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IVaultCustody } from "./interfaces/IVault.sol";
import { IPermit, IPermit2, IWrappedNative } from "./interfaces/IExternals.sol";
import { Progress } from "./libraries/Progress.sol";
import { Raw } from "./libraries/Raw.sol";
import { Slots } from "./libraries/Slots.sol";
import { Transfers } from "./libraries/Transfers.sol";
import { VaultStorage } from "./VaultStorage.sol";

/// @title Deposits, exits, collected fees: tokens in, and out without the operator.
/// @dev Solvency: `booked` rises only by what was received, and falls before anything is paid.
abstract contract Custody is VaultStorage, IVaultCustody {
    bytes32 private constant _WITNESS_TYPEHASH = keccak256("Deposit(address beneficiary)");
    string private constant _WITNESS_TYPE =
        "Deposit witness)Deposit(address beneficiary)TokenPermissions(address token,uint256 amount)";

    /// @dev Only unwrapping sends the vault native currency.
    receive() external payable {
        if (msg.sender != WRAPPED_NATIVE) revert BadAddress(msg.sender);
    }

    /// @inheritdoc IVaultCustody
    function deposit(address token, uint256 amount, address beneficiary) external nonReentrant whenNotPaused {
        _depositFrom(token, amount, beneficiary);
    }

    /// @inheritdoc IVaultCustody
    function depositWithPermit(
        address token,
        uint256 amount,
        address beneficiary,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant whenNotPaused {
        // Anyone can use up a permit by sending it ahead; then the allowance is there, and the deposit goes on. Without it the transfer fails.
        // solhint-disable-next-line no-empty-blocks
        try IPermit(token).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        _depositFrom(token, amount, beneficiary);
    }

    /// @inheritdoc IVaultCustody
    function depositWithPermit2(
        address token,
        uint256 amount,
        address beneficiary,
        address owner,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external nonReentrant whenNotPaused {
        Asset memory asset = _listedAsset(token);
        uint256 quanta = _checkDeposit(asset, amount, beneficiary);
        uint256 before = Transfers.held(token);
        IPermit2(PERMIT2).permitWitnessTransferFrom(
            IPermit2.PermitTransferFrom(IPermit2.TokenPermissions(token, amount), nonce, deadline),
            IPermit2.SignatureTransferDetails(address(this), amount),
            owner,
            keccak256(abi.encode(_WITNESS_TYPEHASH, beneficiary)),
            _WITNESS_TYPE,
            signature
        );
        _book(token, asset, before, amount, quanta, beneficiary, owner);
    }

    /// @inheritdoc IVaultCustody
    function depositEther(address beneficiary) external payable nonReentrant whenNotPaused {
        Asset memory asset = _listedAsset(WRAPPED_NATIVE);
        uint256 quanta = _checkDeposit(asset, msg.value, beneficiary);
        uint256 before = Transfers.held(WRAPPED_NATIVE);
        IWrappedNative(WRAPPED_NATIVE).deposit{ value: msg.value }();
        _book(WRAPPED_NATIVE, asset, before, msg.value, quanta, beneficiary, msg.sender);
    }

    /// @inheritdoc IVaultCustody
    function exit(address token, address recipient) external nonReentrant {
        uint256 requestSlot = Slots.ofExit(msg.sender, token);
        uint256 request = Raw.read(requestSlot);
        if (request >> 96 != uint160(token) || request == 0) {
            _listedAsset(token);
            revert NoExitRequested(msg.sender, token);
        }
        if (block.timestamp < uint64(request)) revert ExitNotYet(uint64(request));
        if (recipient != msg.sender && _isBadRecipient(recipient)) revert BadAddress(recipient);
        uint16 asset = uint16(request >> 80);
        (uint256 slot, uint256 shift) = _balanceSlot(msg.sender, asset);
        uint256 page = Raw.read(slot);
        uint256 quanta = (page >> shift) & Slots.MASK_64;
        if (quanta == 0) revert NothingToPay();
        Raw.write(requestSlot, 0);
        Raw.write(slot, page & ~(Slots.MASK_64 << shift));
        Progress progress = _progress.withNextEvent();
        if (asset == MAIN_ASSET) progress = progress.minusBooked(quanta);
        else _assets[token].booked -= uint56(quanta);
        _progress = progress;
        emit ExitExecuted(progress.eventSequence(), msg.sender, asset, uint64(quanta), recipient);
        if (!Transfers.tryTransfer(token, recipient, quanta * _quantum(uint8(request >> 72))))
            revert TransferFailed(token);
    }

    /// @inheritdoc IVaultCustody
    function collectFees(address token) external nonReentrant {
        Asset memory asset = _listedAsset(token);
        uint256 quanta = asset.fees;
        if (quanta == 0) revert NothingToPay();
        asset.fees = 0;
        asset.booked -= uint56(quanta);
        _storeTotals(token, asset);
        emit FeesCollected(_nextEvent(), asset.index, uint64(quanta));
        if (!Transfers.tryTransfer(token, FEE_COLLECTOR, quanta * _quantum(asset.quantumExponent)))
            revert TransferFailed(token);
    }

    function _depositFrom(address token, uint256 amount, address beneficiary) private {
        Asset memory asset = _listedAsset(token);
        uint256 quanta = _checkDeposit(asset, amount, beneficiary);
        uint256 before = Transfers.held(token);
        if (!Transfers.tryTransferFrom(token, msg.sender, amount)) revert TransferFailed(token);
        _book(token, asset, before, amount, quanta, beneficiary, msg.sender);
    }

    function _checkDeposit(
        Asset memory asset,
        uint256 amount,
        address beneficiary
    ) private view returns (uint256 quanta) {
        if (beneficiary == address(0) || beneficiary == address(this)) revert BadAddress(beneficiary);
        uint256 quantum = _quantum(asset.quantumExponent);
        quanta = amount / quantum;
        if (quanta * quantum != amount) revert NotWholeQuanta(amount, uint64(quantum));
        if (quanta < asset.minimumDeposit) revert DepositTooSmall(quanta, asset.minimumDeposit);
        uint256 booked = asset.booked + quanta;
        if (booked >= BOOKED_MAX) revert TooMuchBooked(booked);
    }

    /// @dev `asset` was read before the transfer; the lock keeps it true.
    function _book(
        address token,
        Asset memory asset,
        uint256 heldBefore,
        uint256 amount,
        uint256 quanta,
        address beneficiary,
        address payer
    ) private {
        uint256 received = Transfers.held(token) - heldBefore;
        if (received != amount) revert ReceivedOther(amount, received);
        Progress progress = _progress.withNextEvent();
        if (asset.index == MAIN_ASSET) progress = progress.plusBooked(quanta);
        else _assets[token].booked = asset.booked + uint56(quanta);
        _progress = progress;
        _credit(beneficiary, asset.index, quanta);
        emit Deposited(progress.eventSequence(), beneficiary, asset.index, uint64(quanta), payer);
    }
}
