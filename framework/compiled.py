"""Functions that numba compiles: loops over pixels and counts that no array operation expresses.

``load_word``, ``store_word``, ``copy_bytes`` and ``stream_line`` are for compiled functions alone: they reach any
address, so the caller keeps them inside its arrays.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
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


@generated_code
def copy_bytes(_context: Any, target: Any, source: Any, nbytes: Any) -> Any:
    """Copy bytes from an address to another by the ``memcpy`` of the system; they must not overlap."""

    def generate(target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        to, of = (builder.inttoptr(address, byte) for address in arguments[:2])
        cgutils.raw_memcpy(builder, to, of, arguments[2], 1)  # type: ignore[no-untyped-call]
        return target.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.uint64), generate


@generated_code
def stream_line(_context: Any, target: Any, source: Any) -> Any:
    """Copy 64 bytes to an address that is a multiple of 64, past the processor's caches."""

    def generate(target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        line = ir.VectorType(ir.IntType(64), 8).as_pointer()
        value = builder.load(builder.inttoptr(arguments[1], line), align=1)
        store = builder.store(value, builder.inttoptr(arguments[0], line), align=64)
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.IntType(32)(1)]))
        return target.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


@generated_code
def fetch_line(_context: Any, address: Any) -> Any:
    """Ask for the line of memory at an address, without waiting; an address that is not mapped does no harm."""

    def generate(target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        # To read (0), into all caches (3), data (1).
        builder.call(fetch, [builder.inttoptr(arguments[0], byte), number(0), number(3), number(1)])
        return target.get_dummy_value()

    return types.void(types.uint64), generate


@generated_code
def finish_streaming(_context: Any) -> Any:
    """Let other threads see what ``stream_line`` has written before they see what is written from now on."""

    def generate(target: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        builder.fence("seq_cst")
        return target.get_dummy_value()

    return types.void(), generate
