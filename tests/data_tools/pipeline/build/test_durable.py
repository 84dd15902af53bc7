"""Files are whole or absent, and what the operating system refuses becomes a sentence."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from data_tools.pipeline import ingest
from data_tools.pipeline.build.folder import only_writer, record, write_array
from framework.errors import DatasetError


def test_record_is_name_size_and_checksum(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "f").write_bytes(b"abc")
    found = record(tmp_path / "x" / "f", tmp_path)
    assert (found.name, found.bytes) == ("x/f", 3)
    assert found.blake3 == "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.ENOSPC, "the disk is full (No space left on device); free space and run the same command again"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EROFS, "not writable (Read-only file system); change its permissions or choose another folder"),
        (errno.EACCES, "not writable (Permission denied)"),
        (errno.EIO, "writing failed: Input/output error"),
    ],
)
def test_what_the_system_refuses_is_explained(
    raw: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tree: Callable[[Path], Any],
    code: int,
    sentence: str,
) -> None:
    calls = 0
    out = tmp_path / "data"

    def refuse(source: Path, target: Path, original: Any = os.replace) -> None:
        nonlocal calls
        # Compiled loops are cached by the same call, elsewhere, when they are compiled first.
        calls += Path(target).is_relative_to(out)
        if calls == 12:
            raise OSError(code, os.strerror(code), str(target))
        original(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(DatasetError) as caught:
            ingest(raw.config(), out, workers=0)
    assert sentence in str(caught.value)
    assert not [name for name in tree(out) if ".partial" in name]
    assert ingest(raw.config(), out, workers=0).shards_reused > 0, "the same command continues"
    ingest(raw.config(), tmp_path / "other", workers=0)
    assert tree(out) == tree(tmp_path / "other")


@pytest.mark.parametrize("place", ["sums-", "flatfield_", "shard-"])
def test_a_disk_that_fills_under_a_long_file_is_explained(
    raw: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tree: Callable[[Path], Any], place: str
) -> None:
    """Shards are written by a thread, sums of flat-fields and the flat-fields as any file."""

    def check(name: str) -> None:
        if place in name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def full(handle: int, data: memoryview, offset: int, original: Any = os.pwrite) -> int:
        check(os.readlink(f"/proc/self/fd/{handle}"))
        return int(original(handle, data, offset))

    def full_array(stream: BinaryIO, array: Any, original: Any = write_array) -> None:
        original(stream, array[:1])
        check(stream.name)
        stream.seek(0)
        original(stream, array)

    out = tmp_path / "data"
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        patch.setattr("data_tools.pipeline.plates.shading.write_array", full_array)
        with pytest.raises(DatasetError, match="the disk is full"):
            ingest(raw.config(), out, workers=0)
    ingest(raw.config(), out, workers=0)
    ingest(raw.config(), tmp_path / "other", workers=0)
    assert tree(out) == tree(tmp_path / "other")


def test_an_array_is_npy_and_says_why_it_was_not_written(tmp_path: Path) -> None:
    for array in (np.arange(6, dtype=np.uint32).reshape(2, 3), np.arange(6.0).reshape(2, 3).T, np.zeros((0, 0))):
        with (tmp_path / "a.npy").open("wb") as stream:
            write_array(stream, array)
        read = np.load(tmp_path / "a.npy", allow_pickle=False)
        np.testing.assert_array_equal(read, array)
        assert read.dtype == array.dtype
    with pytest.raises(OSError, match=re.escape(os.strerror(errno.ENOSPC))), Path("/dev/full").open("wb") as stream:
        write_array(stream, np.zeros(10**6))


def test_a_folder_that_cannot_be_made_is_explained(raw: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="writing failed"):
        ingest(raw.config(), tmp_path / "file" / "data", workers=0)


def test_a_second_writer_is_refused_and_a_dead_one_forgotten(raw: Any, tmp_path: Path) -> None:
    holder = (
        "import sys, time; from pathlib import Path; from data_tools.pipeline.build.folder import only_writer\n"
        "with only_writer(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)\n"
    )
    root = Path(__file__).resolve().parents[4]
    process = subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(DatasetError, match="another ingest is writing here"), only_writer(tmp_path):
            pass
    finally:
        process.kill()
        process.communicate()
    with only_writer(tmp_path):
        pass
