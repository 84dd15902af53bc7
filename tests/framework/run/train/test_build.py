"""What building a training says where it will not be worth its ranks."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fixtures.tiny_dataset import make_dataset

from framework.data.plan import BagsConfig, BalancedBagsConfig, PlanConfig, plan_over
from framework.run.train.build import FEW_TILES, _warn_of_few_tiles, _warn_of_padding


@pytest.mark.parametrize(
    ("batch_norm", "rows", "tiles_per_row", "world", "said"),
    [
        ("sync", 64, 2, 8, True),  # 8 pairs per rank
        ("sync", 64, 2, 7, False),  # 10 pairs
        ("sync", 57, 2, 8, True),  # 8 pairs on all but the last
        ("sync", 16, 1, 1, False),  # nobody to exchange with
        ("local", 64, 2, 8, False),
    ],
)
def test_few_tiles_per_rank_with_statistics_of_all_ranks_are_said(
    caplog: pytest.LogCaptureFixture, batch_norm: str, rows: int, tiles_per_row: int, world: int, said: bool
) -> None:
    config: Any = SimpleNamespace(train=SimpleNamespace(batch_norm=batch_norm))
    plan: Any = SimpleNamespace(rows=rows, tiles_per_row=tiles_per_row)
    with caplog.at_level(logging.WARNING):
        _warn_of_few_tiles(config, plan, world)
    assert [f"each of {world} ranks has {FEW_TILES} tiles" in line for line in caplog.messages] == [True] * said


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        # 12 bags: 3 perturbations of 4 bags each.
        (BalancedBagsConfig(by=("Metadata_Perturbation",), conditions=8, bags=2, tiles=2), "16 rows.*6 (3 conditions)"),
        (BagsConfig(bags=20, tiles=2), "20 rows.*12 (12 bags)"),
        (BagsConfig(bags=12, tiles=2), ""),
        (BagsConfig(bags=5, tiles=2), ""),  # the third step of an epoch is filled up, the others are whole
    ],
)
def test_a_step_that_asks_for_more_than_there_is_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, plan: PlanConfig, said: str
) -> None:
    dataset = make_dataset(tmp_path / "data", bags=12)
    made: Any = plan_over(plan, dataset, np.arange(12), 0)
    config: Any = SimpleNamespace(plan=plan)
    with caplog.at_level(logging.WARNING):
        _warn_of_padding(config, made)
    asked, _, has = said.partition(".*")
    assert [asked in line and f"has {has}" in line for line in caplog.messages] == [True] * bool(said)
