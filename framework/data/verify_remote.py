"""Proof that a dataset behind a URL is what its build left: every byte there is read, and nothing of it is kept.

The copies of it in this machine's cache are read as well; one that is damaged is removed, so that it is fetched again.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from framework.data.dataset import Dataset
from framework.data.format.block_sums import RecordedSums, crc32, recorded_sums
from framework.data.format.schema import CHECKSUMS_NAME, BlockSums, FileRecord, parse_model
from framework.data.remote.cache import CacheConfig
from framework.data.remote.download import Patience, RemoteFolder
from framework.data.remote.files import RemoteFiles
from framework.data.verify_tables import check_tables
from framework.errors import DatasetError
from framework.files.json_file import read_text
from framework.format import byte_size
from framework.progress import OnProgress

_THREADS = 4


class _Sums:
    """Takes a download and keeps its checksums alone.

    Args:
        blocks: recorded sums, which say what to compute; None for BLAKE3 only.
    """

    def __init__(self, blocks: RecordedSums | None) -> None:
        self._blocks = blocks
        self._begin()

    def _begin(self) -> None:
        self._at, self._crc, self._hash = 0, [0], blake3()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        if self._blocks is not None:
            self._add(np.frombuffer(data, np.uint8), self._blocks)
        self._at += len(data)
        return len(data)

    def _add(self, data: npt.NDArray[np.uint8], blocks: RecordedSums) -> None:
        at = self._at
        while len(data):
            inside = at % blocks.block_bytes
            if at and not inside:
                self._crc.append(0)
            piece, data = np.split(data, [blocks.block_bytes - inside])
            self._crc[-1] = crc32(piece, self._crc[-1])
            at += len(piece)

    def seek(self, offset: int) -> int:
        # A download begins anew from the first byte or goes on.
        if offset != self._at:
            self._begin()
        return self._at

    def tell(self) -> int:
        return self._at

    def fault(self, record: FileRecord) -> str | None:
        """Say what is wrong, with the first bad block where its sum is known."""
        if self._at == record.bytes and self._hash.hexdigest() == record.blake3:
            return None
        if self._blocks is not None:
            for number, (found, wanted) in enumerate(zip(self._crc, self._blocks.sums, strict=False)):
                if found != wanted:
                    start = number * self._blocks.block_bytes
                    end = min(start + self._blocks.block_bytes, record.bytes)
                    return f"bytes {start} to {end} differ from their recorded CRC-32"
        return "content differs from its recorded BLAKE3"


def verify_remote(url: str, progress: OnProgress | None = None) -> tuple[tuple[str, ...], int]:
    """Read every file of a dataset behind a URL and compare it with the manifest there.

    Args:
        url: URL of the dataset.
        progress: told (stage, files done, files).

    Returns:
        Sentences about what was found sound, and how many copies in this machine's cache were not and were removed.

    Raises:
        DatasetError: lists each missing, shortened or altered file and the first bad bytes, and what repairs it.
    """
    config = CacheConfig()
    files = RemoteFiles(url, config)
    records: list[FileRecord] = [*files.manifest.files, *files.manifest.shards]
    sums = _block_sums(files)

    def check(record: FileRecord) -> str | None:
        return _fault(files.folder, record, sums.get(record.name), config.patience)

    faults = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for done, fault in enumerate(pool.map(check, records), start=1):
            faults += [fault] if fault else []
            if progress:
                progress("verify", done, len(records))
    if faults:
        raise DatasetError(
            "\n".join(faults) + f"\n{len(faults)} of {len(records)} files are damaged; check the folder they were "
            f"copied from with: wellstream verify FOLDER; then copy these files to {files.url} again"
        )
    total = sum(record.bytes for record in records)
    for record in records:
        files.cache.drop_if_damaged(record)
    # Also those that were met before their turn came.
    dropped = len(set(files.cache.dropped))
    dataset = Dataset.open(files.url, config)
    check_tables(dataset)
    sentences = (
        f"{files.url}: {len(records)} files, {byte_size(total)}: every size and BLAKE3 as recorded",
        f"{len(dataset.bags)} bags and {len(dataset.index)} tiles: tables and manifest agree",
        f"{files.cache.root}: {files.shards_here()} of {len(files.manifest.shards)} shards here, as recorded"
        + (f"; {dropped} damaged copies removed, they will be fetched again" if dropped else ""),
    )
    return sentences, dropped


def _block_sums(files: RemoteFiles) -> dict[str, RecordedSums]:
    """The sums of each shard's blocks; none where the file that lists them is absent or not to be trusted."""
    try:
        file, what = files.file(CHECKSUMS_NAME), "a list of checksums"
        found = parse_model(read_text(file, what=what), file, BlockSums, what)
        return recorded_sums(found, files.manifest.shards, file)
    except (DatasetError, FileNotFoundError):
        # What is wrong with it is found again when its turn comes.
        return {}


def _fault(folder: RemoteFolder, record: FileRecord, blocks: RecordedSums | None, patience: Patience) -> str | None:
    sink = _Sums(blocks)
    try:
        folder.download(record.name, sink, record.bytes, patience)
    except FileNotFoundError:
        return f"{folder.url}/{record.name}: missing (404)"
    except DatasetError as error:
        return str(error)
    fault = sink.fault(record)
    return f"{folder.url}/{record.name}: {fault}" if fault else None
