// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice How far the vault is, and the totals of its main asset, in one word, because nearly every transaction changes several of them:
/// batch id (32) · epoch (32) · event sequence (40) · paused until (40) · booked (56) · fees (56) = 256, from the lowest bit up.
type Progress is uint256;

using {
    batchId,
    epoch,
    eventSequence,
    pausedUntil,
    booked,
    fees,
    withBatch,
    withEpoch,
    withNextEvent,
    withPause,
    withTotals,
    plusBooked,
    minusBooked,
    plusFees
} for Progress global;

uint256 constant EPOCH_SHIFT = 32;
uint256 constant EVENT_SHIFT = 64;
uint256 constant PAUSE_SHIFT = 104;
uint256 constant BOOKED_SHIFT = 144;
uint256 constant FEES_SHIFT = 200;

function batchId(Progress progress) pure returns (uint64) {
    return uint32(Progress.unwrap(progress));
}

function epoch(Progress progress) pure returns (uint64) {
    return uint32(Progress.unwrap(progress) >> EPOCH_SHIFT);
}

function eventSequence(Progress progress) pure returns (uint64) {
    return uint40(Progress.unwrap(progress) >> EVENT_SHIFT);
}

/// @dev Unix seconds; settlement and deposits rest before it.
function pausedUntil(Progress progress) pure returns (uint64) {
    return uint40(Progress.unwrap(progress) >> PAUSE_SHIFT);
}

function booked(Progress progress) pure returns (uint56) {
    return uint56(Progress.unwrap(progress) >> BOOKED_SHIFT);
}

function fees(Progress progress) pure returns (uint56) {
    return uint56(Progress.unwrap(progress) >> FEES_SHIFT);
}

/// @dev Settled once a second, the ids last for 136 years.
function withBatch(Progress progress, uint64 id, uint64 newEpoch) pure returns (Progress) {
    uint256 kept = (Progress.unwrap(progress) >> EVENT_SHIFT) << EVENT_SHIFT;
    return Progress.wrap(kept | (uint256(uint32(newEpoch)) << EPOCH_SHIFT) | uint32(id));
}

function withEpoch(Progress progress, uint64 newEpoch) pure returns (Progress) {
    return progress.withBatch(progress.batchId(), newEpoch);
}

function withNextEvent(Progress progress) pure returns (Progress) {
    unchecked {
        return Progress.wrap(Progress.unwrap(progress) + (1 << EVENT_SHIFT));
    }
}

function withPause(Progress progress, uint64 until) pure returns (Progress) {
    uint256 kept = Progress.unwrap(progress) & ~(uint256(type(uint40).max) << PAUSE_SHIFT);
    return Progress.wrap(kept | (uint256(uint40(until)) << PAUSE_SHIFT));
}

function withTotals(Progress progress, uint56 newBooked, uint56 newFees) pure returns (Progress) {
    uint256 kept = Progress.unwrap(progress) & ((1 << BOOKED_SHIFT) - 1);
    return Progress.wrap(kept | (uint256(newBooked) << BOOKED_SHIFT) | (uint256(newFees) << FEES_SHIFT));
}

/// @dev The caller has made sure that the total stays below 2^53.
function plusBooked(Progress progress, uint256 quanta) pure returns (Progress) {
    unchecked {
        return Progress.wrap(Progress.unwrap(progress) + (quanta << BOOKED_SHIFT));
    }
}

function minusBooked(Progress progress, uint256 quanta) pure returns (Progress) {
    assert(quanta <= progress.booked());
    unchecked {
        return Progress.wrap(Progress.unwrap(progress) - (quanta << BOOKED_SHIFT));
    }
}

/// @dev Fees are part of what is booked, so they stay below 2^53 as well.
function plusFees(Progress progress, uint256 quanta) pure returns (Progress) {
    unchecked {
        return Progress.wrap(Progress.unwrap(progress) + (quanta << FEES_SHIFT));
    }
}
