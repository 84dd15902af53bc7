"""A dataset of version 2 becomes one of version 3: other names in its tables and its manifest, the same pixels.

Version 2 spoke of plates, wells and nuclei, also where there were exports, proteins and cropped cells. What comes out
here is, byte by byte, what an ingest of version 3 makes from the same raw files.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field, ValidationError

from data_tools.pipeline.build.folder import explained, only_writer, record
from data_tools.pipeline.build.joining import tile_index
from data_tools.pipeline.build.parts import bags_table, write_tables
from framework.config import StrictModel
from framework.data.format.block_sums import block_sums
from framework.data.format.checks import check_content
from framework.data.format.schema import (
    BAG,
    BAGS_NAME,
    CELLS_NAME,
    CHECKSUM_BLOCK_BYTES,
    CHECKSUMS_NAME,
    INDEX_NAME,
    MANIFEST_NAME,
    PLATE,
    SCHEMA_VERSION,
    SOURCE,
    TILES_NAME,
    WELL,
    BlockSums,
    FileRecord,
    Manifest,
    ShardRecord,
    digest_of,
)
from framework.durable import write_json, write_with
from framework.errors import DatasetError
from framework.files.json_file import parse_json, read_mapping, read_text
from framework.files.outputs import need_folder_name
from framework.files.parquet import open_parquet
from framework.progress import OnProgress
from framework.result import Result

_OLD_VERSION = 2
_OLD_CELLS = "nuclei.parquet"
_MARK = ".converting.json"
"""Names the dataset that an unfinished conversion is made from."""
_RENAMED = {"n_plates": "n_sources", "n_nuclei": "n_cells"}
_WHAT = "the manifest of a dataset of version 2"


class _OldSums(StrictModel):
    """``checksums.json`` of version 2, which may hold CRC-32C."""

    block_bytes: int = Field(default=CHECKSUM_BLOCK_BYTES, ge=1)
    crc32: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    crc32c: dict[str, tuple[int, ...]] = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, repr=False)
class Converted(Result):
    """What a conversion made.

    Attributes:
        out: the new dataset.
        bags, tiles: that it holds.
        linked: files that both datasets share on the disk; they take no further room.
        copied: files that were copied, because the new folder is on another disk.
    """

    out: str
    bags: int
    tiles: int
    linked: int
    copied: int


def convert(root: Path | str, out: Path | str, progress: OnProgress | None = None) -> Converted:
    """Make a dataset of version 3 from one of version 2, which stays as it is.

    Shards are linked where both folders are on one disk, else copied. A conversion that was stopped goes on when it is
    called again.

    Args:
        root: folder of the dataset of version 2.
        out: folder to write; new, empty or of an unfinished conversion of ``root``.
        progress: called with ("convert", done, total) in files.

    Raises:
        DatasetError: no dataset of version 2, a damaged table, a folder that holds something else, or a full disk.
    """
    old, new = Path(root), Path(out)
    plain = _read_old(old)
    _check_free(new, old)
    with only_writer(new), explained(new):
        write_json(new / _MARK, {"from": str(old.resolve())})
        files = [FileRecord.model_validate(item) for item in plain["files"]]
        shards = [ShardRecord.model_validate(item) for item in plain["shards"]]
        tables = {item.name: item for item in files if item.name in (BAGS_NAME, TILES_NAME, _OLD_CELLS, CHECKSUMS_NAME)}
        kept = [item for item in files if item.name not in tables and item.name != INDEX_NAME]
        others = [*shards, *kept]
        linked = 0
        for done, item in enumerate(others):
            if progress:
                progress("convert", done, len(others) + 1)
            linked += _share(old / item.name, new / item.name, item)
        made = _tables(old, new, plain, tables)
        manifest = _manifest(plain, [*kept, *made], old)
        write_json(new / MANIFEST_NAME, manifest.model_dump(mode="json"))
        (new / _MARK).unlink()
        if progress:
            progress("convert", len(others) + 1, len(others) + 1)
    return Converted(
        out=str(new), bags=manifest.n_bags, tiles=manifest.n_tiles, linked=linked, copied=len(others) - linked
    )


def _read_old(root: Path) -> dict[str, Any]:
    """Return the manifest of a dataset of version 2. Raises DatasetError: there is none, or it was changed."""
    file = root / MANIFEST_NAME
    if not file.is_file():
        raise DatasetError(f"{file}: no such file, so {root} is not a finished dataset; convert takes one of version 2")
    plain = read_mapping(file, what=_WHAT)
    found = plain.get("schema_version")
    if found == SCHEMA_VERSION:
        raise DatasetError(f"{root}: is of version {SCHEMA_VERSION} already; there is nothing to convert")
    if found != _OLD_VERSION:
        raise DatasetError(f"{root}: is of version {found}; convert takes version {_OLD_VERSION}; ingest again")
    if plain.get("digest") not in (None, digest_of(plain)):
        raise DatasetError(f"{file}: was changed since it was written: its content has another digest; ingest again")
    _manifest(plain, None, root)  # so that a manifest that is none is refused before anything is written
    return plain


def _check_free(out: Path, old: Path) -> None:
    """Raises DatasetError: the folder to write holds something else than an unfinished conversion of ``old``."""
    if not out.exists():
        need_folder_name(out)
        return
    if not out.is_dir():
        raise DatasetError(f"{out}: is a file; name a new folder after --out")
    mark = out / _MARK
    begun = parse_json(read_text(mark, what="the mark of a conversion"), mark) if mark.is_file() else None
    if begun is None and any(out.iterdir()):
        raise DatasetError(f"{out}: holds other files; name a new folder after --out")
    if begun is not None and begun != {"from": str(old.resolve())}:
        raise DatasetError(f"{out}: an unfinished conversion of another dataset; name a new folder after --out")


def _share(source: Path, target: Path, item: FileRecord) -> bool:
    """Link a file of the old dataset into the new one, or copy it; return whether it is linked.

    Raises:
        DatasetError: it is absent or of another size than recorded.
    """
    if not source.is_file() or source.stat().st_size != item.bytes:
        raise DatasetError(
            f"{source}: missing, or its size is not the recorded one; check the dataset with: wellstream verify DATASET"
        )
    if target.is_file() and target.stat().st_size == item.bytes:  # of a conversion that was stopped; it is whole
        return target.samefile(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        write_with(target, partial(shutil.copyfile, source))
        return False
    return True


def _tables(old: Path, new: Path, plain: Mapping[str, Any], tables: Mapping[str, FileRecord]) -> list[FileRecord]:
    """Write what differs between the versions; return the records."""
    for name in (BAGS_NAME, TILES_NAME, _OLD_CELLS):
        if name not in tables:
            raise DatasetError(f"{old / MANIFEST_NAME}: lists no {name}; ingest again")
    for name, item in tables.items():
        check_content(old / name, item)
    bags = bags_table(list(_bags(old / BAGS_NAME, plates=plain["source"].get("kind", "plates") == "plates")))
    write_tables(new / BAGS_NAME, [bags], bags.schema)
    _rename(old / TILES_NAME, new / TILES_NAME, {"nucleus": "cell"})
    _share(old / _OLD_CELLS, new / CELLS_NAME, tables[_OLD_CELLS])
    index = tile_index(new, coded=plain.get("codec") is not None)
    made = [index, *(record(new / name, new) for name in (BAGS_NAME, TILES_NAME, CELLS_NAME))]
    if CHECKSUMS_NAME in tables:
        write_json(new / CHECKSUMS_NAME, _sums(old, new, plain).plain())
        made.append(record(new / CHECKSUMS_NAME, new))
    return made


def _bags(file: Path, *, plates: bool) -> Iterator[dict[str, Any]]:
    with open_parquet(file) as table:
        for row in table.read().to_pylist():
            named = {SOURCE: row.pop(PLATE), BAG: row.pop(WELL)}
            row["n_cells"] = row.pop("n_nuclei")
            yield row | named | ({PLATE: named[SOURCE], WELL: named[BAG]} if plates else {})


def _rename(source: Path, target: Path, names: Mapping[str, str]) -> None:
    """Write a table with other names of columns, one row group after another."""
    with open_parquet(source) as table:
        schema = pa.schema([field.with_name(names.get(field.name, field.name)) for field in table.schema_arrow])
        groups = (table.read_row_group(number) for number in range(table.num_row_groups))
        write_tables(target, (group.rename_columns(schema.names) for group in groups), schema)


def _sums(old: Path, new: Path, plain: Mapping[str, Any]) -> BlockSums:
    """Return the checksums of all blocks as CRC-32; shards whose blocks have CRC-32C are read, and must be sound."""
    file = old / CHECKSUMS_NAME
    try:
        found = _OldSums.model_validate_json(read_text(file, what="a list of checksums"))
    except ValidationError as error:
        raise DatasetError(f"{file}: not a list of checksums; ingest again") from error
    sums = dict(found.crc32)
    shards = {item["name"]: ShardRecord.model_validate(item) for item in plain["shards"]}
    for name in (name for name in found.crc32c if name in shards and name not in sums):
        check_content(new / name, shards[name])
        sums[name] = tuple(block_sums(new / name, shards[name].bytes, found.block_bytes))
    ordered = {name: sums[name] for name in shards if name in sums}
    return BlockSums(block_bytes=found.block_bytes, crc32=ordered)


def _manifest(plain: Mapping[str, Any], files: list[FileRecord] | None, old: Path) -> Manifest:
    """Return the manifest of version 3, with these records of files or its own. Raises DatasetError: it is none."""
    new = {_RENAMED.get(key, key): value for key, value in plain.items() if key != "digest"}
    try:
        new["skipped"] = [_renamed(item, {"plate": "source", "well": "bag"}) for item in plain.get("skipped", ())]
        new["source"] = _config(plain["source"])
        if files is not None:
            new["files"] = [item.plain() for item in sorted(files, key=lambda item: item.name)]
        return Manifest.model_validate_json(json.dumps({**new, "schema_version": SCHEMA_VERSION})).sealed()
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        said = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else f"no {error}"
        raise DatasetError(f"{old / MANIFEST_NAME}: not {_WHAT}: {said}; ingest again") from error


def _config(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of an ingest of version 2 as one of version 3."""
    if source.get("kind") != "cells":
        return dict(source)
    return {**source, "sources": [_renamed(item, {"plate": "name"}) for item in source["sources"]]}


def _renamed(item: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in item.items()}
