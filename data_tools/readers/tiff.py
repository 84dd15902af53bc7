"""The pixels of any TIFF: of plain ones by ``plain_tiff``, of LZW by libtiff, of all others by ``tifffile``."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile

from data_tools.readers.plain_tiff import decode_plain

_HARMLESS_TAGS = ("FILLORDER", "subfiletype")


class _WithoutHarmlessTags(logging.Filter):
    """Drops what ``tifffile`` says of tags that cytometers write wrongly and no pixel depends on, once a file."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not any(tag in record.getMessage() for tag in _HARMLESS_TAGS)


logging.getLogger("tifffile").addFilter(_WithoutHarmlessTags())


def decode_tiff(file: Path) -> npt.NDArray[Any]:
    """Return all pages of a TIFF as one array; raises what the libraries raise, and ValueError if it is cut short."""
    data = file.read_bytes()
    plain = decode_plain(data)
    if plain is not None:
        return plain
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        for page in tiff.pages:
            _check_end(page, len(data))
        if any(_is_lzw(page) for page in tiff.pages):
            return np.asarray(imagecodecs.tiff_decode(data, index=None))
        return np.asarray(tiff.asarray(maxworkers=1))


def decode_pages(file: Path) -> list[tuple[npt.NDArray[Any], str]]:
    """Return each page of a TIFF with a letter an axis, ``YX`` or ``YXS``; raises as ``decode_tiff`` does."""
    data = file.read_bytes()
    pages: list[tuple[npt.NDArray[Any], str]] = []
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        for number, page in enumerate(tiff.pages):
            _check_end(page, len(data))
            pixels = imagecodecs.tiff_decode(data, index=number) if _is_lzw(page) else page.asarray()
            pages.append((np.asarray(pixels), str(getattr(page, "axes", ""))))
    return pages


def _check_end(page: Any, size: int) -> None:
    """Raise ValueError where pixels are missing: tifffile fills absent strips with zeros, which are no pixels."""
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if not ends or max(ends) > size or 0 in page.databytecounts:
        raise ValueError(f"pixel data end at byte {max(ends, default=0)}, the file at {size}")


def _is_lzw(page: Any) -> bool:
    """Return whether libtiff has to decode a page: damaged LZW makes the decoder tifffile calls end the process."""
    return bool(page.compression == tifffile.COMPRESSION.LZW)
