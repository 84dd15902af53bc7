"""Which of many intervals that lie end to end holds a place, found in two or three reads of memory.

Bisection alone reads about twenty places of a line of a million intervals, most of which the processor's cache does not
hold. Here a table with about one entry per interval says where to begin.
"""

from __future__ import annotations

import numpy as np

from framework.compiled import compiled
from framework.data.permutation import I64


class IntervalSearch:
    """Finds intervals of a line; memory is about 8 bytes per interval, beside ``begin``.

    Args:
        begin: int64 (U + 1,) from 0, never falling; interval u is ``begin[u]:begin[u + 1]``, which may be empty.
    """

    def __init__(self, begin: I64) -> None:
        self._begin = begin
        total, intervals = int(begin[-1]), len(begin) - 1
        self._shift = max(0, (total - 1) // max(1, intervals)).bit_length()
        """A part of the line that one entry stands for has ``2**shift`` places, the mean interval or more."""
        parts = np.arange(((total - 1) >> self._shift) + 2, dtype=np.int64) << self._shift
        self._first = np.searchsorted(begin, np.minimum(parts, total - 1), side="right").astype(np.int64) - 1

    def at(self, place: I64) -> I64:
        """Return the interval of each place (n,) in ``[0, begin[U])``, int64 (n,)."""
        found = np.empty(len(place), dtype=np.int64)
        _search(place, self._shift, self._first, self._begin, found)
        return found


@compiled
def _search(place: I64, shift: int, first: I64, begin: I64, found: I64) -> None:
    """Bisect between the intervals of a part's first place and of the next part's."""
    for row in range(len(place)):
        part = place[row] >> shift
        low, high = first[part], first[part + 1] + 1
        while high - low > 1:
            middle = (low + high) // 2
            if begin[middle] <= place[row]:
                low = middle
            else:
                high = middle
        found[row] = low
