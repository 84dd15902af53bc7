"""Projections over planes: the right values, and no image of a stack that is not whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from data_tools.readers.plates.base import ImageError, ImageRef, read_image
from data_tools.readers.plates.choice import choose
from data_tools.readers.plates.filenames import FilenamesConfig, read_filenames
from framework.config import parse_config
from framework.errors import ConfigError

PATTERN = r"(?P<well>\w\d)_(?P<site>\d)_(?P<channel>\w)_z(?P<plane>\d)_t(?P<timepoint>\d)\.tif"


def ref(plane: int, site: int = 1, timepoint: int = 1) -> ImageRef:
    file = Path(f"A01_{site}_D_z{plane}_t{timepoint}.tif")
    return ImageRef(plate="P", well="A01", site=site, channel="D", file=file, plane=plane, timepoint=timepoint)


def write_stack(folder: Path, planes: list[Any]) -> None:
    for number, plane in enumerate(planes, start=1):
        tifffile.imwrite(folder / f"A1_1_D_z{number}_t1.tif", np.asarray(plane))


def read(folder: Path, plane: str) -> Any:
    config = FilenamesConfig.from_plain({"path": str(folder), "plate": "P", "pattern": PATTERN, "plane": plane})
    (image,) = read_filenames(config).refs
    return read_image(image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_maximum_and_the_mean_of_whole_numbers(tmp_path: Path, dtype: type) -> None:
    top = np.iinfo(dtype).max
    write_stack(
        tmp_path, [np.array([[1, 9, top]], dtype), np.array([[2, 3, top]], dtype), np.array([[4, 0, top]], dtype)]
    )
    highest, mean = read(tmp_path, "max"), read(tmp_path, "mean")
    assert highest.tolist() == [[4, 9, top]]
    assert mean.tolist() == [[2, 4, top]], "7 / 3 and 12 / 3; no sum runs over"
    assert highest.dtype == mean.dtype == dtype


def test_halves_are_rounded_up_and_floats_are_not_rounded(tmp_path: Path) -> None:
    write_stack(tmp_path, [np.array([[1, 2]], np.uint8), np.array([[2, 4]], np.uint8)])
    assert read(tmp_path, "mean").tolist() == [[2, 3]]
    write_stack(tmp_path, [np.array([[1.0, -2.0]], np.float32), np.array([[2.0, 4.0]], np.float32)])
    assert read(tmp_path, "mean").tolist() == [[1.5, 1.0]]
    assert read(tmp_path, "max").tolist() == [[2.0, 4.0]]


def test_planes_of_another_size_or_a_damaged_plane_are_named(tmp_path: Path) -> None:
    write_stack(tmp_path, [np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8)])
    with pytest.raises(ImageError, match=r"z2_t1\.tif: a plane of uint8 \(4, 5\), but uint8 \(4, 4\) in .*z1_t1\.tif"):
        read(tmp_path, "max")
    (tmp_path / "A1_1_D_z2_t1.tif").write_bytes(b"II")
    with pytest.raises(ImageError, match=r"z2_t1\.tif: truncated or damaged TIFF"):
        read(tmp_path, "mean")


def test_a_stack_that_is_not_whole_is_a_problem_and_no_image() -> None:
    refs = [ref(1), ref(2), ref(3), ref(1, site=2), ref(3, site=2), *(ref(z, site=3) for z in (1, 2, 2, 3))]
    choice = choose(refs, plane="max", timepoint=None, plate="P")
    (whole,) = choice.refs
    assert (whole.site, [file.name for file in whole.files]) == (1, [f"A01_1_D_z{z}_t1.tif" for z in (1, 2, 3)])
    assert choice.notes == ("plate P: each image is the max over planes 1, 2, 3, as 'plane: max' says",)
    assert [(problem.site, problem.reason) for problem in choice.problems] == [
        (2, "missing_plane"),
        (3, "missing_plane"),
    ]
    assert "has images of planes 1, 3, expected one of each of 1, 2, 3" in choice.problems[0].detail
    assert "has images of planes 1, 2, 2, 3, expected one of each" in choice.problems[1].detail


def test_timepoints_are_never_projected() -> None:
    refs = [ref(1), ref(2), ref(1, timepoint=2), ref(2, timepoint=2)]
    choice = choose(refs, plane="mean", timepoint=2, plate="P")
    assert [[file.name for file in one.files] for one in choice.refs] == [["A01_1_D_z1_t2.tif", "A01_1_D_z2_t2.tif"]]


@pytest.mark.parametrize("plane", ["min", "0.5", "-1"])
def test_other_words_are_refused(plane: str) -> None:
    with pytest.raises(ConfigError, match="plane: expected"):
        parse_config(f"path: x\nplate: P\npattern: '{PATTERN}'\nplane: {plane}\n", FilenamesConfig, "ingest.yaml")
