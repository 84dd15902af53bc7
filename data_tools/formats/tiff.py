"""The pixels of any TIFF: of plain pages by ``plain_tiff``, of LZW by libtiff, of all others by ``tifffile``.

``tiff_page`` says what a page may be before any of them sees it. Pages are found by ``tiff_directory``, never by the
libraries, which follow a circle of pages without end, take a stack that a file only names for its own, and read sister
files that are named in it.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile

from data_tools.formats.plain_tiff import decode_page
from data_tools.formats.tiff_directory import BytesSource, Directory, TiffDirectories, TiffError
from data_tools.formats.tiff_page import LZW, MOST_BYTES, Page, read_page
from framework.errors import InputError
from framework.files.failures import read_bytes

_HARMLESS_TAGS = ("FILLORDER", "subfiletype")
_SHOWN_PAGES = 4
MOST_PAGES = 4096

Pixels = npt.NDArray[Any]


class _WithoutHarmlessTags(logging.Filter):
    """Drops what ``tifffile`` says of tags that cytometers write wrongly and no pixel depends on, once per file."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not any(tag in record.getMessage() for tag in _HARMLESS_TAGS)


logging.getLogger("tifffile").addFilter(_WithoutHarmlessTags())


def decode_grey(file: Path, data: bytes | None = None) -> Pixels:
    """Return the only greyscale image of a TIFF, (H, W), uint8, uint16 or float32.

    Args:
        file: to read, or what messages call ``data``.
        data: its bytes, where they are in memory already.

    Raises:
        FileNotFoundError: no such file.
        InputError: no TIFF, damaged, a kind of page that is not read (``tiff_page``), several images, or several
            samples per pixel.
        Exception: of many kinds, from the libraries, on pixels that are damaged.
    """
    tiff = Tiff(file, data=data)
    page = tiff.images[0]
    if len(tiff.images) == 1 and page.samples > 1:
        shape = (page.samples, page.height, page.width) if page.apart else page.shape
        raise tiff.directories.refused(f"expected one 2-D greyscale image, found shape {shape}: {page.samples} samples "
                                       "per pixel; save each channel as a file")  # fmt: skip
    return only_image(tiff)


def decode_labels(file: Path) -> Pixels:
    """Return the only image of a TIFF whose values are numbers of objects, (H, W) or (H, W, S), as they are stored.

    Returns:
        uint8, uint16, uint32, int8, int16, int32 or float32.

    Raises:
        FileNotFoundError: no such file.
        InputError: no TIFF, damaged, a kind of page that is not read (``tiff_page``), or several images.
        Exception: of many kinds, from the libraries, on pixels that are damaged.
    """
    return only_image(Tiff(file, labels=True))


class Tiff:
    """A TIFF in memory, whose pages are checked; ``labels``: see ``read_page``.

    Attributes:
        pages: every page, in the order of the file.
        ifds: their directories.
        images: the pages that are images of full resolution.
    """

    def __init__(self, file: Path, *, labels: bool = False, data: bytes | None = None) -> None:
        self.data = read_bytes(file, MOST_BYTES) if data is None else data
        self.directories = tiff = TiffDirectories(str(file), BytesSource(self.data))
        self.pages: list[Page] = []
        self.ifds: list[Directory] = []
        for directory in tiff.chain():
            if len(self.pages) == MOST_PAGES:
                raise tiff.refused(f"more than {MOST_PAGES} pages")
            self.pages.append(read_page(tiff, directory, labels=labels))
            self.ifds.append(directory)
        self.images = [page for page in self.pages if not page.left_out]
        if not self.images:
            what = self.pages[0].left_out if self.pages else "no page"
            raise tiff.refused(f"holds {what}, but no image of full resolution")
        self._library: tifffile.TiffFile | None = None

    def decode(self, page: Page) -> Pixels:
        """Return the pixels of a page."""
        plain = decode_page(self.data, self.directories.order, page)
        if plain is not None:
            return plain
        number = next(place for place, other in enumerate(self.pages) if other is page)
        # The LZW decoder that tifffile calls ends the process on some damaged files.
        pixels = self.by_libtiff(number) if page.compression == LZW else self.by_tifffile(number)
        if pixels.shape != page.shape or pixels.dtype != page.dtype:
            found = f"{pixels.dtype} {pixels.shape}"
            raise self.directories.damaged(f"expected {page.dtype} {page.shape} as the page states, found {found}")
        top = (1 << page.bits) - 1
        return np.asarray(top - pixels, dtype=page.dtype) if page.turned else pixels

    def by_libtiff(self, number: int) -> Pixels:
        """Return the pixels of a page as libtiff reads them."""
        return _samples_last(np.asarray(imagecodecs.tiff_decode(self.data, index=number)), self.pages[number])

    def by_tifffile(self, number: int) -> Pixels:
        """Return the pixels of a page as ``tifffile`` reads them."""
        if self._library is None:
            self._library = tifffile.TiffFile(io.BytesIO(self.data), is_ome=False)
        page: Any = self._library.pages[number]
        return _samples_last(np.asarray(page.asarray(maxworkers=1)), self.pages[number])


def _samples_last(pixels: Pixels, page: Page) -> Pixels:
    """Return pixels in native byte order, the samples of planes that are stored apart last, as with all others."""
    native = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return np.moveaxis(native, 0, -1) if page.apart else native


def only_image(tiff: Tiff) -> Pixels:
    """Return the pixels of a TIFF with one image, (H, W) or (H, W, S), uint8, uint16 or float32.

    Raises:
        TiffError: it has several.
        Exception: of many kinds, from the libraries, on pixels that are damaged.
    """
    if len(tiff.images) == 1:
        return tiff.decode(tiff.images[0])
    shapes = [page.shape for page in tiff.images]
    if len(set(shapes)) == 1:
        what = f"shape {(len(shapes), *shapes[0])}: {len(shapes)} pages; save each page as a file"
    else:
        what = f"{len(shapes)} pages of different shapes: {_listed(shapes)}; save the right one as a file"
    raise tiff.directories.refused(f"expected one 2-D greyscale image, found {what}")


def _listed(shapes: Sequence[tuple[int, ...]]) -> str:
    more = " ..." if len(shapes) > _SHOWN_PAGES else ""
    return ", ".join(str(shape) for shape in shapes[:_SHOWN_PAGES]) + more


def reason_of(error: Exception) -> str:
    """Return the short kind of what keeps a TIFF from being read; a kind of image that is not read is not damage."""
    return "unsupported_image" if isinstance(error, TiffError) and not error.damaged else "damaged_image"


def described(error: Exception) -> str:
    """Return what is wrong with a TIFF that could not be decoded, without its file, in one line."""
    if isinstance(error, TiffError) and not error.damaged:
        return error.what
    if isinstance(error, InputError) and not isinstance(error, TiffError):
        return str(error)
    text = error.what if isinstance(error, TiffError) else str(error)
    return f"truncated or damaged TIFF ({' '.join(text.split()) or type(error).__name__})"
