"""Real exports: a Phenix field with published cells, and plates named by file name with a genotype plate map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from data_tools.pipeline import IngestConfig, ingest
from framework.data.dataset import Dataset

pytestmark = pytest.mark.real_data


def test_phenix_cells_land_on_their_nuclei(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "phenix-4i-round1"
    pattern = str(folder / "measurements" / "Round1_{row}{column}_site1_Measurements.csv.gz")
    cells = {
        "pattern": pattern,
        "header_rows": 2,
        "x": ["Nucleus", "Location_Center_X"],
        "y": ["Nucleus", "Location_Center_Y"],
        "offset_px": {"x": 4, "y": 2},
        "markers": {"FRA1": {"column": ["Nucleus", "Intensity_MeanIntensity_A568"]}},
    }
    config = IngestConfig.from_plain(
        {
            "name": "phenix",
            "plates": [
                {
                    "source": {"name": "harmony", "path": str(folder / "images")},
                    "platemap": {"path": str(folder / "platemap.csv")},
                    "cells": cells,
                }
            ],
            "channels": ["Hoechst", "CellMask Green"],
            "illumination": {"method": "none"},
            "nuclei": {"channel": "Hoechst", "diameter_px": 13},
            "tiles": {"size_px": 48},
        }
    )
    ingest(config, tmp_path / "data", workers=0)
    dataset = Dataset.open(tmp_path / "data")
    assert dataset.bags.Metadata_Well.tolist() == ["B02", "B03", "B04"]
    assert dataset.bags.n_cells.between(1850, 2250).all()
    marker = dataset.markers(("FRA1",))[:, 0]
    assert np.isfinite(marker).mean() > 0.9
    # The marker is the mean of a channel that was not stored: its raw pixels at the nucleus must follow it.
    tiles = dataset.tile_table().query("bag == 0")
    stain = tifffile.imread(folder / "images" / "r02c02f01p01-ch3sk1fk1fl1.tiff").astype(float)
    y, x = tiles.y_px.round().astype(int).to_numpy(), tiles.x_px.round().astype(int).to_numpy()
    spot = np.mean([stain[y + dy, x + dx] for dy in (-2, 0, 2) for dx in (-2, 0, 2)], axis=0)
    known = np.isfinite(marker[: len(tiles)])
    assert np.corrcoef(spot[known], marker[: len(tiles)][known])[0, 1] > 0.9


def test_nf1_wells_get_their_genotype(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "nf1-genotype-plate"
    config = IngestConfig.from_plain(
        {
            "name": "nf1",
            "plates": [
                {
                    "source": {
                        "name": "filenames",
                        "path": str(folder / "Plate_2_images"),
                        "plate": "Plate_2",
                        "pattern": r"(?P<well>[A-H]\d+)_01_\d_(?P<site>\d)_(?P<channel>[A-Z]+)_001\.tif",
                    },
                    "platemap": {
                        "path": str(folder / "platemap_NF1_plate2.csv"),
                        "columns": {"Metadata_Well": "well_position", "Metadata_Perturbation": "genotype"},
                    },
                }
            ],
            "channels": ["DAPI", "GFP", "RFP"],
            "nuclei": {"channel": "DAPI", "diameter_px": 50},
            "on_error": "skip",
        }
    )
    ingest(config, tmp_path / "data", workers=0)
    dataset = Dataset.open(tmp_path / "data")
    genotype = dict(zip(dataset.bags.Metadata_Well, dataset.bags.Metadata_Perturbation, strict=True))
    assert genotype == {"B07": "Null", "D06": "WT", "D07": "Null", "F07": "Null", "H12": "Null"}
    assert {item.reason for item in dataset.manifest.skipped} == {"well_without_images"}
    assert len(dataset.manifest.skipped) == 27
    assert (dataset.bags.n_tiles > 0).all()
