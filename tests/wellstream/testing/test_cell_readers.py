"""Our own readers of cells keep the contract that labs test theirs with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import cv2
import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile
from fixtures.cif_files import write_cif

from data_tools.readers.cells import CELL_READERS, CellImage, CellListing
from wellstream.testing import CellReaderContract

RANDOM = np.random.default_rng(0)


class OwnReader(CellReaderContract):
    """A reader of two channels, asked for in another order than that of the export."""

    wanted: tuple[str, ...]
    several = False

    def channels(self, options: Any) -> tuple[str, ...]:
        return self.wanted

    def test_pixels_of_no_two_cells_and_channels_are_alike(self, options: Any, listing: CellListing) -> None:
        """A reader that gave one cell for all of them would keep the rest of the contract."""
        found = list(self.entry(options).build(options).read(listing.places, self.wanted))
        images = [np.asarray(image).tobytes() for item in found if isinstance(item, CellImage) for image in item.pixels]
        assert listing.several == self.several
        assert len(images) >= 2 * len(self.wanted)
        assert len(set(images)) == len(images)


class TestCrops(OwnReader):
    wanted = ("gfp", "rfp")

    @pytest.fixture
    def options(self, tmp_path: Path) -> Any:
        for cell in range(3):
            for channel in ("rfp", "gfp"):
                tifffile.imwrite(tmp_path / f"p{cell}_{channel}.tif", RANDOM.integers(0, 999, (5, 6), np.uint16))
        return self.read({"name": "crops", "path": str(tmp_path), "pattern": r"p(?P<cell>\d)_(?P<channel>...)\.tif"})


class TestMultipage(OwnReader):
    wanted = ("rfp", "gfp")

    @pytest.fixture
    def options(self, tmp_path: Path) -> Any:
        for cell in range(3):
            pages = RANDOM.integers(0, 999, (2, 5, 6 + cell), np.uint16)
            tifffile.imwrite(tmp_path / f"c{cell}.tif", pages, photometric="minisblack")
        pattern = r"c(?P<cell>\d)\.tif"
        return self.read({"name": "multipage", "path": str(tmp_path), "pattern": pattern, "channels": ["gfp", "rfp"]})


class TestH5sc(OwnReader):
    wanted = ("b", "a")

    @pytest.fixture
    def options(self, tmp_path: Path) -> Any:
        file = tmp_path / "cells.h5sc"
        cells = pd.DataFrame({"cell_id": [3, 5, 9]}, index=["0", "1", "2"])
        anndata.AnnData(obs=cells, var=pd.DataFrame({"channels": ["a", "b"]}, index=["0", "1"])).write_h5ad(file)
        with h5py.File(file, "r+") as opened:
            opened["obsm/single_cell_images"] = RANDOM.random((3, 2, 5, 6)).astype(np.float16)
        return self.read({"name": "h5sc", "path": str(file)})


class TestStack(OwnReader):
    wanted = ("b", "a")

    @pytest.fixture(params=["npz", "h5"])
    def options(self, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
        images, file = RANDOM.integers(0, 999, (4, 2, 6, 7), np.uint16), tmp_path / f"cells.{request.param}"
        if request.param == "npz":
            np.savez(file, images=images)
        else:
            with h5py.File(file, "w") as store:
                store["images"] = images
        return self.read({"name": "stack", "path": str(file), "channels": ["a", "b"], "images": "images"})


class TestDeepLoc(OwnReader):
    wanted = ("rfp", "gfp")

    @pytest.fixture
    def options(self, tmp_path: Path) -> Any:
        file = tmp_path / "train.hdf5"
        with h5py.File(file, "w") as store:
            for number in (1, 2):
                store[f"data{number}"] = RANDOM.random((2, 2 * 6 * 6)).astype(np.float32)
        return self.read({"name": "deeploc", "path": str(file), "channels": ["gfp", "rfp"], "size_px": 6})


class TestHpa(OwnReader):
    wanted = ("green", "blue")
    several = True

    @pytest.fixture(params=["a file per channel", "all in one"])
    def options(self, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
        per_channel = request.param == "a file per channel"
        for field in range(2):
            blue = np.zeros((90, 90), np.uint8)
            for centre in ((25, 30), (60, 55)):
                cv2.circle(blue, centre, 8 + field, 200, -1)
            noise = RANDOM.integers(0, 40, (2, 90, 90), np.uint8)
            planes = {"red": noise[0], "green": noise[1], "blue": blue + noise[0]}
            if per_channel:
                for name, plane in planes.items():
                    cv2.imwrite(str(tmp_path / f"{field}_{name}.png"), plane)
            else:
                cv2.imwrite(str(tmp_path / f"{field}.png"), np.stack([planes[n] for n in ("blue", "green", "red")], -1))
        own = {"pattern": r"(?P<field>\d)_(?P<channel>\w+)\.png", "channel_names": {n: n for n in ("green", "blue")}}
        if not per_channel:
            own = {"pattern": r"(?P<field>\d)\.png", "rgb": ["-", "green", "blue"]}
        crops = {"crop_px": 24, "min_area_px": 50}
        return self.read({"name": "hpa", "path": str(tmp_path), "nucleus": "blue", "crops": crops, **own})


class TestIdeas(OwnReader):
    wanted = ("CD34", "Ch1")

    @pytest.fixture
    def options(self, tmp_path: Path) -> Any:
        for number in (2, 10):
            for channel in (1, 6):
                image = RANDOM.integers(0, 999, (5, 6), np.uint16)
                tifffile.imwrite(tmp_path / f"s_{number}_Ch{channel}.ome.tif", image)
        return self.read({"name": "ideas", "path": str(tmp_path), "channel_names": {"Ch6": "CD34"}})


class TestCif(OwnReader):
    wanted = ("Ch2", "Ch1")

    @pytest.fixture(params=["none", "zero_outside"])
    def options(self, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
        images = [RANDOM.integers(1, 999, (2, 4 + cell, 5), np.uint16) for cell in range(3)]
        masks = [(image % 3 > 0).astype(np.uint8) for image in images]
        return self.read(
            {"name": "cif", "path": str(write_cif(tmp_path / "a.cif", images, masks)), "mask": request.param}
        )


class TestTranscripts(OwnReader):
    wanted = ("RNA", "DAPI")

    @pytest.fixture
    def options(self, tmp_path: Path) -> Any:
        for name in ("DAPI", "RNA"):
            tifffile.imwrite(tmp_path / f"{name}.tif", RANDOM.integers(0, 9999, (40, 50), np.uint16))
        cell = np.repeat(["3", "5", "9"], 4)
        rows = {"cell_id": cell, "feature_name": ["ESR1", "KRT5"] * 6, "x_px": np.repeat([10, 20, 35], 4), "y_px": 15.0}
        pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
        images = {name: str(tmp_path / f"{name}.tif") for name in ("DAPI", "RNA")}
        more = {"centre": "all", "min_transcripts": 2, "crop_px": 8}
        return self.read({"name": "transcripts", "images": images, "table": str(tmp_path / "t.csv"), **more})


def test_every_reader_of_cells_is_here() -> None:
    tested = {kind.__name__.removeprefix("Test").lower() for kind in OwnReader.__subclasses__()}
    assert tested == set(CELL_READERS.names())
