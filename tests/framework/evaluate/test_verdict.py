"""The answer of an evaluation: better or worse than the baseline, in words."""

from __future__ import annotations

import math
from typing import Any

from framework.evaluate import MarkersKind, OmicsKind, against_baseline


def omics(*errors: tuple[float, float]) -> dict[str, Any]:
    rows = [
        {"target": f"t{number}", "smape": mine, "smape_baseline": theirs, "share": 0.25, "split_share": 0.5}
        for number, (mine, theirs) in enumerate(errors)
    ]
    return {"rows": rows, "options": {"interval": "p_quantiles"}}


def test_a_model_that_wins_loses_or_both_says_so() -> None:
    kind = OmicsKind()
    won, lost, both = (kind.verdict(omics(*errors)) for errors in (
        [(10.0, 12.0), (3.0, 4.0)], [(12.0, 10.0), (4.0, 4.0)], [(10.0, 12.0), (4.0, 3.0)],
    ))  # fmt: skip
    assert won is not None
    assert lost is not None
    assert both is not None
    assert (won.holds, lost.holds, both.holds) == (True, False, False)
    assert won.text == "The model beats the train mean (median SMAPE of genes: t0 10 against 12; t1 3 against 4)."
    assert lost.text.startswith("The model loses to the train mean (")
    assert both.text.startswith("The model beats the train mean for 1 of 2, and loses for t1 (")


def test_markers_are_held_against_the_better_baseline() -> None:
    row = {"marker": "FRA1", "rmse": 1.0, "rmse_linear": 0.9, "rmse_mean": 2.0}
    found = MarkersKind().verdict({"rows": [row]})
    assert found is not None
    assert not found.holds
    assert "FRA1 1 against 0.9" in found.text
    alone = MarkersKind().verdict({"rows": [{**row, "rmse_linear": None}]})
    assert alone is not None
    assert alone.holds


def test_what_is_not_known_is_no_answer() -> None:
    assert against_baseline([("a", math.nan, 1.0)], "it", "RMSE") is None


def test_share_and_interval_are_of_one_definition() -> None:
    summary = omics((1.0, 2.0))
    summary["rows"][0] |= {"share_low": 0.2, "share_high": 0.3, "split_share_low": 0.4, "split_share_high": 0.6}
    kind = OmicsKind()
    assert kind.numbers(summary) == [("25.0%", "of t0 better than the train mean [20.0, 30.0]")]
    summary["options"]["interval"] = "split_shares"
    assert kind.numbers(summary) == [("50.0%", "of t0 better than the train mean [40.0, 60.0]")]
