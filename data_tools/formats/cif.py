"""Amnis ``.cif`` files (ImageStream, FlowSight): one file with an image, and a mask, of every object.

The file looks like a TIFF: its first directory holds the metadata of the acquisition, every other one the image or the
mask of an object, with the channels side by side. ``index_cif`` walks the directories once into three columns of
numbers; ``CifPixels`` then reads single objects by them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from data_tools.formats.cif_codec import BITMASK, GREYSCALE, U8, U16, CodecError, decode_bitmask, decode_greyscale
from data_tools.formats.tiff_directory import (
    BITS_PER_SAMPLE,
    COMPRESSION,
    IMAGE_LENGTH,
    IMAGE_WIDTH,
    DescriptorSource,
    Directory,
    TiffDirectories,
)
from data_tools.formats.xml_file import xml_of_text
from framework.errors import InputError
from framework.files.failures import NoOrdinaryFile, open_ordinary

I64 = npt.NDArray[np.int64]

CHANNEL_COUNT, OBJECT_NUMBER, CHANNEL_NAMES, METADATA_XML = 33000, 33003, 33007, 33027
IN_USE = "ChannelInUseIndicators_0_11"

MAX_CHANNELS = 64
MAX_XML_BYTES = 1 << 24
_MAX_NAMES_BYTES = 1 << 16
_RAW = 1


@dataclass(frozen=True, kw_only=True)
class CifIndex:
    """Where the objects of a file lie.

    Attributes:
        file: the ``.cif``.
        channels: names in stored order, left to right.
        objects: int64 (n,), object numbers as the instrument counts them; without tags 0, 1, 2 ...
        image_at: int64 (n,), byte offset of the directory of each object's image.
        mask_at: int64 (n,), the same of its mask, -1 where it has none.
    """

    file: Path
    channels: tuple[str, ...]
    objects: I64
    image_at: I64
    mask_at: I64

    def __len__(self) -> int:
        return len(self.objects)


def index_cif(file: Path, numbering: Literal["tag", "position"] = "tag") -> CifIndex:
    """List the objects of a file without reading a pixel.

    Args:
        file: the ``.cif``.
        numbering: ``tag`` takes the object numbers of the file (0, 1, 2 ... where it has none), ``position`` counts the
            objects from 0, as files merged from several need.

    Raises:
        InputError: no such file, damaged, no objects, a mask without image, or an object number that appears twice.
    """
    with _Descriptor(file) as descriptor:
        tiff = TiffDirectories(str(file), DescriptorSource(descriptor))
        chain = tiff.chain()
        first = next(chain, None)
        if first is None:
            raise tiff.damaged("it has no directory")
        channels = _channels(tiff, first)
        numbers, images, masks = _objects(tiff, chain)
    if not images:
        raise InputError(
            f"{file}: holds no cells; expected images after the directory with the metadata; export the file again"
        )
    by_position = numbering == "position" or all(number < 0 for number in numbers)
    return CifIndex(
        file=file,
        channels=channels,
        objects=np.arange(len(numbers), dtype=np.int64) if by_position else _distinct(file, numbers),
        image_at=np.array(images, dtype=np.int64),
        mask_at=np.array(masks, dtype=np.int64),
    )


class CifPixels:
    """The pixels of one indexed file; a context manager that holds one open file.

    Args:
        file: the ``.cif``.
        channels: how many channels lie side by side, as in its index.

    Raises:
        InputError: on entering, where the file is gone.
    """

    def __init__(self, file: Path, channels: int) -> None:
        self._file, self._channels = file, channels
        self._open = _Descriptor(file)

    def __enter__(self) -> CifPixels:
        self._tiff = TiffDirectories(str(self._file), DescriptorSource(self._open.__enter__()))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.__exit__(kind, error, at)

    def image(self, at: int) -> U16:
        """Return the image whose directory begins at byte ``at``, uint16 (C, H, W).

        Raises:
            InputError: damaged; names the file and the place.
        """
        return np.ascontiguousarray(self._stack(at, f"the image at byte {at}"), dtype=np.uint16)

    def mask(self, at: int) -> U8:
        """Return the mask whose directory begins at byte ``at``, uint8 (C, H, W), not 0 inside.

        Raises:
            InputError: damaged; names the file and the place.
        """
        return np.ascontiguousarray(self._stack(at, f"the mask at byte {at}"), dtype=np.uint8)

    def _stack(self, at: int, what: str) -> npt.NDArray[np.generic]:
        tiff, n = self._tiff, self._channels
        directory = tiff.directory(at)
        height, width = tiff.integer(directory, IMAGE_LENGTH), tiff.integer(directory, IMAGE_WIDTH)
        if width % n:
            raise tiff.damaged(f"{what}: {width} columns are not {n} channels side by side")
        try:
            plane = _decode(tiff, directory, height, width)
        except CodecError as error:
            raise tiff.damaged(f"{what}: {error}") from None
        return plane.reshape(height, n, width // n).transpose(1, 0, 2)


def _distinct(file: Path, numbers: list[int]) -> I64:
    objects = np.array(numbers, dtype=np.int64)
    values, counts = np.unique(objects, return_counts=True)
    if (counts > 1).any():
        what = "objects without number" if values[counts > 1][0] < 0 else f"object number {values[counts > 1][0]}"
        raise InputError(
            f"{file}: {what} appear(s) {counts[counts > 1][0]} times; set 'numbering: position' to number "
            "objects from 0 in the order of the file"
        )
    if values[0] < 0:
        raise InputError(
            f"{file}: one object has no number; set 'numbering: position' to number objects from 0 in the order "
            "of the file"
        )
    return objects


class _Descriptor:
    """A file opened for reading by position, whose absence is the user's error."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> int:
        try:
            self._open = open_ordinary(self._file)
        except NoOrdinaryFile as error:
            raise InputError(f"{self._file}: {error}; correct 'path'") from None
        except OSError as error:
            raise InputError(f"{self._file}: cannot be opened ({error.strerror}); correct 'path'") from None
        return self._open

    def __exit__(self, kind: object, found: BaseException | None, trace: object) -> None:
        os.close(self._open)
        if isinstance(found, OSError):
            raise InputError(f"{self._file}: cannot be read ({found.strerror}); copy it again") from None


def _decode(tiff: TiffDirectories, directory: Directory, height: int, width: int) -> npt.NDArray[np.generic]:
    compression = tiff.integer(directory, COMPRESSION, _RAW)
    what = f"the image at byte {directory.offset}"
    data = b"".join(tiff.read(offset, count, what) for offset, count in tiff.strips(directory))
    if compression == GREYSCALE:
        return decode_greyscale(data, height, width)
    if compression == BITMASK:
        return decode_bitmask(data, height, width)
    bits = tiff.integer(directory, BITS_PER_SAMPLE, 8)
    if compression != _RAW or bits not in (8, 16):
        raise CodecError(f"compression {compression} with {bits} bits; expected {GREYSCALE}, {BITMASK} or {_RAW}")
    if height * width * bits // 8 != len(data):
        raise CodecError(f"{len(data)} bytes for {height} x {width} pixels of {bits} bits")
    return np.frombuffer(data, dtype=f"{tiff.order}u{bits // 8}").reshape(height, width)


def _objects(tiff: TiffDirectories, chain: Iterator[Directory]) -> tuple[list[int], list[int], list[int]]:
    """Return number (-1 for none), image and mask of every object; a mask belongs to the image before it."""
    numbers: list[int] = []
    images: list[int] = []
    masks: list[int] = []
    for directory in chain:
        number = tiff.integer(directory, OBJECT_NUMBER, -1)
        if not _is_mask(tiff, directory):
            numbers.append(number)
            images.append(directory.offset)
            masks.append(-1)
        elif not images or masks[-1] >= 0 or numbers[-1] != number:
            raise tiff.damaged(f"the mask at byte {directory.offset} does not follow the image of its object")
        else:
            masks[-1] = directory.offset
    return numbers, images, masks


def _is_mask(tiff: TiffDirectories, directory: Directory) -> bool:
    compression = tiff.integer(directory, COMPRESSION, _RAW)
    if compression in (GREYSCALE, BITMASK):
        return compression == BITMASK
    return tiff.integer(directory, BITS_PER_SAMPLE, 8) == 8


def _channels(tiff: TiffDirectories, first: Directory) -> tuple[str, ...]:
    """Return the names of the channels: those the file gives, else ``Ch`` and the number the instrument gives them."""
    used = _in_use(_metadata(tiff, first))
    count = tiff.integer(first, CHANNEL_COUNT, len(used))
    if not 0 < count <= MAX_CHANNELS:
        raise tiff.damaged(f"it states {count} channels, expected 1 to {MAX_CHANNELS}")
    listed = tiff.text(first, CHANNEL_NAMES, _MAX_NAMES_BYTES).decode("utf-8", "replace").strip()
    names = tuple(name.strip() for name in listed.split("|"))
    if len(names) == count and all(names) and len(set(names)) == count:
        return names
    numbers = used if len(used) == count else range(1, count + 1)
    return tuple(f"Ch{number}" for number in numbers)


def _metadata(tiff: TiffDirectories, first: Directory) -> Element | None:
    text = tiff.text(first, METADATA_XML, MAX_XML_BYTES).strip()
    if not text:
        return None
    try:
        return xml_of_text(text)
    except ValueError as error:
        raise tiff.damaged(f"the metadata of tag {METADATA_XML} are not XML ({error})") from None


def _in_use(root: Element | None) -> tuple[int, ...]:
    """Return the channels in use, counted from 1: the flags ``1 0 1 ...`` of the acquisition."""
    found = None if root is None else root.find(f".//Imaging/{IN_USE}")
    flags = ((found.text or "") if found is not None else "").split()
    return tuple(number for number, flag in enumerate(flags[:MAX_CHANNELS], start=1) if flag == "1")
