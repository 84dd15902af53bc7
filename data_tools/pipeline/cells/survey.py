"""What there is to ingest of single cells: listings, tables and labels joined, sorted into bags; nothing is decoded.

The result is columns: a frame with one row per cell, sorted by bag, and a frame with one row per bag. ``--dry-run``
prints it, the build works through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.pipeline.build.kind import check_pixel_sizes
from data_tools.pipeline.cells.bags import BaggedCells, into_bags
from data_tools.pipeline.cells.config import CellsIngestConfig
from data_tools.pipeline.cells.listed import ListedCells, known_measurement, listed_cells
from data_tools.pipeline.cells.tables import open_table, stored_values
from data_tools.readers.cells import CellListing
from data_tools.readers.cells.base import CELL, PLACE_COLUMNS, TEXT
from data_tools.readers.problem import Problem, relative_text
from framework.data.format.schema import BAG_COLUMNS, MARKER_PREFIX, SOURCE
from framework.errors import InputError, some_of
from framework.files.names import missing_names, near_names


@dataclass(frozen=True, kw_only=True)
class CellExport:
    """One export.

    Attributes:
        plate: its name.
        cells: one row per cell that is used, sorted by bag (column ``bag``, row of bags.parquet); ``Metadata_*`` text,
            ``site``, ``y_px``, ``x_px``, and the dataset's markers as ``Marker_*``.
        places: the same rows, for the reader.
        listing: as the reader gave it, for facts about the export.
        few: bool (rows,), cells of bags under ``min_cells``, which are not read.
    """

    plate: str
    cells: pd.DataFrame
    places: pd.DataFrame
    listing: CellListing
    few: npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class CellSurvey:
    """All exports in config order.

    Attributes:
        exports: one per source.
        bags: bags.parquet without the counts.
        labels: ``Metadata_*`` columns that differ within bags: they are kept with the tiles.
        problems: what cannot be used.
        notes: sentences worth showing.
        matched: ``source: table: cells with a row``.
        markers: name of each marker of the dataset -> measurement of the cells.
    """

    exports: tuple[CellExport, ...]
    bags: pd.DataFrame
    labels: tuple[str, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    matched: tuple[str, ...]
    markers: dict[str, str]

    @property
    def pixel_size_um(self) -> float | None:
        """The pixel size of the dataset; None where an export does not state it."""
        sizes = [export.listing.pixel_size_um for export in self.exports]
        return None if None in sizes else sizes[0]

    @property
    def bag_counts(self) -> tuple[int, ...]:
        """Bags of each export."""
        return tuple(int((self.bags[SOURCE] == export.plate).sum()) for export in self.exports)


def survey_cells(config: CellsIngestConfig, base: Path) -> CellSurvey:
    """List what the config names.

    Args:
        config: config of the ingest.
        base: folder that messages leave out of file names.

    Raises:
        InputError: nothing can be made of it whatever ``on_error`` says: no cells, an unknown channel, column or
            measurement, exports of different pixel sizes.
    """
    # All tables before the first export is listed: a column that is not there is said within seconds, not hours.
    tables = [tuple(open_table(table) for table in source.tables) for source in config.sources]
    found = [listed_cells(config, source, mine) for source, mine in zip(config.sources, tables, strict=True)]
    check_pixel_sizes("source", {item.source.name: item.listing.pixel_size_um for item in found})
    config = config.model_copy(update={"markers": markers_of(config, found)})
    _check_measurements(config, found)
    sorted_cells: list[BaggedCells] = []
    for item in found:
        sorted_cells.append(into_bags(item, config, sum(len(each.bags) for each in sorted_cells)))
    table = pd.concat([item.bags for item in sorted_cells], ignore_index=True).fillna("")
    varying = sorted({name for item in sorted_cells for name in item.varying} | {CELL})
    # A column that differs within bags of one export is not a fact about the bags of another.
    table = table.drop(columns=[name for name in varying if name in table.columns])
    return CellSurvey(
        exports=tuple(_export(item, varying, config) for item in sorted_cells),
        bags=table[[*(name for name in BAG_COLUMNS if name in table), *(n for n in table if n not in BAG_COLUMNS)]],
        labels=tuple(varying),
        problems=tuple(problem.relative_to(base) for item in found for problem in item.problems),
        notes=(*(relative_text(note, base) for item in found for note in item.notes), *_near(config, table)),
        matched=tuple(relative_text(text, base) for item in found for text in item.matched),
        markers=config.markers,
    )


def _near(config: CellsIngestConfig, bags: pd.DataFrame) -> tuple[str, ...]:
    """Return notes about bags that are perhaps one, and about those that are called as a missing value is written.

    Names of bags that are perhaps one differ in what no reader sees; numbers do not count there.
    """
    notes: list[str] = []
    for column in config.bags.by:
        names = bags[column].astype(str).tolist()
        notes += near_names([name for name in names if any(map(str.isalpha, name))], column)
        notes += missing_names(names, column, "bag")
    return tuple(notes)


def markers_of(config: CellsIngestConfig, found: Sequence[ListedCells]) -> dict[str, str]:
    """Return name of a marker -> measurement, with every name that has a ``*`` replaced by what it matches.

    Raises:
        InputError: a name with a ``*`` matches no measurement.
    """
    known = list(dict.fromkeys(name for item in found for name in item.measurements))
    markers: dict[str, str] = {}
    for name, measurement in config.markers.items():
        if "*" not in name:
            markers[name] = measurement
            continue
        matching = [each for each in known if fnmatchcase(each, name)]
        if not matching:
            raise InputError(f"'markers': no measurement matches '{name}'; there is {some_of(known) or 'none'}")
        markers |= {each: each for each in matching if each not in markers}
    return markers


def _export(bagged: BaggedCells, labels: Sequence[str], config: CellsIngestConfig) -> CellExport:
    """Return the cells with the columns every export of the dataset has."""
    listed, found = bagged.listed, bagged.listed.cells
    cells: dict[str, Any] = {"bag": found["bag"].to_numpy()}
    for name in labels:
        cells[name] = found[name] if name in found else pd.Series([""] * len(found), dtype=TEXT)
    for name, default in zip(PLACE_COLUMNS, (0, np.nan, np.nan), strict=True):
        cells[name] = found[name].to_numpy() if name in found else np.full(len(found), default)
    for marker, name in config.markers.items():
        values = stored_values(found[name].to_numpy(np.float64)) if name in found else np.float32(np.nan)
        cells[MARKER_PREFIX + marker] = np.broadcast_to(values, len(found))
    return CellExport(
        plate=listed.source.name,
        cells=pd.DataFrame(cells),
        places=listed.listing.places.iloc[listed.row].reset_index(drop=True),
        listing=listed.listing,
        few=bagged.count < config.bags.min_cells,
    )


def _check_measurements(config: CellsIngestConfig, found: Sequence[ListedCells]) -> None:
    known = list(dict.fromkeys(name for item in found for name in item.measurements))
    for marker, name in config.markers.items():
        known_measurement(name, known, f"markers.{marker}", "the sources")
        values = [item.cells[name].to_numpy(np.float64) for item in found if name in item.cells]
        if not any(np.isfinite(stored_values(part)).any() for part in values):
            raise InputError(f"'markers.{marker}': no cell has a number in '{name}'; name another measurement")
