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


def test_the_answer_says_whether_the_mean_is_beaten() -> None:
    def rows(marked: float) -> pd.DataFrame:
        found = [("all", "forest", 0.5, 0.2), ("all", "mean", 0.6, None), ("all", "linear", 0.4, 0.1)]
        found += [("marker genes", "forest", marked, 0.4), ("marker genes", "mean", 0.7, None)]
        return pd.DataFrame([{"genes": g, "method": m, "rmse": e, "r": r, "n": 9} for g, m, e, r in found])

    better, worse = _answer(rows(0.65)), _answer(rows(0.75))
    assert (better.good, worse.good) == (True, False)
    assert better.text == (
        "The forest beats the mean on held-out single cells (all genes: median RMSE 0.500 against 0.600 of the mean, "
        "r 0.20; marker genes: median RMSE 0.650 against 0.700 of the mean, r 0.40)."
    )
    assert worse.text.startswith("The forest does not beat the mean throughout")


def test_a_table_may_be_empty(tmp_path: Path) -> None:
    """One population alone is similar to no other."""
    (tmp_path / "t.csv").write_text("one,other,r,source\n")
    assert len(_table(tmp_path / "t.csv", of_agreement=False)) == 0
