"""Evaluation ``features``: feature sets of the same cells, made by ``evaluate_features``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.evaluate import EVALUATIONS, EvaluationKind, ScoreTable
from framework.features.config import FeatureEvaluateConfig
from framework.format import interval


@EVALUATIONS.register("features", FeatureEvaluateConfig)
class FeaturesKind(EvaluationKind):
    """Balanced accuracy of feature sets."""

    also_csv = frozenset({"per_set", "per_class", "per_k", "confusion", "distances", "spread"})

    def table(self, summary: Mapping[str, Any]) -> ScoreTable:
        """Return one row per feature set."""
        rows = summary.get("rows", [])
        protocol = str(summary.get("protocol", "")).replace("_", "-")
        names = [name for name in ("knn", "logistic", "forest") if any(name in row for row in rows)]
        return ScoreTable(
            title=f"Balanced accuracy of {len(summary.get('classes', []))} classes, {protocol}, k = "
            f"{summary.get('options', {}).get('k')}",
            headers=("features", "number", *(f"{name} [95 %]" for name in names), "less the first"),
            rows=[_cells(row, names, first=row is rows[0]) for row in rows],
            wraps=True,
        )


def _cells(row: Mapping[str, Any], names: list[str], *, first: bool) -> tuple[str, ...]:
    if "missing" in row:
        return (f"{row['set']}: missing, {row['missing']}",)
    scores = (interval(row, name, brackets="[]") for name in names)
    return str(row["set"]), str(row["width"]), *scores, "" if first else interval(row, "knn_difference", "+.2f", "[]")
