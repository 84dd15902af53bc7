"""Batch effects: numbers worked out by hand, and those of limma's removeBatchEffect (``limma/expected.R``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data_tools.omics import remove_batch

LIMMA = Path(__file__).parent / "limma"


def _text(*values: str) -> np.ndarray:
    return np.array(values, dtype=object)


def _of_plates(values: np.ndarray, plate: np.ndarray, condition: np.ndarray | None) -> tuple[np.ndarray, str]:
    done = remove_batch(values, {"plate": plate}, condition=condition)
    return done.values, done.effect


def test_balanced_plates_end_with_equal_means_and_the_condition_effect() -> None:
    batch, condition = _text("p1", "p1", "p2", "p2"), _text("a", "b", "a", "b")
    values = np.array([[1.0], [3.0], [11.0], [13.0]])
    for protected in (condition, None):
        corrected, effect = _of_plates(values, batch, protected)
        np.testing.assert_allclose(corrected[:, 0], [6, 8, 6, 8])
        assert effect == "removed"


def test_the_design_protects_an_unbalanced_condition() -> None:
    # Condition b (+4) lies mostly on plate 2 (+10). Protected, exactly the plate effect goes; the mean of plates stays.
    batch = _text("p1", "p1", "p1", "p2", "p2", "p2")
    condition = _text("a", "a", "b", "a", "b", "b")
    truth = np.where(condition == "b", 4.0, 0.0)
    values = (truth + np.where(batch == "p2", 10.0, 0.0))[:, None]
    corrected, _ = _of_plates(values, batch, condition)
    np.testing.assert_allclose(corrected[:, 0], truth + 5)
    # limma with the intercept alone subtracts half the difference of plate means, 2.67 against 14.67 - 4/3 ...
    plain, _ = _of_plates(values, batch, None)
    means = [values[batch == plate].mean() for plate in ("p1", "p2")]
    np.testing.assert_allclose(plain[batch == "p1", 0], values[batch == "p1", 0] + (means[1] - means[0]) / 2)


def test_a_plate_confounded_with_its_condition_is_left_alone() -> None:
    batch = condition = _text("x", "x", "y", "y")
    values = np.array([[0.0], [1.0], [10.0], [11.0]])
    corrected, effect = _of_plates(values, batch, condition)
    np.testing.assert_array_equal(corrected, values)
    assert effect == "confounded"
    assert _of_plates(values, _text("p", "p", "p", "p"), condition)[1] == "one_plate"


def test_three_plates_of_which_one_is_confounded() -> None:
    batch = _text("p1", "p2", "p1", "p2", "p3", "p3")
    condition = _text("a", "a", "b", "b", "c", "c")
    values = np.array([[0.0], [6.0], [1.0], [7.0], [50.0], [52.0]])
    corrected, effect = _of_plates(values, batch, condition)
    assert effect == "partly"
    np.testing.assert_allclose(corrected[0], corrected[1])
    np.testing.assert_allclose(corrected[2] - corrected[0], 1)
    assert corrected[5, 0] - corrected[4, 0] == pytest.approx(2)


def test_missing_values_stay_missing_and_do_not_spread() -> None:
    batch, condition = _text("p1", "p1", "p2", "p2"), _text("a", "b", "a", "b")
    values = np.array([[1.0, 1.0], [3.0, np.nan], [11.0, 11.0], [13.0, 13.0]])
    corrected, _ = _of_plates(values, batch, condition)
    np.testing.assert_allclose(corrected[:, 0], [6, 8, 6, 8])
    assert np.isnan(corrected[1, 1])
    assert corrected[0, 1] == pytest.approx(corrected[2, 1])


def test_the_fit_is_that_of_the_whole_linear_model() -> None:
    """limma's model written out: one column per condition, batches coded to sum to zero, one fit per gene."""
    rng = np.random.default_rng(3)
    batch, condition = rng.choice(["p", "q", "r"], 40).astype(object), rng.choice(list("abcdef"), 40).astype(object)
    values = rng.normal(size=(40, 7)) + (batch == "q")[:, None] * 3
    values[rng.random(values.shape) < 0.2] = np.nan
    corrected, _ = _of_plates(values, batch, condition)
    design = (condition[:, None] == np.array(list("abcdef"), dtype=object)).astype(float)
    coded = np.stack([(batch == level).astype(float) - (batch == "r") for level in "pq"], axis=1)
    for gene in range(7):
        rows = np.isfinite(values[:, gene])
        fit = np.linalg.lstsq(np.hstack([design, coded])[rows], values[rows, gene], rcond=None)[0]
        np.testing.assert_allclose(corrected[rows, gene], values[rows, gene] - coded[rows] @ fit[6:], atol=1e-12)


@pytest.fixture(scope="module")
def facts() -> Mapping[str, np.ndarray]:
    """Name -> (12,), what is known of each sample."""
    table = pd.read_csv(LIMMA / "facts.csv", index_col=0, dtype=str)
    found = {str(name): row.to_numpy(dtype=object) for name, row in table.iterrows()}
    return {**found, "rin": found["rin"].astype(float)}


@pytest.fixture(scope="module")
def expected() -> Mapping[str, np.ndarray]:
    """Case -> (12, 6), what limma leaves; ``x`` is what it was given."""
    table = pd.read_csv(LIMMA / "expected.csv", header=None)
    return {str(case): part.iloc[:, 1:].to_numpy(dtype=float).T for case, part in table.groupby(0)}


CASES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "batch": (("plate",), {}),
    "batch2": (("plate", "multiplex"), {}),
    "batch2_condition": (("plate", "multiplex"), {"condition": "drug"}),
    "covariate": (("plate",), {"condition": "drug", "covariates": ("rin",)}),
    "two_covariates": ((), {"covariates": ("rin", "order")}),
    "nested": (("nested", "plate"), {}),
    "confounded": (("plate",), {"condition": "alone"}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_left_is_what_limma_leaves(
    case: str, facts: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> None:
    factors, options = CASES[case]
    numbers = {"rin": facts["rin"], "order": np.arange(1.0, 13.0)}
    done = remove_batch(
        expected["x"],
        {name: facts[name] for name in factors},
        condition=facts[options["condition"]] if "condition" in options else None,
        covariates={name: numbers[name] for name in options.get("covariates", ())},
    )
    np.testing.assert_allclose(done.values, expected[case], rtol=0, atol=2e-10)
    assert np.isnan(done.values).sum() == 2 + 4 + 4


def test_columns_of_a_design_are_protected_as_conditions_are(
    facts: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> None:
    drug = facts["drug"]
    design = np.stack([(drug == level).astype(float) for level in ("b", "c")], axis=1)
    done = remove_batch(expected["x"], {"plate": facts["plate"], "multiplex": facts["multiplex"]}, design=design)
    np.testing.assert_allclose(done.values, expected["batch2_condition"], rtol=0, atol=2e-10)


def test_covariates_as_they_are_differ_by_a_constant_per_gene(
    facts: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> None:
    """This limma does not centre covariates, which moves the level of each gene; nothing else differs."""
    done = remove_batch(
        expected["x"],
        {"plate": facts["plate"], "multiplex": facts["multiplex"]},
        condition=facts["drug"],
        covariates={"rin": facts["rin"]},
    )
    moved = done.values - expected["raw_covariate"]
    np.testing.assert_allclose(np.nanmax(moved, axis=0), np.nanmin(moved, axis=0), rtol=0, atol=2e-10)
    assert np.abs(moved[0]).min() > 0.1


def test_what_cannot_be_told_is_said(facts: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    whole = expected["x"][:, [0, 2, 3]]
    nested = remove_batch(whole, {"nested": facts["nested"], "plate": facts["plate"]})
    assert (nested.effect, nested.notes) == (
        "partly",
        (
            "batch factor 'plate': 2 of its 2 differences cannot be told from those of the factors before it, which "
            "explain them",
        ),
    )
    alone = remove_batch(whole, {"plate": facts["plate"]}, condition=facts["alone"])
    assert alone.effect == "partly"
    assert alone.notes == (
        "batch factor 'plate': 1 of its 2 differences cannot be told from those of the conditions, because 'P3' shares "
        "no condition with the others; values there do not compare with those of the others",
    )
    every = remove_batch(whole, {"plate": facts["plate"]}, condition=facts["plate"])
    assert every.effect == "confounded"
    np.testing.assert_array_equal(every.values, whole)
    assert every.notes[0].endswith("because no two of its levels share a condition; their values do not compare")
    constant = remove_batch(whole, {}, covariates={"rin": np.full(12, 8.0)})
    assert constant.notes == (
        "batch factor 'rin': its effect cannot be told from the mean, because it is the same for all samples",
    )
    free = remove_batch(whole, {"plate": facts["plate"], "multiplex": facts["multiplex"]}, condition=facts["drug"])
    assert (free.effect, free.notes) == ("removed", ())


def test_genes_with_too_few_values_are_counted(
    facts: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> None:
    done = remove_batch(expected["x"], {"plate": facts["plate"]})
    assert done.effect == "removed"
    assert done.notes == ("1 genes lack so many values that not all differences of batches can be told for them",)
