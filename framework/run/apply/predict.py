"""``predict``: what a trained run says about bags or tiles, beside what was measured, as AnnData."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from framework.data.batch import Batch
from framework.data.dataset import Dataset
from framework.data.loading.transform import Views, need_views
from framework.data.loading.transform import views as mirrored
from framework.data.permutation import I64
from framework.data.plan import EveryBag, EveryTile, Plan, PlanUniverse
from framework.data.split import PARTS, Parts
from framework.data.store import Store
from framework.distributed import Ranks
from framework.errors import ConfigError, DatasetError, RunError, did_you_mean
from framework.run.apply.embed import parts_for
from framework.run.apply.tables import Report, bag_rows, facts_of, tile_rows, write_table
from framework.run.train.parts import bags_in, open_loader, open_store, open_tiles
from framework.run.train.pretrained import OpenedRun, open_run, solo

TILES_A_STEP = 2048
Values = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One walk of a loader: the plan, and how many walks of the same bags are averaged."""

    plan: Plan
    share: float


def predict(
    run: Path | str,
    data: Path | str | None,
    out: Path | str,
    part: str = "test",
    tiles: int = 512,
    seeds: int = 3,
    views: int | str = 1,
    progress: Report | None = None,
) -> dict[str, Any]:
    """Write predictions, with the measured values in layer ``measured``.

    Cached embeddings have one view of each tile, so more views read the pixels again.

    An objective of bags draws ``tiles`` tiles a bag ``seeds`` times and averages the predictions (Mehrizi 2023); a bag
    with no more tiles than that is predicted once, from each of its tiles exactly once. An objective of tiles predicts
    every tile.

    Args:
        run: run folder; its best or newest checkpoint and its own scaling are used.
        data: dataset folder; None: what the run trained on (also from its cached embeddings).
        out: .h5ad for a run of one target; otherwise a folder that gets ``<target>.h5ad`` each.
        part: ``train``, ``val``, ``test`` or ``all``; for another dataset than the run's only ``all``.
        tiles: tiles drawn a bag, >= 1.
        seeds: draws averaged, >= 1.
        views: test-time augmentation. 1: tiles as stored; 4: the mean over them, both mirror images and the half turn;
            8: over all symmetries of the square; ``image2omics``: over them, both mirror images and the transposed
            tile, the four views of the code of Mehrizi 2023.
        progress: called with (stage, done, total).

    Returns:
        What was written, for a summary.

    Raises:
        ConfigError: an argument out of range.
        RunError: nothing to predict, or several targets for one file.
    """
    _check_arguments(part, tiles, seeds)
    seen = need_views(views)
    opened = _predicting(run)
    dataset = Dataset.open(opened.config.data.path if data is None else data, opened.config.data.cache)
    files = _files(opened, Path(out))
    parts = parts_for(opened, dataset)
    universe = PlanUniverse.of(dataset, _bags_of(dataset, parts, part))
    store: Store = open_tiles(opened.config, dataset, opened.scale.channels)
    if data is None and opened.config.data.embeddings is not None and seen == 1:
        store = open_store(opened.config, dataset, opened.scale.channels)
    ranks = solo(opened.config)
    rows, passes = _planned(universe, opened.objective.output, tiles, seeds)
    obs = (bag_rows if opened.objective.output == "bag" else tile_rows)(dataset, parts, rows)
    predicted = _predicted(opened, store, passes, rows, ranks, seen, progress)
    measured = _measured(opened, dataset, rows)
    facts = facts_of(opened, dataset, "predictions") | {"views": seen}
    written = _write(opened, facts, files, obs, predicted, measured)
    return {
        "files": tuple(written),
        "rows": len(rows),
        "columns": predicted.shape[1],
        "part": part,
        "views": seen,
        "step": opened.step,
    }


def _predicting(run: Path | str) -> OpenedRun:
    opened = open_run(run)
    if opened.objective.output == "none":
        name = str(getattr(opened.config.objective, "name", ""))
        raise RunError(f"{run}: objective '{name}' predicts nothing; its embeddings come from: wellstream embed {run}")
    return opened


def _planned(universe: PlanUniverse, output: str, tiles: int, seeds: int) -> tuple[I64, list[Pass]]:
    """Return the bags or tiles that are predicted, and the walks over them."""
    if output == "bag":
        return universe.bags, list(_bag_passes(universe, tiles, seeds))
    rows = np.concatenate([np.arange(*universe.bag_start[[bag, bag + 1]]) for bag in universe.bags])
    return rows, [Pass(plan=EveryTile(universe, rows=TILES_A_STEP // 8), share=1.0)]


def _check_arguments(part: str, tiles: int, seeds: int) -> None:
    if part not in (*PARTS, "all"):
        raise ConfigError(f"part: expected one of: {', '.join(PARTS)}, all, found '{part}'" + did_you_mean(part, PARTS))
    if tiles < 1 or seeds < 1:
        raise ConfigError(f"expected tiles >= 1 and seeds >= 1, found {tiles} and {seeds}")


def _bags_of(dataset: Dataset, parts: Parts, part: str) -> I64:
    bags = bags_in(parts, part)
    if not len(bags):
        raise RunError(
            f"{dataset.where}: no bag in part '{part}' (parts: {', '.join(sorted(set(parts)))}); use part all"
        )
    return bags


def _bag_passes(universe: PlanUniverse, tiles: int, seeds: int) -> Iterator[Pass]:
    """Large bags: ``seeds`` draws of ``tiles``. Small ones, grouped by size: all their tiles, once."""
    counts = universe.counts
    large = counts > tiles
    if large.any():
        some = _some(universe, large)
        for seed in range(seeds):
            yield Pass(plan=EveryBag(some, max(1, TILES_A_STEP // tiles), tiles, seed), share=1.0 / seeds)
    for count in np.unique(counts[~large]).tolist():
        some = _some(universe, counts == count)
        yield Pass(plan=EveryBag(some, max(1, min(len(some.bags), TILES_A_STEP // count)), count, 0), share=1.0)


def _some(universe: PlanUniverse, chosen: npt.NDArray[np.bool_]) -> PlanUniverse:
    return PlanUniverse(
        bags=universe.bags[chosen], bag_start=universe.bag_start, group=universe.group[chosen], tiles=None
    )


def _predicted(
    run: OpenedRun, store: Store, passes: list[Pass], rows: I64, ranks: Ranks, views: Views, progress: Report | None
) -> Values:
    """(rows, P) predictions, averaged over the passes that visit a row and over the views of its tiles."""
    found = np.zeros((len(rows), len(run.objective.outputs())), dtype=np.float64)
    total, done = sum(each.plan.steps_per_epoch for each in passes), 0
    for each in passes:
        loader = open_loader(run.config, store, each.plan, ranks=ranks, scale=run.scale, labels={})
        with torch.inference_mode():
            for batch in loader.batches(0, each.plan.steps_per_epoch):
                with ranks.autocast():
                    values = _over_views(run, batch, views)
                counted = (batch.weights > 0).cpu().numpy()
                ids = batch.bags if run.objective.output == "bag" else batch.tile_ids[:, 0]
                flat = values.reshape(len(counted), -1).double().cpu().numpy()
                found[np.searchsorted(rows, ids.cpu().numpy()[counted])] += flat[counted] * each.share
                done += 1
                if progress:
                    progress("predict", done, total)
    return found.astype(np.float32)


def _over_views(run: OpenedRun, batch: Batch, views: Views) -> torch.Tensor:
    if views == 1:
        return run.objective.predict(batch)
    seen = [run.objective.predict(replace(batch, tiles=tiles)) for tiles in mirrored(batch.tiles, views)]
    return torch.stack(seen).mean(dim=0)


def _measured(run: OpenedRun, dataset: Dataset, rows: I64) -> Values:
    """(rows, P) measured values in the units of the predictions, NaN where unknown."""
    outputs = len(run.objective.outputs())
    try:
        tables = run.objective.labels(dataset).values()
    except DatasetError:
        # A dataset without these markers can be predicted, but not compared.
        return np.full((len(rows), outputs), np.nan, dtype=np.float32)
    for table in tables:
        if table.per == run.objective.output and table.values.shape[1:] == (outputs,):
            return table.values[torch.from_numpy(rows)].float().numpy()
    return np.full((len(rows), outputs), np.nan, dtype=np.float32)


def _files(run: OpenedRun, out: Path) -> dict[str, Path]:
    """Return target -> file."""
    targets = list(dict.fromkeys(run.objective.output_table()["target"].astype(str)))
    unsafe = [target for target in targets if Path(target).name != target]
    if unsafe:
        raise RunError(f"target '{unsafe[0]}' cannot be a file name; rename it and ingest again")
    if out.suffix != ".h5ad":
        return {target: out / f"{target}.h5ad" for target in targets}
    if len(targets) > 1:
        raise RunError(
            f"{out}: this run predicts {len(targets)} targets ({', '.join(targets)}), one file each: name a folder"
        )
    return dict.fromkeys(targets, out)


def _write(
    run: OpenedRun,
    facts: dict[str, Any],
    files: dict[str, Path],
    obs: pd.DataFrame,
    predicted: Values,
    measured: Values,
) -> list[str]:
    """Write a file a target; columns are named by gene or marker."""
    table = run.objective.output_table()
    for target, file in files.items():
        mine = (table["target"].astype(str) == target).to_numpy()
        var = table.loc[mine, ["train_mean", "train_sd"]].set_index(
            pd.Index(table.loc[mine, "gene"].astype(str).tolist())
        )
        data = anndata.AnnData(
            X=predicted[:, mine],
            obs=obs,
            var=var,
            layers={"measured": measured[:, mine]},
            uns={"wellstream": facts | {"target": target}},
        )
        write_table(file, data)
    return [str(file) for file in files.values()]
