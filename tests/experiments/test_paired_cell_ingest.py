"""The ingests of paired cell inpainting: simulated and real crops, from their YAML to bags of a protein's field."""

from __future__ import annotations

import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from data_tools.pipeline import CellsSummary, ingest, load_ingest_config
from data_tools.simulate import CropsConfig, simulate_crops
from framework.data.dataset import Dataset
from framework.data.store import TileStore
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


def write_atlas_field(folder: Path) -> None:
    """Six nuclei of 80 px in a field of 1,400 px, each half a crop or more from the border; one file per colour."""
    y, x = np.mgrid[:1400, :1400]
    centres = ((400, 400), (400, 900), (900, 400), (900, 900), (650, 650), (1010, 640))
    near = np.min([np.hypot(y - row, x - column) for row, column in centres], axis=0)
    planes = {
        "blue": np.where(near < 40, 200, 5),
        "red": 60 + 50 * np.sin(x / 9),
        "green": np.where(near < 20, 150, 20),
    }
    folder.mkdir(parents=True)
    for colour, plane in planes.items():
        assert cv2.imwrite(str(folder / f"24_H11_1_{colour}.jpg"), plane.astype(np.uint8))


@pytest.mark.parametrize(("kind", "dark"), [("paper", True), ("code", False)])
def test_atlas_fields_in_both_readings(tmp_path: Path, kind: str, dark: bool) -> None:
    write_atlas_field(tmp_path / "raw" / "A1CF" / "4109")
    summary, dataset = ingested(
        f"ingest_hpa_{kind}.yaml", tmp_path / "out", f"sources.0.reader.path={tmp_path / 'raw'}"
    )
    assert (summary.bags, summary.tiles, summary.problems) == (1, 6, ())
    assert dataset.bags.loc[0, ["Metadata_Protein", "Metadata_Antibody", "Metadata_Slide"]].tolist() == [
        "A1CF", "4109", "24_H11",
    ]  # fmt: skip
    tiles = np.empty((6, 3, 64, 64), np.float32)
    TileStore(dataset).gather(np.arange(6), tiles)
    assert (tiles.min(), tiles.max()) == (0.0, 1.0)
    lowest, highest = tiles[:, 1].min(axis=(1, 2)), tiles[:, 1].max(axis=(1, 2))
    if dark:
        assert np.all(lowest == 0)
        assert np.all(highest == 1)
    else:
        # Microtubules lie between 10 and 110 of 255: (110 / 255 - 0.05) / 0.95 = 0.40 at most.
        assert np.all((highest > 0.3) & (highest < 0.42))


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
