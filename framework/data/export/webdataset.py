"""WebDataset: tarballs of samples that stock webdataset reads, one sample per cell.

A sample ``<key>`` is ``<key>.npy``, the pixels (C, H, W) as stored, and ``<key>.json``, the labels of the cell. The
shards of a dataset with layout ``tar`` are tarballs too, with a chunk of cells of one bag in a sample; those suit
fast reading, these any program that expects one picture per sample.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from framework.data.export.base import EXPORTS, ExportOptions, Written
from framework.data.export.cells import CellSource

_MIB = 1 << 20
_DIGITS = 6
_LABEL_BYTES = 3 << 10
"""About what a sample takes beside its pixels: headers and labels, each padded to 512 bytes."""


class WebDatasetOptions(ExportOptions):
    """Tarballs of samples.

    Attributes:
        shard_mib: about the size of a tarball; the last one is smaller.
        shuffle_seed: cells stand in a random order of this seed, so that a reader without a buffer meets mixed bags;
            None: in the order of the dataset, bag after bag.
    """

    name: Literal["webdataset"] = "webdataset"
    shard_mib: int = Field(default=256, ge=1, le=8192)
    shuffle_seed: int | None = Field(default=None, ge=0)


@EXPORTS.register("webdataset", WebDatasetOptions)
def write_webdataset(
    options: WebDatasetOptions, cells: CellSource, folder: Path, done: Callable[[int], None]
) -> Written:
    """Write ``cells-000000.tar`` and so on."""
    order = np.arange(len(cells), dtype=np.int64)
    if options.shuffle_seed is not None:
        order = np.random.default_rng(options.shuffle_seed).permutation(order)
    per_shard = max(1, options.shard_mib * _MIB // (cells.nbytes + _LABEL_BYTES))
    starts = range(0, len(order), per_shard)
    for shard, first in enumerate(starts):
        with tarfile.open(folder / _shard_name(shard), "w", format=tarfile.USTAR_FORMAT) as tar:
            for tiles, pixels in cells.blocks(order[first : first + per_shard]):
                labels = _plain_rows(cells.facts.iloc[tiles])
                for number, image, plain in zip(tiles.tolist(), pixels, labels, strict=True):
                    _add(tar, f"{number:09d}.npy", _npy(image))
                    _add(tar, f"{number:09d}.json", json.dumps(plain, ensure_ascii=False).encode())
                done(len(tiles))
    shards = len(starts)
    names = _shard_name(0) if shards == 1 else f"cells-{{{0:0{_DIGITS}d}..{shards - 1:0{_DIGITS}d}}}.tar"
    return Written(files=shards, notes=(f"webdataset reads {names}: a sample per cell, npy (C, H, W) and json",))


def _shard_name(number: int) -> str:
    return f"cells-{number:0{_DIGITS}d}.tar"


def _plain_rows(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield rows as JSON holds them: Python's numbers and text, null for what is missing."""
    for row in table.to_dict("records"):
        yield {str(name): _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _npy(image: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, image, allow_pickle=False)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # of 1970 and of nobody, so that equal datasets become equal tarballs
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
