"""The published images of Image2Omics: one HDF5 file per well and plane, ``ICF.X3.Y7.P1.0.BARCODE.h5``.

Groups of a file are channels, ``fov_<n>`` in them the fields of view; X is the row of the plate, Y the column. The
images are corrected already: ingest them with ``illumination: none``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
from pydantic import Field

from data_tools.readers.folder import images_below
from data_tools.readers.plates.base import READERS, Export, ImageRef, assemble
from data_tools.readers.plates.choice import choose
from data_tools.readers.problem import Problem
from data_tools.readers.recognition import Claim, KnowsExports, Sight, Undecided
from data_tools.wells import normalise_well
from framework.config import NamedOptions
from framework.errors import InputError, did_you_mean
from framework.files.hdf5 import open_hdf5

NAME = re.compile(
    r"(?:ICF|TILES)\.X(?P<row>\d+)\.Y(?P<column>\d+)\.P(?P<plane>\d+)\.(?P<time>[^.]*)\.(?P<plate>.+)\.h5"
)
"""Name of a file of images (ICF) or of coordinates of tiles (TILES)."""
_FIELD = re.compile(r"fov_(\d+)")
_STATED = (("ROW", "row"), ("COLUMN", "column"))


class Image2OmicsConfig(NamedOptions, KnowsExports):
    """Images of the published data of Image2Omics."""

    name: Literal["image2omics"] = "image2omics"
    path: str = Field(description="the folder ICF")
    plate: str | None = Field(default=None, min_length=1)
    """Barcode of the plate; not needed where the folder holds one."""
    plane: int | None = None
    """Which one to read; not needed if there is only one."""

    @classmethod
    def recognise(cls, sight: Sight) -> Claim | str:
        """Look for files of images that are called as those of the release."""
        files = sight.ending(".h5")
        found = [name for name in files if _named(sight.root / name) is not None]
        if not found:
            return "no .h5 file has a name like ICF.X1.Y1.P1.0.BARCODE.h5" if files else ""
        return Claim(options={"path": str(sight.root / found[0]).rpartition("/")[0]}, rank="own list",
                     why=f"{len(found)} files with names like ICF.X1.Y1.P1.0.BARCODE.h5")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Well:
    file: Path
    row: int
    column: int
    plane: int
    plate: str


@READERS.register("image2omics", Image2OmicsConfig)
def read_release(config: Image2OmicsConfig) -> Export:
    """List the images of one plate.

    Raises:
        InputError: no such folder, no file of this layout, several plates of which none was chosen, or planes.
    """
    listed = images_below(Path(config.path), config.path, (".h5",))
    named = [well for name in listed.names if (well := _named(Path(config.path) / name)) is not None]
    plate = _plate(config, named)
    mine = [well for well in named if well.plate == plate]
    first = 0 if any(0 in (well.row, well.column) for well in mine) else 1
    refs: list[ImageRef] = []
    problems: list[Problem] = []
    channels: dict[str, None] = {}
    for well in mine:
        place = normalise_well((well.row + 1 - first, well.column + 1 - first))
        try:
            found = list(_images(well))
        except InputError as error:
            told = f"{error}; export it again, or set 'on_error: skip' to leave it out"
            problems.append(Problem(plate=plate, well=place, file=str(well.file), reason="damaged_image", detail=told))
            continue
        for channel, site in found:
            channels.setdefault(channel)
            refs.append(
                ImageRef(
                    plate=plate,
                    well=place,
                    site=site,
                    channel=channel,
                    file=well.file,
                    plane=well.plane,
                    inside=f"{channel}/fov_{site}",
                )
            )
    choice = choose(refs, plane=config.plane, timepoint=None, plate=plate)
    counted = (f"{config.path}: rows and columns of the plate count from 0 in the file names",) if not first else ()
    others = len(listed.names) - len(named)
    missed = (f"{config.path}: {others} .h5 files have other names than ICF.X1.Y1.P1.0.BARCODE.h5",) if others else ()
    return assemble(
        plate=plate,
        refs=choice.refs,
        channels=tuple(channels),
        problems=[*problems, *choice.problems],
        notes=(*choice.notes, *counted, *missed, *listed.notes),
    )


def _named(file: Path) -> _Well | None:
    match = NAME.fullmatch(file.name)
    if match is None or file.name.startswith("TILES"):
        return None
    return _Well(
        file=file,
        row=int(match["row"]),
        column=int(match["column"]),
        plane=int(match["plane"]),
        plate=match["plate"],
    )


def _plate(config: Image2OmicsConfig, named: list[_Well]) -> str:
    plates = sorted({well.plate for well in named})
    if not plates:
        raise InputError(f"{config.path}: no file has a name like ICF.X1.Y1.P1.0.BARCODE.h5; correct 'path'")
    if config.plate is None and len(plates) > 1:
        text = f"{config.path}: images of several plates ({', '.join(plates)}); choose one with 'plate:'"
        raise Undecided(text, "plate", plates, each=True)
    if config.plate is not None and config.plate not in plates:
        raise InputError(
            f"{config.path}: no image of plate '{config.plate}'; there are {', '.join(plates)}"
            + did_you_mean(config.plate, plates)
        )
    return config.plate or plates[0]


def _images(well: _Well) -> Iterator[tuple[str, int]]:
    """Yield (channel, field) of each image in a file, after comparing what it states with its name."""
    with open_hdf5(well.file, error=InputError, what="a file of images of Image2Omics", then="copy it again") as file:
        for key, part in _STATED:
            stated = _number(file.attrs.get(key))
            if stated is not None and stated != getattr(well, part):
                raise InputError(
                    f"{well.file}: its name says {part} {getattr(well, part)}, its attribute {key} says {stated}"
                )
        for channel, group in file.items():
            for name in group if isinstance(group, h5py.Group) else ():
                match = _FIELD.fullmatch(str(name))
                if match:
                    yield str(channel), int(match[1])


def _number(value: Any) -> int | None:
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError):
        return None
