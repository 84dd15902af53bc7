"""What a report reads: a run folder, and the dataset, evaluation and embeddings it is shown with.

A report is made for finished and for broken runs, so everything but the folder itself may be missing; what is there
must still be readable, and a damaged file is an error that names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import pandas as pd
from pydantic import ValidationError

from framework.config.source import parse_yaml
from framework.data.dataset import Dataset
from framework.data.format.schema import MANIFEST_NAME
from framework.data.remote.cache import CacheConfig
from framework.data.store import dataset_digest
from framework.errors import ConfigError, InputError, RunError, WellstreamError
from framework.evaluate import Evaluation, read_evaluation, read_truth
from framework.files.delimited import read_text_table
from framework.files.h5ad import read_h5ad
from framework.files.json_file import read_mapping, read_text
from framework.plugins import load_plugins
from framework.report.figure_files import FigureFile, read_figures
from framework.tracking import read_metrics


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What a run folder says about itself.

    Attributes:
        root: the folder.
        config_text: config.yaml as it stands, empty when there is none.
        config: the same, parsed.
        summary: summary.json, empty before the run has ended.
        metrics: one row per logged step, the last attempt at a step counts.
        split: split.csv, or None.
        checkpoints: names of the checkpoint folders, oldest first.
    """

    root: Path
    config_text: str
    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    metrics: pd.DataFrame
    split: pd.DataFrame | None
    checkpoints: tuple[str, ...]

    @property
    def path_shown(self) -> str:
        """The folder as commands name it: ``run_dir`` of the config, so a page does not depend on where it is made."""
        return str(self.config.get("run_dir") or self.root.resolve().name)

    def section(self, name: str) -> Mapping[str, Any]:
        """Return a section of the config, empty when it is not there."""
        found = self.config.get(name)
        return found if isinstance(found, Mapping) else {}

    def column(self, name: str) -> pd.Series:
        """Return a logged quantity by step without gaps, empty when it was never logged."""
        if name not in self.metrics.columns or "step" not in self.metrics.columns:
            return pd.Series(dtype=float)
        values = pd.to_numeric(self.metrics[name], errors="coerce")
        values.index = pd.Index(self.metrics["step"].astype(int))
        return values.dropna().sort_index()


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Everything a page is made from; None stands for what was not given.

    Attributes:
        run: the run folder.
        dataset: the one it trained on.
        evaluation: evaluation of its predictions.
        embeddings: embeddings of its tiles or bags.
        figures: figures that ``wellstream figure`` has written.
        notes: sentences about what the run names and the page cannot use.
        truth: what a simulation knows of its genes, see ``framework.evaluate.truth``.
    """

    run: RunFacts
    dataset: Dataset | None
    evaluation: Evaluation | None
    embeddings: anndata.AnnData | None
    figures: tuple[FigureFile, ...] = ()
    notes: tuple[str, ...] = ()
    truth: pd.DataFrame | None = None


def read_run(root: Path) -> RunFacts:
    """Read a run folder.

    Raises:
        RunError: no such folder, or nothing of a run in it.
        InputError: a file in it cannot be read.
    """
    if (root / MANIFEST_NAME).is_file():
        raise RunError(
            f"{root}: expected a run folder, found a dataset folder; train on it with: wellstream train CONFIG"
        )
    if not root.is_dir() or not any(
        (root / name).exists() for name in ("config.yaml", "metrics.jsonl", "summary.json")
    ):
        raise RunError(
            f"{root}: no run folder (no config.yaml, metrics.jsonl or summary.json); make one with: wellstream train"
        )
    config_file = root / "config.yaml"
    text = read_text(config_file, error=InputError, what="a config") if config_file.is_file() else ""
    return RunFacts(
        root=root,
        config_text=text,
        config=_mapping(config_file, parse_yaml(text, str(config_file)).data if text.strip() else {}),
        summary=_summary(root / "summary.json"),
        metrics=read_metrics(root) if (root / "metrics.jsonl").is_file() else pd.DataFrame(),
        split=_split(root / "split.csv"),
        checkpoints=tuple(sorted(path.name for path in (root / "checkpoints").glob("step-*") if path.is_dir())),
    )


def read_inputs(
    run: Path,
    dataset: Path | str | None,
    evaluation: Path | None,
    embeddings: Path | None,
    figures: Path | None = None,
    truth: Path | None = None,
) -> Inputs:
    """Read all a page needs.

    Args:
        run: the run folder.
        dataset: the dataset it was trained on; None: the one that its config names, where that is still there.
        evaluation: None: that in the run folder, if there is one.
        embeddings: None: none.
        figures: folder of ``wellstream figure``; None: ``figures`` in the run folder, if it is there.
        truth: ``truth.parquet`` of a simulated plate; None: none.

    Raises:
        WellstreamError: what was asked for is missing or cannot be read.
    """
    facts = read_run(run)
    notes = _plugins_of(facts)
    opened = Dataset.open(dataset) if dataset is not None else _named_dataset(facts, notes)
    drawn = figures or (run / "figures" if (run / "figures").is_dir() else None)
    found_evaluation = evaluation or _inside(run / "evaluation", "evaluation.json")
    return Inputs(
        run=facts,
        dataset=opened,
        evaluation=read_evaluation(found_evaluation) if found_evaluation is not None else None,
        embeddings=read_embeddings(embeddings) if embeddings is not None else None,
        figures=tuple(read_figures(drawn)) if drawn is not None else (),
        notes=tuple(notes),
        truth=read_truth(truth) if truth is not None else None,
    )


def _plugins_of(facts: RunFacts) -> list[str]:
    """Load the plugins of the run, which may add sections; return why one is not loaded: a page needs none."""
    names, notes = facts.config.get("plugins"), []
    for name in names if isinstance(names, list) else []:
        try:
            load_plugins([str(name)], "the run")
        except ConfigError as error:
            notes.append(f"A plugin of the run is not loaded: {error}.")
    return notes


def _named_dataset(facts: RunFacts, notes: list[str]) -> Dataset | None:
    """Return the dataset that the config names; where it cannot be used, None, and why in ``notes``."""
    place = facts.section("data").get("path")
    if not place:
        return None
    try:
        dataset = Dataset.open(str(place), _cache(facts))
        file = facts.root / "objective.json"
        trained = read_mapping(file, error=InputError, what="facts of a run") if file.is_file() else {}
    except (WellstreamError, OSError) as error:
        notes.append(
            f"The dataset that the run trained on cannot be used: {error}. If it was moved, add --data DATASET."
        )
        return None
    if trained.get("dataset_digest", dataset_digest(dataset)) == dataset_digest(dataset):
        return dataset
    notes.append(f"{dataset.where} is not in the state that the run trained on, so it is not used.")
    return None


def _cache(facts: RunFacts) -> CacheConfig | None:
    section = facts.section("data").get("cache")
    try:
        return CacheConfig.from_plain(dict(section)) if isinstance(section, Mapping) else None
    except ValidationError:
        return None


def read_embeddings(file: Path) -> anndata.AnnData:
    """Read an embeddings file.

    Raises:
        InputError: no such file, or no embeddings.
    """
    if not file.is_file():
        raise InputError(f"{file}: no such file; make one with: wellstream embed RUN --data DATASET --out {file.name}")
    data = read_h5ad(file, error=InputError, what="embeddings (.h5ad)", then="embed again")
    facts = data.uns.get("wellstream")
    if not isinstance(facts, Mapping) or facts.get("kind") != "embeddings":
        raise InputError(
            f"{file}: expected uns['wellstream']['kind'] = 'embeddings'; make it with: wellstream embed RUN"
        )
    return data


def _inside(folder: Path, name: str) -> Path | None:
    return folder if (folder / name).is_file() else None


def _split(file: Path) -> pd.DataFrame | None:
    if not file.is_file():
        return None
    return read_text_table(file, what="a split file", separator=",", comment=False, error=RunError).text


def _summary(file: Path) -> Mapping[str, Any]:
    return read_mapping(file, error=InputError, what="the summary of a run") if file.is_file() else {}


def _mapping(file: Path, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{file}: expected a mapping of names to values")
    return value
