"""Aggregation: values worked out by hand."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from framework.config import parse_config
from framework.errors import ConfigError, InputError
from framework.profiles import AggregateConfig, NormaliseConfig, aggregate, normalise
from framework.profiles.aggregate import combined


def cells() -> anndata.AnnData:
    """Return two wells: one of three cells, one of two."""
    obs = pd.DataFrame(
        {
            "Metadata_Plate": "p1",
            "Metadata_Well": ["B02", "A01", "B02", "A01", "B02"],
            "Metadata_Compound": ["taxol", "DMSO", "taxol", "DMSO", "taxol"],
            "Metadata_Cell": list("abcde"),
            "attention": [0.5, 0.25, 0.5, 0.75, 0.0],
        },
        index=list("abcde"),
    )
    values = np.array([[1.0, 0.0], [2.0, 4.0], [2.0, 0.0], [6.0, 8.0], [9.0, 3.0]])
    return anndata.AnnData(X=values, obs=obs, var=pd.DataFrame(index=["size", "shape"]))


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("mean", [[4.0, 1.0], [4.0, 6.0]]),
        ("median", [[2.0, 0.0], [4.0, 6.0]]),
        # 0.25 * 2 + 0.75 * 6 = 5 and 0.25 * 4 + 0.75 * 8 = 7.
        ("attention", [[1.5, 0.0], [5.0, 7.0]]),
    ],
)
def test_cells_become_wells(how: str, expected: list[list[float]]) -> None:
    made = aggregate(cells(), AggregateConfig(how=how))
    np.testing.assert_allclose(made.data.X, expected)
    assert made.data.obs_names.tolist() == ["p1 | B02", "p1 | A01"]
    assert made.data.obs["n_rows"].tolist() == [3, 2]
    assert made.data.obs["Metadata_Compound"].tolist() == ["taxol", "DMSO"]
    assert made.left_out == ("Metadata_Cell", "attention")


def test_the_trimmed_mean_cuts_both_ends() -> None:
    values = np.array([[0.0], [1.0], [2.0], [3.0], [100.0]])
    # A fifth of five rows is one row at either end: (1 + 2 + 3) / 3.
    assert combined(values, np.zeros(5, np.int64), "trimmed", trim=0.2)[0, 0] == pytest.approx(2.0)


def test_a_file_is_written_and_says_how(tmp_path: Path) -> None:
    aggregate(cells(), AggregateConfig(how="mean"), tmp_path / "wells.h5ad")
    again = anndata.read_h5ad(tmp_path / "wells.h5ad")
    assert again.uns["wellstream"]["aggregated"]["how"] == "mean"
    assert again.shape == (2, 2)


def test_a_table_of_that_name_is_not_replaced_by_an_h5ad(tmp_path: Path) -> None:
    """Both wrote HDF5 into it."""
    file = tmp_path / "wells.csv"
    file.write_text("mine\n")
    for make in (
        lambda: aggregate(cells(), AggregateConfig(), file),
        lambda: normalise(cells(), NormaliseConfig(to="all"), file),
    ):
        with pytest.raises(ConfigError, match=r"the output is an \.h5ad file; expected a name that ends in \.h5ad"):
            make()
    assert file.read_text() == "mine\n"


@pytest.mark.parametrize(("name", "value", "how"), [("trim", 0.2, "trimmed"), ("weights", "w", "attention")])
def test_an_option_of_another_rule_is_refused(name: str, value: object, how: str) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' is for {how} profiles; write how={how}, or leave '{name}' out"):
        parse_config(f"{name}: {value}", AggregateConfig, name="options")
    assert getattr(parse_config(f"{{{name}: {value}, how: {how}}}", AggregateConfig, name="options"), name) == value


def test_weights_that_are_none_are_sentences() -> None:
    table = cells()
    table.obs["attention"] = [0.5, -1.0, 0.5, 0.75, 0.0]
    with pytest.raises(InputError, match=r"must hold a number of 0 or more in every row; row 'b' has '-1.0'"):
        aggregate(table, AggregateConfig(how="attention"))
    table.obs["attention"] = [0.0, 0.2, 0.0, 0.75, 0.0]
    with pytest.raises(InputError, match=r"is 0 in all rows of 1 group"):
        aggregate(table, AggregateConfig(how="attention"))
    with pytest.raises(InputError, match=r"no column 'weigth'"):
        aggregate(table, AggregateConfig(how="attention", weights="weigth"))


def test_a_row_without_a_well_and_nan_are_sentences() -> None:
    table = cells()
    table.obs.loc["c", "Metadata_Well"] = ""
    with pytest.raises(InputError, match=r"row 'c' has no value in column 'Metadata_Well' \(1 rows have none\)"):
        aggregate(table, AggregateConfig())
    table = cells()
    table.X[1, 1] = np.inf
    with pytest.raises(InputError, match=r"the first is 'shape' of row 'b'"):
        aggregate(table, AggregateConfig())
