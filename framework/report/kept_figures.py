"""What a dataset keeps for its report: figures and facts of ingest, listed in ``qc/index.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from framework.data.dataset import Dataset
from framework.files.failures import is_inside
from framework.files.json_file import read_mapping


def kept_index(dataset: Dataset) -> Mapping[str, Any]:
    """Return what qc/index.json lists; nothing where the dataset has none."""
    index = dataset.file("qc/index.json")
    if not index.is_file():
        return {}
    return read_mapping(index, what="the list of figures of a dataset", then="ingest again")


def kept_figures(dataset: Dataset, name: str, keys: tuple[str, ...]) -> list[Mapping[str, Any]]:
    """Return the entries of a list in qc/index.json that have ``keys`` and whose file lies in the dataset."""
    found = kept_index(dataset).get(name, [])
    entries = [entry for entry in found if isinstance(entry, Mapping) and set(keys) <= set(entry)]
    # A name read from a file must not lead out of the dataset.
    inside = [entry for entry in entries if is_inside(dataset.root / str(entry["file"]), dataset.root)]
    return [entry for entry in inside if dataset.file(str(entry["file"])).is_file()]


def evenly(start: int, stop: int, most: int) -> npt.NDArray[np.int64]:
    """Return up to ``most`` evenly spaced whole numbers of [start, stop), each once, int64 (n,)."""
    n = min(most, stop - start)
    return start + (np.arange(n, dtype=np.int64) * (stop - start)) // max(n, 1)
