"""How well expression is predicted, gene by gene, on single cells that were held out (IFC-seq, Tables 1 and 2)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.evaluate.intervals import bootstrap_columns, fisher_interval
from framework.evaluate.metrics import median_of_known, pearson, rmse, spearman
from framework.expression.forest import MedianForest

Floats = npt.NDArray[np.float64]
METHODS = ("forest", "linear", "mean")


def score_genes(
    predicted: Mapping[str, npt.ArrayLike],
    measured: npt.ArrayLike,
    genes: npt.ArrayLike,
    marker_of: npt.ArrayLike,
    *,
    chosen: npt.NDArray[np.bool_],
    seed: int,
    resamples: int,
) -> pd.DataFrame:
    """Score each gene.

    Args:
        predicted: method -> (c, G).
        measured: (c, G).
        genes, marker_of: (G,).
        chosen: (G,), genes whose r gets a bootstrap interval; all others have NaN there.
        seed, resamples: of the bootstrap; every gene sees the same resampled cells.

    Returns:
        One row per gene: ``gene``, ``marker_of``, ``expressed`` (share of cells above 0), and for each method
        ``r_<method>``, ``spearman_<method>``, ``rmse_<method>``; for the forest also bootstrap and Fisher intervals.
    """
    truth = np.asarray(measured, dtype=np.float64)
    table = pd.DataFrame({"gene": genes, "marker_of": marker_of, "expressed": (truth > 0).mean(axis=0)})
    for method, values in predicted.items():
        guess = np.asarray(values, dtype=np.float64)
        table[f"r_{method}"] = pearson(guess, truth)
        table[f"spearman_{method}"] = spearman(guess, truth)
        table[f"rmse_{method}"] = rmse(guess, truth)
    if "forest" in predicted:
        low, high, spread = bootstrap_columns(
            np.asarray(predicted["forest"])[:, chosen], truth[:, chosen], seed=seed, resamples=resamples
        )
        for name, values in (("r_low", low), ("r_high", high), ("r_sd", spread)):
            table.loc[chosen, name] = values
        fisher = [fisher_interval(r, len(truth)) for r in table["r_forest"]]
        table["r_fisher_low"], table["r_fisher_high"] = np.array(fisher).T
    return table


def spread_over_trees(forest: MedianForest, markers: npt.ArrayLike, measured: npt.ArrayLike) -> Floats:
    """Return, for each gene (G,), the standard deviation over trees of the r that a tree alone reaches.

    IFC-seq calls it uncertainty (Figures 3C and 5C). Trees whose prediction is constant have no r and do not count.
    """
    truth = np.asarray(measured, dtype=np.float64)
    of_tree = np.stack([pearson(values, truth) for values in forest.by_tree(markers)])
    known = ~np.isnan(of_tree)
    count = known.sum(axis=0)
    safe = np.maximum(count, 1)
    mean = np.where(known, of_tree, 0.0).sum(axis=0) / safe
    squares = np.where(known, (of_tree - mean) ** 2, 0.0).sum(axis=0) / safe
    return np.where(count > 0, np.sqrt(squares), np.nan)


def summarise(table: pd.DataFrame, methods: tuple[str, ...] = METHODS) -> pd.DataFrame:
    """Return medians over genes: one row for each method and set of genes, as in IFC-seq's Tables 1 and 2.

    Columns ``genes`` (``all``, ``marker genes`` and each population), ``n``, ``method``, ``r``, ``spearman``, ``rmse``,
    ``spread`` (forest only), ``better_than_mean``: the share of genes with a smaller RMSE than the mean predictor, and
    ``above_0.3`` ... ``above_0.9``: genes with a larger r.
    """
    populations = sorted({name for names in table["marker_of"] for name in str(names).split("|") if name})
    marked = table["marker_of"] != ""
    sets = {"all": np.ones(len(table), dtype=np.bool_), "marker genes": marked.to_numpy()}
    for name in populations:
        sets[name] = np.array([name in str(names).split("|") for names in table["marker_of"]])
    rows = []
    for label, chosen in sets.items():
        part = table[chosen]
        for method in methods:
            row = {"genes": label, "n": len(part), "method": method}
            row |= {score: median_of_known(part[f"{score}_{method}"]) for score in ("r", "spearman", "rmse")}
            row["spread"] = median_of_known(part["spread"]) if method == "forest" and "spread" in part else np.nan
            row["better_than_mean"] = (
                float((part[f"rmse_{method}"] < part["rmse_mean"]).mean()) if len(part) else np.nan
            )
            row |= {f"above_{level / 10:g}": int((part[f"r_{method}"] > level / 10).sum()) for level in range(3, 10)}
            rows.append(row)
    return pd.DataFrame(rows)
