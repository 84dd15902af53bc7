"""The README's tables on real Jurkat cells: DNA content from unstained images, and the phase of the cell cycle.

    python -m experiments.ifc_seq.jurkat_table --cells ifc-jurkat-cellcycle --out jurkat

ingest -> train the network once as committed and once for each change -> predict from one view and from eight ->
evaluate; then three folds of features for phases, each cell held out once. About a quarter of an hour on two cores;
run again, it continues.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from experiments.demo.steps import Protocol, overrides, table_made
from experiments.ifc_seq.phase import compare
from framework.errors import InputError
from framework.evaluate.beside import KEY, beside_baselines
from framework.evaluate.evaluation import SUMMARY_NAME, render_baselines
from framework.terminal import Terminal

CONFIGS = Path(__file__).parent
IMAGES, LABELS = "exp1_a.npz", "exp1_a_labels.csv"
VIEWS = (1, 8)
FOLDS, GROUPS = 3, 30


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One training of the network that reads DNA content.

    Attributes:
        name: of its run.
        says: what it is, for the table.
        config: YAML of this folder.
        changes: overrides.
    """

    name: str
    says: str
    config: str = "jurkat_brightfield.yaml"
    changes: tuple[str, ...] = ()


_PAPER = ("optim.schedule=constant", "optim.warmup_steps=0", "data.augment.rotate90=false", "train.patience=5")
_MOMENTUM = "objective.backbone.momentum=0.1"
COMMITTED = Variant(name="brightfield", says="as committed: cosine over 510 steps (30 epochs), flips and turns")
WITH_DARKFIELD = Variant(
    name="brightfield_darkfield",
    says="as committed, brightfield + darkfield",
    config="jurkat_brightfield_darkfield.yaml",
)
VARIANTS = (
    COMMITTED,
    WITH_DARKFIELD,
    Variant(name="paper", says="paper's training: rate constant, four flips, patience 5", changes=_PAPER),
    Variant(name="paper_momentum", says=f"the same, {_MOMENTUM}", changes=(*_PAPER, _MOMENTUM)),
    Variant(
        name="no_augment",
        says="as committed, without flips and turns",
        changes=("data.augment.flip=false", "data.augment.rotate90=false"),
    ),
    Variant(
        name="one_by_one",
        says="as committed, images standardised one by one",
        changes=("data.scale=per_tile_standardise",),
    ),
    Variant(name="momentum", says=f"as committed, {_MOMENTUM}", changes=(_MOMENTUM,)),
)
BESIDE = (COMMITTED.name, WITH_DARKFIELD.name)
"""Variants that baselines stand beside."""


def make(cells: Path, out: Path, protocol: Protocol) -> None:
    """Run every command below ``out``; what is there already is continued or kept.

    Raises:
        StepFailed: a command failed.
    """
    source = overrides(
        sources__0__reader__path=cells / IMAGES,
        sources__0__tables__0__table__path=cells / LABELS,
    )
    data, by_phase, ingest = out / "data", out / "data-phase", CONFIGS / "jurkat_ingest.yaml"
    protocol.run("Ingest", "ingest", ingest, "--out", data, *source)
    protocol.run("Ingest by phase", "ingest", ingest, "--out", by_phase, "bags.by=[Metadata_Phase]", *source)
    for one in VARIANTS:
        run = out / one.name
        places = overrides(run_dir=run, data__path=data)
        protocol.run(f"Train {one.name}", "train", CONFIGS / one.config, *places, *one.changes)
        for views in VIEWS:
            _score(run, data, views, protocol)
    for fold in range(FOLDS):
        held_out = [f"{group:02d}" for group in range(fold, GROUPS, FOLDS)]
        _embed("jurkat_phase.yaml", by_phase, out / f"phase-{fold}", [f"split.test={json.dumps(held_out)}"], protocol)
    _embed("jurkat_features.yaml", data, out / "features", [], protocol)


def _score(run: Path, data: Path, views: int, protocol: Protocol) -> None:
    folder = _evaluation(run, views)
    if (folder / SUMMARY_NAME).is_file():
        return
    file = run / f"dna-{views}.h5ad"
    protocol.run(f"Predict {run.name}, {views} views", "predict", run, "--views", views, "--out", file)
    # Baselines see what the network sees, so the other variants of brightfield would have the same.
    beside = ("--baselines", "all") if run.name in BESIDE and views == VIEWS[-1] else ()
    protocol.run(f"Evaluate {run.name}, {views} views", "evaluate", file, "--data", data, "--out", folder, *beside)


def _embed(config: str, data: Path, run: Path, changes: Sequence[str], protocol: Protocol) -> None:
    protocol.run(f"Train {run.name}", "train", CONFIGS / config, *overrides(run_dir=run, data__path=data), *changes)
    if not _embedded(run).is_file():
        protocol.run(f"Embed {run.name}", "embed", run, "--level", "tile", "--out", _embedded(run))


def _evaluation(run: Path, views: int) -> Path:
    return run / f"evaluation-{views}"


def _embedded(run: Path) -> Path:
    return run / "cells.h5ad"


def collect(out: Path) -> dict[str, Any]:
    """Read what ``make`` made.

    Returns:
        ``dna``: one row per variant, with its changes, the step of the weights used and the scores from one and eight
        views; ``baselines``: what stands beside the variants of ``BESIDE``, by their names; ``phase``: scores of
        neighbours in features that saw phases; ``features``: in those that saw none.

    Raises:
        WellstreamError: something is missing or damaged.
    """
    folds = [_embedded(out / f"phase-{fold}") for fold in range(FOLDS)]
    return {
        "dna": [_row(out / one.name, one) for one in VARIANTS],
        "phase": _phases(out / "data-phase", folds),
        "features": _phases(out / "data", [_embedded(out / "features")]),
        "baselines": {name: _summary(_evaluation(out / name, VIEWS[-1]))[KEY] for name in BESIDE},
    }


def _row(run: Path, one: Variant) -> dict[str, Any]:
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    scores = {str(views): _scores(_evaluation(run, views)) for views in VIEWS}
    facts = {"name": one.name, "says": one.says, "changes": list(one.changes)}
    return {**facts, "steps": summary["steps"], "best_step": summary["best_step"], "views": scores}


def _scores(folder: Path) -> dict[str, Any]:
    rows: list[dict[str, Any]] = _summary(folder)["rows"]
    if len(rows) != 1:
        raise InputError(f"{folder}: expected the scores of one marker, found {len(rows)}; remove the folder")
    return rows[0]


def _summary(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((folder / SUMMARY_NAME).read_text(encoding="utf-8"))
    return summary


def _phases(data: Path, files: Sequence[Path]) -> list[dict[str, Any]]:
    return [{"features": name, "k": k, **asdict(found)} for (name, k), found in compare(data, files).items()]


def show(console: Console, found: dict[str, Any]) -> None:
    """Print the tables, and how the network stands beside its baselines."""
    heads = [Column(head, no_wrap=True) for head in ("best at", "r, 1 view", "r, 8 views [95 %]", "Fisher")]
    table = Table(Column("DNA content", overflow="fold"), *heads, box=None)
    for row in found["dna"]:
        one, eight = (row["views"][str(views)] for views in VIEWS)
        bootstrap = f"{eight['r']:.3f} [{eight['r_low']:.3f}, {eight['r_high']:.3f}]"
        fisher = f"[{eight['r_fisher_low']:.3f}, {eight['r_fisher_high']:.3f}]"
        table.add_row(row["says"], str(row["best_step"]), f"{one['r']:.3f}", bootstrap, fisher)
    console.print(table, soft_wrap=True)
    for name, beside in found[KEY].items():
        verdict = beside_baselines({KEY: beside})
        console.print(f"{name}: {verdict.text if verdict else 'no baselines'}", soft_wrap=True)
        console.print(render_baselines({KEY: beside}))
    for key, says in (("phase", "phase, features that saw phases"), ("features", "features that saw none, one fold")):
        table = Table(says, "k", "accuracy", "balanced [95 %]", box=None)
        for row in found[key]:
            balanced = f"{row['balanced']:.3f} [{row['low']:.2f}, {row['high']:.2f}]"
            table.add_row(row["features"], str(row["k"]), f"{row['accuracy']:.3f}", balanced)
        console.print(table, soft_wrap=True)


def main() -> int:
    """Make what is missing, print and write ``OUT/jurkat.json``."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.ifc_seq.jurkat_table",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cells", type=Path, required=True, help=f"folder with {IMAGES} and {LABELS}")
    parser.add_argument("--out", type=Path, default=Path("jurkat"), help="folder for everything that is made")
    options = parser.parse_args()
    return table_made(
        Terminal(),
        options.out / "jurkat.json",
        lambda protocol: make(options.cells, options.out, protocol),
        lambda: collect(options.out),
        show,
    )


if __name__ == "__main__":
    sys.exit(main())
