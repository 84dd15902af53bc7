"""The ingests of paired cell inpainting: simulated and real crops, from their YAML to bags of a protein's field."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from data_tools.pipeline import CellsSummary, ingest, load_ingest_config
from data_tools.simulate import CropsConfig, simulate_crops
from framework.data.dataset import Dataset
from framework.data.verify import verify_dataset

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "paired_cell_inpainting"


def ingested(name: str, out: Path, *overrides: str) -> tuple[CellsSummary, Dataset]:
    settings = load_ingest_config(FOLDER / name, overrides)
    summary = ingest(settings, out, workers=0)
    assert isinstance(summary, CellsSummary)
    verify_dataset(out)
    return summary, Dataset.open(out)


def test_simulated_crops(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    simulate_crops(CropsConfig(proteins=5, fields=2, cells_per_field=3), raw)
    paths = (f"sources.0.reader.path={raw / 'images'}", f"sources.0.tables.0.table.path={raw / 'truth_proteins.csv'}")
    summary, dataset = ingested("ingest_simulated.yaml", tmp_path / "out", *paths)
    assert (summary.bags, summary.tiles) == (10, 30)
    places = dataset.bags.groupby("Metadata_Protein")["Metadata_Place"].first().tolist()
    assert places == ["nucleus", "membrane", "spots", "network", "cytosol"]


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("kind", "inside", "bags", "tiles", "shape"),
    [
        ("yeast", "yeast_model/toy_dataset/images", 20, 1642, (2, 64, 64)),
        ("human", "human_model/toy_dataset", 3, 62, (3, 64, 64)),
    ],
)
def test_real_crops(
    real_data: Path, tmp_path: Path, kind: str, inside: str, bags: int, tiles: int, shape: tuple[int, ...]
) -> None:
    with tarfile.open(real_data / "protein-crops" / f"{kind}_toy_dataset.tar.gz") as archive:
        archive.extractall(tmp_path / "raw", filter="data")
    path = f"sources.0.reader.path={tmp_path / 'raw' / inside}"
    summary, dataset = ingested(f"ingest_{kind}.yaml", tmp_path / "out", path)
    assert (summary.bags, summary.tiles, summary.problems) == (bags, tiles, ())
    assert dataset.manifest.tile.shape == shape
    statistics = dataset.manifest.channel_statistics["gfp" if kind == "yeast" else "protein"]
    assert 0 < statistics.mean < 0.6
    if kind == "yeast":
        counts = dataset.bags.groupby("Metadata_Protein")["n_tiles"].sum().to_dict()
        assert counts == {"AAC1": 366, "AAC3": 416, "AAH1": 203, "AAP1": 308, "AAR2": 349}
        assert np.all(dataset.bags.groupby("Metadata_Protein")["Metadata_Field"].nunique() == 4)
