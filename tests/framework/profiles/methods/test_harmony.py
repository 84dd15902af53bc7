"""``harmony``: Harmony on the controls, other rows mapped onto it."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import numpy as np
import pytest

from framework.errors import InputError
from framework.profiles import NormaliseConfig, normalise
from framework.profiles.methods import Controls, HarmonyMethod, HarmonyOptions
from wellstream.testing import NormalisationContract
from wellstream.testing.profiles import plates

pytest.importorskip("harmonypy", reason="the extra 'profiles' is not installed")


class TestContract(NormalisationContract):
    plain: ClassVar[dict[str, Any]] = {"name": "harmony"}


def two_populations(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return controls of two plates in two populations; those of plate 1 differ by population, not in their mean."""
    random = np.random.default_rng(seed)
    kind = np.tile([0, 1], 60)
    plate = np.repeat([0, 1], 60)
    values = random.normal(size=(120, 6)) * 0.3
    values[:, 0] += np.where(kind == 0, 4, -4)
    values[:, 1] += np.where(plate == 1, np.where(kind == 0, 1.5, -1.5), 0)
    return values, plate, kind


def test_populations_that_a_plate_moves_apart_come_together() -> None:
    values, plate, kind = two_populations()
    method = HarmonyMethod(HarmonyOptions(clusters=2))
    shared = method.learn(Controls(values=values, groups=plate))
    after = np.concatenate(
        [
            method.apply(values[plate == each], shared, method.learn_group(values[plate == each], shared))
            for each in (0, 1)
        ]
    )

    def gap(rows: np.ndarray) -> float:
        scaled = rows / rows.std(axis=0)
        return float(abs(scaled[(plate == 1) & (kind == 0), 1].mean() - scaled[(plate == 0) & (kind == 0), 1].mean()))

    assert gap(after) < 0.35 * gap(values)


def test_one_plate_has_nothing_to_mix() -> None:
    with pytest.raises(InputError, match="harmony: Harmony mixes groups, but there is only one"):
        normalise(plates(("p1",)), NormaliseConfig(steps=(HarmonyOptions(),)))


def test_without_harmonypy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "harmonypy", None)
    with pytest.raises(InputError, match=r"pip install 'wellstream\[profiles\]'"):
        normalise(plates(("p1", "p2")), NormaliseConfig(steps=(HarmonyOptions(),)))
