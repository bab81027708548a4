// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IVault, IVaultSettlement } from "../../interfaces/IVault.sol";
import { Hashes } from "../../libraries/Hashes.sol";
import { TestToken } from "../../mocks/TestToken.sol";
import { VaultStorage } from "../../VaultStorage.sol";
import { RUNNER, IRunner } from "./Runner.sol";

/// @notice The vault did something else than the specification says.
error Broken(string what, uint256 expected, uint256 found);

/// @title Books kept beside the vault, from what its specification says and not from how it is written.
/// @dev Cancellations, for one, are kept as a list of all that were accepted, where the vault keeps two stamps; fills are judged by one plain sentence.
/// Three assets (two on page 0, one on page 1), three markets, five owners with a session key each, four lanes.
abstract contract Ledger {
    /// @dev What a fill's order says, and how it was signed.
    struct Order {
        uint256 owner;
        uint256 lane;
        uint256 sequence;
        uint256 market;
        bool sells;
        bool postOnly;
        uint256 size;
        uint256 price;
        uint256 expiry;
        uint256 feeMax;
        bool bySession;
        bool forged;
    }

    struct Fill {
        uint256 taker;
        uint256 maker;
        uint256 size;
        uint256 takerFee;
        uint256 makerFee;
    }

    struct Lane {
        uint256 sequence;
        uint256 filled;
    }

    struct Cancellation {
        uint256 before;
        uint256 bindingAt;
    }

    uint256 public constant OWNERS = 5;
    uint256 public constant ASSETS = 3;
    uint256 public constant LANES = 4;
    uint256 internal constant MARKETS = 3;
    uint256 internal constant GRACE = 1 hours;
    uint256 internal constant EXIT_DELAY = 2 hours;
    uint256 internal constant FEE_TAKER_MAX = 2_000;
    uint256 internal constant FEE_MAKER_MAX = 1_000;
    uint256 internal constant LOT = 1_000;
    uint256 internal constant TICK = 7;

    IVault public immutable VAULT;
    uint256 internal immutable DEPLOYED_AT;
    TestToken[3] public tokens;
    uint8[3] internal bases = [0, 2, 0];
    uint8[3] internal quotes = [1, 1, 2];

    address[] public owners;
    uint256[] internal ownerKeys;

    mapping(uint256 owner => uint256[3]) public balances;
    uint256[3] public fees;
    mapping(uint256 owner => mapping(uint256 lane => Lane)) public lanes;
    mapping(uint256 owner => uint256[3]) public exitDue;
    mapping(uint256 owner => Cancellation[]) internal cancellations;
    mapping(uint256 owner => uint256) internal sessionUntil;
    mapping(uint256 owner => uint256) internal withdrawalSequence;

    uint256 public batchId;
    bytes32 public batchHash;
    uint256 public epoch;
    uint256 public pausedUntil;
    /// @notice Number of the last event seen.
    uint256 public events;
    uint256 internal engineKey = 0xe9914e;
    uint256 internal lastSequence;

    constructor() {
        VaultStorage.Parameters memory parameters = VaultStorage.Parameters({
            governance: address(this),
            guardian: address(this),
            feeCollector: address(0xfee),
            engineKey: RUNNER.addr(engineKey),
            wrappedNative: address(0),
            permit2: address(0),
            grace: uint64(GRACE),
            exitDelay: uint64(EXIT_DELAY),
            timelockDelay: 3 hours,
            takerFeePpm: uint16(FEE_TAKER_MAX),
            makerFeePpm: uint16(FEE_MAKER_MAX)
        });
        RUNNER.recordLogs();
        // As deployed: compiled by itself, not again within this test.
        VAULT = IVault(_deploy(bytes.concat(RUNNER.getCode("Vault.sol:Vault"), abi.encode(parameters))));
        DEPLOYED_AT = block.timestamp;
        for (uint256 i = 0; i < ASSETS; ++i) {
            tokens[i] = new TestToken("T", "T", 6);
            VAULT.listAsset(address(tokens[i]), 1, 1, 6, "T");
            tokens[i].approve(address(VAULT), type(uint256).max);
        }
        for (uint256 i = 0; i < MARKETS; ++i) {
            VAULT.listMarket(
                address(tokens[bases[i]]),
                address(tokens[quotes[i]]),
                uint64(LOT),
                uint64(TICK),
                1_000_000,
                1_000_000
            );
        }
        // Ascending addresses: the order in which a batch names accounts.
        for (uint256 key = 1; owners.length < OWNERS; ++key) {
            address owner = RUNNER.addr(key);
            if (owners.length != 0 && owner <= owners[owners.length - 1]) continue;
            owners.push(owner);
            ownerKeys.push(key);
        }
    }

    function _deploy(bytes memory creation) private returns (address deployed) {
        assembly ("memory-safe") {
            deployed := create(0, add(creation, 0x20), mload(creation))
        }
        if (deployed == address(0)) revert Broken("the vault was not deployed", 1, 0);
    }

    /// @dev I5 and the auditors' ground: no event is missing, none comes twice.
    function _countEvents() internal returns (IRunner.Log[] memory logs) {
        logs = RUNNER.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != address(VAULT)) continue;
            uint256 number = uint256(bytes32(logs[i].data));
            if (number != events + 1) revert Broken("event sequence", events + 1, number);
            events = number;
            if (logs[i].topics[0] == keccak256("OrdersCancelled(uint64,address,uint64,uint64)")) {
                (, uint256 before, uint256 bindingAt) = abi.decode(logs[i].data, (uint64, uint64, uint64));
                _noteCancellation(address(uint160(uint256(logs[i].topics[1]))), before, bindingAt);
            }
        }
        RUNNER.recordLogs();
    }

    /// @dev All that an owner signed before the next full minute; binding GRACE after the start of the present one.
    function _noteCancellation(address account, uint256 before, uint256 bindingAt) private {
        uint256 minute = (block.timestamp - DEPLOYED_AT) / 60;
        if (before != (minute + 1) * 60_000) revert Broken("cancelled before", (minute + 1) * 60_000, before);
        uint256 expected = DEPLOYED_AT + minute * 60 + GRACE;
        if (bindingAt != expected) revert Broken("cancellation binds", expected, bindingAt);
        for (uint256 i = 0; i < OWNERS; ++i) {
            if (owners[i] == account) cancellations[i].push(Cancellation(before, bindingAt));
        }
    }

    /// @dev Number of accepted cancellations that do not bind settlement yet.
    function _pendingCancellations(uint256 owner) internal view returns (uint256 pending) {
        for (uint256 i = 0; i < cancellations[owner].length; ++i) {
            if (cancellations[owner][i].bindingAt > block.timestamp) ++pending;
        }
    }

    function _mayBeFilled(Order memory order) internal view returns (bool) {
        if (order.forged) return false;
        if (block.timestamp > order.expiry + GRACE) return false;
        if (order.expiry * 1000 > (DEPLOYED_AT + 30 days) * 1000 + order.sequence) return false;
        if (order.bySession && block.timestamp > sessionUntil[order.owner]) return false;
        Cancellation[] storage cancelled = cancellations[order.owner];
        for (uint256 i = 0; i < cancelled.length; ++i) {
            if (block.timestamp >= cancelled[i].bindingAt && order.sequence < cancelled[i].before) return false;
        }
        return true;
    }

    /// @dev I4: a fill is executed when, and only when, both orders allow it and both owners can pay.
    function _applyFill(Fill memory fill, Order memory taker, Order memory maker) internal returns (bool executed) {
        if (!_mayBeFilled(taker) || !_mayBeFilled(maker)) return false;
        if (taker.market != maker.market || taker.sells == maker.sells || taker.owner == maker.owner) return false;
        if (taker.postOnly || fill.size == 0 || maker.price == 0) return false;
        if (taker.sells ? maker.price < taker.price : maker.price > taker.price) return false;
        if (fill.takerFee > taker.feeMax || fill.takerFee > FEE_TAKER_MAX) return false;
        if (fill.makerFee > maker.feeMax || fill.makerFee > FEE_MAKER_MAX) return false;
        if (!_hasRoom(taker, fill.size) || !_hasRoom(maker, fill.size)) return false;
        uint256 notional = fill.size * maker.price * TICK;
        uint256 takerFee = (notional * fill.takerFee) / 1_000_000;
        uint256 makerFee = (notional * fill.makerFee) / 1_000_000;
        (uint256 buyer, uint256 seller) = taker.sells ? (maker.owner, taker.owner) : (taker.owner, maker.owner);
        (uint256 buyerFee, uint256 sellerFee) = taker.sells ? (makerFee, takerFee) : (takerFee, makerFee);
        (uint256 base, uint256 quote) = (bases[taker.market], quotes[taker.market]);
        if (balances[buyer][quote] < notional + buyerFee || balances[seller][base] < fill.size * LOT) return false;
        balances[buyer][quote] -= notional + buyerFee;
        balances[seller][quote] += notional - sellerFee;
        balances[seller][base] -= fill.size * LOT;
        balances[buyer][base] += fill.size * LOT;
        fees[quote] += takerFee + makerFee;
        _noteFill(taker, fill.size);
        _noteFill(maker, fill.size);
        return true;
    }

    function _hasRoom(Order memory order, uint256 size) private view returns (bool) {
        Lane memory lane = lanes[order.owner][order.lane];
        if (lane.sequence > order.sequence) return false;
        return (lane.sequence == order.sequence ? lane.filled : 0) + size <= order.size;
    }

    function _noteFill(Order memory order, uint256 size) private {
        Lane storage lane = lanes[order.owner][order.lane];
        if (lane.sequence != order.sequence) (lane.sequence, lane.filled) = (order.sequence, 0);
        lane.filled += size;
    }

    /// @dev Milliseconds since deployment, strictly rising, as wallets make them.
    function _nextSequence() internal returns (uint256) {
        uint256 age = (block.timestamp - DEPLOYED_AT) * 1000;
        // Two minutes ahead at most; a burst of orders within a second stays far below.
        lastSequence = lastSequence >= age ? lastSequence + 1 : age + 1;
        return lastSequence;
    }

    function _sign(uint256 key, bytes32 structHash) internal view returns (bytes32 r, bytes32 vs) {
        uint8 v;
        bytes32 s;
        (v, r, s) = RUNNER.sign(key, Hashes.digest(VAULT.domainSeparator(), structHash));
        vs = bytes32((uint256(v - 27) << 255) | uint256(s));
    }

    function _sessionKey(uint256 owner) internal pure returns (uint256) {
        return 0x5e5510 + owner;
    }

    /// @return batch next one, on top of the last settled.
    /// @return hash what its successor names as parent.
    function _nextBatch(
        bytes memory content
    ) internal view returns (IVaultSettlement.Batch memory batch, bytes32 hash) {
        batch = IVaultSettlement.Batch(uint64(batchId + 1), batchHash, uint64(epoch), uint64(batchId), bytes32(epoch));
        hash = keccak256(
            abi.encode(batch.id, batch.parent, keccak256(content), batch.journalSequence, batch.journalHash)
        );
    }

    function _signBatch(
        IVaultSettlement.Batch memory batch,
        bytes memory content,
        uint256 key
    ) internal view returns (bytes32 r, bytes32 vs) {
        return
            _sign(
                key,
                keccak256(
                    abi.encode(
                        Hashes.BATCH_TYPEHASH,
                        batch.id,
                        batch.parent,
                        keccak256(content),
                        batch.epoch,
                        batch.journalSequence,
                        batch.journalHash
                    )
                )
            );
    }
}
