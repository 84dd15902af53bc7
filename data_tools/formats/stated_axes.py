"""What the pages of a TIFF are, as the file itself states, by the three ways in which programs write it.

==================  ====================================================================================================
OME-XML             pages by ``TiffData`` (``ome_axes``), names of channels
ImageJ              ``channels=``, ``slices=`` and ``frames=`` of the description, channels counting fastest; labels
tifffile            ``shape`` and ``axes`` as JSON, in the description of the first page of each of its series
==================  ====================================================================================================

Other descriptions state nothing. What a file states is text that anybody may have written: sizes are held against the
pages that there are, and a statement that is damaged or does not fit them is refused with a sentence.
"""

from __future__ import annotations

import json
import math
import re
import struct
from itertools import accumulate
from pathlib import Path
from typing import Any

import tifffile

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
from data_tools.formats.ome_axes import SOURCE as OME_SOURCE
from data_tools.formats.ome_axes import ome_axes
from data_tools.formats.tiff import Pixels, Tiff, only_image
from data_tools.formats.tiff_directory import Directory, TiffError
from data_tools.formats.tiff_page import DESCRIPTION
from data_tools.formats.xml_file import MOST_TEXT, name_of, xml_root
from framework.errors import InputError

_TEXT_TYPES = (1, 2, 7)
_IMAGEJ = "its ImageJ description"
_TIFFFILE = "the description that tifffile wrote"
_IMAGEJ_SIZES = {"channels": CHANNELS, "slices": Z_SLICES, "frames": TIME_POINTS}
_LABEL_COUNTS, _LABELS, _MOST_LABELS, _LONGEST_HEAD = 50838, 50839, 1 << 16, 1 << 10
_PLACE_IN_LABEL = re.compile(r"(?:[czt]:[0-9]+/[0-9]+ )+- ")
_MOST_AXES = 32
_IN_PAGE = "YX"
_OF_CHANNELS = "CSEIQ"
"""Axes whose planes are channels, or may be: channel, sample, wavelength, sequence, other."""
_WORDS = {"Z": Z_SLICES, "T": TIME_POINTS}


def stated_axes(tiff: Tiff) -> StatedAxes | None:
    """Return what a TIFF states of its images, or None where it states nothing.

    Raises:
        AxesError: the statement is damaged, or contradicts the pages.
    """
    text = _text(tiff, tiff.ifds[0])
    if text.startswith(("ImageJ=", "SCIFIO=")):
        return _imagej(tiff, text)
    if text.startswith('{"shape"'):
        return _tifffile(tiff)
    root = xml_root(text)
    if root is None:
        if "<OME" in text or ":OME" in text:
            raise refused(tiff, f"{OME_SOURCE} is damaged")
        return None
    if name_of(root) != "OME":
        return None
    return ome_axes(root, tiff)


def decode_colours(file: Path) -> Pixels:
    """Return the only image of a TIFF, (H, W) or with its colours (H, W, S); transparency is left out.

    Raises:
        FileNotFoundError: no such file.
        InputError: as ``only_image``, or a file that states that its samples are something else, as z slices.
        Exception: of many kinds, from the libraries, on pixels that are damaged.
    """
    tiff = Tiff(file)
    pixels = only_image(tiff)
    page = tiff.images[0]
    if page.samples == 1:
        return pixels
    stated = stated_axes(tiff)
    if stated is not None and stated.others:
        what = f"{page.samples} samples per pixel, which are {stated.shown}, as {stated.source} states"
        raise refused(tiff, f"{what}; save each plane as a file")
    kept = [sample for sample in range(page.samples) if sample not in page.alpha]
    return pixels[:, :, kept[0]] if len(kept) == 1 else pixels[:, :, kept]


def missing_planes(file: Path) -> tuple[str, ...]:
    """Return a sentence about planes that a TIFF of one image states and does not hold, where there are such.

    A file that cannot be read is not spoken of: whoever reads its pixels says what is wrong.
    """
    try:
        tiff = Tiff(file)
        if len(tiff.images) == 1:
            stated_axes(tiff)
    except MissingPlanes as error:
        return (
            f"{error}: that page is read as the whole image; where it was cut from a stack, export the stack again",
        )
    except (OSError, InputError, struct.error):
        return ()
    return ()


def _text(tiff: Tiff, directory: Directory) -> str:
    if directory.entries.get(DESCRIPTION, (0, 0, b""))[0] not in _TEXT_TYPES:
        return ""
    try:
        return tiff.directories.text(directory, DESCRIPTION, MOST_TEXT).decode("utf-8", "replace")
    except TiffError as error:
        raise refused(tiff, f"its description cannot be read: {error.what}") from None


def _imagej(tiff: Tiff, text: str) -> StatedAxes:
    """Return what ImageJ states; it counts channels fastest, then slices, then frames."""
    facts = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    sizes = {word: _whole(tiff, facts, key) for key, word in _IMAGEJ_SIZES.items()}
    stated, images = math.prod(sizes.values()), len(tiff.images)
    samples = tiff.images[0].samples
    listed = _whole(tiff, facts, "images")
    if (stated > 1 and stated not in (images, images * samples)) or (stated == 1 and listed not in (1, images)):
        what = " x ".join(f"{size} {word}" for word, size in several(sizes).items()) or f"{listed} images"
        raise refused(tiff, f"{_IMAGEJ} states {what}, and the file has {_pages(tiff)}", MissingPlanes)
    return StatedAxes(source=_IMAGEJ, sizes=several(sizes), names=_labels(tiff, images), are_labels=True)


def _whole(tiff: Tiff, facts: dict[str, str], key: str) -> int:
    text = facts.get(key, "1").strip()
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise refused(tiff, f"{_IMAGEJ} states {key}={text[:20]!r}, expected a whole number from 1 on")
    return int(text)


def _pages(tiff: Tiff) -> str:
    pages, samples = len(tiff.images), tiff.images[0].samples
    shown = f"{pages} page{'s' if pages > 1 else ''}"
    return shown if samples == 1 else f"{shown} of {samples} samples"


def _labels(tiff: Tiff, n: int) -> tuple[str, ...]:
    """Return the labels that ImageJ keeps of its slices, where they tell them apart; damaged ones are none."""
    try:
        labels = _label_texts(tiff)
    except (TiffError, struct.error, ValueError):
        return ()
    names = named([_PLACE_IN_LABEL.sub("", label) for label in labels], n)
    return names if len(set(names)) == n else ()


def _label_texts(tiff: Tiff) -> list[str]:
    """Return the texts of ImageJ's tag of metadata: a head of (kind, how many), then the values one after another."""
    directories, directory = tiff.directories, tiff.ifds[0]
    lengths = directories.integers(directory, _LABEL_COUNTS, _MOST_LABELS)
    if not lengths or lengths[0] > _LONGEST_HEAD or _LABELS not in directory.entries:
        return []
    data = directories.whole(directory, _LABELS, sum(lengths))
    order, encoding = directories.order, "utf-16-le" if directories.order == "<" else "utf-16-be"
    start, place = lengths[0], 1
    for kind, count in struct.iter_unpack(order + "4sI", data[4 : lengths[0]]):
        mine = lengths[place : place + count]
        if kind in (b"labl", b"lbal"):
            ends = accumulate(mine, initial=start)
            return [data[begin : begin + size].decode(encoding) for begin, size in zip(ends, mine, strict=False)]
        start, place = start + sum(mine), place + count
    return []


def _tifffile(tiff: Tiff) -> StatedAxes | None:
    """Return what tifffile states: each of its series begins with a page that has a description."""
    directories = [ifd for ifd, page in zip(tiff.ifds, tiff.pages, strict=True) if not page.left_out]
    sizes: dict[str, int] = {}
    names: tuple[str, ...] = ()
    place, said = 0, False
    while place < len(directories):
        text = _text(tiff, directories[place])
        facts = _json(tiff, text) if text.startswith('{"shape"') else {}
        if "axes" not in facts:
            place += 1
            continue
        said = True
        pages, mine = _series(tiff, facts, place)
        sizes |= {word: max(size, sizes.get(word, 1)) for word, size in mine.items()}
        names = names or _names_in(facts, mine[CHANNELS])
        place += pages
    return StatedAxes(source=_TIFFFILE, sizes=several(sizes), names=names) if said else None


def _series(tiff: Tiff, facts: dict[str, Any], place: int) -> tuple[int, dict[str, int]]:
    """Return the number of pages of a series that begins with an image, and what there is how many of in it."""
    axes, shape = _axes(tiff, facts)
    page = tiff.images[place]
    pages, left = divmod(math.prod(shape), page.height * page.width * page.samples)
    if left or not 1 <= pages <= len(tiff.images) - place:
        raise refused(tiff, f"{_TIFFFILE} states the shape {tuple(shape)} for page {place + 1}, and the file has "
                            f"{_pages(tiff)}", MissingPlanes)  # fmt: skip
    sizes = {CHANNELS: 1}
    for letter, size in zip(axes, shape, strict=True):
        if letter not in _IN_PAGE:
            word = CHANNELS if letter in _OF_CHANNELS else _word(letter)
            sizes[word] = sizes.get(word, 1) * size
    return pages, sizes


def _json(tiff: Tiff, text: str) -> dict[str, Any]:
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        raise refused(tiff, f"{_TIFFFILE} is damaged: it is not JSON") from None
    return facts if isinstance(facts, dict) else {}


def _axes(tiff: Tiff, facts: dict[str, Any]) -> tuple[str, list[int]]:
    axes, shape = facts["axes"], facts["shape"]
    whole = isinstance(shape, list) and all(type(size) is int and 0 < size < 1 << 40 for size in shape)
    if not isinstance(axes, str) or not whole or len(axes) != len(shape) or len(axes) > _MOST_AXES:
        raise refused(tiff, f"{_TIFFFILE} is damaged: its axes and shape do not fit each other")
    return axes, shape


def _word(letter: str) -> str:
    name = tifffile.TIFF.AXES_NAMES.get(letter, letter)
    return _WORDS.get(letter, f"planes along the axis '{name}'")


def _names_in(facts: dict[str, Any], n: int) -> tuple[str, ...]:
    channel = facts.get("Channel")
    names = channel.get("Name") if isinstance(channel, dict) else None
    return named([name for name in names if isinstance(name, str)], n) if isinstance(names, list) else ()
