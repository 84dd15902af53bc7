"""What ``make coverage`` counts, by hand, and the commands that it gives."""

from __future__ import annotations

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from experiments.coverage import chain
from experiments.coverage.chain import _only, counted, jurkat
from experiments.coverage.small_calibration import by_pairs
from experiments.demo.steps import Protocol
from framework.errors import InputError
from framework.evaluate.predictions import open_predictions


def predictions(width: float = 1.0) -> anndata.AnnData:
    """Two genes of five wells of three perturbations; the errors are 0, 0.5 and 2, and one value was not measured."""
    measured = np.array([[0.0, 0.5], [2.0, 0.0], [2.0, 2.0], [np.nan, 0.0], [0.0, 2.0]])
    rows = pd.DataFrame(
        {
            "source": "P2",
            "bag_name": [f"w{row}" for row in range(5)],
            "Metadata_Perturbation": ["A", "A", "B", "B", "C"],
            "Metadata_Group": ["0", "1", "2", "2", "3"],
            "part": ["test", "test", "test", "test", "train"],
        },
        index=[str(row) for row in range(5)],
    )
    return anndata.AnnData(
        X=np.zeros((5, 2), dtype=np.float32),
        obs=rows,
        var=pd.DataFrame({"train_mean": 0.0}, index=["g0", "g1"]),
        layers={"measured": measured, "lower": np.full((5, 2), -width), "upper": np.full((5, 2), width)},
        uns={"wellstream": {"kind": "predictions", "target": "rna"}},
    )


def test_values_of_test_rows_are_counted_and_perturbations_are_the_units() -> None:
    row, columns = counted([open_predictions(predictions())])
    # Of A three of four values are held, of B one of three: 4 of 7; C was learned from.
    assert row["covered"] == pytest.approx(4 / 7)
    assert row["units"] == 2
    assert (row["low"], row["high"]) == pytest.approx((1 / 3, 3 / 4))
    assert columns.set_index("column")["covered"].to_dict() == pytest.approx({"g0": 1 / 3, "g1": 3 / 4})
    # The same file of two splits: each perturbation counts once.
    again, _ = counted([open_predictions(predictions())] * 2)
    assert (again["units"], again["covered"]) == (2, row["covered"])


def test_a_new_plate_is_counted_without_what_its_split_learned_from() -> None:
    item = _only(open_predictions(predictions()), np.array(["B"], dtype=object))
    row, _ = counted([item])
    assert (row["units"], row["covered"]) == (1, pytest.approx(1 / 3))


def test_any_two_groups_calibrate_the_others() -> None:
    """Four groups of ten cells: errors 1..10 in three of them, 100 in the fourth."""
    errors = np.concatenate([np.arange(1.0, 11.0)] * 3 + [np.full(10, 100.0)])
    rows = pd.DataFrame(
        {"source": "S", "bag_name": "all/0", "tile": np.arange(40), "part": "test",
         "Metadata_Group": np.repeat(["a", "b", "c", "d"], 10)},
        index=[str(row) for row in range(40)],
    )  # fmt: skip
    cells = anndata.AnnData(
        X=np.zeros((40, 1), dtype=np.float32),
        obs=rows,
        var=pd.DataFrame({"train_mean": 0.0}, index=["dna"]),
        layers={"measured": errors[:, None]},
        uns={"wellstream": {"kind": "predictions", "target": "cells"}},
    )
    found = by_pairs([open_predictions(cells)], 0.9)
    # Place ceil(21 x 0.9) = 19 of 20: for two of a, b, c that is 10, which holds the third group and none of d (1/2).
    # With d it is 100, which holds all.
    assert found["pairs"] == 6
    assert found["mean"] == pytest.approx((3 * 0.5 + 3 * 1.0) / 6)
    assert (found["low"], found["high"]) == (0.5, 1.0)
    cells.obs["Metadata_Group"] = "a"
    with pytest.raises(InputError, match=r"expected test rows of three groups .* or more, found 1"):
        by_pairs([open_predictions(cells)], 0.9)


def test_a_cell_that_two_splits_hold_out_is_one_unit(tmp_path: Path) -> None:
    cells = predictions()
    cells.obs["tile"] = np.arange(5)
    cells.obs["source"] = cells.obs["source"].astype("category")
    cells.write_h5ad(tmp_path / "p.h5ad")
    row, _ = counted([open_predictions(tmp_path / "p.h5ad")] * 2)
    assert (row["units"], row["covered"]) == (4, pytest.approx(4 / 7))


def test_predictions_without_intervals_are_refused() -> None:
    bare = predictions()
    del bare.layers["lower"]
    with pytest.raises(InputError, match=r"predictions\[0\]: no intervals; remove it and run the same command again"):
        counted([open_predictions(bare)])


def test_jurkat_is_predicted_as_its_table_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[list[str]] = []
    monkeypatch.setattr(Protocol, "run", lambda self, title, *words: said.append([str(word) for word in words]))
    jurkat(Path("cells"), tmp_path, Protocol(console=Console(quiet=True)))
    assert [words[0] for words in said] == ["ingest", *["train", "predict"] * 3, "intervals"]
    assert [word for words in said for word in words if word.startswith("split.seed")] == [
        "split.seed=0",
        "split.seed=1",
        "split.seed=2",
    ]
    assert said[2][2:6] == ["--views", "8", "--interval", "0.9"]
    assert said[-1][1:4] == [str(tmp_path / f"split-{seed}") for seed in range(3)]


def test_without_the_simulation_only_what_is_named_is_made_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[str] = []
    monkeypatch.setattr(chain, "simulated", lambda out, protocol: made.append("simulation"))
    monkeypatch.setattr(chain, "strips", lambda field, out, protocol: made.append("strips"))
    monkeypatch.setattr(chain, "jurkat", lambda cells, out, protocol: made.append("jurkat"))
    words = ["coverage", "--out", str(tmp_path), "--without-simulation"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit):
        chain.main()
    assert "--without-simulation leaves nothing to count; add --field or --cells" in capsys.readouterr().err
    for folder in (tmp_path / "jurkat", tmp_path / "jurkat" / "by-splits"):
        for seed in range(3):
            (folder / f"split-{seed}").mkdir(parents=True)
            predictions(width=3.0 if seed else 1.0).write_h5ad(folder / f"split-{seed}" / "dna.h5ad")
    monkeypatch.setattr("sys.argv", [*words, "--cells", "cells"])
    assert chain.main() == 0
    assert made == ["jurkat"]
    rows = json.loads((tmp_path / "coverage.json").read_text())["rows"]
    assert [row["set"].removeprefix("Jurkat, held-out third of three splits, calibrated by ") for row in rows] == [
        f"{by}{of}" for by in ("val", "these splits (jackknife+)") for of in ("", ", split 0", ", split 1", ", split 2")
    ]
    # Of seven known values of each file the first holds four, the others all.
    assert [row["covered"] for row in rows[:4]] == pytest.approx([18 / 21, 4 / 7, 1, 1])
