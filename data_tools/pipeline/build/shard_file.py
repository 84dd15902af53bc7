"""The files of a shard: where they lie, whether they are there, and how the shard itself is written.

A shard is written once and read much later, mostly by another process. Through the system's cache each of its pages
would first be found, cleared and copied into, which takes longer than the disk does, and would drive out what is still
needed. So it goes to the disk past the cache, while the next bytes are being made.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from data_tools.pipeline.build.facts import ShardFacts, StoredShard, read_marker
from data_tools.pipeline.build.folder import explained, is_whole, record, writing
from data_tools.shards import DATA_KEY, ShardsConfig, ShardWriter, ZarrShardWriter
from framework.data.format.schema import FileRecord, ShardRecord
from framework.durable import replacing, sync_folder, write_json

Writer = ShardWriter | ZarrShardWriter


@dataclass(frozen=True, kw_only=True)
class ShardFiles:
    """Where a shard and its parts lie.

    Attributes:
        index: number of the shard.
        root: dataset folder, absolute.
        parts: where parts and markers go.
        shards: how it is packed.
    """

    index: int
    root: Path
    parts: Path
    shards: ShardsConfig

    @property
    def file(self) -> Path:
        """The shard."""
        name = f"shard-{self.index:06d}"
        if self.shards.layout == "zarr":
            return self.root / "shards" / f"{name}.zarr" / DATA_KEY
        return self.root / "shards" / f"{name}.tar"

    @property
    def metadata_file(self) -> Path | None:
        """What a stock reader needs beside the shard: ``zarr.json``."""
        if self.shards.layout == "zarr":
            return self.root / "shards" / f"shard-{self.index:06d}.zarr" / "zarr.json"
        return None

    @property
    def marker(self) -> Path:
        """The file that says this shard is done."""
        return self.parts / f"shard-{self.index:06d}.json"

    @property
    def names(self) -> set[str]:
        """The files of the dataset that a shard consists of, relative to it."""
        files = (self.file,) if self.metadata_file is None else (self.file, self.metadata_file)
        return {file.relative_to(self.root).as_posix() for file in files}

    @property
    def all_parts(self) -> tuple[Path, ...]:
        """The files that the marker speaks for."""
        return tuple(self.part(what) for what in ("cells.parquet", "tiles.parquet", "counts.npz"))

    def part(self, what: str) -> Path:
        """A part table of this shard."""
        return self.parts / f"shard-{self.index:06d}.{what}"


def known_facts(files: ShardFiles, inputs: str) -> ShardFacts | None:
    """Return what the marker of a shard says if it speaks of these inputs and all that was made is there, else None."""
    facts = read_marker(files.marker, ShardFacts, inputs, files.all_parts)
    if facts is None or not all((files.root / picture.file).is_file() for picture in facts.overviews):
        return None
    stored = () if facts.shard is None else facts.shard.files
    return facts if all(is_whole(item, files.root) for item in stored) else None


class ShardFile:
    """A shard while it is written.

    Attributes:
        writer: takes chunks of tiles.
        stored: the files it became, set by ``open_shard``; None without tiles.
    """

    def __init__(self, files: ShardFiles, file: DirectWriter) -> None:
        self._files, shards = files, files.shards
        self.writer: Writer = ZarrShardWriter(file, shards.codec) if shards.layout == "zarr" else ShardWriter(file)
        self.stored: StoredShard | None = None


@contextmanager
def open_shard(files: ShardFiles, channels: tuple[str, ...], size_px: int, dtype: str) -> Iterator[ShardFile]:
    """Write a shard durably; ``ShardFile.stored`` is set when the block has ended; without tiles no file is left."""
    with writing(files.file.parent), replacing(files.file) as stream, DirectWriter(stream) as file:
        shard = ShardFile(files, file)
        yield shard
        digest = shard.writer.finish()
    writer = shard.writer
    metadata = _write_metadata(files, writer, channels, size_px, dtype)
    if not writer.tiles:
        _remove(files)
        return
    name = files.file.relative_to(files.root).as_posix()
    made = ShardRecord(name=name, bytes=writer.nbytes, blake3=digest, tiles=writer.tiles)
    shard.stored = StoredShard(record=made, block_sums=tuple(writer.block_sums), metadata=metadata)


def _remove(files: ShardFiles) -> None:
    """Remove a shard without tiles: stock readers refuse an archive without samples."""
    with explained(files.root):
        files.file.unlink()
        if files.metadata_file is not None:
            shutil.rmtree(files.metadata_file.parent)


def _write_metadata(
    files: ShardFiles, writer: Writer, channels: tuple[str, ...], size_px: int, dtype: str
) -> FileRecord | None:
    """Write ``zarr.json``, after the data it describes, and return its record."""
    file = files.metadata_file
    if file is None or not isinstance(writer, ZarrShardWriter) or not writer.tiles:
        return None
    with writing(file.parent):
        write_json(file, writer.metadata(channels, size_px, dtype))
    # The file systems keep the new folders between data and shards only once their parents are synced.
    with explained(files.root):
        for folder in files.file.parents:
            sync_folder(folder)
            if folder == files.root:
                break
    return record(file, files.root)


_MOST_BUFFERS, _BUFFER_BYTES = 64, 1 << 20
"""Tiles of a well come faster than a disk writes, then none while the next one is read: this much is kept meanwhile."""
_ALIGN = 4096
"""Direct writes begin and end at multiples of this, the block of every disk in use."""
_UNFIT = {errno.EINVAL, errno.ENOTSUP}


class DirectWriter:
    """Appends to an open, empty file from a thread, through as many buffers as the disk lags behind. A context manager.

    Where the file system takes no direct writes (some network mounts, memory) it goes through the cache. The bytes are
    there when the block has ended, and safe once the file is synced.

    Args:
        file: file that nothing else writes to; it is not closed.

    Raises:
        OSError: of a write, at the latest when the block ends.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._handle = file.fileno()
        self._buffer = mmap.mmap(-1, _BUFFER_BYTES)
        self._free: list[mmap.mmap] = []
        self._filled = self._offset = 0
        self._is_direct = _set_direct(self._handle, True)
        self._thread = ThreadPoolExecutor(1)
        self._under_way: deque[Future[mmap.mmap]] = deque()

    def __enter__(self) -> DirectWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._submit()
                while self._under_way:
                    self._wait()
        finally:
            self._thread.shutdown(wait=True)

    def write(self, data: bytes | memoryview) -> int:
        """Append ``data``; return how many bytes."""
        view = memoryview(data)
        left = view.cast("B") if view.nbytes else view
        while left.nbytes:
            part = left[: _BUFFER_BYTES - self._filled]
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            left = left[len(part) :]
            if self._filled == _BUFFER_BYTES:
                self._hand_over()
        return view.nbytes

    def _hand_over(self) -> None:
        """Let the thread write what is filled, and go on with a buffer it has done with."""
        self._submit()
        while self._under_way and (self._under_way[0].done() or len(self._under_way) >= _MOST_BUFFERS):
            self._wait()
        # The one that was free last is likely still in the processor's cache.
        self._buffer = self._free.pop() if self._free else mmap.mmap(-1, _BUFFER_BYTES)

    def _submit(self) -> None:
        self._under_way.append(self._thread.submit(self._put, self._buffer, self._filled, self._offset))
        self._offset, self._filled = self._offset + self._filled, 0

    def _wait(self) -> None:
        self._free.append(self._under_way.popleft().result())

    def _put(self, buffer: mmap.mmap, size: int, offset: int) -> mmap.mmap:
        done = 0
        with memoryview(buffer) as view:
            while done < size:
                whole = (size - done) // _ALIGN * _ALIGN
                if self._is_direct and not whole:
                    self._is_direct = _set_direct(self._handle, False)  # the end of the file
                end = done + whole if self._is_direct else size
                try:
                    done += os.pwrite(self._handle, view[done:end], offset + done)
                except OSError as error:
                    if not self._is_direct or error.errno not in _UNFIT:
                        raise
                    self._is_direct = _set_direct(self._handle, False)
        return buffer


def _set_direct(handle: int, wanted: bool) -> bool:
    """Ask for writes past the cache, or no longer; return whether they go past it now."""
    flag = getattr(os, "O_DIRECT", 0)
    flags = fcntl.fcntl(handle, fcntl.F_GETFL)
    try:
        fcntl.fcntl(handle, fcntl.F_SETFL, flags | flag if wanted else flags & ~flag)
    except OSError as error:
        if error.errno not in _UNFIT:
            raise
        return False
    return wanted and bool(flag)
