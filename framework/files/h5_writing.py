"""Writing HDF5 and ``.h5ad`` files, so that a full disk is an error and not the end of the process.

HDF5 writes again while it closes a file whose writing failed, and crashes when that fails too. So it is given a file
of ours that takes everything; the first write that failed is raised once HDF5 has closed its file.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anndata
import h5py
import pandas as pd

from framework.durable import write_with
from framework.errors import InputError

_INDEX = "_index"
"""The column under which AnnData keeps the names of rows."""
_METADATA_BYTES = 1 << 20
"""Pieces up to this size may be read again by HDF5 while it writes; larger ones are arrays, which it does not read."""


class _Written(io.RawIOBase):
    """A file whose writing seems to succeed always; what the disk did not take is kept in memory as far as needed.

    Attributes:
        failure: the first write that failed.
    """

    def __init__(self, path: Path, mode: str) -> None:
        self.failure: OSError | None = None
        self._file = path.open(mode, buffering=0)
        self._at = 0
        self._size = os.fstat(self._file.fileno()).st_size
        self._lost: list[tuple[int, bytes]] = []

    def write(self, data: Any) -> int:
        piece = memoryview(data).cast("B")
        if self.failure is None:
            try:
                _write_all(self._file.fileno(), piece, self._at)
            except OSError as error:
                self.failure = error
        if self.failure is not None and len(piece) <= _METADATA_BYTES:
            self._lost.append((self._at, bytes(piece)))
        self._at += len(piece)
        self._size = max(self._size, self._at)
        return len(piece)

    def readinto(self, buffer: Any) -> int:
        into = memoryview(buffer).cast("B")
        there = os.preadv(self._file.fileno(), [into], self._at)
        into[there:] = bytes(len(into) - there)
        for start, piece in self._lost:
            first, end = max(start, self._at), min(start + len(piece), self._at + len(into))
            if first < end:
                into[first - self._at : end - self._at] = piece[first - start : end - start]
        self._at += len(into)
        return len(into)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def truncate(self, size: int | None = None) -> int:
        self._size = self._at if size is None else size
        try:
            os.ftruncate(self._file.fileno(), self._size)
        except OSError as error:
            self.failure = self.failure or error
        return self._size

    def close(self) -> None:
        self._file.close()
        super().close()

    def check(self, path: Path) -> None:
        """Raise the failure, with the name of the file."""
        if self.failure is not None:
            raise OSError(self.failure.errno, self.failure.strerror, str(path))


def _write_all(handle: int, piece: memoryview, at: int) -> None:
    while len(piece):
        done = os.pwrite(handle, piece, at)
        piece, at = piece[done:], at + done


@contextmanager
def writing_hdf5(path: Path, mode: str = "w") -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """Open an HDF5 file for writing.

    Args:
        path: path of the file.
        mode: ``w``: a new one; ``r+``: one that is there.

    Yields:
        The file, and a call that raises at once what else is raised at the end.

    Raises:
        OSError: it cannot be written; names the file.
    """
    with _Written(path, "wb+" if mode == "w" else "rb+") as stream:
        try:
            with h5py.File(stream, mode) as file:
                yield file, lambda: stream.check(path)
        except Exception:
            stream.check(path)
            raise
        stream.check(path)


def write_h5ad(file: Path, data: anndata.AnnData, **options: Any) -> None:
    """Replace ``file`` by an ``.h5ad``, in one step.

    Args:
        file: its name.
        data: content.
        options: options of each array, such as ``compression``.

    Raises:
        InputError: a column has a name that HDF5 cannot hold.
        OSError: it cannot be written; names the file.
    """
    _check_columns(file, data)
    write_with(file, lambda path: _write_checked(path, data, **options))


def write_h5ad_at(path: Path, data: anndata.AnnData, **options: Any) -> None:
    """Write an ``.h5ad`` where it will not be read before it is whole. Raises as ``write_h5ad``."""
    _check_columns(path, data)
    _write_checked(path, data, **options)


def _write_checked(path: Path, data: anndata.AnnData, **options: Any) -> None:
    data.strings_to_categoricals()  # as AnnData does it before it writes
    with writing_hdf5(path) as (opened, _):
        anndata.io.write_elem(opened, "/", data, dataset_kwargs=options)


def _check_columns(file: Path, data: anndata.AnnData) -> None:
    """Refuse tables whose columns HDF5 would lose: the file would be damaged, or its writing end within a library."""
    tables = {"obs": data.obs, "var": data.var}
    tables |= {f"obsm['{name}']": table for name, table in data.obsm.items() if isinstance(table, pd.DataFrame)}
    for where, table in tables.items():
        why = _unwritable([str(name) for name in table.columns])
        if why:
            raise InputError(
                f"{file}: cannot be written, because {where} would have {why}; rename the column in the file it "
                "comes from"
            )


def _unwritable(names: Sequence[str]) -> str:
    """Return which name HDF5 cannot hold, and why; ``/`` stands for a group in it, so ``a`` and ``a/b`` exclude."""
    known = {name.rstrip("/"): name for name in names}
    for name in names:
        parts = name.split("/")
        if name == _INDEX or not name.strip("./") or not parts[0]:
            return f"a column '{name}', a name that HDF5 keeps for itself"
        groups = ["/".join(parts[:count]) for count in range(1, len(parts))]
        other = next((known[group] for group in groups if known.get(group, name) != name), None)
        if other is not None:
            return f"the columns '{other}' and '{name}', of which HDF5 takes one for a folder of the other"
    return ""
