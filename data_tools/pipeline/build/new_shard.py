"""A shard while a task makes it: its tiles bag by bag, its part of every table, and last of all its marker.

A kind of ingest finds the cells of a bag and can give their tiles; all that follows is the same for every kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_tools.pipeline.build.config import IngestBase
from data_tools.pipeline.build.facts import BagFacts, CellCounts, Overview, Remark, ShardFacts, write_marker
from data_tools.pipeline.build.parts import (
    CELLS_SCHEMA,
    PixelCounts,
    concatenated,
    save_counts,
    table_of,
    tiles_schema,
    write_tables,
)
from data_tools.pipeline.build.shard_file import ShardFile, ShardFiles, open_shard
from data_tools.readers.problem import Problem
from data_tools.shards import random_order
from data_tools.tiles import HAS_TILE
from framework.data.format.schema import BAG, MARKER_PREFIX, PERTURBATION, SOURCE, STIMULATION

Tiles = npt.NDArray[Any]
"""(n, C, H, W)"""
Places = npt.NDArray[np.int64]
"""(n,), places among the tiles of a bag in the order their cells were found."""
_PIECE_BYTES = 1 << 19
"""Tiles that are cut, counted, summed and written while they lie in the processor's cache."""


@dataclass(frozen=True, kw_only=True)
class BagCells:
    """The cells of one bag, one row per cell in the order they were found.

    Attributes:
        bag: number of the bag.
        metadata: its source, its name and its ``Metadata_*`` columns.
        key: the bag in the names of samples.
        n_sites: fields of view that were used.
        site: int16 (K,), field of view of each cell.
        y_px, x_px: float32 (K,), centres; NaN where they are not known.
        score: float32 (K,), how clear a nucleus is; NaN where nobody looked for it.
        status: text (K,), ``HAS_TILE`` or why there is none.
        markers: float32 (K, M), in the order of the dataset's markers.
        labels: column -> text (K,), stored with the tiles.
        in_samples: key -> text (K,), told in the JSON of each sample too.
    """

    bag: int
    metadata: dict[str, str]
    key: str
    n_sites: int
    site: npt.NDArray[np.int16]
    y_px: npt.NDArray[np.float32]
    x_px: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]
    status: npt.NDArray[np.object_]
    markers: npt.NDArray[np.float32]
    labels: Mapping[str, npt.NDArray[np.object_]] = field(default_factory=dict)
    in_samples: Mapping[str, npt.NDArray[np.object_]] = field(default_factory=dict)

    @property
    def with_tile(self) -> npt.NDArray[np.int64]:
        """Rows of the cells that have a tile, int64 (n,)."""
        return np.flatnonzero(self.status == HAS_TILE)


class NewShard:
    """A shard that takes bags; made by ``new_shard``.

    Attributes:
        counts: counts of the pixels of all its tiles; whoever gives tiles adds them.
    """

    def __init__(self, config: IngestBase, markers: Sequence[str], labels: Sequence[str], file: ShardFile) -> None:
        self._config, self._markers, self._file = config, tuple(markers), file
        self._schema = tiles_schema(markers, labels)
        self._cells: list[pa.Table] = []
        self._tiles: list[pa.Table] = []
        self._bags: list[BagFacts] = []
        self._n_cells = 0
        self._tile_bytes = len(config.channels) * config.tiles.size_px**2 * np.dtype(config.tiles.dtype).itemsize
        self.counts = PixelCounts.empty(len(config.channels), config.tiles.dtype == "float32")

    def order(self, cells: BagCells) -> list[Places]:
        """Return the tiles of a bag in the seeded random order in which they are stored, piece by piece.

        Memory need not hold more than a piece, and no piece lies in two samples.
        """
        named = cells.metadata[SOURCE], cells.metadata[BAG]
        order = random_order(len(cells.with_tile), self._config.seed, "tiles", *named)
        # A sample begins with a piece of one tile: sums of float pixels depend on where tiles are parted.
        size, most = self._config.shards.chunk_tiles, max(1, _PIECE_BYTES // self._tile_bytes)
        samples = [order[start : start + size] for start in range(0, len(order), size)]
        return [piece for each in samples for piece in np.split(each, range(1, len(each), most))]

    def add(self, cells: BagCells, order: Sequence[Places], tiles: Iterable[Tiles]) -> None:
        """Write the tiles of a bag, and keep its rows of every table.

        Args:
            cells: cells of the bag.
            order: order of its tiles, as ``order`` returned it.
            tiles: tiles of each piece of the order; taken one by one, as they are written.
        """
        rows = cells.with_tile[concatenated(order, np.int64)]
        size, coming = self._config.shards.chunk_tiles, iter(tiles)
        offsets = [np.zeros(0, dtype=np.int64)]
        for number, start in enumerate(range(0, len(rows), size)):
            mine = rows[start : start + size]
            part = _next_tiles(coming, len(mine))
            facts = self._sample(cells, mine, start)
            offsets.append(self._file.writer.add(f"{cells.key}_{number:05d}", len(mine), part, facts))
        self._tiles.append(self._tile_table(cells, rows, np.concatenate(offsets)))
        self._cells.append(_cells_table(cells))
        self._n_cells += len(cells.status)
        self._bags.append(
            BagFacts(
                bag=cells.bag,
                metadata=cells.metadata,
                n_sites=cells.n_sites,
                n_cells=len(cells.status),
                n_tiles=len(rows),
            )
        )

    def finish(
        self,
        files: ShardFiles,
        inputs: str,
        *,
        problems: Sequence[Problem],
        overviews: Sequence[Overview] = (),
        cells: Sequence[CellCounts] = (),
        remarks: Sequence[Remark] = (),
    ) -> ShardFacts:
        """Write the parts of the tables, then the marker; return what it says. The block of ``new_shard`` has ended.

        Raises:
            DatasetError: writing failed.
        """
        write_tables(files.part("cells.parquet"), [pa.concat_tables(self._cells)], CELLS_SCHEMA)
        nbytes = pa.array(concatenated(self._file.writer.tile_nbytes, np.int32))
        column = self._schema.get_field_index("nbytes")
        tiles = pa.concat_tables(self._tiles).set_column(column, self._schema.field("nbytes"), nbytes)
        write_tables(files.part("tiles.parquet"), [tiles.combine_chunks()], self._schema)
        save_counts(files.part("counts.npz"), self.counts)
        facts = ShardFacts(
            inputs=inputs,
            shard=self._file.stored,
            bags=tuple(self._bags),
            problems=tuple(problems),
            overviews=tuple(overviews),
            cells=tuple(cells),
            remarks=tuple(remarks),
        )
        write_marker(files.marker, facts, files.all_parts)
        return facts

    def _tile_table(self, cells: BagCells, rows: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64]) -> pa.Table:
        """Return the rows of tiles.parquet; ``cell`` counts from the first of the shard, ``nbytes`` come later."""
        columns: dict[str, Any] = {
            "bag": np.full(len(rows), cells.bag, np.int32),
            "site": cells.site[rows],
            "y_px": cells.y_px[rows],
            "x_px": cells.x_px[rows],
            "cell": self._n_cells + rows,
            "shard": np.zeros(len(rows), np.int32),
            "offset": offsets,
            "nbytes": np.zeros(len(rows), np.int32),
            **{MARKER_PREFIX + name: cells.markers[rows, place] for place, name in enumerate(self._markers)},
            **{name: values[rows] for name, values in cells.labels.items()},
        }
        return table_of(columns, self._schema)

    def _sample(self, cells: BagCells, rows: npt.NDArray[np.int64], first: int) -> dict[str, Any]:
        """Return what a sample's JSON says: the bag, and of each tile its site and centre."""
        return {
            "bag": cells.bag,
            "source": cells.metadata[SOURCE],
            "name": cells.metadata[BAG],
            "perturbation": cells.metadata[PERTURBATION],
            "stimulation": cells.metadata[STIMULATION],
            "channels": list(self._config.channels),
            "first_tile": first,
            "n": len(rows),
            "site": cells.site[rows].tolist(),
            "y_px": _numbers(cells.y_px[rows]),
            "x_px": _numbers(cells.x_px[rows]),
            **{key: values[rows].tolist() for key, values in cells.in_samples.items()},
        }


@contextmanager
def new_shard(
    files: ShardFiles, config: IngestBase, markers: Sequence[str], labels: Sequence[str] = ()
) -> Iterator[NewShard]:
    """Open the file of a shard for bags; after the block, ``NewShard.finish`` writes the rest.

    Args:
        files: where it goes.
        config: config of the ingest.
        markers: names of the measurements stored with each tile.
        labels: columns of text stored with each tile.

    Raises:
        DatasetError: writing failed.
    """
    with open_shard(files, config.channels, config.tiles.size_px, config.tiles.dtype) as file:
        yield NewShard(config, markers, labels, file)


def _next_tiles(coming: Iterator[Tiles], count: int) -> Iterator[Tiles]:
    """Yield pieces until they hold ``count`` tiles; fewer where none is left."""
    for piece in coming:
        yield piece
        count -= len(piece)
        if count <= 0:
            return


def _cells_table(cells: BagCells) -> pa.Table:
    columns: dict[str, Any] = {
        "bag": np.full(len(cells.status), cells.bag, np.int32),
        "site": cells.site,
        "y_px": cells.y_px,
        "x_px": cells.x_px,
        "score": cells.score,
        "status": cells.status,
    }
    return table_of(columns, CELLS_SCHEMA)


def _numbers(values: npt.NDArray[np.float32]) -> list[float | None]:
    """Return positions for JSON, which knows no NaN."""
    return [None if value != value else value for value in values.astype(float).tolist()]
