"""The look that all figures share."""

from __future__ import annotations

from itertools import pairwise

from matplotlib.colors import to_rgb

from framework.report.canvas import FILTERED, MARKERS, NOT_SIGNIFICANT, PALETTE, SIGNIFICANT


def grey(colour: str) -> float:
    """Luma of ITU-R BT.601, 0 is black and 1 white."""
    return sum(weight * part for weight, part in zip((0.299, 0.587, 0.114), to_rgb(colour), strict=True))


def test_parts_of_a_share_can_be_told_apart_in_grey() -> None:
    shades = [grey(colour) for colour in (SIGNIFICANT, NOT_SIGNIFICANT, FILTERED)]
    assert all(darker + 0.15 < lighter for darker, lighter in pairwise(shades))


def test_every_colour_has_a_shape_of_its_own() -> None:
    assert len(set(MARKERS)) == len(MARKERS) == len(PALETTE)
