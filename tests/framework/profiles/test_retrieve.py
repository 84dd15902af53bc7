"""Retrieval: classes matched by hand, scores of batches, sentences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.profile_screen import COLUMNS, screen

from framework.errors import InputError
from framework.evaluate import read_evaluation, render
from framework.profiles import RetrieveConfig, batch_scores, retrieve
from framework.profiles.matching import interval_over, match_classes
from framework.profiles.replicates import replicate_correlation


def names(*values: str) -> np.ndarray:
    return np.array(values, dtype=object)


def value(evaluation: object, score: str) -> float:
    rows = {row["score"]: row["value"] for row in evaluation.summary["rows"]}  # type: ignore[attr-defined]
    return float(rows[score])


def test_classes_are_matched_by_hand() -> None:
    # 0 and 1 are of one compound; 2 has the class of 0 and 1; 3 is alone with its class.
    similarity = np.array([[1, 0.9, 0.5, 0.6], [0.9, 1, 0.7, 0.6], [0.5, 0.7, 1, 0.1], [0.6, 0.6, 0.1, 1]])
    compounds = np.array([0, 0, 1, 2])
    found = match_classes(similarity, names("a", "a", "a", "b"), compounds[:, None] != compounds[None, :])
    assert found.nearest.tolist() == [3, 2, 1, 0]
    assert found.counts.tolist() == [True, True, True, False]
    assert found.hit.tolist() == [False, True, True, False]
    assert found.accuracy == pytest.approx(2 / 3)
    # Of two, two and three allowed neighbours 1, 1 and 2 have the class.
    assert found.chance == pytest.approx((1 / 2 + 1 / 2 + 2 / 3) / 3)


def test_unknown_classes_neither_count_nor_are_neighbours() -> None:
    found = match_classes(np.ones((3, 3)), names("a", "", "a"), np.ones((3, 3), dtype=bool))
    assert found.nearest.tolist() == [2, -1, 0]
    assert found.counts.tolist() == [True, False, True]


def test_neighbours_at_one_distance_are_counted_where_their_classes_differ() -> None:
    every = np.ones((4, 4), dtype=bool)
    assert match_classes(np.ones((4, 4)), names("a", "a", "b", "b"), every).tied == 4
    assert match_classes(np.ones((4, 4)), names("a", "a", "a", "a"), every).tied == 0
    # 0 has one nearest; 1 has 0 and 2, of different classes; 3 is alone with its class and does not count.
    similarity = np.array([[1, 0.9, 0.5, 0.1], [0.9, 1, 0.9, 0.1], [0.5, 0.9, 1, 0.1], [0.1, 0.1, 0.1, 1]])
    assert match_classes(similarity, names("a", "a", "b", "c"), every).tied == 1


def test_copies_of_a_row_and_ties_are_said() -> None:
    wells = screen()
    assert not retrieve(wells, RetrieveConfig(**COLUMNS, permutations=200)).summary["notes"]
    wells.X[9] = wells.X[2]
    wells.X[20] = wells.X[2]
    said = retrieve(wells, RetrieveConfig(**COLUMNS, permutations=200)).summary["notes"]
    assert [note.partition(" wells")[0] for note in said] == ["3 of 40"]
    assert "(such as 'r2' and 'r9')" in said[0]
    # Profiles of zeros are equally similar to all others, so to both other classes.
    zeros = screen()
    zeros.X[(zeros.obs["Metadata_Compound"] == "c00w1").to_numpy()] = 0
    said = retrieve(zeros, RetrieveConfig(**COLUMNS, permutations=200)).summary["notes"]
    assert [note[:19] for note in said] == ["2 of 40 wells have ", "NSC: 1 treatment wi", "NSB: 1 treatment wi"]


def test_an_interval_resamples_compounds_and_not_doses() -> None:
    values = np.array([1.0] * 50 + [0.0] * 50)
    low, high = interval_over(values, np.repeat(names("a", "b"), 50), 2_000, 0)
    assert (low, high) == (0.0, 1.0)
    low, high = interval_over(values, np.arange(100).astype(object), 2_000, 0)
    assert 0.35 < low < 0.45 < 0.55 < high < 0.65


def test_replicates_are_correlated_by_hand() -> None:
    values = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 2.0, 1.0], [1.0, 0.0, 2.0]])
    found = replicate_correlation(values, names("a", "a", "b", "b"), names("a", "a", "b", "b"))
    assert found.of_treatment["a"] == pytest.approx(1.0)
    assert found.of_treatment["b"] == pytest.approx(-0.5)
    # Unrelated pairs have r of -1, -1, 0.5 and 0.5.
    assert found.threshold == pytest.approx(0.5)
    assert found.replicating == 0.5


def test_a_screen_with_signal_is_retrieved_and_one_without_is_not(tmp_path: Path) -> None:
    made = retrieve(screen(controls=40), RetrieveConfig(**COLUMNS, permutations=2_000), tmp_path / "scores")
    assert value(made, "NSC") == 1.0
    assert value(made, "NSB") == 1.0
    assert value(made, "mAP class") > 0.95
    assert value(made, "active") == 1.0
    again = read_evaluation(tmp_path / "scores")
    assert len(again.tables["treatments"]) == 12
    assert set(again.tables["batches"]["score"]) >= {"mixing", "kept", "total"}
    assert "NSC: nearest profile" in " ".join(render(again).columns[0]._cells[6].plain.split())
    noise = retrieve(screen(signal=0.0, controls=40), RetrieveConfig(**COLUMNS, permutations=2_000))
    assert value(noise, "NSC") < 0.8
    assert value(noise, "active") < 0.3


def test_nsb_leaves_out_the_own_batch() -> None:
    wells = screen(signal=2.0)
    # All of a batch lies together, so the nearest of another compound is of the own batch and mostly of another class.
    wells.X[(wells.obs["Metadata_Batch"] == "w2").to_numpy()] += 40
    made = retrieve(wells, RetrieveConfig(**COLUMNS, permutations=200)).tables["treatments"]
    batch = made["compound"].str[-2:]
    assert (made["NSC_nearest"].str[-2:] == batch).all()
    assert (made["NSB_nearest"].str[-2:] != batch).all()


def test_mixing_falls_when_batches_drift_apart() -> None:
    wells = screen()
    batches, classes = (wells.obs[name].to_numpy(dtype=object) for name in ("Metadata_Batch", "Metadata_MOA"))
    near = batch_scores(wells.X, batches, classes)
    far = batch_scores(wells.X + np.where(batches == "w1", 60.0, 0.0)[:, None], batches, classes)
    assert near["mixing"] > far["mixing"] + 0.3
    assert near["kept"] > 0.7
    assert far["batch_neighbours"] == pytest.approx(0.0, abs=0.01)
    assert near["total"] == pytest.approx(0.4 * near["mixing"] + 0.6 * near["kept"])


def test_without_classes_or_batches_the_note_says_so() -> None:
    made = retrieve(screen(), RetrieveConfig(treatment=("Metadata_Compound",), to="Metadata_Compound=DMSO"))
    assert made.summary["notes"] == ["no class was named (label), so neither NSC nor the mAP of classes is there"]
    assert [row["score"] for row in made.summary["rows"]][:2] == ["mAP activity", "active"]


def test_columns_that_are_not_there_and_controls_alone_are_sentences() -> None:
    with pytest.raises(InputError, match=r"no column 'Metadata_Moa'; .*did you mean 'Metadata_MOA'"):
        retrieve(screen(), RetrieveConfig(**{**COLUMNS, "label": "Metadata_Moa"}))
    with pytest.raises(InputError, match=r"all 40 rows are controls \(all\)"):
        retrieve(screen(), RetrieveConfig(**{**COLUMNS, "to": "all"}))
