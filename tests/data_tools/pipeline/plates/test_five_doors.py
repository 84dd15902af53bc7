"""One plate, five doors: the same pixels in five layouts give the same shards and the same tables, byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_tools.pipeline import IngestConfig, ingest
from data_tools.simulate import PlateConfig, simulate_plate
from data_tools.simulate.layouts import LAYOUTS
from framework.durable import file_checksum

CONFIG = {
    "rows": 2, "columns": 4, "perturbations": 3, "stimulations": ("M1",), "replicates": 1, "sites": 2, "size_px": 96,
    "cells_per_site": 6, "nucleus_diameter_px": 10, "transcripts": 2, "proteins": 2, "out_of_focus_wells": 0,
}  # fmt: skip


def dataset(folder: Path, layout: str, **more: Any) -> Path:
    """Write a plate, ingest it, and return the dataset."""
    raw, out = folder / layout, folder / f"{layout}-data"
    simulate_plate(PlateConfig(**CONFIG, layout=layout), raw)  # type: ignore[arg-type]
    source = {"name": layout, "path": str(raw / "SIM" / ("load_data.csv" if layout == "gallery" else ""))}
    if layout == "gallery":
        source["illum"] = str(raw / "SIM" / "illum")
    plain = {
        "name": "t",
        "plates": [{"source": source, "platemap": {"path": str(raw / "platemap.csv")}}],
        "channels": ["Phalloidin", "Hoechst"],
        "tiles": {"size_px": 16},
        "nuclei": {"channel": "Hoechst", "diameter_px": 10},
        **more,
    }
    ingest(IngestConfig.from_plain(plain), out)
    return out


def content(dataset: Path) -> dict[str, str]:
    """Return the checksum of every file but the two that tell of the source: the config, and notes on its files."""
    told = ("dataset.json", "qc/index.json")
    files = sorted(file for file in dataset.rglob("*") if file.is_file())
    files = [file for file in files if str(file.relative_to(dataset)) not in told]
    return {str(file.relative_to(dataset)): file_checksum(file) for file in files}


@pytest.fixture(scope="module")
def harmony(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    found = content(dataset(tmp_path_factory.mktemp("doors"), "harmony"))
    assert {"tiles.parquet", "cells.parquet", "bags.parquet"} <= set(found)
    assert any(name.startswith("shards/") for name in found)
    return found


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "harmony"])
def test_every_door_gives_the_same_dataset(tmp_path: Path, layout: str, harmony: dict[str, str]) -> None:
    assert content(dataset(tmp_path, layout)) == harmony


def test_the_flat_fields_of_two_doors_are_the_same(tmp_path: Path) -> None:
    method = {"illumination": {"method": "export"}}
    one, two = (dataset(tmp_path, layout, **method) for layout in ("harmony", "gallery"))
    for file in sorted((one / "qc").glob("flatfield_*.npy")):
        np.testing.assert_allclose(np.load(file), np.load(two / "qc" / file.name), atol=2e-6)
