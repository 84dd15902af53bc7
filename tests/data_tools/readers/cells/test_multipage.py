"""A TIFF a cell, channels as pages or samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from pydantic import ValidationError

from data_tools.readers.cells import CellImage, CellProblem
from data_tools.readers.cells.multipage import MultipageConfig, MultipageReader
from framework.errors import InputError

PAGES = np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5)


def reader(folder: Path, **options: object) -> MultipageReader:
    plain = {"path": str(folder), "pattern": r"(?P<sample>\w)-(?P<cell>\d+)\.tif", "channels": ["A", "B", "C"]}
    return MultipageReader(MultipageConfig.from_plain({**plain, **options}))


def test_pages_are_channels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x-1.tif", PAGES, photometric="minisblack")
    tifffile.imwrite(tmp_path / "x-2.tif", PAGES + 1, photometric="minisblack", compression="lzw", metadata=None)
    mine = reader(tmp_path)
    listing = mine.survey(("C", "A"))
    assert listing.cells.to_dict("list") == {"Metadata_Sample": ["x", "x"], "Metadata_Cell": ["1", "2"]}
    for number, item in enumerate(mine.read(listing.places, ("C", "A"))):
        assert isinstance(item, CellImage)
        np.testing.assert_array_equal(np.stack(list(item.pixels)), PAGES[[2, 0]] + number)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_samples_of_one_page_are_channels(tmp_path: Path, planar: str) -> None:
    image = PAGES if planar == "separate" else np.moveaxis(PAGES, 0, -1)
    tifffile.imwrite(tmp_path / "x-1.tif", image, photometric="rgb", planarconfig=planar)
    mine = reader(tmp_path)
    (item,) = mine.read(mine.survey(("B",)).places, ("B",))
    assert isinstance(item, CellImage)
    np.testing.assert_array_equal(item.pixels[0], PAGES[1])


def test_missing_pages_and_damage_are_problems_of_the_cell(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x-1.tif", PAGES[:2], photometric="minisblack")
    cut = tmp_path / "x-2.tif"
    with tifffile.TiffWriter(cut) as writer:
        for page in PAGES:
            writer.write(page, contiguous=False, metadata=None)
    cut.write_bytes(cut.read_bytes()[:-8])
    (tmp_path / "x-3.tif").write_bytes(b"II*\0")
    mine = reader(tmp_path)
    places = mine.survey(("A",)).places
    (tmp_path / "x-3.tif").unlink()
    found = [item for item in mine.read(places, ("A",)) if isinstance(item, CellProblem)]
    assert [item.reason for item in found] == ["missing_channel", "damaged_image", "missing_image"]
    assert "2 pages, and 'channels' names 3" in found[0].detail


def test_unknown_channels_and_contradictions(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x-1.tif", PAGES, photometric="minisblack")
    with pytest.raises(InputError, match="no channel 'D'; there is A, B, C"):
        reader(tmp_path).survey(("D",))
    with pytest.raises(ValidationError, match="two channels the same name"):
        reader(tmp_path, channels=["A", "A"])
    with pytest.raises(ValidationError, match=r"lacks the group\(s\) \(\?P<cell>"):
        reader(tmp_path, pattern=".*")
