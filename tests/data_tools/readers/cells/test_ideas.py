"""TIFF exports of IDEAS: names, labels, order, and the real export with its wrong tags."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from data_tools.readers.cells.base import CELL, CellImage, CellProblem
from data_tools.readers.cells.ideas import IdeasConfig, IdeasReader
from framework.config import parse_config
from framework.errors import ConfigError, InputError


def export(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(file, np.full((4 + number, 6), number, dtype=np.uint16))


def reader(folder: Path, **options: object) -> IdeasReader:
    return IdeasReader(IdeasConfig.from_plain({"path": str(folder), **options}))


def test_cells_are_ordered_by_object_number_and_keep_their_channels(tmp_path: Path) -> None:
    export(tmp_path, "s_10_Ch1.ome.tif", "s_10_Ch6.ome.tif", "S_9_ch6.ome.tif", "s_9_Ch01.OME.TIF", "0_Ch1.ome.tif")
    listing = reader(tmp_path).survey(("Ch6", "Ch1"))
    assert listing.cells[CELL].tolist() == ["9", "10"]
    assert listing.cells["Metadata_Label"].tolist() == ["s", "s"]
    assert listing.channels == ("Ch1", "Ch6")
    assert [problem.reason for problem in listing.problems] == ["missing_channel"]
    images = list(reader(tmp_path).read(listing.places, ("Ch6", "Ch1")))
    shapes = [[image.shape for image in cell.pixels] for cell in images if isinstance(cell, CellImage)]
    assert shapes == [[(6, 6), (7, 6)], [(5, 6), (4, 6)]]


def test_object_0_without_prefix_is_a_cell(tmp_path: Path) -> None:
    export(tmp_path, "0_Ch1.ome.tif", "007_Ch1.tif")
    listing = reader(tmp_path).survey(("Ch1",))
    assert listing.cells[CELL].tolist() == ["0", "7"]
    assert listing.cells["Metadata_Label"].tolist() == ["", ""]


def test_a_label_may_be_the_folder_and_keep_its_case(tmp_path: Path) -> None:
    export(tmp_path, "Donor A/x_1_Ch1.ome.tif", "Donor B/x_1_Ch1.ome.tif")
    listing = reader(tmp_path, label="folder", label_name="donor", keep_case=True).survey(("Ch1",))
    assert listing.cells["Metadata_Donor"].tolist() == ["Donor A", "Donor B"]
    assert listing.cells[CELL].tolist() == ["1", "1"]


def test_one_object_number_twice_without_label_is_a_problem(tmp_path: Path) -> None:
    export(tmp_path, "a_1_Ch1.ome.tif", "b_1_Ch1.ome.tif")
    listing = reader(tmp_path, label="none").survey(("Ch1",))
    assert listing.cells[CELL].tolist() == ["1"]
    assert [problem.reason for problem in listing.problems] == ["duplicate_cell"]
    assert "Metadata_Label" not in listing.cells


def test_a_compressed_file_is_read_and_a_damaged_one_is_a_problem(tmp_path: Path) -> None:
    export(tmp_path, "1_Ch1.ome.tif", "2_Ch1.ome.tif", "3_Ch1.ome.tif")
    tifffile.imwrite(tmp_path / "1_Ch1.ome.tif", np.full((9, 9), 7, dtype=np.uint16), compression="lzw")
    tifffile.imwrite(tmp_path / "2_Ch1.ome.tif", np.full((40, 40), 7, dtype=np.uint16))
    whole = (tmp_path / "2_Ch1.ome.tif").read_bytes()
    (tmp_path / "2_Ch1.ome.tif").write_bytes(whole[: len(whole) // 2])
    listing = reader(tmp_path).survey(("Ch1",))
    first, second, third = reader(tmp_path).read(listing.places, ("Ch1",))
    assert isinstance(first, CellImage)
    np.testing.assert_array_equal(first.pixels[0], np.full((9, 9), 7))
    assert isinstance(second, CellProblem)
    assert (second.row, second.reason) == (1, "damaged_image")
    assert isinstance(third, CellImage)


def test_a_folder_without_such_names_shows_one(tmp_path: Path) -> None:
    export(tmp_path, "cell.tif")
    with pytest.raises(InputError, match=r"none of its 1 images.*cell\.tif"):
        reader(tmp_path).survey(("Ch1",))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("channel_names: {BF: Ch1}", "key 'BF'; expected Ch1 to Ch24"),
        ("channel_names: {Ch1: Ch2}", "two channels the same name"),
        ("label_name: cell", "Metadata_Cell"),
    ],
)
def test_contradictions_in_the_config(option: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_config(f"path: x\n{option}\n", IdeasConfig, "ideas.yaml")


@pytest.mark.real_data
def test_the_real_export(real_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = real_data / "ifc-ciliated" / "images"
    names = {"Ch1": "BF1", "Ch6": "SSC", "Ch9": "BF2"}
    found = reader(folder, channel_names=names)
    listing = found.survey(("SSC", "BF1"))
    assert len(listing) == 154
    assert listing.problems == ()
    assert listing.notes == ()
    assert listing.cells["Metadata_Label"].value_counts().to_dict() == {"ciliated": 77, "unciliated": 77}
    with caplog.at_level(logging.WARNING):
        cells = list(found.read(listing.places.iloc[:40].reset_index(drop=True), ("SSC", "BF1")))
    assert caplog.records == []
    assert all(isinstance(cell, CellImage) for cell in cells)
    sizes = {cell.pixels[0].shape for cell in cells if isinstance(cell, CellImage)}
    assert len(sizes) > 10
    logging.disable(logging.CRITICAL)
    try:
        for cell, file in zip(cells, listing.places["file SSC"], strict=False):
            assert isinstance(cell, CellImage)
            np.testing.assert_array_equal(cell.pixels[0], tifffile.imread(file))
    finally:
        logging.disable(logging.NOTSET)


def test_places_are_columns_not_objects(tmp_path: Path) -> None:
    export(tmp_path, "1_Ch1.ome.tif")
    places = reader(tmp_path).survey(("Ch1",)).places
    assert not [name for name in places if pd.api.types.is_object_dtype(places[name])]
