"""What a finished part of a build says: its marker, a JSON file in ``.build`` that is written last of all.

A marker holds a digest of all that went into its part, and a seal over what it says and over the files it speaks for.
Whatever is damaged, speaks of other input or was written by another version counts as absent: its part is made again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

from blake3 import blake3
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from data_tools.pipeline.build.folder import writing
from data_tools.readers.problem import Problem
from framework.data.format.schema import BAG, SOURCE, FileRecord, ShardRecord
from framework.durable import file_checksum, json_text, write_json
from framework.errors import DatasetError
from framework.files.json_file import read_mapping

_SEAL = "seal"
_CLOSED = ConfigDict(extra="forbid")


class Facts(Protocol):
    """What any marker says."""

    @property
    def inputs(self) -> str:
        """Digest of all that the part was made of, beside the config, which ``plan.json`` guards."""
        ...


M = TypeVar("M", bound=Facts)


@with_config(_CLOSED)
@dataclass(frozen=True, kw_only=True)
class StoredShard:
    """The files of a shard that has tiles.

    Attributes:
        record: record of the shard itself.
        block_sums: CRC-32 of each block of it.
        metadata: metadata of the file beside it that stock readers need, where the layout has one.
    """

    record: ShardRecord
    block_sums: tuple[int, ...]
    metadata: FileRecord | None

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """The records of all its files."""
        return (self.record,) if self.metadata is None else (self.record, self.metadata)


@with_config(_CLOSED)
@dataclass(frozen=True, kw_only=True)
class BagFacts:
    """One row of bags.parquet.

    Attributes:
        bag: number of the bag.
        metadata: its source, its name and its ``Metadata_*`` columns.
        n_sites: fields of view that were used.
        n_cells: cells found.
        n_tiles: cells with a tile.
    """

    bag: int
    metadata: dict[str, str]
    n_sites: int
    n_cells: int
    n_tiles: int

    @property
    def name(self) -> str:
        """The bag as messages name it: ``source/bag``."""
        return f"{self.metadata[SOURCE]}/{self.metadata[BAG]}"

    @property
    def row(self) -> dict[str, Any]:
        """The row by column."""
        counts = {"n_sites": self.n_sites, "n_cells": self.n_cells, "n_tiles": self.n_tiles}
        return {"bag": self.bag, **self.metadata, **counts}


@with_config(_CLOSED)
@dataclass(frozen=True, kw_only=True)
class CellCounts:
    """How the table of single cells of a well met its nuclei.

    Attributes:
        plate, well: which.
        cells: rows of the table with a position.
        without_position: rows without one.
        nuclei: found in the images.
        matched: nuclei that have a row.
    """

    plate: str
    well: str
    cells: int
    without_position: int
    nuclei: int
    matched: int


@with_config(_CLOSED)
@dataclass(frozen=True, kw_only=True)
class Overview:
    """A small picture of one channel of a field of view, for the report.

    Attributes:
        file: relative to the dataset.
        plate, well, site, bag, channel: what it shows.
        scale: px of the picture per px of the image.
        low, high: stored values that are shown as black and as white.
    """

    file: str
    plate: str
    well: str
    site: int
    bag: int
    channel: str
    scale: float
    low: float
    high: float


@with_config(_CLOSED)
@dataclass(frozen=True, kw_only=True)
class Remark:
    """Something about the nuclei of a site that is counted in a note.

    Attributes:
        where: the site.
        what: it is.
    """

    where: str
    what: str


@with_config(_CLOSED)
@dataclass(frozen=True, kw_only=True)
class ShardFacts:
    """What a finished shard says.

    Attributes:
        inputs: digest of all it was made of.
        shard: its files; None where no bag of it has a tile.
        bags: one row per bag, in order.
        problems: input that was left out.
        overviews: pictures that were written on the way.
        cells: cells of the wells with tables of single cells.
        remarks: what is counted in notes.
    """

    inputs: str
    shard: StoredShard | None
    bags: tuple[BagFacts, ...]
    problems: tuple[Problem, ...] = ()
    overviews: tuple[Overview, ...] = ()
    cells: tuple[CellCounts, ...] = ()
    remarks: tuple[Remark, ...] = ()

    @property
    def n_cells(self) -> int:
        """Cells found in all its bags."""
        return sum(bag.n_cells for bag in self.bags)


def write_marker(file: Path, facts: Facts, files: Sequence[Path]) -> None:
    """Write the marker of a finished part.

    Args:
        file: where it goes.
        facts: what it says.
        files: files that it speaks for; ``read_marker`` is given the same.

    Raises:
        DatasetError: writing failed.
    """
    plain: dict[str, Any] = _form_of(type(facts)).dump_python(facts, mode="json")
    with writing(file.parent):
        write_json(file, plain | {_SEAL: _seal(plain, files)})


def read_marker(file: Path, kind: type[M], inputs: str, files: Sequence[Path]) -> M | None:
    """Return what a marker says if it speaks of these inputs and all its files are as it left them, else None.

    Args:
        file: the marker.
        kind: what it should say.
        inputs: digest of all that the part is made of.
        files: files that it speaks for.
    """
    if not file.is_file() or not all(part.is_file() for part in files):
        return None
    try:
        plain = read_mapping(file)
        seal = plain.pop(_SEAL, None)
        if plain.get("inputs") != inputs or seal != _seal(plain, files):
            return None
        facts: M = _form_of(kind).validate_json(json.dumps(plain), strict=True)
    except (DatasetError, OSError, ValidationError):
        return None
    return facts


@cache
def _form_of(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _seal(plain: dict[str, Any], files: Sequence[Path]) -> str:
    return blake3(json_text([plain, [file_checksum(file) for file in files]]).encode()).hexdigest()
