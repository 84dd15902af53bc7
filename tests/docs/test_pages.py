"""What pages tell people to type: the first ten minutes are typed, examples are configs, the Slurm script is run."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import anndata
import pandas as pd
import pytest
import yaml
from fixtures.tiny_run import TRIPLET
from typer.testing import CliRunner

from data_tools.pipeline.plates.config import IngestConfig
from data_tools.simulate import IfcConfig
from experiments.first_hour.chain import blocks
from experiments.first_hour.inputs import three_things
from framework.cluster import ClusterConfig, SlurmConfig
from framework.config import parse_config
from framework.objectives import OBJECTIVES, Embeds, Paints, Predicts
from framework.run import RunConfig
from framework.tracking import TrackingConfig
from launch import slurm
from launch.cli import app
from wellstream.configs import KINDS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def typed(page: str) -> list[list[str]]:
    """The words of each command of a page."""
    return [shlex.split(line) for text in blocks(page, "console") for line in text.splitlines()]


def test_ten_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = typed("start.md")
    assert [words[1] for words in commands] == [
        *("simulate", "init", "ingest", "ingest", "inspect", "train", "train", "embed", "embed", "report"),
    ]
    for words in commands:
        assert words[0] == "wellstream"
        here = ["--workers", "0"] if words[1] == "ingest" else []  # no further processes
        result = CliRunner().invoke(app, [*words[1:], *here])
        assert result.exit_code == 0, f"{shlex.join(words)}: {result.output}{result.exception!r}"
    text = (DOCS / "start.md").read_text()
    for name in set(re.findall(r"`(first/[\w./]+\.\w+)`", text)) - {"first/platemap.csv"}:  # of an export without one
        assert Path(name).is_file(), name
    cells, wells = (anndata.read_h5ad(f"first/{name}.h5ad") for name in ("cells", "wells"))
    assert "Metadata_Perturbation" in cells.obs
    assert len(wells) == 32
    assert len(cells) > len(wells)


def test_genes_from_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = typed("howto/omics.md")
    assert [words[1] for words in commands] == [
        *("init", "ingest", "ingest", "train", "embed", "train", "predict", "evaluate", "report"),
    ]
    for words in (typed("start.md")[0], *commands):
        here = ["--workers", "0"] if words[1] == "ingest" else []  # no further processes
        result = CliRunner().invoke(app, [*words[1:], *here])
        assert result.exit_code == 0, f"{shlex.join(words)}: {result.output}{result.exception!r}"
    for name in set(re.findall(r"`(genes/[\w./]+\.\w+)`", (DOCS / "howto/omics.md").read_text())):
        assert Path(name).is_file(), name
    heads, trained = (
        parse_config(Path(f"genes/{name}.yaml").read_text(), RunConfig, name=name) for name in ("heads", "train")
    )
    assert heads.split == trained.split
    split = pd.read_csv("genes/run/split.csv")
    seen = set(split.loc[split["part"] == "train", "Metadata_Perturbation"])
    files = sorted(Path("genes/predicted").glob("*.h5ad"))
    assert [file.stem for file in files] == ["transcripts_M1", "transcripts_M2"]
    for file in files:
        predicted = anndata.read_h5ad(file)
        assert len(predicted) > 0
        assert not seen & set(predicted.obs["Metadata_Perturbation"])


def test_configs_of_the_own_plate_and_of_several_plates() -> None:
    for page in ("own_plate.md", "howto/several_plates.md"):
        (text,) = blocks(page, "yaml")
        parse_config(text, IngestConfig, name=page)
    written = CliRunner().invoke(app, typed("own_plate.md")[0][1:-2])
    assert written.exit_code == 0
    assert yaml.safe_load(written.stdout)["plates"][0]["source"]["name"] == "harmony"


def test_expression_per_imaged_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    configs = blocks("howto/expression.md", "yaml")
    few = IfcConfig(cells=80, sequenced_cells=140, foreign_cells=4, foreign_genes=10)
    three_things(tmp_path, configs, few)
    for kind, text in zip(("cells", "run", "prepare", "express"), configs, strict=True):
        parse_config(text, KINDS[kind], name=kind)
    commands = typed("howto/expression.md")
    assert [words[1] for words in commands] == [
        *("ingest", "ingest", "train", "predict", "evaluate", "prepare", "express"),
    ]
    quick = {"ingest": ["--workers", "0"], "train": ["train.steps=2"], "express": ["forest.trees=3", "resamples=100"]}
    for words in (["wellstream", "init", "cells", "--out", "first"], *commands):
        result = CliRunner().invoke(app, [*words[1:], *quick.get(words[1], [])])
        assert result.exit_code == 0, f"{shlex.join(words)}: {result.output}{result.exception!r}"
        if words[1] == "evaluate":
            assert "its baselines (a linear fit of mean intensities, the train mean)" in result.output
    first, written = (yaml.safe_load(Path(name).read_text()) for name in ("first/ingest.yaml", "ingest.yaml"))
    assert first["sources"][0]["reader"]["pattern"] == written["sources"][0]["reader"]["pattern"]
    assert (first["tiles"], first["bags"]) == (written["tiles"], written["bags"])
    for file in set(re.findall(r"`(expressed/[\w.]+)`", (DOCS / "howto/expression.md").read_text())):
        assert Path(file).is_file(), file
    for name in ("label_free", "standard"):
        assert anndata.read_h5ad(f"expressed/expression_{name}.h5ad").n_obs == 24, "three groups of ten, of 80 cells"
    page = Path("expressed/report.html").read_text()
    assert re.search(r"The forest (beats|does not beat) the mean for most genes", page)


def test_the_example_of_wandb() -> None:
    (text,) = blocks("howto/wandb.md", "yaml")
    assert TrackingConfig.from_plain(yaml.safe_load(text)["tracking"]).project == "screen"


def test_every_objective_has_a_row_with_what_it_can_do() -> None:
    rows = re.findall(
        r"^\| \[`(\w+)`\]\([^)]+\) \| .* \| ([^|]*) \|$", (DOCS / "howto/objective.md").read_text(), re.MULTILINE
    )
    assert {name for name, _ in rows} == set(OBJECTIVES.names())
    for name, afterwards in rows:
        kind: Any = OBJECTIVES.get(name).build
        for role, command in ((Embeds, "`embed"), (Predicts, "`predict`"), (Paints, "`inpaint`")):
            assert (command in afterwards) == issubclass(kind, role), f"{name}: {command}"


@pytest.mark.parametrize("ends", ["trained", "stopped", "cancelled"])
def test_the_slurm_script_asks_for_the_queue_only_when_it_was_stopped(tmp_path: Path, ends: str) -> None:
    command = slurm.Command(here=["wellstream"], words=["train", "my.yaml"])
    script = slurm.training(SlurmConfig(), "job", command, nodes=1, folder=tmp_path)
    (tmp_path / "job.sh").write_text(script)
    stand_ins = {
        "srun": 'echo $$ > pid\nexec "${@:2}"',
        "wellstream": "trap 'sleep 0.3; exit 75' TERM\nsleep 0.5\ntouch started\n"
        + ("exit 0" if ends == "trained" else "while :; do sleep 0.05; done"),
        "scancel": 'test "$*" = "--signal=TERM 42" && kill -TERM $(cat pid)',
        "squeue": "echo " + ("COMPLETING" if ends == "cancelled" else "RUNNING"),
        "scontrol": 'echo "$@" > queued',
    }
    for name, text in stand_ins.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "42"}
    with subprocess.Popen(["bash", "job.sh"], cwd=tmp_path, env=environment) as job:
        deadline = time.monotonic() + 30
        while not (tmp_path / "started").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        if ends != "trained":
            job.send_signal(signal.SIGTERM)
        code = job.wait(60)
    queued = (tmp_path / "queued").read_text() if (tmp_path / "queued").exists() else ""
    expected = {"trained": (0, ""), "stopped": (75, "requeue 42\n"), "cancelled": (75, "")}
    assert (code, queued) == expected[ends]


@pytest.mark.parametrize("page", ["howto/slurm.md", "howto/kubernetes.md"])
def test_clusters_are_configs_and_the_commands_show_a_job(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (text,) = blocks(page, "yaml")
    parse_config(text, ClusterConfig, name=page)
    Path("cluster.yaml").write_text(text)
    Path("my.yaml").write_text(TRIPLET.format(run="run", data="data"))
    shown = [words for words in typed(page) if words[0] == "wellstream" and "--dry-run" in words]
    assert shown
    for words in shown:
        result = CliRunner().invoke(app, words[1:])
        assert result.exit_code == 0, f"{shlex.join(words)}: {result.output}{result.exception!r}"
        assert ("#SBATCH --partition=gpu" if "slurm" in words else "image: registry.my-lab.org") in result.output
