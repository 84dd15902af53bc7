"""AnnData files (``.h5ad``): every array and sparse matrix is checked before anndata builds anything of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anndata
import h5py

from framework.errors import DatasetError, WellstreamError
from framework.files.failures import AGAIN, check_memory, reading
from framework.files.hdf5 import datasets, open_hdf5
from framework.files.sparse import check_groups


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
    with reading(file, error, what, then):
        return anndata.read_h5ad(file)


def read_h5ad_part(
    file: Path | str,
    part: str,
    *,
    error: type[WellstreamError] = DatasetError,
    what: str = "an AnnData file",
    then: str = AGAIN,
) -> Any:
    """Return one element of an AnnData file: ``obs``, ``var``, ``obsm/protein`` ... Raises as ``read_h5ad``."""
    with _opened(file, error, what, then) as opened:
        if part not in opened:
            raise error(f"{file}: no '{part}'; it holds {', '.join(opened) or 'nothing'}; {then}")
        return anndata.io.read_elem(opened[part])


@contextmanager
def _opened(file: Path | str, error: type[WellstreamError], what: str, then: str) -> Iterator[h5py.File]:
    with open_hdf5(file, error=error, what=what, then=then) as opened:
        check_groups(opened)
        yield opened
