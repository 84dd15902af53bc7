"""NumPy's ``.npy`` and ``.npz``: sizes that headers declare are compared with the file, objects are never unpickled."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.lib.format as npy_format
import numpy.typing as npt

from framework.errors import DatasetError, WellstreamError, some_of
from framework.files.failures import AGAIN, check_memory, check_regular, reading

Array = npt.NDArray[Any]
MOST_EXPANSION = 1100
"""Bytes that a byte of deflate may become; its bound is 1,032."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What the beginning of an ``.npy`` says.

    Attributes:
        shape: shape of the array.
        dtype: dtype of its values, no objects.
        is_by_column: Fortran order.
        start: first byte behind it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_by_column: bool
    start: int

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return math.prod(self.shape) * self.dtype.itemsize


class NpzFile:
    """An opened ``.npz``: arrays by name, whole or as streams."""

    def __init__(self, archive: zipfile.ZipFile, check: Callable[[int], None]) -> None:
        self._archive, self._check = archive, check
        self._members = {each.filename.removesuffix(".npy"): each for each in archive.infolist()}

    @property
    def names(self) -> list[str]:
        """Of the arrays, in the order of the file."""
        return list(self._members)

    def header(self, name: str) -> Header:
        """Return type and shape of an array. Raises ValueError where they do not fit the bytes; KeyError: none."""
        with self._archive.open(self._members[name]) as stream:
            return _header(stream, self._members[name].file_size)

    def array(self, name: str) -> Array:
        """Return an array. Raises as ``header``, and where this machine cannot hold it."""
        with self._archive.open(self._members[name]) as stream:
            self._check(_header(stream, self._members[name].file_size).nbytes)
            stream.seek(0)
            return np.asarray(npy_format.read_array(stream, allow_pickle=False))

    def is_packed(self, name: str) -> bool:
        """Whether an array is compressed, so that a step back in it begins anew."""
        return self._members[name].compress_type != zipfile.ZIP_STORED

    def stream(self, name: str) -> IO[bytes]:
        """Return the bytes of an array with its header, to be closed by the caller."""
        return self._archive.open(self._members[name])


def load_npy(
    file: Path | str,
    *,
    error: type[WellstreamError] = DatasetError,
    what: str = "a NumPy array",
    then: str = AGAIN,
    mapped: bool = False,
) -> Array:
    """Return the array of an ``.npy``, in memory or mapped for reading.

    Raises:
        WellstreamError: of class ``error``: no such regular file, no array, Python objects, or another size than its
            header declares.
    """
    size = check_regular(file, error, what, then)
    with reading(file, error, what, then):
        with Path(file).open("rb") as stream:
            found = _header(stream, size)
        if not mapped:
            check_memory(file, found.nbytes, error, what, then)
        mode: Literal["r"] | None = "r" if mapped and found.nbytes else None  # nothing cannot be mapped
        return np.asarray(np.load(file, mmap_mode=mode, allow_pickle=False))


def load_npz(
    file: Path | str,
    names: Sequence[str] | None = None,
    *,
    error: type[WellstreamError] = DatasetError,
    what: str = "a file of NumPy arrays",
    then: str = AGAIN,
) -> dict[str, Array]:
    """Return arrays of an ``.npz`` (all, or the named ones) by name.

    Raises:
        WellstreamError: of class ``error``: as ``open_npz``, or a name that is absent.
    """
    with open_npz(file, error=error, what=what, then=then) as opened:
        missing = [name for name in names or () if name not in opened.names]
        if missing:
            raise error(f"{file}: no array '{missing[0]}'; it has {some_of(opened.names)}; {then}")
        return {name: opened.array(name) for name in (opened.names if names is None else names)}


@contextmanager
def open_npz(
    file: Path | str,
    *,
    error: type[WellstreamError] = DatasetError,
    what: str = "a file of NumPy arrays",
    then: str = AGAIN,
) -> Iterator[NpzFile]:
    """Open an ``.npz``; whatever is raised inside becomes a sentence.

    Raises:
        WellstreamError: of class ``error``: no such regular file, no zip archive, members that declare more than they
            can hold, Python objects, or damaged data.
    """
    check_regular(file, error, what, then)
    with reading(file, error, what, then), open_zip(file) as archive:
        yield NpzFile(archive, lambda nbytes: check_memory(file, nbytes, error, what, then))


@contextmanager
def open_zip(file: Path | str) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive whose members declare no more than the file can hold.

    Raises:
        ValueError: a name twice, an unusual compression, or sizes that contradict each other or the file.
        zipfile.BadZipFile: no zip archive.
    """
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len({each.filename for each in members}) < len(members):
            raise ValueError("two members of one name")
        if sum(each.compress_size for each in members) > os.path.getsize(file):
            raise ValueError("its members declare more bytes than the file has")
        for each in members:
            if each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or each.flag_bits & 1:
                raise ValueError(f"'{each.filename}' is encrypted, or compressed by other means than deflate")
            most = each.compress_size * (1 if each.compress_type == zipfile.ZIP_STORED else MOST_EXPANSION)
            if each.file_size > most:
                raise ValueError(
                    f"'{each.filename}' declares {each.file_size} bytes, which {each.compress_size} stored "
                    "bytes cannot hold"
                )
        yield archive


def _header(stream: IO[bytes], size: int) -> Header:
    """Return the header of an ``.npy`` of ``size`` bytes.

    Raises:
        ValueError: no such header, Python objects, or another size.
    """
    version = npy_format.read_magic(stream)
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, is_by_column, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read; save plain numbers or text")
    if any(edge < 0 for edge in shape) or dtype.itemsize == 0 or dtype.subdtype is not None:
        raise ValueError(f"an array of shape {shape} and type {dtype}")
    found = Header(shape=shape, dtype=dtype, is_by_column=is_by_column, start=stream.tell())
    if found.start + found.nbytes != size:
        raise ValueError(
            f"its header declares {found.nbytes} bytes (shape {shape} of {dtype}), {size - found.start} are there"
        )
    return found
