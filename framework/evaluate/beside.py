"""How a model stands beside its baselines, in words and as a table: read from the summary of an evaluation alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.evaluate.kinds import ScoreTable, Verdict
from framework.format import interval, number

KEY = "baselines"
"""Of ``evaluation.json``, where an evaluation has baselines; also the name of their table."""


def beside_baselines(summary: Mapping[str, Any]) -> Verdict | None:
    """Return whether the model is above its best baseline for every target; None where no baseline was asked for."""
    said = targets_beside_baselines(summary)
    if not said:
        return None
    return Verdict(text=" ".join(each.text for each in said), holds=all(each.holds for each in said))


def targets_beside_baselines(summary: Mapping[str, Any]) -> list[Verdict]:
    """Return for each target whether the model is above its best baseline; empty where no baseline was asked for."""
    found = summary.get(KEY) or {"targets": []}
    said = []
    for target in found["targets"]:
        scores = f"{found['score']} {number(target['model'], '.3f')} against {number(target['score'], '.3f')}"
        text = (
            f"{target['target']}: the model is {target['verdict']} the best baseline ({target['best']}, "
            f"{target['says']}): {scores}, difference {interval(target, 'difference', '+.3f', '[]')}."
        )
        said.append(Verdict(text=text, holds=target["verdict"] == "above"))
    return said


def baseline_table(summary: Mapping[str, Any]) -> ScoreTable | None:
    """Return one row per target and baseline, the model first; None where no baseline was asked for."""
    found = summary.get(KEY)
    if not found:
        return None
    several = len(found["targets"]) > 1
    rows = []
    for target in found["targets"]:
        name = f"{target['target']}: " if several else ""
        rows.append((f"{name}the model", number(target["model"], ".3f"), "", ""))
        rows += [
            (
                f"{name}{row['baseline']}: {row['says']}",
                number(row["score"], ".3f"),
                interval(row, "difference", "+.3f", "[]"),
                row["verdict"],
            )
            for row in found["rows"]
            if row["target"] == target["target"]
        ]
    rows += [(f"{name}: not there: {why}", "", "", "") for name, why in found["missing"].items()]
    return ScoreTable(
        title="The model beside its baselines, on the same held-out rows",
        headers=("predictor", str(found["score"]), "model above it by [95 %]", "the model is"),
        rows=rows,
        caption=caption(found),
        wraps=True,
    )


def caption(found: Mapping[str, Any]) -> str:
    """Return what a reader must know of the numbers."""
    drawn = f"{found['resamples']} resamples of test {found['unit']}s"
    return f"{found['how']} Intervals: {drawn}, the same ones for model and baseline; level with: the interval holds 0."
