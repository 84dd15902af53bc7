"""The contract on disk, version 3: what ``data_tools`` writes and everything else reads.

A dataset is a folder::

    dataset.json         written last: the manifest below
    bags.parquet         one row per bag (a well; of cells cropped elsewhere what ``bags.by`` says), in bag order
    tiles.parquet        one row per tile, sorted by bag: where its pixels lie, where in the field it was cut
    tiles.arrow          the columns of tiles.parquet that reading tiles needs, as Arrow IPC, to be mapped
                         (``framework.data.format.tile_index``)
    cells.parquet        one row per cell found (a nucleus, or a cropped cell), with or without a tile
    checksums.json       CRC-32 of every 8 MiB of every shard, so that damage is found fast and located
    shards/              layout ``tar``: WebDataset tarballs, one sample is a chunk of up to ``chunk_tiles`` tiles of
                         one bag; layout ``zarr``: ``<shard>.zarr``, a Zarr v3 array (tiles, C, H, W) with the sharding
                         codec, one chunk per tile, one shard per file
    targets/<name>.h5ad  AnnData, bags x genes; ``obs['bag']`` is the row of bags.parquet
    qc/                  flat-fields and site overviews for the report

A tile is the bytes ``[offset, offset + nbytes)`` of its shard: C x H x W stored integers in C order, little endian;
where the manifest names a codec, a Blosc frame of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from blake3 import blake3
from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from framework.config import StrictModel
from framework.durable import json_text
from framework.errors import DatasetError
from framework.files.failures import near_name, of_validation
from framework.files.json_file import parse_json, read_text

M = TypeVar("M", bound=StrictModel)

SCHEMA_VERSION = 3
_OTHER_VERSION = "other_version"
MANIFEST_NAME = "dataset.json"
BAGS_NAME = "bags.parquet"
TILES_NAME = "tiles.parquet"
INDEX_NAME = "tiles.arrow"
CELLS_NAME = "cells.parquet"
CHECKSUMS_NAME = "checksums.json"
CHECKSUM_BLOCK_BYTES = 8 << 20

SOURCE = "source"
"""What a bag comes from: a plate, or an export of cells."""
BAG = "bag_name"
"""Name of a bag in its source: a well, a protein, a sample. Source and bag together name it in every table."""
PLATE = "Metadata_Plate"
WELL = "Metadata_Well"
"""Source and bag once more, in datasets of plates."""
SITE = "Metadata_Site"
PERTURBATION = "Metadata_Perturbation"
STIMULATION = "Metadata_Stimulation"
CONTROL_TYPE = "Metadata_Control_Type"
CONTROL_TYPES = ("negcon", "poscon", "treatment", "empty")
MARKER_PREFIX = "Marker_"

BAG_COLUMNS = ("bag", SOURCE, BAG, PERTURBATION, STIMULATION, CONTROL_TYPE, "n_sites", "n_cells", "n_tiles")
"""Columns of bags.parquet that every dataset has. Those of plates have ``PLATE`` and ``WELL`` too; further
``Metadata_*`` columns come from the plate map or from ``bags.by``."""

TILE_COLUMNS = ("bag", "site", "y_px", "x_px", "cell", "shard", "offset", "nbytes")
"""Columns of tiles.parquet: int32 bag, int16 site, float32 centre (y_px, x_px) in the field, int64 row of
cells.parquet, int32 index into ``Manifest.shards``, int64 offset, int32 nbytes; then float32 ``Marker_<name>``
(NaN where the cell has no measurement); of cells cropped elsewhere also text ``Metadata_Cell`` and the ``Metadata_*``
columns that differ within a bag, and NaN for unknown centres."""

CELL_COLUMNS = ("bag", "site", "y_px", "x_px", "score", "status")
"""Columns of cells.parquet: centre in px, detector score, and ``tile`` or why there is none (``border`` ...)."""


def names_of_bags(columns: Sequence[str]) -> tuple[str, str] | None:
    """Return the two columns that name the bags of a table made by hand or by us; None where it has no such pair."""
    return next((pair for pair in ((SOURCE, BAG), (PLATE, WELL)) if set(pair) <= set(columns)), None)


def of_plates(columns: Sequence[str]) -> bool:
    """Whether bags with these columns are wells of plates."""
    return {PLATE, WELL} <= set(columns)


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return ``names``. Raises ValueError where one appears twice."""
    twice = [name for name in names if names.count(name) > 1] if len(set(names)) < len(names) else []
    if twice:
        raise ValueError(f"'{twice[0]}' appears twice")
    return names


Name = Annotated[str, Field(min_length=1, pattern=r"^[^\x00\n\r]+$")]
"""Of a channel, a file or a marker."""


def inside(name: str) -> str:
    """Return the name of a file of the dataset. Raises ValueError where it leads elsewhere, or is written otherwise."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"named outside the dataset folder: '{name[:200]}'")
    if str(path) != name or name == ".":
        raise ValueError(f"'{name[:200]}' is not a plain name of a file below the dataset folder")
    return name


FileName = Annotated[Name, AfterValidator(inside)]
"""Of a file, relative to the dataset folder, with ``/``."""
BaseName = Annotated[str, Field(pattern=r"^[^\x00/\n\r]+$")]
"""Of a file without its folder."""


class TileFormat(StrictModel):
    """Shape and type of every tile: ``channels`` x ``height`` x ``width`` of ``dtype``."""

    channels: Annotated[tuple[Name, ...], AfterValidator(distinct)] = Field(min_length=1)
    height: int = Field(ge=1)
    width: int = Field(ge=1)
    dtype: Literal["uint8", "uint16", "float32"] = "uint16"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return len(self.channels), self.height, self.width

    @property
    def nbytes(self) -> int:
        """Bytes of one uncompressed tile."""
        item = {"uint8": 1, "uint16": 2, "float32": 4}[self.dtype]
        return len(self.channels) * self.height * self.width * item


class BloscCodec(StrictModel):
    """Lossless compression of each tile by itself.

    Attributes:
        id: id of the numcodecs registry.
        cname: ``lz4`` decodes fastest, ``zstd`` packs tightest.
        clevel: effort of compression; higher is slower and smaller.
        shuffle: reorders bytes or bits of neighbouring pixels before compression; for 12 bits stored in 16,
            ``bitshuffle`` is best.
    """

    id: Literal["blosc"] = "blosc"
    cname: Literal["lz4", "zstd"] = "lz4"
    clevel: int = Field(default=5, ge=1, le=9)
    shuffle: Literal["noshuffle", "shuffle", "bitshuffle"] = "shuffle"


PERCENTILES = ("0.1", "1", "5", "25", "50", "75", "95", "99", "99.9")


class ChannelStatistics(StrictModel):
    """Pixel statistics of one channel over all stored tiles, in stored units; scaling and contrast are made of them.

    Attributes:
        mean: mean of all pixels.
        sd: population standard deviation.
        percentiles: ``PERCENTILES`` -> value.
    """

    mean: float = Field(allow_inf_nan=False)
    sd: float = Field(ge=0, allow_inf_nan=False)
    percentiles: dict[str, Annotated[float, Field(allow_inf_nan=False)]]

    @field_validator("percentiles")
    @classmethod
    def _check_percentiles(cls, found: dict[str, float]) -> dict[str, float]:
        """Refuse a list that lacks one, or falls."""
        if set(found) != set(PERCENTILES):
            raise ValueError(f"expected the percentiles {', '.join(PERCENTILES)}, found {', '.join(found) or 'none'}")
        values = [found[key] for key in PERCENTILES]
        if values != sorted(values):
            raise ValueError("a higher percentile is smaller than a lower one")
        return found


class FileRecord(StrictModel):
    """A file of the dataset, relative to its folder, with size and BLAKE3 checksum, as ``b3sum`` prints it."""

    name: FileName
    bytes: int = Field(ge=0)
    blake3: str = Field(pattern="^[0-9a-f]{64}$")


class ShardRecord(FileRecord):
    """A shard and how many tiles it holds."""

    tiles: int = Field(ge=0)


Crc = Annotated[int, Field(ge=0, lt=1 << 32)]


class BlockSums(StrictModel):
    """``checksums.json``: a checksum of each block of each shard, in order; the last block is what remains."""

    block_bytes: int = Field(default=CHECKSUM_BLOCK_BYTES, ge=1)
    crc32: dict[str, tuple[Crc, ...]] = Field(default_factory=dict)
    """Name of a shard, as in the manifest -> CRC-32 (of zlib and gzip) of each block."""


class Skipped(StrictModel):
    """Raw input that did not become part of the dataset (``on_error: skip``), and why."""

    source: str
    bag: str
    site: int | None = None
    file: str | None = None
    reason: str
    """Short kind, as ``truncated_image``, ``missing_channel``, ``well_not_in_platemap``."""
    detail: str
    """The sentence that ``on_error: raise`` would have raised."""


class Change(StrictModel):
    """One update of a finished dataset: other tables, the same pixels.

    Attributes:
        digest: digest of the manifest before.
        changed: dotted keys of the config that differ; none where only the files they name were corrected.
        before: their former values.
        remade: files that were made again, or removed.
    """

    digest: str
    changed: tuple[str, ...] = ()
    before: dict[str, Any] = Field(default_factory=dict)
    remade: tuple[FileName, ...] = ()


class Manifest(StrictModel):
    """``dataset.json``."""

    schema_version: int
    name: str
    tile: TileFormat
    pixel_size_um: float | None = Field(gt=0, allow_inf_nan=False)
    layout: Literal["tar", "zarr"] = "tar"
    codec: BloscCodec | None = None
    chunk_tiles: int = Field(ge=1)
    n_sources: int = Field(ge=0)
    """Plates, or exports of cells."""
    n_bags: int = Field(ge=0)
    n_tiles: int = Field(ge=0)
    n_cells: int = Field(ge=0)
    markers: Annotated[tuple[Name, ...], AfterValidator(distinct)] = ()
    targets: Annotated[tuple[BaseName, ...], AfterValidator(distinct)] = ()
    channel_statistics: dict[str, ChannelStatistics]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    """What ingesting said about its input: how many rows of which table were joined, what was guessed or left out."""
    source: dict[str, Any]
    """The resolved ingest config."""
    versions: dict[str, str]
    files: tuple[FileRecord, ...]
    shards: tuple[ShardRecord, ...]
    history: tuple[Change, ...] = ()
    """What became of it since it was built, oldest first; written only where there is any."""
    digest: str | None = None
    """BLAKE3 of everything above, by ``sealed``; None only before that."""

    @model_serializer(mode="wrap")
    def _without_an_empty_history(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        return plain if plain.get("history") else {key: value for key, value in plain.items() if key != "history"}

    @model_validator(mode="after")
    def _agree(self) -> Manifest:
        """Refuse contradictions."""
        distinct(tuple(record.name for record in (*self.files, *self.shards)))
        tiles = sum(record.tiles for record in self.shards)
        if tiles != self.n_tiles:
            raise ValueError(f"n_tiles is {self.n_tiles}, the shards hold {tiles}")
        unknown = sorted(set(self.channel_statistics) - set(self.tile.channels))
        if unknown:
            raise ValueError(f"channel_statistics names '{unknown[0]}', which is not a channel")
        unmeasured = [name for name in self.tile.channels if name not in self.channel_statistics]
        if unmeasured:
            raise ValueError(f"channel_statistics lacks channel '{unmeasured[0]}'")
        small = [each.name for each in self.shards if each.bytes < each.tiles * self.tile.nbytes]
        if small and self.codec is None:
            raise ValueError(f"{small[0]} is recorded as smaller than its tiles")
        return self

    def sealed(self) -> Manifest:
        """Return it with the digest of its content, which tells a damaged dataset.json from a sound one."""
        return self.model_copy(update={"digest": digest_of(self.model_dump(mode="json"))})

    @field_validator("schema_version")
    @classmethod
    def _check_version(cls, found: int) -> int:
        """Refuse other versions; its error comes first, before the keys are judged by those of this one."""
        if found != SCHEMA_VERSION:
            raise PydanticCustomError(
                _OTHER_VERSION,
                "schema version {found}, this Wellstream reads version {read}; {then}",
                {"found": found, "read": SCHEMA_VERSION, "then": _of_version(found)},
            )
        return found


def _of_version(found: int) -> str:
    """Return what to do with a dataset of another version."""
    if found == 2:
        return "make one of this version from it, pixels and all, with: wellstream convert DATASET --out FOLDER"
    return "ingest again with this version, into another folder"


def read_manifest(root: Path | str) -> Manifest:
    """Read ``dataset.json`` of a dataset folder.

    Raises:
        DatasetError: no folder, no manifest (an unfinished build), not JSON, or another schema version.
    """
    folder = Path(root)
    file = folder / MANIFEST_NAME
    if not folder.is_dir():
        near = near_name(folder, {""})
        raise DatasetError(f"{folder}: no such dataset folder{near}; make one with: wellstream ingest CONFIG")
    if not file.is_file():
        if (folder / "config.yaml").is_file():
            raise DatasetError(
                f"{folder}: expected a dataset folder, found a run folder; name the dataset that the run was trained "
                "on (data.path in its config.yaml)"
            )
        raise DatasetError(
            f"{folder}: no {MANIFEST_NAME}, so this is not a finished dataset; run the same 'wellstream ingest CONFIG' "
            "again, it continues where it stopped"
        )
    return parse_manifest(read_text(file, what="a dataset manifest", then="ingest again"), file)


def parse_manifest(text: str, file: Path | str) -> Manifest:
    """Return the manifest that ``text`` of ``file`` describes. Raises DatasetError where it describes none."""
    plain = parse_json(text, file, what="a dataset manifest", then="ingest again")
    manifest = parse_model(text, file, Manifest, "a dataset manifest")
    if manifest.digest != digest_of(plain):
        raise DatasetError(f"{file}: was changed since it was written: its content has another digest; ingest again")
    return manifest


def digest_of(plain: Mapping[str, Any]) -> str:
    """Return the digest of a manifest, given as JSON holds it, with or without one."""
    rest = {key: value for key, value in plain.items() if key != "digest"}
    return blake3(json_text(rest).encode()).hexdigest()


def parse_model(text: str, file: Path | str, model: type[M], what: str) -> M:
    """Return JSON ``text`` of ``file`` as ``model``.

    Raises:
        DatasetError: it is none; names the first key that is wrong.
    """
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == _OTHER_VERSION:
            raise DatasetError(f"{file}: {first['msg']}") from None
        raise DatasetError(f"{file}: not {what}: {of_validation(error)}; ingest again") from None
