"""Scale bars: lengths by hand, and a bar as long as it says."""

from __future__ import annotations

import numpy as np
import pytest

from framework.report.canvas import figure
from framework.report.figures.scale import draw_scale_bar, round_length, stored_pixel_size


@pytest.mark.parametrize(
    ("pixel_um", "width", "length", "pixels"),
    [
        (0.5, 64, 10.0, 20.0),  # at most 12.8 um
        (0.65, 1080, 200.0, 200 / 0.65),  # at most 280.8 um
        (0.1, 32, 1.0, 10.0),  # at most 1.28 um
        (0.02, 100, 0.5, 25.0),  # at most 0.8 um
        (1.0, 250, 100.0, 100.0),  # at most 100 um, which is round itself
    ],
)
def test_the_longest_round_length_that_fits(pixel_um: float, width: float, length: float, pixels: float) -> None:
    found = round_length(pixel_um, width)
    assert found is not None
    assert found == (pytest.approx(length), pytest.approx(pixels))


def test_without_a_pixel_size_there_is_no_bar() -> None:
    assert round_length(None, 64) is None
    assert round_length(0.0, 64) is None
    panel = figure(2, 2)[1][0, 0]
    draw_scale_bar(panel, None, 64, 64)
    assert not panel.lines
    assert not panel.texts


def test_the_bar_is_as_long_as_it_says_and_lies_inside_what_is_seen() -> None:
    panel = figure(2, 2)[1][0, 0]
    draw_scale_bar(panel, 0.5, 64, 48, left=100, top=200)
    ((left, right),) = (line.get_xdata() for line in panel.lines)
    assert right - left == pytest.approx(20.0)
    assert 100 < left < right < 164
    assert 200 < panel.lines[0].get_ydata()[0] < 248
    assert panel.texts[0].get_text() == "10 µm"


@pytest.mark.parametrize(("stored", "known"), [(0.5, 0.5), (np.nan, None), (0, None), ([0.5], None), ("0.5", None)])
def test_the_size_of_stored_pixels_is_a_number_or_not_known(stored: object, known: float | None) -> None:
    assert stored_pixel_size({"pixel_size_um": np.array(stored)}) == known
    assert stored_pixel_size({}) is None
