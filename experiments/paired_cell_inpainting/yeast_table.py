"""The README's table: proteins of held-out yeast cells by their nearest neighbours, for five kinds of features.

    python -m experiments.paired_cell_inpainting.yeast_table --crops raw/yeast_model/toy_dataset/images --out yeast

ingest -> train the network and the autoencoder with three seeds each -> embed, trained and untrained -> baselines ->
compare. About an hour on two cores with bf16 instructions (AVX-512); run again, it continues. Other CPUs are slow in
bf16; a quarter of the width in float32 takes less than half an hour there:

    --train train.precision=fp32 objective.backbone.name=alexnet 'objective.backbone.widths=[24,64,96,96,64]' \\
        'objective.decoder_widths=[64,96,96,64,24]'

Field 4 of each protein is scored and takes no part in any choice: which layer speaks for a kind of features, and how
its maps become a vector, is decided on fields 1 to 3.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from experiments.demo.steps import Protocol, overrides, table_made
from framework.baselines import features_with_baselines
from framework.evaluate import Evaluation
from framework.evaluate.beside import KEY, beside_baselines
from framework.evaluate.evaluation import render_baselines
from framework.evaluate.intervals import difference_interval, quantile_interval
from framework.features import FeatureEvaluateConfig, FeatureTable, evaluate_features, open_same_cells
from framework.features.classes import Resamples
from framework.run.apply.inpaint import SUMMARY_NAME
from framework.terminal import Terminal

CONFIGS = Path(__file__).parent
LABEL, FIELD, HELD_OUT = "Metadata_Protein", "Metadata_Field", "4"
TRAINED = {"paired": "train_yeast_short.yaml", "autoencoder": "train_yeast_autoencoder.yaml"}
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5")
BASELINES = ("intensity", "classic")
CARRIERS = ("AAC1", "AAC3")
"""Both carry ADP and ATP through the inner membrane of mitochondria: pictures of one place."""
NEIGHBOURS = 11
_RESAMPLES = 10_000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the maps of a layer become the features of a cell."""

    pool: str
    views: int

    def __str__(self) -> str:
        return f"{self.pool} over space, {self.views} view{'s' * (self.views > 1)}"


PUBLISHED = Reading(pool="max", views=1)
READINGS = (PUBLISHED, Reading(pool="mean", views=1), Reading(pool="mean", views=8))


@dataclass(frozen=True, kw_only=True)
class Features:
    """One way to describe a cell; its seeds are repetitions of the same.

    Attributes:
        kind: ``paired``, ``autoencoder``, ``untrained``, ``intensity`` or ``classic``.
        reading: of a network's maps; None for baselines.
        layer: of a network; empty for baselines.
        files: seed -> file.
    """

    kind: str
    reading: Reading | None
    layer: str
    files: dict[int, Path]

    def names(self) -> list[str]:
        """Return what its tables are called, one per seed."""
        return [f"{self.kind} {self.reading} {self.layer} {seed}" for seed in self.files]


def make(crops: Path, out: Path, seeds: Sequence[int], protocol: Protocol, training: Sequence[str] = ()) -> None:
    """Run every command below ``out``; what is there already is continued or kept.

    ``training`` are further overrides of every training, as ``train.precision=fp32``.

    Raises:
        StepFailed: a command failed.
    """
    data = out / "data"
    protocol.run("Ingest", "ingest", CONFIGS / "ingest_yeast.yaml", "--out", data, f"sources.0.reader.path={crops}")
    for seed in seeds:
        for kind, config in TRAINED.items():
            run = out / f"{kind}-{seed}"
            places = overrides(run_dir=run, data__path=data, train__seed=seed)
            protocol.run(f"Train {kind} {seed}", "train", CONFIGS / config, *places, *training)
        run = out / f"paired-{seed}"
        if not (run / "inpainting" / SUMMARY_NAME).is_file():
            protocol.run(f"Paint {seed}", "inpaint", run)
    for kind in BASELINES:
        options = ("--protein", "gfp", "--scale", "per_tile_minmax", "--out", _baseline(out, kind))
        if not _baseline(out, kind).is_file():
            protocol.run(f"Measure {kind}", "features", data, "--kind", kind, *options)
    for seed in seeds:
        for kind in (*TRAINED, "untrained"):
            for reading in READINGS:
                _embed(out, kind, seed, reading, protocol)


def _embed(out: Path, kind: str, seed: int, reading: Reading, protocol: Protocol) -> None:
    folder = _folder(out, kind, seed, reading)
    if all((folder / f"{layer}.h5ad").is_file() for layer in LAYERS):
        return
    run = out / f"{kind if kind in TRAINED else 'paired'}-{seed}"
    options = ["--layers", ",".join(LAYERS), "--pool", reading.pool, "--views", reading.views, "--out", folder]
    if kind not in TRAINED:
        options.append("--untrained")
    protocol.run(f"Embed {kind} {seed}, {reading}", "embed", run, *options)


def compare(out: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Score all features of held-out cells; choose a reading and a layer of each kind on the training cells.

    Returns:
        ``rows``: the chosen features of each kind and the baselines; ``grid``: every kind, reading and layer, each
        with the score when the two mitochondrial carriers count as one class;
        ``confusion``: of the chosen paired features, summed over seeds; ``pretext``: loss with the right and the wrong
        source; ``cells``; ``notes`` on the intervals.

    Raises:
        WellstreamError: features that cannot be read.
    """
    every = list(_every(out, seeds))
    sources = [f"{name}={file}" for one in every for name, file in zip(one.names(), one.files.values(), strict=True)]
    tables = open_same_cells(sources)
    training = (tables[0].cells[FIELD].astype(str) != HELD_OUT).to_numpy()
    validation = _knn([_only(table, training) for table in tables], protocol="leave_group_out").summary
    within = {row["set"]: row["knn"] for row in validation["rows"]}
    scored = _knn(tables, test_where=(f"{FIELD}={HELD_OUT}",))
    together = _knn([_together(table) for table in tables], test_where=(f"{FIELD}={HELD_OUT}",))
    resampled, notes = _resampled(scored, every)
    merged, _ = _resampled(together, every)
    grid = [
        {
            "kind": one.kind,
            "reading": asdict(one.reading) if one.reading else None,
            "layer": one.layer,
            "validation": float(np.mean([within[name] for name in one.names()])),
            **_score(one, scored, draws),
            "carriers_together": _score(one, together, others),
        }
        for one, draws, others in zip(every, resampled, merged, strict=True)
    ]
    chosen = [
        max((at for at, one in enumerate(every) if one.kind == kind), key=lambda at: float(grid[at]["validation"]))
        for kind in dict.fromkeys(one.kind for one in every)
    ]
    first = chosen[0]
    above = [grid[first]["balanced"] - grid[at]["balanced"] for at in chosen]
    rows = [
        grid[at] | {"first_is_above_by": [by, *difference_interval(by, resampled[first] - resampled[at])]}
        for at, by in zip(chosen, above, strict=True)
    ]
    return {
        "cells": {"train": int(training.sum()), "test": int((~training).sum()), "k": NEIGHBOURS, "seeds": list(seeds)},
        "rows": rows,
        "grid": grid,
        "confusion": _confusion(scored, every[first]),
        "pretext": [_pretext(out, seed) for seed in seeds],
        "notes": notes,
    }


def beside(out: Path, seeds: Sequence[int], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return how the chosen features of trained networks stand beside every baseline, seed by seed.

    Args:
        out: what ``make`` made.
        seeds: of the networks.
        rows: what ``compare`` chose.

    Returns:
        ``baselines`` of ``evaluate-features``: scores, and the paired test of each network with each baseline.

    Raises:
        WellstreamError: features or a dataset that cannot be read.
    """
    sources = [
        f"{row['kind']} {seed}={_folder(out, row['kind'], seed, Reading(**row['reading'])) / row['layer']}.h5ad"
        for row in rows
        if row["kind"] in TRAINED
        for seed in seeds
    ]
    config = FeatureEvaluateConfig(
        label=LABEL, group=(FIELD,), k=NEIGHBOURS, resamples=_RESAMPLES, test_where=(f"{FIELD}={HELD_OUT}",)
    )
    run = out / f"{next(iter(TRAINED))}-{seeds[0]}"
    made = features_with_baselines(open_same_cells(sources), config, dataset=out / "data", run=run)
    found: dict[str, Any] = made.summary[KEY]
    return found


def _every(out: Path, seeds: Sequence[int]) -> Iterator[Features]:
    for kind in (*TRAINED, "untrained"):
        for reading in READINGS:
            for layer in LAYERS:
                files = {seed: _folder(out, kind, seed, reading) / f"{layer}.h5ad" for seed in seeds}
                yield Features(kind=kind, reading=reading, layer=layer, files=files)
    for kind in BASELINES:
        yield Features(kind=kind, reading=None, layer="", files={0: _baseline(out, kind)})


def _only(table: FeatureTable, rows: npt.NDArray[np.bool_]) -> FeatureTable:
    return replace(table, cells=table.cells[rows], values=table.values[rows])


def _together(table: FeatureTable) -> FeatureTable:
    """The two carriers of mitochondria as one class."""
    names = table.cells[LABEL].astype(str).replace(dict.fromkeys(CARRIERS, " or ".join(CARRIERS)))
    return replace(table, cells=table.cells.assign(**{LABEL: names}))


def _knn(tables: Sequence[FeatureTable], **options: Any) -> Evaluation:
    return evaluate_features(
        tables, FeatureEvaluateConfig(label=LABEL, group=(FIELD,), k=NEIGHBOURS, resamples=100, **options)
    )


def _resampled(scored: Evaluation, every: Sequence[Features]) -> tuple[list[Floats], list[str]]:
    """Return balanced accuracies of resampled cells, means over seeds; the same cells are drawn for all features."""
    cells = scored.tables["per_cell"]
    cells = cells[cells["scored"]]
    classes, truth = np.unique(cells["class"].to_numpy(dtype=str), return_inverse=True)
    names = [name for one in every for name in one.names()]
    codes = {name: np.searchsorted(classes, cells[f"{name} knn"].to_numpy(dtype=str)) for name in names}
    plan = Resamples.plan(truth, cells["field"].to_numpy(), seed=0, count=_RESAMPLES)
    scores = plan.scores(truth, codes, len(classes))
    return [np.mean([scores[name] for name in one.names()], axis=0) for one in every], list(plan.notes)


def _score(one: Features, scored: Evaluation, draws: Floats) -> dict[str, Any]:
    """Return balanced accuracies of the seeds, their mean and its interval."""
    measured = {row["set"]: float(row["knn"]) for row in scored.summary["rows"]}
    of_seeds = [measured[name] for name in one.names()]
    low, high = quantile_interval(draws)
    return {"of_seeds": of_seeds, "balanced": float(np.mean(of_seeds)), "low": low, "high": high}


def _confusion(scored: Evaluation, one: Features) -> dict[str, dict[str, int]]:
    """Return class -> predicted class -> cells, summed over seeds."""
    counts = scored.tables["confusion"]
    mine = counts[counts["set"].isin(one.names())].groupby(["class", "predicted"])["cells"].sum().unstack()
    return {str(true): {str(name): int(n) for name, n in row.items()} for true, row in mine.iterrows()}


def _pretext(out: Path, seed: int) -> dict[str, Any]:
    found = json.loads((out / f"paired-{seed}" / "inpainting" / SUMMARY_NAME).read_text(encoding="utf-8"))
    return {"seed": seed, **{key: found[key] for key in ("loss", "loss_mismatched", "ratio", "right_is_better")}}


def _folder(out: Path, kind: str, seed: int, reading: Reading) -> Path:
    return out / "features" / f"{kind}-{seed}-{reading.pool}{reading.views}"


def _baseline(out: Path, kind: str) -> Path:
    return out / "features" / f"{kind}.h5ad"


def show(console: Console, found: dict[str, Any]) -> None:
    """Print the chosen features, the grid of readings, and how networks stand beside every baseline."""
    table = Table("features", "chosen", "balanced [95 %]", "seeds", "paired is above by", "carriers as one", box=None)
    for row in found["rows"]:
        chosen = f"{row['layer']}, {Reading(**row['reading'])}" if row["reading"] else ""
        interval = f"{row['balanced']:.3f} [{row['low']:.2f}, {row['high']:.2f}]"
        above = "{:+.3f} [{:+.2f}, {:+.2f}]".format(*row["first_is_above_by"])
        seeds = " ".join(f"{one:.3f}" for one in row["of_seeds"])
        one = "{balanced:.3f} [{low:.2f}, {high:.2f}]".format(**row["carriers_together"])
        table.add_row(row["kind"], chosen, interval, seeds, above, one)
    console.print(table, soft_wrap=True)
    for kind in (*TRAINED, "untrained"):
        for reading in READINGS:
            wanted = (kind, asdict(reading))
            scores = [entry["balanced"] for entry in found["grid"] if (entry["kind"], entry["reading"]) == wanted]
            console.print(f"{kind}, {reading}, conv1 to conv5: {' '.join(f'{one:.2f}' for one in scores)}")
    verdict = beside_baselines(found)
    console.print(verdict.text if verdict else "no baselines", soft_wrap=True)
    console.print(render_baselines(found))


def main() -> int:
    """Make what is missing, compare, print and write ``OUT/yeast.json``."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.paired_cell_inpainting.yeast_table",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--crops", type=Path, required=True, help="folder 'images' of the authors' yeast set")
    parser.add_argument("--out", type=Path, default=Path("yeast"), help="folder for everything that is made")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="one network and autoencoder each")
    parser.add_argument("--train", nargs="+", default=[], metavar="key=value", help="overrides of every training")
    options = parser.parse_args()

    def collect() -> dict[str, Any]:
        found = compare(options.out, options.seeds)
        return {"training": options.train, **found, KEY: beside(options.out, options.seeds, found["rows"])}

    return table_made(
        Terminal(),
        options.out / "yeast.json",
        lambda protocol: make(options.crops, options.out, options.seeds, protocol, options.train),
        collect,
        show,
    )


if __name__ == "__main__":
    sys.exit(main())
