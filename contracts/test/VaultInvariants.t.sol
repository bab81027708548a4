// SPDX-License-Identifier: MIT
// A broken expectation needs no error of its own in a test.
// solhint-disable gas-custom-errors
pragma solidity 0.8.37;

import { IVault, IVaultSettlement, IVaultViews } from "../interfaces/IVault.sol";
import { Hashes } from "../libraries/Hashes.sol";
import { TestToken } from "../mocks/TestToken.sol";
import { Vault } from "../Vault.sol";
import { VaultStorage } from "../VaultStorage.sol";
import { CHEATS, expectEqual } from "./Cheats.sol";

/// @title Drives a vault through its entry points with four funded owners, good and bad trades, and keeps its own books beside it.
contract VaultDriver {
    uint256 public constant ACTORS = 4;
    uint256 private constant _ENGINE_KEY = 0xe9914e;
    uint256 private constant _LOT = 1000;
    uint256 private constant _TICK = 7;
    address private constant _SUBMITTER = address(0x50b117);

    IVault public immutable VAULT;
    TestToken[2] public tokens;
    address[] public actors;
    uint256[] private _keys;

    /// @notice What the driver says each owner has, by asset; and the fees.
    mapping(address => uint256[2]) public books;
    uint256[2] public fees;
    /// @notice What the driver says was filled of each lane's order.
    mapping(address => uint256) public filled;
    mapping(address => uint256) public laneSequence;

    uint256 public batches;
    uint256 public settledFills;
    uint256 public skippedFills;
    uint256 public exits;
    uint256 public calls;
    bytes32 public parent;
    uint256 private _sequence;

    constructor() {
        VaultStorage.Parameters memory parameters = VaultStorage.Parameters({
            governance: address(this),
            guardian: address(this),
            feeCollector: address(0xfee),
            engineKey: CHEATS.addr(_ENGINE_KEY),
            wrappedNative: address(0),
            permit2: address(0),
            grace: 1 hours,
            exitDelay: 2 hours,
            timelockDelay: 3 hours,
            takerFeePpm: 2000,
            makerFeePpm: 1000
        });
        VAULT = IVault(address(new Vault(parameters)));
        for (uint256 i = 0; i < 2; ++i) {
            tokens[i] = new TestToken("T", "T", 6);
            VAULT.listAsset(address(tokens[i]), 1, 1, 6, "T");
            tokens[i].approve(address(VAULT), type(uint256).max);
        }
        VAULT.listMarket(address(tokens[0]), address(tokens[1]), uint64(_LOT), uint64(_TICK), 1_000_000, 1_000_000);
        // Ascending addresses, so that the lower index comes first in a batch.
        for (uint256 key = 1; actors.length < ACTORS; ++key) {
            address actor = CHEATS.addr(key);
            if (actors.length != 0 && actor <= actors[actors.length - 1]) continue;
            actors.push(actor);
            _keys.push(key);
        }
        for (uint256 i = 0; i < ACTORS; ++i) {
            deposit(i, 0, 50_000_000);
            deposit(i, 1, 50_000_000);
        }
    }

    function deposit(uint256 actor, uint256 asset, uint256 amount) public {
        ++calls;
        actor %= ACTORS;
        asset %= 2;
        amount = 1 + (amount % 100_000_000);
        tokens[asset].mint(address(this), amount);
        // Refused while paused; then nothing is booked.
        try VAULT.deposit(address(tokens[asset]), amount, actors[actor]) {
            books[actors[actor]][asset] += amount;
        } catch {}
    }

    /// @notice One trade between two owners; some are bad in one way or another.
    /// @param buyerSeed who buys.
    /// @param sellerSeed who sells.
    /// @param size in lots.
    /// @param price in ticks.
    /// @param fault 0 none, 1 bad signature, 2 mispriced, 3 fee too high, 4 overfilled, 5 same order as last time.
    function trade(uint256 buyerSeed, uint256 sellerSeed, uint256 size, uint256 price, uint256 fault) external {
        ++calls;
        uint256 first = buyerSeed % ACTORS;
        uint256 second = sellerSeed % ACTORS;
        if (first == second) return;
        bool firstBuys = first < second;
        if (!firstBuys) (first, second) = (second, first);
        size = 1 + (size % 5000);
        price = 1 + (price % 2000);
        fault %= 6;
        uint256 sequence = fault == 5 && _sequence != 0 ? _sequence : _nextSequence();
        bytes memory content = abi.encodePacked(
            uint16(2),
            uint16(2),
            uint16(1),
            uint16(0),
            uint8(1),
            uint16(0),
            _account(first, firstBuys, fault == 4 ? size - 1 : size, fault == 2 ? price - 1 : price, sequence, 0),
            _account(second, !firstBuys, size, price, sequence, fault == 1 ? 1 : 0),
            uint16(0),
            uint16(1),
            uint40(size),
            uint16(fault == 3 ? 2001 : 2000),
            uint16(1000)
        );
        if (fault == 2 && !firstBuys) fault = 0;
        bytes memory skips = _settle(content);
        if (skips.length != 0) {
            ++skippedFills;
            return;
        }
        ++settledFills;
        // A trade with a fault that the vault let through, or the same order filled beyond its size, shows in the books.
        if (fault != 0 && fault != 5) revert("a bad fill was settled");
        _post(first, second, firstBuys, size, price, sequence);
    }

    function cancelAll(uint256 actor) external {
        ++calls;
        CHEATS.prank(actors[actor % ACTORS]);
        try VAULT.cancelAll() {} catch {}
    }

    function requestExit(uint256 actor, uint256 asset) external {
        ++calls;
        CHEATS.prank(actors[actor % ACTORS]);
        try VAULT.requestExit(address(tokens[asset % 2])) {} catch {}
    }

    /// @notice I14: an exit that is due always pays the whole balance, paused or not.
    /// @param actorSeed who leaves.
    /// @param assetSeed with what.
    function exit(uint256 actorSeed, uint256 assetSeed) external {
        ++calls;
        address actor = actors[actorSeed % ACTORS];
        uint256 asset = assetSeed % 2;
        uint256 availableAt = VAULT.exitAvailableAt(actor, address(tokens[asset]));
        uint256 balance = books[actor][asset];
        if (availableAt == 0 || balance == 0) return;
        if (block.timestamp < availableAt) CHEATS.warp(availableAt);
        uint256 before = tokens[asset].balanceOf(actor);
        CHEATS.prank(actor);
        VAULT.exit(address(tokens[asset]), actor);
        expectEqual(tokens[asset].balanceOf(actor) - before, balance, "paid by the exit");
        books[actor][asset] = 0;
        ++exits;
    }

    function collect(uint256 asset) external {
        ++calls;
        asset %= 2;
        if (fees[asset] == 0) return;
        VAULT.collectFees(address(tokens[asset]));
        fees[asset] = 0;
    }

    function pause() external {
        ++calls;
        VAULT.pause();
    }

    function unpause() external {
        ++calls;
        try VAULT.unpause() {} catch {}
    }

    function wait(uint256 time) external {
        ++calls;
        CHEATS.warp(block.timestamp + (time % 2 hours));
    }

    /// @notice A donation is nobody's.
    /// @param amount of asset 0.
    function donate(uint256 amount) external {
        ++calls;
        tokens[0].mint(address(VAULT), amount % 1000);
    }

    function _nextSequence() private returns (uint256) {
        uint256 age = (block.timestamp - VAULT.DEPLOYED_AT()) * 1000;
        _sequence = _sequence + 1 > age ? _sequence + 1 : age;
        return _sequence;
    }

    function _account(
        uint256 actor,
        bool buys,
        uint256 size,
        uint256 price,
        uint256 sequence,
        uint256 corruption
    ) private view returns (bytes memory) {
        uint256 expiry = block.timestamp + 1 days;
        bytes32 structHash = keccak256(
            bytes.concat(
                abi.encode(
                    Hashes.ORDER_TYPEHASH,
                    actors[actor],
                    buys ? Hashes.BUY : Hashes.SELL,
                    address(tokens[0]),
                    size * _LOT,
                    address(tokens[1]),
                    size * price * _TICK
                ),
                abi.encode(Hashes.GTC, false, sequence, expiry, 2000 + corruption)
            )
        );
        (uint8 v, bytes32 r, bytes32 s) = CHEATS.sign(_keys[actor], Hashes.digest(VAULT.domainSeparator(), structHash));
        return
            abi.encodePacked(
                abi.encodePacked(actors[actor], uint8(0), uint16(1), uint16(0), uint40(sequence), uint8(0)),
                abi.encodePacked(buys ? uint8(0) : uint8(1), uint40(size), uint32(price), uint40(expiry), uint16(2000)),
                r,
                bytes32((uint256(v - 27) << 255) | uint256(s))
            );
    }

    /// @dev I5: ids gapless, parents linked; the same batch never settles twice.
    function _settle(bytes memory content) private returns (bytes memory skips) {
        IVaultSettlement.Batch memory batch = IVaultSettlement.Batch(uint64(batches + 1), parent, 1, 1, bytes32(0));
        bytes32 contentHash = keccak256(content);
        bytes32 structHash = keccak256(
            abi.encode(Hashes.BATCH_TYPEHASH, batch.id, parent, contentHash, batch.epoch, uint64(1), bytes32(0))
        );
        (uint8 v, bytes32 r, bytes32 s) = CHEATS.sign(_ENGINE_KEY, Hashes.digest(VAULT.domainSeparator(), structHash));
        bytes32 vs = bytes32((uint256(v - 27) << 255) | uint256(s));
        uint256 feesBefore = VAULT.inspect(new address[](0)).assets[1].fees;
        CHEATS.prank(_SUBMITTER, _SUBMITTER);
        try VAULT.settle(batch, content, r, vs) {
            ++batches;
            parent = keccak256(abi.encode(batch.id, parent, contentHash, uint64(1), bytes32(0)));
        } catch {
            // Paused: nothing happened.
            return hex"00";
        }
        CHEATS.prank(_SUBMITTER, _SUBMITTER);
        try VAULT.settle(batch, content, r, vs) {
            revert("a batch settled twice");
        } catch {}
        // Fees are nonzero for every fill that can be made here from 500 quote quanta on; below that look at the lane.
        uint256 feesAfter = VAULT.inspect(new address[](0)).assets[1].fees;
        (uint40 sequence, uint40 lots, ) = VAULT.laneState(_addressIn(content), 0);
        bool moved =
            feesAfter != feesBefore ||
                sequence != laneSequence[_addressIn(content)] ||
                lots != filled[_addressIn(content)];
        return moved ? bytes("") : bytes(hex"00");
    }

    function _addressIn(bytes memory content) private pure returns (address account) {
        assembly ("memory-safe") {
            account := shr(96, mload(add(content, 43)))
        }
    }

    function _post(
        uint256 first,
        uint256 second,
        bool firstBuys,
        uint256 size,
        uint256 price,
        uint256 sequence
    ) private {
        (address buyer, address seller) = firstBuys ? (actors[first], actors[second]) : (actors[second], actors[first]);
        uint256 notional = size * price * _TICK;
        uint256 takerFee = (notional * 2000) / 1_000_000;
        uint256 makerFee = (notional * 1000) / 1_000_000;
        books[buyer][0] += size * _LOT;
        books[seller][0] -= size * _LOT;
        books[buyer][1] -= notional + (firstBuys ? takerFee : makerFee);
        books[seller][1] += notional - (firstBuys ? makerFee : takerFee);
        fees[1] += takerFee + makerFee;
        for (uint256 i = 0; i < 2; ++i) {
            address actor = actors[i == 0 ? first : second];
            if (laneSequence[actor] != sequence) filled[actor] = 0;
            laneSequence[actor] = sequence;
            filled[actor] += size;
        }
    }
}

/// @title What must hold after any sequence of calls.
contract VaultInvariantsTest {
    VaultDriver private _driver;

    function setUp() external {
        // The runner's clock starts at 1, before any GRACE could have passed.
        CHEATS.warp(1_700_000_000);
        _driver = new VaultDriver();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_driver);
    }

    /// @notice The invariants would hold of a driver that did nothing.
    function test_theDriverSettlesSkipsAndExits() external {
        _driver.trade(0, 1, 10, 100, 0);
        _driver.trade(1, 0, 10, 100, 0);
        expectEqual(_driver.settledFills(), 2, "settled");
        for (uint256 fault = 1; fault < 5; ++fault) _driver.trade(0, 1, 10, 100, fault);
        expectEqual(_driver.skippedFills(), 4, "skipped");
        // The nonce of the last skipped order is still free; once filled, it is not.
        _driver.trade(0, 1, 10, 100, 5);
        expectEqual(_driver.settledFills(), 3, "settled");
        _driver.trade(0, 1, 10, 100, 5);
        expectEqual(_driver.skippedFills(), 5, "skipped");
        _driver.requestExit(0, 1);
        _driver.exit(0, 1);
        expectEqual(_driver.exits(), 1, "exits");
        this.invariant_booksAgree();
        this.invariant_lanesAgree();
    }

    /// @notice I1, P4: per asset, balances and fees add up to what is booked, and the vault holds at least that.
    function invariant_solvent() external view {
        IVaultViews.VaultState memory state = _inspect();
        for (uint256 asset = 0; asset < 2; ++asset) {
            uint256 sum = state.assets[asset].fees;
            for (uint256 i = 0; i < state.accounts.length; ++i) sum += state.accounts[i].balances[asset];
            expectEqual(sum, state.assets[asset].booked, "booked");
            if (state.assets[asset].held < state.assets[asset].booked) revert("insolvent");
        }
    }

    /// @notice I2, I3: every balance is deposits ± fills − fees − exits, as the driver's own books say.
    function invariant_booksAgree() external view {
        IVaultViews.VaultState memory state = _inspect();
        for (uint256 asset = 0; asset < 2; ++asset) {
            expectEqual(state.assets[asset].fees, _driver.fees(asset), "fees");
            for (uint256 i = 0; i < state.accounts.length; ++i) {
                address account = state.accounts[i].account;
                expectEqual(state.accounts[i].balances[asset], _driver.books(account, asset), "balance");
            }
        }
    }

    /// @notice I4: the lanes hold what was filled, of the latest order.
    function invariant_lanesAgree() external view {
        IVaultViews.VaultState memory state = _inspect();
        for (uint256 i = 0; i < state.accounts.length; ++i) {
            address account = state.accounts[i].account;
            expectEqual(state.accounts[i].lane0Sequence, _driver.laneSequence(account), "lane sequence");
            expectEqual(state.accounts[i].lane0FilledLots, _driver.filled(account), "filled lots");
        }
    }

    /// @notice I5: the vault stands where the driver's last batch left it.
    function invariant_batchesLinked() external view {
        IVaultViews.VaultState memory state = _inspect();
        expectEqual(state.batchId, _driver.batches(), "batch id");
        expectEqual(uint256(state.batchHash), uint256(_driver.parent()), "batch hash");
    }

    function _inspect() private view returns (IVaultViews.VaultState memory) {
        address[] memory accounts = new address[](_driver.ACTORS());
        for (uint256 i = 0; i < accounts.length; ++i) accounts[i] = _driver.actors(i);
        return _driver.VAULT().inspect(accounts);
    }
}
