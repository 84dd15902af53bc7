"""Sentences about batches whose effects cannot be told from conditions or from other batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph

from data_tools.omics.model_columns import Column

_SHOWN = 4


def confounded_notes(
    columns: Sequence[Column], free: Sequence[int], groups: npt.NDArray[np.intp], protects: bool
) -> tuple[str, ...]:
    """Return a sentence per factor of which not every difference can be estimated.

    Args:
        columns: columns of the model, factor by factor.
        free: which of them can be estimated.
        groups: (S,), number of each sample's condition.
        protects: whether the design protects more than a common mean.
    """
    notes = []
    for factor in dict.fromkeys(column.factor for column in columns):
        places = [place for place, column in enumerate(columns) if column.factor == factor]
        known = sum(place in free for place in places)
        if known < len(places):
            levels = columns[places[0]].levels
            why = _why_covariate(columns[places[0]]) if levels is None else _why(levels, groups, protects)
            told = "its effect" if len(places) == 1 else f"{len(places) - known} of its {len(places)} differences"
            notes.append(f"batch factor '{factor}': {told} cannot be told {why}")
    return tuple(notes)


def _why_covariate(column: Column) -> str:
    if not column.coded.any():
        return "from the mean, because it is the same for all samples"
    return "from the conditions or from the factors before it"


def _why(levels: npt.NDArray[np.object_], groups: npt.NDArray[np.intp], protects: bool) -> str:
    """Name the levels that share no condition with the others; else the factors before explain them."""
    names, number = np.unique(levels.astype(str), return_inverse=True)
    of_level, size = number.reshape(-1), len(names) + int(groups.max(initial=0)) + 1
    edges = (np.ones(len(of_level)), (of_level, len(names) + groups))
    parts, part = csgraph.connected_components(sparse.csr_array(edges, shape=(size, size)), directed=False)
    of_names = part[: len(names)]
    if not protects or len(set(of_names)) < 2:
        return "from those of the factors before it, which explain them"
    if len(set(of_names)) == len(names):
        return (
            "from those of the conditions, because no two of its levels share a condition; their values do not compare"
        )
    largest = np.bincount(of_names, minlength=parts).argmax()
    apart = [f"'{name}'" for name, place in zip(names, of_names, strict=True) if place != largest]
    listed = ", ".join(apart[:_SHOWN]) + (f" and {len(apart) - _SHOWN} more" if len(apart) > _SHOWN else "")
    return (
        f"from those of the conditions, because {listed} share{'s' * (len(apart) == 1)} no condition with the others; "
        "values there do not compare with those of the others"
    )
