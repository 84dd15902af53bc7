"""Randomness as arithmetic: hashes and permutations of any length that are computed item by item, never stored.

A sampling plan asks "which tile stands at place i of this permutation?" and gets the answer from (i, n, key) alone: no
memory a tile, no state to save, and the same on every machine and with every NumPy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from framework.compiled import compiled

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
Integers = int | np.integer | npt.NDArray[np.integer]

# SplitMix64 (Steele, Lea and Flood 2014): increment and the two multipliers of its finaliser.
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_WORD = np.uint64(32)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)

# Eight rounds leave pairs of places of 17 or more items indistinguishable from uniform (chi-square over 60,000 keys);
# shorter permutations mix more slowly and take sixteen.
_PAIRS = 4
_PAIRS_SHORT = 8
_SHORT = np.uint64(16)


def hash_u64(*parts: Integers) -> U64:
    """Hash integers to 64 bits, element by element.

    Args:
        parts: integers or integer arrays that broadcast against each other; their order matters.

    Returns:
        uint64 array of the broadcast shape (0-d when every part is one integer).
    """
    with np.errstate(over="ignore"):
        state = np.zeros((), dtype=np.uint64)
        for part in parts:
            state = _mix((state ^ _mix(_unsigned(part) + _GAMMA)) + _GAMMA)
    return np.asarray(state)


def permute(i: Integers, n: Integers, key: Integers) -> I64:
    """Return item ``i`` of a seeded permutation of ``range(n)``: a bijection for each key.

    A generalised Feistel network on a rectangle of about sqrt(n) x sqrt(n) cells, followed along its cycle until it
    lands below n (Black and Rogaway 2002, section 4). The rectangle hardly exceeds n, so nearly all places need one
    pass.

    Args:
        i: places in [0, n).
        n: length of the permutation, at most 2**60, or an array of lengths that broadcasts against ``i``.
        key: 64-bit key, or an array of keys that broadcasts against ``i``.

    Returns:
        int64 array of the broadcast shape, values in [0, n).

    Raises:
        ValueError: a place outside [0, n).
    """
    place, length, keys = np.broadcast_arrays(np.asarray(i), np.asarray(n), _unsigned(key))
    if np.any((place < 0) | (place >= length)):
        raise ValueError("permute: every place must lie in [0, n)")
    result = np.empty(place.size, dtype=np.uint64)
    _walk(_flat(place), _flat(length), _flat(keys), result)
    return result.astype(np.int64).reshape(place.shape)


def permute_runs(first: I64, count: int, lengths: I64, keys: U64) -> I64:
    """Return, for each row, ``count`` items of its own permutation, from place ``first`` on, round after round.

    Args:
        first: int64 (K,), first place of each row, >= 0.
        count: N, items of a row.
        lengths: int64 (K,), length of the row's permutation, >= 1.
        keys: uint64 (K,).

    Returns:
        int64 (K, N); entry (k, i) is ``permute((first[k] + i) % lengths[k], lengths[k], keys[k])``.
    """
    result = np.empty((len(first), count), dtype=np.int64)
    _walk_runs(first.astype(np.uint64), lengths.astype(np.uint64), _unsigned(keys), result)
    return result


def hash_sums(values: I64) -> U64:
    """Return the sums, modulo 2**64, of ``hash_u64(value, column)`` over each row: (K, N) -> uint64 (K,)."""
    result = np.zeros(len(values), dtype=np.uint64)
    _hash_rows(np.ascontiguousarray(values), result)
    return result


def _flat(values: npt.NDArray[np.integer]) -> U64:
    return values.ravel().astype(np.uint64)


@compiled
def _walk(x: U64, bound: U64, keys: U64, result: U64) -> None:
    """Apply the network to each value until it is below its bound."""
    for place in range(len(x)):
        length = bound[place]
        rows = np.uint64(np.ceil(np.sqrt(np.float64(length))))
        columns = (length + rows - _ONE) // rows
        pairs = _PAIRS_SHORT if length < _SHORT else _PAIRS
        value = _cell(x[place], rows, columns, keys[place], pairs)
        while value >= length:
            value = _cell(value, rows, columns, keys[place], pairs)
        result[place] = value


@compiled
def _walk_runs(first: U64, lengths: U64, keys: U64, result: I64) -> None:
    """Apply the network of each row to the places from its first on."""
    for row in range(len(first)):
        length, key = lengths[row], keys[row]
        rows = np.uint64(np.ceil(np.sqrt(np.float64(length))))
        columns = (length + rows - _ONE) // rows
        pairs = _PAIRS_SHORT if length < _SHORT else _PAIRS
        place = first[row] % length
        for column in range(result.shape[1]):
            value = _cell(place, rows, columns, key, pairs)
            while value >= length:
                value = _cell(value, rows, columns, key, pairs)
            result[row, column] = np.int64(value)
            place = place + _ONE if place + _ONE < length else _ZERO


@compiled
def _hash_rows(values: I64, result: U64) -> None:
    """Add up the hash of each value and its column; the same arithmetic as ``hash_u64``."""
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            state = _mixed(_mixed(np.uint64(values[row, column]) + _GAMMA) + _GAMMA)
            result[row] += _mixed((state ^ _mixed(np.uint64(column) + _GAMMA)) + _GAMMA)


@compiled
def _mixed(z: np.uint64) -> np.uint64:
    """Return ``_mix`` of one number."""
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))


@compiled
def _cell(x: np.uint64, rows: np.uint64, columns: np.uint64, key: np.uint64, pairs: int) -> np.uint64:
    """Permute the cells of a rows x columns rectangle: each round shifts one coordinate by a hash of the other."""
    row = x // columns
    column = x - row * columns
    for _ in range(pairs):
        key += _GAMMA
        row = _shifted(row, column, key, rows)
        key += _GAMMA
        column = _shifted(column, row, key, columns)
    return row * columns + column


@compiled
def _shifted(mine: np.uint64, other: np.uint64, key: np.uint64, size: np.uint64) -> np.uint64:
    """Shift a coordinate in [0, size) by a hash of the other one."""
    shift = (other ^ key) * _FIRST
    shift ^= shift >> _WORD
    shift *= _SECOND
    # A 32-bit hash times the size, shifted back, is the hash scaled to [0, size).
    shift = (((shift >> _WORD) * size) >> _WORD) + mine
    return shift - size if shift >= size else shift


def _mix(z: U64) -> U64:
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    mixed: U64 = z ^ (z >> np.uint64(31))
    return mixed


def _unsigned(value: Integers) -> U64:
    """Integers of any kind as uint64; negative ones wrap, so that every integer has its own value."""
    if isinstance(value, int):
        return np.asarray(value % (1 << 64), dtype=np.uint64)
    unsigned: U64 = np.asarray(value).astype(np.uint64, copy=False)
    return unsigned
