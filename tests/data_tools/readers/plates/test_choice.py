"""Projections over planes: the right values, and no image of a stack that is not whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from data_tools.readers.plates.base import ImageError, ImageRef, read_image
from data_tools.readers.plates.choice import choose
from data_tools.readers.plates.filenames import FilenamesConfig, read_filenames
from data_tools.readers.plates.options import SomePlanes
from framework.config import parse_config
from framework.errors import ConfigError, InputError

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


def test_the_sharpest_plane_is_taken_of_each_image(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    scene = rng.integers(0, 4000, (32, 32)).astype(np.uint16)
    blurred = (scene // 8 + 2000).astype(np.uint16)
    write_stack(tmp_path, [blurred, scene, blurred])
    assert np.array_equal(read(tmp_path, "sharpest"), scene)
    write_stack(tmp_path, [np.full((4, 4), 1, np.uint8), np.full((4, 4), 2, np.uint8), np.full((4, 4), 3, np.uint8)])
    assert int(read(tmp_path, "sharpest").max()) == 1, "of planes that are equally sharp, the first"


def test_some_planes_are_projected() -> None:
    refs = [ref(1), ref(2), ref(3), ref(1, site=2)]
    choice = choose(refs, plane=SomePlanes(planes=(2, 3), by="max"), timepoint=None, plate="P")
    assert [[file.name for file in one.files] for one in choice.refs] == [["A01_1_D_z2_t1.tif", "A01_1_D_z3_t1.tif"]]
    said = "plate P: each image is the max over planes 2, 3, as 'plane: {planes: [2, 3], by: max}' says"
    assert choice.notes == (said,)
    (lost,) = choice.problems
    assert (lost.site, lost.reason) == (2, "missing_plane")
    with pytest.raises(InputError, match=r"no image of plane 4; there is plane 1, 2, 3"):
        choose(refs, plane=SomePlanes(planes=(2, 4), by="max"), timepoint=None, plate="P")


def test_planes_of_one_channel_are_not_expected_of_another() -> None:
    deep = [ref(1), ref(2)]
    flat = [replace(ref(1), channel="E")]
    choice = choose([*deep, *flat], plane="max", timepoint=None, plate="P")
    assert [(one.channel, len(one.files)) for one in choice.refs] == [("D", 2), ("E", 1)]
    assert not choice.problems
    assert "which differ between channels: 'D' 1, 2; 'E' 1" in choice.notes[0]


@pytest.mark.parametrize(
    ("line", "plane"),
    [
        ("planes: sharpest", "sharpest"),
        ("planes: [3]", 3),
        ("planes: [2, 3]\nplane: mean", SomePlanes(planes=(2, 3), by="mean")),
        ("plane: {planes: [2, 3], by: mean}", SomePlanes(planes=(2, 3), by="mean")),
    ],
)
def test_planes_may_be_written_in_two_ways(line: str, plane: Any) -> None:
    config = parse_config(f"path: x\nplate: P\npattern: '{PATTERN}'\n{line}\n", FilenamesConfig, "ingest.yaml")
    assert config.plane == plane
    assert "planes" not in config.plain()
