"""Colours of plate maps: one hue for amounts, two that part at 0 for signed values, with a unit beside them."""

from __future__ import annotations

import numpy as np
import pytest

from framework.report.canvas import DIVERGING, SEQUENTIAL
from framework.report.run import figures_plate
from framework.report.run.figures_plate import plate_map


@pytest.mark.parametrize(
    ("values", "colours", "ends"),
    [
        ((1.0, 3.0), SEQUENTIAL, (1.0, 3.0)),
        ((-1.0, 3.0), DIVERGING, (-3.0, 3.0)),
        ((-3.0, -1.0), SEQUENTIAL, (-3.0, -1.0)),
    ],
)
def test_signed_values_have_two_hues_that_part_at_zero(
    values: tuple[float, float], colours: str, ends: tuple[float, float]
) -> None:
    scale, found = figures_plate._scale(np.array(values))
    assert (found, scale.vmin, scale.vmax) == (colours, *ends)


def test_the_colour_bar_says_what_it_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(figures_plate, "uri", lambda drawn, form: seen.append(drawn) or "data:")
    plate_map({"p": {"A01": 1.0, "B02": 2.0}}, "tiles", "Look.", "tiles per well")
    plate_map({"p": {"A01": 1.0, "B02": 2.0}}, "score", "Look.")
    assert [drawn.axes[-1].get_ylabel() for drawn in seen] == ["tiles per well", "score"]
