"""Proof that a dataset folder is what its build left: every file present, of its size, with its checksum."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from framework.data.dataset import Dataset
from framework.data.schema import FileRecord, read_manifest
from framework.errors import DatasetError

_BLOCK = 1 << 22


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a verification found, as sentences for a person."""

    sentences: tuple[str, ...]


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits, reading 4 MiB at a time."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def verify_dataset(root: Path | str, progress: Callable[[str, int, int], None] | None = None) -> Verdict:
    """Check every file and shard of a dataset against its manifest, then that the tables fit together.

    Raises:
        DatasetError: lists each missing, truncated or altered file and the command that repairs.
    """
    folder = Path(root)
    manifest = read_manifest(folder)
    records: list[FileRecord] = [*manifest.files, *manifest.shards]
    faults = []
    for done, record in enumerate(records):
        if progress:
            progress("verify", done, len(records))
        fault = _fault(folder, record)
        if fault:
            faults.append(f"{folder / record.name}: {fault}")
    if progress:
        progress("verify", len(records), len(records))
    if faults:
        raise DatasetError(
            "\n".join(faults) + f"\n{len(faults)} of {len(records)} files are damaged; remove the folder {folder} and "
            "ingest again with the config in its dataset.json (key 'source')"
        )
    dataset = Dataset.open(folder)
    total = sum(record.bytes for record in records)
    return Verdict(
        sentences=(
            f"{folder}: {len(records)} files, {total / 1e6:.1f} MB: every size and SHA-256 as recorded",
            f"{len(dataset.bags)} bags and {len(dataset.index)} tiles: tables and manifest agree",
        )
    )


def _fault(folder: Path, record: FileRecord) -> str | None:
    file = folder / record.name
    if not file.resolve().is_relative_to(folder.resolve()):
        return "named outside the dataset folder"
    if not file.is_file():
        return "missing"
    size = file.stat().st_size
    if size != record.bytes:
        return f"expected {record.bytes} bytes, found {size}"
    return None if sha256_of(file) == record.sha256 else "content differs from its recorded SHA-256"
