"""Which test keeps its level where nothing is predicted: replicate wells share their label, as on a plate.

Each gene has conditions with several wells. Model and baseline are two predictors of equal worth; each adds something
per condition and something per well to the true mean, and neither knows the label. So the share of genes with p < alpha
should be alpha, within the limits of a binomial.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import binom

from framework.evaluate.metrics import Floats, smape_terms
from framework.evaluate.significance import mann_whitney_less, regression_p, wilcoxon_less

GENES, CONDITIONS, WELLS, ALPHA = 2000, 30, 4, 0.05
LOW, HIGH = (binom.ppf(end, GENES, ALPHA) / GENES for end in (0.0005, 0.9995))


class Plate(NamedTuple):
    """(conditions, wells, genes) each."""

    measured: Floats
    model: Floats
    baseline: Floats


@pytest.fixture(scope="module")
def plate() -> Plate:
    random = np.random.default_rng(7)
    label = random.normal(8.0, 1.0, (CONDITIONS, 1, GENES))
    sides = (
        8.0 + random.normal(0, 0.5, (CONDITIONS, 1, GENES)) + random.normal(0, 0.3, (CONDITIONS, WELLS, GENES))
        for _ in range(2)
    )
    return Plate(np.broadcast_to(label, (CONDITIONS, WELLS, GENES)), *sides)


def per_well(values: Floats) -> Floats:
    return values.reshape(-1, GENES)


def per_condition(values: Floats) -> Floats:
    return values.mean(axis=1)


def errors(plate: Plate) -> tuple[Floats, Floats]:
    shape = plate.measured.shape
    terms = (smape_terms(per_well(side), per_well(plate.measured)) for side in (plate.model, plate.baseline))
    ours, theirs = (each.reshape(shape) for each in terms)
    return ours, theirs


def share(p: Floats) -> float:
    return float((p < ALPHA).mean())


def test_the_signed_rank_test_keeps_its_level_per_condition_alone(plate: Plate) -> None:
    ours, theirs = errors(plate)
    assert LOW <= share(wilcoxon_less(per_condition(ours), per_condition(theirs))) <= HIGH
    assert share(wilcoxon_less(per_well(ours), per_well(theirs))) > 2 * ALPHA


def test_the_regression_keeps_its_level_per_condition_alone(plate: Plate) -> None:
    model, measured = plate.model, plate.measured
    assert LOW <= share(regression_p(per_condition(model), per_condition(measured))) <= HIGH
    assert share(regression_p(per_well(model), per_well(measured))) > 2 * ALPHA


def test_mann_whitney_is_too_strict_per_condition(plate: Plate) -> None:
    """It does not use that both errors are of the same label, which makes them alike."""
    ours, theirs = errors(plate)
    assert share(mann_whitney_less(per_condition(ours), per_condition(theirs))) < LOW


def test_the_table_of_the_page_has_these_shares(plate: Plate) -> None:
    ours, theirs = errors(plate)
    model, measured = plate.model, plate.measured
    found = [
        [share(wilcoxon_less(by(ours), by(theirs))), share(mann_whitney_less(by(ours), by(theirs))),
         share(regression_p(by(model), by(measured)))]
        for by in (per_well, per_condition)
    ]  # fmt: skip
    page = (Path(__file__).parents[3] / "experiments/image2omics/README.md").read_text()
    rows = re.findall(r"^\| (?:paired|Mann|regression)[^|]*\| \**(\d+) %\** \| \**(\d+) %\** \|$", page, re.MULTILINE)
    assert rows == [(f"{well:.0%}"[:-1], f"{condition:.0%}"[:-1]) for well, condition in zip(*found, strict=True)]


def test_both_keep_their_level_per_well_where_each_well_has_its_own_label() -> None:
    random = np.random.default_rng(11)
    label, model, baseline = random.normal(8.0, 1.0, (3, CONDITIONS, GENES))
    ours, theirs = smape_terms(model, label), smape_terms(baseline, label)
    assert LOW <= share(wilcoxon_less(ours, theirs)) <= HIGH
    assert LOW <= share(regression_p(model, label)) <= HIGH
