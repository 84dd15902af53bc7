"""``predict``: predictions of a trained run for bags or tiles, with the measured values, as AnnData."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from framework.data.batch import Batch, fetched
from framework.data.loading.transform import Views, need_views
from framework.data.loading.transform import views as mirrored
from framework.data.permutation import I64
from framework.data.plan import EveryBag, EveryTile, Plan, PlanUniverse
from framework.data.split import PART_OF_BACKBONE
from framework.data.store import Store
from framework.distributed import Ranks
from framework.errors import ConfigError, DatasetError, RunError
from framework.files.outputs import check_output_file, check_output_folder
from framework.objectives import Output, Predicts
from framework.progress import OnProgress
from framework.run.apply.attention import TileAttention
from framework.run.apply.results import PredictSummary
from framework.run.apply.sharing import Walk, by_rank_0, computed, counted_rows, on_rank_0
from framework.run.apply.tables import bag_rows, facts_of, files_read, tile_rows, write_table
from framework.run.train.batches import open_store
from framework.run.train.opened import Application
from framework.run.train.pretrained import open_run

TILES_PER_STEP = 2048
TILES_PER_STEP_ALONE = TILES_PER_STEP // 8
"""Of plans whose rows are single tiles: each is a bag of its own to the network."""
Values = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One walk of a loader: the plan, and how many walks of the same bags are averaged."""

    plan: Plan
    share: float


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is predicted, and of what.

    Attributes:
        on: the run on its data.
        objective: what predicts.
        outputs: columns of the predictions.
        rows: bags or tiles that are predicted, increasing.
        views: how often each tile is seen.
        attention: how much each tile counts; None where all count the same.
    """

    on: Application
    objective: Predicts
    outputs: Sequence[Output]
    rows: I64
    views: Views
    attention: TileAttention | None


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one step predicted.

    Attributes:
        ids: bags or tiles (n,).
        values: (n, P), in units of the targets.
        tiles: (n, N), from which.
        shares: (n, N), how much each counted; None where all count the same.
    """

    ids: I64
    values: npt.NDArray[np.float64]
    tiles: I64
    shares: npt.NDArray[np.float64] | None


def predict(
    run: Path | str,
    data: Path | str | None,
    out: Path | str,
    part: str = "test",
    tiles: int = 512,
    seeds: int = 3,
    views: int | str = 1,
    progress: OnProgress | None = None,
    *,
    device: str | None = None,
    ranks: Ranks | None = None,
) -> PredictSummary:
    """Write predictions, with the measured values in layer ``measured``.

    Cached embeddings have one view of each tile, so for more views the pixels are read again.

    An objective that predicts bags draws ``tiles`` tiles per bag ``seeds`` times and averages the predictions (Mehrizi
    2023). A bag with no more tiles than that is predicted once, from all of its tiles. An objective that predicts tiles
    predicts every tile. If the pool of the run has learned how much each tile counts, a table of this is written too,
    see ``TileAttention.write``.

    Args:
        run: run folder; its best or newest checkpoint and its own scaling are used.
        data: dataset folder; None: what the run trained on (also from its cached embeddings).
        out: .h5ad for a run of one target; otherwise a folder that gets ``<target>.h5ad`` each.
        part: ``train``, ``val``, ``test`` or ``all``; for another dataset than the run's only ``all``.
        tiles: tiles drawn per bag, >= 1.
        seeds: draws averaged, >= 1.
        views: test-time augmentation. 1: tiles as stored; 4: the mean over them, both mirror images and the half turn;
            8: over all symmetries of the square; ``image2omics``: over them, both mirror images and the transposed
            tile, the four views of the code of Mehrizi 2023.
        progress: called with (stage, done, total).
        device: ``auto``, ``cpu`` or ``cuda``; None: that of the run's config.
        ranks: processes that share the work; each makes this call, and rank 0 writes. None: this process alone.

    Returns:
        What was written.

    Raises:
        ConfigError: an argument out of range.
        RunError: nothing to predict, or several targets for one file.
    """
    if tiles < 1 or seeds < 1:
        raise ConfigError(f"expected tiles >= 1 and seeds >= 1, found {tiles} and {seeds}")
    seen = need_views(views)
    opened = open_run(run, ranks, device=device)
    objective = opened.having(Predicts)
    outputs = _outputs(objective)
    files = by_rank_0(ranks, lambda: _files(outputs, Path(out), files_read(opened, data)))
    on = opened.on(data, part)
    rows, passes = _planned(on.universe(), objective, tiles, seeds)
    attention = TileAttention.of(on, objective, rows)
    asked = Asked(on=on, objective=objective, outputs=outputs, rows=rows, views=seen, attention=attention)
    from_run = data is None and opened.config.data.embeddings is not None and seen == 1
    store = open_store(opened.config, on.dataset, opened.scale.channels) if from_run else on.store
    made = _predicted(asked, store, passes, progress)
    return on_rank_0(on.ranks, made, lambda steps: _written(asked, steps, files, Path(out)))


def _written(asked: Asked, steps: Iterator[tuple[float, Step]], files: dict[str, Path], out: Path) -> PredictSummary:
    """Add up what each step predicted, and write it."""
    on, objective, outputs, rows = asked.on, asked.objective, asked.outputs, asked.rows
    predicted = np.zeros((len(rows), len(outputs)), dtype=np.float64)
    for share, step in steps:
        values = _as_many(step.values, outputs, objective, on.run.folder.root)
        predicted[np.searchsorted(rows, step.ids)] += values * share
        if asked.attention is not None and step.shares is not None:
            asked.attention.add(step.tiles, step.shares, share)
    facts = facts_of(on, "predictions") | {"views": asked.views}
    measured = _measured(on, objective, rows, len(outputs))
    _write(files, outputs, facts, _rows(on, objective, rows), predicted.astype(np.float32), measured)
    return PredictSummary(
        files=tuple(files.values()),
        rows=len(rows),
        columns=len(outputs),
        part=on.part,
        views=asked.views,
        step=on.run.step,
        attention=None if asked.attention is None else asked.attention.write(out),
    )


def _rows(on: Application, objective: Predicts, rows: I64) -> pd.DataFrame:
    """Return the row table; of bags with the part each had in the run that gave the backbone."""
    if objective.predicts_per == "tile":
        return tile_rows(on.dataset, on.parts, rows)
    table, of_backbone = bag_rows(on.dataset, on.parts, rows), on.parts_of_backbone()
    return table if of_backbone is None else table.assign(**{PART_OF_BACKBONE: pd.Categorical(of_backbone[rows])})


def _outputs(objective: Predicts) -> list[Output]:
    """Return the columns of the predictions.

    Raises:
        RunError: there is none, or two have one name.
    """
    outputs, named = list(objective.outputs()), type(objective).__name__
    if not outputs:
        raise RunError(f"{named}.outputs() names no column, so there is nothing to predict")
    (target, name), times = Counter((output.target, output.name) for output in outputs).most_common(1)[0]
    if times > 1:
        raise RunError(f"{named}.outputs() names the column '{name}' of target '{target}' {times} times")
    return outputs


def _as_many(
    values: npt.NDArray[np.float64], outputs: Sequence[Output], objective: Predicts, run: Path | str
) -> npt.NDArray[np.float64]:
    """Return predictions (n, P), if an objective gives as many columns as it names."""
    if values.shape[1] != len(outputs):
        raise RunError(
            f"{run}: {type(objective).__name__}.predict gives {values.shape[1]} column(s), its outputs() names "
            f"{len(outputs)}"
        )
    return values


def _planned(universe: PlanUniverse, objective: Predicts, tiles: int, seeds: int) -> tuple[I64, list[Pass]]:
    """Return the bags or tiles that are predicted, and the walks over them."""
    if objective.predicts_per == "bag":
        return universe.bags, list(_bag_passes(universe, tiles, seeds))
    rows = np.concatenate([np.arange(*universe.bag_start[[bag, bag + 1]]) for bag in universe.bags])
    return rows, [Pass(plan=EveryTile(universe, rows=TILES_PER_STEP_ALONE), share=1.0)]


def _bag_passes(universe: PlanUniverse, tiles: int, seeds: int) -> Iterator[Pass]:
    """Large bags: ``seeds`` draws of ``tiles``. Small ones, grouped by size: all their tiles, once."""
    counts = universe.counts
    large = counts > tiles
    if large.any():
        some = _some(universe, large)
        for seed in range(seeds):
            yield Pass(plan=EveryBag(some, max(1, TILES_PER_STEP // tiles), tiles, seed), share=1.0 / seeds)
    for count in np.unique(counts[~large]).tolist():
        some = _some(universe, counts == count)
        yield Pass(plan=EveryBag(some, max(1, min(len(some.bags), TILES_PER_STEP // count)), count, 0), share=1.0)


def _some(universe: PlanUniverse, chosen: npt.NDArray[np.bool_]) -> PlanUniverse:
    return PlanUniverse(
        bags=universe.bags[chosen], bag_start=universe.bag_start, group=universe.group[chosen], tiles=None
    )


def _predicted(
    asked: Asked, store: Store, passes: list[Pass], progress: OnProgress | None
) -> Iterator[tuple[float, Step]]:
    """Yield what each step of each pass predicted, and its share in the mean over passes."""
    on, objective, views, attention = asked.on, asked.objective, asked.views, asked.attention

    def queue(_: int, batch: Batch) -> Callable[[], Step]:
        counted, (bags, tiles, _weights), shares = counted_rows(batch), batch.rows_on_host(), None
        with on.computing():
            if attention is None:
                values = _over_views(objective, batch, views)
            else:
                turned = [batch.tiles] if views == 1 else mirrored(batch.tiles, views)
                values, found = attention.predict(batch, turned)
                shares = fetched(found)
            flat = fetched(values.reshape(len(counted), -1).double())

        def read() -> Step:
            return Step(
                ids=(bags if objective.predicts_per == "bag" else tiles[:, 0])[counted].numpy(),
                values=flat()[counted].numpy(),
                tiles=tiles[counted].numpy(),
                shares=None if shares is None else shares()[counted].numpy(),
            )

        return read

    def told(done: int, total: int) -> None:
        if progress:
            progress("predict", done, total)

    walks = [Walk(plans=(each.plan,), store=store) for each in passes]
    for number, step in computed(on, walks, queue, told):
        yield passes[number].share, step


def _over_views(objective: Predicts, batch: Batch, views: Views) -> torch.Tensor:
    if views == 1:
        return objective.predict(batch)
    seen = [objective.predict(replace(batch, tiles=tiles)) for tiles in mirrored(batch.tiles, views)]
    return torch.stack(seen).mean(dim=0)


def _measured(on: Application, objective: Predicts, rows: I64, outputs: int) -> Values:
    """(rows, P) measured values in the units of the predictions, NaN where unknown."""
    try:
        tables = objective.labels(on.dataset).values()
    except DatasetError:
        # A dataset without these markers can be predicted, but not compared.
        return np.full((len(rows), outputs), np.nan, dtype=np.float32)
    for table in tables:
        if table.per == objective.predicts_per and table.values.shape[1:] == (outputs,):
            return table.values[torch.from_numpy(rows)].float().numpy()
    return np.full((len(rows), outputs), np.nan, dtype=np.float32)


def _files(outputs: Sequence[Output], out: Path, reads: Sequence[Path]) -> dict[str, Path]:
    """Return target -> file, each of which can be written and none of which is read."""
    targets = list(dict.fromkeys(output.target for output in outputs))
    unsafe = [target for target in targets if Path(target).name != target]
    if unsafe:
        raise RunError(f"target '{unsafe[0]}' cannot be a file name; rename it and ingest again")
    if out.suffix != ".h5ad":
        files = {target: out / f"{target}.h5ad" for target in targets}
        check_output_folder(out)
        for file in files.values():
            check_output_file(file, ".h5ad", reads)
        return files
    if len(targets) > 1:
        raise RunError(
            f"{out}: this run predicts {len(targets)} targets ({', '.join(targets)}), one file each: name a folder"
        )
    check_output_file(out, ".h5ad", reads)
    return dict.fromkeys(targets, out)


def _write(
    files: dict[str, Path],
    outputs: Sequence[Output],
    facts: dict[str, Any],
    obs: pd.DataFrame,
    predicted: Values,
    measured: Values,
) -> None:
    """Write one file per target; columns are named by gene or marker."""
    for target, file in files.items():
        mine = [column for column, output in enumerate(outputs) if output.target == target]
        columns = [outputs[column] for column in mine]
        var = pd.DataFrame(
            {
                "train_mean": [output.train_mean for output in columns],
                "train_sd": [output.train_sd for output in columns],
            },
            index=pd.Index([output.name for output in columns]),
        )
        data = anndata.AnnData(
            X=predicted[:, mine],
            obs=obs,
            var=var,
            layers={"measured": measured[:, mine]},
            uns={"wellstream": facts | {"target": target}},
        )
        write_table(file, data)
