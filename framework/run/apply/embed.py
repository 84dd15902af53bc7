"""``embed``: the vectors of every tile or bag of a dataset, as AnnData."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from framework.data.batch import Batch, fetched
from framework.data.plan import EveryTile
from framework.distributed import Ranks
from framework.errors import ConfigError, RunError
from framework.files.outputs import check_not_read, check_output_file
from framework.objectives import Embeds
from framework.progress import OnProgress
from framework.run.apply.results import EmbedSummary
from framework.run.apply.sharing import Walk, by_rank_0, computed, counted_rows, on_rank_0, write_beside
from framework.run.apply.tables import StreamedTable, bag_rows, facts_of, files_read, tile_rows
from framework.run.train.opened import Application
from framework.run.train.pretrained import open_run

T = TypeVar("T")
TILES_PER_STEP = 256
ATTENTION = "attention"
"""Column of ``obs``: the share of a tile in the vector of its bag."""
Vectors = npt.NDArray[np.float32]


def embed(
    run: Path | str,
    data: Path | str | None,
    out: Path | str,
    level: str = "tile",
    progress: OnProgress | None = None,
    *,
    untrained: bool = False,
    device: str | None = None,
    ranks: Ranks | None = None,
) -> EmbedSummary:
    """Write embeddings. Except for the row table, memory does not grow with the number of tiles.

    Args:
        run: run folder; its best or newest checkpoint and its own scaling are used.
        data: dataset folder; None: the one the run trained on.
        out: .h5ad to write. ``tile``: one row per tile in tile order, which training can read as ``data.embeddings``.
            If the pool of the run has learned how much each tile counts, ``obs["attention"]`` is the share of the tile
            in its bag; the shares of a bag add up to 1. ``bag``: one row per bag that has tiles, embedded from
            all of them.
        level: ``tile`` or ``bag``.
        progress: called with (stage, done, total).
        untrained: use the weights that the run began with, to see what training adds.
        device: ``auto``, ``cpu`` or ``cuda``; None: that of the run's config.
        ranks: processes that share the work; each makes this call, and rank 0 writes. None: this process alone.

    Returns:
        What was written.

    Raises:
        ConfigError: another level, or ``out`` has another ending than .h5ad, or is read.
        WellstreamError: run, data and channels do not fit together.
    """
    if level not in ("tile", "bag"):
        raise ConfigError(f"level: expected one of: tile, bag, found '{level}'")
    by_rank_0(ranks, lambda: check_output_file(out, ".h5ad"))
    opened = open_run(run, ranks, untrained=untrained, device=device)
    objective = opened.having(Embeds)
    by_rank_0(ranks, lambda: check_not_read([Path(out)], files_read(opened, data)))
    on = opened.on(data)
    vectors = _tile_vectors(on, objective, progress)
    return on_rank_0(on.ranks, vectors, lambda tiles: _written(on, objective, tiles, Path(out), level))


def _written(on: Application, objective: Embeds, vectors: Iterator[Vectors], out: Path, level: str) -> EmbedSummary:
    """Write a file from the vectors (n, E) of all tiles, block by block."""
    if level == "bag":
        vectors = _bag_vectors(on, objective, vectors)
        obs = bag_rows(on.dataset, on.parts, np.flatnonzero(np.diff(on.dataset.index.bag_start)))
    else:
        obs = tile_rows(on.dataset, on.parts, on.tiles())
    first = next(vectors)
    with_attention = level == "tile" and _shares(on, objective, first[:1]) is not None
    if with_attention:
        obs = obs.assign(**{ATTENTION: np.float32("nan")})
    with StreamedTable(out, obs, first.shape[1], facts_of(on, "embeddings") | {"level": level}) as table:
        write_beside(chain([first], vectors), table.append)
        if with_attention:
            table.fill(ATTENTION, _attention(on, objective, table))
    return EmbedSummary(file=out, rows=table.rows, columns=first.shape[1], level=level, step=on.run.step)


def _shares(on: Application, objective: Embeds, tiles: Vectors) -> Vectors | None:
    """(N, E) tiles of a bag -> (N,), the share of each; None where the run has learned none."""
    with on.computing():
        found = objective.tile_shares(torch.from_numpy(tiles)[None].to(on.ranks.device))
    return None if found is None else found[0].float().cpu().numpy()


def _attention(on: Application, objective: Embeds, table: StreamedTable) -> Vectors:
    """Return the share of every tile in its bag, from the vectors in ``table``."""
    values = np.full(table.rows, np.nan, dtype=np.float32)
    for start, stop in pairwise(on.dataset.index.bag_start.tolist()):
        if stop > start:
            values[start:stop] = _shares(on, objective, table.written(start, stop))
    return values


def _tile_vectors(on: Application, objective: Embeds, progress: OnProgress | None) -> Iterator[Vectors]:
    """Yield (n, E) blocks of tile embeddings in tile order."""

    def queue(_: int, batch: Batch) -> Callable[[], Vectors]:
        counted = counted_rows(batch)
        with on.computing():
            vectors = fetched(objective.embed_tiles(batch.tiles)[:, 0].float())
        return lambda: vectors()[counted].numpy()

    return every_tile(on, queue, progress)


def every_tile(
    on: Application, queue: Callable[[int, Batch], Callable[[], T]], progress: OnProgress | None
) -> Iterator[T]:
    """Yield what ``queue`` makes of each block of tiles, in tile order; see ``computed``."""
    total = len(on.tiles())

    def told(done: int, _: int) -> None:
        if progress:
            progress("embed", min(done * TILES_PER_STEP, total), total)

    walk = Walk(plans=(EveryTile(on.universe(), rows=TILES_PER_STEP),))
    for _, block in computed(on, [walk], queue, told):
        yield block


def _bag_vectors(on: Application, objective: Embeds, tiles: Iterator[Vectors]) -> Iterator[Vectors]:
    """Yield (1, D) for each bag with tiles, keeping the tiles of one bag in memory."""
    waiting: list[Vectors] = []
    held = 0
    for count in np.diff(on.dataset.index.bag_start):
        if not count:
            continue
        while held < count:
            waiting.append(next(tiles))
            held += len(waiting[-1])
        together = np.concatenate(waiting)
        mine, rest = together[:count], together[count:]
        waiting, held = [rest], len(rest)
        with on.computing():
            bag = objective.embed_bags(torch.from_numpy(mine)[None].to(on.ranks.device))
        yield bag.float().cpu().numpy()
    # Let the loader report that it is done and close its threads.
    for _ in tiles:
        raise RunError(f"{on.dataset.where}: more tiles than the bag table counts; check it with: wellstream verify")
