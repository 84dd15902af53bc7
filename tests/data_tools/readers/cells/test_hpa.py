"""Fields of the Human Protein Atlas become crops; nuclei are drawn where the test knows them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from pydantic import ValidationError

from data_tools.readers.cells import CellImage, CellProblem
from data_tools.readers.cells.hpa import (
    HpaConfig,
    HpaReader,
    NucleusCropsConfig,
    find_components,
    nucleus_crops,
    recipe_of,
)
from framework.errors import InputError

SMALL = {"crop_px": 40, "min_area_px": 50}


def field(size: int, nuclei: list[tuple[int, int, int]]) -> np.ndarray:
    image = np.full((size, size), 10, np.uint8)
    for y, x, radius in nuclei:
        cv2.circle(image, (x, y), radius, 200, -1)
    return image


def found(image: np.ndarray, **options: Any) -> list[CellImage]:
    return list(nucleus_crops(0, [image], image, NucleusCropsConfig.from_plain(options)))


def test_paper_and_code_have_their_own_values() -> None:
    paper, code = (recipe_of(NucleusCropsConfig.from_plain({"variant": name})) for name in ("paper", "code"))
    assert (paper.downscale, paper.sigma_px, paper.min_area_px, paper.crop_px, paper.clear_border) == (
        1,
        0,
        400,
        512,
        False,
    )
    assert (code.downscale, code.sigma_px, code.min_area_px, code.crop_px, code.clear_border) == (4, 5, 100, 128, True)
    assert code.fill_holes_px == 300
    assert recipe_of(NucleusCropsConfig(variant="code", crop_px=64)).crop_px == 64


def test_a_crop_around_each_nucleus_that_fits() -> None:
    image = field(200, [(60, 50, 10), (100, 150, 12), (10, 100, 9), (150, 60, 3)])
    crops = found(image, **SMALL)
    assert [item.status for item in crops] == ["border", "tile", "tile"]  # the smallest one is none at all
    kept = [item for item in crops if item.status == "tile"]
    assert [(round(item.y_px or 0), round(item.x_px or 0)) for item in kept] == [(60, 50), (100, 150)]
    np.testing.assert_array_equal(kept[0].pixels[0], image[40:80, 30:70])
    assert [item.name for item in crops] == ["-0", "-1", "-2"]


def test_the_codes_variant_reduces_blurs_fills_and_clears_the_border() -> None:
    image = field(800, [(300, 300, 60), (500, 600, 60), (400, 40, 60)])
    cv2.circle(image, (300, 300), 12, 10, -1)
    crops = found(image, variant="code", crop_px=40)
    assert [item.status for item in crops] == ["tile", "border", "tile"]
    first = crops[0]
    assert abs((first.y_px or 0) - 300) < 4
    assert np.asarray(first.pixels).shape == (1, 40, 40)
    recipe = recipe_of(NucleusCropsConfig(variant="code"))
    _, areas, touches = find_components(cv2.resize(image, (200, 200), interpolation=cv2.INTER_AREA), recipe)
    assert touches.tolist() == [False, True, False]
    assert areas[0] == pytest.approx(areas[2], rel=0.1)  # the hole is filled


def test_areas_out_of_bounds_are_told_apart() -> None:
    image = field(200, [(50, 50, 5), (50, 140, 10), (140, 100, 20)])
    crops = found(image, **SMALL, min_share=0.1, max_share=0.5)
    assert [item.status for item in crops] == ["tile", "small", "large"] or {item.status for item in crops} == {
        "small",
        "tile",
        "large",
    }


def test_a_flat_field_has_no_nucleus() -> None:
    assert found(np.zeros((100, 100), np.uint8)) == []


def write_rgb(file: Path, planes: list[np.ndarray]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.stack(planes[::-1], axis=-1))  # OpenCV writes blue first


def reader(folder: Path, **options: Any) -> HpaReader:
    plain = {
        "path": str(folder),
        "pattern": r"(?P<protein>\w+)/(?P<well>\w+)_(?P<field>\d+)\.png",
        "rgb": ["microtubules", "protein", "nucleus"],
        "nucleus": "nucleus",
        "crops": SMALL,
    }
    return HpaReader(HpaConfig.from_plain({**plain, **options}))


def test_pictures_in_colour_hold_all_channels(tmp_path: Path) -> None:
    nucleus = field(120, [(60, 60, 10)])
    protein = np.arange(120 * 120, dtype=np.int64).reshape(120, 120).astype(np.uint8)
    write_rgb(tmp_path / "AAAS" / "A1_2.png", [np.zeros_like(nucleus), protein, nucleus])
    mine = reader(tmp_path)
    listing = mine.survey(("nucleus", "protein"))
    assert listing.several
    assert listing.cells.iloc[0].to_dict() == {
        "Metadata_Protein": "AAAS",
        "Metadata_Well": "A1",
        "Metadata_Field": "2",
        "Metadata_Cell": "2",
    }
    (item,) = mine.read(listing.places, ("nucleus", "protein"))
    assert isinstance(item, CellImage)
    np.testing.assert_array_equal(item.pixels[1], protein[40:80, 40:80])


def test_a_picture_a_channel(tmp_path: Path) -> None:
    nucleus = field(120, [(60, 60, 10)])
    for colour, plane in (("blue", nucleus), ("green", nucleus // 2)):
        cv2.imwrite(str(tmp_path / f"1_{colour}.png"), plane)
    cv2.imwrite(str(tmp_path / "2_blue.png"), nucleus)
    mine = reader(
        tmp_path,
        pattern=r"(?P<field>\d+)_(?P<channel>blue|green)\.png",
        rgb=None,
        channel_names={"blue": "nucleus", "green": "protein"},
    )
    listing = mine.survey(("protein",))
    assert len(listing) == 1
    assert "2_blue.png: its field has no image of channel 'green'" in listing.problems[0].detail
    (item,) = mine.read(listing.places, ("protein",))
    assert isinstance(item, CellImage)
    np.testing.assert_array_equal(item.pixels[0], (nucleus // 2)[40:80, 40:80])


def test_damaged_pictures_are_problems(tmp_path: Path) -> None:
    write_rgb(tmp_path / "P" / "a_1.png", [field(64, [])] * 3)
    (tmp_path / "P" / "a_2.png").write_bytes(b"no picture")
    cv2.imwrite(str(tmp_path / "P" / "a_3.png"), field(64, []))
    os.mkfifo(tmp_path / "P" / "a_4.png")
    mine = reader(tmp_path)
    found = [
        item for item in mine.read(mine.survey(("nucleus",)).places, ("nucleus",)) if isinstance(item, CellProblem)
    ]
    assert [item.row for item in found] == [1, 2, 3]
    what = [item.detail.removeprefix(f"{tmp_path}/P/") for item in found]
    assert what == [
        "a_2.png: not an image, or a truncated one; export it again",
        "a_3.png: expected red, green and blue, found shape (64, 64); export it again",
        "a_4.png: expected an ordinary file, found a pipe; export it again",
    ]


def test_contradictions_in_the_config(tmp_path: Path) -> None:
    for options, words in (
        ({"nucleus": "dna"}, "'nucleus' is 'dna'"),
        ({"rgb": None}, "either a group"),
        ({"rgb": ["a", "a", "nucleus"]}, "same name"),
    ):
        with pytest.raises(ValidationError, match=words):
            reader(tmp_path, **options)
    with pytest.raises(InputError, match="no such folder"):
        reader(tmp_path / "none").survey(("nucleus",))


def test_samples_of_a_tiff_that_are_no_colours_are_problems_and_transparency_is_left_out(tmp_path: Path) -> None:
    nucleus = field(120, [(60, 60, 10)])
    clear = np.full_like(nucleus, 255)
    planes = np.stack([nucleus * 0, nucleus // 2, nucleus, clear], axis=-1)
    (tmp_path / "P").mkdir()
    for number, extra in ((1, "unassalpha"), (2, "unspecified")):
        tifffile.imwrite(tmp_path / "P" / f"a_{number}.tif", planes, photometric="rgb", extrasamples=[extra])
    for options in ({}, {"rgb": None, "channel_names": {"a": "nucleus"}}):
        group = "(?P<well>a)" if not options else "(?P<channel>a)"
        mine = reader(tmp_path, pattern=rf"(?P<protein>\w+)/{group}_(?P<field>\d+)\.tif", **options)
        first, second = mine.read(mine.survey(("nucleus",)).places, ("nucleus",))
        assert isinstance(first, CellImage)
        np.testing.assert_array_equal(first.pixels[0], nucleus[40:80, 40:80])
        assert isinstance(second, CellProblem)
        assert "red, green and blue, found shape (120, 120, 4)" in second.detail
