"""Cells of a .cif file, with and without their masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.cif_files import write_cif

from data_tools.readers.cells.base import CELL, CellImage, CellProblem
from data_tools.readers.cells.cif import CifConfig, CifReader
from framework.errors import InputError

IMAGES = [np.arange(2 * h * w, dtype=np.uint16).reshape(2, h, w) + 100 for h, w in ((4, 5), (3, 7), (6, 6))]
MASKS = [(image % 3 == 0).astype(np.uint8) for image in IMAGES]


def reader(file: Path, **options: object) -> CifReader:
    return CifReader(CifConfig.from_plain({"path": str(file), **options}))


def test_chosen_channels_in_the_asked_order(tmp_path: Path) -> None:
    file = write_cif(tmp_path / "a.cif", IMAGES, MASKS, numbers=[0, 5, 2])
    found = reader(file, channel_names={"Ch2": "CD34"})
    listing = found.survey(("CD34", "Ch1"))
    assert listing.cells[CELL].tolist() == ["0", "5", "2"]
    assert listing.channels == ("Ch1", "CD34")
    for cell, image in zip(found.read(listing.places, ("CD34", "Ch1")), IMAGES, strict=True):
        assert isinstance(cell, CellImage)
        np.testing.assert_array_equal(cell.pixels, image[::-1])


def test_zero_outside_the_mask_of_each_channel(tmp_path: Path) -> None:
    found = reader(write_cif(tmp_path / "a.cif", IMAGES, MASKS), mask="zero_outside")
    listing = found.survey(("Ch1", "Ch2"))
    for cell, image, mask in zip(found.read(listing.places, ("Ch1", "Ch2")), IMAGES, MASKS, strict=True):
        assert isinstance(cell, CellImage)
        np.testing.assert_array_equal(cell.pixels, image * mask)


def test_an_object_without_mask_is_a_problem_only_where_masks_are_wanted(tmp_path: Path) -> None:
    file = write_cif(tmp_path / "a.cif", IMAGES, [MASKS[0], None, MASKS[2]])
    assert len(reader(file).survey(("Ch1",))) == 3
    listing = reader(file, mask="zero_outside").survey(("Ch1",))
    assert listing.cells[CELL].tolist() == ["0", "2"]
    assert [(problem.cell, problem.reason) for problem in listing.problems] == [("1", "missing_mask")]


def test_a_damaged_object_does_not_end_the_others(tmp_path: Path) -> None:
    file = write_cif(tmp_path / "a.cif", IMAGES, MASKS)
    listing = reader(file).survey(("Ch1",))
    data = bytearray(file.read_bytes())
    at = int(listing.places["image_at"][1])
    data[at + 2 + 12 * 4 + 8 : at + 2 + 12 * 4 + 12] = b"\xff\xff\xff\x7f"  # where its pixels begin
    file.write_bytes(data)
    first, second, third = reader(file).read(listing.places, ("Ch1",))
    assert isinstance(first, CellImage)
    assert isinstance(second, CellProblem)
    assert (second.row, second.reason) == (1, "damaged_image")
    assert isinstance(third, CellImage)
    np.testing.assert_array_equal(third.pixels, IMAGES[2][:1])


def test_names_that_are_not_there_are_refused(tmp_path: Path) -> None:
    file = write_cif(tmp_path / "a.cif", IMAGES, MASKS)
    with pytest.raises(InputError, match="no channel 'Ch3'"):
        reader(file).survey(("Ch3",))
    with pytest.raises(InputError, match="'channel_names' names 'BF'; the file has Ch1, Ch2"):
        reader(file, channel_names={"BF": "x"}).survey(("x",))
