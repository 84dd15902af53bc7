"""What is compared on: a simulated plate and the squares of a Xenium field, each with its splits and overrides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.demo.steps import Protocol, overrides
from experiments.image2omics.together.squares import BLOCK, NEIGHBOURHOOD, write_squares
from experiments.image2omics.truth.one_plate import ingest_words, simulate_words
from framework.data.dataset import Dataset

HERE = Path(__file__).parent
_STRIPS = 3
SQUARES_SEEDS = (0, 1, 2)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Data that models are compared on.

    Attributes:
        title: for tables.
        folder: of everything made for it.
        splits: name -> the words that make it.
        repeats: seeds per repeat: split -> seed of pretraining and training. Scores are means over the repeats.
        groups: column of bags whose bags are resampled, and kept in one fold, together.
        targets: of the dataset.
        changes: stage -> overrides.
        genes: target -> genes that are scored; of a target that is not named, all.
        baselines: entries of ``BASELINES``.
    """

    title: str
    folder: Path
    splits: Mapping[str, str]
    repeats: Sequence[Mapping[str, int]]
    groups: str
    targets: tuple[str, ...]
    changes: Mapping[str, tuple[str, ...]]
    baselines: tuple[str, ...]
    genes: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The dataset."""
        return self.folder / "dataset"

    def opened(self) -> Dataset:
        """Open the dataset."""
        return Dataset.open(self.data)

    def changed(self, stage: str) -> tuple[str, ...]:
        """Return the overrides of a stage."""
        return (*self.changes.get("all", ()), *self.changes.get(stage, ()))


def simulated(out: Path, protocol: Protocol) -> Setting:
    """Simulate and ingest a plate of 90 perturbations x 2 stimulations x 2 wells, if it is not there.

    Raises:
        StepFailed: a command failed.
    """
    folder = out / "simulated"
    raw, data = folder / "raw", folder / "dataset"
    sizes = ("perturbations=90", "replicates=2", "transcripts=400", "proteins=150", "omics_replicates=3")
    if not (data / "dataset.json").exists():
        protocol.run("Simulate", *simulate_words(raw, *sizes))
        protocol.run("Ingest", *ingest_words(raw, data))
    truth = pd.read_parquet(raw / "truth.parquet")
    truth = truth[truth["depends"]].assign(target=truth["modality"] + "_" + truth["stimulation"])
    splits = {
        str(seed): f"split={{by: Metadata_Perturbation, fractions: [0.7, 0.1, 0.2], seed: {seed}}}" for seed in range(3)
    }
    return Setting(
        title="simulated plate",
        folder=folder,
        splits=splits,
        repeats=({name: int(name) for name in splits},),
        groups="Metadata_Perturbation",
        targets=("transcripts_M1", "transcripts_M2", "proteins_M1", "proteins_M2"),
        changes={"all": overrides(data__path=data)},
        genes={str(name): frozenset(rows["gene"]) for name, rows in truth.groupby("target")},
        # The others look at 11,000 tiles for many minutes; `make truth` compares ImageNet on the same simulation.
        baselines=("count", "intensity"),
    )


def squares(out: Path, xenium: Path, protocol: Protocol) -> Setting:
    """Cut the field of ``xenium`` into squares and ingest them, if they are not there.

    Raises:
        WellstreamError: the field cannot be read, or a command failed.
    """
    folder = out / "squares"
    raw, data = folder / "raw", folder / "dataset"
    if not (data / "dataset.json").exists():
        write_squares(xenium, raw)
        words = overrides(
            plates__0__source__path=raw / "images",
            plates__0__platemap__path=raw / "platemap.csv",
            nuclei__table__path=raw / "centres.csv",
            omics__0__table=raw / "rna.csv",
        )
        protocol.run("Ingest", "ingest", HERE / "squares.yaml", "--out", data, *words)
    blocks = sorted(set(Dataset.open(data).bags[BLOCK].dropna().astype(str)))
    splits = {str(strip): _without(blocks, strip) for strip in range(_STRIPS)}
    short = ("train.steps=150", "train.save_every=150")
    small = ("plan.tiles=4", "objective.targets=[rna_none]")
    return Setting(
        title="squares of a Xenium field",
        folder=folder,
        splits=splits,
        repeats=tuple(dict.fromkeys(splits, seed) for seed in SQUARES_SEEDS),
        groups=NEIGHBOURHOOD,
        targets=("rna_none",),
        changes={
            "all": (f"data.path={data}", "data.scale=log1p_standardise"),
            "pretrain": (f"plan.by=[{NEIGHBOURHOOD}]", f"objective.by=[{NEIGHBOURHOOD}]", "plan.tiles=4", *short),
            "heads": small,
            "bags": (*small, *short),
        },
        baselines=("count", "intensity", "classic", "imagenet", "position"),
    )


def _without(blocks: Sequence[str], strip: int) -> str:
    """Return the split that tests on a strip and validates on one block of rows of each of the others."""
    test = [name for name in blocks if name.startswith(f"{strip}-")]
    val = [f"{other}-{(strip + other) % 5}" for other in range(_STRIPS) if other != strip]
    listed: dict[str, Any] = {"test": test, "val": val}
    parts = ", ".join(f"{part}: [{', '.join(names)}]" for part, names in listed.items())
    return f"split={{by: {BLOCK}, {parts}}}"
