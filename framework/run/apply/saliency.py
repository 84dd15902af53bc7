"""``saliency``: which pixels of a tile the predictions of a trained run depend on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from framework.data.batch import Batch
from framework.data.loading.transform import scale
from framework.data.permutation import I64, hash_u64, permute
from framework.data.store import dataset_digest
from framework.durable import write_arrays
from framework.errors import ConfigError
from framework.files.outputs import check_output_file
from framework.models import guided_gradients
from framework.objectives import Predicts
from framework.progress import OnProgress
from framework.run.apply.bag_saliency import BagMaps, bag_saliency
from framework.run.apply.results import SaliencySummary
from framework.run.apply.tables import with_folder
from framework.run.train.opened import Application
from framework.run.train.pretrained import open_run

_TILES = 256
_TILES_PER_PASS = 32
_STREAM = 0x5A11


def saliency(
    run: Path | str,
    data: Path | str | None,
    out: Path | str,
    part: str = "test",
    tiles: int | None = None,
    seed: int = 0,
    progress: OnProgress | None = None,
    *,
    outputs: Sequence[str] = (),
    bags: Sequence[str] | int = BagMaps.bags,
    samples: int = BagMaps.samples,
    noise: float = BagMaps.noise,
    device: str | None = None,
) -> SaliencySummary:
    """Write maps of some tiles: guided backpropagation for a run that predicts tiles, SmoothGrad for one on bags.

    Guided maps are those of IFC-seq, Figure S4, SmoothGrad those of Image2Omics, Figure 6. For bags, what each tile
    says is written too: see ``bag_saliency``.

    The file is an ``.npz`` with ``tile`` int64 (n,), row of tiles.parquet; ``images`` (n, C, H, W) as stored; ``maps``
    float32 (n, M, C, H, W), the guided gradient of each output, in its units per scaled pixel; ``outputs`` (M,);
    ``channels`` (C,); ``dataset_digest``; ``pixel_size_um``, NaN where it is not known.

    Args:
        run: run folder of an objective that predicts; its best or newest checkpoint is used.
        data: dataset folder; None: the one the run trained on.
        out: .npz to write.
        part: ``train``, ``val``, ``test`` or ``all``.
        tiles: how many, drawn by ``seed``; fewer where the part has fewer; None: 256, or 9 per bag.
        seed: seed of the draw, and of the noise.
        progress: called with (stage, done, total).
        outputs: of bags: genes, as ``GENE`` or ``TARGET/GENE``; none: all, where there are few.
        bags: of bags: their names (``WELL`` or ``PLATE/WELL``), or how many are drawn.
        samples, noise: of SmoothGrad, see ``smooth_gradients``.
        device: ``auto``, ``cpu`` or ``cuda``; None: that of the run's config.

    Returns:
        What was written.

    Raises:
        ConfigError: an argument out of range.
        RunError: the run does not predict, or the part has nothing.
    """
    check_output_file(out, ".npz")
    opened = open_run(run, device=device)
    objective = opened.having(Predicts)
    on = opened.on(data, part)
    if objective.predicts_per == "bag":
        each = BagMaps.tiles if tiles is None else tiles
        asked = BagMaps(outputs=outputs, bags=bags, tiles=each, samples=samples, noise=noise, seed=seed)
        return bag_saliency(on, Path(out), asked, progress)
    if outputs:
        raise ConfigError(
            "outputs can only be chosen for runs that predict bags; a run that predicts tiles gets a map of each "
            "output, so leave outputs out"
        )
    return _write_tiles(on, Path(out), _drawn(on, _TILES if tiles is None else tiles, seed), progress)


def _write_tiles(on: Application, out: Path, ids: I64, progress: OnProgress | None) -> SaliencySummary:
    """Write the guided maps of tiles (n,)."""
    objective, images = on.run.having(Predicts), on.pixels(ids)
    named = tuple(output.name for output in objective.outputs())
    arrays = {
        "tile": ids,
        "images": images,
        "maps": _maps(on, objective, images, len(named), progress),
        "outputs": np.array(named),
        "channels": np.array(on.run.scale.channels),
        "dataset_digest": np.array(dataset_digest(on.dataset)),
        "pixel_size_um": np.array(on.dataset.manifest.pixel_size_um or np.nan),
    }
    write_arrays(with_folder(out), arrays)
    return SaliencySummary(file=out, tiles=len(ids), outputs=named, step=on.run.step)


def _drawn(on: Application, count: int, seed: int) -> I64:
    """Return ``count`` tiles of the part, in tile order."""
    if count < 1:
        raise ConfigError(f"expected tiles >= 1, found {count}")
    ids = on.tiles()
    order = permute(np.arange(min(count, len(ids))), len(ids), hash_u64(seed, _STREAM))
    return np.sort(ids[order])


def _maps(
    on: Application, objective: Predicts, images: npt.NDArray[Any], outputs: int, progress: OnProgress | None
) -> npt.NDArray[np.float32]:
    found = np.empty((len(images), outputs, *images.shape[1:]), dtype=np.float32)
    for start in range(0, len(images), _TILES_PER_PASS):
        some = slice(start, start + _TILES_PER_PASS)
        pixels = scale(torch.from_numpy(images[some]).to(on.ranks.device), on.run.scale)
        found[some] = guided_gradients(_score(objective, pixels), pixels).cpu().numpy()
        if progress:
            progress("saliency", min(start + _TILES_PER_PASS, len(images)), len(images))
    return found


def _score(objective: Predicts, pixels: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
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
    return lambda tiles: objective.predict(replace(batch, tiles=tiles[:, None]))[:, 0]
