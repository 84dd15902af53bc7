"""Proof that a dataset folder is what its build left, and where it is not: file, block, tiles, and what repairs it.

Shards are checked by the CRC-32 of their blocks, at the speed of reading and to 8 MiB exactly; ``checksums.json``
that lists these and every other file by BLAKE3. BLAKE3 stays the identity of a shard; of a dataset without block sums
it is also the check.
"""

from __future__ import annotations

import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from framework.data.dataset import Dataset, local_folder
from framework.data.format.block_sums import RecordedSums, block_sums, recorded_sums
from framework.data.format.schema import (
    BAG,
    BAGS_NAME,
    CHECKSUMS_NAME,
    INDEX_NAME,
    SOURCE,
    TILES_NAME,
    BlockSums,
    FileRecord,
    Manifest,
    ShardRecord,
    parse_model,
    read_manifest,
)
from framework.data.format.tile_index import differs
from framework.data.remote.download import is_url
from framework.data.verify_remote import verify_remote
from framework.data.verify_tables import check_tables
from framework.durable import file_checksum
from framework.errors import DatasetError
from framework.files.failures import is_inside
from framework.files.json_file import read_text
from framework.format import byte_size
from framework.progress import OnProgress

_TAR_BLOCK = 512
THREADS = 2
"""That read and sum, a file each."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Verdict:
    """What a verification found.

    Attributes:
        sentences: for a person.
        removed: damaged copies in this machine's cache of a remote dataset, which are gone now.
    """

    sentences: tuple[str, ...]
    removed: int = 0

    def __repr__(self) -> str:
        return "\n".join(self.sentences)


@dataclass(frozen=True, kw_only=True)
class _Fault:
    """Damage of one file.

    Attributes:
        record: the file as it should be.
        what: sentence about it.
        blocks: (first byte, end) of each bad block, where the file is there and of its size.
    """

    record: FileRecord
    what: str
    blocks: tuple[tuple[int, int], ...] = ()


def verify_dataset(root: Path | str, progress: OnProgress | None = None) -> Verdict:
    """Check every file and shard of a dataset, here or behind a URL, against its manifest; then that the tables fit.

    Raises:
        DatasetError: lists each missing, truncated or altered file, the first bad bytes and whose tiles they hold, and
            the command that repairs.
    """
    if is_url(str(root)) and not str(root).startswith("file:"):
        sentences, removed = verify_remote(str(root), progress)
        return Verdict(sentences=sentences, removed=removed)
    folder = local_folder(root)
    manifest = read_manifest(folder)
    sums = _block_sums(folder, manifest)
    shards = {record.name for record in manifest.shards}
    records: list[FileRecord] = [*manifest.files, *manifest.shards]
    faults: list[_Fault] = []

    def check(record: FileRecord) -> _Fault | None:
        return _fault(folder, record, sums.get(record.name) if record.name in shards else None)

    with ThreadPoolExecutor(THREADS) as pool:
        for done, fault in enumerate(pool.map(check, records)):
            if progress:
                progress("verify", done, len(records))
            faults += [fault] if fault else []
    if progress:
        progress("verify", len(records), len(records))
    if faults:
        raise DatasetError(_report(folder, manifest, faults, len(records)))
    dataset = Dataset.open(folder)
    _check_places(dataset)
    _check_index(dataset)
    check_tables(dataset)
    total = sum(record.bytes for record in records)
    how = "size and checksum" if sums else "size and BLAKE3"
    return Verdict(
        sentences=(
            f"{folder}: {len(records)} files, {byte_size(total)}: every {how} as recorded",
            f"{len(dataset.bags)} bags and {len(dataset.index)} tiles: tables and manifest agree",
        )
    )


def _block_sums(folder: Path, manifest: Manifest) -> dict[str, RecordedSums]:
    """Return the sums of each shard's blocks; none where the file that lists them is absent or not to be trusted."""
    listed = [record for record in manifest.files if record.name == CHECKSUMS_NAME]
    if not listed or _fault(folder, listed[0], None):
        return {}
    file = folder / CHECKSUMS_NAME
    text = read_text(file, what="a list of checksums", then=_anew(folder))
    return recorded_sums(parse_model(text, file, BlockSums, "a list of checksums"), manifest.shards, file)


def _fault(folder: Path, record: FileRecord, blocks: RecordedSums | None) -> _Fault | None:
    file = folder / record.name
    if not is_inside(file, folder):
        return _Fault(record=record, what="named outside the dataset folder")
    if not file.is_file():
        return _Fault(record=record, what="missing")
    size = file.stat().st_size
    if size != record.bytes:
        return _Fault(record=record, what=f"expected {record.bytes} bytes, found {size}")
    try:
        if blocks is None:
            same = file_checksum(file) == record.blake3
            return None if same else _Fault(record=record, what="content differs from its recorded BLAKE3")
        bad = _bad_blocks(file, size, blocks)
    except OSError as error:
        return _Fault(record=record, what=f"cannot be read: {error.strerror}")
    if not bad:
        return None
    more = f" (the first of {len(bad)} damaged blocks)" if len(bad) > 1 else ""
    what = f"bytes {bad[0][0]} to {bad[0][1]} differ from their recorded CRC-32{more}"
    return _Fault(record=record, what=what, blocks=bad)


def _bad_blocks(file: Path, size: int, blocks: RecordedSums) -> tuple[tuple[int, int], ...]:
    """Return (first byte, end) of the blocks whose sum is another.

    Raises:
        OSError: bytes that cannot be read.
    """
    block = blocks.block_bytes
    found = block_sums(file, size, block)
    wanted = (*blocks.sums, *[None] * (len(found) - len(blocks.sums)))
    ranges = ((start, min(start + block, size)) for start in range(0, size, block))
    return tuple(place for place, one, other in zip(ranges, found, wanted, strict=False) if one != other)


def _report(folder: Path, manifest: Manifest, faults: list[_Fault], n_files: int) -> str:
    """Return one line per damaged file, then what to do about them."""
    shards = {record.name: number for number, record in enumerate(manifest.shards)}
    sound = {fault.record.name for fault in faults}.isdisjoint((BAGS_NAME, TILES_NAME, INDEX_NAME))
    lines = []
    for fault in faults:
        whose = ""
        if fault.record.name in shards and sound:
            whose = _tiles_of(Dataset.open(folder), shards[fault.record.name], fault.blocks)
        lines.append(f"{folder / fault.record.name}: {fault.what}{whose}")
    lines.append(f"{len(faults)} of {n_files} files are damaged; {_repair(folder, faults)}")
    return "\n".join(lines)


def _repair(folder: Path, faults: list[_Fault]) -> str:
    if all(fault.record.name == INDEX_NAME or fault.record.name.startswith("shards/") for fault in faults):
        there = [str(folder / fault.record.name) for fault in faults if (folder / fault.record.name).is_file()]
        remove = f"rm {' '.join(there)} && " if there else ""
        return (
            f"make these files again, from the config in dataset.json (key 'source') and the same raw files, with: "
            f"{remove}wellstream ingest CONFIG --out {folder}"
        )
    return _anew(folder)


def _anew(folder: Path) -> str:
    return (
        f"ingest again with the config in dataset.json (key 'source'): rm -r {folder} && "
        f"wellstream ingest CONFIG --out {folder}"
    )


def _tiles_of(dataset: Dataset, shard: int, blocks: tuple[tuple[int, int], ...]) -> str:
    """Return whose tiles lie in the first bad block, or in all of the shard if there is none to name."""
    start, end = blocks[0] if blocks else (0, dataset.manifest.shards[shard].bytes)
    index = dataset.index
    length = dataset.manifest.tile.nbytes if index.nbytes is None else index.nbytes
    rows = np.flatnonzero((index.shard == shard) & (index.offset < end) & (index.offset + length > start))
    if not len(rows):
        return "; they hold no tile"
    bags = [int(bag) for bag in np.unique(index.bag[rows])]
    named = ", ".join(f"{dataset.bags[SOURCE].iloc[bag]}/{dataset.bags[BAG].iloc[bag]}" for bag in bags)
    return (
        f"; they hold {len(rows)} tiles, rows {rows[0]} to {rows[-1]} of tiles.parquet, of bag(s) "
        f"{', '.join(map(str, bags))}, named {named}"
    )


def _check_places(dataset: Dataset) -> None:
    """Check that the tile index says of every tile what its shard says: number, order, first byte and length.

    Raises:
        DatasetError: it is of another build.
    """
    index, manifest = dataset.index, dataset.manifest
    whole = manifest.tile.nbytes
    read = _places_in_zarr if manifest.layout == "zarr" else _places_in_tar
    order = np.argsort(index.shard, kind="stable")
    begins = np.searchsorted(index.shard[order], np.arange(len(manifest.shards) + 1))
    # Rows of unknown shards lie before the first or behind the last known one.
    wrong = begins[0] != 0 or begins[-1] != len(order)
    for number, record in enumerate(manifest.shards):
        rows = order[begins[number] : begins[number + 1]]
        lengths = np.full(len(rows), whole, dtype=np.int64) if index.nbytes is None else index.nbytes[rows]
        mine = np.stack([index.offset[rows], lengths], axis=1)
        wrong |= len(rows) != record.tiles or not np.array_equal(mine, read(dataset.root / record.name, record, whole))
    if wrong:
        raise DatasetError(
            f"{dataset.root}: tiles.parquet does not fit the shards, so it belongs to another build (a stale "
            f"index); {_anew(dataset.root)}"
        )


def _check_index(dataset: Dataset) -> None:
    """Check that the mapped index says what tiles.parquet says.

    Raises:
        DatasetError: it is of another build.
    """
    listed = {record.name for record in dataset.manifest.files}
    if INDEX_NAME in listed and differs(dataset.index, dataset.file(TILES_NAME)):
        raise DatasetError(
            f"{dataset.file(INDEX_NAME)}: does not fit tiles.parquet, so one of them belongs to another build "
            f"(a stale index); {_anew(dataset.root)}"
        )


def _places_in_zarr(file: Path, record: ShardRecord, tile_nbytes: int) -> npt.NDArray[np.int64]:
    """Return (offset, bytes) of each chunk, int64 (n, 2): the shard index at the end of the file."""
    size = 16 * record.tiles
    if record.bytes < size + 4:
        return np.zeros((0, 2), dtype=np.int64)
    with file.open("rb") as stream:
        stream.seek(-size - 4, os.SEEK_END)
        return np.frombuffer(stream.read(size), dtype="<u8").reshape(-1, 2).astype(np.int64)


def _places_in_tar(file: Path, record: ShardRecord, tile_nbytes: int) -> npt.NDArray[np.int64]:
    """Return (offset, bytes) of each tile, int64 (n, 2): behind the headers of the members and of their arrays."""
    offsets = [np.zeros(0, dtype=np.int64)]
    with file.open("rb") as stream:
        for begin, size in _arrays_in_tar(file, stream):
            stream.seek(begin + 8)
            head = 10 + int.from_bytes(stream.read(2), "little")
            count = (size - head) // tile_nbytes
            offsets.append(np.arange(begin + head, begin + head + count * tile_nbytes, tile_nbytes, dtype=np.int64))
    first = np.concatenate(offsets)
    return np.stack([first, np.full(len(first), tile_nbytes, dtype=np.int64)], axis=1)


def _arrays_in_tar(file: Path, stream: BinaryIO) -> list[tuple[int, int]]:
    """Return (first byte, bytes) of each member ``.npy``.

    ``tarfile`` needs a fifth of the time that summing the shard takes; plain ustar members, as a build writes them, can
    do without.
    """
    found, at = [], 0
    while (header := os.pread(stream.fileno(), _TAR_BLOCK, at)).strip(b"\0"):
        is_plain = header[156:157] in (b"0", b"\0") and header[345:346] == b"\0" and header[124:135].isdigit()
        if not is_plain:
            with tarfile.open(file, "r:") as tar:
                return [(each.offset_data, each.size) for each in tar if each.name.endswith(".npy")]
        size = int(header[124:135], 8)
        if header[:100].rstrip(b"\0").endswith(b".npy"):
            found.append((at + _TAR_BLOCK, size))
        at += _TAR_BLOCK + -(-size // _TAR_BLOCK) * _TAR_BLOCK
    return found
