"""The sentence a failure becomes, and what is opened at all."""

from __future__ import annotations

import os
import pickle
import struct
import zlib
from pathlib import Path

import pyarrow as pa
import pytest

from framework.errors import DatasetError, InputError
from framework.files import failures
from framework.files.failures import check_memory, check_regular, first_bytes, is_inside, reading


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (pa.ArrowInvalid("no magic\n bytes"), "no magic bytes"),
        (zlib.error("bad data"), "bad data"),
        (pickle.UnpicklingError("code"), "code"),
        (struct.error("8 bytes"), "8 bytes"),
        (KeyError("indptr"), "no entry 'indptr'"),
        (AttributeError("'Group' object has no attribute 'ndim'"), "a part of it is missing, or of another kind than"),
        (ValueError("invalid literal for int() with base 10: 'x'"), "a part of it is missing, or of another kind than"),
        (RecursionError("x"), "nested too deeply"),
        (MemoryError(), "more memory than there is"),
        (UnicodeDecodeError("utf-8", b"ab\xff", 2, 3, "invalid"), "not utf-8 text, byte 2 is 0xff"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (AssertionError(), "AssertionError"),
        (EOFError(), "it ends too early"),
        (ValueError("w" * 1000), "w" * 200 + "..."),
    ],
)
def test_whatever_a_library_raises_is_one_sentence_with_the_file(raised: Exception, said: str) -> None:
    with pytest.raises(InputError) as caught, reading("a/b.x", InputError, "a table", "make it again"):
        raise raised
    text = str(caught.value)
    assert text.startswith("a/b.x: ")
    assert said in text
    assert "a table" in text
    assert "make it again" in text
    assert "\n" not in text
    assert len(text) < 400


def test_our_errors_pass_as_they_are() -> None:
    mine = DatasetError("mine")
    with pytest.raises(DatasetError) as caught, reading("f", InputError):
        raise mine
    assert caught.value is mine


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert check_regular(tmp_path / "f") == 3
    os.mkfifo(tmp_path / "pipe")
    for place, said in ((tmp_path / "pipe", "a pipe"), ("/dev/zero", "device"), (tmp_path, "a folder")):
        with pytest.raises(InputError, match=said):
            check_regular(place, InputError)
    with pytest.raises(InputError, match="no such file; expected a list"):
        check_regular(tmp_path / "none", InputError, "a list")
    with pytest.raises(InputError, match="null"):
        check_regular("a\0b", InputError)


def test_more_than_the_memory_of_the_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "memory_bytes", lambda: 1000)
    check_memory("f", 1000)
    with pytest.raises(DatasetError, match="f: declares to hold"):
        check_memory("f", 1001)


def test_a_link_is_inside_where_it_leads_and_one_in_rounds_where_it_is(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "out.txt").touch()
    (inner / "in.txt").touch()
    for name, target in (("a", "in.txt"), ("b", "../out.txt"), ("round", "round"), ("up", "..")):
        (inner / name).symlink_to(target)
    names = ("in.txt", "a", "b", "round", "up", "up/inner/in.txt", "../out.txt", "/etc/hostname", "nowhere")
    assert [is_inside(inner / name, inner) for name in names] == [
        True, True, False, True, False, True, False, False, True,
    ]  # fmt: skip


def test_first_bytes_are_those_of_a_regular_file_and_else_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abcdef")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "round").symlink_to("round")
    assert first_bytes(tmp_path / "a", 4) == b"abcd"
    for name in ("pipe", "round", ".", "nowhere"):
        assert first_bytes(tmp_path / name, 4) == b""
    assert first_bytes("/proc/self/mem", 4) == b""
