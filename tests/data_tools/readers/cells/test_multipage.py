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
    with pytest.raises(ValidationError, match="names 'A' twice; name each once"):
        reader(tmp_path, channels=["A", "A"])
    with pytest.raises(ValidationError, match=r"lacks the group\(s\) \(\?P<cell>"):
        reader(tmp_path, pattern=".*")


ORDERED = (
    '<OME><Image><Pixels DimensionOrder="XYCZT" SizeC="3" SizeZ="1" SizeT="1">{channels}<TiffData IFD="0" FirstC="2"/>'
    '<TiffData IFD="1" FirstC="0"/><TiffData IFD="2" FirstC="1"/></Pixels></Image></OME>'
)


def details(folder: Path, **options: object) -> list[str]:
    mine = reader(folder, **options)
    return [
        item.detail.removeprefix(f"{folder}/") if isinstance(item, CellProblem) else "read"
        for item in mine.read(mine.survey(("A", "C")).places, ("A", "C"))
    ]


def named(*names: str) -> dict[str, object]:
    return {"axes": "CYX", "Channel": {"Name": list(names)}}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"imagej": True, "metadata": {"axes": "ZYX"}}, "3 z slices, as its ImageJ description states"),
        ({"ome": True, "metadata": {"axes": "TYX"}}, "3 time points, as its OME-XML states"),
        ({"metadata": {"axes": "ZYX"}}, "3 z slices, as the description that tifffile wrote states"),
    ],
)
def test_pages_that_are_no_channels_are_problems_of_their_cell(
    tmp_path: Path, options: dict[str, object], found: str
) -> None:
    tifffile.imwrite(tmp_path / "x-1.tif", PAGES, photometric="minisblack")
    tifffile.imwrite(tmp_path / "x-2.tif", PAGES, photometric="minisblack", **options)
    first, second = details(tmp_path)
    assert first == "read"
    assert second == (
        f"x-2.tif: {found}, but 'channels' names 3 channel(s); save one plane of each channel as a page, or write "
        "'pages: channels' if the pages are the channels all the same, in the order of the file"
    )
    mine = reader(tmp_path, pages="channels")
    for item in mine.read(mine.survey(("C", "A")).places, ("C", "A")):
        assert isinstance(item, CellImage)
        np.testing.assert_array_equal(np.stack(list(item.pixels)), PAGES[[2, 0]])


def test_samples_that_are_slices_are_problems_too(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x-1.tif", PAGES, photometric="rgb", planarconfig="separate", metadata={"axes": "ZYX"})
    assert "3 z slices, as the description that tifffile wrote states" in details(tmp_path)[0]
    assert details(tmp_path, pages="channels") == ["read"]


def test_pages_are_put_in_the_order_of_the_stated_channels(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "x-1.tif", PAGES, photometric="minisblack", metadata=None, description=ORDERED.format(channels="")
    )
    listing = reader(tmp_path).survey(("A", "C"))
    assert listing.notes == (
        f"{tmp_path}/x-1.tif: its OME-XML states another order of its pages, which is followed: channel 1 is page 2, "
        "channel 2 is page 3, channel 3 is page 1",
    )
    for pages, wanted in (("as_stated", PAGES[[1, 0]]), ("channels", PAGES[[0, 2]])):
        mine = reader(tmp_path, pages=pages)
        (item,) = mine.read(mine.survey(("A", "C")).places, ("A", "C"))
        assert isinstance(item, CellImage)
        np.testing.assert_array_equal(np.stack(list(item.pixels)), wanted)


def test_names_are_compared_with_those_of_the_config(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x-1.tif", PAGES, ome=True, metadata=named("DAPI", "GFP", "C"))
    assert reader(tmp_path).survey(("A",)).notes == (
        f"{tmp_path}/x-1.tif: its OME-XML has other names for the channels: A is 'DAPI', B is 'GFP'",
    )
    assert details(tmp_path) == ["read"]
    tifffile.imwrite(tmp_path / "x-2.tif", PAGES, ome=True, metadata=named("GFP", "DAPI", "C"))
    tifffile.imwrite(tmp_path / "x-3.tif", PAGES, ome=True, metadata=named("b", "a", "c"))
    tifffile.imwrite(tmp_path / "x-4.tif", PAGES, photometric="minisblack", metadata=None)
    _, second, third, fourth = details(tmp_path)
    assert "its OME-XML names its channels GFP, DAPI, C, but the first file of the export has DAPI, GFP, C" in second
    assert "its OME-XML names its channels b, a, c, but 'channels' has the order A, B, C" in third
    assert fourth == "read"
    assert details(tmp_path, pages="channels") == ["read"] * 4


def test_labels_of_imagej_may_differ_from_file_to_file(tmp_path: Path) -> None:
    for cell in (1, 2):
        labels = [f"cell {cell} {name}" for name in ("red", "green", "blue")]
        tifffile.imwrite(tmp_path / f"x-{cell}.tif", PAGES, imagej=True, metadata={"axes": "CYX", "Labels": labels})
    assert details(tmp_path) == ["read", "read"]
    tifffile.imwrite(tmp_path / "x-2.tif", PAGES, imagej=True, metadata={"axes": "CYX", "Labels": ["C", "A", "B"]})
    assert "names its channels C, A, B, but 'channels' has the order A, B, C" in details(tmp_path)[1]


def test_transparency_is_no_channel(tmp_path: Path) -> None:
    four = np.arange(80, dtype=np.uint8).reshape(4, 5, 4)
    for cell, kind in ((1, "unassalpha"), (2, "unspecified")):
        tifffile.imwrite(tmp_path / f"x-{cell}.tif", four, photometric="rgb", extrasamples=[kind])
    first, second = details(tmp_path, channels=["A", "B", "C", "D"])
    assert first.startswith("x-1.tif: 3 samples per pixel (beside 1 of transparency), and 'channels' names 4; correct")
    assert second == "read"
    assert details(tmp_path, channels=["A", "B", "C", "D"], pages="channels") == ["read", "read"]
    first, second = details(tmp_path)
    assert first == "read"
    assert second == "x-2.tif: 4 samples per pixel, and 'channels' names 3; export it again"


def test_a_statement_that_cannot_be_believed_is_a_problem_with_a_way_out(tmp_path: Path) -> None:
    text = "ImageJ=1.53t\nimages=6\nslices=6\n"
    tifffile.imwrite(tmp_path / "x-1.tif", PAGES, photometric="minisblack", description=text, metadata=None)
    assert details(tmp_path) == [
        "x-1.tif: its ImageJ description states 6 z slices, and the file has 3 pages; write 'pages: channels' if the "
        "pages are the channels all the same, in the order of the file"
    ]
    assert details(tmp_path, pages="channels") == ["read"]


def test_pages_of_several_samples_are_a_problem(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "x-1.tif") as writer:
        for _ in range(3):
            writer.write(np.zeros((4, 5, 3), np.uint8), photometric="rgb", contiguous=False, metadata=None)
    assert details(tmp_path) == ["x-1.tif: 3 pages of 3 samples per pixel; save each channel as a page of one sample"]
