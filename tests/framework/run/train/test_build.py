"""What building a training says where it will not be worth its ranks."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from framework.run.train.build import FEW_TILES, _warn_of_few_tiles


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
