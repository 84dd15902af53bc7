"""Theme ``heads``: linear heads of 4 targets x 10 splits, all at once and each in a run of its own, from embeddings.

The data are made up: wells of random embeddings, targets of random numbers. Both arms end in the same run folders, and
their weights must agree to 1e-6, or the comparison is void. A run of its own is measured for one split of each target.
What the start of a process costs is measured apart, so that both ratios are told: of the trainings alone, and of 40
commands against one.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import anndata
import numpy as np
import pandas as pd
import torch

from benchmarks import tables
from benchmarks.harness import Arm, Finding, Measured, WrongPixels, measure
from data_tools.pipeline.build.folder import record
from framework import checkpoint
from framework.data.dataset import Dataset
from framework.data.format.schema import BAG, SOURCE, read_manifest
from framework.durable import write_json
from framework.run import HeadsConfig, OneHead, each_head, fit, fit_heads, load_heads_config, load_run_config, open_run
from framework.run.apply.tables import StreamedTable, facts_of, tile_rows

AT_LEAST = 50.0
AGREEMENT = 1e-6
TARGETS = ("transcripts_M1", "transcripts_M2", "proteins_M1", "proteins_M2")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A size: wells, tiles of each, width of their embeddings, genes of a target, splits, steps."""

    wells: int
    tiles: int
    width: int
    genes: int
    splits: int
    steps: int


# Bags, tiles and steps of experiments/image2omics/heads.yaml.
SMALL = Case(wells=384, tiles=64, width=32, genes=50, splits=10, steps=5000)
LARGE = Case(wells=384, tiles=64, width=128, genes=5000, splits=10, steps=20)
# The paper's transcripts: what 40 models of them need in memory; heads.memory_gb bounds it.
WHOLE = Case(wells=384, tiles=16, width=128, genes=26_317, splits=10, steps=3)
QUICK = Case(wells=96, tiles=8, width=8, genes=10, splits=10, steps=30)


def run(*, quick: bool) -> list[Measured]:
    """Train 40 heads, of few genes, of many and of all; quick: of few, for few steps."""
    return [_measured(case, 1) for case in ((QUICK,) if quick else (SMALL, LARGE, WHOLE))]


def _measured(case: Case, repetitions: int) -> Measured:
    with tempfile.TemporaryDirectory(prefix="wellstream-bench-") as name:
        folder = Path(name)
        made = _prepared(folder, case)
        models = each_head(made.resolved())
        few = models[:: case.splits]
        arms = [
            Arm(name="a run each", work=lambda: _alone(few, folder), is_limit=True),
            Arm(name="all at once", work=lambda: fit_heads(made), before=lambda: _removed(folder / "all")),
            Arm(name="start of a process", work=_start),
        ]
        costs = measure(arms, repetitions)
        _need_equal(few, folder)
    each, whole, start = (median(costs.cpu_seconds[arm.name]) for arm in arms)
    ratio = each / len(few) / (whole / len(models))
    each_s, whole_s = (median(costs.seconds[name]) for name in ("a run each", "all at once"))
    seconds = each_s / len(few) / (whole_s / len(models))
    commands = (each / len(few) + start) * len(models) / (whole + start)
    bound = AT_LEAST if case is SMALL else None
    return Measured(
        theme="heads",
        case=(
            f"{len(models)} heads of {case.genes} genes, {case.wells} wells x {case.tiles} tiles of width "
            f"{case.width}, {case.steps} steps"
        ),
        unit="models",
        items=len(models),
        costs=costs,
        limit="a run each",
        findings=(
            Finding(
                name="CPU-seconds per model: a run each / all at once", value=ratio, unit="x", least=bound, gates=False
            ),
            Finding(name="the same in seconds", value=seconds, unit="x"),
            Finding(name="CPU-seconds with the start of 40 processes / of one", value=commands, unit="x"),
            Finding(name="all at once, memory above the start", value=costs.peak_mb["all at once"], unit="MB"),
        ),
        notes=(
            f"'a run each' trains {len(few)} of the {len(models)} models, so its seconds are those of {len(few)} runs",
            "the arithmetic of large heads is the same in both arms, so their ratio falls with the number of genes",
            "the ratio grows with the steps, as what each model costs once weighs less",
        ),
    )


def _start() -> None:
    """Start a process that has all that training imports, and end it."""
    subprocess.run([sys.executable, "-c", "import framework.run, launch.entry"], check=True)


def _prepared(folder: Path, case: Case) -> HeadsConfig:
    """Make data, a backbone and embeddings that were never computed; return the config of all heads."""
    tables.write_without_pixels(folder / "data", case.wells * case.tiles, case.wells)
    _add_targets(folder / "data", case)
    dataset = Dataset.open(folder / "data")
    for shard in dataset.manifest.shards:
        file = folder / "data" / shard.name
        file.parent.mkdir(exist_ok=True)
        with file.open("wb") as stream:
            stream.truncate(shard.bytes)  # zeros that take no room
    fit(load_run_config(_pretraining(folder, case)))
    on = open_run(folder / "pretrain").on(None)
    random = np.random.default_rng(1)
    obs = tile_rows(on.dataset, on.parts, on.tiles())
    facts = facts_of(on, "embeddings") | {"level": "tile"}
    with StreamedTable(folder / "tiles.h5ad", obs, case.width, facts) as table:
        for _ in range(case.wells):
            table.append(random.normal(size=(case.tiles, case.width)).astype(np.float32))
    return load_heads_config(_heads(folder, case))


def _add_targets(folder: Path, case: Case) -> None:
    """Write targets of which M1 has the first half of the wells and M2 the second."""
    bags = pd.read_parquet(folder / "bags.parquet")
    random = np.random.default_rng(0)
    (folder / "targets").mkdir()
    for place, name in enumerate(TARGETS):
        mine = np.arange(case.wells // 2) + (place % 2) * (case.wells // 2)
        obs = bags.loc[mine, [SOURCE, BAG]].assign(bag=mine).set_index(mine.astype(str))
        var = pd.DataFrame(index=[f"GENE{gene}" for gene in range(case.genes)])
        values = random.normal(5.0, 2.0, (len(mine), case.genes)).astype(np.float32)
        anndata.AnnData(X=values, obs=obs, var=var).write_h5ad(folder / "targets" / f"{name}.h5ad")
    manifest = read_manifest(folder)
    files = tuple(record(folder / "targets" / f"{name}.h5ad", folder) for name in TARGETS)
    changed = manifest.model_copy(update={"targets": TARGETS, "files": (*manifest.files, *files), "digest": None})
    write_json(folder / "dataset.json", changed.sealed().model_dump(mode="json"))


def _pretraining(folder: Path, case: Case) -> dict[str, Any]:
    return {
        "run_dir": str(folder / "pretrain"),
        "data": {"path": str(folder / "data")},
        "split": {"fractions": [0.7, 0.1, 0.2]},
        "plan": {"name": "balanced_bags", "by": ["Metadata_Perturbation"], "conditions": 2, "bags": 2, "tiles": 1},
        "objective": {
            "name": "triplet_mil",
            "by": ["Metadata_Perturbation"],
            "backbone": {"name": "small_cnn", "widths": [4], "dense": [case.width]},
        },
        "train": {"steps": 1, "device": "cpu"},
        "tracking": {"wandb": "disabled"},
    }


def _heads(folder: Path, case: Case) -> dict[str, Any]:
    return {
        "run_dir": str(folder / "all"),
        "data": {"path": str(folder / "data"), "embeddings": str(folder / "tiles.h5ad")},
        "split": {"fractions": [0.7, 0.1, 0.2], "seed": 0},
        "plan": {"name": "bags", "bags": min(64, case.wells // 4), "tiles": min(64, case.tiles)},
        "objective": {"name": "omics_heads", "pretrained": str(folder / "pretrain"), "targets": list(TARGETS)},
        "optim": {"lr": 5.0e-5},
        "train": {"steps": case.steps, "evaluate_every": 100, "device": "cpu"},
        "tracking": {"wandb": "disabled"},
        "heads": {"seeds": list(range(case.splits))},
    }


def _alone(models: list[OneHead], folder: Path) -> None:
    _removed(folder / "alone")
    for one in models:
        fit(one.config.model_copy(update={"run_dir": str(folder / "alone" / one.name)}))


def _removed(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _need_equal(models: list[OneHead], folder: Path) -> None:
    """Raises WrongPixels: a model of all at once is another one than that of a run of its own."""
    for one in models:
        for name, mine, theirs in _pairs(folder / "all" / one.name, folder / "alone" / one.name):
            if not torch.allclose(mine, theirs, rtol=AGREEMENT, atol=AGREEMENT):
                raise WrongPixels(f"{one.name}: {name} differs by {float((mine - theirs).abs().max()):.3g}")


def _pairs(together: Path, alone: Path) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    found = [checkpoint.newest_valid(run / "checkpoints") for run in (together, alone)]
    if found[0] is None or found[1] is None:
        raise WrongPixels(f"{together}: no checkpoint")
    mine, theirs = (checkpoint.load(path).weights for path in found if path is not None)
    for name, value in mine.items():
        yield name, value, theirs[name]
