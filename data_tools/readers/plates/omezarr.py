"""Plates in OME-Zarr (HCS), versions 0.4 (Zarr 2) and 0.5 (Zarr 3), on this machine.

Wells are found by ``path`` and known by their row and column, fields in the order of the well's ``images``, from
1; channels are called by ``omero.channels``, else c0, c1, ... . Planes and timepoints count from 1. ``level`` chooses a
resolution of the pyramid, 0 the full one, and the pixel size is that of the level.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from data_tools.formats.zarr_array import absent_chunks, zarr_facts
from data_tools.readers.channel_names import renamed
from data_tools.readers.plates.base import READERS, Export, ImageRef, assemble
from data_tools.readers.plates.choice import choose
from data_tools.readers.plates.options import SizedPixels, TakesPlanes
from data_tools.readers.plates.zarr_image import ZarrImage
from data_tools.readers.problem import Problem
from data_tools.readers.recognition import Claim, Sight, Undecided
from data_tools.wells import normalise_well
from framework.errors import InputError
from framework.files.json_file import read_mapping

_TO_UM = {
    "micrometer": 1.0,
    "micrometre": 1.0,
    "um": 1.0,
    "µm": 1.0,
    "nanometer": 1e-3,
    "millimeter": 1e3,
    "meter": 1e6,
}
_TOLERANCE = 1e-3
_MOST_LOOKED_AT = 100
_WHAT = "the metadata of an OME-Zarr plate"
_AGAIN = "write the plate again"
_PART = re.compile(r"^(?!\.{1,2}$)[^/\\\0]+$")


class OmeZarrConfig(TakesPlanes, SizedPixels):
    """A plate in OME-Zarr.

    Attributes:
        path: the folder of the plate, as plate.zarr.
        plate: name of the plate; without it the one in the file, or the folder's name.
        channel_names: label (or c0, c1, ... without labels) -> another name.
        pixel_size_um: edge of a pixel; default: the size that the plate states.
    """

    name: Literal["omezarr"] = "omezarr"
    level: int = Field(default=0, ge=0)
    """Resolution of the pyramid; 0 is the full one."""
    acquisition: int | None = Field(default=None, ge=0)
    """The measurement to read, if the plate holds several."""

    @classmethod
    def recognise(cls, sight: Sight) -> Claim | str:
        """Look for the one Zarr whose metadata describe a plate."""
        folders = [name.rstrip("/") for name in sight.names if name.endswith("/")]
        refused = []
        for name in folders[:_MOST_LOOKED_AT]:
            folder = Path(sight.path) if name == "." else sight.root / name
            try:
                _group(folder, "plate")
            except InputError as error:
                refused.append(str(error))
                continue
            return Claim(options={"path": str(folder)}, rank="own list", why=f"{folder.name} is a plate in OME-Zarr")
        return refused[0] if refused else ""


@dataclass(frozen=True, kw_only=True)
class _Field:
    """One field of view: its array, axes, labels, size of a pixel, and how many chunks have no file."""

    array: Path
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    labels: tuple[str, ...]
    size_um: float | None
    absent: int


@READERS.register("omezarr", OmeZarrConfig)
def read_omezarr(config: OmeZarrConfig) -> Export:
    """List the images of a plate.

    Raises:
        InputError: no plate there, metadata that are damaged or contradict each other, several acquisitions, planes or
            timepoints and none chosen, or fields with different channels.
    """
    root = Path(config.path)
    facts = _group(root, "plate")
    plate = config.plate or str(facts.get("name") or root.resolve().name.removesuffix(".zarr").removesuffix(".ome"))
    problems: list[Problem] = []
    fields: dict[tuple[str, int], _Field] = {}
    for well, folder in _wells(root, facts).items():
        _add_fields(config, folder, well, plate, fields, problems)
    if not fields:
        raise InputError(f"{root}: no field of view can be read; {problems[0].detail if problems else _AGAIN}")
    channels = _channels(config, fields)
    refs = [ref for (well, site), field in fields.items() for ref in _refs(field, plate, well, site, channels)]
    choice = choose(refs, plane=config.plane, timepoint=config.timepoint, plate=plate)
    size, notes = _pixel_size(config, fields)
    return assemble(
        plate=plate,
        refs=choice.refs,
        channels=tuple(channels),
        problems=[*problems, *choice.problems],
        pixel_size_um=size,
        rows=len(facts["rows"]) if isinstance(facts.get("rows"), list) else None,
        columns=len(facts["columns"]) if isinstance(facts.get("columns"), list) else None,
        notes=(*choice.notes, *notes, *_absent_notes(root, fields.values())),
    )


def _absent_notes(root: Path, fields: Iterable[_Field]) -> tuple[str, ...]:
    lacking = [field for field in fields if field.absent]
    if not lacking:
        return ()
    count = sum(field.absent for field in lacking)
    return (
        f"{root}: {count} chunks of {len(lacking)} fields have no file, as in {lacking[0].array}, and are read as the "
        "fill value; writers leave out chunks that hold nothing else, and so does an unfinished copy",
    )


def _group(folder: Path, key: str) -> dict[str, Any]:
    """Return what a group says under ``key``, in either version."""
    file = folder / "zarr.json"
    if file.is_file():
        attributes = read_mapping(file, error=InputError, what=_WHAT, then=_AGAIN).get("attributes")
        plain = attributes.get("ome") if isinstance(attributes, dict) else None
    else:
        file = folder / ".zattrs"
        plain = read_mapping(file, error=InputError, what=_WHAT, then=_AGAIN)
    found = plain.get(key) if isinstance(plain, dict) else None
    if isinstance(plain, dict) and key == "multiscales" and isinstance(found, list) and found:
        return plain
    if key == "multiscales" or not isinstance(found, dict) or not found:
        raise InputError(
            f"{file}: not OME-Zarr 0.4 or 0.5: it has no '{key}'; point 'path:' at the folder of the plate"
        )
    return found


def _wells(root: Path, facts: Mapping[str, Any]) -> dict[str, Path]:
    """Return the folder of each well."""
    listed = facts.get("wells")
    if not isinstance(listed, list) or not listed:
        raise InputError(f"{root}: the plate lists no well; {_AGAIN}")
    wells: dict[str, Path] = {}
    for number, item in enumerate(listed, start=1):
        path = item.get("path") if isinstance(item, dict) else None
        parts = path.split("/") if isinstance(path, str) else []
        if len(parts) != 2 or not all(_PART.match(part) for part in parts):
            raise InputError(
                f"{root}: well {number} of the plate: expected a path as A/1, found {str(path)[:60]!r}; {_AGAIN}"
            )
        well = _well(root, number, item, parts)
        if well in wells:
            raise InputError(f"{root}: the plate lists well {well} twice; {_AGAIN}")
        wells[well] = root / parts[0] / parts[1]
    return wells


def _well(root: Path, number: int, item: Mapping[str, Any], parts: Sequence[str]) -> str:
    row, column = item.get("rowIndex"), item.get("columnIndex")
    try:
        named = normalise_well("".join(parts))
    except InputError:
        named = ""
    try:
        indexed = normalise_well((row + 1, column + 1)) if type(row) is int and type(column) is int else named
    except InputError as error:
        raise InputError(f"{root}: well {number} of the plate: {error}; {_AGAIN}") from None
    if not indexed:
        raise InputError(
            f"{root}: well {number}: '{'/'.join(parts)}' is not a well, and rowIndex or columnIndex is missing"
        )
    if named and named != indexed:
        raise InputError(
            f"{root}: well {number}: the path says {named}, rowIndex and columnIndex say {indexed}; {_AGAIN}"
        )
    return indexed


def _add_fields(
    config: OmeZarrConfig,
    folder: Path,
    well: str,
    plate: str,
    fields: dict[tuple[str, int], _Field],
    problems: list[Problem],
) -> None:
    if not folder.is_dir():
        problems.append(_lost(plate, well, None, folder, "the plate lists this well, but there is no such folder"))
        return
    images = _group(folder, "well").get("images")
    paths: list[tuple[str, int | None]] = []
    for image in images if isinstance(images, list) else []:
        path = image.get("path") if isinstance(image, dict) else None
        if not isinstance(path, str) or not _PART.match(path):
            raise InputError(
                f"{folder}: an image of the well has the path {str(path)[:60]!r}, expected one as 0; {_AGAIN}"
            )
        acquisition = image.get("acquisition")
        paths.append((path, acquisition if type(acquisition) is int else None))
    acquisitions = Counter(acquisition for _, acquisition in paths)
    if config.acquisition is None and len(acquisitions) > 1:
        shown = ", ".join(
            f"{key}: {n} images" for key, n in sorted(acquisitions.items(), key=lambda pair: str(pair[0]))
        )
        text = f"{folder}: the well has several acquisitions ({shown}); choose one with 'acquisition:'"
        raise Undecided(text, "acquisition", [key for key in sorted(acquisitions, key=str) if key is not None])
    chosen = [path for path, acquisition in paths if config.acquisition is None or acquisition == config.acquisition]
    if not chosen:
        problems.append(_lost(plate, well, None, folder, f"the well has no image of acquisition {config.acquisition}"))
    for site, path in enumerate(chosen, start=1):
        try:
            fields[well, site] = _field(folder / path, config.level)
        except FileNotFoundError as error:
            lost = f"the well lists this field, but there is no {error.args[0]}"
            problems.append(_lost(plate, well, site, folder / path, lost))


def _lost(plate: str, well: str, site: int | None, folder: Path, what: str) -> Problem:
    where = f"plate {plate} well {well}" + (f" site {site}" if site else "")
    detail = f"{folder}: {what}; {where}; copy the plate again, or set 'on_error: skip'"
    return Problem(plate=plate, well=well, site=site, file=str(folder), reason="missing_image", detail=detail)


def _field(folder: Path, level: int) -> _Field:
    """Read the metadata of one image.

    Raises:
        FileNotFoundError: the field or its array is not there.
        InputError: it is damaged, or has no such level.
    """
    if not any((folder / name).is_file() for name in ("zarr.json", ".zattrs")):
        raise FileNotFoundError(folder)
    plain = _group(folder, "multiscales")
    scales = plain["multiscales"][0]
    datasets = scales.get("datasets") if isinstance(scales, dict) else None
    axes = scales.get("axes") if isinstance(scales, dict) else None
    listed = axes if isinstance(axes, list) else []
    names = tuple(str(axis.get("name") if isinstance(axis, dict) else axis) for axis in listed)
    if (
        names[-2:] != ("y", "x")
        or any(name not in ("t", "c", "z") for name in names[:-2])
        or len(set(names)) < len(names)
    ):
        raise InputError(
            f"{folder}: expected axes of t, c, z, y and x that end in y, x, found {str(names)[:80]}; {_AGAIN}"
        )
    if not isinstance(datasets, list) or not datasets or not all(isinstance(item, dict) for item in datasets):
        raise InputError(f"{folder}: 'multiscales' lists no dataset; {_AGAIN}")
    if level >= len(datasets):
        raise InputError(f"{folder}: no level {level}; it has 0 to {len(datasets) - 1}; change 'level:'")
    path = datasets[level].get("path")
    if not isinstance(path, str) or not all(_PART.match(part) for part in path.split("/")):
        raise InputError(f"{folder}: level {level} has the path {str(path)[:60]!r}, expected one as 0; {_AGAIN}")
    facts = zarr_facts(folder / path)
    if len(facts.shape) != len(names):
        raise InputError(f"{facts.file}: has the shape {facts.shape}, its axes are {', '.join(names)}; {_AGAIN}")
    steps = [*_scale(datasets[level]), *_scale(scales)]
    return _Field(
        array=folder / path,
        axes=names,
        shape=facts.shape,
        labels=_labels(plain),
        size_um=_size_um(axes, names, steps),
        absent=absent_chunks(facts),
    )


def _scale(item: Mapping[str, Any]) -> list[list[float]]:
    found = item.get("coordinateTransformations")
    steps = [step.get("scale") for step in found if isinstance(step, dict)] if isinstance(found, list) else []
    return [step for step in steps if isinstance(step, list) and all(isinstance(n, int | float) for n in step)]


def _size_um(axes: Any, names: Sequence[str], steps: Sequence[Sequence[float]]) -> float | None:
    """Return the edge of a square pixel, None where none is stated."""
    units = [str(axis.get("unit") if isinstance(axis, dict) else None) for axis in axes[-2:]]
    if not steps or any(len(step) != len(names) for step in steps) or any(unit not in _TO_UM for unit in units):
        return None
    y, x = (_TO_UM[unit] * math.prod(step[at] for step in steps) for unit, at in zip(units, (-2, -1), strict=True))
    good = math.isfinite(x) and 0 < x < 1000 and abs(x - y) <= _TOLERANCE * x
    return float(f"{x:.9g}") if good else None


def _labels(plain: Mapping[str, Any]) -> tuple[str, ...]:
    omero = plain.get("omero")
    channels = omero.get("channels") if isinstance(omero, dict) else None
    found = (
        [item.get("label") if isinstance(item, dict) else None for item in channels]
        if isinstance(channels, list)
        else []
    )
    return tuple(str(label).strip() if label else "" for label in found)


def _channels(config: OmeZarrConfig, fields: Mapping[tuple[str, int], _Field]) -> list[str]:
    """Return the names of the channels in their order; every field has the same."""
    first_place, first = next(iter(fields.items()))
    labels = _names_of(first)
    for place, field in fields.items():
        if _names_of(field) != labels:
            raise InputError(
                f"{field.array}: channels {', '.join(_names_of(field))} in well {place[0]} site {place[1]}, but "
                f"{', '.join(labels)} in well {first_place[0]} site {first_place[1]}; expected the same in all"
            )
    if len(set(labels)) < len(labels):
        raise InputError(
            f"{config.path}: two channels have one name ({', '.join(labels)}), and channels are chosen by name; "
            "correct 'omero.channels'"
        )
    return list(renamed(labels, config.channel_names, config.path).values())


def _names_of(field: _Field) -> list[str]:
    count = field.shape[field.axes.index("c")] if "c" in field.axes else 1
    whole = len(field.labels) == count and all(field.labels)
    return list(field.labels) if whole else [f"c{number}" for number in range(count)]


def _refs(field: _Field, plate: str, well: str, site: int, channels: Sequence[str]) -> list[ImageRef]:
    counts = {axis: field.shape[field.axes.index(axis)] if axis in field.axes else 1 for axis in "tcz"}
    refs = []
    for t in range(counts["t"]):
        for c, channel in enumerate(channels):
            for z in range(counts["z"]):
                at = {"t": t, "c": c, "z": z}
                place = ZarrImage(array=field.array, index=tuple(at[axis] for axis in field.axes[:-2]))
                refs.append(
                    ImageRef(
                        plate=plate, well=well, site=site, channel=channel, file=place, plane=z + 1, timepoint=t + 1
                    )
                )
    return refs


def _pixel_size(
    config: OmeZarrConfig, fields: Mapping[tuple[str, int], _Field]
) -> tuple[float | None, tuple[str, ...]]:
    sizes = {field.size_um for field in fields.values()}
    if config.pixel_size_um is not None:
        return config.pixel_size_um, ()
    if len(sizes) > 1:
        shown = ", ".join(sorted(str(size) for size in sizes))
        raise InputError(f"{config.path}: fields have pixels of {shown} um; expected one size; write 'pixel_size_um'")
    (size,) = sizes
    said = f"{config.path}: level {config.level} is read, with pixels of {size:g} um" if size else ""
    return size, (said or f"{config.path}: states no size of square pixels in a known unit",)
