"""Every YAML below experiments/ is read; every run among them trains two steps of its debug form and resumes."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from fixtures.tiny_dataset import make_dataset

from data_tools.pipeline import CellsIngestConfig, IngestConfig, ingest, load_ingest_config
from data_tools.simulate import IfcConfig, PlateConfig, simulate_plate
from data_tools.single_cell import SingleCellConfig
from framework.config import StrictModel, load_config
from framework.data.format.schema import read_manifest
from framework.expression import ExpressionConfig
from framework.profiles import NormaliseConfig
from framework.run import embed, fit, load_run_config, verify_run
from framework.study import StudyConfig, load_study_config, plan_of

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "experiments").rglob("*.yaml"))
KEYS = {
    "split_seeds": "study",
    "objective": "run",
    "kind": "ingest",
    "plates": "ingest",
    "perturbations": "simulate plate",
    "sequenced_cells": "simulate ifc",
    "single_cell": "express",
    "proteins": "prepare",
    "steps": "normalise",
}
"""Top-level key that only the configs of one command have; the first one found decides."""
MODELS: dict[str, type[StrictModel]] = {
    "study": StudyConfig,
    "simulate plate": PlateConfig,
    "simulate ifc": IfcConfig,
    "express": ExpressionConfig,
    "prepare": SingleCellConfig,
    "normalise": NormaliseConfig,
}


def command_of(file: Path) -> str:
    """The command a file is for, by what it says and not by what it is called."""
    keys = yaml.safe_load(file.read_text())
    return next((command for key, command in KEYS.items() if key in keys), "unknown")


COMMANDS = {file: command_of(file) for file in FILES}
INGESTS = [file for file, command in COMMANDS.items() if command == "ingest"]
RUNS = [file for file, command in COMMANDS.items() if command == "run"]
OTHERS = [file for file in FILES if file not in INGESTS + RUNS]
ANY_SPLIT = ["split={by: Metadata_Perturbation, fractions: [0.5, 0.0, 0.5]}"]


def name(file: Path) -> str:
    return str(file.relative_to(ROOT / "experiments"))


def test_every_file_belongs_to_a_command() -> None:
    assert {"demo", "ifc_seq", "image2omics", "marker_regression"} <= {name(file).split("/")[0] for file in FILES}
    unknown = [name(file) for file, command in COMMANDS.items() if command == "unknown"]
    assert not unknown, "none of KEYS stands in these files; add the key that tells their command"
    assert set(COMMANDS.values()) == set(KEYS.values())


@pytest.mark.parametrize("file", FILES, ids=name)
def test_a_file_starts_with_a_note_for_its_reader(file: Path) -> None:
    assert file.read_text().startswith("# ")


@pytest.mark.parametrize("file", INGESTS, ids=name)
def test_an_ingest_file_is_valid(file: Path) -> None:
    config = load_ingest_config(file)
    assert isinstance(config, CellsIngestConfig) or config.nuclei.channel in config.channels


@pytest.mark.parametrize("file", OTHERS, ids=name)
def test_a_file_of_another_command_is_valid(file: Path) -> None:
    config = load_config(file, MODELS[COMMANDS[file]])
    assert type(config).from_plain(config.plain()) == config


@pytest.mark.parametrize("file", [file for file in FILES if COMMANDS[file] == "study"], ids=name)
def test_the_configs_of_a_study_fit_together(file: Path) -> None:
    study = load_study_config(file)
    steps = [step.name for step in plan_of(study)]
    assert {"ingest", "evaluate", "report"} <= set(steps)
    expected = ["heads"] if study.heads_together else [f"heads-{seed}" for seed in study.split_seeds]
    assert [step for step in steps if step == "heads" or step.startswith("heads-")] == expected
    for seed in study.split_seeds:
        assert any(step.startswith("predict-") and step.endswith(f"-{seed}") for step in steps)


def dataset_for(file: Path, folder: Path) -> Path:
    """A tiny dataset with the channels, markers and targets the run names; 12 wells of 4 perturbations."""
    config = load_run_config(file)
    dataset = make_dataset(
        folder,
        bags=16,
        tiles_per_bag=(5, 6),
        channels=config.data.channels or ("A", "B", "C"),
        perturbations=("P0", "P1", "P2", "P3"),
        markers=getattr(config.objective, "markers", ("gene", getattr(config.objective, "total", "sum"))),
        targets=dict.fromkeys(getattr(config.objective, "targets", ()), 3),
    )
    return dataset.root


def train(file: Path, *overrides: str) -> Path:
    return fit(load_run_config(file, [*ANY_SPLIT, "tracking.wandb=disabled", *overrides], debug=True))


@pytest.mark.parametrize("file", RUNS, ids=name)
def test_a_run_trains_two_steps_and_resumes(file: Path, tmp_path: Path) -> None:
    data = dataset_for(file, tmp_path / "data")
    overrides = [f"run_dir={tmp_path / 'run'}", f"data.path={data}"]
    if getattr(load_run_config(file).plan, "by", ()) == ("Metadata_Protein",):
        # The tiny dataset knows perturbations, not proteins.
        overrides.append("plan.by=[Metadata_Perturbation]")
    if load_run_config(file).objective.builds_on:
        stage_one = tmp_path / "stage-one"
        train(file.with_name("pretrain.yaml"), f"run_dir={stage_one}", f"data.path={data}")
        overrides.append(f"objective.pretrained={stage_one}")
        if load_run_config(file).data.embeddings:
            embed(stage_one, data=data, out=tmp_path / "tiles.h5ad", level="tile")
            overrides.append(f"data.embeddings={tmp_path / 'tiles.h5ad'}")
    run = train(file, *overrides)
    assert json.loads((run / "summary.json").read_text())["steps"] == 2
    verify_run(run)
    for part in ("latest", "step-00000002"):
        path = run / "checkpoints" / part
        (path.unlink if path.is_file() else lambda p=path: [x.unlink() for x in p.iterdir()] and p.rmdir())()
    again = train(file, *overrides)
    assert json.loads((again / "summary.json").read_text())["steps"] == 2
    assert "over 1 restart(s)" in " ".join(verify_run(again).sentences)


def test_the_demos_ingest_reads_what_its_simulation_writes(tmp_path: Path) -> None:
    config = load_config(
        ROOT / "experiments/demo/simulate.yaml",
        PlateConfig,
        ["rows=4", "columns=4", "perturbations=3", "replicates=1", "size_px=200", "cells_per_site=8",
         "transcripts=20", "proteins=10"],
    )  # fmt: skip
    simulate_plate(config, tmp_path / "raw")
    raw = tmp_path / "raw"
    settings = load_config(
        ROOT / "experiments/demo/ingest.yaml",
        IngestConfig,
        [
            f"plates.0.source.path={raw / 'DEMO'}",
            f"plates.0.platemap.path={raw / 'platemap.csv'}",
            f"omics.0.table={raw / 'omics' / 'transcripts.csv.gz'}",
            f"omics.1.table={raw / 'omics' / 'proteins.csv.gz'}",
        ],
    )
    ingest(settings, tmp_path / "dataset", workers=1)
    manifest = read_manifest(tmp_path / "dataset")
    assert manifest.targets == ("transcripts_M1", "transcripts_M2", "proteins_M1", "proteins_M2")
    truth = pd.read_parquet(raw / "truth_nuclei.parquet")
    assert 0.9 * len(truth) <= manifest.n_cells <= 1.1 * len(truth)
