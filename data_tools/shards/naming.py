"""Names and orders of what lies in a shard: functions of their inputs alone, on every machine."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def safe_name(text: str) -> str:
    """Return ``text`` as a part of a file name or sample key: letters, digits, ``_`` and ``-``, at most 60 of them."""
    return _UNSAFE.sub("_", text)[:60] or "_"


def safe_names(texts: Sequence[str]) -> dict[str, str]:
    """Return a distinct safe name for each distinct text; the second of two that become alike gets ``-2``."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for text in dict.fromkeys(texts):
        base = name = safe_name(text)
        count = 1
        while name.lower() in taken:  # file systems that ignore case
            count += 1
            name = f"{base}-{count}"
        taken.add(name.lower())
        names[text] = name
    return names


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
