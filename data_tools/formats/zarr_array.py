"""One plane of a Zarr array on disk, format 2 or 3, whose metadata are checked before anything is decoded.

An array names its own codecs, and libraries know codecs that run code (``pickle``); only those that are data are taken.
No chunk is decoded that its metadata declare larger than an image may be.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from data_tools.formats.tiff_page import MOST_BYTES
from framework.errors import InputError
from framework.files.json_file import read_mapping

_CODECS = frozenset(("blosc", "zlib", "gzip", "zstd", "lz4", "bz2", "lzma", "shuffle", "delta", "bytes", "transpose",
                     "crc32c", "crc32", "adler32", "sharding_indexed", "numcodecs.blosc", "numcodecs.zlib",
                     "numcodecs.zstd", "numcodecs.lz4", "numcodecs.shuffle", "numcodecs.delta"))  # fmt: skip
_TYPES = ("uint8", "uint16", "float32")
_CHUNK = re.compile(r"^(c\.)?\d+(\.\d+)*$")
"""Names of files of chunks: the last part of their path, or all of it."""
_AGAIN = "write the export again"
_WHAT = "the metadata of a Zarr array"


@dataclass(frozen=True, kw_only=True)
class ZarrFacts:
    """What an array says of itself.

    Attributes:
        file: its metadata.
        shape: shape of the array.
        dtype: dtype of its values: uint8, uint16 or float32.
        chunks: edges of what a file holds.
    """

    file: Path
    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[int, ...]


def zarr_facts(array: Path) -> ZarrFacts:
    """Read and check the metadata of an array.

    Raises:
        FileNotFoundError: there is none.
        InputError: damaged, a codec or a type that is not read, or a chunk that is too large.
    """
    three, two = array / "zarr.json", array / ".zarray"
    file = three if three.is_file() else two
    if not file.is_file():
        raise FileNotFoundError(file)
    plain = read_mapping(file, error=InputError, what=_WHAT, then=_AGAIN)
    if file == three and plain.get("node_type") != "array":
        raise InputError(f"{file}: expected an array, found a {plain.get('node_type')!r}; {_AGAIN}")
    shape = _edges(file, "shape", plain.get("shape"), least=0)
    if file == three:
        codecs, dtype = plain.get("codecs"), plain.get("data_type")
        grid = plain.get("chunk_grid")
        settings = grid.get("configuration") if isinstance(grid, dict) else None
        chunks = settings.get("chunk_shape") if isinstance(settings, dict) else None
    else:
        codecs = [plain.get("compressor"), *(plain.get("filters") or ())] if _is_list(plain.get("filters")) else None
        dtype, chunks = _v2_type(plain.get("dtype")), plain.get("chunks")
    _check_codecs(file, codecs)
    if dtype not in _TYPES:
        raise InputError(f"{file}: pixels are {str(dtype)[:40]!r}, expected one of {', '.join(_TYPES)}; convert them")
    size = math.prod(_edges(file, "chunks", chunks, least=1)) * np.dtype(dtype).itemsize
    if size > MOST_BYTES or len(_edges(file, "chunks", chunks, least=1)) != len(shape):
        raise InputError(f"{file}: chunks {str(chunks)[:60]} do not fit an array of shape {shape}")
    return ZarrFacts(file=file, shape=shape, dtype=str(dtype), chunks=_edges(file, "chunks", chunks, least=1))


def absent_chunks(facts: ZarrFacts) -> int:
    """Return how many chunks of an array have no file. They are read as its fill value, which is what Zarr means by it.

    A writer leaves out chunks that hold nothing but the fill value, and an unfinished copy leaves out any.
    """
    wanted = math.prod(-(-edge // chunk) for edge, chunk in zip(facts.shape, facts.chunks, strict=True))
    files = (name for _, _, names in os.walk(facts.file.parent) for name in names)
    return max(0, wanted - sum(_CHUNK.match(name) is not None for name in files))


def zarr_plane(array: Path, index: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return one plane: all but its two last axes are chosen by ``index``.

    Returns:
        (H, W), uint8, uint16 or float32, in native byte order.

    Raises:
        FileNotFoundError: no such array.
        InputError: as ``zarr_facts``, or the index lies outside.
        Exception: of many kinds, from the libraries, on chunks that are damaged.
    """
    facts = zarr_facts(array)
    if len(index) != len(facts.shape) - 2 or any(not 0 <= at < n for at, n in zip(index, facts.shape, strict=False)):
        raise InputError(f"no image {index} in an array of shape {facts.shape}")
    if math.prod(facts.shape[-2:]) * np.dtype(facts.dtype).itemsize > MOST_BYTES:
        raise InputError(f"images of {facts.shape[-2:]} px are too large")
    opened = zarr.open_array(str(array), mode="r")
    pixels = np.asarray(opened[index])
    return np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("="), copy=False))


def _is_list(value: Any) -> bool:
    return value is None or isinstance(value, list)


def _v2_type(text: Any) -> str:
    try:
        return np.dtype(text).name if isinstance(text, str) else repr(text)
    except TypeError:
        return repr(text)


def _edges(file: Path, name: str, value: Any, *, least: int) -> tuple[int, ...]:
    good = (
        isinstance(value, list) and 2 <= len(value) <= 8 and all(type(n) is int and least <= n < 1 << 40 for n in value)
    )
    if not good:
        raise InputError(f"{file}: '{name}': expected 2 to 8 whole numbers, found {str(value)[:60]}; {_AGAIN}")
    return tuple(value)


def _check_codecs(file: Path, codecs: Any, depth: int = 0) -> None:
    if not isinstance(codecs, list) or depth > 2:
        raise InputError(f"{file}: expected a list of codecs, found {str(codecs)[:60]}; {_AGAIN}")
    for codec in codecs:
        if codec is None:
            continue
        name = (codec.get("name") or codec.get("id")) if isinstance(codec, dict) else codec
        if name not in _CODECS:
            raise InputError(
                f"{file}: the codec {str(name)[:40]!r} cannot be read; write the images again with blosc, zstd or gzip"
            )
        inner = codec.get("configuration") if isinstance(codec, dict) else None
        inside = inner if isinstance(inner, dict) else {}
        for key in ("codecs", "index_codecs"):
            if key in inside:
                _check_codecs(file, inside[key], depth + 1)
