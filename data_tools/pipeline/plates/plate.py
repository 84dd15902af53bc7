"""A plate as it is ingested: its wells, their fields of view, and each field from files to corrected pixels and nuclei.

A field that cannot be used is refused with a reason. What the chosen nucleus method needs beside the images is found
for all fields before the first is read.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_tools.illumination import FloatImage, Profile, correct
from data_tools.nuclei import NUCLEI, FieldOfView, Nuclei, NucleiConfig
from data_tools.pipeline.build.facts import Remark
from data_tools.pipeline.build.folder import file_state
from data_tools.pipeline.plates.config import ChecksConfig, IngestConfig
from data_tools.readers.plates import ImageError, ImageRef, read_image, read_sharpest
from data_tools.readers.plates.places import ImageFile, Place
from data_tools.readers.problem import Problem, relative_text
from data_tools.single_cell import CellsConfig
from framework.errors import InputError

PLANE_LABEL = "Metadata_Plane_"
"""What columns of tiles.parquet begin with that say which plane of a channel was read."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """One field of view.

    Attributes:
        number: as the vendor numbers it.
        images: one per channel that is read, in the order of ``IngestConfig.read_channels``.
        nuclei_files: what the nucleus method reads beside them.
    """

    number: int
    images: tuple[ImageRef, ...]
    nuclei_files: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Bag:
    """One well.

    Attributes:
        bag: row of bags.parquet.
        well: ``A01``.
        metadata: the Metadata_ columns of its plate map.
        sites: complete sites, ascending; none in a well marked ``empty``, whose images are not read.
        n_sites_imaged: complete sites, also where they are not read.
        cells: its table of single cells.
    """

    bag: int
    well: str
    metadata: dict[str, str]
    sites: tuple[Site, ...]
    n_sites_imaged: int
    cells: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Plate:
    """One plate.

    Attributes:
        name: as in the export.
        key: the name as part of file names.
        pixel_size_um: or None.
        bags: wells in plate order.
        cells: how its tables of single cells are read.
        channels: all channels of the export.
        notes: sentences of the reader.
        profiles: profiles of each channel that is read, where the illumination method takes those of the export.
    """

    name: str
    key: str
    pixel_size_um: float | None
    bags: tuple[Bag, ...]
    cells: CellsConfig | None
    channels: tuple[str, ...]
    notes: tuple[str, ...]
    profiles: tuple[Profile, ...] = ()

    @property
    def sharpest(self) -> tuple[str, ...]:
        """Channels of which the sharpest plane of each site is read."""
        found = {ref.channel for _, site in self.sites() for ref in site.images if ref.projection == "sharpest"}
        return tuple(channel for channel in self.channels if channel in found)

    def sites(self) -> list[tuple[Bag, Site]]:
        """Return every site that is read, in order."""
        return [(bag, site) for bag in self.bags for site in bag.sites]


_CAMERA_TOPS = (255, 1023, 4095, 16383, 65535)


class SiteError(InputError):
    """A site that cannot be used; ``problem`` says why, and ``on_error: skip`` records it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem

    def __reduce__(self) -> tuple[type[SiteError], tuple[Problem]]:
        return type(self), (self.problem,)


def load_site(
    site: Site,
    *,
    shape: tuple[int, int] | None,
    types: tuple[str, ...] | None = None,
    dtype: str,
    checks: ChecksConfig,
    base: Path,
    sharpest: dict[str, int] | None = None,
) -> list[npt.NDArray[Any]]:
    """Read all channels of a site and check them.

    Args:
        site: what to read.
        shape: (H, W) of the plate's images; None to accept any.
        types: types of the plate's pixels, one per channel; None to accept any.
        dtype: stored type of the tiles.
        checks: when an image counts as unusable.
        base: folder that messages leave out of file names.
        sharpest: takes the number of the plane of each channel of which the sharpest one is read.

    Returns:
        One (H, W) image per channel.

    Raises:
        SiteError: an image is missing, damaged, of another shape or type, not finite, blank or saturated.
        InputError: float images although integers are to be stored.
    """
    images: list[npt.NDArray[Any]] = []
    for ref in site.images:
        image, plane = _read(ref, base)
        if sharpest is not None and plane is not None:
            sharpest[ref.channel] = plane
        if image.dtype.kind == "f" and dtype != "float32":
            raise InputError(
                f"{_shown(ref.file, base)}: pixels are float32, but tiles are stored as {dtype}, which would round "
                "them; set tiles.dtype: float32"
            )
        reference = images[0].shape if images else shape
        if reference is not None and image.shape != reference:
            what = f"channel '{site.images[0].channel}' of the same site" if images else "other images of the plate"
            raise _refused(ref, base, "shape_mismatch", f"{_px(image.shape)}, but {what}: {_px(reference)}")
        if types is not None and image.dtype.name != types[len(images)]:
            what = f"pixels are {image.dtype.name}, but those of other images of the channel: {types[len(images)]}"
            raise _refused(ref, base, "type_mismatch", what)
        _check_pixels(ref, image, checks, base)
        images.append(image)
    return images


def correct_site(images: list[npt.NDArray[Any]], flatfields: list[FloatImage] | None, out: npt.NDArray[Any]) -> None:
    """Correct the images of a site, one per channel, into ``out`` (C, H, W); without flat-fields copy them."""
    for channel, image in enumerate(images):
        if flatfields is None:
            out[channel] = image
        else:
            correct(image, flatfields[channel], out.dtype, out[channel])


def find_centres(image: npt.NDArray[Any], field: FieldOfView, options: NucleiConfig, base: Path) -> Nuclei:
    """Find the nuclei of a site in its corrected image of the nucleus channel, (H, W).

    Raises:
        SiteError: the nucleus method cannot use the site.
    """
    try:
        return NUCLEI.get(options.method).build(options).find(image, field)
    except InputError as error:
        text = relative_text(f"{error}, or set 'on_error: skip' to leave the site out", base)
        file = relative_text(str(field.files[0]), base) if field.files else None
        raise SiteError(
            Problem(
                plate=field.plate, well=field.well, site=field.site, file=file, reason="unusable_nuclei", detail=text
            )
        ) from error


def sites_digest(sites: Iterable[Site]) -> str:
    """Return a digest of which files make up the sites, by name, size and time of change."""
    digest = hashlib.sha256()
    for site in sites:
        for ref in site.images:
            for file in ref.files:
                state = file.state() if isinstance(file, Place) else file_state(file)
                digest.update(f"{site.number} {ref.well} {ref.channel} {state}\n".encode())
        for file in site.nuclei_files:
            digest.update(f"{site.number} nuclei {file_state(file)}\n".encode())
    return digest.hexdigest()


def _shown(file: ImageFile, base: Path) -> str:
    return relative_text(str(file), base)


def _read(ref: ImageRef, base: Path) -> tuple[npt.NDArray[Any], int | None]:
    """Return an image, and the number of the plane where the sharpest of several is read."""
    try:
        return read_sharpest(ref) if ref.projection == "sharpest" else (read_image(ref), None)
    except ImageError as error:
        raise SiteError(_problem(ref, base, error.reason, relative_text(str(error), base))) from error


def _check_pixels(ref: ImageRef, image: npt.NDArray[Any], checks: ChecksConfig, base: Path) -> None:
    low, high = image.min(), image.max()
    if low == high and image.dtype.kind == "u" and int(high) in _CAMERA_TOPS:
        raise _refused(ref, base, "saturated_image", f"saturated: every pixel is {int(high)}")
    if low == high and not checks.allow_blank:
        what = "all-black: every pixel is 0" if high == 0 else f"blank: every pixel is {high:g}"
        raise _refused(ref, base, "blank_image", what, "set 'checks.allow_blank: true' to accept it, ")
    if image.dtype.kind == "u" and int(high) in _CAMERA_TOPS and low != high:
        share = float(np.count_nonzero(image == high)) / image.size
        if share > checks.max_saturated_share:
            what = f"saturated: {share:.1%} of its pixels are {int(high)}, more than {checks.max_saturated_share:.1%}"
            raise _refused(ref, base, "saturated_image", what, "raise 'checks.max_saturated_share' to accept it, ")


def _refused(ref: ImageRef, base: Path, reason: str, what: str, remedy: str = "") -> SiteError:
    text = (
        f"{_shown(ref.file, base)}: {what}; plate {ref.plate} well {ref.well} site {ref.site} channel '{ref.channel}'; "
        f"export the image again, {remedy}or set 'on_error: skip' to leave the site out"
    )
    return SiteError(_problem(ref, base, reason, text))


def _problem(ref: ImageRef, base: Path, reason: str, detail: str) -> Problem:
    shown = replace(ref, file=Path(_shown(ref.file, base)))
    return Problem(plate=ref.plate, well=ref.well, site=ref.site, file=str(shown.file), reason=reason, detail=detail)


def _px(shape: tuple[int, ...]) -> str:
    return " x ".join(str(edge) for edge in shape) + " px"


def check_size(config: IngestConfig, pixel_size_um: float | None) -> None:
    """Check that the nucleus method suits an export. Raises InputError: it does not."""
    NUCLEI.get(config.nuclei.method).build(config.nuclei).check(pixel_size_um)


def with_files(plates: Sequence[Plate], config: IngestConfig) -> tuple[list[Plate], list[Problem], tuple[str, ...]]:
    """Give each site what its nucleus method reads beside the images.

    Returns:
        The plates, without sites that lack it; a problem for each of these; and what was joined and left out.

    Raises:
        InputError: nothing fits.
    """
    method = NUCLEI.get(config.nuclei.method).build(config.nuclei)
    fields = [field_of(plate, bag, site, config) for plate in plates for bag, site in plate.sites()]
    found = method.survey(fields)
    bad = {(problem.plate, problem.well, problem.site) for problem in found.problems}
    if not found.files and not bad:
        return list(plates), [], found.notes
    placed = []
    for plate in plates:
        bags = []
        for bag in plate.bags:
            sites = tuple(
                replace(site, nuclei_files=found.files.get((plate.name, bag.well, site.number), ()))
                for site in bag.sites
                if (plate.name, bag.well, site.number) not in bad
            )
            lost = len(bag.sites) - len(sites)
            bags.append(replace(bag, sites=sites, n_sites_imaged=bag.n_sites_imaged - lost))
        placed.append(replace(plate, bags=tuple(bags)))
    return placed, list(found.problems), found.notes


def field_of(plate: Plate, bag: Bag, site: Site, config: IngestConfig) -> FieldOfView:
    """Return a site as nucleus methods know it."""
    image = site.images[config.read_channels.index(config.nuclei.channel)]
    return FieldOfView(
        plate=plate.name,
        well=bag.well,
        site=site.number,
        image=image.file.name,
        pixel_size_um=plate.pixel_size_um,
        files=site.nuclei_files,
    )


def remark_notes(remarks: Iterable[Remark]) -> tuple[str, ...]:
    """Return a sentence for each kind of remark, with how many sites it is about."""
    remarks = list(remarks)
    first = {remark.what: remark.where for remark in reversed(remarks)}
    counts = Counter(remark.what for remark in remarks)
    return tuple(
        f"{count} {'site has' if count == 1 else 'sites have'} {what}, as {first[what]}"
        for what, count in counts.items()
    )
