"""Intervals of predictions, by hand: calibrated on val, written into the files of the part, again and again."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from framework.data.format.schema import SOURCE
from framework.errors import ConfigError, RunError
from framework.run.apply.intervals import predict_with_intervals
from framework.run.apply.results import PredictSummary

ERRORS = np.arange(1.0, 20.0)
"""Of 19 rows of val: the 18th of them holds 90 % of 19 + 1."""


def predicted(of: Path | str | None, to: Path | str, part: str) -> PredictSummary:
    """What ``predict`` of a run of one target writes into a folder."""
    rows = len(ERRORS) if part == "val" else 2
    values = np.zeros((rows, 1)) if part == "val" else np.array([[100.0], [200.0]])
    measured = values + (ERRORS[:, None] if part == "val" else 0)
    data = anndata.AnnData(
        X=values,
        obs=pd.DataFrame({SOURCE: ["P"] * rows}, index=[str(row) for row in range(rows)]),
        layers={"measured": measured},
        uns={"wellstream": {"target": "rna"}},
    )
    file = Path(to) / "rna.h5ad"
    file.parent.mkdir(parents=True, exist_ok=True)
    data.write_h5ad(file)
    return PredictSummary(files=(file,), rows=rows, columns=1, part=part, views=1, step=1, attention=None)


def test_intervals_hold_the_share_that_was_asked_for_also_in_a_folder_that_is_there(tmp_path: Path) -> None:
    for _ in range(2):
        summary = predict_with_intervals(predicted, None, tmp_path / "out", "test", level=0.9)
    assert (summary.part, summary.level) == ("test", 0.9)
    found = anndata.read_h5ad(tmp_path / "out" / "rna.h5ad")
    assert found.layers["lower"].ravel().tolist() == [100 - 18, 200 - 18]
    assert found.layers["upper"].ravel().tolist() == [100 + 18, 200 + 18]


def test_what_cannot_be_had_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"level 0\.99 needs 99 rows of part 'val' .* found 19; .* a lower --interval"):
        predict_with_intervals(predicted, None, tmp_path, "test", level=0.99)
    with pytest.raises(ConfigError, match=r"interval: expected a share between 0 and 1, such as 0\.9, found 90"):
        predict_with_intervals(predicted, None, tmp_path, "test", level=90)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        predict_with_intervals(predicted, None, tmp_path / "file", "test", level=0.9)
