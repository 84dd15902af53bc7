"""Nuclei that other programs found: in a whole ingest, and what a config may not say."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.labelled_plate import (
    LabelledPlate,
    assert_true,
    built,
    images,
    table,
    with_labels,
)

from data_tools.pipeline import ingest
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.readers.plates import READERS, read_image
from data_tools.simulate import PlateConfig, simulate_plate
from data_tools.tiles import tile_corner, tiles_inside
from framework.config import load_config
from framework.data.dataset import Dataset
from framework.data.store import TileStore
from framework.errors import ConfigError, InputError


def test_tiles_are_cut_around_the_labels(plate: LabelledPlate) -> None:
    dataset, summary = built(with_labels(plate), images())
    assert_true(plate, dataset)
    assert "labels: 6 of 6 sites have a label image" in summary.notes
    again = ingest(IngestConfig.from_plain(plate.plain(images())), plate.folder / "data", workers=0)
    assert again.state == "already_complete"


@pytest.mark.parametrize(
    ("nuclei", "sentence"),
    [
        ({"method": "labels", "channel": "DNA"}, "expected exactly one of 'images' (label images) and 'table'"),
        (images(pattern="("), "'pattern' is not a regular expression"),
        (images(pattern=r"(?P<wel>\w+)"), "'pattern' has unknown group(s) wel"),
        (images(pattern=r"(?P<site>\d)"), "'pattern' needs the group (?P<image>...), or the group (?P<well>...)"),
        (images(pattern=r"(?P<well>\w+)"), "either the group (?P<site>...) in 'pattern' or 'site: NUMBER'"),
        (images(pattern=r"(?P<image>\w+)_(?P<site>\d)"), "the group (?P<image>...) names the site already"),
        (table(image="Image"), "expected one of 'image', 'well', 'row' and 'column', or {well} in 'path'"),
        (table(well=None, row="Row"), "'row' and 'column' belong together"),
        (table(plate="P", path="{plate}.csv"), "'plate' is a column, and 'path' has {plate}"),
        ({**table(), "diameter_px": 9}, "nuclei.diameter_px: unknown key"),
    ],
)
def test_contradictions_are_config_errors(plate: LabelledPlate, nuclei: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(plate.plain(nuclei), IngestConfig)
    assert sentence in str(caught.value)


def test_two_plates_need_a_word_about_the_plate(plate: LabelledPlate) -> None:
    shutil.copytree(with_labels(plate).folder / "P1", plate.folder / "P2")
    plain = plate.plain(images())
    second = {**plain["plates"][0], "source": {**plain["plates"][0]["source"], "path": "P2", "plate": "P2"}}
    plain["plates"].append(second)
    with pytest.raises(InputError, match=r"not tell plate P1 well A01 site 1 from plate P2 .*put \{plate\} into"):
        ingest(IngestConfig.from_plain(plain), plate.folder / "data", workers=0)


def test_a_dry_run_reads_labels_too(plate: LabelledPlate) -> None:
    config = IngestConfig.from_plain(with_labels(plate).plain(images()))
    summary = ingest(config, plate.folder / "data", workers=0, dry_run=True)
    assert summary.nuclei == 36
    assert "labels: 6 of 6 sites have a label image" in summary.notes


def test_the_truth_of_a_simulation_gives_its_tiles(tmp_path: Path) -> None:
    """Tiles around the centres that a simulated Harmony export was drawn from are the pixels around the truth."""
    options = {"rows": 2, "columns": 3, "perturbations": 3, "stimulations": ("M1",), "replicates": 1, "sites": 2}
    sizes = {"size_px": 160, "cells_per_site": 6, "transcripts": 5, "proteins": 5, "out_of_focus_wells": 0}
    raw = tmp_path / "raw"
    simulate_plate(PlateConfig(**options, **sizes), raw)
    truth = pd.read_parquet(raw / "truth_nuclei.parquet")
    truth.to_csv(tmp_path / "truth.csv", index=False)
    plain = {
        "name": "truth",
        "plates": [{"source": {"name": "harmony", "path": f"{raw}/SIM"}, "platemap": {"path": f"{raw}/platemap.csv"}}],
        "channels": ["Hoechst"],
        "illumination": {"method": "none"},
        "nuclei": {
            "channel": "Hoechst",
            "method": "labels",
            "table": {"path": f"{tmp_path}/truth.csv", "well": "well", "site": "site", "x": "x_px", "y": "y_px"},
        },
        "tiles": {"size_px": 24},
    }
    ingest(IngestConfig.from_plain(plain), tmp_path / "data", workers=0)
    dataset = Dataset.open(tmp_path / "data")
    tiles = pd.read_parquet(dataset.root / "tiles.parquet")
    tiles["well"] = dataset.bags["Metadata_Well"].to_numpy()[tiles["bag"]]
    inside = truth[tiles_inside(truth.y_px.to_numpy(), truth.x_px.to_numpy(), 24, (160, 160))]
    assert len(dataset.cells()) == len(truth)
    assert len(tiles) == len(inside) > 10
    pixels = np.empty((len(tiles), 1, 24, 24), dtype=np.uint16)
    TileStore(dataset).gather(np.arange(len(tiles)), pixels)
    export = READERS.get("harmony").build(READERS.get("harmony").config.from_plain(plain["plates"][0]["source"]))
    for row in inside.itertuples():
        there = (tiles.well == row.well) & (tiles.site == row.site) & (abs(tiles.y_px - row.y_px) < 1e-3)
        (number,) = np.flatnonzero(there & (abs(tiles.x_px - row.x_px) < 1e-3))
        image = read_image(export.images(row.well, row.site)["Hoechst"])
        top, left = tile_corner(np.array([row.y_px, row.x_px]), 24)
        np.testing.assert_array_equal(pixels[number, 0], image[top : top + 24, left : left + 24])
