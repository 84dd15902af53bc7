"""Second pass: one task makes one whole shard, its part of every table, and last of all the marker that says so.

For each site of each well: read, correct, find nuclei. When the last site of the well is through, its tiles are cut
from the corrected fields straight into the shard, in a seeded random order. Memory holds the fields of one well and a
few tiles, however large the plate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_tools.nuclei import Nuclei
from data_tools.pipeline.build.facts import CellCounts, Overview, Remark, ShardFacts
from data_tools.pipeline.build.kind import Job
from data_tools.pipeline.build.new_shard import BagCells, NewShard, new_shard
from data_tools.pipeline.build.parts import concatenated
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.pipeline.plates.fields import cut_tiles, open_fields, write_overview
from data_tools.pipeline.plates.plate import (
    PLANE_LABEL,
    Bag,
    Plate,
    Site,
    SiteError,
    correct_site,
    field_of,
    find_centres,
    load_site,
)
from data_tools.pipeline.plates.shading import read_flatfields
from data_tools.readers.problem import Problem
from data_tools.single_cell import CellsConfig, CellTable, join_cells, read_cells
from data_tools.tiles import HAS_TILE, tiles_inside
from framework.data.format.schema import FileRecord
from framework.errors import InputError
from framework.files.names import safe_name

AT_BORDER = "border"
"""Status of a nucleus whose tile would not lie inside the image."""
_LEAST_TO_JUDGE = 10
"""Fewer cells or nuclei may all be apart by chance."""


@dataclass(frozen=True, kw_only=True)
class ShardJob(Job):
    """All a worker needs to make one shard.

    Attributes:
        plate: the plate without its bags.
        bags: consecutive wells of the plate.
        shape: (H, W) of the plate's images.
        types: types of their pixels, one per channel that is read.
        config: config of the ingest.
        flatfields: the file of each channel that is read; none for no correction.
        overviews: (well, site) that get pictures.
        labels: columns of the planes that were the sharpest ones.
    """

    plate: Plate
    bags: tuple[Bag, ...]
    shape: tuple[int, int]
    types: tuple[str, ...]
    config: IngestConfig
    flatfields: tuple[FileRecord, ...]
    overviews: frozenset[tuple[str, int]]
    labels: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of its wells."""
        return len(self.bags)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Nuclei of one site: centres, scores, whether each has a tile, its measured markers; and where its pixels are.

    ``planes`` gives what the site says in each column of ``ShardJob.labels``.
    """

    site: int
    y_px: npt.NDArray[np.float32]
    x_px: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]
    has_tile: npt.NDArray[np.bool_]
    field: int
    markers: npt.NDArray[np.float32]
    matched: int
    planes: dict[str, str]


def make_shard(job: ShardJob) -> ShardFacts:
    """Make a shard with its parts and return the facts its marker holds.

    Raises:
        SiteError: a site cannot be used, and ``on_error`` is ``raise``.
        InputError: a table of cells cannot be used.
        DatasetError: writing failed.
    """
    return _ShardTask(job).run()


class _ShardTask:
    """One run over the wells of a shard; collects what the marker says of them."""

    def __init__(self, job: ShardJob) -> None:
        self.job = job
        self.config = job.config
        self.flatfields = read_flatfields(job.files.root, job.flatfields)
        self.problems: list[Problem] = []
        self.overviews: list[Overview] = []
        self.cells: list[CellCounts] = []
        self.remarks: list[Remark] = []
        most = max((len(bag.sites) for bag in job.bags), default=0)
        shape = (len(self.config.read_channels), *job.shape)
        self.fields = open_fields(most, shape, self.config.tiles.dtype, job.files.parts)

    def run(self) -> ShardFacts:
        job = self.job
        with new_shard(job.files, self.config, self.config.markers, job.labels) as shard:
            for bag in job.bags:
                self._store(bag, self._found(bag), shard)
        return shard.finish(
            job.files,
            job.inputs,
            problems=self.problems,
            overviews=self.overviews,
            cells=self.cells,
            remarks=self.remarks,
        )

    def _found(self, bag: Bag) -> list[Found]:
        """Return the nuclei of each usable site of a well, and join its table of cells, if it has one."""
        plate, cells = self.job.plate.name, None
        if bag.cells and bag.sites:
            cells = cells_of(self._cells_config, bag.cells, plate, bag.well, len(bag.sites))
        sites = enumerate(bag.sites)
        found = [item for field, site in sites if (item := self._site(bag, field, site, cells)) is not None]
        if cells is not None:
            centres = [(item.y_px, item.x_px) for item in found]
            matched = sum(item.matched for item in found)
            check_matches(self._cells_config, cells, (bag.cells, plate, bag.well), centres, matched)
            self.cells.append(
                CellCounts(
                    plate=plate,
                    well=bag.well,
                    cells=len(cells.y_px),
                    without_position=cells.without_position,
                    nuclei=sum(len(item.y_px) for item in found),
                    matched=matched,
                )
            )
        return found

    def _store(self, bag: Bag, found: list[Found], shard: NewShard) -> None:
        """Cut the tiles of a well from its fields into the shard."""
        has_tile = concatenated([item.has_tile for item in found], bool)
        markers = [item.markers for item in found]
        cells = BagCells(
            bag=bag.bag,
            metadata=bag.metadata,
            key=f"{safe_name(self.job.plate.key)}_{bag.well}",
            n_sites=len(found) if bag.sites else bag.n_sites_imaged,
            site=concatenated([np.full(len(item.y_px), item.site) for item in found], np.int16),
            y_px=concatenated([item.y_px for item in found], np.float32),
            x_px=concatenated([item.x_px for item in found], np.float32),
            score=concatenated([item.score for item in found], np.float32),
            status=np.where(has_tile, HAS_TILE, AT_BORDER).astype(object),
            markers=np.concatenate(markers) if markers else np.zeros((0, len(self.config.markers)), np.float32),
            labels={name: _of_sites(found, name) for name in self.job.labels},
        )
        field = concatenated([np.full(len(item.y_px), item.field) for item in found], np.int64)
        order, size = shard.order(cells), self.config.tiles.size_px
        pieces = [cells.with_tile[places] for places in order]
        tiles = (
            cut_tiles(self.fields, field[rows], cells.y_px[rows], cells.x_px[rows], size, shard.counts)
            for rows in pieces
        )
        shard.add(cells, order, tiles)

    @property
    def _cells_config(self) -> Any:
        return self.job.plate.cells

    def _site(self, bag: Bag, field: int, site: Site, cells: CellTable | None) -> Found | None:
        """Correct a site into ``fields[field]`` and find its nuclei; None if it is unusable and to be skipped."""
        config = self.config
        stack = self.fields[field]
        sharpest: dict[str, int] = {}
        try:
            nuclei = self._nuclei(bag, site, stack, sharpest)
        except SiteError as error:
            if config.on_error == "raise":
                raise
            self.problems.append(error.problem)
            return None
        if (bag.well, site.number) in self.job.overviews:
            plate = self.job.plate
            self.overviews += write_overview(stack, plate.name, plate.key, bag, site, config, self.job.files.root)
        size = config.tiles.size_px
        inside = tiles_inside(nuclei.y_px, nuclei.x_px, size, self.job.shape)
        markers, matched = site_markers(
            config.markers, self._cells_config, cells, site.number, nuclei.y_px, nuclei.x_px
        )
        return Found(
            site=site.number,
            y_px=nuclei.y_px,
            x_px=nuclei.x_px,
            score=nuclei.score,
            has_tile=inside,
            field=field,
            markers=markers,
            matched=matched,
            planes={PLANE_LABEL + channel: str(plane) for channel, plane in sharpest.items()},
        )

    def _nuclei(self, bag: Bag, site: Site, stack: npt.NDArray[Any], sharpest: dict[str, int]) -> Nuclei:
        """Read and correct a site into ``stack`` (C, H, W) and find its nuclei. Raises SiteError: it is unusable."""
        job, config = self.job, self.config
        images = load_site(
            site,
            shape=job.shape,
            types=job.types,
            dtype=config.tiles.dtype,
            checks=config.checks,
            base=job.base,
            sharpest=sharpest,
        )
        correct_site(images, self.flatfields, stack)
        image = stack[config.read_channels.index(config.nuclei.channel)]
        field = field_of(job.plate, bag, site, config)
        nuclei = find_centres(image, field, config.nuclei, job.base)
        if nuclei.remark:
            self.remarks.append(Remark(where=str(field), what=nuclei.remark))
        return nuclei


def _of_sites(found: Sequence[Found], name: str) -> npt.NDArray[np.object_]:
    """Return what sites say in a column of text, one value per nucleus; empty where they say nothing."""
    return concatenated([np.full(len(item.y_px), item.planes.get(name, ""), dtype=object) for item in found], object)


def cells_of(config: CellsConfig, file: Path, plate: str, well: str, n_sites: int) -> CellTable:
    """Read the cells of a well.

    Raises:
        InputError: the table cannot be used, or does not say which cell lies in which of several sites.
    """
    cells = read_cells(config, file, well)
    if cells.site is None and n_sites > 1:
        raise InputError(
            f"{file}: plate {plate} well {well} has {n_sites} sites, but the table does not say in which site "
            "a cell lies; name the column of sites with 'cells.site'"
        )
    return cells


def site_markers(
    names: Sequence[str],
    config: CellsConfig | None,
    cells: CellTable | None,
    site: int,
    y_px: npt.NDArray[np.float32],
    x_px: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], int]:
    """Return float32 (K, M) of the nuclei of a site, and how many of them have a cell.

    Args:
        names: markers of the dataset, in order.
        config: how cells are joined.
        cells: cells of the well; None for a well without a table.
        site: which.
        y_px, x_px: (K,) centres.
    """
    values = np.full((len(y_px), len(names)), np.nan, dtype=np.float32)
    if cells is None or config is None:
        return values, 0
    mine, matched = join_cells(cells.of_site(site), y_px, x_px, config.max_distance_px)
    for column, name in enumerate(config.markers):
        values[:, names.index(name)] = mine[:, column]
    return values, matched


def check_matches(
    config: CellsConfig,
    cells: CellTable,
    where: tuple[Path | None, str, str],
    sites: Sequence[tuple[Any, Any]],
    matched: int,
) -> None:
    """Refuse a well whose cells all lie elsewhere than its nuclei: its positions are not pixels of these images.

    Args:
        config: how cells are joined.
        cells: cells of the well.
        where: file, plate and well.
        sites: (y_px, x_px) of the nuclei of each site.
        matched: nuclei that have a cell.

    Raises:
        InputError: not one matches, of at least ten of either.
    """
    file, plate, well = where
    first = next((site for site in sites if len(site[0])), None)
    n_nuclei = sum(len(y) for y, _ in sites)
    if first is None or matched or min(n_nuclei, len(cells.y_px)) < _LEAST_TO_JUDGE:
        return
    raise InputError(
        f"{file}: plate {plate} well {well}: none of {len(cells.y_px)} cells lies within "
        f"{config.max_distance_px:g} px of any of {n_nuclei} nuclei; the table has a cell at x "
        f"{cells.x_px[0]:.1f}, y {cells.y_px[0]:.1f}, the image a nucleus at x {first[1][0]:.1f}, y "
        f"{first[0][0]:.1f} px; check 'cells.x', 'cells.y' (px, not um) and 'cells.offset_px'"
    )
