"""What ``wellstream verify`` asks of the tables of a dataset beyond their checksums: that they speak of the same cells.

Checksums prove that no byte changed since the manifest was written; these checks find a manifest that was written
around a table of another dataset.
"""

from __future__ import annotations

import numpy as np

from framework.data.dataset import Dataset
from framework.data.format.checks import need_columns
from framework.data.format.schema import CELL_COLUMNS, CELLS_NAME, MARKER_PREFIX, TILE_COLUMNS, TILES_NAME
from framework.errors import DatasetError
from framework.files.parquet import read_schema


def check_tables(dataset: Dataset) -> None:
    """Check that cells (where the manifest lists them), tiles, markers and targets fit the bags.

    Raises:
        DatasetError: one is of another build; names the file and the first bag that differs.
    """
    if any(record.name == CELLS_NAME for record in dataset.manifest.files):
        _check_cells(dataset)
    markers = tuple(MARKER_PREFIX + name for name in dataset.manifest.markers)
    found = read_schema(dataset.file(TILES_NAME)).names
    need_columns(found, (*TILE_COLUMNS, *markers), f"{dataset.where}/{TILES_NAME}")
    for name in dataset.manifest.targets:
        dataset.target(name)


def _check_cells(dataset: Dataset) -> None:
    file = f"{dataset.where}/{CELLS_NAME}"
    table, bags = dataset.cells(), dataset.bags
    need_columns(table.columns.tolist(), CELL_COLUMNS, file)
    numbers = table["bag"].to_numpy()
    if numbers.dtype.kind not in "iu" or (len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(bags)):
        raise DatasetError(f"{file}: has a row that belongs to no bag of this dataset; ingest again")
    has_tile = (table["status"] == "tile").to_numpy()
    for what, counted, column in (("cells", numbers, "n_cells"), ("tiles", numbers[has_tile], "n_tiles")):
        found = np.bincount(counted, minlength=len(bags))
        wrong = np.flatnonzero(found != bags[column].to_numpy())
        if len(wrong):
            bag = int(wrong[0])
            raise DatasetError(
                f"{file}: holds {found[bag]} {what} of bag {bag}, but bags.parquet counts "
                f"{bags[column].iloc[bag]}: it belongs to another build; ingest again"
            )
