"""HDF5 files: what they declare is compared with what they hold before a reader sees them.

HDF5 can take data from other files (external storage, external links, virtual datasets) and gives zeros for what was
never written. A file of unknown origin could so put any file of this machine, or black images, into a dataset.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from h5py import h5d, h5o

from framework.errors import DatasetError, WellstreamError
from framework.files.failures import AGAIN, check_regular, first_bytes, found_instead, reading
from framework.files.hdf5_heaps import check_heaps

MOST_EXPANSION = 1100
"""Bytes that a stored byte may become; deflate, of all filters of HDF5, packs tightest: 1,032 to 1."""
_UNCHECKED_BYTES = 1 << 26
"""A dataset of up to 64 MiB may be packed as tightly as it likes."""
_MOST_OBJECTS = 100_000


@contextmanager
def open_hdf5(
    file: Path | str,
    *,
    error: type[WellstreamError] = DatasetError,
    what: str = "an HDF5 file",
    then: str = AGAIN,
    checked: bool = False,
) -> Iterator[h5py.File]:
    """Open a file for reading; whatever is raised inside becomes a sentence.

    Args:
        file: the file.
        error: class to raise.
        what: the file should be, with its article.
        then: what to do about it.
        checked: this file has passed before, so its objects are not visited again.

    Raises:
        WellstreamError: of class ``error``: no such regular file, no HDF5, data in other files, data that was never
            written, more data declared than the file can hold, or anything that h5py raises inside.
    """
    size = check_regular(file, error, what, then)
    with reading(file, error, what, then):
        if not h5py.is_hdf5(file):
            raise error(f"{file}: not readable as {what}: found {found_instead(Path(file))}; {then}")
        if not checked:
            check_heaps(file)
    with reading(file, error, what, then), h5py.File(file, "r") as opened:
        if not checked:
            for name, found in datasets(opened):
                fault = _fault(opened, found, size)
                if fault:
                    raise error(f"{file}: '{name}' {fault}; {then}")
        yield opened


def top_names(file: Path | str) -> frozenset[str]:
    """Return what the root of an HDF5 file holds, to choose its reader by; of what cannot be read nothing.

    It never fails, because the reader that is chosen says what is wrong.
    """
    if not first_bytes(file, 1):
        return frozenset()
    try:
        with h5py.File(file, "r") as opened:
            return frozenset(str(name) for name in opened)
    except Exception:  # h5py raises many kinds
        return frozenset()


def datasets(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield every dataset with its name, each once although links may lead to it in rounds.

    Raises:
        ValueError: a link to another file, or too many objects.
    """
    seen: set[int] = set()
    waiting: list[tuple[str, h5py.Group]] = [("", file)]
    while waiting:
        above, group = waiting.pop()
        for name in group:
            path = f"{above}/{name}" if above else str(name)
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise ValueError(f"'{path}' is a link to another file ({link.filename}), which is not followed")
            if isinstance(link, h5py.SoftLink):
                continue  # What it leads to is in this file, so it is visited by its own name.
            item = group[name]
            address = h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > _MOST_OBJECTS:
                raise ValueError(f"more than {_MOST_OBJECTS} objects")
            if isinstance(item, h5py.Group):
                waiting.append((path, item))
            elif isinstance(item, h5py.Dataset):
                yield path, item


def _fault(file: h5py.File, found: h5py.Dataset, file_size: int) -> str | None:
    """Say why a dataset cannot be what it says, or None."""
    facts = found.id.get_create_plist()
    if facts.get_external_count():
        return f"keeps its data in another file ({_text(facts.get_external(0)[0])}), which is not read"
    if not found.size:
        return None
    if facts.get_layout() == h5d.VIRTUAL:
        return _fault_of_virtual(file, found)
    if facts.get_layout() == h5d.CHUNKED:
        return _fault_of_chunks(found, file_size)
    declared = _bytes(found.shape, found)
    stored = found.id.get_storage_size()
    if stored > file_size:
        return f"declares {stored} bytes, the file has {file_size}"
    offset = found.id.get_offset()  # None where a small dataset lies in its own header
    if offset is not None and offset + stored > file_size:
        return f"lies in bytes {offset} to {offset + stored}, the file has {file_size}"
    return None if stored >= declared else f"was never written: {stored} of {declared} bytes are there"


def _fault_of_chunks(found: h5py.Dataset, file_size: int) -> str | None:
    chunk = found.chunks
    wanted = math.prod(-(-edge // step) for edge, step in zip(found.shape, chunk, strict=True))
    unpacked, stored = wanted * _bytes(chunk, found), found.id.get_storage_size()
    if stored > file_size:
        return f"declares {stored} stored bytes, the file has {file_size}"
    if unpacked > max(_UNCHECKED_BYTES, stored * MOST_EXPANSION):
        return f"declares {unpacked} bytes, but {stored} stored bytes cannot hold so much"
    written = found.id.get_num_chunks()
    return None if written == wanted else f"was never written whole: {written} of {wanted} chunks are there"


def _fault_of_virtual(file: h5py.File, found: h5py.Dataset) -> str | None:
    """A virtual dataset passes when it is made of ordinary datasets of this file, and whole."""
    points = 0
    for source in found.virtual_sources():
        if source.file_name != ".":
            return f"takes its data from another file ({source.file_name}), which is not read"
        item = file.get(source.dset_name)
        if not isinstance(item, h5py.Dataset) or item.is_virtual or item.dtype != found.dtype:
            return f"is made of '{source.dset_name}', which is not a plain dataset of this file and type"
        points += source.vspace.get_select_npoints()
    return None if points == found.size else f"was never written whole: {points} of {found.size} values have a source"


def _bytes(shape: tuple[int, ...], found: h5py.Dataset) -> int:
    return math.prod(int(edge) for edge in shape) * int(found.id.get_type().get_size())


def _text(name: bytes | str) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(np.str_(name))
