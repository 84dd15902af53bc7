"""Files replaced in one step."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from fixtures.full_disk import content

from framework.durable import (
    check_can_be_file,
    check_can_be_folder,
    folder_beside,
    is_temporary,
    naming,
    open_in_place,
    replacing,
    replacing_files,
    sole_writer,
    temporary_name,
    write_arrays,
    write_json,
    write_text,
    write_with,
)
from framework.errors import RunError, sentence_of


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "latest", "one\n")
    write_text(tmp_path / "latest", "two\n")
    assert (tmp_path / "latest").read_text() == "two\n"
    assert [p.name for p in tmp_path.iterdir()] == ["latest"]


def test_an_error_inside_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_json(file, {"b": 1, "a": 2})
    with pytest.raises(TypeError), replacing(file) as stream:
        stream.write("half")  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        write_with(file, lambda path: path.write_bytes(b"half") / 0)  # type: ignore[operator]
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert file.read_text() == '{\n "a": 2,\n "b": 1\n}\n'
    with replacing(file) as stream:
        stream.write(b"new")
        beside = next(p.name for p in tmp_path.iterdir() if p != file)
        assert is_temporary(beside, of="a.json")
        assert not is_temporary(beside, of="b.json")
        assert file.read_bytes()[:1] == b"{", "the old file stays until the new one is whole"
    assert file.read_bytes() == b"new"
    assert temporary_name(file) != temporary_name(file)


def test_a_folder_or_a_file_has_one_writer(tmp_path: Path) -> None:
    asked: list[str] = []

    def refused(owner: str) -> ValueError:
        asked.append(owner)
        return ValueError("held")

    for place, is_folder in ((tmp_path, True), (tmp_path / "lock", False)):

        def held(place: Path = place, is_folder: bool = is_folder) -> AbstractContextManager[None]:
            return sole_writer(place, refused, is_folder=is_folder)

        with held(), pytest.raises(ValueError, match="held"), held():
            pass
        with held():
            pass
    assert asked == ["", f"process {os.getpid()} on {socket.gethostname()}"]


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "state.json", {"b": 1, "a": "µ"})
    with pytest.raises(TypeError):
        write_json(tmp_path / "state.json", {"a": object()})
    assert json.loads((tmp_path / "state.json").read_text()) == {"a": "µ", "b": 1}


def test_arrays_come_back_under_the_name_that_was_given(tmp_path: Path) -> None:
    file = tmp_path / "panels"  # NumPy by itself would make it panels.npz
    write_arrays(file, {"tile": np.arange(3), "names": np.array(["a", "b"])})
    with np.load(file, allow_pickle=False) as found:
        assert found["tile"].tolist() == [0, 1, 2]
        assert found["names"].tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="allow_pickle"):
        write_arrays(file, {"objects": np.array([{}], dtype=object)})
    assert [p.name for p in tmp_path.iterdir()] == ["panels"]


def test_a_library_that_fails_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "cells.bin"
    write_with(file, lambda path: path.write_bytes(b"old"))

    def fail(path: Path) -> None:
        path.write_bytes(b"ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_with(file, fail)
    assert file.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["cells.bin"]


def test_an_error_of_writing_names_the_file_and_not_the_one_beside_it(tmp_path: Path) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "in the words of a library")

    with pytest.raises(OSError, match="No space left on device") as found:
        write_with(tmp_path / "x.bin", full)
    assert sentence_of(found.value) == (
        f"{tmp_path}/x.bin: no space left on device; make room, then run the same command again"
    )
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as found:
        write_text(tmp_path / "folder", "text")
    assert sentence_of(found.value) == f"{tmp_path}/folder: is a directory; a file is needed there; name another place"
    other = OSError(errno.ENOENT, "no such file", "elsewhere")
    with pytest.raises(FileNotFoundError, match="elsewhere"), naming(tmp_path):
        raise other


def test_a_folder_that_cannot_be_made_is_refused_before_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in ("file", "file/a/b"):
        with pytest.raises(NotADirectoryError) as caught:
            check_can_be_folder(tmp_path / place)
        assert caught.value.filename == str(tmp_path / "file")
    check_can_be_folder(tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()


def test_a_file_that_cannot_be_written_is_refused_before_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        check_can_be_file(tmp_path / "folder")
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError):
        check_can_be_file(tmp_path / "file" / "x.h5ad")
    check_can_be_file(tmp_path / "new" / "x.h5ad")
    facts = os.statvfs(tmp_path)
    read_only = os.statvfs_result((*facts[:8], facts.f_flag | os.ST_RDONLY, *facts[9:]))
    monkeypatch.setattr(os, "statvfs", lambda _: read_only)
    with pytest.raises(OSError, match="Read-only file system") as found:
        check_can_be_file(tmp_path / "new" / "x.h5ad")
    assert found.value.filename == str(tmp_path)


def link(place: Path) -> None:
    place.with_name("precious").write_text("precious")
    place.symlink_to("precious")


@pytest.mark.parametrize(
    ("put", "sentence"),
    [
        (link, "a symbolic link, which is not written through; a file is needed there; remove it, or name another"),
        (os.mkfifo, "a pipe, socket or device; a file is needed there; remove it"),
        (os.mkdir, "is a directory; a file is needed there; name another place"),
    ],
)
def test_a_lock_is_a_file_of_its_own(tmp_path: Path, put: Callable[[Path], None], sentence: str) -> None:
    """A lock that a link leads elsewhere would write who holds it into somebody's file."""
    place = tmp_path / ".lock"
    put(place)
    with pytest.raises(OSError, match=r"\.lock") as found, sole_writer(place, ValueError):
        pass
    assert sentence_of(found.value).startswith(f"{place}: {sentence}")
    assert all(file.read_text() == "precious" for file in tmp_path.glob("precious"))


def test_a_file_written_in_place_is_made_and_kept(tmp_path: Path) -> None:
    for _ in range(2):
        handle = open_in_place(tmp_path / "log", os.O_RDWR | os.O_APPEND)
        os.write(handle, b"line")
        os.close(handle)
    assert (tmp_path / "log").read_bytes() == b"lineline"


def test_an_error_of_a_library_becomes_one_of_the_system_with_the_name_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OSError, match="of its own words") as found, naming(tmp_path / "w.pt", RuntimeError):
        raise RuntimeError("of its\n own words")
    assert (found.value.errno, found.value.filename) == (errno.EIO, str(tmp_path / "w.pt"))
    monkeypatch.setattr("framework.durable._is_full", lambda _: True)
    with pytest.raises(OSError, match="No space left on device"), naming(tmp_path / "w.pt", RuntimeError):
        raise RuntimeError("file write failed")
    with pytest.raises(ValueError, match="other"), naming(tmp_path / "w.pt", RuntimeError):
        raise ValueError("other")


def test_an_error_of_a_library_in_rust_keeps_the_number_of_the_system(tmp_path: Path) -> None:
    """The library has removed its part of a file by then, so the disk is no longer full."""
    with pytest.raises(OSError, match="No space left") as caught, naming(tmp_path / "w.st", ValueError):
        raise ValueError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert caught.value.errno == errno.ENOSPC
    assert sentence_of(caught.value).startswith(f"{tmp_path / 'w.st'}: no space left on device; make room")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (lambda beside: OSError(errno.ENOSPC, "", str(beside / "a.txt")), "run/a.txt: no space left"),
        (lambda beside: OSError(errno.ENOSPC, ""), "run: no space left"),
        (lambda beside: RunError(f"{beside}/checkpoints: the disk is full"), "run/checkpoints: the disk is full"),
    ],
)
def test_errors_of_a_folder_that_is_made_beside_its_place_name_the_place(
    tmp_path: Path, error: Callable[[Path], Exception], told: str
) -> None:
    def make() -> None:
        with folder_beside(tmp_path / "run") as beside:
            beside.mkdir()
            (beside / "a.txt").write_text("a")
            raise error(beside)

    with pytest.raises((OSError, RunError)) as caught:
        make()
    assert sentence_of(caught.value).startswith(f"{tmp_path}/{told}")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_took_its_place_stays(tmp_path: Path) -> None:
    with folder_beside(tmp_path / "run") as beside:
        beside.mkdir()
        beside.rename(tmp_path / "run")
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_files_of_a_folder_are_replaced_together(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    seen: list[set[str]] = []

    def write(text: str, names: tuple[str, ...], fault: Exception | None = None) -> None:
        with replacing_files(folder, "last.json") as beside:
            for name in names:
                write_text(beside / name, text)
            if folder.exists():
                seen.append({entry.name for entry in folder.iterdir() if not entry.name.startswith(".")})
            if fault is not None:
                raise fault

    with pytest.raises(OSError, match="No space") as caught:
        write("x", ("a.txt",), OSError(errno.ENOSPC, "No space left on device"))
    assert caught.value.filename == str(folder)
    assert not folder.exists(), "a folder that was made for nothing stays"
    write("old", ("a.txt", "b.txt", "last.json"))
    (folder / "mine.txt").write_text("mine")
    before = content(folder)
    with pytest.raises(RunError, match="interrupted"):
        write("new", ("a.txt", "last.json"), RunError("interrupted"))
    with pytest.raises(OSError, match="No space") as caught:
        write("new", ("a.txt",), OSError(errno.ENOSPC, "No space left on device", str(folder / "a.txt")))
    assert content(folder) == before
    write("new", ("a.txt", "last.json"))
    assert content(folder) == {"a.txt": b"new", "b.txt": b"old", "last.json": b"new", "mine.txt": b"mine"}
    assert seen[-1] == {"a.txt", "b.txt", "last.json", "mine.txt"}, "old files leave before the new ones are whole"


def test_what_speaks_for_the_others_is_not_there_while_they_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "last.json", "old")
    moved: list[tuple[str, bool]] = []
    whole = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if Path(target).parent == tmp_path:
            moved.append((Path(target).name, (tmp_path / "last.json").exists()))
        return whole(self, target)

    with replacing_files(tmp_path, "last.json") as beside:
        for name in ("z.txt", "last.json", "a.txt"):
            (beside / name).write_text("new")
        monkeypatch.setattr(Path, "replace", replace)
    assert moved == [("a.txt", False), ("z.txt", False), ("last.json", False)]


@pytest.mark.parametrize("place", [".", "/"])
def test_a_place_without_a_name_is_refused(place: str) -> None:
    with pytest.raises(IsADirectoryError) as caught:
        write_text(Path(place), "text")
    assert caught.value.filename == place
    with pytest.raises(OSError, match="expected the name of a folder to make") as told, folder_beside(Path(place)):
        pass
    assert told.value.filename == place
