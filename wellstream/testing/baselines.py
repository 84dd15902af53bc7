"""Contract of a baseline: features of bags and of tiles, each row independent of others, the same every time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framework.baselines import BASELINES, Baseline, BaselineMissing, Rows
from framework.data.dataset import Dataset
from wellstream.testing.entry import EntryContract


class BaselineContract(EntryContract):
    """Tests of a baseline; a subclass sets ``plain`` and has a fixture ``dataset``, of bags with tiles.

    A baseline that needs the run has a fixture ``run`` with its folder.
    """

    registry = BASELINES

    @pytest.fixture
    def run(self) -> Path | None:
        """Folder of the run that made the predictions."""
        return None

    @pytest.fixture
    def baseline(self, options: Any) -> Baseline:
        """The baseline."""
        made: Baseline = self.entry(options).build(options)
        return made

    def rows(self, dataset: Dataset, level: str, run: Path | None, step: int = 1) -> Rows:
        """Return every ``step``-th bag or tile."""
        count = len(dataset.bags) if level == "bag" else min(len(dataset.index), 24)
        return Rows.of(dataset, level, np.arange(0, count, step), run=run, tiles_per_bag=1_000)

    def test_it_says_what_it_knows(self, baseline: Baseline) -> None:
        """In a few words, for tables."""
        assert 0 < len(baseline.says) < 80
        assert "\n" not in baseline.says

    @pytest.mark.parametrize("level", ["bag", "tile"])
    def test_each_row_has_numbers_of_its_own(
        self, baseline: Baseline, dataset: Dataset, run: Path | None, level: str
    ) -> None:
        """The same twice, and the same whatever rows are described beside it; infinite ones are refused."""
        try:
            found = baseline.features(self.rows(dataset, level, run))
        except BaselineMissing as error:
            pytest.skip(f"these data cannot have it: {error}")
        some = baseline.features(self.rows(dataset, level, run, step=2))
        assert found.dtype == np.float64
        assert found.ndim == 2
        assert not np.isinf(found).any()
        np.testing.assert_allclose(some, found[::2], rtol=1e-3, atol=1e-4)
