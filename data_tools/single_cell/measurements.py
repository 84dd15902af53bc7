"""Measurements of single cells: a table a well, joined to the nuclei that were found by nearest centre, one to one.

CellProfiler writes one or two header rows and counts pixels from 0 at the middle of the first pixel, as nuclei do here.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator

from data_tools.nuclei import match_centres
from data_tools.wells import normalise_well, well_order
from framework.config import StrictModel
from framework.errors import InputError, did_you_mean

Column = str | tuple[str, ...]
"""A column by its name, or by the names in each header row: ``[Nucleus, Location_Center_X]``."""

_PATTERN_KEYS = ("plate", "well", "row", "column")


class Marker(StrictModel):
    """Which column of the table is this marker."""

    column: Column


class Offset(StrictModel):
    """What to add to the positions of the table to land on the images."""

    x: float = 0.0
    y: float = 0.0


class CellsConfig(StrictModel):
    """Tables with one row a cell.

    ``tables`` names a file a well; ``pattern`` finds them, with ``{plate}``, ``{well}`` (B02), ``{row}`` (B) and
    ``{column}`` (2); a pattern of one file for all wells needs ``well``.
    """

    tables: dict[str, str] | None = None
    pattern: str | None = None
    header_rows: Literal[1, 2] = 1
    x: Column
    y: Column
    well: Column | None = None
    """Column with the well, where one file holds several."""
    site: Column | None = None
    """Column with the site; needed where a well has several."""
    offset_px: Offset = Offset()
    max_distance_px: float = Field(default=8.0, gt=0)
    markers: dict[str, Marker] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> CellsConfig:
        if (self.tables is None) == (self.pattern is None):
            raise ValueError("expected exactly one of 'tables' (a file a well) and 'pattern' (a name with {well})")
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
    """

    y_px: npt.NDArray[np.float64]
    x_px: npt.NDArray[np.float64]
    site: npt.NDArray[np.int64] | None
    values: npt.NDArray[np.float32]
    without_position: int

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


def check_header(config: CellsConfig, file: Path) -> None:
    """Check that a table has every column the config names.

    Raises:
        InputError: no readable table, or a column is missing; with the nearest name.
    """
    _positions(config, file)


def read_cells(config: CellsConfig, file: Path, well: str) -> CellTable:
    """Read the cells of one well.

    Raises:
        InputError: no readable table, a missing column, or text where a number belongs; names file and column.
    """
    positions = _positions(config, file)
    wanted = sorted(set(positions.values()))
    try:
        raw = pd.read_csv(file, header=None, skiprows=config.header_rows, usecols=wanted, sep=_separator(file))
    except pd.errors.EmptyDataError:
        raw = pd.DataFrame({index: pd.Series(dtype=float) for index in wanted})
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from None
    if config.well is not None:
        raw = raw[[_same_well(text, well, file) for text in raw[positions["well"]]]]
    numbers = {key: _numbers(raw[index], key, file) for key, index in positions.items() if key not in ("well",)}
    y, x = numbers["y"] + config.offset_px.y, numbers["x"] + config.offset_px.x
    placed = np.isfinite(y) & np.isfinite(x)
    values = np.stack([numbers[f"markers.{name}"] for name in config.markers], axis=1)
    return CellTable(
        y_px=y[placed],
        x_px=x[placed],
        site=numbers["site"][placed].astype(np.int64) if config.site is not None else None,
        values=values[placed].astype(np.float32),
        without_position=int((~placed).sum()),
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


def _separator(file: Path) -> str:
    return "\t" if ".tsv" in file.suffixes or ".txt" in file.suffixes else ","


def _positions(config: CellsConfig, file: Path) -> dict[str, int]:
    """Return the position of every column the config names, by its key in the config."""
    try:
        head = pd.read_csv(
            file, header=None, nrows=config.header_rows, dtype=str, sep=_separator(file), encoding="utf-8-sig"
        )
    except FileNotFoundError:
        raise InputError(f"{file}: no such table of cells; correct 'cells' in the config") from None
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from None
    if len(head) < config.header_rows:
        raise InputError(f"{file}: expected {config.header_rows} header rows, found {len(head)}; correct 'header_rows'")
    names = [tuple(str(part).strip() for part in head[column]) for column in head.columns]
    wanted = {"x": config.x, "y": config.y, **{f"markers.{key}": m.column for key, m in config.markers.items()}}
    if config.site is not None:
        wanted["site"] = config.site
    if config.well is not None:
        wanted["well"] = config.well
    return {key: _position(names, column, key, file) for key, column in wanted.items()}


def _position(names: list[tuple[str, ...]], column: Column, key: str, file: Path) -> int:
    parts = (column,) if isinstance(column, str) else tuple(column)
    shown = " / ".join(parts)
    if len(parts) != len(names[0]):
        raise InputError(
            f"{file}: 'cells.{key}' names '{shown}' with {len(parts)} part(s), the table has {len(names[0])} header "
            "row(s); write one name a header row, as in [Nucleus, Location_Center_X]"
        )
    if names.count(parts) > 1:
        raise InputError(f"{file}: the column '{shown}' of 'cells.{key}' comes {names.count(parts)} times; rename one")
    if parts not in names:
        known = [" / ".join(name) for name in names]
        raise InputError(
            f"{file}: no column '{shown}' for 'cells.{key}' among {len(known)} columns"
            + (did_you_mean(shown, known) or f"; it has {', '.join(known[:8])} ...")
        )
    return names.index(parts)


def _numbers(column: pd.Series[Any], key: str, file: Path) -> npt.NDArray[np.float64]:
    numbers = pd.to_numeric(column, errors="coerce")
    text = column[numbers.isna() & column.notna() & (column.astype(str).str.strip().str.lower() != "nan")]
    if len(text):
        raise InputError(
            f"{file}: 'cells.{key}' reads '{text.iloc[0]}' in data row {int(text.index[0]) + 1}, expected a number; "
            "correct the table or 'header_rows'"
        )
    if key == "site" and numbers.isna().any():
        raise InputError(f"{file}: a cell has no site; fill in the column of 'cells.site'")
    result: npt.NDArray[np.float64] = numbers.to_numpy(dtype=np.float64)
    return result


def _same_well(text: object, well: str, file: Path) -> bool:
    try:
        return normalise_well(str(text)) == well
    except InputError as error:
        raise InputError(f"{file}: column of 'cells.well': {error}") from None


def _unreadable(file: Path, error: Exception) -> InputError:
    return InputError(f"{file}: no readable table of cells ({' '.join(str(error).split())}); expected CSV")
