"""Normalisation on numbers worked out by hand."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from data_tools.omics import normalise, size_factors
from framework.errors import InputError


def _text(*values: str) -> np.ndarray:
    return np.array(values, dtype=object)


def test_size_factors_by_hand() -> None:
    # Gene 3 is unseen in sample 2 and does not count. Geometric means of genes 1 and 2: sqrt(2 * 8), sqrt(10 * 90).
    # Ratios of sample 1: 2/4, 10/30; of sample 2: 8/4, 90/30; medians in log: sqrt(1/2 * 1/3), sqrt(2 * 3).
    counts = np.array([[2, 10, 5], [8, 90, 0]], dtype=float)
    np.testing.assert_allclose(size_factors(counts), [np.sqrt(1 / 6), np.sqrt(6)])


def test_a_sample_twice_as_deep_has_twice_the_factor() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(5, 500, (1, 50)) * np.array([[1.0], [2.0], [4.0]])
    factors = size_factors(counts)
    np.testing.assert_allclose(factors / factors[0], [1, 2, 4])


def test_without_a_gene_seen_everywhere_poscounts_is_used() -> None:
    # No gene is seen in both samples. Log means count an unseen gene as log 1 = 0: ln(4)/2, ln(16)/2.
    # Ratios ln 4 - ln(4)/2 = ln 2 and ln 16 - ln(16)/2 = ln 4; minus their mean: sqrt(1/2), sqrt(2).
    counts = np.array([[4, 0], [0, 16]], dtype=float)
    np.testing.assert_allclose(size_factors(counts), [np.sqrt(0.5), np.sqrt(2)])


@pytest.mark.skipif(importlib.util.find_spec("pydeseq2") is None, reason="pydeseq2 is not installed")
def test_size_factors_agree_with_pydeseq2() -> None:
    preprocessing = pytest.importorskip("pydeseq2.preprocessing")
    counts = np.random.default_rng(0).poisson(50, (6, 200)) + 1
    np.testing.assert_allclose(size_factors(counts.astype(float)), preprocessing.deseq2_norm(counts)[1], rtol=1e-9)


def test_counts_are_filtered_scaled_and_logged() -> None:
    counts = np.array([[3, 0, 6], [3, 0, 6], [6, 1, 12]], dtype=float)
    result = normalise(counts, kind="counts", plate=_text("p", "p", "p"), condition=None, min_share=0.5)
    assert result.kept.tolist() == [True, False, True]
    assert result.share.tolist() == [1.0, pytest.approx(1 / 3), 1.0]
    # All three samples are the same up to depth, so they end equal.
    np.testing.assert_allclose(result.values, np.repeat(result.values[:1], 3, axis=0))
    np.testing.assert_allclose(result.values[0], np.log2(counts[0, [0, 2]] / result.factors[0] + 1))


# Six samples, three on each plate. Gene 1 is everywhere; gene 2 in 3 of 3 and 1 of 3; gene 3 in 0 of 3 and 3 of 3;
# gene 4 in 1 of 3 and 1 of 3; gene 5 nowhere.
SEEN = np.array([[1, 1, 0, 1, 0], [1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [1, 0, 1, 0, 0], [1, 0, 1, 0, 0]])
PLATES = _text("p", "p", "p", "q", "q", "q")


@pytest.mark.parametrize("kind", ["counts", "intensities"])
@pytest.mark.parametrize(
    ("where", "kept", "share", "low_on"),
    [
        ("every_plate", [1, 0, 0, 0, 0], [1, 1 / 3, 0, 1 / 3, 0], {"p": 3, "q": 3}),
        ("any_plate", [1, 1, 1, 0, 0], [1, 1, 1, 1 / 3, 0], {"p": 3, "q": 3}),
        ("pooled", [1, 1, 1, 0, 0], [1, 4 / 6, 3 / 6, 2 / 6, 0], {"": 2}),
    ],
)
def test_low_expression_plate_by_plate(kind: Any, where: Any, kept: list[int], share: list[float], low_on: Any) -> None:
    values = 7.0 * SEEN * np.array([[1], [2], [3], [1], [2], [3]])
    result = normalise(
        values, kind=kind, plate=PLATES, condition=None, min_share=0.5, expressed_in=where, method="median"
    )
    assert result.kept.tolist() == [bool(k) for k in kept]
    np.testing.assert_allclose(result.share, share)
    assert result.low_on == low_on


def test_the_default_asks_every_plate_and_a_third_is_enough_where_asked() -> None:
    result = normalise(7.0 * SEEN, kind="counts", plate=PLATES, condition=None, min_share=1 / 3)
    assert result.kept.tolist() == [True, True, False, True, False]
    everything = normalise(7.0 * SEEN, kind="counts", plate=PLATES, condition=None, min_share=0.0)
    # A share of 0 asks for nothing; a gene that no sample has is of no use all the same.
    assert everything.kept.tolist() == [True, True, True, True, False]


def test_the_papers_fifty_wells_of_384() -> None:
    counts = np.ones((768, 3))
    plates = np.repeat(_text("p", "q"), 384)
    counts[50:384, 1] = 0  # 50 wells of plate p: enough
    counts[49:384, 2] = 0  # 49 wells of plate p: too few, although 433 of 768 have it
    strict = normalise(counts, kind="counts", plate=plates, condition=None, min_share=0.13)
    assert strict.kept.tolist() == [True, True, False]
    pooled = normalise(counts, kind="counts", plate=plates, condition=None, min_share=0.13, expressed_in="pooled")
    assert pooled.kept.tolist() == [True, True, True]


def test_a_failed_plate_is_named() -> None:
    values = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=float)
    with pytest.raises(InputError, match=r"of every plate .*of 2: 'p' 1, 'q' 1\); remove a failed plate"):
        normalise(values, kind="counts", plate=_text("p", "p", "q", "q"), condition=None, min_share=0.5)


def test_intensities_are_logged_and_centred_on_their_medians() -> None:
    values = np.array([[2, 4, 8, np.nan], [4, 8, 16, 1]], dtype=float)
    plate = _text("p", "p")
    result = normalise(values, kind="intensities", plate=plate, condition=None, min_share=0.6, method="median")
    assert result.factors.tolist() == [2.0, 2.5]
    assert result.kept.tolist() == [True, True, True, False]
    np.testing.assert_allclose(result.values, [[1.25, 2.25, 3.25], [1.75, 2.75, 3.75]])


@pytest.mark.parametrize(
    ("values", "kind", "sentence"),
    [
        ([[1, 2], [0, 0]], "counts", "sample 2 of 2 has no count above zero at all"),
        ([[1, 2], [np.nan, 0]], "intensities", "sample 2 of 2 has no intensity above zero at all"),
        ([[1, 2], [np.nan, np.nan]], "log2", "sample 2 of 2 has no value at all"),
        ([[1, 0], [0, 1]], "counts", "no gene is seen in at least 90% of the 2 samples"),
    ],
)
def test_hopeless_samples_are_refused(values: list[list[float]], kind: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        normalise(np.array(values, float), kind=kind, plate=_text("p", "p"), condition=None, min_share=0.9)  # type: ignore[arg-type]
    assert sentence in str(caught.value)
