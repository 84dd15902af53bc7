"""``embed --layers``: pooled outputs of layers inside the network, one AnnData file each, in one pass over tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from framework.data.dataset import Dataset
from framework.data.loading.transform import VIEWS, Views, need_views
from framework.data.loading.transform import views as mirrored
from framework.data.plan import EveryTile, PlanUniverse
from framework.distributed import Ranks
from framework.errors import ConfigError, RunError
from framework.models import SpatialPool, need_layers, pooled_layers
from framework.run.apply.embed import TILES_A_STEP, parts_for
from framework.run.apply.tables import Report, StreamedTable, facts_of, tile_rows
from framework.run.train.parts import open_loader, open_tiles
from framework.run.train.pretrained import OpenedRun, open_run, solo

POOLS: tuple[SpatialPool, ...] = ("max", "mean")
Vectors = npt.NDArray[np.float32]


def embed_layers(
    run: Path | str,
    data: Path | str | None,
    out: Path | str,
    layers: Sequence[str],
    pool: SpatialPool = "max",
    untrained: bool = False,
    views: int | str = 1,
    progress: Report | None = None,
) -> dict[str, Any]:
    """Write ``<layer>.h5ad`` for each layer: a row a tile in tile order, its maps pooled over space.

    Memory does not grow with the number of tiles but for the row table: every file is written block by block.

    Args:
        run: run folder; its best or newest checkpoint and its own scaling are used.
        data: dataset folder; None: the one the run trained on.
        out: folder to write.
        layers: names of layers of the objective's network, such as conv4 of the source encoder (paired inpainting) or
            trunk.layer4 (a ResNet).
        pool: ``max`` (Lu et al. 2019) or ``mean`` over space.
        untrained: use the weights the run began with, the baseline for what training adds.
        views: 1: cells as stored (Lu et al. 2019); 4: the mean over them, both mirror images and the half turn; 8: over
            all symmetries of the square, because a cell lies in its crop any way round; ``image2omics``: the four views
            of the code of Mehrizi 2023 (see ``predict``). As many times the work.
        progress: called with (stage, done, total).

    Returns:
        What was written, for a summary.

    Raises:
        ConfigError: another pool, or no layers.
        WellstreamError: run, data, channels and layers do not fit together.
    """
    if pool not in POOLS:
        raise ConfigError(f"pool: expected one of: {', '.join(POOLS)}, found '{pool}'")
    seen = need_views(views)
    if not layers:
        raise ConfigError("layers: expected at least one name, such as conv4")
    folder = Path(out)
    if folder.suffix == ".h5ad":
        raise ConfigError(f"{folder}: every layer gets a file of its own; name a folder")
    opened = open_run(run, untrained=untrained)
    need_layers(opened.objective.feature_network(), layers)
    dataset = Dataset.open(opened.config.data.path if data is None else data, opened.config.data.cache)
    if not len(dataset.index):
        raise RunError(f"{dataset.root}: no tiles to embed")
    rows = _write(opened, dataset, folder, layers, Reading(pool=pool, views=seen), progress)
    files = tuple(str(folder / f"{layer}.h5ad") for layer in layers)
    return {"files": files, "rows": rows, "pool": pool, "views": seen, "step": opened.step}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a tile's maps become one vector: pooled over space, averaged over views."""

    pool: SpatialPool
    views: Views


def _write(
    run: OpenedRun, dataset: Dataset, folder: Path, layers: Sequence[str], reading: Reading, progress: Report | None
) -> int:
    """Stream all blocks to the files, which appear together at the end; return the number of rows."""
    obs = tile_rows(dataset, parts_for(run, dataset), np.arange(len(dataset.index)))
    facts = facts_of(run, dataset, "embeddings") | {"level": "tile", **asdict(reading)}
    tables: dict[str, StreamedTable] = {}
    written = 0
    with ExitStack() as unfinished:
        for block in _blocks(run, dataset, solo(run.config), layers, reading):
            for layer, values in block.items():
                if layer not in tables:
                    file = folder / f"{layer}.h5ad"
                    tables[layer] = StreamedTable(file, obs, values.shape[1], facts | {"layer": layer})
                    unfinished.callback(tables[layer].discard)
                tables[layer].write(written, values)
            written += len(block[layers[0]])
            if progress:
                progress("embed", written, len(obs))
        unfinished.pop_all()
    for table in tables.values():
        table.close()
    return written


def _blocks(
    run: OpenedRun, dataset: Dataset, ranks: Ranks, layers: Sequence[str], reading: Reading
) -> Iterator[dict[str, Vectors]]:
    """Yield layer -> (n, D) for blocks of tiles in tile order."""
    plan = EveryTile(PlanUniverse.of(dataset, np.arange(len(dataset.bags))), rows=TILES_A_STEP)
    store = open_tiles(run.config, dataset, run.scale.channels)
    loader = open_loader(run.config, store, plan, ranks=ranks, scale=run.scale, labels={})
    network = run.objective.feature_network()
    with torch.inference_mode():
        for batch in loader.batches(0, plan.steps_per_epoch):
            cells = run.objective.source_cells(batch.tiles[batch.weights > 0, 0])
            found = dict.fromkeys(layers, torch.zeros(()))
            for seen in mirrored(cells, reading.views):
                with ranks.autocast():
                    pooled = pooled_layers(network, layers, seen, reading.pool)
                found = {layer: found[layer] + values / len(VIEWS[reading.views]) for layer, values in pooled.items()}
            yield {layer: values.cpu().numpy() for layer, values in found.items()}
