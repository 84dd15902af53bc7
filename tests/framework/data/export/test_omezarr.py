"""Plates in OME-Zarr: read by stock zarr, ome-zarr and ngio, and by the reader that ingest has for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import zarr
from fixtures.tiny_dataset import make_dataset, resealed, stored_tiles

from framework.data.dataset import Dataset
from framework.data.export import export_dataset
from framework.data.format.schema import BAGS_NAME, TILES_NAME


def placed_dataset(folder: Path, places: dict[int, tuple[int, float, float]]) -> Dataset:
    """Two wells of four 16 px tiles, at centres far from each other, but for those that are given."""
    make_dataset(folder, bags=2, tiles_per_bag=4)
    tiles = pd.read_parquet(folder / TILES_NAME)
    tiles["site"] = np.asarray([1, 1, 2, 2] * 2, np.int16)
    tiles["y_px"], tiles["x_px"] = np.float32(8), np.asarray([8, 40] * 4, np.float32)
    for number, (site, y, x) in places.items():
        tiles.loc[number, ["site", "y_px", "x_px"]] = site, y, x
    tiles = tiles.astype({"site": np.int16, "y_px": np.float32, "x_px": np.float32})
    tiles.to_parquet(folder / TILES_NAME, index=False)
    return resealed(folder)


def opened(folder: Path, path: str) -> npt.NDArray[Any]:
    return np.asarray(zarr.open_array(folder / path, mode="r")[...])


def test_tiles_lie_where_they_were_cut_and_labels_name_them(tmp_path: Path) -> None:
    # Tile 1 begins 4 px right of tile 0 and overlaps it; the middle between their centres is column 10.
    dataset = placed_dataset(tmp_path / "data", {1: (1, 8, 12), 7: (2, 20, 30)})
    made = export_dataset(dataset, tmp_path / "out", to="omezarr")
    plate, pixels = tmp_path / "out" / "plate1.zarr", stored_tiles(dataset)
    first = opened(plate, "A/1/0/0")
    assert first.shape == (2, 28, 48), "tile 7 ends in row 20 + 8, the others in column 40 + 8"
    np.testing.assert_array_equal(first[:, :16, 4:20], pixels[1])
    np.testing.assert_array_equal(first[:, :16, :4], pixels[0][:, :, :4])
    assert not first[:, 16:].any()
    assert not first[:, :, 20:].any()
    np.testing.assert_array_equal(opened(plate, "A/2/1/0")[:, 12:28, 22:38], pixels[7])
    labels = opened(plate, "A/1/0/labels/tiles/0")
    assert labels.dtype == np.uint32
    assert labels[3].tolist() == [1] * 11 + [2] * 9 + [0] * 28, "the nearer centre, and the first where both are"
    table = pd.read_csv(tmp_path / "out" / "cells.csv").set_index("label")
    assert table.loc[8, ["image", "tile", "top_px", "left_px", "bag_name"]].tolist() == [
        "plate1.zarr/A/2/1", 7, 12, 22, "A02",
    ]  # fmt: skip
    assert (made.files, made.sources, made.cells) == (5, 1, 8)


def test_stock_ome_zarr_opens_the_plate_and_its_labels(tmp_path: Path) -> None:
    io, reader = pytest.importorskip("ome_zarr.io"), pytest.importorskip("ome_zarr.reader")
    dataset = placed_dataset(tmp_path / "data", {})
    export_dataset(dataset, tmp_path / "out", to="omezarr")
    plate = tmp_path / "out" / "plate1.zarr"
    location = io.parse_url(str(plate))
    assert location.version == "0.5"
    nodes = list(reader.Reader(location)())
    specs = {type(spec).__name__ for node in nodes for spec in node.specs}
    assert "Plate" in specs
    (image, *others) = list(reader.Reader(io.parse_url(str(plate / "A/1/0")))())
    np.testing.assert_array_equal(np.asarray(image.data[0]), opened(plate, "A/1/0/0"))
    assert image.metadata["channel_names"] == ["A", "B"]
    labels = [node for node in others if "Label" in {type(spec).__name__ for spec in node.specs}]
    np.testing.assert_array_equal(np.asarray(labels[0].data[0]), opened(plate, "A/1/0/labels/tiles/0"))


def test_stock_ngio_opens_the_plate_its_wells_and_labels(tmp_path: Path) -> None:
    ngio = pytest.importorskip("ngio")
    dataset = placed_dataset(tmp_path / "data", {})
    export_dataset(dataset, tmp_path / "out", to="omezarr")
    folder = tmp_path / "out" / "plate1.zarr"
    plate = ngio.open_ome_zarr_plate(folder)
    assert (plate.rows, plate.columns) == (["A"], ["1", "2"])
    assert sorted(plate.images_paths()) == ["A/1/0", "A/1/1", "A/2/0", "A/2/1"]
    image = ngio.open_ome_zarr_container(folder / "A/1/0")
    assert image.get_image().channel_labels == ["A", "B"]
    assert image.get_image().pixel_size.x == 1.0
    np.testing.assert_array_equal(image.get_image().get_as_numpy(), opened(folder, "A/1/0/0"))
    assert image.list_labels() == ["tiles"]
    np.testing.assert_array_equal(image.get_label("tiles").get_as_numpy(), opened(folder, "A/1/0/labels/tiles/0"))


def test_our_own_reader_lists_the_plate(tmp_path: Path) -> None:
    from data_tools.readers.plates.base import read_image
    from data_tools.readers.plates.omezarr import OmeZarrConfig, read_omezarr

    dataset = placed_dataset(tmp_path / "data", {})
    export_dataset(dataset, tmp_path / "out", to="omezarr")
    plate = tmp_path / "out" / "plate1.zarr"
    found = read_omezarr(OmeZarrConfig(path=str(plate)))
    assert (found.plate, found.channels, found.pixel_size_um) == ("plate1", ("A", "B"), 1.0)
    assert found.sites() == [("A01", 1), ("A01", 2), ("A02", 1), ("A02", 2)]
    np.testing.assert_array_equal(read_image(found.images("A02", 2)["B"]), opened(plate, "A/2/1/0")[1])


def test_cells_without_a_field_lie_side_by_side(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    make_dataset(folder, bags=2, tiles_per_bag=(5, 1))
    bags = pd.read_parquet(folder / BAGS_NAME).drop(columns=["Metadata_Plate", "Metadata_Well"])
    bags["bag_name"] = ["protein A", "B"]
    bags.to_parquet(folder / BAGS_NAME, index=False)
    dataset = resealed(folder)
    export_dataset(dataset, tmp_path / "out", to="omezarr", overrides=["labels=false"])
    found, pixels = opened(tmp_path / "out" / "plate1.zarr", "protein_A/0/0"), stored_tiles(dataset)
    assert found.shape == (2, 32, 48), "5 tiles in rows of 3"
    np.testing.assert_array_equal(found[:, 16:, 16:32], pixels[4])
    assert not found[:, 16:, 32:].any()
    assert not (tmp_path / "out" / "plate1.zarr" / "protein_A" / "0" / "labels").exists()


def test_a_large_field_has_halves_in_which_pixels_are_means(tmp_path: Path) -> None:
    dataset = placed_dataset(tmp_path / "data", {7: (2, 1200, 8)})
    export_dataset(dataset, tmp_path / "out", to="omezarr")
    plate = tmp_path / "out" / "plate1.zarr"
    full, half = opened(plate, "A/1/0/0"), opened(plate, "A/1/0/1")
    assert (full.shape, half.shape) == ((2, 1208, 48), (2, 604, 24))
    assert half[0, 1, 2] == np.rint(full[0, 2:4, 4:6].mean())
    facts = zarr.open_group(plate / "A/1/0", mode="r").attrs["ome"]["multiscales"][0]["datasets"]  # type: ignore[index, call-overload]
    assert [each["coordinateTransformations"][0]["scale"] for each in facts] == [[1.0, 1.0, 1.0], [1.0, 2.0, 2.0]]
    np.testing.assert_array_equal(
        opened(plate, "A/1/0/labels/tiles/1"), opened(plate, "A/1/0/labels/tiles/0")[:-1:2, :-1:2]
    )


def test_places_that_need_too_much_memory_are_not_believed(tmp_path: Path) -> None:
    dataset = placed_dataset(tmp_path / "data", {7: (2, 30_000, 30_000)})
    made = export_dataset(dataset, tmp_path / "out", to="omezarr")
    assert "side by side" in made.notes[0]
    assert opened(tmp_path / "out" / "plate1.zarr", "A/2/0/0").shape == (2, 32, 32)
