"""Measurements of single cells: one table per well, joined to the nuclei that were found by nearest centre, one to one.

CellProfiler writes one or two header rows and counts pixels from 0 at the middle of the first pixel, as nuclei do here.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from data_tools.nuclei import match_centres
from data_tools.wells import normalise_well, well_order
from framework.config import StrictModel
from framework.errors import InputError, did_you_mean
from framework.files.delimited import TextTable, read_text_table
from framework.files.layout import find_layout
from framework.files.text_file import open_text

Column = str | tuple[str, ...]
"""A column by its name, or by the names in each header row: ``[Nucleus, Location_Center_X]``."""

_WHAT = "a table of cells"
_PATTERN_KEYS = ("plate", "well", "row", "column")


class Marker(StrictModel):
    """Which column of the table is this marker."""

    column: Column
    """The column of the table."""


class Offset(StrictModel):
    """What to add to the positions of the table to land on the images."""

    x: float = 0.0
    """To the right."""
    y: float = 0.0
    """Downwards."""


class CellsConfig(StrictModel):
    """Tables with one row per cell.

    ``tables`` names one file per well; ``pattern`` finds them, with ``{plate}``, ``{well}`` (B02), ``{row}`` (B) and
    ``{column}`` (2); a pattern of one file for all wells needs ``well``.
    """

    tables: dict[str, str] | None = None
    """Well -> its file; or ``pattern``."""
    pattern: str | None = None
    """The files, with ``{plate}``, ``{well}`` (B02), ``{row}`` (B) and ``{column}`` (2)."""
    header_rows: Literal[1, 2] = 1
    """Lines of column names; with 2, a column is a list of two names."""
    x: Column
    """Column with the horizontal position in px."""
    y: Column
    """Column with the vertical position in px."""
    well: Column | None = None
    """Column with the well, if one file holds several."""
    site: Column | None = None
    """Column with the site; needed if a well has several."""
    offset_px: Offset = Offset()
    """What to add to the positions to land on the images."""
    max_distance_px: float = Field(default=8.0, gt=0)
    """Largest distance between a row and the nucleus that it is joined to."""
    markers: dict[str, Marker] = Field(min_length=1)
    """Name of a marker -> its column."""

    @model_validator(mode="after")
    def _check(self) -> CellsConfig:
        if (self.tables is None) == (self.pattern is None):
            raise ValueError("expected exactly one of 'tables' (one file per well) and 'pattern' (a name with {well})")
        names = [name for _, name, _, _ in string.Formatter().parse(self.pattern or "") if name is not None]
        unknown = [name for name in names if name not in _PATTERN_KEYS]
        if unknown:
            raise ValueError(f"'pattern' has the unknown field {{{unknown[0]}}}; expected {', '.join(_PATTERN_KEYS)}")
        if self.pattern is not None and self.well is None and not {"well", "row", "column"} & set(names):
            raise ValueError("'pattern' is the same file for every well; put {well} into it, or name the column 'well'")
        for well in self.tables or {}:
            try:
                normalise_well(well)
            except InputError as error:
                raise ValueError(f"'tables' has the key {error}") from None
        return self

    def files(self, plate: str, wells: list[str]) -> dict[str, Path]:
        """Return the table of each well: those named, or what the pattern makes of each of ``wells``."""
        if self.tables is not None:
            named = {normalise_well(well): Path(file) for well, file in self.tables.items()}
            return {well: named[well] for well in sorted(named, key=well_order)}
        pattern = self.pattern or ""
        return {
            well: Path(pattern.format(plate=plate, well=well, row=well[:-2], column=int(well[-2:]))) for well in wells
        }


@dataclass(frozen=True, kw_only=True)
class CellTable:
    """The cells of one well.

    Attributes:
        y_px: float64 (n,), row of the centre in the image, offset added.
        x_px: float64 (n,), column.
        site: int64 (n,), or None where the table does not say.
        values: float32 (n, M), markers in config order.
        without_position: rows that were left out because they have no position.
        infinite: marker -> values that are infinite, or beyond 3.4e38; they are missing in ``values``.
        first_infinite: marker -> where the first of these stands.
        notes: what was found out about the file.
    """

    y_px: npt.NDArray[np.float64]
    x_px: npt.NDArray[np.float64]
    site: npt.NDArray[np.int64] | None
    values: npt.NDArray[np.float32]
    without_position: int
    infinite: dict[str, int] = field(default_factory=dict)
    first_infinite: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def of_site(self, site: int) -> CellTable:
        """Return the cells of one site; all where the table names no sites."""
        if self.site is None:
            return self
        mine = self.site == site
        return CellTable(
            y_px=self.y_px[mine],
            x_px=self.x_px[mine],
            site=self.site[mine],
            values=self.values[mine],
            without_position=0,
        )


def read_cell_table(config: CellsConfig, file: Path) -> TextTable:
    """Read the columns that the config names, all wells of the file, as text.

    Raises:
        InputError: no readable table, or a column is missing; with the nearest name.
    """
    wanted = _wanted(config)
    text = open_text(file, what=_WHAT)
    layout = find_layout(text, header=None, header_rows=config.header_rows, skip=0, separator=None, comments=True)
    for key, column in wanted.items():
        _check_column(layout.names, column, config.header_rows, key, file)
    names = [_name(column) for column in wanted.values()]
    return read_text_table(file, what=_WHAT, header_rows=config.header_rows, columns=names, may_be_empty=True)


def wells_of(config: CellsConfig, table: TextTable) -> npt.NDArray[np.object_] | None:
    """Return the well of each row, text (n,) as ``A01``; None where the file is that of one well.

    Raises:
        InputError: a cell of that column is not a well; names the line.
    """
    if config.well is None:
        return None
    found = np.empty(len(table), dtype=object)
    for row, text in enumerate(table.column(_name(config.well))):
        try:
            found[row] = normalise_well(text)
        except InputError as error:
            raise InputError(f"{table.where(row)}: column of 'cells.well': {error}") from None
    return found


def read_cells(config: CellsConfig, file: Path, well: str) -> CellTable:
    """Read the cells of one well.

    Raises:
        InputError: no readable table, a missing column, or text where a number belongs; names file, line and column.
    """
    return cells_of_well(config, read_cell_table(config, file), well)


def cells_of_well(config: CellsConfig, table: TextTable, well: str) -> CellTable:
    """Return the cells of one well. Raises as ``read_cells``."""
    wells = wells_of(config, table)
    chosen = np.ones(len(table), dtype=bool) if wells is None else wells == well
    wanted = {key: _name(column) for key, column in _wanted(config).items() if key != "well"}
    matrix = table.matrix(list(wanted.values()))
    numbers = dict(zip(wanted, matrix.T, strict=True))
    y, x = numbers["y"] + config.offset_px.y, numbers["x"] + config.offset_px.x
    placed = np.isfinite(y) & np.isfinite(x)
    kept = chosen & placed
    if config.site is not None:
        _check_sites(table, numbers["site"], kept)
    values = np.stack([numbers[f"markers.{name}"] for name in config.markers], axis=1)
    with np.errstate(over="ignore"):  # beyond the range of float32 (3.4e38) is infinite too
        stored = values.astype(np.float32)
    infinite = np.isinf(stored) & kept[:, None]
    counts = {name: int(count) for name, count in zip(config.markers, infinite.sum(axis=0), strict=True) if count}
    first = {
        name: table.where(int(np.flatnonzero(infinite[:, place])[0]))
        for place, name in enumerate(config.markers)
        if name in counts
    }
    return CellTable(
        y_px=y[kept],
        x_px=x[kept],
        site=numbers["site"][kept].astype(np.int64) if config.site is not None else None,
        values=np.where(infinite, np.float32(np.nan), stored)[kept],
        without_position=int((chosen & ~placed).sum()),
        infinite=counts,
        first_infinite=first,
        notes=table.notes,
    )


def join_cells(
    cells: CellTable, y_px: npt.NDArray[Any], x_px: npt.NDArray[Any], max_distance_px: float
) -> tuple[npt.NDArray[np.float32], int]:
    """Give each nucleus the measurements of its cell: nearest pair first, one to one.

    Args:
        cells: cells of the site.
        y_px: (K,) nuclei.
        x_px: (K,).
        max_distance_px: a cell further away is another cell.

    Returns:
        float32 (K, M), NaN where a nucleus has no cell; and how many have one.
    """
    values = np.full((len(y_px), cells.values.shape[1]), np.nan, dtype=np.float32)
    found = np.stack([np.asarray(y_px, np.float64), np.asarray(x_px, np.float64)], axis=1)
    pairs = match_centres(found, np.stack([cells.y_px, cells.x_px], axis=1), max_distance_px).pairs
    values[pairs[:, 0]] = cells.values[pairs[:, 1]]
    return values, len(pairs)


def _wanted(config: CellsConfig) -> dict[str, Column]:
    """Return every column the config names, by its key in the config."""
    wanted: dict[str, Column] = {"x": config.x, "y": config.y}
    wanted |= {f"markers.{key}": marker.column for key, marker in config.markers.items()}
    if config.site is not None:
        wanted["site"] = config.site
    if config.well is not None:
        wanted["well"] = config.well
    return wanted


def _name(column: Column) -> str:
    return column if isinstance(column, str) else " / ".join(column)


def _check_column(names: tuple[str, ...], column: Column, header_rows: int, key: str, file: Path) -> None:
    parts = 1 if isinstance(column, str) else len(column)
    shown = _name(column)
    if parts != header_rows:
        raise InputError(
            f"{file}: 'cells.{key}' names '{shown}' with {parts} part(s), the table has {header_rows} header row(s); "
            "write one name per header row, as in [Nucleus, Location_Center_X]"
        )
    if shown not in names:
        raise InputError(
            f"{file}: no column '{shown}' for 'cells.{key}' among {len(names)} columns"
            + (did_you_mean(shown, names) or f"; it has {', '.join(names[:8])} ...")
        )


def _check_sites(table: TextTable, sites: npt.NDArray[np.float64], kept: npt.NDArray[np.bool_]) -> None:
    with np.errstate(invalid="ignore"):
        bad = kept & ~(np.isfinite(sites) & (sites == np.floor(sites)))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{table.where(row)}: the site of a cell is {sites[row]:g}; expected a whole number in the column of "
            "'cells.site'"
        )
