from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import pytest
import tifffile
from defusedxml import ElementTree

from data_tools.simulate.harmony_export import field_centre_um, image_name, write_image, write_index
from data_tools.simulate.optics import PlateOptics, illumination_from
from data_tools.simulate.plate_config import CHANNELS, PlateConfig

WELLS = [(0, 0), (2, 11)]


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _named(element: Element, name: str) -> list[Element]:
    return [child for child in element.iter() if _local(child) == name]


def _facts(element: Element) -> dict[str, str]:
    return {_local(child): (child.text or "").strip() for child in element}


def _write(folder: Path, index: str) -> tuple[Path, Element, PlateOptics]:
    config = PlateConfig(index=index, sites=2, pixel_size_um=0.598)
    optics = PlateOptics.draw(config, 0)
    file = write_index(folder, config, "P & 1", WELLS, optics.coefficients)
    return file, ElementTree.fromstring(file.read_bytes()), optics


@pytest.mark.parametrize(("index", "name"), [("V5", "Index.idx.xml"), ("V7", "Index.xml")])
def test_index_parses_by_local_names(tmp_path: Path, index: str, name: str) -> None:
    file, root, _ = _write(tmp_path, index)
    assert file.name == name
    assert file.read_bytes().startswith(b"\xef\xbb\xbf<?xml")
    assert _local(root) == "EvaluationInputData"
    assert root.tag.endswith(f"Harmony{index}}}EvaluationInputData")
    plate = _facts(_named(root, "Plate")[0])
    assert (plate["PlateID"], plate["PlateRows"], plate["PlateColumns"]) == ("P & 1", "8", "12")
    images = [_facts(image) for image in next(c for c in root if _local(c) == "Images")]
    assert len(images) == 2 * 2 * 3
    expected = [image_name(*well, site, channel) for well in WELLS for site in (1, 2) for channel in (1, 2, 3)]
    assert [image["URL"] for image in images] == expected
    assert {image["State"] for image in images} == {"Ok"}
    listed = [image.get("id") for well in _named(root, "Wells")[0] for image in well if _local(image) == "Image"]
    assert listed == [image["id"] for image in images]


def test_v5_repeats_the_channel_in_each_image(tmp_path: Path) -> None:
    _, root, _ = _write(tmp_path, "V5")
    images = [_facts(image) for image in next(c for c in root if _local(c) == "Images")]
    assert [image["ChannelName"] for image in images[:3]] == list(CHANNELS)
    assert {image["TimepointID"] for image in images} == {"0"}
    assert float(images[0]["ImageResolutionX"]) == pytest.approx(0.598e-6, rel=1e-9)
    assert len(_named(root, "Map")) == 1


def test_v7_keeps_the_channel_in_the_third_map(tmp_path: Path) -> None:
    _, root, _ = _write(tmp_path, "V7")
    images = [_facts(image) for image in next(c for c in root if _local(c) == "Images")]
    assert not any("ChannelName" in image or "ImageResolutionX" in image for image in images)
    assert {image["TimepointID"] for image in images} == {"1"}
    maps = _named(root, "Map")
    assert len(maps) == 3
    facts = {entry.get("ChannelID"): _facts(entry) for entry in maps[2]}
    assert [facts[number]["ChannelName"] for number in ("1", "2", "3")] == list(CHANNELS)
    assert float(facts["2"]["ImageResolutionY"]) == pytest.approx(0.598e-6, rel=1e-9)
    assert facts["1"]["ImageSizeX"] == "540"


def test_flatfield_profile_is_the_true_illumination(tmp_path: Path) -> None:
    _, root, optics = _write(tmp_path, "V5")
    for channel, profile in enumerate(_named(root, "FlatfieldProfile")):
        text = re.search(r"Foreground:.*?Coefficients: (\[\[.*?\]\])", profile.text or "")
        assert text is not None
        field = illumination_from(tuple(tuple(row) for row in json.loads(text[1])), 540)
        np.testing.assert_allclose(field, optics.illumination[channel], atol=1e-5)


@pytest.mark.real_data
def test_elements_are_those_of_a_true_v5_index(real_data: Path, tmp_path: Path) -> None:
    _, root, _ = _write(tmp_path, "V5")
    real = ElementTree.fromstring((real_data / "phenix-index-xml" / "Images" / "Index.idx.xml").read_bytes())
    assert root.tag == real.tag
    for name in ("Plate", "Well", "Image"):
        ours = [[_local(child) for child in e] for e in _named(root, name) if len(e)][-1]
        theirs = [[_local(child) for child in e] for e in _named(real, name) if len(e)][-1]
        # The number of Well and Image children follows the plate; the stage's matrix is the instrument's own.
        assert list(dict.fromkeys(ours)) == [tag for tag in dict.fromkeys(theirs) if tag != "OrientationMatrix"]


def test_tiff_is_lzw_uint16_without_a_date(tmp_path: Path) -> None:
    image = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    file = tmp_path / image_name(0, 0, 1, 1)
    assert file.name == "r01c01f01p01-ch1sk1fk1fl1.tiff"
    write_image(file, image, 0.5)
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages[0]
        assert page.compression == tifffile.COMPRESSION.LZW
        assert "DateTime" not in page.tags
        assert "Software" not in page.tags
        numerator, denominator = page.tags["XResolution"].value
        assert numerator / denominator == pytest.approx(20_000, rel=1e-6)
        np.testing.assert_array_equal(page.asarray(), image)


def test_fields_lie_side_by_side_around_the_well_centre() -> None:
    config = PlateConfig(sites=4, size_px=500, pixel_size_um=1.0)
    centres = [field_centre_um(site, config) for site in (1, 2, 3, 4)]
    assert centres == [(-250, 250), (250, 250), (-250, -250), (250, -250)]
