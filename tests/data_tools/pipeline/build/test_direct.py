from __future__ import annotations

import errno
import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data_tools.pipeline.build import shard_file
from data_tools.pipeline.build.shard_file import DirectWriter

SIZES = (10, 990, 4096, 0, 3, 20_000, 8192, 1, 999)
"""Around buffers of 8,192 bytes: parts of one, whole ones, more than two, and an odd end."""


@pytest.fixture(autouse=True)
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_file, "_BUFFER_BYTES", 8192)


def pieces() -> list[bytes]:
    rng = np.random.default_rng(0)
    return [rng.bytes(size) for size in SIZES]


def written(file: Path) -> bytes:
    with file.open("wb") as stream:
        with DirectWriter(stream) as out:
            assert [out.write(memoryview(piece)) for piece in pieces()] == list(SIZES)
        os.fsync(stream.fileno())
    return file.read_bytes()


def test_the_file_holds_what_was_written_in_order(tmp_path: Path) -> None:
    assert written(tmp_path / "shard") == b"".join(pieces())


@pytest.mark.parametrize("ends", [0, 1, 4096, 8192, 16_384, 16_385])
def test_any_length(tmp_path: Path, ends: int) -> None:
    content = np.random.default_rng(1).bytes(ends)
    with (tmp_path / "a").open("wb") as stream, DirectWriter(stream) as out:
        out.write(content)
    assert (tmp_path / "a").read_bytes() == content


def test_arrays_of_wider_items_are_taken_as_bytes(tmp_path: Path) -> None:
    tiles = np.arange(20_000, dtype=np.uint16).reshape(2, 100, 100)
    with (tmp_path / "a").open("wb") as stream, DirectWriter(stream) as out:
        assert out.write(tiles.data) == tiles.nbytes
    assert (tmp_path / "a").read_bytes() == tiles.tobytes()


def _patched(monkeypatch: pytest.MonkeyPatch, put: Callable[[int, memoryview, int], int]) -> None:
    monkeypatch.setattr(shard_file.os, "pwrite", put)


def test_a_file_system_without_direct_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so when asked, or only at the first write."""
    plain, asked = os.pwrite, shard_file._set_direct
    monkeypatch.setattr(shard_file, "_set_direct", lambda handle, wanted: False)
    assert written(tmp_path / "asked") == b"".join(pieces())
    now: dict[int, bool] = {}

    def switch(handle: int, wanted: bool) -> bool:
        now[handle] = wanted
        asked(handle, False)
        return wanted

    def put(handle: int, data: memoryview, offset: int) -> int:
        if now[handle]:
            raise OSError(errno.EINVAL, "Invalid argument")
        return plain(handle, data, offset)

    monkeypatch.setattr(shard_file, "_set_direct", switch)
    _patched(monkeypatch, put)
    assert written(tmp_path / "tried") == b"".join(pieces())
    assert list(now.values()) == [False]


def test_short_writes_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = os.pwrite
    _patched(monkeypatch, lambda handle, data, offset: plain(handle, data[: max(4096, len(data) // 2)], offset))
    assert written(tmp_path / "a") == b"".join(pieces())


def test_a_full_disk_is_told_before_the_block_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = threading.Event()

    def full(handle: int, data: memoryview, offset: int) -> int:
        known.wait(0.2)
        raise OSError(errno.ENOSPC, "No space left on device")

    _patched(monkeypatch, full)
    with pytest.raises(ZeroDivisionError):  # what went wrong first is what is told
        _write(tmp_path / "a", bytes(8192), ZeroDivisionError())
    known.set()
    with pytest.raises(OSError, match="No space left"):
        _write(tmp_path / "a", b"short")


@pytest.mark.parametrize("most", [1, 3, 100])
def test_buffers_are_as_many_as_the_disk_lags_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    plain, made, may_go = os.pwrite, [], threading.Event()

    def late(handle: int, data: memoryview, offset: int) -> int:
        may_go.wait(0.02)
        return plain(handle, data, offset)

    def counted(*arguments: int) -> mmap.mmap:
        made.append(mmap.mmap(*arguments))
        return made[-1]

    _patched(monkeypatch, late)
    monkeypatch.setattr(shard_file, "mmap", SimpleNamespace(mmap=counted))
    monkeypatch.setattr(shard_file, "_MOST_BUFFERS", most)
    whole = np.random.default_rng(0).bytes(20 * 8192)
    _write(tmp_path / "a", whole)
    assert (tmp_path / "a").read_bytes() == whole
    assert len(made) == min(most, 21)


def _write(file: Path, data: bytes, error: Exception | None = None) -> None:
    with file.open("wb") as stream, DirectWriter(stream) as out:
        out.write(data)
        if error is not None:
            raise error
