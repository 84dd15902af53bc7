"""Cached tile embeddings in place of pixels."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from framework.compiled import compiled
from framework.data.dataset import Dataset
from framework.data.permutation import I64
from framework.data.store.base import check_ids, check_request, dataset_digest
from framework.errors import DatasetError, InputError
from framework.files.hdf5 import open_hdf5

_EMBEDDINGS = "a file of tile embeddings"
_BAGS_AT_ONCE = 256
"""Bags whose tiles are in memory together, where a file is stored in chunks."""


class EmbeddingStore:
    """Cached tile embeddings (an .h5ad that ``wellstream embed --level tile`` wrote) in place of pixels.

    Args:
        path: the file; its ``X`` is float32 (T, D).
        dataset: the dataset whose tiles they describe.

    Raises:
        InputError: not such a file.
        DatasetError: it was made from another dataset.
    """

    def __init__(self, path: Path | str, dataset: Dataset) -> None:
        self.dtype: np.dtype[Any] = np.dtype("<f4")
        self._path = Path(path)
        self._lock = threading.Lock()
        shape, offset = self._inspect(dataset)
        self.sample_shape: tuple[int, ...] = (shape[1],)
        self._length = shape[0]
        self._rows = None if offset is None else np.memmap(self._path, self.dtype, "r", offset, shape)

    def __len__(self) -> int:
        return self._length

    def gather(self, tile_ids: I64, out: npt.NDArray[Any]) -> None:
        """Copy embeddings into a buffer.

        Args:
            tile_ids: int64 (n,), rows of tiles.parquet, in any order, repeats allowed.
            out: float32 (n, D), C-contiguous.

        Raises:
            IndexError: an id outside the dataset.
            ValueError: ``out`` has another shape, type or layout.
        """
        check_request(self, tile_ids, out)
        if self._rows is not None:
            # Ids are checked above; mode clip spares the buffered second copy of mode raise.
            np.take(self._rows, tile_ids, axis=0, out=out, mode="clip")
            return
        unique, inverse = np.unique(tile_ids, return_inverse=True)
        with self._lock, open_hdf5(self._path, what=_EMBEDDINGS, then="embed again", checked=True) as file:
            rows = file["X"][unique]
        np.take(rows, inverse, axis=0, out=out, mode="clip")

    def means(self, tile_ids: I64) -> npt.NDArray[np.float32]:
        """Return the mean embedding float32 (K, D) of tiles int64 (K, N), added up in float64.

        Raises:
            IndexError: an id outside the dataset.
        """
        found = np.empty((len(tile_ids), *self.sample_shape), dtype=np.float32)
        if self._rows is not None:
            check_ids(self, tile_ids)
            _add_means(np.asarray(self._rows), np.ascontiguousarray(tile_ids), found)
            return found
        for first in range(0, len(tile_ids), _BAGS_AT_ONCE):
            bags = slice(first, first + _BAGS_AT_ONCE)
            rows = np.empty((tile_ids[bags].size, *self.sample_shape), dtype=np.float32)
            self.gather(tile_ids[bags].ravel(), rows)
            found[bags] = rows.reshape(*tile_ids[bags].shape, -1).mean(axis=1, dtype=np.float64)
        return found

    def _inspect(self, dataset: Dataset) -> tuple[tuple[int, int], int | None]:
        """Shape of ``X`` and where it begins in the file, None when it is stored in chunks."""
        again = f"make one with: {self._command(dataset)}"
        with open_hdf5(self._path, error=InputError, what=_EMBEDDINGS, then=again) as file:
            matrix = file["X"]
            digest = file["uns/wellstream/dataset_digest"].asstr()[()]
            if not isinstance(matrix, h5py.Dataset) or matrix.ndim != 2 or matrix.dtype != self.dtype:
                raise InputError(f"{self._path}: expected X as a dense float32 matrix, found another kind")
            shape, offset = (int(matrix.shape[0]), int(matrix.shape[1])), matrix.id.get_offset()
        expected = dataset_digest(dataset)
        if digest != expected or shape[0] != len(dataset.index):
            raise DatasetError(
                f"{self._path}: holds {shape[0]} embeddings of dataset {digest[:12]}, but {dataset.where} is "
                f"dataset {expected[:12]} with {len(dataset.index)} tiles; embed again: "
                f"{self._command(dataset)}"
            )
        return shape, offset

    def _command(self, dataset: Dataset) -> str:
        return f"wellstream embed RUN --data {dataset.where} --level tile --out {self._path}"


@compiled
def _add_means(rows: npt.NDArray[np.float32], tile_ids: I64, found: npt.NDArray[np.float32]) -> None:
    """Write the mean of the rows of each bag: one pass, where a copy of all rows would be written and read again."""
    total = np.empty(rows.shape[1], dtype=np.float64)
    for bag in range(tile_ids.shape[0]):
        total[:] = 0.0
        for place in range(tile_ids.shape[1]):
            row = rows[tile_ids[bag, place]]
            for column in range(len(total)):
                total[column] += row[column]
        for column in range(len(total)):
            found[bag, column] = total[column] / tile_ids.shape[1]
