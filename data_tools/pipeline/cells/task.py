"""One task makes one whole shard of cells: its pixels, its part of every table, and last of all its marker.

The reader yields the cells of all bags of the shard in order, one open file at a time; each is checked, fitted, scaled
and spilled. When a bag is through, its tiles go from the spill into the shard in a seeded random order.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.pipeline.build.facts import ShardFacts
from data_tools.pipeline.build.folder import explained
from data_tools.pipeline.build.kind import Job
from data_tools.pipeline.build.new_shard import BagCells, NewShard, new_shard
from data_tools.pipeline.build.parts import PixelCounts
from data_tools.pipeline.cells.config import CellsIngestConfig
from data_tools.pipeline.cells.fit import fit_crop, fitting_problem, scale_tile
from data_tools.pipeline.cells.listed import problem_of, reader_of
from data_tools.readers.cells import CellImage, CellProblem
from data_tools.readers.cells.base import CELL
from data_tools.readers.problem import Problem
from data_tools.tiles import HAS_TILE
from framework.data.format.schema import BAG, MARKER_PREFIX, SOURCE
from framework.errors import InputError
from framework.files.names import safe_name

FEW = "few_cells"
"""Status of cells of bags under ``bags.min_cells``."""
_DTYPES = (np.uint8, np.uint16, np.float32)


@dataclass(frozen=True, kw_only=True)
class CellShardJob(Job):
    """All a worker needs to make one shard.

    Attributes:
        config: config of the ingest.
        source: number of the export in ``config.sources``.
        bags: rows of the bag table.
        cells: rows of ``CellExport.cells`` of these bags.
        places: the same rows, for the reader.
        few: bool (rows,), cells that are not read.
        types: pixel type of each channel, as in the first cell of the export.
        labels: ``Metadata_*`` columns to store with the tiles.
        least: tiles that a bag needs, where its cells are only known now.
    """

    config: CellsIngestConfig
    source: int
    bags: pd.DataFrame
    cells: pd.DataFrame
    places: pd.DataFrame
    few: npt.NDArray[np.bool_]
    types: tuple[str, ...]
    labels: tuple[str, ...]
    least: int

    @property
    def size(self) -> int:
        """Number of its cells."""
        return len(self.cells)


class Spill:
    """The tiles of one bag on disk, in the order they came.

    Attributes:
        tiles: how many.
    """

    def __init__(self, stream: BinaryIO, shape: tuple[int, ...], dtype: str) -> None:
        self._stream = stream
        self._shape = shape
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._nbytes = int(np.prod(shape)) * self._dtype.itemsize
        self.tiles = 0

    def add(self, tiles: npt.NDArray[Any]) -> None:
        """Append tiles (n, *shape)."""
        self._stream.write(tiles.astype(self._dtype, copy=False).data)
        self.tiles += len(tiles)

    def take(self, chosen: npt.NDArray[np.int64], counts: PixelCounts) -> npt.NDArray[Any]:
        """Return the tiles at places ``chosen`` int64 (n,), as (n, *shape), and count their pixels."""
        self._stream.flush()
        tiles = np.empty((len(chosen), *self._shape), dtype=self._dtype)
        for tile, position in zip(tiles, chosen, strict=True):
            got = os.preadv(self._stream.fileno(), [tile.data.cast("B")], int(position) * self._nbytes)
            if got != self._nbytes:
                raise OSError(f"the spill file gave {got} of {self._nbytes} bytes")
        counts.add(tiles)
        return tiles


@dataclass(kw_only=True)
class _Bag:
    """A bag while its cells come in: one value per cell that was found, and the spill with their tiles."""

    spill: Spill
    rows: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    places: list[tuple[float, float]] = field(default_factory=list)
    status: list[str] = field(default_factory=list)


def make_cell_shard(job: CellShardJob) -> ShardFacts:
    """Make a shard with its parts and return the facts its marker holds.

    Raises:
        InputError: a cell cannot be used, and ``on_error`` is ``raise``.
        DatasetError: writing failed.
    """
    return _CellShardTask(job).run()


def check_image(image: CellImage, types: tuple[str, ...], config: CellsIngestConfig) -> CellProblem | None:
    """Return what is wrong with a cell, or None: sizes, pixel types, values that are not numbers."""
    pixels = list(image.pixels)
    shapes = {tuple(int(edge) for edge in plane.shape) for plane in pixels}
    if len(shapes) > 1 or len(next(iter(shapes))) != 2 or 0 in next(iter(shapes)):
        shown = ", ".join(" x ".join(map(str, shape)) for shape in sorted(shapes))
        return CellProblem(reason="unequal_channels", detail=f"its channels have the sizes {shown} px; export it again")
    for channel, plane, wanted in zip(config.channels, pixels, types, strict=True):
        found = plane.dtype.name
        if plane.dtype.type not in _DTYPES:
            text = f"channel '{channel}' has pixels of {found}, expected uint8, uint16 or float32; convert it"
            return CellProblem(reason="pixel_type", detail=text)
        if found != wanted:
            text = f"channel '{channel}' has pixels of {found}, the first cell of the export of {wanted}"
            return CellProblem(reason="pixel_type", detail=text)
        if plane.dtype.kind == "f" and config.tiles.dtype != "float32":
            text = f"channel '{channel}' has pixels of float32, which tiles of {config.tiles.dtype} cannot hold; "
            return CellProblem(reason="pixel_type", detail=f"{text}set 'tiles.dtype: float32'")
        if plane.dtype.kind == "f" and not np.isfinite(plane).all():
            bad = int(np.size(plane) - np.isfinite(plane).sum())
            text = f"{bad} of {plane.size} pixels of channel '{channel}' are NaN or infinite; export it again"
            return CellProblem(reason="nan_pixels", detail=text)
    unfit = fitting_problem(next(iter(shapes)), config.tiles)  # type: ignore[arg-type]
    return CellProblem(reason="unequal_size", detail=unfit) if unfit else None


class _CellShardTask:
    """One run over the bags of a shard; collects what the tables and the marker need."""

    def __init__(self, job: CellShardJob) -> None:
        self.job, self.config = job, job.config
        self.problems: list[Problem] = []
        self.known = job.cells[["y_px", "x_px"]].to_numpy(np.float32)
        self.bag_of = job.cells["bag"].to_numpy()

    def run(self) -> ShardFacts:
        job, tiles = self.job, self.config.tiles
        shape = (len(self.config.channels), tiles.size_px, tiles.size_px)
        with new_shard(job.files, self.config, tuple(self.config.markers), job.labels) as shard:
            for (_, bag), found in zip(job.bags.iterrows(), self._by_bag(), strict=True):
                with explained(job.files.parts), tempfile.TemporaryFile(dir=job.files.parts) as stream:
                    mine = _Bag(spill=Spill(stream, shape, tiles.dtype))
                    self._collect(bag, found, mine)
                    self._store(bag, mine, shard)
        return shard.finish(job.files, job.inputs, problems=self.problems)

    def _by_bag(self) -> Iterable[Iterable[CellImage | CellProblem]]:
        """Yield what the reader finds, bag by bag; the reader walks over the whole shard once."""
        job = self.job
        read = np.flatnonzero(~job.few)
        places = job.places.iloc[read].reset_index(drop=True)
        found = reader_of(self.config.sources[job.source]).read(places, self.config.channels)
        rows = (replace(item, row=int(read[item.row or 0])) for item in found)
        groups = itertools.groupby(rows, key=lambda item: int(self.bag_of[item.row or 0]))
        waiting = next(groups, None)
        for bag in job.bags["bag"]:
            if waiting is not None and waiting[0] == bag:
                yield waiting[1]
                waiting = next(groups, None)
            else:
                yield ()

    def _collect(self, bag: pd.Series[Any], found: Iterable[CellImage | CellProblem], mine: _Bag) -> None:
        """Spill the tiles of a bag and note every cell found."""
        chunk: list[npt.NDArray[Any]] = []
        for item in found:
            if isinstance(item, CellProblem):
                self._refuse(bag, item)
                continue
            if item.status == HAS_TILE:
                problem = check_image(item, self.job.types, self.config)
                if problem is not None:
                    self._refuse(bag, replace(problem, row=item.row))
                    continue
                chunk.append(self._tile(item))
            self._note(mine, item)
            if len(chunk) == self.config.shards.chunk_tiles:
                self._spill(mine, chunk)
        self._spill(mine, chunk)

    def _tile(self, item: CellImage) -> npt.NDArray[Any]:
        tile = fit_crop(list(item.pixels), self.config.tiles)
        scale_tile(tile, self.config.channels, self.config.intensity)
        return tile

    def _note(self, mine: _Bag, item: CellImage) -> None:
        y, x = self.known[item.row]
        mine.rows.append(item.row)
        mine.names.append(item.name)
        mine.places.append((y if item.y_px is None else item.y_px, x if item.x_px is None else item.x_px))
        mine.status.append(item.status)

    def _spill(self, mine: _Bag, chunk: list[npt.NDArray[Any]]) -> None:
        if chunk:
            mine.spill.add(np.stack(chunk))
            chunk.clear()

    def _refuse(self, bag: pd.Series[Any], problem: CellProblem) -> None:
        """Raise a problem, or keep it for ``dataset.json``."""
        row = int(problem.row or 0)
        cell = self.job.cells[CELL].iloc[row]
        named = replace(problem, detail=f"cell {cell}: {problem.detail}")
        shown = problem_of(str(bag[SOURCE]), str(bag[BAG]), named).relative_to(self.job.base)
        if self.config.on_error == "raise":
            raise InputError(shown.detail)
        self.problems.append(shown)

    def _store(self, bag: pd.Series[Any], mine: _Bag, shard: NewShard) -> None:
        """Store the tiles of a bag, and its cells whether they have one or not."""
        few = np.flatnonzero(self.job.few & (self.bag_of == bag["bag"]))
        rows = np.concatenate([np.asarray(mine.rows, np.int64), few])
        status = np.asarray([*mine.status, *[FEW] * len(few)], dtype=object)
        if mine.spill.tiles < self.job.least:
            status[status == HAS_TILE] = FEW
        cells, known = self.job.cells.iloc[rows], self.known[rows]
        known[: len(mine.places)] = np.asarray(mine.places, np.float32).reshape(-1, 2)
        names = [f"{cell}{name}" for cell, name in zip(cells[CELL], [*mine.names, *[""] * len(few)], strict=True)]
        named = {CELL: np.asarray(names, dtype=object)}
        markers = [MARKER_PREFIX + name for name in self.config.markers]
        number = int(bag["bag"])
        found = BagCells(
            bag=number,
            metadata={str(name): str(value) for name, value in bag.items() if name != "bag"},
            key=f"{number:06d}-{safe_name(str(bag[BAG]))[:40]}",
            n_sites=int(cells["site"].nunique()),
            site=cells["site"].to_numpy(np.int16),
            y_px=known[:, 0],
            x_px=known[:, 1],
            score=np.full(len(rows), np.nan, np.float32),
            status=status,
            markers=cells[markers].to_numpy(np.float32),
            labels={name: cells[name].to_numpy(dtype=object) for name in self.job.labels} | named,
            in_samples={"cell": named[CELL]},
        )
        order = shard.order(found)
        shard.add(found, order, (mine.spill.take(places, shard.counts) for places in order))
