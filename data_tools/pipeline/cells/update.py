"""A finished dataset of cells gets other labels and measurements from its tables; its pixels stay as they are.

The export is listed again, because the tables join its cells, and none of its pixels is read. Tables become what an
ingest with the new config makes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.pipeline.build.folder import bag_rows
from data_tools.pipeline.build.update import COUNTS, NewTables, UpdateSummary, update_tables
from data_tools.pipeline.cells.config import CellsIngestConfig
from data_tools.pipeline.cells.survey import CellSurvey, survey_cells
from data_tools.pipeline.cells.task import FEW
from data_tools.readers.cells.base import CELL
from framework.data.format.schema import BAG, CELLS_NAME, MARKER_PREFIX, SOURCE, TILE_COLUMNS, TILES_NAME, Manifest
from framework.errors import InputError
from framework.files.parquet import open_parquet
from framework.progress import OnProgress

_ELSE = "an update reads no image and moves no cell: ingest into another folder"
_NAMED = ("bag", "site", CELL)
"""What names a cell with the labels that its reader gives it."""


def update_cells(config: CellsIngestConfig, root: Path, base: Path, report: OnProgress) -> UpdateSummary:
    """Make the tables of a finished dataset of cells again with another config; shards stay byte by byte.

    Args:
        config: the new one.
        root: folder of the dataset, absolute.
        base: folder that messages leave out of file names.
        report: called with ("tables", done, total).

    Raises:
        DatasetError: as ``update_tables``.
        InputError: a table or an export that cannot be used, tables that would move cells to other bags, take some out
            or add some, or cells that are only found as images are read.
    """
    return update_tables(config, root, "cells", report, lambda manifest: _tables(config, manifest, root, base))


def _tables(config: CellsIngestConfig, manifest: Manifest, root: Path, base: Path) -> NewTables:
    found = survey_cells(config, base)
    several = [export.plate for export in found.exports if export.listing.several]
    if several:
        raise InputError(
            f"source '{several[0]}': its reader finds cells while it reads images, so an update from tables "
            "is not possible; ingest into another folder"
        )
    rows = bag_rows(root)
    _check_bags(found, rows, manifest, root)
    cells = pd.concat([export.cells for export in found.exports], ignore_index=True)
    tiles = _tile_names(root)
    taken = _rows_of(tiles, cells, config)
    columns = [name for name in (*found.labels, *(MARKER_PREFIX + marker for marker in found.markers)) if name != CELL]
    n = sum(int(row["n_cells"]) for row in rows)
    skipped = tuple(item for item in manifest.skipped if item.bag)
    return NewTables(
        rows=_bag_rows(found, rows),
        of_cells={name: _spread(cells[name].to_numpy()[taken], tiles["cell"].to_numpy(), n) for name in columns},
        markers=tuple(found.markers),
        labels=found.labels,
        problems=found.problems,
        kept=skipped,
        said=(*found.notes, *found.matched),
        notes=(*found.notes, *found.matched),
    )


def _check_bags(found: CellSurvey, rows: Sequence[Mapping[str, Any]], manifest: Manifest, root: Path) -> None:
    """Refuse tables that change which bags there are, how many cells each has, or which are too few for tiles."""
    old = [(str(row[SOURCE]), str(row[BAG])) for row in rows]
    new = list(zip(found.bags[SOURCE].astype(str), found.bags[BAG].astype(str), strict=True))
    if old != new:
        lost, more = ([pair for pair in one if pair not in other] for one, other in ((old, set(new)), (new, set(old))))
        what = f"bag '{'/'.join(lost[0])}' would go" if lost else f"bag '{'/'.join((more or new)[0])}' would be new"
        raise InputError(f"the tables change which bags there are: {what}; {_ELSE}")
    unread = Counter((item.source, item.bag) for item in manifest.skipped if item.bag)
    bag, few = (np.concatenate(parts) for parts in zip(*((e.cells["bag"], e.few) for e in found.exports), strict=True))
    counts, too_few = (np.bincount(which, minlength=len(rows)) for which in (bag, bag[few]))
    with open_parquet(root / CELLS_NAME) as file:
        before = file.read(["bag", "status"]).to_pandas()
    were_too_few = np.bincount(before["bag"][before["status"] == FEW], minlength=len(rows))
    for row, pair in zip(rows, old, strict=True):
        n, had = int(counts[row["bag"]]), int(row["n_cells"]) + unread[pair]
        if n != had or too_few[row["bag"]] != were_too_few[row["bag"]]:
            what = f"{n} cells" if n != had else f"{too_few[row['bag']]} cells under 'bags.min_cells'"
            was = had if n != had else were_too_few[row["bag"]]
            raise InputError(f"bag '{'/'.join(pair)}' would have {what} with these tables, but has {was}; {_ELSE}")


def _tile_names(root: Path) -> pd.DataFrame:
    """Return what names the cell of each tile, and its row in cells.parquet."""
    with open_parquet(root / TILES_NAME) as file:
        names = file.schema_arrow.names
        text = [name for name in names if name not in TILE_COLUMNS and not name.startswith(MARKER_PREFIX)]
        table: pd.DataFrame = file.read(["cell", "bag", "site", *text]).to_pandas()
    return table


def _rows_of(tiles: pd.DataFrame, cells: pd.DataFrame, config: CellsIngestConfig) -> npt.NDArray[np.int64]:
    """Return the row of ``cells`` of each tile, int64 (n,)."""
    of_tables = {name for source in config.sources for table in source.tables for name in table.labels}
    by = [name for name in tiles if name in cells and (name in _NAMED or name not in of_tables)]
    keys = [frame[by].astype(dict.fromkeys(by, str)) for frame in (tiles, cells)]
    again = keys[1].duplicated().to_numpy()
    if again.any():
        row = keys[1].iloc[int(np.flatnonzero(again)[0])]
        raise InputError(f"two cells of one bag are called '{row[CELL]}', so a table cannot tell them apart: {_ELSE}")
    numbered = keys[1].assign(_row=np.arange(len(cells)))
    taken = keys[0].merge(numbered, on=by, how="left")["_row"].fillna(-1).to_numpy(np.int64)
    if (taken < 0).any():
        row = tiles.iloc[int(np.flatnonzero(taken < 0)[0])]
        raise InputError(
            f"cell '{row[CELL]}' of bag {row['bag']} has a tile, but with these tables it is no longer in "
            f"that bag; {_ELSE}"
        )
    return taken


def _spread(values: npt.NDArray[Any], cell: npt.NDArray[np.int64], n: int) -> npt.NDArray[Any]:
    """Return values of tiles at the rows of their cells, (n,); rows without a tile are never asked for."""
    spread = np.zeros(n, values.dtype)
    spread[cell] = values
    return spread


def _bag_rows(found: CellSurvey, old: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    new = found.bags.to_dict("records")
    return [
        {"bag": before["bag"]}
        | {str(name): str(value) for name, value in now.items() if name != "bag"}
        | {name: before[name] for name in COUNTS}
        for now, before in zip(new, old, strict=True)
    ]
