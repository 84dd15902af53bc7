"""Theme ``verify``: proving a dataset against reading it.

Read speed is that of the same files, every byte once, by as many threads as ``verify`` uses, each with one buffer that
stays in the core's cache: nothing can look at a byte for less. Warm, the page cache holds all; cold, it was told to
drop them before each run. ``verify`` is the whole call, with tables and places of tiles. A flipped byte must be found
in its block, or the comparison is void.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks import tables
from benchmarks.harness import Arm, Measured, Target, WrongPixels, measure
from benchmarks.synthetic import draw_pixels, write_dataset
from data_tools.pipeline.build.folder import record
from framework.data.dataset import Dataset
from framework.data.format.block_sums import block_sums
from framework.data.format.schema import CHECKSUM_BLOCK_BYTES, CHECKSUMS_NAME, MANIFEST_NAME, BlockSums
from framework.data.verify import THREADS, verify_dataset
from framework.durable import write_json
from framework.errors import DatasetError

PIECE = 1 << 20
_OF_READING = 0.8
_PER_BAG = 1536
"""Tiles a shard: 0.15 GB, as eight wells of few fields. The smaller a file, the smaller the pages it is kept in."""


def run(*, quick: bool) -> list[Measured]:
    """Verify two shards of 0.15 GB when quick, else 16, warm and cold.

    Raises:
        WrongPixels: a flipped byte is not found, or not where it is.
    """
    with tempfile.TemporaryDirectory(prefix="wellstream-bench-") as name:
        root = _dataset(Path(name) / "dataset", repeats=2 if quick else 16)
        files = sorted((root / "shards").iterdir())
        check_flipped(root, files[len(files) // 2])
        return [_measured(root, files, cold, quick=quick) for cold in (False, True)]


def _dataset(root: Path, repeats: int) -> Path:
    """Write a dataset with the sums of its blocks; its bags hold the same pixels, which no checksum profits from."""
    made = write_dataset(root, np.tile(draw_pixels(_PER_BAG), (repeats, 1, 1, 1)), _PER_BAG)
    shards = made.manifest.shards
    sums = {item.name: tuple(block_sums(root / item.name, item.bytes, CHECKSUM_BLOCK_BYTES)) for item in shards}
    write_json(root / CHECKSUMS_NAME, BlockSums(crc32=sums).plain())
    manifest = made.manifest.model_copy(update={"files": (record(root / CHECKSUMS_NAME, root),)})
    tables.write(Dataset(root=root, manifest=manifest, bags=made.bags, index=made.index))
    for file in (*(root / "shards").iterdir(), root / MANIFEST_NAME):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    return root


def check_flipped(root: Path, file: Path) -> None:
    """Flip one byte of a shard, verify, flip it back.

    Raises:
        WrongPixels: the message does not name the file and the block.
    """
    at = file.stat().st_size // 2
    start = at // CHECKSUM_BLOCK_BYTES * CHECKSUM_BLOCK_BYTES
    _flip(file, at)
    try:
        verify_dataset(root)
        said = "nothing"
    except DatasetError as error:
        said = str(error)
    finally:
        _flip(file, at)
    if f"{file}: bytes {start} to " not in said:
        raise WrongPixels(f"byte {at} of {file} was flipped, and verify said: {said}")


def _flip(file: Path, at: int) -> None:
    with file.open("r+b") as stream:
        stream.seek(at)
        byte = stream.read(1)[0]
        stream.seek(at)
        stream.write(bytes([byte ^ 1]))
        stream.flush()
        os.fsync(stream.fileno())


def _measured(root: Path, files: list[Path], cold: bool, *, quick: bool) -> Measured:
    total = sum(file.stat().st_size for file in files)
    before: Callable[[], object] | None = (lambda: _drop(files)) if cold else None
    arms = [
        Arm(name="read", work=lambda: read(files), before=before, is_limit=True),
        Arm(name="wellstream verify", work=lambda: verify_dataset(root), before=before),
    ]
    return Measured(
        theme="verify",
        case=f"{total / 1e9:.1f} GB, {'cold' if cold else 'warm'}, {THREADS} threads",
        unit="MB",
        items=total // 1_000_000,
        item_bytes=1_000_000,
        costs=measure(arms, 3 if quick else 15 if not cold else 5),
        limit="read",
        # Where a small dataset is verified, opening it is most of the work.
        targets=(Target(arm="wellstream verify", over="read", least=_OF_READING, gates=not quick),),
        notes=("the kernel was asked to drop the files before each run; a disk may keep a cache of its own",)
        if cold
        else (),
    )


def _drop(files: list[Path]) -> None:
    for file in files:
        handle = os.open(file, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def read(files: list[Path]) -> None:
    """Read every byte of the files, by as many threads as ``verify`` uses."""
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(_read, files))


def _read(file: Path) -> None:
    buffer, at = np.empty(PIECE, np.uint8), 0
    handle = os.open(file, os.O_RDONLY)
    try:
        while got := os.preadv(handle, [buffer.data], at):
            at += got
    finally:
        os.close(handle)
