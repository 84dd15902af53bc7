"""AnnData and MuData files (``.h5ad``, ``.h5mu``): each array and sparse matrix is checked before anndata sees it."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.errors import DatasetError, InputError, WellstreamError, did_you_mean
from framework.files.failures import AGAIN, check_memory, reading
from framework.files.hdf5 import datasets, open_hdf5, top_names
from framework.files.sparse import check_groups
from framework.files.text_values import text_values
from framework.format import count_of

if TYPE_CHECKING:
    import anndata


def read_h5ad(
    file: Path | str, *, error: type[WellstreamError] = DatasetError, what: str = "an AnnData file", then: str = AGAIN
) -> anndata.AnnData:
    """Return an AnnData file in memory.

    Raises:
        WellstreamError: of class ``error``: no such regular file, no AnnData, data in other files or never written,
            sparse matrices that contradict themselves, or more than memory holds.
    """
    with _opened(file, error, what, then) as opened:
        check_memory(file, sum(found.nbytes for _, found in datasets(opened)), error, what, then)
    with reading(file, error, what, then), warnings.catch_warnings():
        # Whoever needs distinct names says so in a sentence.
        warnings.filterwarnings("ignore", message=".*names are not unique")
        table: anndata.AnnData = _library().read_h5ad(file)
        return table


@contextmanager
def _opened(file: Path | str, error: type[WellstreamError], what: str, then: str) -> Iterator[h5py.File]:
    with open_hdf5(file, error=error, what=what, then=then) as opened:
        check_groups(opened)
        yield opened


def numbers_of(
    data: anndata.AnnData,
    file: Path | str,
    layer: str | None = None,
    *,
    dtype: type[np.floating[Any]] = np.float64,
    error: type[WellstreamError] = InputError,
) -> npt.NDArray[Any]:
    """Return ``X`` or a layer of an AnnData object as a dense matrix (rows, columns) of ``dtype``.

    Args:
        data: the object.
        file: its file, for messages.
        layer: name of a layer; None for ``X``.
        dtype: float type of the result.
        error: class to raise.

    Raises:
        WellstreamError: of class ``error``: there is no such matrix, or it does not hold numbers.
    """
    layers = [str(name) for name in data.layers]
    shown = ", ".join(layers) or "none"
    if layer is None and data.X is None:
        raise error(f"{file}: no matrix X; expected numbers there (it has the layers: {shown})")
    if layer is not None and layer not in layers:
        raise error(f"{file}: no layer '{layer}'; it has {shown}" + did_you_mean(layer, layers))
    matrix = data.X if layer is None else data.layers[layer]
    return as_numbers(matrix, f"{file}: {'X' if layer is None else layer}", dtype=dtype, error=error)


def as_numbers(
    matrix: Any, what: str, *, dtype: type[np.floating[Any]] = np.float64, error: type[WellstreamError] = InputError
) -> npt.NDArray[Any]:
    """Return a matrix of an AnnData object, sparse, dense or a frame, as a dense one of ``dtype``.

    Args:
        matrix: (rows, columns).
        what: its file and name, for messages.
        dtype: float type of the result.
        error: class to raise.

    Raises:
        WellstreamError: of class ``error``: it does not hold numbers.
    """
    if isinstance(matrix, pd.DataFrame) and all(map(pd.api.types.is_numeric_dtype, matrix.dtypes)):
        # Columns of several types, or with missing whole numbers, would become objects.
        matrix = matrix.to_numpy(dtype=dtype, na_value=np.nan)
    dense = np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)
    if dense.dtype.kind not in "iufb":
        raise error(f"{what} holds {dense.dtype} instead of numbers")
    return dense.astype(dtype, copy=False)


def h5ad_files(folder: Path, then: str) -> list[Path]:
    """Return the ``.h5ad`` files of a folder, by name.

    Raises:
        InputError: it has none; the sentence names folders inside that have some, else it ends with ``then``.
    """
    found = sorted(folder.glob("*.h5ad"))
    if found:
        return found
    inside = sorted({file.parent.name for file in folder.glob("*/*.h5ad")})
    if not inside:
        raise InputError(f"{folder}: no .h5ad file in this folder; {then}")
    shown = ", ".join(inside[:3]) + (" ..." if len(inside) > 3 else "")
    raise InputError(
        f"{folder}: no .h5ad file in this folder, but in {count_of(len(inside), 'folder')} inside it ({shown}); name "
        f"one of these, or all: {folder}/*"
    )


def is_mudata(file: Path | str) -> bool:
    """Return whether a file is HDF5 with modalities, as MuData writes it; of a file that is not HDF5 False."""
    return "mod" in top_names(file)


def read_modality(
    file: Path | str,
    modality: str | None,
    *,
    same: Collection[str] = (),
    error: type[WellstreamError] = DatasetError,
    what: str = "a MuData file",
    then: str = AGAIN,
) -> anndata.AnnData:
    """Return one modality of a MuData file: ``X``, layers, ``raw``, ``obs`` and ``var``.

    Columns of the ``obs`` of the whole file, which tells about all modalities, follow those of the modality.

    Args:
        file: the file.
        modality: its name; None for the only one.
        same: columns that say the same of a cell wherever both tables have them.
        error: class to raise.
        what: the file should be, with its article.
        then: what to do about it.

    Raises:
        WellstreamError: of class ``error``, as ``read_h5ad``; no such modality, or several and none is named; or the
            two tables contradict each other in a column of ``same``.
    """
    with _opened(file, error, what, then) as opened:
        if not isinstance(opened.get("mod"), h5py.Group):
            raise error(f"{file}: no group 'mod'; expected {what} with a group per modality; {then}")
        known = [str(name) for name in opened["mod"]]
        if modality is None and len(known) != 1:
            raise error(f"{file}: has the modalities {', '.join(known) or 'none'}; choose one with 'modality:'")
        name = known[0] if modality is None else modality
        if name not in known:
            raise error(
                f"{file}: no modality '{name}'; it has {', '.join(known) or 'none'}" + did_you_mean(name, known)
            )
        group = opened["mod"][name]
        check_memory(file, sum(found.nbytes for _, found in datasets(group)), error, what, then)
        obs = _library().io.read_elem(group["obs"])
        common = _common(opened, obs)
        for column in same:
            if column in obs and column in common:
                _check_same(file, name, obs[column], common[column], error)
        return _built(group, pd.concat([obs, common[[one for one in common if one not in obs]]], axis=1))


def _library() -> Any:
    """Return anndata. It takes a second to load, and commands that open a dataset without targets do not need it."""
    return importlib.import_module("anndata")


def _built(group: h5py.Group, obs: pd.DataFrame) -> anndata.AnnData:
    read = _library().io.read_elem
    layers = group.get("layers", {})
    raw = group.get("raw")
    built: anndata.AnnData = _library().AnnData(
        X=read(group["X"]) if "X" in group else None,
        obs=obs,
        var=read(group["var"]),
        layers={str(name): read(layers[name]) for name in layers},
        raw={part: read(raw[part]) for part in ("X", "var")} if isinstance(raw, h5py.Group) else None,
    )
    return built


def _common(opened: h5py.File, obs: pd.DataFrame) -> pd.DataFrame:
    """Return what the obs of the whole file says of the cells of ``obs``; nothing where its names appear twice."""
    common: pd.DataFrame = _library().io.read_elem(opened["obs"]) if "obs" in opened else pd.DataFrame(index=obs.index)
    return common.reindex(obs.index) if common.index.is_unique else pd.DataFrame(index=obs.index)


def _check_same(
    file: Path | str, modality: str, mine: pd.Series[Any], theirs: pd.Series[Any], error: type[WellstreamError]
) -> None:
    """Refuse a fact that the modality and the whole file tell differently: nobody knows which is meant."""
    one, two = text_values(mine), text_values(theirs)
    differs = np.flatnonzero((one != two) & (one != "") & (two != ""))
    if len(differs):
        row = int(differs[0])
        raise error(
            f"{file}: '{mine.name}' of '{mine.index[row]}' is '{one[row]}' in obs of the modality '{modality}' and "
            f"'{two[row]}' in obs of the file ({len(differs)} rows differ); correct one, or remove the column from one"
        )
