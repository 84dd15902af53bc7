"""Randomness as arithmetic: hashes and permutations of any length that are computed item by item, never stored.

A sampling plan asks "which tile stands at place i of this permutation?" and gets the answer from (i, n, key) alone: no
memory a tile, no state to save, and the same on every machine and with every NumPy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
Integers = int | np.integer | npt.NDArray[np.integer]

# SplitMix64 (Steele, Lea and Flood 2014): increment and the two multipliers of its finaliser.
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_WORD = np.uint64(32)
_ONE = np.uint64(1)

# Eight rounds leave pairs of places of 17 or more items indistinguishable from uniform (chi-square over 60,000 keys);
# shorter permutations mix more slowly and take sixteen.
_ROUNDS = 8
_ROUNDS_SHORT = 16
_SHORT = 16


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
    x, bound, flat_keys = _flat(place), _flat(length), _flat(keys)
    short = bound < _SHORT
    with np.errstate(over="ignore"):
        if not short.any():
            result = _walk(x, bound, flat_keys, _ROUNDS)
        else:
            result = np.empty_like(x)
            for chosen, rounds in ((short, _ROUNDS_SHORT), (~short, _ROUNDS)):
                result[chosen] = _walk(x[chosen], bound[chosen], flat_keys[chosen], rounds)
    return result.astype(np.int64).reshape(place.shape)


def _flat(values: npt.NDArray[np.integer]) -> U64:
    return values.ravel().astype(np.uint64)


def _walk(x: U64, bound: U64, keys: U64, rounds: int) -> U64:
    """Apply the network until every value is below its bound; values already below stay."""
    rows = np.ceil(np.sqrt(bound)).astype(np.uint64)
    columns = (bound + rows - _ONE) // np.maximum(rows, _ONE)
    result = _feistel(x, rows, columns, keys, rounds)
    out = np.flatnonzero(result >= bound)
    while len(out):
        result[out] = _feistel(result[out], rows[out], columns[out], keys[out], rounds)
        out = out[result[out] >= bound[out]]
    return result


def _feistel(x: U64, rows: U64, columns: U64, keys: U64, rounds: int) -> U64:
    """Permute the cells of a rows x columns rectangle: each round shifts one coordinate by a hash of the other."""
    row = x // columns
    halves, sizes = [row, x - row * columns], (rows, columns)
    round_key = keys.copy()
    for number in range(rounds):
        mine = number % 2
        round_key += _GAMMA
        shift = halves[1 - mine] ^ round_key
        shift *= _FIRST
        shift ^= shift >> _WORD
        shift *= _SECOND
        shift >>= _WORD
        # A 32-bit hash times the size, shifted back, is the hash scaled to [0, size).
        shift *= sizes[mine]
        shift >>= _WORD
        shift += halves[mine]
        np.subtract(shift, sizes[mine], out=shift, where=shift >= sizes[mine])
        halves[mine] = shift
    cell: U64 = halves[0] * columns + halves[1]
    return cell


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
