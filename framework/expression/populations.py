"""Expression seen by population: means, and how alike two populations are (IFC-seq, Figures 4 and 6)."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.evaluate.intervals import fisher_interval
from framework.evaluate.metrics import pearson


def population_means(expression: npt.ArrayLike, population: pd.Categorical, genes: npt.ArrayLike) -> pd.DataFrame:
    """Return mean expression (populations, genes) of the populations that have cells, in category order."""
    values = np.asarray(expression, dtype=np.float64)
    names = [name for code, name in enumerate(population.categories) if (population.codes == code).any()]
    means = [values[np.asarray(population == name)].mean(axis=0) for name in names]
    return pd.DataFrame(np.array(means).reshape(len(names), values.shape[1]), index=names, columns=np.asarray(genes))


def similarities(means: pd.DataFrame) -> pd.DataFrame:
    """Return Pearson's r over genes of each pair of populations, with Fisher's 95 % interval.

    Args:
        means: (populations, genes).

    Returns:
        Columns ``one``, ``other``, ``r``, ``low``, ``high``, ``genes``.
    """
    rows = []
    for one, other in combinations(means.index, 2):
        r = float(pearson(means.loc[[one]].T.to_numpy(), means.loc[[other]].T.to_numpy())[0])
        low, high = fisher_interval(r, means.shape[1])
        rows.append({"one": one, "other": other, "r": r, "low": low, "high": high, "genes": means.shape[1]})
    return pd.DataFrame(rows, columns=["one", "other", "r", "low", "high", "genes"])


def agreement(reference: pd.DataFrame, means: pd.DataFrame) -> pd.DataFrame:
    """Return how well population means of one experiment follow those of another.

    ``r`` compares the profiles as they are; ``r_centred`` after each gene's mean over the shared populations is taken
    off in both, so that genes that are high everywhere do not count.

    Returns:
        One row per shared population: ``population``, ``r``, ``r_centred`` (NaN for a single one), ``genes``.
    """
    shared = [name for name in reference.index if name in means.index]
    genes = [gene for gene in reference.columns if gene in means.columns]
    left, right = reference.loc[shared, genes].to_numpy(), means.loc[shared, genes].to_numpy()
    plain = pearson(left.T, right.T)
    centred = pearson((left - left.mean(axis=0)).T, (right - right.mean(axis=0)).T) if shared else plain
    return pd.DataFrame({"population": shared, "r": plain, "r_centred": centred, "genes": len(genes)})
