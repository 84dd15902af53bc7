"""Large arrays used again and again, because fresh memory is the dearest part of a batch.

The kernel clears and maps new memory page by page, which takes ten times as long as filling it. An array handed out
here is handed out again only when nothing refers to its memory any more, so whoever keeps a batch, or any view of it,
keeps its values.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
import numpy.typing as npt


class Recycler:
    """Arrays of one shape and type.

    Args:
        shape: shape of each.
        dtype: dtype of each.
        keep: arrays remembered; those handed out beyond that are freed by whoever holds them last.
    """

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike, keep: int) -> None:
        self._shape, self._dtype, self._keep = shape, np.dtype(dtype), keep
        self._arrays: list[npt.NDArray[Any]] = []
        self._lock = threading.Lock()

    def take(self) -> npt.NDArray[Any]:
        """Return an array of undefined content that nobody else refers to.

        Views and ``torch.from_numpy`` tensors of it, and views of those, count as references: they hold the array.
        """
        with self._lock:
            # Newest first: the one freed last is most likely still in the processor's cache.
            for index in range(len(self._arrays) - 1, -1, -1):
                if sys.getrefcount(self._arrays[index]) == _UNUSED:
                    found = self._arrays.pop(index)
                    self._arrays.append(found)
                    return found
            # NumPy asks the kernel for huge pages, PyTorch does not.
            fresh = np.empty(self._shape, dtype=self._dtype)
            self._arrays = [*self._arrays[-(self._keep - 1) :], fresh] if self._keep > 1 else [fresh]
            return fresh


def _references_from_a_list() -> int:
    held = [np.empty(1)]
    return sys.getrefcount(held[0])


_UNUSED = _references_from_a_list()
"""What ``sys.getrefcount`` says of an array that only a list holds: 2 in CPython 3.11, fewer in later ones."""
