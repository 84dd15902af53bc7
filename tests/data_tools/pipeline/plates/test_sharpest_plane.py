"""Which plane was the sharpest of each site stands with each of its tiles."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import tifffile

from data_tools.pipeline import IngestConfig, ingest
from framework.data.dataset import Dataset

SHARP = {("A01", 1): 3, ("A01", 2): 1, ("A02", 1): 2, ("A02", 2): 3}
"""Plane in focus of each site; the others are blurred copies."""


def write_plate(folder: Path) -> IngestConfig:
    folder.mkdir()
    random = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96]
    for (well, site), sharp in SHARP.items():
        image = random.normal(100, 3, (96, 96))
        for row, column in ((24, 24), (24, 72), (72, 24), (72, 72)):
            image += 900 * (np.hypot(y - row, x - column) <= 5)
        for plane in (1, 2, 3):
            shown = image if plane == sharp else cv2.GaussianBlur(image, (0, 0), 3)
            for channel in ("DNA", "Actin"):
                name = f"{well}_s{site}_z{plane}_{channel}.tif"
                tifffile.imwrite(folder / name, shown.astype(np.uint16))
    (folder / "map.csv").write_text(
        "Metadata_Well,Metadata_Perturbation,Metadata_Stimulation,Metadata_Control_Type\n"
        "A01,P,none,treatment\nA02,Q,none,negcon\n"
    )
    source = {
        "name": "filenames",
        "path": str(folder),
        "plate": "P",
        "pattern": r"(?P<well>[A-Z]\d\d)_s(?P<site>\d)_z(?P<plane>\d)_(?P<channel>\w+)\.tif",
        "plane": "sharpest",
        "pixel_size_um": 1.0,
    }
    return IngestConfig.from_plain(
        {"name": "t", "plates": [{"source": source, "platemap": {"path": str(folder / "map.csv")}}],
         "channels": ["DNA"], "tiles": {"size_px": 16}, "nuclei": {"channel": "DNA", "diameter_px": 10},
         "illumination": {"method": "none"}}
    )  # fmt: skip


def test_tiles_say_which_plane_they_were_cut_from(tmp_path: Path) -> None:
    ingest(write_plate(tmp_path / "raw"), tmp_path / "data", workers=0)
    dataset = Dataset.open(tmp_path / "data")
    tiles = dataset.tile_table()
    assert dataset.tile_labels() == ["Metadata_Plane_DNA"], "of the channels that are read"
    assert len(tiles) == 16
    wells = dataset.bags["bag_name"].to_numpy()[tiles["bag"].to_numpy()]
    wanted = [str(SHARP[place]) for place in zip(wells, tiles["site"].tolist(), strict=True)]
    assert tiles["Metadata_Plane_DNA"].tolist() == wanted


def test_without_a_choice_of_planes_nothing_is_added(tmp_path: Path) -> None:
    config = write_plate(tmp_path / "raw").plain()
    config["plates"][0]["source"]["plane"] = "max"
    ingest(IngestConfig.from_plain(config), tmp_path / "data", workers=0)
    columns = pd.read_parquet(tmp_path / "data" / "tiles.parquet").columns
    assert not [name for name in columns if name.startswith("Metadata_")]
