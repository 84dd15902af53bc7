"""Comparisons of feature sets: protocols, intervals, warnings, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from framework.errors import InputError
from framework.evaluate import read_evaluation, render
from framework.features import FeatureEvaluateConfig, evaluate_features
from framework.features.classes import Resamples, balanced_accuracy, confusion, recalls
from framework.features.table import FeatureTable


def table(n: int = 60, *, signal: float = 2.0, name: str = "good", seed: int = 0) -> FeatureTable:
    """Cells whose first features follow their class, of three; each class has four fields, the last is for testing."""
    random, classes, fields = np.random.default_rng(seed), 3, 4
    label, field = np.arange(n) % classes, (np.arange(n) // classes) % fields
    values = random.normal(size=(n, 4)).astype(np.float32)
    values[:, 0] += signal * label
    values[:, 1] -= signal * label
    cells = pd.DataFrame(
        {
            "Metadata_Protein": [f"P{one}" for one in label],
            "Metadata_Field": [f"P{one}-{two}" for one, two in zip(label, field, strict=True)],
            "part": np.where(field == fields - 1, "test", "train"),
        },
        index=[f"tile-{i}" for i in range(n)],
    )
    return FeatureTable(
        name=name, file=f"{name}.h5ad", kind="", digest="", cells=cells, columns=tuple("abcd"), values=values
    )


def config(**changes: Any) -> FeatureEvaluateConfig:
    options = {"label": "Metadata_Protein", "group": ("Metadata_Field",), "k": 5, "ks": (1, 5), "resamples": 200}
    return FeatureEvaluateConfig(**{**options, **changes})


def test_copies_of_cells_are_said() -> None:
    one = table()
    assert not [note for note in evaluate_features([one], config()).summary["notes"] if "exactly" in note]
    one.values[7] = one.values[3]
    said = [note for note in evaluate_features([one], config()).summary["notes"] if "exactly" in note]
    assert [note.partition(": as")[0] for note in said] == [
        "2 of 60 cells have exactly the values of another one (such as 'tile-3' and 'tile-7')"
    ]


def test_leave_one_out_is_that_of_scikit_learn() -> None:
    one = table()
    found = evaluate_features([one], config(protocol="leave_one_out")).summary["rows"][0]
    scaled = (one.values - one.values.mean(axis=0)) / one.values.std(axis=0)
    model = KNeighborsClassifier(5, algorithm="brute")
    predicted = cross_val_predict(model, scaled, one.cells["Metadata_Protein"], cv=LeaveOneOut())
    assert found["knn"] == pytest.approx(balanced_accuracy_score(one.cells["Metadata_Protein"], predicted))
    assert found["knn_low"] < found["knn"] < found["knn_high"]


def test_train_and_test_parts_take_mean_and_sd_from_train() -> None:
    one = table()
    evaluation = evaluate_features([one], config())
    train = (one.cells["part"] == "train").to_numpy()
    scaled = (one.values - one.values[train].mean(axis=0)) / one.values[train].std(axis=0)
    model = KNeighborsClassifier(5, algorithm="brute").fit(scaled[train], one.cells["Metadata_Protein"][train])
    expected = balanced_accuracy_score(one.cells["Metadata_Protein"][~train], model.predict(scaled[~train]))
    assert evaluation.summary["protocol"] == "train_test"
    assert evaluation.summary["rows"][0]["knn"] == pytest.approx(expected)
    cells = evaluation.tables["per_cell"]
    assert (cells.loc[train, "good knn"] == "").all()
    assert (cells.loc[~train, "good knn"] == model.predict(scaled[~train])).all()


def test_cells_may_be_named_as_test_part() -> None:
    named = evaluate_features([table()], config(test_where=("Metadata_Field=P0-3,P1-3,P2-3",)))
    by_part = evaluate_features([table()], config())
    assert named.summary["rows"][0]["knn"] == by_part.summary["rows"][0]["knn"]
    with pytest.raises(InputError, match="no cell has Metadata_Field = 'P0-9'"):
        evaluate_features([table()], config(test_where=("Metadata_Field=P0-9",)))


def test_fields_are_left_out_whole() -> None:
    # Each field has its own offset, larger than what the class does: only neighbours in the field give it away.
    one = table(240, signal=0.0)
    offset = pd.factorize(one.cells["Metadata_Field"])[0]
    one.values[:] += np.random.default_rng(1).permutation(12)[offset, None].astype(np.float32) * 50
    rows = {
        protocol: evaluate_features([one], config(protocol=protocol)).summary["rows"][0]["knn"]
        for protocol in ("leave_one_out", "leave_group_out")
    }
    assert rows["leave_one_out"] == 1
    assert rows["leave_group_out"] < 0.5


def test_two_sets_are_compared_on_the_same_resamples(tmp_path: Path) -> None:
    good, same, bad = table(), table(name="same"), table(signal=0.0, name="bad", seed=3)
    evaluation = evaluate_features([good, same, bad], config(missing={"transfer": "no weights"}), tmp_path / "out")
    first, second, third, absent = evaluation.summary["rows"]
    assert second["knn_difference"] == second["knn_difference_low"] == second["knn_difference_high"] == 0
    assert third["knn_difference"] < 0
    assert third["knn_difference_low"] <= third["knn_difference"] <= third["knn_difference_high"]
    assert absent == {"set": "transfer", "missing": "no weights"}
    back = read_evaluation(tmp_path / "out")
    assert back.summary["rows"][0]["knn"] == pytest.approx(first["knn"])
    assert pd.read_csv(tmp_path / "out" / "per_set.csv")["set"].tolist() == ["good", "same", "bad"]
    per_class = back.tables["per_class"].query("set == 'good' and classifier == 'knn'")
    assert per_class["recall"].mean() == pytest.approx(first["knn"])
    counts = back.tables["confusion"].query("set == 'good'")
    assert counts["cells"].sum() == first["cells"]
    assert render(back).row_count == 4


@pytest.mark.parametrize("name", ["logistic", "forest"])
@pytest.mark.parametrize("protocol", ["leave_one_out", "leave_group_out", "train_test"])
def test_trained_classifiers_find_the_signal(name: str, protocol: str) -> None:
    options = config(classifiers=(name,), protocol=protocol, trees=20, folds=4)
    row = evaluate_features([table(signal=6.0)], options).summary["rows"][0]
    again = evaluate_features([table(signal=6.0)], options).summary["rows"][0]
    assert row[name] > 0.9
    assert row == again
    noise = evaluate_features([table(240, signal=0.0)], options).summary["rows"][0]
    assert noise[name] < 0.55


def test_more_folds_than_fields_are_refused() -> None:
    with pytest.raises(InputError, match="class 'P0' has 4 fields, fewer than the 5 folds"):
        evaluate_features([table()], config(classifiers=("logistic",), protocol="leave_one_out", fold_by="group"))


def test_constant_features_count_nothing_and_are_told() -> None:
    one = table()
    one.values[:, 2] = 7.7
    evaluation = evaluate_features([one], config())
    assert evaluation.summary["rows"][0]["constant"] == 1
    assert "good: 1 of 4 features are constant and count 0" in evaluation.summary["notes"]


def test_fields_on_both_sides_are_warned_about() -> None:
    one = table()
    one.cells["part"] = np.where(np.arange(60) // 12 % 2, "test", "train")
    notes = evaluate_features([one], config()).summary["notes"]
    assert any(
        "WARNING: 12 of 12 fields (Metadata_Field) have cells in the train and in the test" in note for note in notes
    )


def test_a_class_without_train_cells_is_warned_about() -> None:
    one = table()
    one.cells.loc[one.cells["Metadata_Protein"] == "P1", "part"] = "test"
    notes = evaluate_features([one], config()).summary["notes"]
    assert "WARNING: without a train cell, and so never right: P1" in notes


def test_missing_labels_and_small_classes() -> None:
    one = table()
    one.cells["Metadata_Protein"] = one.cells["Metadata_Protein"].where(np.arange(60) != 4, "")
    with pytest.raises(InputError, match=r"1 of 60 cells have no label.*'tile-4'.*--drop-incomplete"):
        evaluate_features([one], config())
    one.cells.iloc[4, 0] = "lonely"
    with pytest.raises(InputError, match=r"class 'lonely' has a single cell.*--drop-incomplete"):
        evaluate_features([one], config())
    kept = evaluate_features([one], config(drop_incomplete=True))
    assert kept.summary["n_cells"] == 59
    assert "classes with a single cell take no part: lonely" in kept.summary["notes"]


def test_other_bad_input() -> None:
    one = table()
    one.cells["part"] = "unseen"
    with pytest.raises(InputError, match=r"train_test needs cells of the parts.*found the parts unseen"):
        evaluate_features([one], config(protocol="train_test"))
    assert evaluate_features([one], config()).summary["protocol"] == "leave_one_out"
    with pytest.raises(InputError, match="k = 60 needs as many other cells to vote, found 59"):
        evaluate_features([one], config(k=60))
    one.cells["Metadata_Protein"] = "P0"
    with pytest.raises(InputError, match="one class only, 'P0'"):
        evaluate_features([one], config())
    with pytest.raises(ValueError, match="expected COLUMN=VALUE"):
        config(test_where=("Metadata_Field",))
    with pytest.raises(ValueError, match="two labels as FIRST/SECOND"):
        config(compartments=("nucleus",))


def test_recalls_and_confusion_by_hand() -> None:
    truth, predicted = np.array([0, 0, 0, 1, 1, 3]), np.array([0, 0, 1, 1, 0, 3])
    np.testing.assert_allclose(recalls(truth, predicted, 4), [2 / 3, 1 / 2, np.nan, 1])
    assert balanced_accuracy(truth, predicted, 4) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    np.testing.assert_array_equal(confusion(truth, predicted, 4)[:2, :2], [[2, 1], [1, 1]])


def test_the_bootstrap_resamples_fields_not_cells() -> None:
    # Every field is all right or all wrong: 8 fields per class, 5 of them right. The sd of a mean of 8 such draws is
    # sqrt(.625 * .375 / 8), and of the mean of two classes that over sqrt(2); cells would give a tenth of the width.
    field = np.repeat(np.arange(16), 100)
    truth = field % 2
    predicted = np.where(field < 10, truth, 1 - truth)
    plan = Resamples.plan(truth, field, seed=0, count=4000)
    found = plan.scores(truth, {"x": predicted}, 2)["x"]
    assert found.mean() == pytest.approx(0.625, abs=0.01)
    assert found.std() == pytest.approx(np.sqrt(0.625 * 0.375 / 16), rel=0.05)


def test_fields_that_show_several_classes_are_resampled_together() -> None:
    random = np.random.default_rng(0)
    field, truth = random.integers(0, 30, 3000), random.integers(0, 3, 3000)
    plan = Resamples.plan(truth, field, seed=0, count=500)
    assert len(plan.blocks) == 1
    assert plan.notes == ()
    assert plan.scores(truth, {"x": truth}, 3)["x"].min() == 1


def test_one_field_of_all_classes_falls_back_to_cells_and_says_so() -> None:
    truth = np.repeat([0, 1], 50)
    plan = Resamples.plan(truth, np.full(100, 7), seed=0, count=300)
    assert "There are cells of one field only" in plan.notes[0]
    predicted = np.where(np.arange(100) % 2, truth, 1 - truth)
    assert plan.scores(truth, {"x": predicted}, 2)["x"].std() == pytest.approx(np.sqrt(0.25 / 100), rel=0.15)


def test_one_field_a_class_falls_back_to_cells_and_says_so() -> None:
    truth = np.repeat([0, 1], 50)
    plan = Resamples.plan(truth, truth, seed=0, count=300)
    assert "too narrow" in plan.notes[0]
    predicted = np.where(np.arange(100) % 2, truth, 1 - truth)
    found = plan.scores(truth, {"x": predicted}, 2)["x"]
    assert found.std() == pytest.approx(np.sqrt(0.25 / 100), rel=0.15)
