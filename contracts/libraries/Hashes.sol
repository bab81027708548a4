// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The EIP-712 type hashes, and the words whose hashes stand in orders.
library Hashes {
    bytes32 internal constant ORDER_TYPEHASH = keccak256(
        "Order(address account,string side,address baseToken,uint256 baseAmount,address quoteToken,uint256 quoteAmount,string timeInForce,bool postOnly,uint64 nonce,uint64 expiry,uint32 maxFeePpm)"
    );
    bytes32 internal constant WITHDRAWAL_TYPEHASH = keccak256(
        "Withdrawal(address account,address token,uint256 amount,address recipient,uint64 nonce,uint64 expiry,uint256 maxFee)"
    );
    bytes32 internal constant SESSION_KEY_TYPEHASH = keccak256(
        "SessionKey(address account,address key,uint64 expiry,uint64 nonce)"
    );
    bytes32 internal constant BATCH_TYPEHASH = keccak256(
        "Batch(uint64 id,bytes32 parent,bytes32 contentHash,uint64 epoch,uint64 journalSequence,bytes32 journalHash)"
    );
    bytes32 internal constant DOMAIN_TYPEHASH = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    );

    bytes32 internal constant BUY = keccak256("buy");
    bytes32 internal constant SELL = keccak256("sell");
    bytes32 internal constant GTC = keccak256("gtc");
    bytes32 internal constant IOC = keccak256("ioc");
    bytes32 internal constant FOK = keccak256("fok");
    bytes32 internal constant GTD = keccak256("gtd");

    function domain(address vault) internal view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN_TYPEHASH, keccak256("Tallystick"), keccak256("1"), block.chainid, vault));
    }

    function digest(bytes32 separator, bytes32 structHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", separator, structHash));
    }
}
