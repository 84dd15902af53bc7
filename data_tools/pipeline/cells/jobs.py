"""The shards of an ingest of cells as jobs, each with all that a worker needs, and what tells it from another."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.pipeline.build.folder import BuildFolder
from data_tools.pipeline.build.shard_file import ShardFiles
from data_tools.pipeline.cells.config import CellsIngestConfig
from data_tools.pipeline.cells.listed import reader_of
from data_tools.pipeline.cells.survey import CellExport, CellSurvey
from data_tools.pipeline.cells.task import CellShardJob, check_image
from data_tools.readers.cells import CellImage, CellProblem
from data_tools.tiles import HAS_TILE
from framework.data.format.schema import SOURCE

_TRIED = 3


def shard_jobs(config: CellsIngestConfig, found: CellSurvey, build: BuildFolder) -> list[CellShardJob]:
    """Return the shards: consecutive bags of one export each."""
    jobs: list[CellShardJob] = []
    step = config.shards.bags_per_shard
    for source, export in enumerate(found.exports):
        types = pixel_types(config, source, export)
        bags = found.bags[found.bags[SOURCE] == export.plate]
        bag_of = export.cells["bag"].to_numpy()
        for start in range(0, len(bags), step):
            mine = bags.iloc[start : start + step].reset_index(drop=True)
            first, last = np.searchsorted(bag_of, [mine["bag"].iloc[0], mine["bag"].iloc[-1] + 1])
            rows = np.arange(first, last)
            cells, places = (table.take(rows).reset_index(drop=True) for table in (export.cells, export.places))
            jobs.append(
                CellShardJob(
                    files=ShardFiles(index=len(jobs), root=build.root, parts=build.parts, shards=config.shards),
                    base=build.base,
                    config=config,
                    source=source,
                    bags=mine,
                    cells=cells,
                    places=places,
                    few=export.few[rows],
                    types=types,
                    labels=found.labels,
                    least=config.bags.min_cells if export.listing.several else 1,
                    inputs=_inputs(mine, cells, places, export.few[rows], types),
                )
            )
    return jobs


def pixel_types(config: CellsIngestConfig, source: int, export: CellExport) -> tuple[str, ...]:
    """Return the pixel type of each channel in the first cells of an export that can be read."""
    places = export.places[~export.few].iloc[:_TRIED].reset_index(drop=True)
    for item in reader_of(config.sources[source]).read(places, config.channels):
        if isinstance(item, CellImage) and len(item.pixels):
            return tuple(plane.dtype.name for plane in item.pixels)
    return ("",) * len(config.channels)


def _inputs(
    bags: pd.DataFrame, cells: pd.DataFrame, places: pd.DataFrame, few: npt.NDArray[np.bool_], types: tuple[str, ...]
) -> str:
    """Return a digest of all a shard is made of, beside the config, which ``plan.json`` guards."""
    digest = hashlib.sha256(json.dumps([bags.astype(str).to_dict("split"), types], sort_keys=True).encode())
    for table in (cells, places):
        digest.update(json.dumps(list(table.columns)).encode())
        digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    digest.update(few.tobytes())
    return digest.hexdigest()


def sample_cells(config: CellsIngestConfig, source: int, export: CellExport) -> tuple[int, list[str]]:
    """Read a few cells of an export; return how many tiles all of it would make, and what is wrong with the sample."""
    types, places = pixel_types(config, source, export), export.places[~export.few]
    rows = np.unique(np.linspace(0, max(len(places) - 1, 0), _TRIED).astype(int))[: len(places)]
    good, bad = 0, []
    for item in reader_of(config.sources[source]).read(places.iloc[rows].reset_index(drop=True), config.channels):
        problem = item if isinstance(item, CellProblem) else None
        if isinstance(item, CellImage) and item.status == HAS_TILE:
            problem = check_image(item, types, config)
            good += problem is None
        if problem is not None:
            bad.append(f"source {export.plate}: {problem.detail}")
    return round(good / max(len(rows), 1) * len(places)), bad
