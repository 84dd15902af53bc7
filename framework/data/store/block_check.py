"""Blocks of shards compared with their checksums when a tile of them is first read: for those who ask for it.

Reading a dataset costs its pass of CRC-32 then, once per process: at the speed of memory where the shard is cached.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from framework.data.dataset import Dataset
from framework.data.format.block_sums import RecordedSums, crc32, recorded_sums
from framework.data.format.schema import CHECKSUMS_NAME, BlockSums, parse_model
from framework.data.permutation import I64
from framework.errors import DatasetError
from framework.files.json_file import read_text

Bytes = npt.NDArray[np.uint8]


class BlockCheck:
    """Knows which blocks of which shards were found sound.

    Args:
        dataset: dataset whose shards are read.

    Raises:
        DatasetError: it has no checksums of blocks.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset, self._lock = dataset, threading.Lock()
        sums = _recorded(dataset)
        missing = [record.name for record in dataset.manifest.shards if record.name not in sums]
        if missing:
            raise DatasetError(
                f"{dataset.where}: {CHECKSUMS_NAME} has no checksums of {missing[0]}; leave out data.check"
            )
        self._sums: list[RecordedSums] = [sums[record.name] for record in dataset.manifest.shards]
        self._sound = [np.zeros(len(each.sums), dtype=np.bool_) for each in self._sums]

    def check(self, tile_ids: I64, shard_bytes: Callable[[int], Bytes]) -> None:
        """Check the blocks that hold some tiles, those that were not checked before.

        Args:
            tile_ids: int64 (n,), rows of tiles.parquet that lie inside their shards.
            shard_bytes: number of a shard -> its bytes.

        Raises:
            DatasetError: a block has another checksum; names it.
        """
        index = self._dataset.index
        length = self._dataset.manifest.tile.nbytes if index.nbytes is None else index.nbytes[tile_ids]
        begin, shard = index.offset[tile_ids], index.shard[tile_ids]
        for number in np.unique(shard).tolist():
            block, mine = self._sums[number].block_bytes, shard == number
            first, last = begin[mine] // block, (begin[mine] + np.broadcast_to(length, mine.shape)[mine] - 1) // block
            touched = np.unique(np.concatenate([np.arange(a, b + 1) for a, b in set(zip(first, last, strict=True))]))
            for place in touched[~self._sound[number][touched]].tolist():
                self._check_block(number, place, shard_bytes(number))

    def _check_block(self, number: int, place: int, data: Bytes) -> None:
        recorded = self._sums[number]
        start = place * recorded.block_bytes
        end = min(start + recorded.block_bytes, len(data))
        if crc32(data[start:end], 0) != recorded.sums[place]:
            where, name = self._dataset.where, self._dataset.manifest.shards[number].name
            raise DatasetError(
                f"{where}/{name}: bytes {start} to {end} differ from their recorded CRC-32; find all damage "
                f"with: wellstream verify {where}"
            )
        with self._lock:
            self._sound[number][place] = True


def _recorded(dataset: Dataset) -> dict[str, RecordedSums]:
    listed = {record.name for record in dataset.manifest.files}
    if CHECKSUMS_NAME not in listed:
        return {}
    file, what = dataset.file(CHECKSUMS_NAME), "a list of checksums"
    return recorded_sums(parse_model(read_text(file, what=what), file, BlockSums, what), dataset.manifest.shards, file)
