"""Sizes, distances, focus and histograms of fields whose content is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from framework.look.samples import focus_of, histograms_of, sizes_of
from framework.look.values import Sample


def field(image: np.ndarray, centres: list[tuple[int, int]], well: str = "A01", scale: float = 1.0) -> Sample:
    y, x = np.array(centres, dtype=np.float64).reshape(-1, 2).T
    return Sample(plate="P", well=well, site=1, images={"DNA": image}, scale=scale, y_px=y, x_px=x,
                  has_tile=np.ones(len(y), np.bool_))  # fmt: skip


def grid(spacing: int, size: int = 200) -> list[tuple[int, int]]:
    return [(y, x) for y in range(spacing, size - 1, spacing) for x in range(spacing, size - 1, spacing)]


def test_distances_and_nuclei_of_a_tile() -> None:
    sizes = sizes_of([field(np.zeros((200, 200), np.uint16), grid(20))], "DNA", 50)
    # on a grid of 20 px a square of 50 px about a node holds 3 x 3 of them
    assert (sizes.apart_px, sizes.per_tile, sizes.typical_px) == (20.0, 9.0, None)


def test_sizes_are_those_of_the_field_not_of_its_picture() -> None:
    rows, columns = np.mgrid[:200, :200]
    image = np.full((200, 200), 100, np.uint16)
    for y, x in grid(33):
        image[(rows - y) ** 2 + (columns - x) ** 2 <= 64] = 900
    sizes = sizes_of([field(image, [], scale=0.5)], "DNA", 50)
    assert sizes.typical_px == pytest.approx(32, rel=0.2)


def test_a_blurred_field_is_less_sharp_than_the_others() -> None:
    rng = np.random.default_rng(0)
    sharp = [rng.integers(0, 1000, (64, 64)).astype(np.uint16) for _ in range(3)]
    dull = cv2.GaussianBlur(sharp[0], (0, 0), 6)
    samples = [field(image, [], well) for image, well in zip([*sharp, dull], ("A01", "A02", "A03", "A04"), strict=True)]
    focus = focus_of(samples, "DNA")
    assert focus["P", "A04", 1] < 0.5 < 0.9 < min(focus["P", well, 1] for well in ("A01", "A02", "A03"))


def test_saturation_is_a_share_at_the_end_of_a_camera() -> None:
    image = np.arange(4000, dtype=np.uint16)
    image[:40] = 4095
    one = histograms_of({"a": [image], "b": [image[40:]]})
    assert (one[0].top, one[0].saturated) == (4095.0, 0.01)
    assert (one[1].top, one[1].saturated) == (None, 0.0)
    assert one[0].counts.sum() == 4000


def test_the_last_bin_holds_what_lies_in_it_and_not_all_that_is_brighter() -> None:
    tail, hot = np.arange(1, 992, dtype=np.uint16), np.full(9, 60_000, np.uint16)
    (found,) = histograms_of({"a": [np.zeros(19_000, np.uint16), tail, hot]})
    assert found.top is None
    assert found.edges[-1] == pytest.approx(990, abs=0.01)
    assert found.counts.sum() == 19_990, "991 and the nine hot pixels lie to the right of what is drawn"
    assert found.counts[-1] <= found.counts[-2] + 1


def test_a_mask_is_not_saturated_and_one_value_is_told() -> None:
    mask = np.zeros(4000, dtype=np.uint8)
    mask[:400] = 255
    found = histograms_of({"mask": [mask], "dark": [np.full(9, 7, np.uint16)]})
    assert (found[0].top, found[0].saturated, found[0].constant) == (None, 0.0, False)
    assert (found[1].constant, found[1].edges[0]) == (True, 7.0)
