"""Folders of crops: names become columns, files become cells, and what is missing or double is said by name."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from pydantic import ValidationError

from data_tools.readers.cells import CellImage, CellProblem
from data_tools.readers.cells.crops import CropsConfig, CropsReader
from framework.errors import InputError

PATTERN = r"(?P<protein>\w+)/(?P=protein)_(?P<field>\d+)_rfp_(?P<cell>\d+)_(?P<channel>gfp|rfp)\.tif"


def write(folder: Path, protein: str, field: int, cell: int, channel: str, value: int) -> Path:
    file = folder / protein / f"{protein}_{field}_rfp_{cell}_{channel}.tif"
    file.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(file, np.full((4, 5), value, np.uint16))
    return file


def reader(folder: Path, **options: object) -> CropsReader:
    return CropsReader(CropsConfig.from_plain({"path": str(folder), "pattern": PATTERN, **options}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, (protein, field, cell) in enumerate([("P1", 1, 1), ("P1", 2, 1), ("P2", 1, 7)]):
        for channel in ("gfp", "rfp"):
            write(tmp_path, protein, field, cell, channel, 10 * number + (channel == "rfp"))
    return tmp_path


def test_names_become_columns_and_files_cells(folder: Path) -> None:
    listing = reader(folder).survey(("rfp", "gfp"))
    assert listing.cells.to_dict("list") == {
        "Metadata_Protein": ["P1", "P1", "P2"],
        "Metadata_Field": ["1", "2", "1"],
        "Metadata_Cell": ["1", "1", "7"],
    }
    assert listing.channels == ("gfp", "rfp")
    assert not listing.problems
    found = list(reader(folder).read(listing.places.iloc[[2, 0]].reset_index(drop=True), ("rfp", "gfp")))
    assert [
        (item.row, [int(plane[0, 0]) for plane in item.pixels]) for item in found if isinstance(item, CellImage)
    ] == [
        (0, [21, 20]),
        (1, [1, 0]),
    ]


def test_one_channel_of_two_may_be_wanted(folder: Path) -> None:
    (folder / "P2" / "P2_1_rfp_7_rfp.tif").unlink()
    listing = reader(folder).survey(("gfp",))
    assert len(listing) == 3
    assert [column for column in listing.places if column.startswith("file")] == ["file gfp"]


def test_channels_are_called_by_their_names(folder: Path) -> None:
    named = reader(folder, channel_names={"rfp": "cytosol", "gfp": "protein"})
    assert named.survey(("cytosol", "protein")).channels == ("cytosol", "protein")
    with pytest.raises(InputError, match=r"channel\(s\) gfp that 'channel_names' does not name"):
        reader(folder, channel_names={"rfp": "cytosol"}).survey(("cytosol",))
    with pytest.raises(InputError, match=r"no channel 'gpf'.*did you mean 'gfp'"):
        reader(folder).survey(("gpf",))


def test_a_cell_without_a_channel_is_a_problem_and_has_no_row(folder: Path) -> None:
    (folder / "P1" / "P1_2_rfp_1_rfp.tif").unlink()
    listing = reader(folder).survey(("rfp", "gfp"))
    assert len(listing) == 2
    (problem,) = listing.problems
    assert problem.reason == "missing_channel"
    assert "P1/P1_2_rfp_1_gfp.tif: its cell has no image of channel 'rfp'" in problem.detail


def test_of_two_files_for_one_cell_the_first_by_name_is_kept(tmp_path: Path) -> None:
    write(tmp_path, "P1", 1, 1, "gfp", 1)
    second = tmp_path / "P1" / "P1_1_rfp_01_gfp.tif"
    tifffile.imwrite(second, np.full((4, 5), 2, np.uint16))
    loose = reader(tmp_path, pattern=r".*_rfp_0*(?P<cell>\d+)_(?P<channel>gfp)\.tif")
    listing = loose.survey(("gfp",))
    assert len(listing) == 1
    (problem,) = listing.problems
    assert problem.reason == "duplicate_cell"
    assert "P1_1_rfp_1_gfp.tif: a second image" in problem.detail
    (image,) = loose.read(listing.places, ("gfp",))
    assert isinstance(image, CellImage)
    assert image.pixels[0][0, 0] == 2  # 01 comes before 1


def test_labels_written_in_several_ways_become_one(tmp_path: Path) -> None:
    for name in ("Ciliated_1_Ch1.tif", "ciliated_2_Ch1.tif"):
        tifffile.imwrite(tmp_path / name, np.zeros((3, 3), np.uint16))
    listing = reader(
        tmp_path, pattern=r"(?P<label>\w+)_(?P<cell>\d+)_(?P<channel>Ch\d)\.tif", lower_case=["label"]
    ).survey(("Ch1",))
    assert listing.cells["Metadata_Label"].tolist() == ["ciliated", "ciliated"]


def test_files_of_other_names_are_counted(folder: Path) -> None:
    tifffile.imwrite(folder / "overview.tif", np.zeros((3, 3), np.uint8))
    (note,) = reader(folder).survey(("gfp",)).notes
    assert "1 of 7 images do not match the pattern and are not read, as overview.tif" in note


def test_planes_that_a_crop_states_and_does_not_hold_are_said(folder: Path) -> None:
    first = sorted(folder.rglob("*.tif*"))[0]
    image = tifffile.imread(first)
    tifffile.imwrite(first, image, description=json.dumps({"shape": [3, *image.shape], "axes": "ZYX"}), metadata=None)
    (note,) = reader(folder).survey(("gfp",)).notes
    assert f"{first.name}: the description that tifffile wrote states the shape (3, " in note


def test_empty_absent_and_unmatched_folders_say_what_to_do(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no image"):
        reader(tmp_path / "empty").survey(("gfp",))
    with pytest.raises(InputError, match="nowhere: no such folder"):
        reader(tmp_path / "nowhere").survey(("gfp",))
    with pytest.raises(InputError, match=r"none of its 6 images matches.*the first is P1/P1_1_rfp_1_gfp\.tif"):
        reader(folder, pattern=r"(?P<cell>\d+)_(?P<channel>\w+)\.tif").survey(("gfp",))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pattern": "("}, "not a regular expression"),
        ({"pattern": r"(?P<cell>\d+)\.tif"}, r"lacks the group\(s\) \(\?P<channel>"),
        ({"pattern": r"(?P<cell>\d)(?P<channel>\d)(?P<number>\d)"}, "group 'number'"),
        (
            {"pattern": r"(?P<cell>\d)(?P<channel>\d)(?P<field>\d)(?P<Field>\d)"},
            "two groups for the column",
        ),
        ({"lower_case": ["label"]}, "'lower_case' names 'label'"),
        ({"channel_names": {"a": "x", "b": "x"}}, "two channels the same name"),
    ],
)
def test_contradictions_in_the_config(tmp_path: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        reader(tmp_path, **options)


def test_a_damaged_or_vanished_file_is_a_problem_of_its_cell(folder: Path) -> None:
    listing = reader(folder).survey(("gfp",))
    (folder / "P1" / "P1_1_rfp_1_gfp.tif").unlink()
    cut = folder / "P1" / "P1_2_rfp_1_gfp.tif"
    cut.write_bytes(cut.read_bytes()[:-9])
    tifffile.imwrite(folder / "P2" / "P2_1_rfp_7_gfp.tif", np.zeros((4, 4, 3), np.uint8), photometric="rgb")
    found = list(reader(folder).read(listing.places, ("gfp",)))
    assert [item.reason for item in found if isinstance(item, CellProblem)] == [
        "missing_image",
        "damaged_image",
        "unsupported_image",
    ]
    assert "expected one 2-D greyscale image" in found[2].detail  # type: ignore[union-attr]


def test_no_file_stays_open(folder: Path) -> None:
    listing = reader(folder).survey(("gfp",))
    before = len(os.listdir("/proc/self/fd"))
    for _ in reader(folder).read(listing.places, ("gfp",)):
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_wrong_fill_order_is_read_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = np.arange(20, dtype=np.uint16).reshape(4, 5)
    for number, options in enumerate([{}, {"compression": "lzw"}]):
        file = tmp_path / f"{number}_Ch1.tif"
        tifffile.imwrite(file, image, description="x" * 9, metadata=None, **options)
        # tifffile writes no FillOrder: the description (tag 270) is turned into one (tag 266) of 0.
        data = file.read_bytes()
        at = data.index(struct.pack("<HHI", 270, 2, 10))
        file.write_bytes(data[:at] + struct.pack("<HHIHH", 266, 3, 1, 0, 0) + data[at + 12 :])
    mine = reader(tmp_path, pattern=r"(?P<cell>\d)_(?P<channel>Ch1)\.tif")
    for item in mine.read(mine.survey(("Ch1",)).places, ("Ch1",)):
        assert isinstance(item, CellImage)
        np.testing.assert_array_equal(item.pixels[0], image)
    assert not caplog.records
