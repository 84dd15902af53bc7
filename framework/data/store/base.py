"""What every store offers, and what it checks of a request."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from framework.data.dataset import Dataset
from framework.data.permutation import I64


class Store(Protocol):
    """A source of equally shaped samples, one per tile of the dataset.

    Attributes:
        sample_shape: shape of one sample: (C, H, W) or (D,).
        dtype: stored type.
    """

    sample_shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __len__(self) -> int: ...

    def gather(self, tile_ids: I64, out: npt.NDArray[Any]) -> None:
        """Write sample ``tile_ids[i]`` of (n,) to ``out[i]`` of (n, ...); ids may repeat and come in any order."""
        ...


def dataset_digest(dataset: Dataset) -> str:
    """Return 64 hex digits that name the stored pixels: SHA-256 of tile format and shard checksums."""
    manifest = dataset.manifest
    facts = {"tile": manifest.tile.plain(), "shards": [record.plain() for record in manifest.shards]}
    canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def check_request(store: Store, tile_ids: I64, out: npt.NDArray[Any]) -> None:
    """Refuse ids outside the store and a buffer of another shape. Raises as ``Store.gather``."""
    expected = (len(tile_ids), *store.sample_shape)
    if out.shape != expected or out.dtype != store.dtype or not out.flags.c_contiguous:
        raise ValueError(
            f"gather: expected a C-contiguous buffer {expected} of {store.dtype}, found {out.shape} of {out.dtype}"
        )
    check_ids(store, tile_ids)


def check_ids(store: Store, tile_ids: I64) -> None:
    """Refuse ids outside the store. Raises IndexError."""
    if tile_ids.size and not 0 <= tile_ids.min() <= tile_ids.max() < len(store):
        raise IndexError(f"gather: tile ids must lie in [0, {len(store)})")
