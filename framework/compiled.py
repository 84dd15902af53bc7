"""Functions that numba compiles: loops over pixels and counts that no array operation expresses.

``load_word`` and ``store_word`` are for compiled functions alone: they reach any address, so the caller keeps them
inside its arrays.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def compiled(function: Any) -> Any:
    """Return ``function`` compiled at its first call for the types it is called with; it runs beside other threads.

    The machine code is kept beside the source, or in the user's cache folder; where neither can be written, as in a
    container without a home, every process compiles anew, which takes about a second.
    """
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # "no locator available"
        return numba.njit(nogil=True)(function)


def generated_code(function: Any) -> Any:
    """Make a function that yields the compiler's own code callable from compiled ones."""
    return intrinsic(function)


@generated_code
def load_word(_context: Any, address: Any) -> Any:
    """Return the eight bytes at an address, wherever it lies."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], ir.IntType(64).as_pointer()), align=1)

    return types.uint64(types.uint64), generate


@generated_code
def store_word(_context: Any, address: Any, value: Any) -> Any:
    """Write eight bytes to an address."""

    def generate(target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        builder.store(arguments[1], builder.inttoptr(arguments[0], ir.IntType(64).as_pointer()), align=1)
        return target.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


@generated_code
def swapped(_context: Any, word: Any) -> Any:
    """Return a word with its first byte last."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bswap(arguments[0])

    return types.uint64(types.uint64), generate
