"""A new evaluation is one registered class: it is scored, written, read and printed without another change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from framework.config import StrictModel
from framework.errors import InputError
from framework.evaluate import EVALUATIONS, EvaluateConfig, Scored, ScoresPredictions, ScoreTable, evaluate
from framework.evaluate.evaluation import read_evaluation, render
from framework.evaluate.predictions import Predictions
from framework.format import number


class BiasConfig(StrictModel):
    """Options of the evaluation of this test."""

    factor: float = 2.0


class Bias(ScoresPredictions):
    """Mean of predicted less measured, for each gene."""

    also_csv = frozenset({"bias"})

    def takes(self, predictions: Predictions) -> bool:
        return predictions.facts.get("objective") == "omics_heads"

    def score(self, opened: Sequence[Predictions], dataset: object, options: BiasConfig) -> Scored:
        found = (opened[0].predicted - opened[0].measured).mean(axis=0) * options.factor
        table = pd.DataFrame({"gene": opened[0].genes(), "bias": found})
        return Scored(rows=table, tables={"bias": table}, notes=("times the factor",))

    def table(self, summary: Mapping[str, Any]) -> ScoreTable:
        rows = [(row["gene"], number(row["bias"], ".3f")) for row in summary["rows"]]
        return ScoreTable(title="Bias", headers=("gene", "bias"), rows=rows)


@pytest.fixture
def bias(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EVALUATIONS, "_entries", dict(EVALUATIONS._entries))
    EVALUATIONS.register("bias", BiasConfig)(Bias)


@pytest.mark.usefixtures("bias")
def test_a_registered_evaluation_is_made_written_and_printed(wells, tmp_path: Path) -> None:
    data = wells(0, genes=3)
    made = evaluate([data], out=tmp_path, kind="bias")
    expected = 2 * (data.X.astype(float) - data.layers["measured"]).mean(axis=0)
    assert [row["bias"] for row in made.summary["rows"]] == pytest.approx(list(expected))
    assert (tmp_path / "bias.csv").is_file()
    back = read_evaluation(tmp_path)
    assert back.kind == "bias"
    table = render(back)
    assert [cell.plain for cell in table.columns[1].cells] == [f"{value:.3f}" for value in expected]


@pytest.mark.usefixtures("bias")
def test_which_evaluation_is_asked_where_several_fit(wells) -> None:
    with pytest.raises(InputError, match="several evaluations take these predictions: bias, omics; choose one"):
        evaluate([wells(0)])
    assert evaluate([wells(0)], kind="omics").kind == "omics"
    with pytest.raises(InputError, match="'bias' takes BiasConfig, found EvaluateConfig"):
        evaluate([wells(0)], kind="bias", config=EvaluateConfig())


def test_an_evaluation_that_does_not_fit_or_exist_is_named(wells) -> None:
    with pytest.raises(InputError, match="no evaluation of markers takes these predictions"):
        evaluate([wells(0)], kind="markers")
    with pytest.raises(InputError, match=r"no evaluation is called 'omic'.*plugin"):
        evaluate([wells(0)], kind="omic")
