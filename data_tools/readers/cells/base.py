"""Base of readers of cells: they give columns with one row per cell, and the pixels of chosen rows on demand.

The second kind of export beside ``readers.base``: here no nuclei are looked for, each row already shows one cell (or,
with readers that segment, one field of them). A listing holds columns, never one object per cell, because an imaging
flow cytometer writes 100,000 files and more. ``read`` runs inside a task, for the rows of a whole shard, and opens one
file at a time. Readers never drop a cell silently: what cannot be used is a ``CellProblem``.

A new reader is one class in one file::

    @CELL_READERS.register("my_export", MyConfig)
    class MyReader(CellReader[MyConfig]):
        def survey(self, channels: tuple[str, ...]) -> CellListing: ...
        def read(self, places: pd.DataFrame, channels: tuple[str, ...]) -> Iterator[CellImage | CellProblem]: ...
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.formats.tiff import described, reason_of
from data_tools.tiles import HAS_TILE
from framework.errors import InputError, did_you_mean
from framework.registry import Registry

CELL = "Metadata_Cell"
"""Column of every listing: name of a cell as its export numbers it, unique with the other ``Metadata_*`` columns."""
PLACE_COLUMNS = ("site", "y_px", "x_px")
"""Columns a listing may have: where in which field of view the cell lay."""
TEXT: Any = "string[pyarrow]"
"""Column type of text: bytes in one block, not an object a value."""


@dataclass(frozen=True, kw_only=True)
class CellProblem:
    """A cell (or file) that cannot be used.

    Attributes:
        row: row of the frame ``read`` was given; None in a survey, where such a cell has no row.
        cell: its name, where it has one.
        file: path of the file, where there is one.
        reason: short kind, as ``missing_channel``.
        detail: what, where and how to repair it, without a full stop; ``or set 'on_error: skip' ...`` is added later.
    """

    row: int | None = None
    cell: str | None = None
    file: str | None = None
    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class CellImage:
    """The pixels of one cell.

    Attributes:
        row: position in the frame ``read`` was given.
        pixels: an (h, w) image a wanted channel, in their order (an array (C, h, w) will do); uint8, uint16 or float32.
            Cells may differ in size. Types, sizes and values are checked by the ingest, not by readers.
        name: what tells cells of one row apart, for readers that find several in a field; else empty.
        y_px: centre row in its field of view, where the reader finds it only now.
        x_px: centre column.
        status: ``tile``, or why a cell that was found gets none (``border``, ``small``); then ``pixels`` is empty.
    """

    row: int
    pixels: Sequence[npt.NDArray[Any]] | npt.NDArray[Any]
    name: str = ""
    y_px: float | None = None
    x_px: float | None = None
    status: str = HAS_TILE


@dataclass(frozen=True, kw_only=True)
class CellListing:
    """What a reader found; ``cells`` and ``places`` have the same rows in the same order, that of the export.

    Attributes:
        cells: ``Metadata_Cell`` and further ``Metadata_*`` columns of text (type ``TEXT``; sample, protein, field), any
            of ``PLACE_COLUMNS``, and measurements: numeric columns under any other name.
        places: what ``read`` needs of each row (absolute paths: a worker may run in another folder), and what tells a
            changed file from an unchanged one (``file_columns``); opaque to everybody but the reader.
        channels: names the export has.
        problems: cells that have no row.
        notes: sentences worth showing that concern no cell, as files a pattern did not match.
        pixel_size_um: edge of a pixel, or None.
        several: whether a row may show several cells (a field of view that ``read`` segments).
    """

    cells: pd.DataFrame
    places: pd.DataFrame
    channels: tuple[str, ...]
    problems: tuple[CellProblem, ...] = ()
    notes: tuple[str, ...] = ()
    pixel_size_um: float | None = None
    several: bool = False

    def __len__(self) -> int:
        return len(self.cells)


C = TypeVar("C")


class CellReader(ABC, Generic[C]):
    """An export of single cells; built from its config, here and in every worker.

    Args:
        config: its options.
    """

    def __init__(self, config: C) -> None:
        self.config = config

    @abstractmethod
    def survey(self, channels: tuple[str, ...]) -> CellListing:
        """List the cells that have all of ``channels``, each once (by its ``Metadata_*`` columns); decode no pixels.

        Raises:
            InputError: nothing to read, or a channel the export does not have (``check_channels``).
        """

    @abstractmethod
    def read(self, places: pd.DataFrame, channels: tuple[str, ...]) -> Iterator[CellImage | CellProblem]:
        """Yield the cells of some rows of ``CellListing.places``, in their order, one open file at a time.

        Args:
            places: rows of the listing, index 0..n-1; a row of cells that cannot be read yields a problem.
            channels: wanted, in stored order.
        """


class CellReaderBuilder(Protocol):
    """Makes a reader of its config."""

    def __call__(self, config: Any) -> CellReader[Any]:
        """Return the reader."""
        ...


CELL_READERS: Registry[CellReaderBuilder] = Registry("reader of cells")
"""Readers of single cells by the name a config writes."""


def check_channels(wanted: Sequence[str], found: Sequence[str], where: str) -> None:
    """Refuse a wanted channel that the export does not have.

    Raises:
        InputError: names it, what there is, and the nearest.
    """
    lacking = [name for name in wanted if name not in found]
    if lacking:
        raise InputError(
            f"{where}: no channel {', '.join(map(repr, lacking))}; there is {', '.join(found) or 'none'}"
            + did_you_mean(lacking, found)
        )


def text_column(values: Iterable[str | None]) -> pd.Series[Any]:
    """Return a compact column of text."""
    return pd.Series(list(values), dtype=TEXT)


def file_columns(files: Sequence[Path]) -> dict[str, npt.NDArray[np.int64]]:
    """Return size and time of change of files, int64 (n,) each: what tells a changed file from an unchanged one."""
    facts = [file.stat() for file in files]
    return {
        "bytes": np.asarray([fact.st_size for fact in facts], dtype=np.int64),
        "mtime_ns": np.asarray([fact.st_mtime_ns for fact in facts], dtype=np.int64),
    }


def rows_of_file(columns: Mapping[str, Any], path: str, n: int) -> pd.DataFrame:
    """Return the places of ``n`` cells of one file: ``columns``, what tells it from a changed one, and ``file``."""
    facts = {name: np.repeat(value, n) for name, value in file_columns([Path(path)]).items()}
    places = pd.DataFrame({**columns, **facts})
    places["file"] = pd.Series([str(Path(path).absolute())] * n, dtype="category")
    return places


def tiff_problem(row: int, file: Path | str, error: Exception) -> CellProblem:
    """Return what is wrong with an image of a cell that could not be read."""
    if isinstance(error, FileNotFoundError):
        return CellProblem(row=row, file=str(file), reason="missing_image", detail=f"{file}: no such file")
    text = f"{file}: {described(error)}; export it again"
    return CellProblem(row=row, file=str(file), reason=reason_of(error), detail=text)


def metadata_name(name: str) -> str:
    """Return the column of a label: ``protein`` -> ``Metadata_Protein``; ``Metadata_X`` stays."""
    return name if name.startswith("Metadata_") else f"Metadata_{name[:1].upper()}{name[1:]}"
