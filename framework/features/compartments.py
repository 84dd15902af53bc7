"""Cells between two compartments: to which of the two average cells is each nearer, and how much do cells differ.

Source: Lu 2019, "Single cell analysis of multiply-localized proteins".
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.errors import InputError, did_you_mean

_BETWEEN = re.compile(r"\s*[;|,+&]\s*")


def two_compartments(
    values: npt.NDArray[np.float32],
    labels: npt.NDArray[np.object_],
    first: str,
    second: str,
    images: npt.NDArray[np.int64],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score every cell of one compartment, or of both.

    Args:
        values: (n, d), standardised features.
        labels: (n,), text; cells of both compartments are labelled with both names, as ``cytosol;nucleoplasm``.
        first: name of a compartment.
        second: name of the other.
        images: (n,), image of each cell.

    Returns:
        Cells: ``row``, ``compartments`` (first, second, or ``first;second``), ``image``, ``score``: the natural
        logarithm of (distance to the mean of the cells in the first alone / distance to that of the second alone);
        negative is nearer to the first. Images: ``compartments``, ``image``, ``cells``, ``mean``, ``sd`` of the scores:
        how much the cells of one image differ.

    Raises:
        InputError: no cell carries one of the names alone.
    """
    parts = [frozenset(_BETWEEN.split(str(label).strip())) if label is not None else frozenset() for label in labels]
    of = {
        first: np.array([item == {first} for item in parts]),
        second: np.array([item == {second} for item in parts]),
        f"{first};{second}": np.array([item == {first, second} for item in parts]),
    }
    for name in (first, second):
        if not of[name].any():
            known = sorted({str(label) for label in labels if label is not None})
            raise InputError(
                f"compartments: no cell is labelled '{name}' alone; labels are {', '.join(known[:12])}"
                + did_you_mean(name, known)
            )
    centres = [values[of[name]].mean(axis=0, dtype=np.float64) for name in (first, second)]
    tables = []
    for name, chosen in of.items():
        rows = np.flatnonzero(chosen)
        near, far = (np.sqrt(((values[rows] - centre) ** 2).sum(axis=1)) for centre in centres)
        with np.errstate(divide="ignore"):
            score = np.log(near) - np.log(far)
        tables.append(pd.DataFrame({"row": rows, "compartments": name, "image": images[rows], "score": score}))
    cells = pd.concat(tables, ignore_index=True)
    grouped = cells.groupby(["compartments", "image"], sort=False)["score"]
    spread = grouped.agg(cells="size", mean="mean", sd="std").reset_index()
    return cells, spread
