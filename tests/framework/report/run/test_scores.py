"""What the page says of predicted genes: which are ranked, and what the interval of the share is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from framework.evaluate import Evaluation, rank_genes, read_evaluation, render
from framework.report.page import Grid, Note
from framework.report.sections import show_evaluation as scores


@pytest.fixture
def evaluation(world) -> Evaluation:
    return read_evaluation(world.omics)


def with_options(evaluation: Evaluation, **options: Any) -> Evaluation:
    return replace(evaluation, summary={**evaluation.summary, "options": {**evaluation.summary["options"], **options}})


def gene_tables(evaluation: Evaluation) -> list[Grid]:
    return [block for block in scores(evaluation).blocks if isinstance(block, Grid) and block.headers[0] == "gene"]


def test_significant_genes_are_ranked_unless_all_are_asked_for(evaluation: Evaluation) -> None:
    genes = evaluation.tables["per_gene"]
    genes["significant"] = genes["gene"].isin(["GENE0003", "GENE0007", "GENE0011"])
    genes["regression_significant"] = genes["gene"] != "GENE0007"
    (best,) = gene_tables(evaluation)
    assert {row[0] for row in best.rows} == {"GENE0003", "GENE0011"}
    assert "among 2 genes whose error and regression are both significant at 0.05" in best.caption
    best, worst = gene_tables(with_options(evaluation, ranked="all"))
    assert [row[0] for row in worst.rows] == rank_genes(genes, 10, "all")[1]["gene"].tolist()
    assert f"among {len(genes)} genes (" in best.caption


def test_a_target_without_a_significant_gene_is_said(evaluation: Evaluation) -> None:
    evaluation.tables["per_gene"]["regression_significant"] = False
    section = scores(evaluation)
    assert not gene_tables(evaluation)
    said = [block.text for block in section.blocks if isinstance(block, Note)]
    assert any("none of its 30 genes is significant at 0.05 in both error and regression" in text for text in said)


@pytest.mark.parametrize(("interval", "shown"), [("p_quantiles", "40.0%"), ("split_shares", "50.0%")])
def test_the_chosen_interval_stands_beside_its_own_value(evaluation: Evaluation, interval: str, shown: str) -> None:
    row = {**evaluation.summary["rows"][0], "share": 0.4, "share_low": 0.2, "share_high": 0.6}
    row |= {"split_share": 0.5, "split_share_low": 0.45, "split_share_high": 0.55}
    changed = with_options(replace(evaluation, summary={**evaluation.summary, "rows": [row]}), interval=interval)
    ends = ("20.0", "60.0") if interval == "p_quantiles" else ("45.0", "55.0")
    headline = next(block for block in scores(changed).blocks if isinstance(block, Grid))
    assert headline.rows[0][4] == f"{shown} ({ends[0]}%, {ends[1]}%)"
    assert ("quantile of p" in headline.caption) == (interval == "p_quantiles")
    table = render(changed)
    assert next(iter(table.columns[4].cells)).plain == f"{shown} [{ends[0]}, {ends[1]}]"
    assert str(table.caption).startswith("share [95 %]: ")
