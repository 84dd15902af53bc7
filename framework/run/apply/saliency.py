"""``saliency``: which pixels of a tile a trained run reads its predictions from, beside the tile itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from framework.data.batch import Batch
from framework.data.dataset import Dataset
from framework.data.loading.transform import scale
from framework.data.permutation import I64, hash_u64, permute
from framework.data.split import PARTS
from framework.data.store import dataset_digest
from framework.durable import write_arrays
from framework.errors import ConfigError, RunError, did_you_mean
from framework.models import guided_gradients
from framework.run.apply.embed import parts_for
from framework.run.apply.tables import Report, with_folder
from framework.run.train.parts import bags_in, open_tiles
from framework.run.train.pretrained import OpenedRun, open_run, solo

_AT_ONCE = 32
_STREAM = 0x5A11


def saliency(
    run: Path | str,
    data: Path | str | None,
    out: Path | str,
    part: str = "test",
    tiles: int = 256,
    seed: int = 0,
    progress: Report | None = None,
) -> dict[str, Any]:
    """Write guided backpropagation maps of some tiles (IFC-seq, Figure S4).

    The file is an ``.npz`` with ``tile`` int64 (n,), row of tiles.parquet; ``images`` (n, C, H, W) as stored; ``maps``
    float32 (n, M, C, H, W), the guided gradient of each output in its units a scaled pixel; ``outputs`` (M,);
    ``channels`` (C,); ``dataset_digest``.

    Args:
        run: run folder of an objective that predicts tiles; its best or newest checkpoint is used.
        data: dataset folder; None: the one the run trained on.
        out: .npz to write.
        part: ``train``, ``val``, ``test`` or ``all``.
        tiles: how many, drawn by ``seed``; fewer where the part has fewer.
        seed: of the draw.
        progress: called with (stage, done, total).

    Returns:
        What was written, for a summary.

    Raises:
        ConfigError: an argument out of range.
        RunError: the run does not predict tiles, or the part has none.
    """
    if part not in (*PARTS, "all"):
        raise ConfigError(f"part: expected one of: {', '.join(PARTS)}, all, found '{part}'" + did_you_mean(part, PARTS))
    if Path(out).suffix != ".npz":
        raise ConfigError(f"{out}: expected the name of an .npz file")
    opened = open_run(run)
    if opened.objective.output != "tile":
        raise RunError(
            f"{run}: guided maps explain predictions of single tiles, and this run predicts "
            f"{'bags' if opened.objective.output == 'bag' else 'nothing'}; use a run of marker_regression"
        )
    dataset = Dataset.open(opened.config.data.path if data is None else data, opened.config.data.cache)
    ids = _drawn(dataset, opened, part, tiles, seed)
    store = open_tiles(opened.config, dataset, opened.scale.channels)
    images = np.empty((len(ids), *store.sample_shape), dtype=store.dtype)
    store.gather(ids, images)
    maps = _maps(opened, ids, images, progress)
    arrays = {
        "tile": ids,
        "images": images,
        "maps": maps,
        "outputs": np.array(opened.objective.outputs()),
        "channels": np.array(opened.scale.channels),
        "dataset_digest": np.array(dataset_digest(dataset)),
    }
    write_arrays(with_folder(Path(out)), arrays)
    return {"file": str(out), "tiles": len(ids), "outputs": tuple(opened.objective.outputs()), "step": opened.step}


def _drawn(dataset: Dataset, run: OpenedRun, part: str, count: int, seed: int) -> I64:
    """Return ``count`` tiles of a part, in tile order."""
    if count < 1:
        raise ConfigError(f"expected tiles >= 1, found {count}")
    parts = parts_for(run, dataset)
    ids = np.flatnonzero(np.isin(dataset.index.bag, bags_in(parts, part)))
    if not len(ids):
        raise RunError(
            f"{dataset.root}: no tile in part '{part}' (parts: {', '.join(sorted(set(parts)))}); use part all"
        )
    order = permute(np.arange(min(count, len(ids))), len(ids), hash_u64(seed, _STREAM))
    return np.sort(ids[order]).astype(np.int64)


def _maps(run: OpenedRun, ids: I64, images: npt.NDArray[Any], progress: Report | None) -> npt.NDArray[np.float32]:
    device = solo(run.config).device
    found = np.empty((len(ids), len(run.objective.outputs()), *images.shape[1:]), dtype=np.float32)
    for start in range(0, len(ids), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        pixels = scale(torch.from_numpy(images[part]).to(device), run.scale)
        found[part] = guided_gradients(_score(run, pixels), pixels).cpu().numpy()
        if progress:
            progress("saliency", min(start + _AT_ONCE, len(ids)), len(ids))
    return found


def _score(run: OpenedRun, pixels: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return tiles (n, C, H, W) -> predictions (n, M): each tile is a row of its own."""
    n = len(pixels)
    rows = torch.zeros(n, dtype=torch.int64, device=pixels.device)
    batch = Batch(
        tiles=pixels[:, None],
        bags=rows,
        tile_ids=rows[:, None],
        weights=torch.ones(n, device=pixels.device),
        labels={},
        step=0,
        epoch=0,
    )
    return lambda tiles: run.objective.predict(replace(batch, tiles=tiles[:, None]))[:, 0]
