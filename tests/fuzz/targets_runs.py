"""Targets: run folders of ours: checkpoints, facts, splits, metrics, audits, and what lies beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fixtures.tiny_run import TRIPLET, config, tiny_data
from fuzz.target import Target, of_files

from framework.checkpoint import load
from framework.data import split
from framework.data.dataset import Dataset
from framework.report.page_inputs import read_run
from framework.run import fit
from framework.run.train.folder import RunFolder
from framework.run.train.pretrained import open_run
from framework.run.verification.run import verify_run


def _run(folder: Path) -> None:
    tiny_data(folder / "data")
    _fit(folder, 6)


def _fit(folder: Path, steps: int) -> None:
    options = (f"train.steps={steps}", "optim.schedule=constant", "optim.warmup_steps=0")
    fit(config(TRIPLET, *options, run=folder / "run", data=folder / "data"))


def _checkpoint(folder: Path) -> Any:
    found = load(folder / "run" / "checkpoints" / "step-00000006")
    return {"step": found.step, "state": found.state, **{key: value.numpy() for key, value in found.weights.items()}}


def _run_folder(folder: Path) -> Any:
    run = RunFolder(root=folder / "run")
    facts = [run.config(), run.objective_facts(), run.scale()]
    return [one.plain() for one in facts]


def _split(folder: Path) -> Any:
    return split.read(folder / "run" / "split.csv", Dataset.open(folder / "data").bags)


def _opened(folder: Path) -> Any:
    return open_run(folder / "run").step


def _shown(folder: Path) -> Any:
    facts = read_run(folder / "run")
    return [len(facts.metrics), dict(facts.summary), facts.split]


def _resumed(folder: Path) -> Any:
    _fit(folder, 9)
    return (folder / "run" / "checkpoints" / "latest").read_text()


def _audited(folder: Path) -> Any:
    verify_run(folder / "run")
    return "every step once"


_CHECKPOINT = "run/checkpoints/step-00000006/"

TARGETS: list[Target] = [
    *of_files(
        "checkpoint",
        _run,
        tuple(_CHECKPOINT + name for name in ("model.safetensors", "optimiser.pt", "state.json")),
        _checkpoint,
        checked=True,
    ),
    *of_files("checkpoint", _run, (_CHECKPOINT + "manifest.json",), _checkpoint),
    *of_files("run", _run, ("run/config.yaml", "run/objective.json", "run/scale.json"), _run_folder),
    *of_files("opened run", _run, ("run/objective.json", "run/config.yaml"), _opened),
    *of_files("opened run", _run, ("run/checkpoints/latest",), _opened, needed=False),
    *of_files("split", _run, ("run/split.csv",), _split, table=True, refuses=("row_twice", "transposed")),
    *of_files("shown run", _run, ("run/metrics.jsonl", "run/summary.json"), _shown, needed=False),
    *of_files(
        "resumed run",
        _run,
        ("run/metrics.jsonl", "run/audit/*", "run/split.csv", "run/scale.json", _CHECKPOINT + "state.json"),
        _resumed,
        needed=False,
        costly=True,
    ),
    *of_files("audit", _run, ("run/audit/*",), _audited, checked=True, command=("verify", "{folder}/run")),
]
