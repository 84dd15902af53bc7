"""What every raw export becomes: a sorted list of image references, and the problems met while listing them.

A reader only lists; pixels are read one image at a time by ``read_image``, wherever the work is done. Readers never
drop an image silently: what cannot be used is a ``Problem`` with a short reason and the sentence a user needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_tools.formats.hdf5_image import decode_hdf5
from data_tools.formats.tiff import described, reason_of
from data_tools.illumination import Profile
from data_tools.readers.plates.places import ImageFile, pixels_of
from data_tools.readers.plates.projection import Projection, project, sharpest
from data_tools.readers.problem import Problem
from data_tools.wells import normalise_well, well_order
from framework.errors import InputError
from framework.registry import Registry

Image = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRef:
    """One single-channel image of an export.

    Attributes:
        plate: plate name.
        well: ``A01``.
        site: field of view as the vendor numbers it.
        channel: channel name.
        file: absolute or working-directory path of a TIFF, or another place that knows how to be read.
        plane: focal plane, counted from 1.
        timepoint: counted from 1.
        further: files of the other planes that ``projection`` makes one image of, with ``file``.
        projection: how.
        planes: numbers of the planes that ``projection`` makes one image of, in the order of the files.
        inside: name of the dataset that is the image, where the file is an HDF5 of several.
    """

    plate: str
    well: str
    site: int
    channel: str
    file: ImageFile
    plane: int = 1
    timepoint: int = 1
    further: tuple[ImageFile, ...] = ()
    projection: Projection | None = None
    planes: tuple[int, ...] = ()
    inside: str = ""

    @property
    def files(self) -> tuple[ImageFile, ...]:
        """Every file that the image is made of."""
        return (self.file, *self.further)

    def problem(self, reason: str, detail: str) -> Problem:
        """Return what is wrong with this image."""
        return Problem(
            plate=self.plate, well=self.well, site=self.site, file=str(self.file), reason=reason, detail=detail
        )

    @classmethod
    def of_name(
        cls, file: Path, match: re.Match[str], *, plate: str, well: str | tuple[int, int], channels: Mapping[int, str]
    ) -> ImageRef:
        """Return the image that a file's name describes.

        Args:
            file: the image.
            match: match of its name, with the groups ``site``, ``channel``, ``plane`` and ``time``.
            plate: name of the plate.
            well: as the name says it: text, or row and column from 1.
            channels: number of a channel -> its name.

        Raises:
            InputError: no such well; names the file.
        """
        try:
            place = normalise_well(well)
        except InputError as error:
            raise InputError(f"{file}: {error}") from None
        return cls(
            plate=plate,
            well=place,
            site=int(match["site"]),
            channel=channels[int(match["channel"])],
            file=file,
            plane=int(match["plane"]),
            timepoint=int(match["time"] or 1),
        )

    def with_files(self, files: Sequence[ImageFile]) -> ImageRef:
        """Return the same image of other files, one for each of ``files``."""
        return replace(self, file=files[0], further=tuple(files[1:]))


@dataclass(frozen=True, kw_only=True)
class Export:
    """The images of one plate.

    Attributes:
        plate: plate name.
        refs: sorted by well (row, column), site, then channel in acquisition order; no two alike.
        pixel_size_um: edge of a pixel, or None where the export does not say.
        channels: names in acquisition order.
        rows: rows of the plate, where known.
        columns: columns of the plate, where known.
        problems: what could not be used.
        notes: sentences worth showing that concern no image of the plate, as files a pattern did not match.
        profiles: flat-fields that the export holds, by channel, and by part of the profile where there are several.
    """

    plate: str
    refs: tuple[ImageRef, ...]
    pixel_size_um: float | None
    channels: tuple[str, ...]
    rows: int | None
    columns: int | None
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    profiles: Mapping[str, Mapping[str, Profile]] = field(default_factory=dict)

    @cached_property
    def _by_site(self) -> dict[tuple[str, int], dict[str, ImageRef]]:
        grouped: dict[tuple[str, int], dict[str, ImageRef]] = {}
        for ref in self.refs:
            grouped.setdefault((ref.well, ref.site), {})[ref.channel] = ref
        return grouped

    def sites(self) -> list[tuple[str, int]]:
        """Return every (well, site) that has an image, in plate order."""
        return list(self._by_site)

    def wells(self) -> list[str]:
        """Return every well that has an image, in plate order."""
        return list(dict.fromkeys(ref.well for ref in self.refs))

    def images(self, well: str, site: int) -> dict[str, ImageRef]:
        """Return the images of one field of view by channel name, in acquisition order; empty where there is none."""
        return dict(self._by_site.get((well, site), {}))


Reader = Callable[[Any], Export]
READERS: Registry[Reader] = Registry("reader")
"""Readers by the name a config writes; each takes its own config and returns an ``Export``."""


def assemble(
    *,
    plate: str,
    refs: Iterable[ImageRef],
    channels: tuple[str, ...],
    problems: Iterable[Problem] = (),
    pixel_size_um: float | None = None,
    rows: int | None = None,
    columns: int | None = None,
    notes: tuple[str, ...] = (),
    profiles: Mapping[str, Mapping[str, Profile]] | None = None,
) -> Export:
    """Sort the images a reader listed; of images with the same place in the plate keep the first by file name.

    The others become problems ``duplicate_image`` that name both files.
    """
    order = {name: index for index, name in enumerate(channels)}
    by_name = sorted(refs, key=lambda ref: (ref.site, order[ref.channel], ref.plane, ref.timepoint, str(ref.file)))
    rank = {well: well_order(well) for well in {ref.well for ref in by_name}}
    kept: list[ImageRef] = []
    found = list(problems)
    for ref in sorted(by_name, key=lambda ref: rank[ref.well]):
        if kept and _place(kept[-1]) == _place(ref):
            found.append(_duplicate(kept[-1], ref))
        else:
            kept.append(ref)
    return Export(
        plate=plate,
        refs=tuple(kept),
        pixel_size_um=pixel_size_um,
        channels=channels,
        rows=rows,
        columns=columns,
        problems=tuple(found),
        notes=notes,
        profiles=profiles or {},
    )


def _place(ref: ImageRef) -> tuple[str, int, str, int, int]:
    return ref.well, ref.site, ref.channel, ref.plane, ref.timepoint


def _duplicate(first: ImageRef, second: ImageRef) -> Problem:
    return second.problem(
        "duplicate_image",
        f"{second.file}: a second image of plate {second.plate} well {second.well} site {second.site} channel "
        f"'{second.channel}' plane {second.plane} timepoint {second.timepoint}; the first is {first.file}; "
        "remove one of them",
    )


class ImageError(InputError):
    """An image that cannot be read.

    Attributes:
        reason: ``missing_image``, ``damaged_image``, ``unsupported_image`` or ``nan_pixels``.
    """

    def __init__(self, text: str, reason: str = "damaged_image") -> None:
        super().__init__(text)
        self.reason = reason


def read_image(ref: ImageRef) -> Image:
    """Read the pixels of one image; of several planes, which are read one after another, their projection.

    Returns:
        (H, W) in native byte order: uint8, uint16 or float32.

    Raises:
        ImageError: missing, truncated or damaged TIFF, not one 2-D image, another pixel type, NaN or infinity; names
            file, plate, well, site and channel. Or planes that differ in size or type.
    """
    if ref.projection is None:
        return _read_file(ref)
    image: Image = project(_planes(ref), ref.projection)
    return image


def read_sharpest(ref: ImageRef) -> tuple[Image, int]:
    """Read the sharpest plane of an image whose projection is ``sharpest``.

    Returns:
        Its pixels, as ``read_image`` gives them, and the number of the plane.

    Raises:
        ImageError: as ``read_image``.
    """
    image, place = sharpest(_planes(ref))
    return image, ref.planes[place]


def _planes(ref: ImageRef) -> Iterator[Image]:
    """Yield the planes of a stack, all of one shape and type."""
    first = _read_file(ref)
    yield first
    for file in ref.further:
        plane = _read_file(replace(ref, file=file))
        if (plane.shape, plane.dtype) != (first.shape, first.dtype):
            found = f"{plane.dtype} {plane.shape}, but {first.dtype} {first.shape} in {ref.file}"
            raise _image_error(replace(ref, file=file), "shape_mismatch", f"a plane of {found}")
        yield plane


def _read_file(ref: ImageRef) -> Image:
    try:
        pixels = decode_hdf5(Path(str(ref.file)), ref.inside) if ref.inside else pixels_of(ref.file)
    except FileNotFoundError:
        raise _image_error(ref, "missing_image", "no such file") from None
    except Exception as error:  # tifffile and the codecs raise many kinds on damaged files, each means the same here
        raise _image_error(ref, reason_of(error), described(error)) from error
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        count = int(np.size(pixels) - np.isfinite(pixels).sum())
        raise _image_error(ref, "nan_pixels", f"{count} of {pixels.size} pixels are NaN or infinite")
    return np.ascontiguousarray(pixels)


def _image_error(ref: ImageRef, reason: str, what: str) -> ImageError:
    return ImageError(
        f"{ref.file}: {what}; plate {ref.plate} well {ref.well} site {ref.site} channel '{ref.channel}'; export the "
        "image again, or set 'on_error: skip' to leave it out",
        reason,
    )
