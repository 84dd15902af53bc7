"""Feature matrices as they come in: AnnData, CSV or Parquet with one row per cell, checked before any comparison.

A comparison is fair only over the same cells with the same labels, so tables that are compared must name the same
cells; their rows are brought into one order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_numeric_dtype

from framework.data.format.schema import BAG, SOURCE
from framework.errors import InputError, did_you_mean
from framework.evaluate.made_from import MadeFrom
from framework.files.delimited import TextTable, read_text_table
from framework.files.failures import found_instead
from framework.files.h5ad import as_numbers, h5ad_files, read_h5ad
from framework.files.names import why_unmatched
from framework.files.parquet import read_parquet
from framework.files.text_values import text_values
from framework.files.typed_tables import as_text, flat, is_parquet

CELL = "Metadata_Cell"
CELL_NAME = "cell"
"""Column of a CSV that names its cells."""
_WHAT = "a table of features with one row per cell"
_ABOUT = "features are numbers, and columns that describe a cell begin with Metadata_"
_TEXT = re.compile(r"\.(csv|tsv|txt|tab)(\.(gz|bz2|xz))?$", re.IGNORECASE)
_OF_CELL = ("part", "tile", "bag", SOURCE, BAG, "site", "y_px", "x_px", "cell", "n_sites", "n_cells", "n_tiles")


@dataclass(frozen=True, kw_only=True)
class FeatureTable(MadeFrom):
    """Features of cells.

    Attributes:
        name: as shown in the comparison.
        file: where it was read from, with ``#key`` for a matrix beside ``X``.
        kind: ``intensity``, ``classic``, ``transfer``, ``embeddings``, or empty when the file does not say.
        digest: digest of the dataset it was made from, empty when the file does not say.
        cells: one row per cell: bag and tile columns; index = name of the cell.
        columns: names of the features.
        values: float32 (n, d), finite.
        facts: ``uns["wellstream"]``; empty when the file does not say.
    """

    name: str
    file: str
    kind: str
    digest: str
    cells: pd.DataFrame
    columns: tuple[str, ...]
    values: npt.NDArray[np.float32]
    facts: Mapping[str, Any] = field(default_factory=dict)


def open_features(source: Path | str, *, finite: bool = True) -> list[FeatureTable]:
    """Read the feature matrices of one file.

    Args:
        source: ``[NAME=]FILE[#KEY]``, or a folder of ``.h5ad`` files, which are called ``NAME file``. FILE is an
            ``.h5ad`` of ``wellstream embed`` or ``wellstream features``, any other AnnData, a CSV (also packed) or a
            Parquet table; it is known by what it holds. KEY names an entry of ``obsm`` to take instead of ``X``. An
            ``.h5ad`` whose ``X`` has no column gives every numeric entry of ``obsm``.
        finite: refuse values that are NaN or infinite.

    Raises:
        InputError: no such file or key, no features, or a value that is NaN or infinite.
    """
    name, path, key = _parsed(str(source))
    if path.is_dir():
        files = h5ad_files(path, "make features with: wellstream features, or wellstream embed RUN")
        inside = [table for file in files for table in open_features(file)]
        return [_named(table, name, alone=False) for table in inside]
    if not path.is_file():
        raise InputError(f"{path}: no such file; make features with: wellstream features, or wellstream embed RUN")
    if path.suffix.lower() == ".h5ad" or h5py.is_hdf5(path):
        tables = _from_anndata(path, key)
    elif not (_TEXT.search(path.name) or is_parquet(path)):
        raise InputError(f"{path}: expected an .h5ad, .csv or .parquet file of features, found {found_instead(path)}")
    else:
        if key is not None:
            raise InputError(f"{path}#{key}: this table holds one matrix; leave '#{key}' out")
        tables = [_from_parquet(path) if is_parquet(path) else _from_text(path)]
    for table in tables if finite else ():
        _check_values(table)
    return [_named(table, name, alone=len(tables) == 1) for table in tables]


def open_same_cells(sources: Sequence[Path | str]) -> list[FeatureTable]:
    """Read several feature matrices and bring them into the row order of the first.

    Raises:
        InputError: none given, one that cannot be read, a name twice, or other cells.
    """
    if not sources:
        raise InputError("expected at least one file of features, found none; see: wellstream features --help")
    tables = [table for source in sources for table in open_features(source)]
    names = [table.name for table in tables]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(
            f"two feature sets are called '{twice[0]}'; give them different names, such as {twice[0]}2=FILE"
        )
    return [tables[0], *(_in_order_of(tables[0], table) for table in tables[1:])]


def column(table: FeatureTable, name: str) -> pd.Series[Any]:
    """Return a column of the cells as text, missing where it is empty.

    Raises:
        InputError: no such column.
    """
    if name not in table.cells.columns:
        known = [str(item) for item in table.cells.columns]
        raise InputError(
            f"{table.file}: the cells have no column '{name}'; they have {', '.join(known) or 'none'}"
            + did_you_mean(name, known)
        )
    # Whole numbers with gaps come as 1.0, and are called 1.
    text = pd.Series(text_values(table.cells[name]), index=table.cells.index, dtype=object)
    return text.where(text != "")


def _parsed(source: str) -> tuple[str, Path, str | None]:
    name, equals, rest = source.partition("=")
    if not equals or "/" in name or Path(source).is_file():
        name, rest = "", source
    file, hashed, key = rest.rpartition("#")
    return (name, Path(file), key) if hashed and not Path(rest).is_file() else (name, Path(rest), None)


def _named(table: FeatureTable, name: str, *, alone: bool) -> FeatureTable:
    if not name:
        return table
    return replace(table, name=name if alone else f"{name} {table.name}")


def _from_anndata(path: Path, key: str | None) -> list[FeatureTable]:
    data = read_h5ad(path, error=InputError, what="features (.h5ad)", then="make it again")
    matrices: dict[str | None, Any] = {None: data.X} if data.X is not None and data.n_vars else {}
    beside = {str(name): values for name, values in data.obsm.items() if getattr(values, "ndim", 0) == 2}
    if key is not None:
        if key not in beside:
            raise InputError(
                f"{path}: no matrix '{key}' in obsm; it has {', '.join(beside) or 'none'}" + did_you_mean(key, beside)
            )
        matrices = {key: beside[key]}
    elif not matrices:
        matrices = {name: beside[name] for name in sorted(beside)}
    if not matrices:
        raise InputError(f"{path}: no features: X is empty and obsm holds no matrix")
    repeated = data.obs_names[data.obs_names.duplicated()]
    if len(repeated):
        raise InputError(f"{path}: cell '{repeated[0]}' appears more than once; expected one row per cell")
    told = data.uns.get("wellstream")
    facts: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    tables = []
    for entry, values in matrices.items():
        dense = as_numbers(values, f"{path}: {entry or 'X'}", dtype=np.float32)
        names = data.var_names if entry is None else [f"{entry}_{i:04d}" for i in range(dense.shape[1])]
        tables.append(
            FeatureTable(
                name=path.stem if entry is None else entry,
                file=str(path) if entry is None else f"{path}#{entry}",
                kind=str(facts.get("features") or facts.get("kind") or ""),
                digest=str(facts.get("dataset_digest", "")),
                cells=data.obs,
                columns=tuple(str(item) for item in names),
                values=dense,
                facts=facts,
            )
        )
    return tables


def _from_text(path: Path) -> FeatureTable:
    table = read_text_table(path, what=_WHAT)
    if "" in table.names:
        raise InputError(
            f"{path}: column {table.names.index('') + 1} has no name; call it '{CELL_NAME}' if it names the cells"
        )
    about, measured = _kinds(path, table.names)
    try:
        values = table.matrix(measured).astype(np.float32)
    except InputError as error:
        raise InputError(f"{error}; {_ABOUT}") from None
    return _of_columns(path, table, about, measured, values)


def _from_parquet(path: Path) -> FeatureTable:
    frame = flat(read_parquet(path, error=InputError, what=_WHAT), path)
    about, measured = _kinds(path, tuple(frame.columns))
    worded = [name for name in measured if not is_numeric_dtype(frame[name])]
    if worded:
        raise InputError(f"{path}: the column '{worded[0]}' is of type {frame[worded[0]].dtype}; {_ABOUT}")
    values = frame[measured].to_numpy(dtype=np.float32, na_value=np.nan)
    return _of_columns(path, as_text(frame[about], path), about, measured, values)


def _kinds(path: Path, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the columns that describe a cell, and those that are features. Raises InputError: there are none."""
    about = [name for name in names if name.startswith("Metadata_") or name in (*_OF_CELL, CELL_NAME)]
    measured = [name for name in names if name not in about]
    if not measured:
        raise InputError(f"{path}: no features: every column describes the cell")
    return about, measured


def _of_columns(
    path: Path, table: TextTable, about: list[str], measured: list[str], values: npt.NDArray[np.float32]
) -> FeatureTable:
    cells = _names_of_cells(table, about)
    if cells.duplicated().any():
        raise InputError(f"{path}: cell '{cells[cells.duplicated()].iloc[0]}' appears twice; one row per cell")
    return FeatureTable(
        name=path.stem,
        file=str(path),
        kind="",
        digest="",
        cells=table.text[about].set_axis(pd.Index(cells.to_numpy(dtype=object))),
        columns=tuple(measured),
        values=values,
    )


def _names_of_cells(table: TextTable, about: Sequence[str]) -> pd.Series[Any]:
    """Return names of the rows of a table: its own, or else their places."""
    if CELL_NAME in about:
        return table.column(CELL_NAME)
    if "tile" in about:
        return "tile-" + table.column("tile")
    # Names that repeat are of cells within their wells.
    if CELL in about and not table.column(CELL).duplicated().any():
        return table.column(CELL)
    return pd.Series([f"row-{row}" for row in range(len(table))])


def _check_values(table: FeatureTable) -> None:
    if not len(table.values) or not table.values.shape[1]:
        rows, columns = table.values.shape
        raise InputError(
            f"{table.file}: expected a row per cell and a column per feature, found {rows} cells and {columns} "
            "features; make features with: wellstream features, or wellstream embed RUN"
        )
    # A sum is finite only where all its terms are: one pass without a mask of the whole matrix.
    with np.errstate(invalid="ignore", over="ignore"):
        suspicious = not np.isfinite(table.values.sum(axis=0, dtype=np.float64)).all()
    if not suspicious:
        return
    bad = ~np.isfinite(table.values)
    row, feature = np.argwhere(bad)[0]
    raise InputError(
        f"{table.file}: {int(bad.sum())} values are NaN or infinite, in {int(bad.any(axis=1).sum())} cells and "
        f"{int(bad.any(axis=0).sum())} features; the first is '{table.columns[feature]}' of cell "
        f"'{table.cells.index[row]}'. Leave those cells or features out, then evaluate again"
    )


def _in_order_of(first: FeatureTable, other: FeatureTable) -> FeatureTable:
    if first.digest and other.digest and first.digest != other.digest:
        raise InputError(
            f"{other.file} was made from another dataset than {first.file}, or the dataset was changed in "
            "between; their cells differ although they may have equal names. Make both from one dataset"
        )
    if first.cells.index.equals(other.cells.index):
        _need_same_facts(first, other)
        return other
    place = other.cells.index.get_indexer(first.cells.index)
    missing, extra = int((place < 0).sum()), len(other.cells) - int((place >= 0).sum())
    if missing or extra:
        alone = first.cells.index[place < 0] if missing else other.cells.index.difference(first.cells.index)
        raise InputError(
            f"{other.file} holds other cells than {first.file}: {missing} are missing and {extra} are extra, the first "
            f"is '{alone[0]}'. Feature sets are compared on the same cells; make both from one dataset"
            + (why_unmatched(list(first.cells.index), list(other.cells.index)) if missing == len(place) else "")
        )
    ordered = replace(other, cells=other.cells.iloc[place], values=other.values[place])
    _need_same_facts(first, ordered)
    return ordered


def _need_same_facts(first: FeatureTable, other: FeatureTable) -> None:
    """Raises InputError: what two tables both say of a cell differs, so they are of other cells or other labels."""
    shared = [str(name) for name in first.cells.columns if name in other.cells.columns]
    for name in (name for name in shared if name.startswith("Metadata_")):
        mine, theirs = column(first, name).fillna(""), column(other, name).fillna("")
        both = (mine != "").to_numpy() & (theirs != "").to_numpy()
        differs = np.flatnonzero(both & (mine.to_numpy() != theirs.to_numpy()))
        if len(differs):
            row = int(differs[0])
            raise InputError(
                f"{other.file}: cell '{other.cells.index[row]}' has '{theirs.iloc[row]}' in column '{name}', "
                f"in {first.file} it has '{mine.iloc[row]}'; {len(differs)} of {len(mine)} cells differ like "
                "that. Feature sets are compared on the same cells, which are matched by the column "
                f"'{CELL_NAME}', 'tile' or '{CELL}' (the first that exists), or else by row number. Correct "
                "the tables, or sort their rows in the same way"
            )
