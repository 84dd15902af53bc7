"""What opening a dataset checks: sizes of its files and the table of bags, against the manifest.

It reads what opening reads anyway; ``wellstream verify`` reads every byte.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from framework.data.format.schema import (
    BAG,
    BAG_COLUMNS,
    BAGS_NAME,
    INDEX_NAME,
    PLATE,
    SOURCE,
    WELL,
    FileRecord,
    Manifest,
)
from framework.durable import file_checksum
from framework.errors import DatasetError
from framework.files.failures import reading

if TYPE_CHECKING:
    import anndata

_CHECKED_BYTES = 64 << 20
"""Of a file whose checksum is compared whenever a dataset is opened."""


def check_files(root: Path, manifest: Manifest) -> None:
    """Check the size of every file beside the shards, and the checksums of those that opening reads.

    Opening a large index reads next to nothing of it, and so does this: its checksum is left to ``wellstream verify``.
    A file that is absent is told by whoever needs it.

    Raises:
        DatasetError: one was changed since the build.
    """
    for record in manifest.files:
        file = root / record.name
        wanted = record.name in (BAGS_NAME, INDEX_NAME) and record.bytes <= _CHECKED_BYTES
        if file.is_file() and (file.stat().st_size != record.bytes or wanted):
            check_content(file, record)


def check_content(file: Path, record: FileRecord) -> None:
    """Check the size of a file and its checksum, once per process and state of the file.

    Raises:
        DatasetError: it was changed since the build.
    """
    find = f"find all damage with: wellstream verify {_root(file, record)}"
    with reading(file, DatasetError, "a file of a dataset", find):
        found = file.stat()
        size, time = found.st_size, found.st_mtime_ns
        same = size == record.bytes and _is_as_recorded(file, record.blake3, size, time)
    if not same:
        raise DatasetError(
            f"{file}: {size} bytes, but the manifest records {record.bytes} of other content: it belongs to "
            f"another build (a stale index); ingest again; {find}"
        )


def _root(file: Path, record: FileRecord) -> Path:
    return file.parents[len(Path(record.name).parts) - 1]


@cache
def _is_as_recorded(file: Path, blake3: str, size: int, mtime_ns: int) -> bool:
    return file_checksum(file) == blake3


def check_bags(bags: pd.DataFrame, manifest: Manifest, where: str) -> None:
    """Check that bags.parquet numbers its bags 0 to B - 1 and counts what the manifest counts.

    Raises:
        DatasetError: a column is missing or no whole number, a bag has another number than its row, or counts differ.
    """
    file = f"{where}/{BAGS_NAME}"
    need_columns(bags.columns.tolist(), BAG_COLUMNS, file)
    if len(bags) != manifest.n_bags:
        raise DatasetError(
            f"{where}: the manifest counts {manifest.n_bags} bags, but {BAGS_NAME} holds {len(bags)} (a stale "
            "index); ingest again"
        )
    for name in ("bag", "n_sites", "n_cells", "n_tiles"):
        values = bags[name]
        if values.dtype.kind not in "iu" or (len(values) and values.min() < 0):
            raise DatasetError(
                f"{file}: column '{name}' holds values that are not whole numbers from 0 on; ingest again"
            )
    wrong = np.flatnonzero(bags["bag"].to_numpy() != np.arange(len(bags)))
    if len(wrong):
        found = bags["bag"].iloc[wrong[0]]
        raise DatasetError(f"{file}: row {wrong[0]} is bag {found}, expected bag {wrong[0]}; ingest again")
    for name, recorded in (("tiles", manifest.n_tiles), ("cells", manifest.n_cells)):
        # Python's integers, because a forged column may outgrow 64 bits.
        counted = sum(bags[f"n_{name}"].tolist())
        if counted != recorded:
            raise DatasetError(
                f"{file}: its bags have {counted} {name}, but the manifest records {recorded}; ingest again"
            )
    for name in (SOURCE, BAG):
        unnamed = [row for row, value in enumerate(bags[name].tolist()) if not isinstance(value, str) or not value]
        if unnamed:
            found = bags[name].iloc[unnamed[0]]
            raise DatasetError(f"{file}: row {unnamed[0]}, column '{name}': expected text, found {found}; ingest again")


def check_target(table: anndata.AnnData, bags: pd.DataFrame, file: Path | str) -> None:
    """Check that each row of a target is of one bag of this dataset, by its number and by the names it states.

    Raises:
        DatasetError: a row is of no bag, or of another name, or of a bag that has a row already.
    """
    numbers = table.obs.get("bag")
    if numbers is None or numbers.dtype.kind not in "iu":
        raise DatasetError(f"{file}: obs has no column 'bag' of whole numbers; ingest again")
    rows = numbers.to_numpy()
    strange = rows[(rows < 0) | (rows >= len(bags))]
    if len(strange):
        raise DatasetError(
            f"{file}: has a row of bag {strange[0]}, but this dataset has {len(bags)} bags; ingest again"
        )
    again = numbers[numbers.duplicated()]
    if len(again):
        raise DatasetError(f"{file}: has several rows of bag {again.iloc[0]}; ingest again")
    for name in (name for name in (SOURCE, BAG, PLATE, WELL) if name in table.obs and name in bags):
        said = table.obs[name].astype(str).to_numpy()
        other = np.flatnonzero(said != bags[name].to_numpy()[rows])
        if len(other):
            row, bag = other[0], rows[other[0]]
            raise DatasetError(
                f"{file}: row {row} is of bag {bag}, {name} '{said[row]}', which is '{bags[name].iloc[bag]}' "
                f"in {BAGS_NAME}: it belongs to another build; ingest again"
            )


def need_columns(found: list[str], wanted: tuple[str, ...], file: str) -> None:
    """Check that a table has the columns it needs. Raises DatasetError: one is missing."""
    missing = [name for name in wanted if name not in found]
    if missing:
        raise DatasetError(f"{file}: missing column(s) {', '.join(missing)}; found: {', '.join(found)}; ingest again")
