"""The headline of the demo, one row per target: its share of predictable genes, and the r² of the genes it ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pandas as pd

from framework.evaluate import rank_genes, rankable, read_evaluation

RANKINGS: dict[str, Literal["significant", "all"]] = {"ranked": "significant", "of_all": "all"}
"""Which genes take part, by the name that columns begin with."""
COUNT = 10
"""Genes at each end of a ranking, as in Tables 1-4 of Image2Omics."""


def headline(evaluation: Path) -> pd.DataFrame:
    """Return what the pages of the demo and of Image2Omics say about each target.

    Args:
        evaluation: folder written by ``wellstream evaluate``.

    Returns:
        The shares of the summary (0..1), with both intervals; then, for the genes that pass both tests and for all
        genes, how many are ranked and the r² of the best and the worst ten; last, how many of the worst ten the two
        rankings share.
    """
    found = read_evaluation(evaluation)
    genes = found.tables["per_gene"]
    return pd.DataFrame([row | _ranked(genes[genes["target"] == row["target"]]) for row in found.summary["rows"]])


def _ranked(genes: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {}
    worst_of = []
    for named, which in RANKINGS.items():
        best, worst = rank_genes(genes, COUNT, which)
        found[named] = len(rankable(genes, which))
        for end, part in (("best", best), ("worst", worst)):
            found |= {f"{named}_{end}_r2_low": part["r2"].min(), f"{named}_{end}_r2_high": part["r2"].max()}
        worst_of.append(set(worst["gene"]))
    return found | {"worst_shared": len(worst_of[0] & worst_of[1])}
