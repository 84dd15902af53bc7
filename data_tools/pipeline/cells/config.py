"""What an ingest of single cells is made of: the YAML behind ``wellstream ingest`` with ``kind: cells``.

Relative paths are relative to the working directory of the command, not to the config file.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from data_tools.pipeline.build.config import IngestBase, refuse_twice
from data_tools.pipeline.cells.fit import CellTilesConfig, IntensityConfig
from data_tools.readers.cells import CELL_READERS
from data_tools.readers.cells.base import CELL
from data_tools.readers.tables import CELL_TABLES
from framework.config import StrictModel, UniqueNames, choice

log = logging.getLogger(__name__)

GROUP = "Metadata_Group"
"""Column of the random groups ``bags.groups`` makes."""


class CellTableConfig(StrictModel):
    """A table whose rows belong to cells, or to all cells that share a label.

    Attributes:
        table: which table.
        by: ``Metadata_*`` column of the cells -> column of the table; a row of the table is found by all of them.
        shift: number to add to the object numbers of the table (``by`` Metadata_Cell) before they are compared: -1 if
            the table counts from 1 and the export from 0. A join that would fit better with numbers one higher or lower
            is refused until this is set.
        in_order: instead of ``by``: row i of the table belongs to cell i of the source.
        labels: ``Metadata_*`` column to make -> column of the table.
        measurements: columns of numbers to keep for ``markers`` and ``keep``.
    """

    table: choice(CELL_TABLES) = Field(  # type: ignore[valid-type]
        description="a mapping with the key 'name' of a table reader, as {name: csv, path: ...}"
    )
    by: dict[str, str] = Field(default={})
    shift: int | None = None
    in_order: bool = False
    labels: dict[str, str] = Field(default={})
    measurements: UniqueNames = ()

    @model_validator(mode="after")
    def _check(self) -> CellTableConfig:
        if bool(self.by) == self.in_order:
            raise ValueError("expected exactly one of 'by' ({Metadata_Cell: column}) and 'in_order: true'")
        if self.shift is not None and CELL not in self.by:
            raise ValueError(f"'shift' is added to object numbers; it needs {CELL} in 'by'")
        if not self.labels and not self.measurements:
            raise ValueError("expected 'labels' or 'measurements' to take from the table, found neither")
        wrong = [name for name in (*self.by, *self.labels) if not name.startswith("Metadata_")]
        if wrong:
            raise ValueError(f"'{wrong[0]}' is not a column of the cells; their names begin with Metadata_")
        return self


class CellSourceConfig(StrictModel):
    """One export of cells and the tables that go with it."""

    name: str = Field(min_length=1, description="of this export, stored in the column 'source'")
    reader: choice(CELL_READERS) = Field(  # type: ignore[valid-type]
        description="a mapping with the key 'name' of a reader of cells, as {name: crops, path: ...}"
    )
    tables: tuple[CellTableConfig, ...] = ()
    """Tables whose rows belong to these cells."""

    @model_validator(mode="before")
    @classmethod
    def _under_its_former_name(cls, given: Any) -> Any:
        """Take ``plate``, as exports of cells were called before dataset version 3, for ``name``."""
        if not isinstance(given, Mapping) or "plate" not in given or "name" in given:
            return given
        log.warning("sources: 'plate: %s' is read as 'name: %s'; write 'name'", given["plate"], given["plate"])
        return {("name" if key == "plate" else key): value for key, value in given.items()}


class BagsConfig(StrictModel):
    """Which cells make a bag.

    Attributes:
        by: columns whose values, together with the export, make a bag; with none, each export is one bag.
        groups: deal the cells of each bag at random into this many bags, ``Metadata_Group`` 0, 1, ... So cells without
            another unit can be split into train and test.
        together: columns whose equal values keep cells together in one group, such as copies of a cell, or all cells of
            a donor. Groups then have equal numbers of such units, not of cells.
        min_cells: bags with fewer cells get no tiles.
        count_by: the columns that cells are counted by for ``min_cells``; default: the bag without its random group.
    """

    by: tuple[str, ...] = ()
    groups: int | None = Field(default=None, ge=2)
    together: UniqueNames = ()
    min_cells: int = Field(default=1, ge=1)
    count_by: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> BagsConfig:
        for name in (*self.by, *(self.count_by or ()), *self.together):
            if not name.startswith("Metadata_"):
                raise ValueError(f"'{name}' is not a column of the cells; their names begin with Metadata_")
        if self.together and self.groups is None:
            raise ValueError("'together' says which cells share a random group: set 'groups' too")
        if CELL in self.by:
            raise ValueError(f"'by' names {CELL}, which is different for each cell; leave it out")
        if len(set(self.by)) < len(self.by):
            raise ValueError("'by' names a column twice")
        return self


class RangeConfig(StrictModel):
    """Bounds of a measurement, both included; a cell without a value is outside."""

    min: float | None = None
    """Smallest value."""
    max: float | None = None
    """Largest value."""

    @model_validator(mode="after")
    def _check(self) -> RangeConfig:
        if self.min is None and self.max is None:
            raise ValueError("expected 'min', 'max' or both, found neither")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"'min' is {self.min:g}, above 'max' {self.max:g}: no cell would be kept")
        return self


class CellsIngestConfig(IngestBase):
    """A dataset to be made from cells that are already cropped, or that a reader crops.

    Attributes:
        intensity: channel -> what is done to each of its tiles; needs ``tiles.dtype: float32``.
        markers: name of a marker -> measurement of the cells (of the reader, or of ``sources.tables``). A pattern with
            ``*`` on both sides takes every measurement that matches, under its own name: ``{"*": "*"}``.
        keep: measurement -> range; other cells are left out.
    """

    kind: Literal["cells"]
    """What the exports hold: single cells."""
    sources: tuple[CellSourceConfig, ...] = Field(min_length=1, description="a list with one entry an export")
    tiles: CellTilesConfig = CellTilesConfig()
    intensity: dict[str, IntensityConfig] = Field(default={})
    bags: BagsConfig = BagsConfig()
    """Which cells make a bag."""
    markers: dict[str, str] = Field(default={})
    keep: dict[str, RangeConfig] = Field(default={})

    @model_validator(mode="after")
    def _each_channel_once(self) -> CellsIngestConfig:
        refuse_twice("channels", self.channels)
        return self

    @model_validator(mode="after")
    def _each_source_once(self) -> CellsIngestConfig:
        refuse_twice("sources", tuple(source.name for source in self.sources))
        return self

    @model_validator(mode="after")
    def _intensities_of_channels(self) -> CellsIngestConfig:
        unknown = [name for name in self.intensity if name not in self.channels]
        if unknown:
            known = ", ".join(self.channels)
            raise ValueError(f"'intensity' names '{unknown[0]}', which is not one of 'channels': {known}")
        return self

    @model_validator(mode="after")
    def _fractions_are_stored(self) -> CellsIngestConfig:
        if self.intensity and self.tiles.dtype != "float32":
            raise ValueError("'intensity' makes numbers with fractions; set 'tiles.dtype: float32'")
        return self

    @model_validator(mode="after")
    def _matched_markers_keep_their_names(self) -> CellsIngestConfig:
        for name, measurement in self.markers.items():
            if "*" in name + measurement and name != measurement:
                raise ValueError(
                    f"'markers' has '{name}: {measurement}'; a name with * takes measurements under their own names: "
                    f'write "{measurement}": "{measurement}"'
                )
        return self
