"""The true expression of imaged cells: which cell is which, and what is said where none matches."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from framework.errors import InputError
from framework.expression.config import Truth
from framework.expression.truth import open_truth

ROWS = pd.DataFrame({"Metadata_Cell": ["2", "1"]})


def written(file: Path, cells: list[str], genes: list[str]) -> Truth:
    values = np.arange(len(cells) * len(genes), dtype=np.float32).reshape(len(cells), len(genes))
    anndata.AnnData(values, pd.DataFrame(index=cells), pd.DataFrame(index=genes)).write_h5ad(file)
    return Truth(path=str(file), log=False)


def test_rows_follow_the_imaged_cells(tmp_path: Path) -> None:
    config = written(tmp_path / "t.h5ad", ["1", "2", "3"], ["A", "B"])
    np.testing.assert_array_equal(open_truth(config, ROWS, ["B"]), [[3.0], [1.0]])


@pytest.mark.filterwarnings("ignore:.*names are not unique")
@pytest.mark.parametrize(
    ("cells", "genes", "words"),
    [
        (
            ["0001", "0002"],
            ["A"],
            "2 of 2 imaged cells are not in it, first '2'; its cells have names like '0001'; without",
        ),
        (["1", "1"], ["A"], "the cell '1' appears twice"),
        (["1", "2"], ["A", "A"], "the gene 'A' appears twice"),
    ],
)
def test_names_that_do_not_fit_are_said(tmp_path: Path, cells: list[str], genes: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_truth(written(tmp_path / "t.h5ad", cells, genes), ROWS, ["A"])


@pytest.mark.parametrize(("value", "log"), [(np.nan, False), (np.inf, True), (-1.0, True)])
def test_a_truth_that_is_no_expression_is_refused(tmp_path: Path, value: float, log: bool) -> None:
    values = np.array([[1.0, 2.0], [value, 3.0]], dtype=np.float32)
    file = tmp_path / "t.h5ad"
    anndata.AnnData(values, pd.DataFrame(index=["1", "2"]), pd.DataFrame(index=["A", "B"])).write_h5ad(file)
    with pytest.raises(InputError, match=f"'A' of the cell '2' is {value:g}"):
        open_truth(Truth(path=str(file), log=log), ROWS, ["A"])
