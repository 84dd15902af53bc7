"""What a format must offer to be one that datasets are exported to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from framework.config import StrictModel
from framework.data.export.cells import CellSource
from framework.registry import Registry


class ExportOptions(StrictModel):
    """Options of a format: none, unless its own class has some; each declares ``name: Literal["its name"]``."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What an exporter wrote.

    Attributes:
        files: how many files a person opens: images, tables, tarballs.
        notes: what a reader of the files must know.
    """

    files: int
    notes: tuple[str, ...] = ()


class Exporter(Protocol):
    """Writes all cells of a dataset into an empty folder."""

    def __call__(self, options: Any, cells: CellSource, folder: Path, done: Callable[[int], None]) -> Written:
        """Write the files.

        Args:
            options: options of its own class.
            cells: to write.
            folder: empty; it becomes the folder that was asked for once all is written.
            done: to be called with the number of further cells that are written.
        """
        ...


EXPORTS: Registry[Exporter] = Registry("export format", options=ExportOptions)
"""Formats by the name that stands after ``--to``."""
