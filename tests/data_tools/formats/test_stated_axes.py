"""What a TIFF states of its pages: as ImageJ, tifffile and OME-XML write it, and damaged."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from fixtures.handmade_tiff import page_tags, write_tiff

from data_tools.formats.image_axes import AxesError, StatedAxes
from data_tools.formats.stated_axes import decode_colours, stated_axes
from data_tools.formats.tiff import Tiff

PAGE = np.arange(20, dtype=np.uint16).reshape(4, 5)
OME = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{uuid}>{images}</OME>'


def described(folder: Path, *texts: str, pages: int = 3, name: str = "a.tif", thumbnail: int = -1) -> StatedAxes | None:
    """What a file states whose first pages have descriptions; the page ``thumbnail`` is one of reduced resolution."""
    tags: list[Any] = [page_tags(PAGE, **({"t254": 1} if page == thumbnail else {})) for page in range(pages)]
    for page, text in enumerate(texts):
        tags[page][270] = (2, text.encode() + b"\0")
    (folder / name).write_bytes(write_tiff([(mine, [PAGE.tobytes()]) for mine in tags]))
    return stated_axes(Tiff(folder / name))


def image(tiff_data: str, order: str = "XYCZT", c: int = 3, z: int = 1, t: int = 1, names: Sequence[str] = ()) -> str:
    channels = "".join(f'<Channel Name="{name}"/>' for name in names)
    return (
        f'<Image><Pixels DimensionOrder="{order}" SizeC="{c}" SizeZ="{z}" SizeT="{t}">{channels}{tiff_data}'
        "</Pixels></Image>"
    )


def ome(*images: str, uuid: str = "") -> str:
    return OME.format(images="".join(images), uuid=f' UUID="{uuid}"' if uuid else "")


def entry(page: int, **first: int) -> str:
    facts = "".join(f' First{axis.upper()}="{value}"' for axis, value in first.items())
    return f'<TiffData IFD="{page}"{facts}/>'


def of(stated: StatedAxes | None) -> StatedAxes:
    assert stated is not None
    return stated


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"imagej": True, "metadata": {"axes": "ZYX"}}, {"z slices": 3}),
        ({"imagej": True, "metadata": {"axes": "TYX"}}, {"time points": 3}),
        ({"imagej": True, "metadata": {"axes": "CYX"}}, {"channels": 3}),
        ({"imagej": True}, {"channels": 3}),
        ({"ome": True, "metadata": {"axes": "ZYX"}}, {"z slices": 3}),
        ({"ome": True, "metadata": {"axes": "TYX"}}, {"time points": 3}),
        ({"ome": True, "metadata": {"axes": "CYX"}}, {"channels": 3}),
        ({"metadata": {"axes": "ZYX"}}, {"z slices": 3}),
        ({"metadata": {"axes": "TYX"}}, {"time points": 3}),
        ({"metadata": {"axes": "AYX"}}, {"planes along the axis 'angle'": 3}),
        ({"metadata": {"axes": "CYX"}}, {"channels": 3}),
        ({"metadata": {"axes": "QYX"}}, {"channels": 3}),
    ],
)
def test_what_tifffile_writes_is_read(tmp_path: Path, options: dict[str, Any], sizes: dict[str, int]) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.stack([PAGE] * 3), photometric="minisblack", **options)
    assert of(stated_axes(Tiff(file))).sizes == sizes


@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}, {}])
def test_channels_and_slices_together(tmp_path: Path, options: dict[str, Any]) -> None:
    file = tmp_path / "a.tif"
    stack = np.stack([PAGE] * 6).reshape(2, 3, 4, 5)
    tifffile.imwrite(file, stack, photometric="minisblack", metadata={"axes": "ZCYX"}, **options)
    stated = of(stated_axes(Tiff(file)))
    assert stated.sizes == {"channels": 3, "z slices": 2}
    assert stated.others == ("z slices",)
    assert stated.shown == "3 channels x 2 z slices" or not options  # tifffile's shape has its own order


def test_plain_files_state_nothing(tmp_path: Path) -> None:
    assert described(tmp_path) is None
    assert described(tmp_path, "<MetaData><prop id='x'/></MetaData>") is None
    assert described(tmp_path, "a camera") is None
    file = tmp_path / "b.tif"
    tifffile.imwrite(file, np.stack([PAGE] * 3), photometric="minisblack")  # a shape without axes
    assert stated_axes(Tiff(file)) is None
    with tifffile.TiffWriter(file) as writer:
        for _ in range(3):
            writer.write(PAGE, contiguous=False, metadata={"axes": "YX"})
    assert of(stated_axes(Tiff(file))).sizes == {}


def test_names_are_read(tmp_path: Path) -> None:
    file, stack = tmp_path / "a.tif", np.stack([PAGE] * 3)
    names = {"axes": "CYX", "Channel": {"Name": ["Nuc", "Pro", "Mem"]}}
    for options in ({"ome": True}, {}):
        tifffile.imwrite(file, stack, photometric="minisblack", metadata=names, **options)
        assert of(stated_axes(Tiff(file))).names == ("Nuc", "Pro", "Mem")
    for byteorder in "<>":
        labels = {"axes": "CYX", "Labels": ["Nuc", "c:2/3 - Pro\u00e9", "Mem"], "Info": "x" * 50}
        tifffile.imwrite(file, stack, imagej=True, byteorder=byteorder, metadata=labels)
        stated = of(stated_axes(Tiff(file)))
        assert stated.names == ("Nuc", "Pro\u00e9", "Mem")
        assert stated.are_labels
    tifffile.imwrite(file, stack, imagej=True, metadata={"axes": "CYX", "Labels": ["c:1/3 - x", "c:2/3 - x", "x"]})
    assert of(stated_axes(Tiff(file))).names == ()


def test_tiff_data_says_which_channel_a_page_is(tmp_path: Path) -> None:
    stated = of(described(tmp_path, ome(image(entry(0, c=2) + entry(1, c=0) + entry(2, c=1), names=("A", "B", "C")))))
    assert (stated.sizes, stated.order, stated.names) == ({"channels": 3}, (1, 2, 0), ("A", "B", "C"))
    assert of(described(tmp_path, ome(image('<TiffData FirstC="0" IFD="0" PlaneCount="3"/>')))).order == ()
    assert of(described(tmp_path, ome(image("")))).sizes == {"channels": 3}
    with_z = ome(image('<TiffData IFD="0" PlaneCount="6"/>', order="XYZCT", z=2))
    assert of(described(tmp_path, with_z, pages=6)).sizes == {"channels": 3, "z slices": 2}
    second = ome(image(entry(0, c=0, z=1) + entry(1, c=2, z=1) + entry(2, c=1, z=1), z=2))
    assert of(described(tmp_path, second)).order == (0, 2, 1)
    behind = ome(image(entry(1, c=1) + entry(2, c=0), c=2))
    assert of(described(tmp_path, behind, thumbnail=0)).order == (1, 0)


def test_images_of_their_own_and_other_axes_are_no_channels(tmp_path: Path) -> None:
    three = ome(*(image(entry(page), c=1) for page in range(3)))
    assert of(described(tmp_path, three)).sizes == {"images": 3}
    modulo = "<Modulo><ModuloAlongC Type='lifetime' Start='0' End='2'/></Modulo>"
    stated = of(described(tmp_path, ome(image(""), modulo)))
    assert "values of its axis 'lifetime' (ModuloAlongC)" in stated.others


def test_planes_of_sister_files_are_not_counted(tmp_path: Path) -> None:
    def there(page: int, c: int, file: str, uuid: str) -> str:
        return f'<TiffData IFD="{page}" FirstC="{c}"><UUID FileName="{file}">{uuid}</UUID></TiffData>'

    mine = [there(page, 2 - page, "a.tif", "urn:1") for page in range(3)]
    sister = [there(page, 3 + page, "b.tif", "urn:2") for page in range(3)]
    text = ome(image("".join([*mine, *sister]), c=6, names="ABCDEF"), uuid="urn:1")
    for name in ("a.tif", "renamed.tif"):
        stated = of(described(tmp_path, text, name=name))
        assert (stated.sizes, stated.order, stated.names) == ({"channels": 3}, (2, 1, 0), ("A", "B", "C"))
    assert of(described(tmp_path, ome(image("".join(mine)), uuid=""), name="renamed.tif")).order == (2, 1, 0)
    with pytest.raises(AxesError, match="names another file by its name than by its UUID"):
        described(tmp_path, text, name="b.tif")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("ImageJ=1.53t\nimages=6\nslices=6\n", "its ImageJ description states 6 z slices, and the file has 3 pages"),
        ("ImageJ=1.53t\nimages=6\n", "states 6 images, and the file has 3 pages"),
        ("ImageJ=1.53t\nimages=3\nchannels=3\nslices=2\n", "states 3 channels x 2 z slices, and the file has 3 pages"),
        ("ImageJ=1.53t\nimages=3\nslices=-3\n", "states slices='-3', expected a whole number from 1 on"),
        (f"ImageJ=1.53t\nslices={'9' * 5000}\n", "states slices='9{20}', expected"),
        (json.dumps({"shape": [6, 4, 5], "axes": "ZYX"}), r"states the shape \(6, 4, 5\) for page 1, and the file has"),
        (json.dumps({"shape": [3, 4, 5], "axes": "ZYXS"}), "its axes and shape do not fit each other"),
        (json.dumps({"shape": [3, 4, 5.0], "axes": "ZYX"}), "its axes and shape do not fit each other"),
        (json.dumps({"shape": [3, 4, 5], "axes": "ZYX"})[:-2], "is damaged: it is not JSON"),
        ('{"shape": ' + "[" * 5000, "is damaged: it is not JSON"),
        (ome(image(""))[:-9], "its OME-XML is damaged"),
        ('<!DOCTYPE OME [<!ENTITY a "b">]><OME>&a;</OME>', "its OME-XML is damaged"),
        ("<OME><BinaryOnly MetadataFile='x.companion.ome' UUID='u'/></OME>", r"in another file \('x.companion.ome'\)"),
        (ome(image("", order="XYCZ")), "the order of dimensions 'XYCZ', expected one as XYCZT"),
        (ome(image("", c=0)), "states SizeC '0', expected a whole number from 1 to"),
        (ome(image("").replace('"3"', '"three"')), "states SizeC 'three', expected a whole number"),
        (ome(image("", c=4)), r"states 4 of 4 planes from page 1 on, and the file has 3 page\(s\)"),
        (ome(image('<TiffData IFD="2" PlaneCount="900000000"/>')), "states 900000000 of 3 planes from page 3 on"),
        (ome(image(entry(0) + entry(1, c=1))), "does not say what page 3 is"),
        (ome(image(entry(0) + entry(1, c=1) + entry(2, c=1))), "states the same plane for two pages"),
        (ome(image(entry(0) + entry(0, c=1))), "states two planes for page 1"),
        (ome(image(entry(0, c=3))), "states FirstC '3', expected a whole number from 0 to 2"),
    ],
)
def test_what_cannot_be_believed_is_one_sentence(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(AxesError, match=what) as caught:
        described(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'a.tif'}: ")
    assert "\n" not in str(caught.value)


def test_text_that_would_take_long_is_refused_at_once(tmp_path: Path) -> None:
    begun = time.process_time()
    with pytest.raises(AxesError, match="states two planes for page 1"):
        described(tmp_path, ome(image('<TiffData IFD="0" PlaneCount="3"/>' * 50_000)))
    with pytest.raises(AxesError, match="bytes of text, at most"):
        described(tmp_path, ome(image("", names=["x" * 5_000_000])))
    assert time.process_time() - begun < 5


def test_a_description_of_another_type_states_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(write_tiff([(page_tags(PAGE, t270=0), [PAGE.tobytes()])]))
    assert stated_axes(Tiff(tmp_path / "a.tif")) is None


def test_colours_come_without_transparency_and_never_as_other_planes(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    colours = np.random.default_rng(0).integers(0, 255, (4, 5, 4)).astype(np.uint8)
    tifffile.imwrite(file, colours, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(decode_colours(file), colours[:, :, :3])
    tifffile.imwrite(file, colours, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(decode_colours(file), colours)
    tifffile.imwrite(file, colours[:, :, :2], photometric="minisblack", extrasamples=["assocalpha"], planarconfig=1)
    np.testing.assert_array_equal(decode_colours(file), colours[:, :, 0])
    tifffile.imwrite(file, PAGE)
    np.testing.assert_array_equal(decode_colours(file), PAGE)
    apart = np.moveaxis(colours[:, :, :3], -1, 0)
    tifffile.imwrite(file, apart, photometric="rgb", planarconfig="separate", metadata={"axes": "ZYX"})
    with pytest.raises(AxesError, match=r"3 samples per pixel, which are 3 z slices, as the description that tifffile"):
        decode_colours(file)
