"""``embed``: the vectors of every tile or bag of a dataset, as AnnData."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from framework.data import split
from framework.data.dataset import Dataset
from framework.data.plan import EveryTile, PlanUniverse
from framework.data.split import Parts
from framework.distributed import Ranks
from framework.errors import ConfigError, RunError
from framework.run.apply.tables import Report, StreamedTable, bag_rows, facts_of, tile_rows
from framework.run.train.parts import open_loader, open_tiles
from framework.run.train.pretrained import OpenedRun, open_run, solo

log = logging.getLogger(__name__)

TILES_A_STEP = 256
Vectors = npt.NDArray[np.float32]


def embed(
    run: Path | str,
    data: Path | str | None,
    out: Path | str,
    level: str = "tile",
    progress: Report | None = None,
    *,
    untrained: bool = False,
) -> dict[str, Any]:
    """Write embeddings; memory does not grow with the number of tiles but for the row table.

    Args:
        run: run folder; its best or newest checkpoint and its own scaling are used.
        data: dataset folder; None: the one the run trained on.
        out: .h5ad to write. ``tile``: one row a tile in tile order, which training can read as ``data.embeddings``.
            ``bag``: one row a bag that has tiles, embedded from all of them.
        level: ``tile`` or ``bag``.
        progress: called with (stage, done, total).
        untrained: use the weights the run began with, the baseline for what training adds.

    Returns:
        What was written, for a summary.

    Raises:
        ConfigError: another level.
        WellstreamError: run, data and channels do not fit together.
    """
    if level not in ("tile", "bag"):
        raise ConfigError(f"level: expected one of: tile, bag, found '{level}'")
    opened = open_run(run, untrained=untrained)
    dataset = Dataset.open(opened.config.data.path if data is None else data, opened.config.data.cache)
    parts = parts_for(opened, dataset)
    ranks = solo(opened.config)
    vectors = _tile_vectors(opened, dataset, ranks, progress)
    if level == "bag":
        vectors = _bag_vectors(opened, dataset, ranks, vectors)
    counts = np.diff(dataset.index.bag_start)
    tiles, bags = np.arange(len(dataset.index)), np.flatnonzero(counts)
    obs = tile_rows(dataset, parts, tiles) if level == "tile" else bag_rows(dataset, parts, bags)
    first = next(vectors)
    table = StreamedTable(Path(out), obs, first.shape[1], facts_of(opened, dataset, "embeddings") | {"level": level})
    try:
        written = 0
        for block in _chained(first, vectors):
            table.write(written, block)
            written += len(block)
    except BaseException:
        table.discard()
        raise
    table.close()
    return {"file": str(out), "rows": written, "columns": first.shape[1], "level": level, "step": opened.step}


def parts_for(run: OpenedRun, dataset: Dataset) -> Parts:
    """Return the part of every bag: from the run's split file, or ``unseen`` for wells of another dataset."""
    if run.folder.objective_facts().dataset == dataset.manifest.name:
        try:
            return split.read(run.folder.split_file, dataset.bags)
        except RunError as error:
            log.warning("%s; all its wells count as unseen", error)
    return np.full(len(dataset.bags), "unseen")


def _tile_vectors(run: OpenedRun, dataset: Dataset, ranks: Ranks, progress: Report | None) -> Iterator[Vectors]:
    """Yield (n, E) blocks of tile embeddings in tile order."""
    if not len(dataset.index):
        raise RunError(f"{dataset.where}: no tiles to embed")
    universe = PlanUniverse.of(dataset, np.arange(len(dataset.bags)))
    plan = EveryTile(universe, rows=TILES_A_STEP)
    store = open_tiles(run.config, dataset, run.scale.channels)
    loader = open_loader(run.config, store, plan, ranks=ranks, scale=run.scale, labels={})
    with torch.inference_mode():
        for batch in loader.batches(0, plan.steps_per_epoch):
            with ranks.autocast():
                embedded = run.objective.embed_tiles(batch.tiles)
            counted = batch.weights > 0
            yield embedded[counted, 0].float().cpu().numpy()
            if progress:
                progress("embed", min((batch.step + 1) * TILES_A_STEP, len(store)), len(store))


def _bag_vectors(run: OpenedRun, dataset: Dataset, ranks: Ranks, tiles: Iterator[Vectors]) -> Iterator[Vectors]:
    """Yield (1, D) for each bag with tiles, keeping the tiles of one bag in memory."""
    waiting: list[Vectors] = []
    held = 0
    for count in np.diff(dataset.index.bag_start):
        if not count:
            continue
        while held < count:
            waiting.append(next(tiles))
            held += len(waiting[-1])
        together = np.concatenate(waiting)
        mine, rest = together[:count], together[count:]
        waiting, held = [rest], len(rest)
        with torch.inference_mode(), ranks.autocast():
            bag = run.objective.embed_bags(torch.from_numpy(mine)[None].to(ranks.device))
        yield bag.float().cpu().numpy()
    # Let the loader report that it is done and close its threads.
    for _ in tiles:
        raise RunError(f"{dataset.where}: more tiles than the bag table counts; check it with: wellstream verify")


def _chained(first: Vectors, rest: Iterator[Vectors]) -> Iterator[Vectors]:
    yield first
    yield from rest
