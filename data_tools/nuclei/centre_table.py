"""Centres of nuclei from a table that another program made: one row per nucleus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator

from data_tools.nuclei.base import FieldKey, FieldOfView, FieldSurvey, Nuclei, nuclei_at
from data_tools.nuclei.field_keys import FieldIndex, Key, Part, check_site_numbers, index_fields, key_of, stem
from data_tools.readers.problem import Problem
from data_tools.wells import normalise_well, row_number
from framework.config import StrictModel
from framework.errors import InputError, did_you_mean
from framework.files.delimited import TextTable, read_text_table

Column = str | tuple[str, ...]
"""A column by its name, or by the names in each header row."""
_WHAT = "a table of centres, with one row per nucleus"
_BESIDE_PX = 1.0
"""How far beside its image a centre may lie: programs differ in where they count from by up to a pixel."""


class CentreOffset(StrictModel):
    """What to add to positions, in px."""

    x: float = 0.0
    """To the right."""
    y: float = 0.0
    """Downwards."""


class CentreTableConfig(StrictModel):
    """A table of centres, and which columns say what.

    Rows belong to a field by ``image`` (the file name of its image of the nucleus channel), or by ``well`` (or ``row``
    and ``column``) and ``site``; and by ``plate``, where one table holds several.
    """

    path: str = Field(min_length=1, description="the table; {plate} and {well} stand for plate and well")
    x: Column = Field(description="the column with the position along rows of pixels")
    y: Column = Field(description="the column with the position along columns of pixels")
    image: Column | None = None
    """Column with the file name of the image, instead of well and site."""
    plate: Column | None = None
    """Column with the plate, if one file holds several."""
    well: Column | None = None
    """Column with the well."""
    row: Column | None = None
    """Column with the row of the well, if row and column are separate."""
    column: Column | None = None
    """Column with the column of the well; with ``row``."""
    site: Column | None = None
    """Column with the site; not needed if every well has one site."""
    site_offset: int | None = None
    """Added to the numbers of sites in the table."""
    unit: Literal["px", "um"] = "px"
    """Unit of the positions."""
    origin: Literal["corner", "centre"] = "corner"
    """Where positions count from: the middle of the first pixel, or the middle of the image."""
    y_axis: Literal["down", "up"] = "down"
    """Whether ``y`` grows downwards or upwards."""
    offset_px: CentreOffset = CentreOffset()
    """What to add to the positions at the end."""
    only: dict[str, str] = Field(default={})
    """Column -> text: only rows with this text are used; others, such as other timepoints, are left out and counted."""
    header: str | None = None
    """Name of a column by which the header is found, if other lines come before it."""
    header_rows: Literal[1, 2] = 1
    """Lines of column names; with 2, a column is a list of two names."""

    @model_validator(mode="after")
    def _check(self) -> CentreTableConfig:
        if (self.row is None) != (self.column is None):
            raise ValueError("'row' and 'column' belong together")
        ways = [self.image is not None, self.well is not None, self.row is not None, "{well}" in self.path]
        if sum(ways) != 1:
            raise ValueError("expected one of 'image', 'well', 'row' and 'column', or {well} in 'path'")
        if self.image is not None and self.site is not None:
            raise ValueError("'image' names the site already; leave out 'site'")
        if self.plate is not None and "{plate}" in self.path:
            raise ValueError("'plate' is a column, and 'path' has {plate}; keep one")
        return self

    def parts(self) -> tuple[Part, ...]:
        """Return what a row says of its field, beside what the path says."""
        plate: tuple[Part, ...] = ("plate",) if self.plate is not None else ()
        if self.image is not None:
            return (*plate, "image")
        well: tuple[Part, ...] = () if "{well}" in self.path else ("well",)
        return (*plate, *well, *(("site",) if self.site is not None else ()))

    def file_of(self, field: FieldOfView) -> Path:
        """Return the table of a field."""
        return Path(self.path.replace("{plate}", field.plate).replace("{well}", field.well))


@dataclass(frozen=True, kw_only=True)
class Centres:
    """The rows of a table.

    Attributes:
        by_key: (n, 2) of (y, x) as written, for each field that has rows.
        notes: what was found out and left out.
    """

    by_key: dict[Key, npt.NDArray[np.float64]]
    notes: tuple[str, ...]


def survey_centre_table(config: CentreTableConfig, fields: Sequence[FieldOfView]) -> FieldSurvey:
    """Read the tables, and say which fields have rows.

    Raises:
        InputError: no readable table, a column that is missing, a well that is none, rows of no field at all.
    """
    of_file: dict[Path, list[FieldOfView]] = {}
    for field in fields:
        of_file.setdefault(config.file_of(field), []).append(field)
    files: dict[FieldKey, tuple[Path, ...]] = {}
    problems: list[Problem] = []
    notes: list[str] = []
    for file, mine in of_file.items():
        if not file.exists() and len(of_file) > 1:
            problems += [missing_centres(file, field, "has no table of centres; make it") for field in mine]
            continue
        index = index_fields(mine, config.parts(), "'nuclei.table'")
        centres = read_centres(config, file)
        notes += [*centres.notes, *_join_notes(config, file, index, centres)]
        files |= {field.key: (file.absolute(),) for field in mine}
    return FieldSurvey(files=files, problems=tuple(problems), notes=tuple(notes))


def missing_centres(file: Path, field: FieldOfView, what: str) -> Problem:
    """Return the problem of a field whose file of centres is not there; ``what`` it lacks, and what to do."""
    return Problem(
        plate=field.plate,
        well=field.well,
        site=field.site,
        file=str(file),
        reason="missing_centres",
        detail=f"{file}: no such file; {field} {what}, or set 'on_error: skip' to leave the site out",
    )


def _join_notes(config: CentreTableConfig, file: Path, index: FieldIndex, centres: Centres) -> list[str]:
    """Say how rows and fields fit. Raises InputError: not at all, or their sites are one off."""
    with_rows = [key for key in index.by_key if key in centres.by_key]
    others = [key for key in centres.by_key if key not in index.by_key]
    if centres.by_key and not with_rows:
        said = ", ".join(f"{part} {value}" for part, value in zip(index.parts, others[0], strict=True))
        raise InputError(
            f"{file}: no row belongs to a site of the export: the first row has {said}, the first site is "
            f"{index.first}; correct the columns of 'nuclei.table'"
        )
    if "site" in index.parts and config.site_offset is None:
        place = index.parts.index("site")
        said_sites, wanted = ({key[place] for key in keys} for keys in (centres.by_key, index.by_key))
        check_site_numbers(said_sites, wanted, f"{file}: column of 'nuclei.table.site'")
    notes = [f"{file}: {len(with_rows)} of {len(index)} sites have rows"]
    without = [str(field) for key, field in index.by_key.items() if key not in centres.by_key]
    if without:
        notes.append(f"{file}: {len(without)} sites have no row and get no nuclei, as {without[0]}")
    if others:
        rows = sum(len(centres.by_key[key]) for key in others)
        said = ", ".join(f"{part} {value}" for part, value in zip(index.parts, others[0], strict=True))
        notes.append(f"{file}: {rows} rows belong to no site that is read, as those of {said}")
    return notes


def nuclei_of_table(config: CentreTableConfig, file: Path, shape: tuple[int, ...], field: FieldOfView) -> Nuclei:
    """Return the centres that a table states for a field with an image of ``shape`` (H, W).

    Raises:
        InputError: a centre lies outside the image.
    """
    written = read_centres(config, file).by_key.get(key_of(field, config.parts()), np.zeros((0, 2)))
    points = written / (field.pixel_size_um or math.nan) if config.unit == "um" else written.copy()
    if config.y_axis == "up":
        points[:, 0] = (0 if config.origin == "centre" else shape[0] - 1) - points[:, 0]
    if config.origin == "centre":
        points += (np.array(shape) - 1) / 2
    points += (config.offset_px.y, config.offset_px.x)
    outside = ((points < -_BESIDE_PX) | (points > np.array(shape) - 1 + _BESIDE_PX)).any(axis=1)
    if outside.any():
        y, x = points[int(np.flatnonzero(outside)[0])]
        raise InputError(
            f"{file}: {int(outside.sum())} of {len(points)} centres of {field} lie outside its image of {shape[0]} x "
            f"{shape[1]} px (height x width), as y {y:.1f}, x {x:.1f} px; check 'x', 'y', 'unit', 'origin' and "
            "'y_axis' of 'nuclei.table'"
        )
    return nuclei_at(points, None, shape)


def read_centres(config: CentreTableConfig, file: Path) -> Centres:
    """Read a table; once per process, as long as the file stays as it is. Raises InputError: it cannot be used."""
    try:
        state = file.stat()
    except OSError:
        state = None
    return _read(config.model_dump_json(), file, state and (state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=16)
def _read(options: str, file: Path, state: object) -> Centres:
    config = CentreTableConfig.model_validate_json(options)
    columns = [config.x, config.y, config.image, config.plate, config.well, config.row, config.column, config.site]
    wanted = {_name(column) for column in columns if column is not None} | set(config.only)
    table = read_text_table(
        file,
        what=_WHAT,
        header=config.header,
        header_rows=config.header_rows,
        wanted=wanted,
        may_be_empty="{well}" in config.path,
    )
    _check_columns(config, table, wanted)
    kept = np.ones(len(table), dtype=bool)
    notes = list(table.notes)
    for name, text in config.only.items():
        mine = (table.column(name) == text).to_numpy()
        if not mine.any() and len(table):
            raise InputError(f"{file}: no row has '{text}' in the column '{name}'; correct 'nuclei.table.only'")
        notes += [f"{file}: {int((~mine).sum())} rows whose '{name}' is not '{text}' are left out"] * (not mine.all())
        kept &= mine
    points = table.matrix([_name(config.y), _name(config.x)])
    placed = np.isfinite(points[:, 0]) & np.isfinite(points[:, 1])
    if not placed[kept].all():
        notes.append(f"{file}: {int((~placed[kept]).sum())} rows have no position and are left out")
    kept &= placed
    frame = pd.DataFrame({part: _values(config, table, part, kept) for part in config.parts()})
    return Centres(by_key=_grouped(frame, points[kept]), notes=tuple(notes))


def _check_columns(config: CentreTableConfig, table: TextTable, wanted: set[str]) -> None:
    for name in sorted(wanted - set(table.names)):
        rows = f"; its names stand in {config.header_rows} header row(s)" if config.header_rows > 1 else ""
        raise InputError(
            f"{table.file}: no column '{name}' for 'nuclei.table'{rows}; it has {', '.join(table.header[:8])}"
            + (" ..." if len(table.header) > 8 else "")
            + did_you_mean(name, table.header)
        )


def _grouped(frame: pd.DataFrame, points: npt.NDArray[np.float64]) -> dict[Key, npt.NDArray[np.float64]]:
    if not len(frame.columns):
        return {(): points} if len(points) else {}
    groups = frame.groupby(list(frame.columns), sort=False).indices
    return {key if isinstance(key, tuple) else (key,): points[rows] for key, rows in groups.items()}


def _values(config: CentreTableConfig, table: TextTable, part: Part, kept: npt.NDArray[np.bool_]) -> list[Any]:
    """Return what the kept rows say of ``part``, each distinct text read once."""
    if part == "well" and config.row is not None:
        rows, columns = (table.column(_name(name or "")) for name in (config.row, config.column))
        text = [f"{row}\t{column}" for row, column in zip(rows, columns, strict=True)]
    else:
        text = list(table.column(_name(getattr(config, part))))
    read: dict[str, Any] = {}
    for number in np.flatnonzero(kept).tolist():
        if text[number] not in read:
            try:
                read[text[number]] = _value(config, part, text[number])
            except (InputError, ValueError) as error:
                raise InputError(f"{table.where(number)}: column of 'nuclei.table.{part}': {error}") from None
    return [read[text[number]] for number in np.flatnonzero(kept).tolist()]


def _value(config: CentreTableConfig, part: Part, text: str) -> Any:
    if part == "site":
        if not text.isascii() or not text.removesuffix(".0").isdigit():
            raise InputError(f"'{text}' is not a number of a site")
        return int(text.removesuffix(".0")) + (config.site_offset or 0)
    if part == "image":
        return stem(text)
    if part == "plate":
        return text
    row, tab, column = text.partition("\t")
    if not tab:
        return normalise_well(text)
    row = row.removesuffix(".0")
    place = int(row) if row.isascii() and row.isdigit() else row_number(row)
    return normalise_well((place, int(column.removesuffix(".0"))))


def _name(column: Column) -> str:
    return column if isinstance(column, str) else " / ".join(column)
