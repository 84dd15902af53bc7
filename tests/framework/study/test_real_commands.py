"""A study with the commands themselves, on a tiny dataset, to its figures; and what is said of a shared backbone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from fixtures.study_world import STUDY, World
from fixtures.tiny_dataset import make_dataset

from framework.evaluate import read_evaluation
from framework.study import carry_out
from framework.terminal import Terminal
from launch.cli import app


def in_this_process(words: Sequence[str]) -> int:
    app(list(words), prog_name="wellstream", standalone_mode=False)
    return 0


@pytest.mark.parametrize("per_split", [False, True])
def test_from_a_dataset_to_figures(world: World, per_split: bool) -> None:
    names = [f"P{number}" for number in range(8)]
    make_dataset(world.folder / "data", bags=16, channels=("A",), perturbations=names, stimulations=("M1",),
                 targets={"rna_M1": 5})  # fmt: skip
    study = {key: value for key, value in STUDY.items() if key != "ingest"}
    world.write(
        "study.yaml",
        study | {"dataset": "data", "predict": {"tiles": 4, "seeds": 2, "views": "image2omics"}, "figures": {}},
    )
    # A backbone per split with heads at once; one backbone with a run per split.
    several = "true" if per_split else "false"
    config = world.study(f"backbone_per_split={several}", f"heads_together={several}")
    summary = carry_out(config, until="figures", console=Terminal(quiet=True), run=in_this_process)
    assert summary.left == ("report",)
    assert {"omics_shares.png", "omics_shares.csv"} <= {file.name for file in Path("made/figures").iterdir()}
    evaluation = read_evaluation("made/evaluation")
    assert set(evaluation.tables["per_split"]["seed"]) == {"0", "1"}
    notes = [note for note in evaluation.summary["notes"] if "backbone" in note]
    if per_split:
        assert not notes
        return
    split = pd.read_csv("made/runs/pretrain/split.csv").drop_duplicates("Metadata_Perturbation")
    other = pd.read_csv("made/runs/heads-1/split.csv").drop_duplicates("Metadata_Perturbation")
    trained = set(split.loc[split["part"] == "train", "Metadata_Perturbation"])
    held = set(other.loc[other["part"] == "test", "Metadata_Perturbation"])
    assert notes == [
        "the backbone was trained on values of Metadata_Perturbation that these splits hold out: 1 "
        f"({len(trained & held)} of {len(held)}); there, only the heads have not seen them. Held out from backbone and "
        "heads: split 0"
    ]
