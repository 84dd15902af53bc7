"""``embed --layers``: pooled outputs of layers inside the network, one AnnData file each, in one pass over tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from framework.data.batch import Batch, fetched
from framework.data.loading.transform import VIEWS, Views, need_views
from framework.data.loading.transform import views as mirrored
from framework.distributed import Ranks
from framework.errors import ConfigError
from framework.files.outputs import check_output_folder
from framework.models import SpatialPool, need_layers, pooled_layers
from framework.objectives import Embeds
from framework.progress import OnProgress
from framework.run.apply.embed import every_tile
from framework.run.apply.results import LayersSummary
from framework.run.apply.sharing import by_rank_0, on_rank_0, write_beside
from framework.run.apply.tables import StreamedTable, facts_of, tile_rows
from framework.run.train.opened import Application
from framework.run.train.pretrained import open_run

POOLS: tuple[SpatialPool, ...] = ("max", "mean")
Vectors = npt.NDArray[np.float32]


def embed_layers(
    run: Path | str,
    data: Path | str | None,
    out: Path | str,
    layers: Sequence[str],
    pool: str = "max",
    untrained: bool = False,
    views: int | str = 1,
    progress: OnProgress | None = None,
    *,
    device: str | None = None,
    ranks: Ranks | None = None,
) -> LayersSummary:
    """Write ``<layer>.h5ad`` for each layer: one row per tile in tile order, its maps pooled over space.

    Every file is written block by block. Except for the row table, memory does not grow with the number of tiles.

    Args:
        run: run folder; its best or newest checkpoint and its own scaling are used.
        data: dataset folder; None: the one the run trained on.
        out: folder to write.
        layers: names of layers of the objective's network, such as conv4 of the source encoder (paired inpainting) or
            trunk.layer4 (a ResNet).
        pool: ``max`` (Lu et al. 2019) or ``mean`` over space.
        untrained: use the weights that the run began with, to see what training adds.
        views: 1: cells as stored (Lu et al. 2019). 4: the mean over the cell, both mirror images and the half turn. 8:
            over all symmetries of the square, because a cell may lie in its crop in any direction. ``image2omics``: the
            four views of the code of Mehrizi 2023 (see ``predict``). The work is as many times larger.
        progress: called with (stage, done, total).
        device: ``auto``, ``cpu`` or ``cuda``; None: that of the run's config.
        ranks: processes that share the work; each makes this call, and rank 0 writes. None: this process alone.

    Returns:
        What was written.

    Raises:
        ConfigError: another pool, or no layers.
        WellstreamError: run, data, channels and layers do not fit together.
    """
    pooled_by = _need_pool(pool)
    seen = need_views(views)
    if not layers:
        raise ConfigError("layers: expected at least one name, such as conv4")
    folder = Path(out)
    if folder.suffix == ".h5ad":
        raise ConfigError(f"{folder}: each layer gets its own file; name a folder")
    by_rank_0(ranks, lambda: check_output_folder(folder))
    opened = open_run(run, ranks, untrained=untrained, device=device)
    objective = opened.having(Embeds)
    need_layers(objective.feature_network(), layers)
    on, reading = opened.on(data), Reading(pool=pooled_by, views=seen)
    blocks = _blocks(on, objective, layers, reading, progress)
    rows = on_rank_0(on.ranks, blocks, lambda made: _write(on, folder, made, reading))
    files = tuple(folder / f"{layer}.h5ad" for layer in layers)
    return LayersSummary(files=files, rows=rows, pool=pooled_by, views=seen, step=opened.step)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a tile's maps become one vector: pooled over space, averaged over views."""

    pool: SpatialPool
    views: Views


def _need_pool(name: str) -> SpatialPool:
    for known in POOLS:
        if name == known:
            return known
    raise ConfigError(f"pool: expected one of: {', '.join(POOLS)}, found '{name}'")


def _write(on: Application, folder: Path, blocks: Iterator[dict[str, Vectors]], reading: Reading) -> int:
    """Stream all blocks to the files, which appear together at the end; return the number of rows."""
    obs = tile_rows(on.dataset, on.parts, on.tiles())
    facts = facts_of(on, "embeddings") | {"level": "tile", **asdict(reading)}
    first = next(blocks)
    with ExitStack() as files:
        tables = {
            layer: files.enter_context(
                StreamedTable(folder / f"{layer}.h5ad", obs, values.shape[1], facts | {"layer": layer})
            )
            for layer, values in first.items()
        }

        def append(block: dict[str, Vectors]) -> None:
            for layer, values in block.items():
                tables[layer].append(values)

        write_beside(chain([first], blocks), append)
    return len(obs)


def _blocks(
    on: Application, objective: Embeds, layers: Sequence[str], reading: Reading, progress: OnProgress | None
) -> Iterator[dict[str, Vectors]]:
    """Yield layer -> (n, D) for blocks of tiles in tile order."""
    network, share = objective.feature_network(), len(VIEWS[reading.views])

    def queue(_: int, batch: Batch) -> Callable[[], dict[str, Vectors]]:
        with on.computing():
            cells = objective.source_cells(batch.without_padding().tiles[:, 0])
            found = dict.fromkeys(layers, torch.zeros(()))
            for seen in mirrored(cells, reading.views):
                pooled = pooled_layers(network, layers, seen, reading.pool)
                found = {layer: found[layer] + values / share for layer, values in pooled.items()}
            there = {layer: fetched(values) for layer, values in found.items()}
        return lambda: {layer: values().numpy() for layer, values in there.items()}

    return every_tile(on, queue, progress)
