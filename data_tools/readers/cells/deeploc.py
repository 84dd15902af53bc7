"""DeepLoc archives: yeast crops as flat rows of HDF5 arrays ``data1``, ``data2`` ... with ``Index1``, ``Index2`` ...

A row of ``dataK`` is one cell: its channels one after another, each an image of 64 x 64 px row by row. The same row of
``IndexK`` begins with one column per class, 1 where the cell is of it. Read off the public code that loads these files
(Kraus 2017, Mol. Syst. Biol. 13:924; github okraus/DeepLoc), which names neither channels nor classes in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator

from data_tools.readers.cells.base import (
    CELL,
    CELL_READERS,
    TEXT,
    CellImage,
    CellListing,
    CellProblem,
    CellReader,
    check_channels,
    metadata_name,
    rows_of_file,
)
from data_tools.readers.recognition import Claim, KnowsExports, Sight
from framework.config import StrictModel, UniqueNames
from framework.errors import InputError
from framework.files.hdf5 import open_hdf5

_WHAT, _AGAIN = "a DeepLoc archive (HDF5)", "correct 'path', or download it again"
_DATA = re.compile(r"data([0-9]+)")


class DeepLocConfig(StrictModel, KnowsExports):
    """One archive.

    Attributes:
        path: the HDF5 file.
        channels: names of the channels as they follow each other in a row.
        classes: names of the classes, in the order of the first columns of ``IndexK``.
        label: column for the classes; a cell of several classes gets their names, joined by ``;``.
        size_px: edge of a crop.
    """

    name: Literal["deeploc"] = "deeploc"
    path: str = Field(description="the HDF5 file")
    channels: UniqueNames = Field(min_length=1, description="the names of the channels, as they follow in a row")
    classes: tuple[str, ...] = ()
    label: str = Field(default="location", min_length=1)
    size_px: int = Field(default=64, ge=1, le=4096)
    pixel_size_um: float | None = Field(default=None, gt=0)
    """Edge of a pixel in the plane of the sample."""

    @model_validator(mode="after")
    def _check(self) -> DeepLocConfig:
        for what, names in (("channels", self.channels), ("classes", self.classes)):
            if len(set(names)) < len(names):
                raise ValueError(f"'{what}' uses the same name twice")
        if metadata_name(self.label) == CELL:
            raise ValueError(f"'label' makes the column {CELL}, which holds the place of the cell")
        return self

    @classmethod
    def recognise(cls, sight: Sight) -> Claim | str:
        """Look for an archive, which names neither its channels nor its classes."""
        for name in sight.ending(".h5", ".hdf5")[:1]:
            path = str(sight.root / name)
            try:
                with open_hdf5(path, error=InputError, what=_WHAT, then=_AGAIN) as file:
                    names = set(file)
            except InputError:
                return ""
            if {"data1", "Index1"} <= names:
                return (
                    f"{path} holds data1 and Index1, as archives of DeepLoc do, and does not name its channels; write "
                    f"them into a config of kind cells: reader: {{name: deeploc, path: {path}, channels: [...]}}"
                )
        return ""


@CELL_READERS.register("deeploc", DeepLocConfig)
class DeepLocReader(CellReader[DeepLocConfig]):
    """Reads a DeepLoc archive; a cell is called by its array and row, ``1-0``."""

    def survey(self, channels: tuple[str, ...]) -> CellListing:
        """List the rows of all arrays.

        Raises:
            InputError: no such file, no ``data1``, rows of another length than the channels need, or an ``IndexK`` that
                is absent, has other rows, or too few columns for ``classes``.
        """
        config = self.config
        check_channels(channels, config.channels, config.path)
        with open_hdf5(config.path, error=InputError, what=_WHAT, then=_AGAIN) as file:
            arrays, rows, labels = self._listed(file)
        names = [f"{array}-{row}" for array, row in zip(arrays.tolist(), rows.tolist(), strict=True)]
        cells: dict[str, Any] = {CELL: pd.Series(names, dtype=TEXT)}
        if config.classes:
            cells[metadata_name(config.label)] = pd.Series(labels, dtype=TEXT)
        places = rows_of_file({"array": arrays, "row": rows}, config.path, len(rows))
        return CellListing(
            cells=pd.DataFrame(cells), places=places, channels=config.channels, pixel_size_um=config.pixel_size_um
        )

    def read(self, places: pd.DataFrame, channels: tuple[str, ...]) -> Iterator[CellImage | CellProblem]:
        """Yield some rows as images."""
        if not len(places):
            return
        chosen = [self.config.channels.index(channel) for channel in channels]
        shape = (len(self.config.channels), self.config.size_px, self.config.size_px)
        where = str(places["file"].iloc[0])
        # The survey of this ingest has visited the objects of the file.
        with open_hdf5(where, error=InputError, what=_WHAT, then=_AGAIN, checked=True) as file:
            for number, (array, row) in enumerate(zip(places["array"].tolist(), places["row"].tolist(), strict=True)):
                try:
                    flat = np.asarray(file[f"data{array}"][row])
                except (OSError, KeyError) as error:
                    text = f"{where}: data{array} row {row} cannot be read ({' '.join(str(error).split())})"
                    yield CellProblem(
                        row=number, file=where, reason="damaged_image", detail=f"{text}; download it again"
                    )
                    continue
                pixels = flat.reshape(shape)[chosen]
                # Stored as float64 by some versions; what tiles hold is float32 at most.
                yield CellImage(row=number, pixels=pixels.astype(np.float32) if pixels.dtype == np.float64 else pixels)

    def _listed(self, file: h5py.File) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], list[str]]:
        """Return array, row and class of each cell."""
        config = self.config
        numbers = sorted(int(match[1]) for name in file if (match := _DATA.fullmatch(str(name))))
        if not numbers:
            found = ", ".join(map(str, file)) or "nothing"
            raise InputError(f"{config.path}: no array data1, so this is not a DeepLoc archive; it holds {found}")
        arrays, rows, labels = [], [], []
        wanted = len(config.channels) * config.size_px**2
        for number in numbers:
            shape = tuple(file[f"data{number}"].shape)
            if len(shape) != 2 or shape[1] != wanted:
                raise InputError(
                    f"{config.path}: data{number} has the shape {' x '.join(map(str, shape))}, expected rows of "
                    f"{wanted} pixels ({len(config.channels)} channels of {config.size_px} px); correct 'channels'"
                )
            arrays.append(np.full(shape[0], number, np.int32))
            rows.append(np.arange(shape[0], dtype=np.int64))
            if config.classes:
                labels += self._classes(file, number, shape[0])
        return np.concatenate(arrays), np.concatenate(rows), labels

    def _classes(self, file: h5py.File, number: int, n: int) -> list[str]:
        config, name = self.config, f"Index{number}"
        shape = tuple(file[name].shape) if name in file else ()
        if len(shape) != 2 or shape[0] != n or shape[1] < len(config.classes):
            found = " x ".join(map(str, shape)) if shape else "nothing"
            raise InputError(
                f"{config.path}: {name} is {found}, expected {n} rows and at least {len(config.classes)} "
                "columns, one per class; correct 'classes'"
            )
        marks = np.asarray(file[name][:, : len(config.classes)]) == 1
        return [";".join(config.classes[place] for place in np.flatnonzero(row)) for row in marks]
