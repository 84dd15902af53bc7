"""Average cells: one row per protein, ordered so that similar rows lie beside each other.

Source: Lu 2019, "Proteome-wide clustering". Its "maximum likelihood agglomerative hierarchical clustering" is taken as
Ward's: merging by the sum of squares maximises the classification likelihood of spherical Gaussians of one variance
(Banfield and Raftery 1993).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import leaves_list, linkage

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_ORDERED = 1_000
"""Rows up to which the leaves of the tree are put into the best of its orders; the cost grows with the cube."""


def mean_profiles(scaled: npt.NDArray[np.float32], key: Ints, groups: int) -> Floats:
    """Return the mean features of each group of cells, each feature then centred and scaled over the groups.

    Args:
        scaled: (n, d), standardised features of cells.
        key: (n,), group 0 .. ``groups`` - 1 of each cell.
        groups: number of groups, each with a cell.

    Returns:
        (groups, d); a feature that is equal in all groups is 0.
    """
    order = np.argsort(key, kind="stable")
    begin = np.searchsorted(key[order], np.arange(groups))
    sums = np.add.reduceat(scaled[order].astype(np.float64), begin, axis=0)
    means = sums / np.bincount(key, minlength=groups)[:, None]
    centred = means - means.mean(axis=0)
    sd = centred.std(axis=0)
    profiles: Floats = np.divide(centred, sd, out=np.zeros_like(centred), where=sd > 1e-12)
    return profiles


def ward_tree(values: Floats) -> Floats:
    """Return scipy's linkage matrix (m - 1, 4) of rows (m, d) by Ward's method."""
    tree: Floats = linkage(values, method="ward", optimal_ordering=len(values) <= _ORDERED)
    return tree


def ward_order(values: Floats) -> Ints:
    """Return an order of rows (m, d) in which similar ones lie together, int64 (m,)."""
    if len(values) < 3:
        return np.arange(len(values), dtype=np.int64)
    return np.asarray(leaves_list(ward_tree(values)), dtype=np.int64)


def spread_sample(label: Ints, most: int, seed: int = 0) -> Ints:
    """Return up to ``most`` rows of labels (n,), sorted, with about equally many of each, drawn without replacement."""
    if len(label) <= most:
        return np.arange(len(label), dtype=np.int64)
    order = np.random.default_rng(seed).permutation(len(label))
    # The i-th cell of every label comes before the (i + 1)-th of any.
    ranked = np.empty(len(label), dtype=np.int64)
    sorted_rows = order[np.argsort(label[order], kind="stable")]
    begin = np.searchsorted(label[sorted_rows], label[sorted_rows], side="left")
    ranked[sorted_rows] = np.arange(len(label)) - begin
    chosen = np.lexsort((label, ranked))[:most]
    return np.sort(chosen).astype(np.int64)
