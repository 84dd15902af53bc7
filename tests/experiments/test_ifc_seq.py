"""The ingests of IFC-seq: a simulated experiment and the real exports, from their YAML to tiles with markers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from data_tools.pipeline import CellsSummary, ingest, load_ingest_config
from data_tools.simulate import IfcConfig, simulate_ifc
from framework.data.dataset import Dataset
from framework.data.store import TileStore
from framework.evaluate import evaluate
from framework.run import fit, load_run_config, predict

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "ifc_seq"


def ingested(name: str, out: Path, *overrides: str) -> tuple[CellsSummary, Dataset]:
    settings = load_ingest_config(FOLDER / name, overrides)
    summary = ingest(settings, out, workers=0)
    assert isinstance(summary, CellsSummary)
    return summary, Dataset.open(out)


def tiles_of(dataset: Dataset) -> np.ndarray:
    store = TileStore(dataset, None)
    tiles = np.empty((len(store), *store.sample_shape), dtype=store.dtype)
    store.gather(np.arange(len(store)), tiles)
    return tiles


def test_the_simulated_experiment_becomes_tiles_with_markers(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    simulate_ifc(IfcConfig(cells=60, sequenced_cells=5, genes=5, foreign_cells=0), raw)
    paths = (f"sources.0.reader.path={raw / 'images'}", f"sources.0.tables.0.table.path={raw / 'features.txt'}")
    summary, dataset = ingested("ingest_simulated.yaml", tmp_path / "dataset", *paths)
    assert (summary.tiles, summary.bags, summary.problems) == (60, 20, ())
    features = pd.read_csv(raw / "features.txt", sep="\t", skiprows=4).set_index("Object Number")
    table = pd.read_parquet(tmp_path / "dataset" / "tiles.parquet")
    cells = table["Metadata_Cell"].astype(int)
    expected = features.loc[cells, "Intensity_MC_Ch03"].to_numpy(np.float32)
    np.testing.assert_array_equal(table["Marker_FcgR"].to_numpy(), expected)
    tiles, compared = tiles_of(dataset), 0
    for tile, cell in zip(tiles[:, 2], cells, strict=True):
        crop = tifffile.imread(raw / "images" / f"SIM_{cell}_Ch3.ome.tif")
        if min(crop.shape) >= 32:
            windows = np.lib.stride_tricks.sliding_window_view(crop, (32, 32))
            assert (windows == tile).all(axis=(2, 3)).any()
            compared += 1
    assert compared > 5


def test_an_object_without_features_has_no_markers_and_is_counted(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    simulate_ifc(IfcConfig(cells=30, sequenced_cells=5, genes=5, foreign_cells=0), raw)
    lines = (raw / "features.txt").read_bytes().split(b"\r\n")
    (raw / "features.txt").write_bytes(b"\r\n".join(line for line in lines if not line.startswith(b"7\t")))
    paths = (f"sources.0.reader.path={raw / 'images'}", f"sources.0.tables.0.table.path={raw / 'features.txt'}")
    summary, _ = ingested("ingest_simulated.yaml", tmp_path / "dataset", *paths)
    assert "29 of 30 cells have one of its 29 rows" in "\n".join(summary.matched)
    table = pd.read_parquet(tmp_path / "dataset" / "tiles.parquet")
    missing = table["Marker_CD34"].isna()
    assert table.loc[missing, "Metadata_Cell"].tolist() == ["7"]


@pytest.mark.real_data
def test_the_real_ideas_export(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "ifc-ciliated" / "images"
    summary, dataset = ingested("ingest_ciliated.yaml", tmp_path / "dataset", f"sources.0.reader.path={folder}")
    assert (summary.tiles, summary.bags, summary.problems) == (154, 20, ())
    assert dataset.bags.groupby("Metadata_Kind")["n_tiles"].sum().to_dict() == {"ciliated": 77, "unciliated": 77}
    tiles = tiles_of(dataset)
    assert tiles.shape == (154, 3, 96, 96)
    assert tiles.max() < 4096


def jurkat(real_data: Path, out: Path, *more: str) -> tuple[CellsSummary, Dataset]:
    folder = real_data / "ifc-jurkat-cellcycle"
    tables = f"sources.0.tables.0.table.path={folder / 'exp1_a_labels.csv'}"
    return ingested("jurkat_ingest.yaml", out, f"sources.0.reader.path={folder / 'exp1_a.npz'}", tables, *more)


@pytest.mark.real_data
def test_the_real_stack_keeps_the_one_pair_of_copies_in_one_group(real_data: Path, tmp_path: Path) -> None:
    summary, dataset = jurkat(real_data, tmp_path / "dataset")
    assert (summary.tiles, summary.bags, summary.problems) == (1710, 30, ())
    table = dataset.tile_table()
    copies = table[table["Metadata_Copy"].duplicated(keep=False)]
    assert copies["Metadata_Cell"].tolist() == ["1693", "1695"]
    assert copies["bag"].nunique() == 1
    assert table["Metadata_Phase"].value_counts().to_dict() == {
        "G1": 450, "S_phase": 450, "G2": 450, "Prophase": 303, "Metaphase": 35, "Telophase": 14, "Anaphase": 8,
    }  # fmt: skip
    dna = table.groupby("Metadata_Phase", observed=True)["Marker_DNA sum"].median()
    assert dna["G2"] / dna["G1"] == pytest.approx(2, abs=0.3)


@pytest.mark.slow
@pytest.mark.real_data
def test_dna_content_is_read_from_brightfield(real_data: Path, tmp_path: Path) -> None:
    """Takes about 4 minutes on two cores; 0.90 is reached, 0.88 is within what chance does."""
    jurkat(real_data, tmp_path / "dataset")
    places = [f"run_dir={tmp_path / 'run'}", f"data.path={tmp_path / 'dataset'}", "tracking.wandb=disabled"]
    run = fit(load_run_config(FOLDER / "jurkat_brightfield.yaml", places))
    predict(run, None, tmp_path / "predicted.h5ad", views=8)
    evaluation = evaluate([tmp_path / "predicted.h5ad"])
    assert evaluation.summary["rows"][0]["r"] > 0.88
