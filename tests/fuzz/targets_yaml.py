"""Targets: the YAML files that people write, and a plate that is surveyed as its YAML says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fixtures.tiny_run import HEADS, MARKERS, PAIRS, TRIPLET
from fuzz.target import Target, of_files
from fuzz.targets_images import write_plate
from fuzz.targets_own import INGESTED

from data_tools.pipeline.entry import ingest, load_ingest_config
from data_tools.readers.cells.stack import StackConfig
from data_tools.single_cell.config import SingleCellConfig
from framework.config import load_config
from framework.expression import ExpressionConfig
from framework.run import load_run_config

_READER = "name: stack\npath: s.npz\nchannels: [a, b]\nlabels: {Metadata_Class: labels}\nmeasurements: [area]\n"
_PREPARE = (
    "name: x\ngenes: rna.csv\nproteins: adt.csv\ngates: {transform: none, populations: {high: {CD3: {low: 1.5}}}}\n"
)
_EXPRESS = "single_cell: c.h5ad\nmarkers: [CD3]\nforest: {trees: 4}\nimages: {predictions: p.h5ad, names: {CD3: x}}\n"


def _yaml(text: str, name: str) -> Any:
    def make(folder: Path) -> None:
        (folder / name).write_text(text, encoding="utf-8")

    return make


def _read_run_yaml(folder: Path) -> Any:
    return load_run_config(folder / "run.yaml").plain()


def _read_ingest_yaml(folder: Path) -> Any:
    return load_ingest_config(folder / "ingest.yaml").plain()


def _read_as(model: Any) -> Any:
    return lambda folder: load_config(folder / "config.yaml", model).plain()


def _plate_export(folder: Path) -> None:
    write_plate(folder / "raw")
    (folder / "ingest.yaml").write_text(
        "name: x\nplates:\n  - source: {name: harmony, path: raw/SIM}\n    platemap: {path: raw/platemap.csv}\n"
        "channels: [Hoechst, MitoTracker]\nillumination: {method: none}\n"
        "nuclei: {channel: Hoechst, diameter_um: 14.4}\ntiles: {size_px: 32}\n",
        encoding="utf-8",
    )


def _surveyed(folder: Path) -> Any:
    os.chdir(folder)
    ingest(load_ingest_config("ingest.yaml"), folder / "out", workers=0, dry_run=True)
    return "surveyed"


def _run_yaml(name: str, template: str, **places: str) -> list[Target]:
    make = _yaml(template.format(run="r", data="d", **places), "run.yaml")
    return of_files(f"yaml {name}", make, ("run.yaml",), _read_run_yaml, command=("train", "{folder}/run.yaml"))


TARGETS: list[Target] = [
    *_run_yaml("triplet", TRIPLET),
    *_run_yaml("heads", HEADS, pretrained="p"),
    *_run_yaml("markers", MARKERS),
    *_run_yaml("pairs", PAIRS),
    *of_files(
        "yaml",
        _yaml(INGESTED.format(stack="s.npz", layout="tar", codec="null"), "ingest.yaml"),
        ("ingest.yaml",),
        _read_ingest_yaml,
        command=("ingest", "{folder}/ingest.yaml", "--out", "{folder}/out"),
    ),
    *of_files("yaml reader", _yaml(_READER, "config.yaml"), ("config.yaml",), _read_as(StackConfig)),
    *of_files("yaml prepare", _yaml(_PREPARE, "config.yaml"), ("config.yaml",), _read_as(SingleCellConfig)),
    *of_files("yaml express", _yaml(_EXPRESS, "config.yaml"), ("config.yaml",), _read_as(ExpressionConfig)),
    *of_files(
        "plate",
        _plate_export,
        ("raw/platemap.csv", "raw/SIM/Images/Index.idx.xml", "ingest.yaml"),
        _surveyed,
        command=("ingest", "{folder}/ingest.yaml", "--out", "{folder}/out", "--dry-run"),
    ),
]
