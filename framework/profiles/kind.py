"""Evaluation ``retrieval``: what profiles retrieve, made by ``retrieve``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.evaluate import EVALUATIONS, EvaluationKind, ScoreTable
from framework.format import interval, number
from framework.profiles.retrieve import RetrieveConfig


@EVALUATIONS.register("retrieval", RetrieveConfig)
class RetrievalKind(EvaluationKind):
    """Replicates, classes and batches of profiles."""

    also_csv = frozenset({"treatments", "classes", "batches"})

    def table(self, summary: Mapping[str, Any]) -> ScoreTable:
        """Return one row per score."""
        options = summary["options"]
        return ScoreTable(
            title=f"Retrieval by {summary['treatments']} treatments of {summary['compounds']} compounds",
            headers=("score", "value [95 %]", "of", "chance"),
            rows=[
                (
                    f"{row['score']}: {row['means']}",
                    interval(row, "value", ".3f", "[]"),
                    str(row["n"]),
                    number(row["chance"], ".3f"),
                )
                for row in summary["rows"]
            ],
            caption=f"cosine similarity, {options['how']} of wells; intervals: bootstrap over compounds",
            wraps=True,
        )

    def numbers(self, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return NSC and NSB, where they are there."""
        shown = {"NSC": "not same compound", "NSB": "nor same batch"}
        return [
            (number(row["value"], ".3f"), f"{row['score']}: {shown[row['score']]}")
            for row in summary["rows"]
            if row["score"] in shown
        ]
