"""Functions that numba compiles: loops over pixels and counts that no array operation expresses."""

from __future__ import annotations

from typing import Any

import numba


def compiled(function: Any) -> Any:
    """Return ``function`` compiled at its first call for the types it is called with; it runs beside other threads.

    The machine code is kept beside the source, or in the user's cache folder; where neither can be written, as in a
    container without a home, every process compiles anew, which takes about a second.
    """
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # "no locator available"
        return numba.njit(nogil=True)(function)
