"""The paths a user takes on real exports, end to end; the long one is run by ``make test-slow``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from skimage.measure import label

from data_tools.nuclei import IntensityPeaksConfig, find_nuclei
from data_tools.pipeline import IngestConfig, ingest
from experiments.demo.real import run as run_real
from experiments.demo.steps import Protocol
from framework.config import load_config
from framework.data.dataset import Dataset
from framework.run import fit, load_run_config, verify_run
from launch.show import console

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
NF1_DIAMETER_PX = 60


@pytest.mark.real_data
def test_genotypes_from_file_names_and_a_plate_map(real_data: Path, tmp_path: Path) -> None:
    export = real_data / "nf1-genotype-plate"
    settings = load_config(
        EXPERIMENTS / "nf1_genotype" / "ingest.yaml",
        IngestConfig,
        [
            f"plates.0.source.path={export / 'Plate_2_images'}",
            f"plates.0.platemap.path={export / 'platemap_NF1_plate2.csv'}",
        ],
    )
    ingest(settings, tmp_path / "data", workers=0)
    dataset = Dataset.open(tmp_path / "data")
    genotypes = dict(zip(dataset.bags["Metadata_Well"], dataset.bags["Metadata_Perturbation"], strict=True))
    assert genotypes == {"B07": "Null", "D06": "WT", "D07": "Null", "F07": "Null", "H12": "Null"}
    assert not dataset.manifest.skipped
    notes = json.loads((dataset.root / "qc" / "index.json").read_text())["notes"]
    assert any("27 wells of the plate map have no images" in note for note in notes)
    overrides = [f"run_dir={tmp_path / 'run'}", f"data.path={tmp_path / 'data'}", "tracking.wandb=disabled"]
    run = fit(load_run_config(EXPERIMENTS / "nf1_genotype" / "pretrain.yaml", [*overrides, "train.steps=6"]))
    verify_run(run)
    summary = json.loads((run / "summary.json").read_text())
    assert summary["steps"] == 6
    assert np.isfinite(summary["loss"])


@pytest.mark.real_data
def test_nuclei_against_published_masks(real_data: Path) -> None:
    config = IntensityPeaksConfig(channel="DAPI", diameter_px=NF1_DIAMETER_PX)
    hit = masks = inside = found = 0
    for file in sorted((real_data / "nf1-genotype-plate" / "Plate_2_masks").glob("*_DAPI_001_MaskNuclei.tiff")):
        mask = label(tifffile.imread(file) > 0)
        image = tifffile.imread(
            real_data / "nf1-genotype-plate" / "Plate_2_images" / file.name.replace("_MaskNuclei.tiff", ".tif")
        )
        nuclei = find_nuclei(image, config)
        y, x = np.rint(nuclei.y_px).astype(int), np.rint(nuclei.x_px).astype(int)
        # The published masks leave out nuclei at the border.
        inner = (y > 30) & (x > 30) & (y < mask.shape[0] - 30) & (x < mask.shape[1] - 30)
        under = mask[y, x]
        counts = np.bincount(under[under > 0], minlength=mask.max() + 1)
        masks += int(mask.max())
        hit += int((counts == 1).sum())
        inside += int((under[inner] > 0).sum())
        found += int(inner.sum())
    assert masks == 132
    assert hit / masks >= 0.96
    assert inside / found >= 0.95


@pytest.mark.real_data
@pytest.mark.slow
def test_markers_of_single_cells_from_a_real_plate(real_data: Path, tmp_path: Path) -> None:
    run_real(real_data / "phenix-4i-round1", tmp_path, Protocol(console=console))
    scores = pd.read_parquet(tmp_path / "evaluation" / "per_marker.parquet").set_index("marker")
    assert scores.loc["FRA1", "r"] >= 0.59
    assert scores.loc["MITF", "r"] >= 0.42
    assert (scores["r"] > scores["r_linear"] + 0.05).all()
    assert (scores["rmse"] < scores["rmse_mean"]).all()
    assert (tmp_path / "report.html").stat().st_size > 100_000
