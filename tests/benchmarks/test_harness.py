from __future__ import annotations

import numpy as np
import pytest

from benchmarks import mil, stream, tiling
from benchmarks.harness import Arm, Measured, WrongPixels, digest, measure


def test_ratio_is_the_limits_median_time_over_the_arms() -> None:
    result = Measured(theme="t", unit="u", items=10, seconds={"limit": [1.0, 9.0, 2.0], "ours": [4.0]}, limit="limit")
    assert result.ratio("ours") == 0.5
    assert result.ratio("limit") == 1.0


def test_arms_run_interleaved_once_unmeasured() -> None:
    calls: list[str] = []
    arms = [Arm(name=name, work=lambda name=name: calls.append(name)) for name in "ab"]
    seconds = measure(arms, 2)
    assert "".join(calls) == "ababab"
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}


def test_arms_that_disagree_void_the_comparison() -> None:
    pixels = np.zeros(3, dtype=np.uint16)
    same = [Arm(name=name, work=lambda: None, result=lambda: digest(pixels)) for name in "ab"]
    assert measure(same, 1)
    with pytest.raises(WrongPixels, match="different pixels"):
        measure([*same, Arm(name="c", work=lambda: None, result=lambda: digest(pixels.astype(np.int32)))], 1)


@pytest.mark.parametrize("theme", [mil, stream, tiling], ids=lambda theme: theme.__name__)
def test_every_theme_agrees_with_its_peers(theme: object) -> None:
    for result in theme.run(quick=True):  # type: ignore[attr-defined]
        assert result.limit in result.seconds
        assert all(result.ratio(arm) > 0 for arm in result.seconds)
