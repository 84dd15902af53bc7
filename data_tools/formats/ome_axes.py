"""What OME-XML states of the pages of its file: which channel, z slice and time point each is.

``TiffData`` elements say it (Goldberg et al. 2005; OME-TIFF specification): ``IFD`` is the page, ``FirstC``, ``FirstZ``
and ``FirstT`` the plane of the first page, ``PlaneCount`` how many follow in the order of ``DimensionOrder``. Planes
that lie in sister files are none of this file's. Every number is held against the pages that there are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import NamedTuple
from xml.etree.ElementTree import Element  # types only: defusedxml parses

from data_tools.formats.image_axes import (
    CHANNELS,
    TIME_POINTS,
    Z_SLICES,
    MissingPlanes,
    StatedAxes,
    named,
    refused,
    several,
)
from data_tools.formats.tiff import Tiff
from data_tools.formats.xml_file import children, name_of

SOURCE = "its OME-XML"
_IMAGES = "images"
_ORDERS = {"C", "Z", "T"}
_NUMBER = re.compile(r"\s*[0-9]{1,9}\s*")
_MOST = 999_999_999


class _Plane(NamedTuple):
    """A plane of an image of the OME-XML."""

    image: int
    c: int
    z: int
    t: int


def ome_axes(root: Element, tiff: Tiff) -> StatedAxes | None:
    """Return what OME-XML states of a file, or None where it states nothing.

    Args:
        root: its ``OME`` element.
        tiff: the file.

    Raises:
        AxesError: damaged, in another file, or it does not say of each page which one plane it is.
    """
    blocks = [pixels for image in children(root, "Image") for pixels in children(image, "Pixels")]
    if not blocks:
        other = next(children(root, "BinaryOnly"), None)
        if other is None:
            return None
        name = other.get("MetadataFile", "without a name")
        raise refused(tiff, f"{SOURCE} stands in another file ('{name[:100]}'), which is not read")
    return _stated(root, blocks, _Pages(root, tiff).planes(blocks), tiff.images[0].samples)


class _Pages:
    """Finds out which plane each page is."""

    def __init__(self, root: Element, tiff: Tiff) -> None:
        self.root, self.tiff, self.samples = root, tiff, tiff.images[0].samples
        self.name = PurePath(tiff.directories.name).name
        self.images = [place for place, page in enumerate(tiff.pages) if not page.left_out]
        self.n = len(tiff.pages)
        self.found: dict[int, _Plane] = {}

    def planes(self, blocks: Sequence[Element]) -> list[_Plane]:
        """Return the plane of each image of the file."""
        for number, pixels in enumerate(blocks):
            self._add(number, pixels, self._here(pixels))
        for place, page in enumerate(self.images, start=1):
            if page not in self.found:
                raise refused(self.tiff, f"{SOURCE} does not say what page {place} is")
        planes = [self.found[page] for page in self.images]
        if len(set(planes)) < len(planes):
            raise refused(self.tiff, f"{SOURCE} states the same plane for two pages")
        return planes

    def _here(self, pixels: Element) -> list[Element]:
        """Return the ``TiffData`` that speak of this file; without any, one that speaks of all planes."""
        entries = list(children(pixels, "TiffData"))
        if not entries:
            return [Element("TiffData")]
        elements = [next(children(entry, "UUID"), None) for entry in entries]
        ids = ["" if element is None else (element.text or "").strip() for element in elements]
        paths = ["" if element is None else element.get("FileName", "") for element in elements]
        names = [PurePath(path.replace("\\", "/")).name for path in paths]
        mine = self.root.get("UUID", "")
        by_id, by_name = ([entry for entry, name in zip(entries, found, strict=True) if name in ("", own)]
                          for found, own in ((ids, mine), (names, self.name)))  # fmt: skip
        if self.name in names and mine in ids and by_id != by_name:
            raise refused(self.tiff, f"{SOURCE} names another file by its name than by its UUID")
        if self.name not in names and len(set(zip(ids, names, strict=True))) == 1:
            return entries  # the only file that is named is this one, whatever it is called now
        return by_name if self.name in names else by_id

    def _add(self, image: int, pixels: Element, entries: Sequence[Element]) -> None:
        letters = pixels.get("DimensionOrder", "XYCZT")[2:]
        if set(letters) != _ORDERS or len(letters) != len(_ORDERS):
            order = pixels.get("DimensionOrder", "")[:20]
            raise refused(self.tiff, f"{SOURCE} states the order of dimensions '{order}', expected one as XYCZT")
        sizes = {letter: self._number(pixels, f"Size{letter}", 1, least=1) for letter in letters}
        if sizes["C"] % self.samples == 0:
            sizes["C"] //= self.samples
        total = sizes["C"] * sizes["Z"] * sizes["T"]
        for entry in entries:
            page = self._number(entry, "IFD", 0)
            count = self._number(entry, "PlaneCount", 1 if "IFD" in entry.attrib else total)
            first, step = 0, 1
            for letter in letters:
                first += step * self._number(entry, f"First{letter}", 0, most=sizes[letter] - 1)
                step *= sizes[letter]
            if page + count > self.n or first + count > total:
                what = f"{count} of {total} planes from page {page + 1} on"
                raise refused(self.tiff, f"{SOURCE} states {what}, and the file has {self.n} page(s)", MissingPlanes)
            for further in range(count):
                self._set(page + further, _plane(image, first + further, letters, sizes))

    def _set(self, page: int, plane: _Plane) -> None:
        if page in self.found:
            raise refused(self.tiff, f"{SOURCE} states two planes for page {page + 1}")
        self.found[page] = plane

    def _number(self, element: Element, key: str, default: int, least: int = 0, most: int = _MOST) -> int:
        text = element.get(key)
        if text is None:
            return default
        if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
            raise refused(self.tiff, f"{SOURCE} states {key} '{text[:20]}', expected a whole number from {least} to "
                                     f"{most}")  # fmt: skip
        return int(text)


def _plane(image: int, number: int, letters: str, sizes: dict[str, int]) -> _Plane:
    """Return the plane of a number, counted in an order of dimensions whose first letter counts fastest."""
    at = {}
    for letter in letters:
        number, at[letter] = divmod(number, sizes[letter])
    return _Plane(image, at["C"], at["Z"], at["T"])


def _stated(root: Element, blocks: Sequence[Element], planes: Sequence[_Plane], samples: int) -> StatedAxes:
    channels = sorted({plane.c for plane in planes})
    sizes = {
        _IMAGES: len({plane.image for plane in planes}),
        CHANNELS: len(channels) * samples,
        Z_SLICES: len({plane.z for plane in planes}),
        TIME_POINTS: len({plane.t for plane in planes}),
        **_modulo(root, len(channels)),
    }
    order = tuple(sorted(range(len(planes)), key=lambda place: planes[place]))
    return StatedAxes(
        source=SOURCE,
        sizes=several(sizes),
        order=() if order == tuple(range(len(planes))) else order,
        names=_names(blocks[planes[0].image], channels, samples),
    )


def _modulo(root: Element, n_channels: int) -> dict[str, int]:
    """Return what channels are instead, where the OME-XML says that they are values of another axis (a lifetime)."""
    kind = next((element.get("Type", "") for element in root.iter() if name_of(element) == "ModuloAlongC"), None)
    return {} if kind is None else {f"values of its axis '{kind[:20]}' (ModuloAlongC)": n_channels}


def _names(pixels: Element, channels: Sequence[int], samples: int) -> tuple[str, ...]:
    """Return the names of the channels that this file holds."""
    names = [channel.get("Name", "") for channel in children(pixels, "Channel")]
    if samples > 1:
        return named(names, len(channels) * samples)
    return named([names[c] for c in channels if c < len(names)], len(channels))
