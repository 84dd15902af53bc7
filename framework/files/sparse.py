"""Compressed sparse matrices, checked before native code follows their positions: scipy crashes on wrong ones."""

from __future__ import annotations

from typing import Any, Literal

import h5py
import numpy as np
import numpy.typing as npt
from scipy import sparse

_BLOCK = 1 << 22
"""Positions looked at in one go."""


def check_compressed(
    data: Any, indices: Any, indptr: Any, shape: tuple[int, ...], by: Literal["row", "column"]
) -> None:
    """Check the three arrays of a CSR (``by`` row) or CSC (``by`` column) matrix.

    Args:
        data: values (nnz,), an array or a dataset of HDF5.
        indices: column (row) of each value, (nnz,), an array or a dataset, which is read in blocks.
        indptr: first value of each row (column), and nnz, (rows + 1,).
        shape: (rows, columns).
        by: what the values are sorted by.

    Raises:
        ValueError: they contradict each other.
    """
    if len(shape) != 2 or min(shape) < 0:
        raise ValueError(f"a sparse matrix of shape {shape}; expected two sizes of at least 0")
    major, minor = shape if by == "row" else shape[::-1]
    for name, array in (("indices", indices), ("indptr", indptr)):
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise ValueError(f"'{name}' of a sparse matrix is not a list of whole numbers")
    if data.ndim != 1 or len(data) != len(indices):
        raise ValueError(f"a sparse matrix of {len(indices)} positions and {data.size} values; expected equal numbers")
    if len(indptr) != major + 1:
        raise ValueError(
            f"a sparse matrix of {major} {by}s has {len(indptr)} entries in 'indptr', expected {major + 1}"
        )
    starts = np.asarray(indptr[:])
    if int(starts[0]) != 0 or int(starts[-1]) != len(indices) or np.any(starts[1:] < starts[:-1]):
        raise ValueError(f"'indptr' of a sparse matrix does not rise from 0 to its {len(indices)} values")
    for start in range(0, len(indices), _BLOCK):
        block = np.asarray(indices[start : start + _BLOCK])
        bad = (block < 0) | (block >= minor)
        if bad.any():
            raise ValueError(f"'indices' of a sparse matrix holds {block[bad][0]}; expected 0 to {minor - 1}")


def checked_csr(
    data: npt.NDArray[Any], indices: npt.NDArray[Any], indptr: npt.NDArray[Any], shape: tuple[int, int]
) -> Any:
    """Return a CSR array of checked parts. Raises as ``check_compressed``."""
    check_compressed(data, indices, indptr, shape, "row")
    return sparse.csr_array((data, indices, indptr), shape=shape)


def repeated_places(matrix: Any) -> int:
    """Return how many values of a sparse matrix stand at a place of another one, to which scipy adds them.

    Args:
        matrix: sparse in any form, or dense, which has none.
    """
    if not sparse.issparse(matrix) or getattr(matrix, "has_canonical_format", False):
        return 0
    loose: Any = matrix  # the published types of scipy reject its own matrices here
    summed = sparse.csr_array(loose, copy=True)
    summed.sum_duplicates()
    return int(loose.nnz) - int(summed.nnz)


def about_repeated(count: int) -> tuple[str, ...]:
    """Return what is said of so many values at a place of another one."""
    if not count:
        return ()
    return (f"{count} values stand at a place of another one (same cell, same feature) and were added to it",)


def check_groups(file: h5py.File) -> None:
    """Check every sparse matrix of an AnnData file.

    Raises:
        ValueError: one of them contradicts itself; it is named.
        KeyError: one of them lacks a part.
    """

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if not isinstance(item, h5py.Group):
            return
        kind = str(item.attrs.get("encoding-type", item.attrs.get("h5sparse_format", "")))
        if kind not in ("csr_matrix", "csc_matrix", "csr", "csc"):
            return
        shape = item.attrs["shape"] if "shape" in item.attrs else item.attrs["h5sparse_shape"]
        sizes = tuple(int(size) for size in np.atleast_1d(shape))
        by: Literal["row", "column"] = "row" if kind.startswith("csr") else "column"
        try:
            check_compressed(item["data"], item["indices"], item["indptr"], sizes, by)
        except ValueError as error:
            raise ValueError(f"'{name}' is {error}") from None

    file.visititems(visit)
