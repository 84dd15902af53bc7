"""Targets: files of ours (datasets, runs, checkpoints, audits) and the YAML files that people write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from fixtures.tiny_run import HEADS, MARKERS, TRIPLET, config, tiny_data
from fuzz.target import Target, of_files

from data_tools.cells_config import CellsIngestConfig
from data_tools.pipeline.entry import ingest, load_ingest_config
from data_tools.readers.stack import StackConfig
from data_tools.simulate import PlateConfig, simulate_plate
from framework.checkpoint import load
from framework.config import load_config, parse_config
from framework.data.dataset import Dataset
from framework.data.store import TileStore
from framework.data.verify import verify_dataset
from framework.run import fit, load_run_config
from framework.run.train.folder import RunFolder
from framework.run.verification.run import verify_run

_INGESTED = """
kind: cells
name: tiny
sources:
  - plate: S
    reader:
      name: stack
      path: {stack}
      channels: [a, b]
      labels: {{Metadata_Class: labels}}
      measurements: [area]
channels: [a, b]
tiles: {{size_px: 16}}
bags: {{by: [Metadata_Class]}}
markers: {{Area: area}}
shards: {{bags_per_shard: 1, layout: {layout}, codec: {codec}}}
"""


def _stack(folder: Path) -> Path:
    rng = np.random.default_rng(6)
    images = rng.poisson(50, (12, 2, 16, 16)).astype(np.uint16)
    np.savez(folder / "cells.npz", images=images, labels=np.array(["k0", "k1"] * 6), area=np.arange(12.0))
    return folder / "cells.npz"


def _dataset(layout: str, codec: str) -> Any:
    def make(folder: Path) -> None:
        text = _INGESTED.format(stack=_stack(folder), layout=layout, codec=codec)
        ingest(parse_config(text, CellsIngestConfig, "ingest.yaml"), folder / "ds", workers=0)

    return make


def _opened(folder: Path) -> Any:
    dataset = Dataset.open(folder / "ds")
    tile = dataset.manifest.tile
    store = TileStore(dataset)
    ids = np.arange(len(store), dtype=np.int64)
    out = np.empty((len(ids), len(tile.channels), tile.height, tile.width), dtype=tile.dtype)
    store.gather(ids, out)
    return {"bags": dataset.bags, "pixels": out, "channels": tile.channels, "pixel": dataset.manifest.pixel_size_um}


def _verified(folder: Path) -> Any:
    verify_dataset(folder / "ds")
    return _opened(folder) | {"tiles": Dataset.open(folder / "ds").tile_table()}


def _run(folder: Path) -> None:
    tiny_data(folder / "data")
    fit(config(TRIPLET, "train.steps=6", run=folder / "run", data=folder / "data"))


def _checkpoint(folder: Path) -> Any:
    found = load(folder / "run" / "checkpoints" / "step-00000006")
    return {"step": found.step, "state": found.state, **{key: value.numpy() for key, value in found.weights.items()}}


def _run_folder(folder: Path) -> Any:
    run = RunFolder(root=folder / "run")
    facts = [run.config(), run.objective_facts(), run.scale()]
    return [one.plain() for one in facts]


def _audited(folder: Path) -> Any:
    verify_run(folder / "run")
    return "every step once"


def _yaml(text: str, name: str) -> Any:
    def make(folder: Path) -> None:
        (folder / name).write_text(text, encoding="utf-8")

    return make


def _read_run_yaml(folder: Path) -> Any:
    return load_run_config(folder / "run.yaml").plain()


def _read_ingest_yaml(folder: Path) -> Any:
    return load_ingest_config(folder / "ingest.yaml").plain()


def _read_reader_yaml(folder: Path) -> Any:
    return load_config(folder / "reader.yaml", StackConfig).plain()


def _plate_export(folder: Path) -> None:
    simulated = PlateConfig(
        plate="SIM",
        perturbations=3,
        replicates=1,
        rows=4,
        columns=6,
        sites=1,
        size_px=128,
        cells_per_site=3,
        transcripts=4,
        proteins=2,
        out_of_focus_wells=0,
    )
    simulate_plate(simulated, folder / "raw")
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


_TABLES = ("dataset.json", "bags.parquet", "tiles.parquet", "tiles.index", "checksums.json")
_RAW = _dataset("tar", "null")
_PACKED = _dataset("zarr", "{id: blosc, cname: lz4}")
_SHOWN = ("inspect", "{folder}/ds")

TARGETS: list[Target] = [
    *of_files(
        "opened dataset",
        _RAW,
        tuple(f"ds/{name}" for name in ("dataset.json", "bags.parquet", "tiles.index")),
        _opened,
        checked=True,
        command=_SHOWN,
    ),
    *of_files(
        "verified dataset",
        _RAW,
        (*(f"ds/{name}" for name in _TABLES), "ds/shards/*.tar"),
        _verified,
        checked=True,
        command=("verify", "{folder}/ds"),
    ),
    *of_files("verified dataset", _PACKED, ("ds/shards/**/*",), _verified, checked=True),
    *of_files(
        "checkpoint",
        _run,
        tuple(f"run/checkpoints/step-00000006/{name}" for name in ("model.safetensors", "optimiser.pt", "state.json")),
        _checkpoint,
        checked=True,
    ),
    *of_files("checkpoint", _run, ("run/checkpoints/step-00000006/manifest.json",), _checkpoint),
    *of_files("run", _run, ("run/config.yaml", "run/objective.json", "run/scale.json"), _run_folder),
    *of_files("audit", _run, ("run/audit/*",), _audited, checked=True, command=("verify", "{folder}/run")),
    *of_files("yaml", _yaml(TRIPLET.format(run="r", data="d"), "run.yaml"), ("run.yaml",), _read_run_yaml),
    *of_files(
        "yaml heads",
        _yaml(HEADS.format(run="r", data="d", pretrained="p"), "run.yaml"),
        ("run.yaml",),
        _read_run_yaml,
        command=("train", "{folder}/run.yaml"),
    ),
    *of_files("yaml markers", _yaml(MARKERS.format(run="r", data="d"), "run.yaml"), ("run.yaml",), _read_run_yaml),
    *of_files(
        "yaml",
        _yaml(_INGESTED.format(stack="s.npz", layout="tar", codec="null"), "ingest.yaml"),
        ("ingest.yaml",),
        _read_ingest_yaml,
    ),
    *of_files(
        "plate",
        _plate_export,
        ("raw/platemap.csv", "raw/SIM/Images/Index.idx.xml", "ingest.yaml"),
        _surveyed,
        command=("ingest", "{folder}/ingest.yaml", "--out", "{folder}/out", "--dry-run"),
    ),
]
