"""Reading counts of single cells, whatever the file: cells x features, sparse, with names that are checked."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import io, sparse

from framework.errors import InputError

csr: Any = sparse.csr_array
"""Typed loosely: the published types of scipy reject its own slices."""
GENE, PROTEIN = "Gene Expression", "Antibody Capture"
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True)
class Counts:
    """A table of counts.

    Attributes:
        values: float32 CSR (cells, features), finite and not below 0.
        cells: names, distinct.
        features: names, distinct.
        kinds: ``Gene Expression`` or ``Antibody Capture`` of each feature.
    """

    values: Any
    cells: pd.Index
    features: pd.Index
    kinds: npt.NDArray[np.object_]

    def of_kind(self, kind: str) -> Counts:
        """Return the features of one kind."""
        return self.columns(self.kinds == kind)

    def rows(self, chosen: npt.NDArray[Any]) -> Counts:
        """Return the cells of a mask or of positions."""
        return Counts(values=self.values[chosen], cells=self.cells[chosen], features=self.features, kinds=self.kinds)

    def columns(self, chosen: npt.NDArray[Any]) -> Counts:
        """Return the features of a mask or of positions."""
        return Counts(
            values=self.values[:, chosen],
            cells=self.cells,
            features=self.features[chosen],
            kinds=self.kinds[chosen],
        )


def read_counts(path: Path | str, kind: str = GENE) -> Counts:
    """Read a table of counts.

    Args:
        path: see ``SingleCellConfig.genes``.
        kind: of the features of a file that does not say.

    Raises:
        InputError: no such file, a format not known, text among numbers, counts below 0 or not finite, names twice.
    """
    file = Path(path)
    if not file.exists():
        raise InputError(f"{file}: no such file or folder; expected counts of single cells")
    try:
        counts = _reader(file)(file, kind)
    except (OSError, EOFError, KeyError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file}: cannot be read as counts of single cells: {error}") from None
    return _checked(counts, file)


def _reader(file: Path) -> Callable[[Path, str], Counts]:
    name = file.name.lower()
    if file.is_dir():
        return _read_10x_folder
    if name.endswith((".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")):
        return _read_text
    if name.endswith(".h5ad"):
        return _read_h5ad
    if name.endswith((".h5", ".hdf5")):
        return _read_10x_h5
    raise InputError(f"{file}: expected .csv, .tsv (also .gz), .h5ad, a 10x .h5 or a 10x folder with matrix.mtx.gz")


def _read_text(file: Path, kind: str) -> Counts:
    """Genes x cells; read in pieces, so that the dense table is never in memory."""
    separator = "," if ".csv" in file.name.lower() else "\t"
    pieces: list[Any] = []
    names: list[str] = []
    cells = pd.Index([])
    for part in pd.read_csv(file, sep=separator, index_col=0, chunksize=_ROWS_AT_ONCE, low_memory=False):
        text = [str(column) for column in part.columns if len(part) and part[column].dtype.kind not in "iufb"]
        if text:
            bad = pd.to_numeric(part[text[0]], errors="coerce").isna()
            row = part.index[bad.to_numpy()][0] if bad.any() else part.index[0]
            raise InputError(
                f"{file}: column '{text[0]}' holds '{part.loc[row, text[0]]}' for '{row}'; expected a number"
            )
        if len(part):
            pieces.append(csr(part.to_numpy(dtype=np.float32)))
        names += [str(name) for name in part.index]
        cells = part.columns
    if not pieces:
        raise InputError(f"{file}: holds no row; expected one a gene and one column a cell")
    values = csr(sparse.vstack(pieces).T)
    return _counts(values, cells, names, [kind] * len(names))


def _read_h5ad(file: Path, kind: str) -> Counts:
    data = anndata.read_h5ad(file)
    kinds = data.var["feature_types"] if "feature_types" in data.var else [kind] * data.n_vars
    return _counts(csr(data.X), data.obs_names, data.var_names, kinds)


def _read_10x_folder(folder: Path, kind: str) -> Counts:
    matrix = _first(folder, ("matrix.mtx.gz", "matrix.mtx"))
    features = _lines(_first(folder, ("features.tsv.gz", "genes.tsv", "features.tsv")))
    cells = [line[0] for line in _lines(_first(folder, ("barcodes.tsv.gz", "barcodes.tsv")))]
    values = csr(io.mmread(str(matrix)).T, dtype=np.float32)
    if values.shape != (len(cells), len(features)):
        raise InputError(
            f"{matrix}: {values.shape[1]} features x {values.shape[0]} cells, but {len(features)} features and "
            f"{len(cells)} barcodes beside it"
        )
    kinds = [line[2] if len(line) > 2 else kind for line in features]
    return _counts(values, cells, _distinct([line[1] if len(line) > 1 else line[0] for line in features]), kinds)


def _read_10x_h5(file: Path, kind: str) -> Counts:
    with h5py.File(file) as store:
        if "matrix" not in store:
            raise InputError(
                f"{file}: no group 'matrix'; expected a 10x feature-barcode matrix (Cell Ranger 3 or later)"
            )
        matrix = store["matrix"]
        parts = tuple(matrix[name][:] for name in ("data", "indices", "indptr"))
        features, cells = matrix["features"], matrix["barcodes"][:]
        names = _distinct([name.decode() for name in features["name"][:]])
        kinds = [name.decode() for name in features["feature_type"][:]] if "feature_type" in features else None
        shape = tuple(int(size) for size in matrix["shape"][:])
    # 10x stores features x cells by column, which read by row is cells x features.
    values = csr(parts, shape=shape[::-1], dtype=np.float32)
    return _counts(values, [cell.decode() for cell in cells], names, kinds or [kind] * len(names))


def _counts(values: Any, cells: Iterable[Any], features: Iterable[Any], kinds: Iterable[Any]) -> Counts:
    return Counts(
        values=csr(values, dtype=np.float32),
        cells=pd.Index([str(name) for name in cells]),
        features=pd.Index([str(name) for name in features]),
        kinds=np.array([str(name) for name in kinds], dtype=object),
    )


def _checked(counts: Counts, file: Path) -> Counts:
    for what, names in (("cell", counts.cells), ("feature", counts.features)):
        twice = names[names.duplicated()]
        if len(twice):
            raise InputError(f"{file}: the {what} '{twice[0]}' stands twice; expected distinct names")
    bad = ~np.isfinite(counts.values.data) | (counts.values.data < 0)
    if bad.any():
        row = int(np.searchsorted(counts.values.indptr, np.flatnonzero(bad)[0], side="right")) - 1
        column = counts.values.indices[np.flatnonzero(bad)[0]]
        raise InputError(
            f"{file}: cell '{counts.cells[row]}' has {counts.values.data[bad][0]:g} of '{counts.features[column]}'; "
            "expected finite counts of at least 0"
        )
    return counts


def _first(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder}: holds no {names[0]}; expected a 10x folder with matrix, features and barcodes")


def _lines(file: Path) -> list[list[str]]:
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as stream:
        return [line.rstrip("\n").split("\t") for line in stream if line.strip()]


def _distinct(names: list[str]) -> list[str]:
    """10x names genes by symbol, which some genes share: the second of a name becomes ``name-1``."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        count = seen.get(name, 0)
        seen[name] = count + 1
        result.append(f"{name}-{count}" if count else name)
    return result
