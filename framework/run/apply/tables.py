"""Results as AnnData: row tables of bags and tiles, the facts in ``uns``, and a writer that never holds the matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.config import to_yaml
from framework.data.dataset import Dataset
from framework.data.format.schema import CONTROL_TYPE, SITE
from framework.data.split import Parts
from framework.data.store import dataset_digest
from framework.durable import naming, temporary_name
from framework.errors import RunError, sentence_of
from framework.files.h5_writing import write_h5ad, write_h5ad_at, writing_hdf5
from framework.run.train.opened import Application, OpenedRun
from framework.tracking import versions

OF_BAGS = {"n_cells": "Metadata_CellCount", "n_sites": "Metadata_SiteCount"}
OF_TILES = {"site": SITE, "y_px": "Metadata_Center_Y", "x_px": "Metadata_Center_X"}
"""Columns of ours -> what mantispy calls them (its schema 2.0); plates, wells and whatever a plate map brought have the
names of the convention already."""
CONTROL = "Metadata_Control"
"""Whether a well is a control of any kind, which mantispy wants beside its kind."""


def bag_rows(dataset: Dataset, parts: Parts, bags: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Return the bag table of bags (n,) with the column ``part``, ready for ``obs``; n rows."""
    table = _with_names(dataset.bags.iloc[bags].assign(part=parts[bags]), OF_BAGS)
    return _writable(table, [f"bag-{bag}" for bag in bags])


def tile_rows(dataset: Dataset, parts: Parts, tiles: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Return one row per tile of (n,): the columns of its bag, part, tile, site, y_px, x_px and labels."""
    own = dataset.tile_table(["site", "y_px", "x_px", *dataset.tile_labels()]).iloc[tiles].reset_index(drop=True)
    bags = dataset.index.bag[tiles]
    table = dataset.bags.iloc[bags].assign(part=parts[bags], tile=tiles).reset_index(drop=True)
    return _writable(_with_names(pd.concat([table, own], axis=1), OF_TILES), [f"tile-{tile}" for tile in tiles])


def _with_names(table: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Return a table with its columns under the names of others too; a column that is there already stays as it is."""
    named = table.assign(**{theirs: table[ours] for ours, theirs in names.items() if theirs not in table})
    if CONTROL_TYPE in named and CONTROL not in named:
        named[CONTROL] = named[CONTROL_TYPE].astype(str) != "treatment"
    return named


def targets_of(data: Path | str) -> list[Path]:
    """Return the files of targets of a dataset folder; none of a dataset behind a URL."""
    return sorted((Path(data) / "targets").glob("*.h5ad"))


def files_read(run: OpenedRun, data: Path | str | None) -> list[Path]:
    """Return the ``.h5ad`` files that applying a run may read: cached embeddings, and targets of the dataset."""
    section = run.config.data
    cached = [] if section.embeddings is None else [Path(section.embeddings)]
    return [*cached, *targets_of(section.path if data is None else data)]


def facts_of(on: Application, kind: str) -> dict[str, Any]:
    """Return ``uns["wellstream"]``: what made these numbers, of which data."""
    run, dataset = on.run, on.dataset
    return {
        "kind": kind,
        "objective": run.config.objective.name,
        "config": to_yaml(run.config),
        "split": run.config.split.facts(),
        "versions": versions(),
        "dataset": dataset.manifest.name,
        "dataset_path": dataset.where if dataset.remote else str(dataset.root.absolute()),
        "dataset_digest": dataset_digest(dataset),
        "weights": run.weights,
        "step": run.step,
    }


class StreamedTable:
    """An .h5ad whose contiguous float32 ``X`` is written block by block; it appears under its name at the end.

    A context: the file is published when the block ends well, and nothing is left when it raises. Contiguous and not
    compressed, so that training can map it into memory.

    Args:
        out: the file.
        obs: one row per row of ``X``.
        columns: columns of ``X``.
        facts: ``uns["wellstream"]``.
        names: names of the columns; None: ``d0000`` and so on.

    Attributes:
        rows: written so far.
    """

    def __init__(
        self, out: Path, obs: pd.DataFrame, columns: int, facts: dict[str, Any], names: Sequence[str] | None = None
    ) -> None:
        self.rows = 0
        self._out = out
        self._beside = temporary_name(with_folder(out))
        var = pd.DataFrame(index=[f"d{i:04d}" for i in range(columns)] if names is None else list(names))
        self._empty = anndata.AnnData(obs=obs, var=var, uns={"wellstream": facts})

    def fill(self, column: str, values: npt.NDArray[Any]) -> None:
        """Write a column (n,) of ``obs`` that is known only once all rows are; ``obs`` had it from the beginning."""
        self._columns[column][...] = values
        self._check()

    def written(self, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Return rows that were written already, (stop - start, d)."""
        return np.asarray(self._matrix[start:stop], dtype=np.float32)

    def append(self, rows: npt.NDArray[np.float32]) -> None:
        """Write the next rows, (n, d). Raises OSError where the disk does not take them."""
        self._matrix[self.rows : self.rows + len(rows)] = rows
        self._check()
        self.rows += len(rows)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with naming(self._out):
            try:
                write_h5ad_at(self._beside, self._empty)
                with writing_hdf5(self._beside, "r+") as (file, self._check):
                    if "X" in file:
                        del file["X"]
                    self._matrix = file.create_dataset("X", shape=self._empty.shape, dtype="<f4")
                    self._columns = file["obs"]
                    self._matrix.attrs["encoding-type"] = "array"
                    self._matrix.attrs["encoding-version"] = "0.2.0"
                    yield
                self._beside.replace(self._out)
            finally:
                self._beside.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self._context = self._writing()
        self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.__exit__(kind, error, trace)


def write_table(out: Path, data: anndata.AnnData) -> None:
    """Write an .h5ad in one step: it is whole or absent."""
    write_h5ad(with_folder(out), data)


def with_folder(out: Path) -> Path:
    """Make the folder of the file ``out``, and return ``out``.

    Raises:
        RunError: ``out`` is a folder, or cannot get one.
    """
    if out.is_dir():
        raise RunError(f"{out}: expected the name of a file, found a folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{out}: cannot make its folder: {sentence_of(error)}") from None
    return out


def _writable(table: pd.DataFrame, index: list[str]) -> pd.DataFrame:
    """Text as categories, as AnnData stores it; whatever else a plate map brought becomes text."""
    table = table.copy()
    for name in table.columns:
        column = table[name]
        if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
            table[name] = column.where(column.isna(), column.astype(str)).astype("category")
    table.index = pd.Index(index)
    return table
