"""What a cache believes: nothing by its name and size alone, no link, nobody else's file."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import BinaryIO

import pytest
from fixtures.cached import NAMES, cache, fetch, kept, part_of, record
from fixtures.web import Nginx, needs_nginx

from framework.data.remote import stamps as cache_stamps
from framework.data.remote.cache import CacheConfig, held_in
from framework.data.remote.download import RemoteFolder
from framework.durable import content_checksum
from framework.errors import DatasetError

pytestmark = needs_nginx


def test_only_the_caches_own_files_are_counted_and_removed(content: Path, web: Nginx, tmp_path: Path) -> None:
    files = cache(tmp_path, limit_gb=0.0004)
    others = ["my-thesis.docx", "0.part", "f" * 63, "g" * 64, f"{'f' * 64}-12.part.txt", f"{'f' * 64}.txt"]
    for name in others:
        (files.files / name).write_bytes(bytes(500_000))
    (files.files / ("a" * 64)).symlink_to(files.files / others[0])
    (files.files / ("b" * 64)).mkdir()
    for name in NAMES:
        fetch(files, web.url, record(content, name))
    assert kept(files) == {*others, "a" * 64, "b" * 64, record(content, NAMES[3]).blake3}
    assert held_in(CacheConfig(folder=str(files.root))) == (1, 300_000)


def test_what_is_found_is_compared_with_its_checksum_and_not_its_size(
    content: Path, web: Nginx, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = record(content, "0.tar")
    path = cache(tmp_path).files / wanted.blake3
    path.write_bytes(bytes(wanted.bytes))
    assert fetch(cache(tmp_path), web.url, wanted) == (content / "0.tar").read_bytes()
    assert f"{path}: damaged here (its content changed)" in caplog.text
    assert cache(tmp_path).fetch(RemoteFolder(web.url), wanted)
    assert len(web.requests("0.tar")) == 1
    path.write_bytes(bytes(wanted.bytes))
    assert cache(tmp_path).fetch(RemoteFolder(web.url), wanted), "also what is fetched ahead"
    assert len(web.requests("0.tar")) == 2
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    with path.open("rb+") as file:
        file.write(data)
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert fetch(cache(tmp_path), web.url, wanted) == (content / "0.tar").read_bytes(), "a time that was set back"
    assert len(web.requests("0.tar")) == 3


def test_a_file_is_read_for_its_checksum_once_in_a_start_of_the_machine(
    content: Path, web: Nginx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, read = record(content, "0.tar"), []

    def counted(file: BinaryIO) -> str:
        read.append(file)
        return content_checksum(file)

    fetch(cache(tmp_path), web.url, wanted)
    monkeypatch.setattr(cache_stamps, "content_checksum", counted)
    for _ in range(3):
        fetch(cache(tmp_path), web.url, wanted)
    assert not read, "it was checked when it came"
    monkeypatch.setattr(cache_stamps, "_boot", lambda: "another start")
    for _ in range(3):
        fetch(cache(tmp_path), web.url, wanted)
    assert len(read) == 1
    monkeypatch.setattr(cache_stamps, "_boot", lambda: "")
    files = cache(tmp_path)
    for _ in range(3):
        fetch(files, web.url, wanted)
    assert len(read) == 2, "where the start has no name, once in a process"
    stamp = files.root / f"of-{os.geteuid()}" / "checked" / wanted.blake3
    monkeypatch.undo()
    monkeypatch.setattr(cache_stamps, "content_checksum", counted)
    stamp.unlink()
    stamp.symlink_to(tmp_path / "elsewhere")
    fetch(cache(tmp_path), web.url, wanted)
    assert (len(read), (tmp_path / "elsewhere").exists()) == (3, False)


@pytest.mark.parametrize("is_part", [False, True])
@pytest.mark.parametrize("kind", ["symbolic", "hard", "fifo", "socket"])
def test_links_are_neither_followed_nor_published(
    content: Path, web: Nginx, tmp_path: Path, kind: str, is_part: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, wanted = cache(tmp_path), record(content, "0.tar")
    target = tmp_path / "precious"
    target.write_bytes((content / "0.tar").read_bytes())
    path = files.files / (part_of(wanted) if is_part else wanted.blake3)
    if kind == "symbolic":
        path.symlink_to(target)
    elif kind == "hard":
        path.hardlink_to(target)
    elif kind == "socket":
        monkeypatch.chdir(path.parent)  # the whole path would be too long for a socket
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    else:
        os.mkfifo(path)
    assert fetch(files, web.url, wanted) == (content / "0.tar").read_bytes()
    assert len(web.requests("0.tar")) == 1, "it was fetched, not taken from there"
    assert target.read_bytes() == (content / "0.tar").read_bytes()
    assert target.stat().st_nlink == 1
    kept_file = files.files / wanted.blake3
    assert (kept_file.is_symlink(), kept_file.is_file(), kept_file.stat().st_nlink) == (False, True, 1)
    assert kept(files) == {wanted.blake3}


@pytest.mark.parametrize("is_part", [False, True])
def test_a_folder_in_place_of_a_file_is_named_and_stays(
    content: Path, web: Nginx, tmp_path: Path, is_part: bool
) -> None:
    files, wanted = cache(tmp_path), record(content, "0.tar")
    path = files.files / (part_of(wanted) if is_part else wanted.blake3)
    path.mkdir()
    (path / "my-thesis.docx").write_text("mine")
    with pytest.raises(DatasetError, match=f"{path}: a folder stands where a file of the cache should be; move it"):
        fetch(files, web.url, wanted)
    assert (path / "my-thesis.docx").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user_is_fetched_again_unless_shared(content: Path, web: Nginx, tmp_path: Path) -> None:
    wanted = record(content, "0.tar")
    for shared, requests in ((False, 2), (True, 1)):
        folder = tmp_path / str(shared)
        files = cache(folder, shared=shared)
        fetch(files, web.url, wanted)
        assert stat.S_IMODE((files.files / wanted.blake3).stat().st_mode) == (0o640 if shared else 0o600)
        os.chown(files.files / wanted.blake3, 1234, -1)
        before = len(web.requests("0.tar"))
        assert fetch(cache(folder, shared=shared), web.url, wanted) == (content / "0.tar").read_bytes()
        assert len(web.requests("0.tar")) - before == requests - 1
    files = cache(tmp_path / "True", shared=True)
    other = record(content, "1.tar")
    part = files.files / part_of(other)
    part.write_bytes((content / "1.tar").read_bytes()[:1000])
    os.chown(part, 1234, -1)
    fetch(files, web.url, other)
    assert web.requests("1.tar") == [(200, "-")], "the part of another user is not continued"
