"""Tables of ``wellstream express`` as its page reads them: names are text, whatever they look like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from framework.errors import InputError
from framework.report.expression.page import _table
from framework.report.expression.single_cells import _answer


def test_names_are_text_and_counts_are_whole_numbers(tmp_path: Path) -> None:
    written = pd.DataFrame(
        {"population": ["007", "1e5", "NA"], "gene": ["None", "TRUE", "MARCH1"], "marker_of": ["007|NA", "", "1e5"]}
    ).assign(n=[3, 0, 12], r=[0.5, np.nan, 1.0])
    written.to_csv(tmp_path / "t.csv", index=False)
    table = _table(tmp_path / "t.csv", of_agreement=False)
    for name in ("population", "gene", "marker_of"):
        assert table[name].tolist() == written[name].tolist()
    assert table["n"].tolist() == [3, 0, 12]
    assert table["n"].dtype == np.int64
    np.testing.assert_array_equal(table["r"], [0.5, np.nan, 1.0])


@pytest.mark.parametrize(("of_agreement", "genes"), [(True, [40, 8]), (False, ["40", "8"])])
def test_genes_are_counted_in_the_table_of_agreement_and_named_elsewhere(
    tmp_path: Path, of_agreement: bool, genes: list[object]
) -> None:
    (tmp_path / "t.csv").write_text("source,genes\nstandard,40\nlabel_free,8\n")
    assert _table(tmp_path / "t.csv", of_agreement=of_agreement)["genes"].tolist() == genes


def test_text_among_numbers_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("gene,r\nG1,high\n")
    with pytest.raises(InputError, match=r"t\.csv: line 2: column 'r' reads 'high', expected a number"):
        _table(tmp_path / "t.csv", of_agreement=False)


def test_the_answer_says_for_how_many_genes_the_mean_is_beaten() -> None:
    def rows(marked: float, n: int = 4) -> pd.DataFrame:
        found = [("all", "forest", 0.55, 0.2, 9), ("all", "mean", None, None, 9), ("all", "linear", 0.9, 0.5, 9)]
        found.append(("marker genes", "forest", marked, 0.4, n))
        return pd.DataFrame(found, columns=["genes", "method", "better_than_mean", "r", "n"])

    better, worse, unmarked = _answer(rows(0.75)), _answer(rows(0.44)), _answer(rows(0.0, n=0))
    assert (better.good, worse.good, unmarked.good) == (True, False, True)
    assert better.text == (
        "The forest beats the mean for most genes: on held-out single cells its RMSE is below that of the mean for "
        "55 % of all genes (median r 0.20) and 75 % of marker genes (median r 0.40). A linear fit of the markers is "
        "below it for 90 %."
    )
    assert worse.text.startswith("The forest does not beat the mean for most genes")
    assert "55 % of all genes (median r 0.20). A linear" in unmarked.text


def test_a_table_may_be_empty(tmp_path: Path) -> None:
    """One population alone is similar to no other."""
    (tmp_path / "t.csv").write_text("one,other,r,source\n")
    assert len(_table(tmp_path / "t.csv", of_agreement=False)) == 0
