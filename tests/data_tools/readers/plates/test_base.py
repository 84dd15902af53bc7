"""Reading single images, and assembling an export."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from fixtures.tiff_pixels import decode_pages, decode_tiff

from data_tools.readers.plates import READERS
from data_tools.readers.plates.base import Export, ImageError, ImageRef, assemble, read_image
from data_tools.readers.plates.choice import one_of
from framework.config import StrictModel
from framework.errors import InputError


def _ref(file: Path, well: str = "B02", site: int = 3, channel: str = "DNA", plane: int = 1) -> ImageRef:
    return ImageRef(plate="P1", well=well, site=site, channel=channel, file=file, plane=plane)


def _image() -> npt.NDArray[np.uint16]:
    return np.random.default_rng(0).integers(0, 65536, (40, 30), dtype=np.uint16)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("compression", [None, "lzw", "deflate"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_pixels_come_back(tmp_path: Path, dtype: type, compression: str | None, byteorder: str) -> None:
    image = _image().astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", image, compression=compression, byteorder=byteorder)
    read = read_image(_ref(tmp_path / "a.tif"))
    np.testing.assert_array_equal(read, image)
    assert read.dtype == np.dtype(dtype)
    assert read.dtype.isnative
    assert read.flags.c_contiguous


@pytest.mark.parametrize("options", [{"predictor": True}, {"rowsperstrip": 7}, {"tile": (16, 16)}])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_every_form_of_lzw_is_read_as_tifffile_does_with_black_as_zero(
    tmp_path: Path, options: dict[str, Any], photometric: str
) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, _image(), compression="lzw", photometric=photometric, **options)
    stored = tifffile.imread(file)  # as it is in the file, where 0 stands for white
    np.testing.assert_array_equal(read_image(_ref(file)), 65535 - stored if photometric == "miniswhite" else stored)


def test_damage_inside_lzw_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, _image(), compression="lzw")
    data = bytearray(file.read_bytes())
    with tifffile.TiffFile(file) as tiff:
        middle = tiff.pages.first.dataoffsets[0] + tiff.pages.first.databytecounts[0] // 2
    data[middle : middle + 8] = b"\xff" * 8
    file.write_bytes(data)
    with pytest.raises(ImageError, match="truncated or damaged TIFF"):
        read_image(_ref(file))


@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"photometric": "rgb"}])
def test_damaged_lzw_never_ends_the_process(tmp_path: Path, options: dict[str, Any]) -> None:
    # imagecodecs.lzw_decode, which tifffile calls, writes to memory it does not own: one black image of 500 does it.
    random = np.random.default_rng(0)
    samples = (3,) if options.get("photometric") == "rgb" else ()
    file, refused = tmp_path / "a.tif", 0
    for number in range(600):
        image = np.zeros((*random.integers(1, 150, 2), *samples), dtype=(np.uint8, np.uint16)[number % 2])
        tifffile.imwrite(file, image, compression="lzw", rowsperstrip=None, **options)
        with tifffile.TiffFile(file) as tiff:
            begin, count = tiff.pages.first.dataoffsets[0], tiff.pages.first.databytecounts[0]
        data = bytearray(file.read_bytes())
        for at in begin + random.integers(0, count, 3):
            data[at] = random.integers(256)
        file.write_bytes(data)
        for read in (decode_tiff, decode_pages):
            try:
                read(file)
            except Exception:  # of several kinds; a crash is none of them
                refused += 1
    assert refused > 20


def test_missing_file_names_file_plate_and_well(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.tif: no such file; plate P1 well B02 site 3 channel 'DNA'"):
        read_image(_ref(tmp_path / "gone.tif"))


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9])
def test_truncated_file_is_refused(tmp_path: Path, compression: str | None, share: float) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, _image(), compression=compression, rowsperstrip=8)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(InputError, match=r"a\.tif: truncated or damaged TIFF .*well B02") as caught:
        read_image(_ref(file))
    if share > 0.1:
        assert "pixel data end at byte" in str(caught.value)


def test_a_strip_beyond_the_end_is_no_black_band(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, _image(), rowsperstrip=8)
    with tifffile.TiffFile(file) as tiff:
        tag = tiff.pages.first.tags["StripByteCounts"]
        place = tag.valueoffset
    data = bytearray(file.read_bytes())
    data[place : place + 2] = (0).to_bytes(2, "little")  # an absent strip, which tifffile would fill with zeros
    file.write_bytes(data)
    with pytest.raises(InputError, match="truncated or damaged"):
        read_image(_ref(file))


def test_garbage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"no TIFF at all")
    with pytest.raises(InputError, match="truncated or damaged"):
        read_image(_ref(tmp_path / "a.tif"))


@pytest.mark.parametrize(
    ("image", "match"),
    [
        (np.zeros((3, 8, 8), np.uint16), r"expected one 2-D greyscale image, found shape \(3, 8, 8\)"),
        (np.zeros((8, 8, 3), np.uint8), r"found shape \(8, 8, 3\)"),
        (np.zeros((8, 8), np.int32), "expected pixels of uint8, uint16 or float32, found int32"),
        (np.zeros((8, 8), np.float64), "found float64"),
    ],
)
def test_what_is_no_greyscale_image_is_refused(tmp_path: Path, image: npt.NDArray[np.generic], match: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb" if image.ndim == 3 else None)
    with pytest.raises(InputError, match=match):
        read_image(_ref(tmp_path / "a.tif"))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_counted(tmp_path: Path, bad: float) -> None:
    image = np.ones((8, 8), np.float32)
    image[2, 1:4] = bad
    tifffile.imwrite(tmp_path / "a.tif", image)
    with pytest.raises(ImageError, match=r"a\.tif: 3 of 64 pixels are NaN or infinite; plate P1 well B02") as caught:
        read_image(_ref(tmp_path / "a.tif"))
    assert caught.value.reason == "nan_pixels"
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - as Dask sends it back from a worker
    assert (str(copy), copy.reason) == (str(caught.value), "nan_pixels")


def _export(refs: list[ImageRef]) -> Export:
    return assemble(plate="P1", refs=refs, channels=("DNA", "Actin"))


def test_refs_are_in_plate_site_and_channel_order(tmp_path: Path) -> None:
    places = [("AA01", 1, "DNA"), ("B01", 2, "DNA"), ("B01", 1, "Actin"), ("B01", 1, "DNA"), ("A10", 1, "Actin")]
    export = _export([_ref(tmp_path / f"{number}.tif", *place) for number, place in enumerate(places)])
    found = [(ref.well, ref.site, ref.channel) for ref in export.refs]
    assert found == [("A10", 1, "Actin"), ("B01", 1, "DNA"), ("B01", 1, "Actin"), ("B01", 2, "DNA"), ("AA01", 1, "DNA")]
    assert export.sites() == [("A10", 1), ("B01", 1), ("B01", 2), ("AA01", 1)]
    assert export.wells() == ["A10", "B01", "AA01"]
    assert list(export.images("B01", 1)) == ["DNA", "Actin"]
    assert export.images("C01", 1) == {}


def test_the_order_of_listing_changes_nothing(tmp_path: Path) -> None:
    refs = [
        _ref(tmp_path / f"{n}.tif", well, site, channel)
        for n, (well, site, channel) in enumerate(
            (well, site, channel) for well in ("A01", "B02") for site in (1, 2) for channel in ("DNA", "Actin")
        )
    ]
    refs.append(_ref(tmp_path / "zz.tif", "A01", 1, "DNA"))
    assert _export(refs) == _export(refs[::-1])


def test_a_duplicate_is_a_problem_that_names_both_files(tmp_path: Path) -> None:
    export = _export([_ref(tmp_path / "b.tif"), _ref(tmp_path / "a.tif")])
    assert [ref.file.name for ref in export.refs] == ["a.tif"]
    (problem,) = export.problems
    assert (problem.reason, problem.well, problem.site) == ("duplicate_image", "B02", 3)
    assert problem.file is not None
    assert problem.file.endswith("b.tif")
    assert "a.tif" in problem.detail


def test_one_of_chooses_or_explains() -> None:
    assert one_of({4: 10}, None, "timepoint", "P") == 4
    assert one_of({1: 10, 2: 10}, 2, "plane", "P") == 2
    with pytest.raises(InputError, match=r"images of several timepoints \(1, 2\); choose one with 'timepoint:'"):
        one_of({2: 1, 1: 1}, None, "timepoint", "P")
    with pytest.raises(InputError, match="no image of plane 3; there is plane 1, 2; change 'plane:'"):
        one_of({1: 1, 2: 1}, 3, "plane", "P")


@pytest.mark.parametrize("name", READERS.names())
def test_every_reader_has_a_strict_config_with_its_name(name: str) -> None:
    config = READERS.get(name).config
    assert issubclass(config, StrictModel)
    assert config.model_fields["name"].default == name
    assert config.model_fields["path"].is_required()


@pytest.mark.parametrize("name", READERS.names())
def test_every_reader_refuses_a_missing_folder(name: str, tmp_path: Path) -> None:
    options = {
        "filenames": {"plate": "P", "pattern": r"(?P<well>\w+)_(?P<site>\d)_(?P<channel>\w+)\.tif"},
    }.get(name, {})
    config = READERS.get(name).config.from_plain({"name": name, "path": str(tmp_path / "nowhere"), **options})
    with pytest.raises(InputError, match="nowhere"):
        READERS.get(name).build(config)
