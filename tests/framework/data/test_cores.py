"""The share of a rank of the cores of its machine."""

from __future__ import annotations

import os

import pytest

from framework.data.cores import MOST_DECODERS, decoders_per_process, processes_here


@pytest.mark.parametrize(
    ("cores", "ranks", "expected"), [(2, None, 2), (192, None, MOST_DECODERS), (192, 8, 16), (32, 8, 4), (4, 8, 1)]
)
def test_ranks_share_the_cores(monkeypatch: pytest.MonkeyPatch, cores: int, ranks: int | None, expected: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if ranks is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks))
    assert processes_here() == (ranks or 1)
    assert decoders_per_process() == expected
