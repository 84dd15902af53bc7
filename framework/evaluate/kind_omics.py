"""Evaluation ``omics``: genes of wells, in prediction files with one row per bag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from framework.data.dataset import Dataset
from framework.evaluate.config import EvaluateConfig
from framework.evaluate.kinds import (
    EVALUATIONS,
    Scored,
    ScoresPredictions,
    ScoreTable,
    Verdict,
    against_baseline,
)
from framework.evaluate.omics import evaluate_omics
from framework.evaluate.predictions import Predictions
from framework.format import known, number, percent, percent_bounds, percent_interval, significant


@EVALUATIONS.register("omics", EvaluateConfig)
class OmicsKind(ScoresPredictions):
    """Genes of wells, over one split or many."""

    asks = "Which abundances can be read from images of wells the model never saw, better than their mean tells?"
    also_csv = frozenset({"per_gene"})

    def takes(self, predictions: Predictions) -> bool:
        """Files with one row per bag."""
        return predictions.level == "bag"

    def score(self, opened: Sequence[Predictions], dataset: Dataset | None, options: EvaluateConfig) -> Scored:
        """Score each gene against its train mean."""
        result = evaluate_omics(opened, options, _filtered_genes(opened, dataset))
        tables = {
            "per_gene": result.genes,
            "per_split": result.per_split,
            "per_well": result.wells,
            "splits": result.splits,
        }
        return Scored(rows=result.targets, tables=tables, notes=result.notes)

    def table(self, summary: Mapping[str, Any]) -> ScoreTable:
        """Return one row per target."""
        rows, options = summary["rows"], summary["options"]
        share, meaning = headline_share(options)
        test = {"wilcoxon": "Wilcoxon", "mann_whitney": "Mann-Whitney"}.get(options.get("test"), "test")
        alpha = significant(options["alpha"], 6)
        return ScoreTable(
            title=f"Genes predicted better than their train mean ({test}, alpha {alpha})",
            headers=("target", "wells", "genes", "better", "share [95 %]", "r²", "SMAPE", "of mean"),
            rows=[
                (
                    str(row["target"]),
                    str(row["n_test_wells"]),
                    str(row["genes"]),
                    str(row["significant"]),
                    percent_interval(row, share),
                    number(row["r2"]),
                    number(row["smape"], ".1f"),
                    number(row["smape_baseline"], ".1f"),
                )
                for row in rows
            ],
            caption=f"share [95 %]: {meaning}" if any(row["n_splits"] > 1 for row in rows) else "",
        )

    def verdict(self, summary: Mapping[str, Any]) -> Verdict | None:
        """Return whether the error of the middle gene is below that of its train mean."""
        errors = [(str(row["target"]), known(row["smape"]), known(row["smape_baseline"])) for row in summary["rows"]]
        return against_baseline(errors, "the train mean", "median SMAPE of genes")

    def numbers(self, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the share of genes of the first two targets, as the table has it."""
        share, _ = headline_share(summary["options"])
        return [
            (percent(row[share]), f"of {row['target']} better than the train mean{percent_bounds(row, share)}")
            for row in summary["rows"][:2]
            if row[share] is not None
        ]


def headline_share(options: Mapping[str, Any]) -> tuple[str, str]:
    """Return the column of the summary's rows that holds the chosen share, and what its interval is."""
    if options["interval"] == "split_shares":
        return "split_share", "median of the shares of splits, with their 2.5 and 97.5 % quantiles"
    return (
        "share",
        "genes with a significant median p over splits [with a significant 97.5 %, 2.5 % quantile of p]",
    )


def _filtered_genes(opened: Sequence[Predictions], dataset: Dataset | None) -> Mapping[str, int]:
    """Genes without a prediction in any file: dropped at ingest (low expression), or measured in no training well."""
    predicted: dict[str, set[str]] = {}
    for item in opened:
        genes = item.genes()
        for target, columns in item.targets().items():
            predicted.setdefault(target, set()).update(genes[column] for column in columns)
    counts: dict[str, int] = {}
    for target, found in predicted.items():
        if dataset is not None and target in dataset.manifest.targets:
            table = dataset.target(target)
            dropped = table.uns.get("wellstream", {}).get("dropped_genes", ())
            counts[target] = len(dropped) + max(0, table.n_vars - len(found))
    return counts
