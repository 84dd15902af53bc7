"""DeepLoc archives: flat rows become images, marks become classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pydantic import ValidationError

from data_tools.readers.cells import CellImage
from data_tools.readers.cells.deeploc import DeepLocConfig, DeepLocReader
from framework.errors import InputError

SIZE = 6
CROPS = np.random.default_rng(1).random((5, 2, SIZE, SIZE)).astype(np.float32)
MARKS = np.array([[1, 0, 0, 9], [0, 1, 0, 9], [0, 1, 1, 9], [0, 0, 0, 9], [0, 0, 1, 9]], dtype=np.float32)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    file = tmp_path / "train.hdf5"
    with h5py.File(file, "w") as store:
        for number, rows in ((1, slice(0, 3)), (2, slice(3, 5))):
            store[f"data{number}"] = (
                CROPS[rows].reshape(-1, 2 * SIZE**2).astype(np.float64 if number == 2 else np.float32)
            )
            store[f"Index{number}"] = MARKS[rows]
    return file


def reader(file: Path, **options: Any) -> DeepLocReader:
    plain = {"path": str(file), "channels": ["gfp", "rfp"], "classes": ["ER", "Golgi", "Nucleus"], "size_px": SIZE}
    return DeepLocReader(DeepLocConfig.from_plain({**plain, **options}))


def test_rows_become_cells(archive: Path) -> None:
    mine = reader(archive)
    listing = mine.survey(("rfp", "gfp"))
    assert listing.cells.to_dict("list") == {
        "Metadata_Cell": ["1-0", "1-1", "1-2", "2-0", "2-1"],
        "Metadata_Location": ["ER", "Golgi", "Golgi;Nucleus", "", "Nucleus"],
    }
    found = list(mine.read(listing.places.iloc[[4, 1]].reset_index(drop=True), ("rfp", "gfp")))
    for item, row in zip(found, (4, 1), strict=True):
        assert isinstance(item, CellImage)
        np.testing.assert_array_equal(np.asarray(item.pixels), CROPS[row][[1, 0]])
        assert np.asarray(item.pixels).dtype == np.float32


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size_px": 64}, "data1 has the shape 3 x 72, expected rows of 8192"),
        ({"classes": ["a", "b", "c", "d", "e"]}, "Index1 is 3 x 4, expected 3 rows and at least 5 columns"),
        ({"channels": ["gfp"]}, "expected rows of 36"),
    ],
)
def test_archives_of_another_shape_are_named(archive: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        reader(archive, **options).survey(("gfp",))


def test_files_that_are_no_archive(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as store:
        store["images"] = CROPS
    with pytest.raises(InputError, match=r"no array data1.*it holds images"):
        reader(tmp_path / "other.h5").survey(("gfp",))
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(InputError, match="not readable as a DeepLoc archive"):
        reader(tmp_path / "text.h5").survey(("gfp",))
    with pytest.raises(InputError, match="no such file"):
        reader(tmp_path / "none.h5").survey(("gfp",))
    with pytest.raises(ValidationError, match="'classes' uses the same name twice"):
        reader(tmp_path / "x.h5", classes=["a", "a"])
