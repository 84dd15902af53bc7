"""One rule for what lies below a folder: links, circles, hidden files, and what is said of each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data_tools.readers.folder import images_below
from framework.errors import InputError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"12")


def names(root: Path) -> list[str]:
    return images_below(root, "data").names


def test_links_are_followed_like_real_folders(tmp_path: Path) -> None:
    touch(tmp_path, "plate/a.tif", "store/f02/b.TIFF", "store/one.tif")
    (tmp_path / "plate/field2").symlink_to(tmp_path / "store/f02")
    (tmp_path / "plate/c.tif").symlink_to(tmp_path / "store/one.tif")
    listing = images_below(tmp_path / "plate", "data")
    assert listing.names == ["a.tif", "c.tif", "field2/b.TIFF"]
    assert listing.facts[:, 0].tolist() == [2, 2, 2]
    assert listing.notes == ()


def test_circles_end_and_no_folder_is_read_twice(tmp_path: Path) -> None:
    touch(tmp_path, "run_3/a.tif", "b.tif")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "run_3/up").symlink_to("..")
    (tmp_path / "aaa_latest").symlink_to("run_3")
    listing = images_below(tmp_path, "data")
    assert listing.names == ["b.tif", "run_3/a.tif"], "the real folder comes first, whatever its name"
    (note,) = listing.notes
    assert "3 links lead to folders that are read already, as aaa_latest/; they are not read again" in note


def test_a_link_that_leads_nowhere_stays_in_the_list(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif")
    (tmp_path / "lost.tif").symlink_to(tmp_path / "gone.tif")
    listing = images_below(tmp_path, "data")
    assert listing.names == ["a.tif", "lost.tif"]
    assert listing.facts[1].tolist() == [-1, 0]


def test_files_of_other_systems_are_no_images(tmp_path: Path) -> None:
    hidden = ["._a.tif", ".tif", "@eaDir/a.tif", "__MACOSX/x/a.tif", ".cache/a.tif", "a_w1_thumbD5F8.tif"]
    touch(tmp_path, "a.tif", ".DS_Store", "Thumbs.db", *hidden)
    listing = images_below(tmp_path, "data")
    assert listing.names == ["a.tif"]
    assert "6 hidden files, thumbnails or folders of other systems" in listing.notes[0]


def test_what_is_there_instead_of_images_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="data: no such folder of images"):
        names(tmp_path / "none")
    touch(tmp_path, "x/file")
    with pytest.raises(InputError, match="data: this is a file, expected a folder"):
        names(tmp_path / "x/file")
    with pytest.raises(InputError, match="it holds 1 other files, as x/file"):
        names(tmp_path)
    (tmp_path / "x/file").unlink()
    with pytest.raises(InputError, match="it is empty"):
        names(tmp_path)
    touch(tmp_path, "._x.tif")
    with pytest.raises(InputError, match=r"only hidden files or thumbnails, as \._x\.tif"):
        names(tmp_path)


def test_a_name_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.tif")).touch()
    with pytest.raises(InputError, match=r"udcff.* is not UTF-8; rename the file"):
        names(tmp_path)


def test_images_of_other_formats_are_not_passed_over_in_silence(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif", "b.PNG", "c.tif.part", "d.tiff.gz", "e.tif.txt", "Index.xml", "._f.png")
    listing = images_below(tmp_path, "data")
    assert listing.names == ["a.tif"]
    assert listing.notes == (
        "data: 3 images of other formats, packed, or still being copied are not read, as b.PNG; those read end in "
        ".tif, .tiff",
    )
    assert images_below(tmp_path, "data", (".tif", ".png")).names == ["a.tif", "b.PNG"]
    (tmp_path / "a.tif").unlink()
    with pytest.raises(InputError, match=r"its 3 images, as b\.PNG, are of another format; save them as TIFF"):
        images_below(tmp_path, "data")


def test_a_link_to_itself_is_an_image_that_is_not_there(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif")
    (tmp_path / "circle.tif").symlink_to("circle.tif")
    listing = images_below(tmp_path, "data")
    assert listing.names == ["a.tif", "circle.tif"]
    assert listing.facts[1].tolist() == [-1, 0]
