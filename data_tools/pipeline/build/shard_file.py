"""The files of a shard: where they lie, whether they are there, and how the shard itself is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_tools.pipeline.build.direct import DirectWriter
from data_tools.pipeline.build.durable import explained, is_whole, record, writing
from data_tools.pipeline.build.facts import ShardFacts, StoredShard, read_marker
from data_tools.shards import DATA_KEY, ShardsConfig, ShardWriter, ZarrShardWriter
from framework.data.format.schema import FileRecord, ShardRecord
from framework.durable import replacing, sync_folder, write_json

Writer = ShardWriter | ZarrShardWriter
Take = Callable[[slice], npt.NDArray[Any]]
_PIECE_BYTES = 1 << 19
"""Tiles that are cut, counted, summed and written while they lie in the processor's cache."""
ChunkFacts = Callable[[int, int], Mapping[str, Any]]
"""(first tile of the bag, number of tiles) -> what the sample's JSON says"""


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

    def lay_out(self, tiles: int, take: Take, key: str, facts: ChunkFacts) -> npt.NDArray[np.int64]:
        """Write the tiles of a bag, chunk by chunk and each piece by piece, so that memory holds one piece.

        Args:
            tiles: how many.
            take: part of the stored order -> its tiles, each asked for once.
            key: of the bag in sample names.
            facts: what a sample's JSON says.

        Returns:
            int64 (n,), first byte of each tile in the shard.
        """

        def pieces(start: int, stop: int) -> Iterator[npt.NDArray[Any]]:
            step = 1
            while start < stop:
                piece = take(slice(start, min(start + step, stop)))
                yield piece
                start += len(piece)
                step = max(1, _PIECE_BYTES // (piece.nbytes // len(piece)))

        step = self._files.shards.chunk_tiles
        offsets = [np.zeros(0, dtype=np.int64)]
        for chunk, start in enumerate(range(0, tiles, step)):
            count = min(step, tiles - start)
            part = pieces(start, start + count)
            offsets.append(self.writer.add(f"{key}_{chunk:05d}", count, part, facts(start, count)))
        return np.concatenate(offsets)


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
