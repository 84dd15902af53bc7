"""Only ordinary files are read: a pipe or a device would never end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data_tools.formats.plain_tiff import read_plain
from data_tools.readers.plates.base import ImageError, ImageRef, read_image
from framework.files.failures import NoOrdinaryFile, read_bytes


def ref(file: Path) -> ImageRef:
    return ImageRef(plate="P1", well="B02", site=3, channel="DNA", file=file)


def test_bytes_come_back(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert read_bytes(tmp_path / "a", 5) == b"12345"
    assert read_bytes(tmp_path / "b", 5) == b"12345"
    with pytest.raises(NoOrdinaryFile, match="5 bytes; an image of at most 4 bytes is read"):
        read_bytes(tmp_path / "a", 4)


def test_pipes_devices_and_folders_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "zero.tif").symlink_to("/dev/zero")
    (tmp_path / "folder.tif").mkdir()
    for name, kind in (("pipe", "pipe"), ("zero", "device"), ("folder", "folder")):
        file = tmp_path / f"{name}.tif"
        with pytest.raises(ImageError, match=f"{name}.tif: expected an ordinary file, found a {kind}; plate P1"):
            read_image(ref(file))
        assert read_plain(file) is None


def test_a_file_without_a_byte_and_a_link_to_nothing_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.tif").touch()
    (tmp_path / "lost.tif").symlink_to(tmp_path / "nowhere.tif")
    with pytest.raises(ImageError, match=r"empty\.tif: truncated or damaged TIFF .*the file has 0 bytes"):
        read_image(ref(tmp_path / "empty.tif"))
    with pytest.raises(ImageError, match=r"lost\.tif: no such file") as caught:
        read_image(ref(tmp_path / "lost.tif"))
    assert caught.value.reason == "missing_image"


def test_a_picture_that_is_called_a_tiff_is_named_as_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    with pytest.raises(ImageError, match=r"a\.tif: expected a TIFF, found a PNG image; plate P1") as caught:
        read_image(ref(file))
    assert caught.value.reason == "unsupported_image"
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ImageError, match="found a pointer of Git LFS, not the file itself"):
        read_image(ref(file))
    file.write_bytes(b"II*\0")
    with pytest.raises(ImageError, match=r"truncated or damaged TIFF .expected a TIFF header, found b'II"):
        read_image(ref(file))
