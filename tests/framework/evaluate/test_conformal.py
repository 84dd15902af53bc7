"""Conformal quantiles by hand, coverage of exchangeable rows, and a plate that is not exchangeable."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from framework.errors import ConfigError, RunError
from framework.evaluate import evaluate, read_evaluation
from framework.evaluate.conformal import group_names, half_widths, least_rows, widths_for
from framework.run import with_intervals


def test_the_width_is_the_kth_smallest_error() -> None:
    errors = np.array([[5.0], [1.0], [4.0], [2.0], [3.0], [6.0], [7.0], [9.0], [8.0]])
    # n = 9: k = ceil(10 x 0.9) = 9, ceil(10 x 0.8) = 8, ceil(10 x 0.5) = 5.
    assert [half_widths(errors, level)[0] for level in (0.9, 0.8, 0.5)] == [9, 8, 5]
    assert half_widths(errors, 0.91)[0] == np.inf
    with_gap = np.array([[1.0, np.nan], [2.0, 4.0], [3.0, 8.0]])
    # n = 3: k = ceil(4 x 0.7) = 3; n = 2: k = ceil(3 x 0.6) = 2.
    assert half_widths(with_gap, 0.7).tolist() == [3.0, np.inf]
    assert half_widths(with_gap, 0.6).tolist() == [3.0, 8.0]


@pytest.mark.parametrize(("level", "rows"), [(0.9, 9), (0.95, 19), (0.5, 1), (0.8, 4)])
def test_least_rows(level: float, rows: int) -> None:
    assert least_rows(level) == rows
    assert np.isfinite(half_widths(np.ones((rows, 1)), level)).all()
    assert rows == 1 or np.isinf(half_widths(np.ones((rows - 1, 1)), level)).all()


def test_groups_have_widths_of_their_own_where_they_have_enough_rows() -> None:
    errors = np.concatenate([np.full((9, 1), 1.0), np.full((9, 1), 10.0), np.full((2, 1), 3.0)])
    groups = np.array(["a"] * 9 + ["b"] * 9 + ["c"] * 2, dtype=object)
    found = widths_for(errors, groups, np.array(["a", "b", "c", "d"], dtype=object), 0.9)
    # All 20 errors: k = ceil(21 x 0.9) = 19, which is 10.
    assert found.values[:, 0].tolist() == [1, 10, 10, 10]
    assert found.pooled == ("c", "d")
    assert group_names(pd.DataFrame({"x": [1, 2]}), ()).tolist() == ["all", "all"]


def predictions(count: int, sources: list[str], part: str, seed: int, shift: float = 0.0) -> anndata.AnnData:
    """Predictions of 40 genes with normal errors; ``shift`` is added to the errors of the last source."""
    random = np.random.default_rng(seed)
    source = np.array([sources[row % len(sources)] for row in range(count)])
    measured = random.normal(size=(count, 40))
    errors = random.normal(size=(count, 40)) + shift * (source == sources[-1])[:, None]
    rows = {"source": source, "bag_name": [f"w{row}" for row in range(count)], "part": part}
    rows |= {"Metadata_Perturbation": [f"P{row % 15}" for row in range(count)], "Metadata_Stimulation": "M1"}
    genes = pd.DataFrame({"train_mean": 0.0}, index=[f"g{place}" for place in range(40)])
    return anndata.AnnData(
        X=(measured + errors).astype(np.float32),
        obs=pd.DataFrame(rows, index=[f"bag-{row}" for row in range(count)]),
        var=genes,
        layers={"measured": measured.astype(np.float32)},
        uns={"wellstream": {"kind": "predictions", "objective": "omics_heads", "target": "rna"}},
    )


def test_exchangeable_rows_are_held_as_often_as_promised() -> None:
    held = []
    for seed in range(40):
        known = predictions(60, ["p1", "p2"], "val", 2 * seed)
        new = predictions(60, ["p1", "p2"], "test", 2 * seed + 1)
        made = with_intervals(new, known, 0.9)
        inside = (made.layers["measured"] >= made.layers["lower"]) & (made.layers["measured"] <= made.layers["upper"])
        held.append(float(inside.mean()))
    # k / (n + 1) = 55 / 61 = 0.902 is the exact expectation.
    assert np.mean(held) == pytest.approx(55 / 61, abs=0.005)


def test_a_new_plate_is_named_with_how_much_is_missing(tmp_path: Path) -> None:
    known = predictions(60, ["p1", "p2"], "val", 0)
    new = with_intervals(predictions(90, ["p1", "p2", "p3"], "test", 1, shift=3.0), known, 0.9, ("source",))
    assert new.uns["wellstream"]["intervals"]["pooled"] == ["p3"]
    new.write_h5ad(tmp_path / "p.h5ad")
    made = evaluate([tmp_path / "p.h5ad"], None, tmp_path / "out")
    (target,) = made.summary["coverage"]["targets"]
    assert 0.86 < target["known_plates"] < 0.94
    assert target["new_plates"] < 0.2
    assert any("are not exchangeable" in note and "nothing is promised there" in note for note in made.summary["notes"])
    table = read_evaluation(tmp_path / "out").tables["coverage"]
    assert table.groupby("of").size().to_dict() == {"all": 1, "column": 40, "condition": 15, "plate": 3}
    assert table[table["new_plate"]]["name"].tolist() == ["p3"]
    assert (tmp_path / "out" / "coverage.csv").is_file()


def test_rows_of_one_condition_are_counted_as_rows(tmp_path: Path) -> None:
    new = with_intervals(predictions(90, ["p1"], "test", 1), predictions(60, ["p1"], "val", 0), 0.9)
    new.obs["Metadata_Perturbation"] = new.obs["Metadata_Stimulation"] = ""
    new.write_h5ad(tmp_path / "p.h5ad")
    made = evaluate([tmp_path / "p.h5ad"])
    (target,) = made.summary["coverage"]["targets"]
    assert target["units"] == {"rows": 90}
    assert any("a share of 90 rows that are each held with 90.0%" in note for note in made.summary["notes"])


def test_what_cannot_be_calibrated_is_refused() -> None:
    new = predictions(5, ["p1"], "test", 0)
    with pytest.raises(RunError, match=r"level 0\.9 needs 9 rows of part 'val' that were measured, found 8"):
        with_intervals(new, predictions(8, ["p1"], "val", 1), 0.9)
    with pytest.raises(ConfigError, match="--interval-by: the rows have no column 'plate'"):
        with_intervals(new, predictions(20, ["p1"], "val", 1), 0.9, ("plate",))
