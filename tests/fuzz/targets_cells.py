"""Targets: tables that belong to cells, their positions and events, and whole ingests of cells with such tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fuzz.target import Target, of_files

from data_tools.pipeline.cells.config import CellsIngestConfig
from data_tools.pipeline.entry import ingest
from data_tools.readers.tables import CELL_TABLES
from data_tools.readers.tables.base import NumberTable
from data_tools.single_cell.measurements import CellsConfig, read_cells
from framework.config import parse_config
from framework.data.dataset import Dataset

_NAMES = ("drugA", "drugB")
_INGEST = """
kind: cells
name: tiny
sources:
  - name: S
    reader: {{name: stack, path: {folder}/cells.npz, channels: [a, b]}}
    tables:
      - table: {{name: csv, path: {folder}/table.csv}}
        by: {{Metadata_Cell: Object}}
        labels: {{Metadata_Sample: Sample}}
        measurements: [area]
channels: [a, b]
tiles: {{size_px: 16}}
bags: {{by: [Metadata_Sample]}}
markers: {{Area: area}}
"""


def _cell_tables(folder: Path) -> None:
    cells = pd.DataFrame({"Object Number": range(12), "Sample": [*_NAMES] * 6, "Intensity": np.arange(12) * 1.5 + 0.25})
    cells.to_csv(folder / "cells.csv", index=False)
    text = "Notes\nmore notes\n" + cells.to_csv(index=False, sep="\t")
    (folder / "features.txt").write_text(text)


def _read_table(name: str, file: str) -> Any:
    def read(folder: Path) -> Any:
        entry = CELL_TABLES.get(name)
        table = entry.build(entry.config(name=name, path=str(folder / file)))
        if isinstance(table, NumberTable):
            return table.columns
        return {"names": table.names, "sample": table.column("Sample"), "intensity": table.numbers("Intensity")}

    return read


def _fcs(folder: Path) -> None:
    import flowio

    events = np.stack([np.arange(20) * 10.0, np.arange(20) + 0.5], axis=1).ravel()
    with (folder / "a.fcs").open("wb") as stream:
        flowio.create_fcs(stream, events.tolist(), ["FL1-A", "FL2-A"], opt_channel_names=["CD34", "CD3"])


def _positions(folder: Path) -> None:
    rows = pd.DataFrame({"well": ["A01", "B02"] * 5, "site": [1] * 10, "x": np.arange(10) * 7.5})
    rows["y"], rows["area"] = np.arange(10) * 3.25, np.arange(10) + 0.5
    rows.to_csv(folder / "positions.csv", index=False)


def _read_positions(folder: Path) -> Any:
    plain = {"pattern": "all.csv", "x": "x", "y": "y", "well": "well", "site": "site"}
    config = CellsConfig.from_plain({**plain, "markers": {"Area": {"column": "area"}}})
    found = {well: read_cells(config, folder / "positions.csv", well) for well in ("A01", "B02")}
    return {well: [cells.x_px, cells.y_px, cells.site, cells.values, cells.infinite] for well, cells in found.items()}


def _with_table(folder: Path) -> None:
    images = np.random.default_rng(6).poisson(50, (12, 2, 16, 16)).astype(np.uint16)
    np.savez(folder / "cells.npz", images=images)
    table = pd.DataFrame({"Object": range(12), "Sample": [*_NAMES] * 6, "area": np.arange(12) * 0.5})
    table.to_csv(folder / "table.csv", index=False)


def _ingested(folder: Path) -> Any:
    ingest(parse_config(_INGEST.format(folder=folder), CellsIngestConfig, "ingest.yaml"), folder / "ds", workers=0)
    dataset = Dataset.open(folder / "ds")
    tiles = dataset.tile_table(["bag", "Metadata_Cell"])
    # The order of tiles is drawn, also by the names of bags.
    of_cell = zip(
        tiles["Metadata_Cell"].astype(int).tolist(),
        dataset.bags["Metadata_Sample"].iloc[tiles["bag"]].tolist(),
        dataset.markers(("Area",)).ravel().tolist(),
        strict=True,
    )
    return {"cells": sorted(of_cell), "skipped": len(dataset.manifest.skipped)}


TARGETS: list[Target] = [
    *of_files(
        "cell table",
        _cell_tables,
        ("cells.csv",),
        _read_table("csv", "cells.csv"),
        table=True,
        names=_NAMES,
        refuses=("transposed",),
    ),
    *of_files("cell table", _cell_tables, ("features.txt",), _read_table("ideas_features", "features.txt")),
    *of_files("cell table", _fcs, ("a.fcs",), _read_table("fcs", "a.fcs")),
    *of_files(
        "cell positions",
        _positions,
        ("positions.csv",),
        _read_positions,
        table=True,
        takes=("header_alone",),
        refuses=("transposed", "word_among_numbers"),
    ),
    *of_files(
        "ingest cells",
        _with_table,
        ("table.csv",),
        _ingested,
        table=True,
        names=_NAMES,
        refuses=("transposed", "row_twice", "word_among_numbers"),
    ),
    *of_files("ingest cells", _with_table, ("cells.npz",), _ingested),
]
