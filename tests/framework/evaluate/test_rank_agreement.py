"""Agreement of ranks against scipy, and chance by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from framework.errors import InputError
from framework.evaluate import rank_agreement


def test_it_is_spearman_of_genes_with_both_scores() -> None:
    random = np.random.default_rng(0)
    ours = np.round(random.normal(size=60), 1)
    theirs = np.round(ours + random.normal(size=60), 1)
    ours[3], theirs[5] = np.nan, np.nan
    both = np.isfinite(ours) & np.isfinite(theirs)
    found = rank_agreement(ours, theirs, permutations=2_000)
    assert found.n == 58
    assert found.rho == pytest.approx(spearmanr(ours[both], theirs[both]).statistic)
    assert found.low < found.rho < found.high
    assert found.p == pytest.approx(1 / 2_001)


def test_chance_is_that_of_random_pairings() -> None:
    random = np.random.default_rng(1)
    found = rank_agreement(random.normal(size=101), random.normal(size=101), permutations=20_000)
    # The sd of Spearman's rho without agreement is 1 / sqrt(n - 1) = 0.1.
    assert found.chance_low == pytest.approx(-0.196, abs=0.01)
    assert found.chance_high == pytest.approx(0.196, abs=0.01)
    assert found.p > 0.05


def test_p_is_exact_where_all_orders_can_be_counted() -> None:
    # Of 120 orders of five, the right one and its reverse agree or disagree fully.
    found = rank_agreement([1, 2, 3, 4, 5], [10, 20, 30, 40, 50], permutations=50_000)
    assert found.rho == pytest.approx(1.0)
    assert found.p == pytest.approx(2 / 120, abs=0.003)


def test_too_few_genes_and_equal_scores_are_sentences() -> None:
    with pytest.raises(InputError, match=r"4 genes have a score in both studies; expected 5"):
        rank_agreement([1, 2, 3, 4, np.nan], [1, 2, 3, 4, 5])
    with pytest.raises(InputError, match=r"the scores of 5 genes are all equal in one study"):
        rank_agreement([1, 1, 1, 1, 1], [1, 2, 3, 4, 5])
