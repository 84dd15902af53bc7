"""The order of what lies in a shard: a function of its inputs alone, on every machine."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import numpy.typing as npt

_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def random_order(n: int, seed: int, *labels: str) -> npt.NDArray[np.int64]:
    """Return a permutation of ``range(n)`` that depends on ``seed`` and ``labels`` alone.

    SplitMix64 (Steele 2014) of a counter, sorted: the same on every machine and with every NumPy.
    """
    digest = hashlib.sha256(json.dumps([seed, *labels]).encode()).digest()
    gamma, first, second = _MIX
    z = np.arange(1, n + 1, dtype=np.uint64) * gamma + np.uint64(int.from_bytes(digest[:8], "little"))
    z = (z ^ (z >> np.uint64(30))) * first
    z = (z ^ (z >> np.uint64(27))) * second
    return np.argsort(z ^ (z >> np.uint64(31)), kind="stable").astype(np.int64)
