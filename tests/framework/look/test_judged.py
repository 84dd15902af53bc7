"""What is said of a look, and what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from framework.look.judged import warnings
from framework.look.values import Cropped, Histogram, Look, Measured, Sample, Sizes


def look(typical: float | None = 13.0, apart: float = 20.0, per_tile: float = 3.0, **changes: Any) -> Look:
    empty = np.zeros(0)
    sizes = Sizes(diameter_px=empty, area=empty, typical_px=typical, apart_px=apart, per_tile=per_tile)
    plain = {
        "name": "t", "facts": (), "nuclei": "DNA", "expected_px": 13.0, "tile_px": 48, "pixel_size_um": 0.6,
        "samples": (), "sizes": sizes, "histograms": (),
    }  # fmt: skip
    return Look(**(plain | changes))


def test_what_fits_is_not_mentioned() -> None:
    assert warnings(look(fitted_to=100, focus={("P", "A01", 1): 0.9})) == ()


@pytest.mark.parametrize("um", [3, 30, 100])
def test_a_diameter_that_does_not_fit_13_px(um: float) -> None:
    (said,) = warnings(look(expected_px=um / 0.6))
    assert said.startswith(f"The nucleus diameter does not fit: the config expects {um} µm ({um / 0.6:.0f} px)")
    assert "measure about 7.8 µm (13 px)" in said
    assert "Write 'diameter_um: 7.8' in 'nuclei'" in said


def test_without_a_pixel_size_px_are_said() -> None:
    (said,) = warnings(look(expected_px=50.0, pixel_size_um=None))
    assert "expects 50 px" in said
    assert "Write 'diameter_px: 13'" in said


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"typical": None}, "No round objects are seen in channel 'DNA'"),
        ({"tile_px": 192, "per_tile": 36.0},
         "A tile of 192 px is far larger than the distance of nuclei (20 px): it shows about 36 nuclei"),
        ({"tile_px": 12}, "A tile of 12 px hardly holds one nucleus of 13 px"),
        ({"fitted_to": 3}, "The flat-field is fitted to 3 images of a channel, which is too few"),
        ({"focus": {("P", "A01", 1): 0.3}},
         "Out of focus, with less than half the fine detail of most fields: P A01 site 1."),
        ({"empty": ("P/B02",)}, "No nucleus was found in P/B02"),
        ({"histograms": (Histogram(channel="ER", edges=np.arange(3.0), counts=np.ones(2), saturated=0.02, top=4095),)},
         "Channel 'ER': 2.00% of the pixels are at the camera's top (4095)"),
    ],
)  # fmt: skip
def test_each_thing_is_said_in_words(changes: dict[str, Any], told: str) -> None:
    (said,) = warnings(look(**changes))
    assert said.startswith(told)


def test_a_smaller_tile_is_named_that_holds_about_four() -> None:
    # 192 px hold 36 nuclei, so a third of the edge holds 4
    (said,) = warnings(look(tile_px=192, per_tile=36.0))
    assert "Write 'tiles: {size_px: 64}'" in said


def field(tiled: list[bool], scale: float = 1.0) -> Sample:
    """A field of 201 px with nuclei on the column in its middle, 10, 20, 30 and 100 px from an edge."""
    edge = round(201 * scale)
    return Sample(
        plate="P", well="A01", site=1, images={"DNA": np.zeros((edge, edge), np.uint16)}, scale=edge / 201,
        y_px=np.array([10.0, 20, 170, 100])[: len(tiled)], x_px=np.full(len(tiled), 100.0), has_tile=np.array(tiled),
    )  # fmt: skip


def test_fields_in_which_few_nuclei_have_a_whole_tile() -> None:
    # a tile of 50 px, twice the median of 10, 20, 30 and 100, stays inside for half of them; 48 is a multiple of 4
    (said,) = warnings(look(tile_px=100, samples=(field([False, False, False, True], scale=1 / 3),)))
    assert said.startswith("1 of 4 nuclei found get a tile: the others lie so near the edge")
    assert "Write 'tiles: {size_px: 48}' to keep about half." in said


def test_fields_too_small_for_any_tile_that_holds_a_nucleus() -> None:
    (said,) = warnings(look(typical=45.0, expected_px=45.0, tile_px=100, samples=(field([False, False, False, True]),)))
    assert "No tile that holds a nucleus keeps half of them" in said


@pytest.mark.parametrize("tiled", [[], [True, False, True], [True, False, False]])
def test_a_third_of_the_nuclei_is_enough(tiled: list[bool]) -> None:
    assert warnings(look(samples=(field(tiled),))) == ()


def cells(edges: list[tuple[int, int]], **changes: Any) -> Look:
    """A look at 20 cells in two bags."""
    plain: dict[str, Any] = {
        "unit": "cell", "fit": "pad_or_crop", "shown": {}, "edges_px": np.array(edges, np.int64).reshape(-1, 2),
        "per_bag": {"a": 10, "b": 10}, "labels": {}, "markers": {}, "places": {}, "joined": (),
    }  # fmt: skip
    return look(typical=None, expected_px=None, tile_px=40, cropped=Cropped(**(plain | changes)))


def test_cells_that_fit_are_not_mentioned() -> None:
    assert warnings(cells([(38, 40), (44, 41)])) == ()


@pytest.mark.parametrize(
    ("edges", "changes", "told"),
    [
        # 40 x 40 of 60 x 60 px is 4/9 of the crop, below 2/3
        ([(60, 60)] * 3 + [(40, 40)], {},
         "Tiles of 40 px cut off more than a third of 3 of the 4 crops that were looked at, which are typically "
         "60 x 60 px. Write 'tiles.size_px: 60', or 'tiles.fit: resize'."),
        # 18 x 18 px are a fifth of the tile
        ([(18, 18)], {"fit": "pad"},
         "Tiles of 40 px are mostly padding: the crops that were looked at are typically 18 x 18 px. Write "
         "'tiles.size_px: 20'."),
        ([(12, 10)], {"fit": "resize"},
         "Crops are typically 12 x 10 px and are enlarged to 40 px, which adds pixels and no detail. Write "
         "'tiles.size_px: 12'."),
        ([], {"per_bag": {"all": 20}}, "All cells are in one bag, and a training needs bags for its parts"),
        ([], {"per_bag": {"a": 18, "b": 1, "c": 1}}, "2 of 3 bags hold one cell, which has no partner in its bag"),
        ([], {"labels": {"Metadata_Phase": {"": 15, "S": 5}}},
         "Most cells have no label: Metadata_Phase (15 of 20). See below"),
        ([], {"markers": {"DNA": Measured(n=8, low=0, middle=1, high=2)}},
         "Most cells have no value of a marker: DNA (12 of 20). See below"),
    ],
)  # fmt: skip
def test_what_is_said_of_cells(edges: list[tuple[int, int]], changes: dict[str, Any], told: str) -> None:
    (said,) = warnings(cells(edges, **changes))
    assert said.startswith(told)


def test_a_channel_of_one_value_is_said() -> None:
    dark = Histogram(channel="ER", edges=np.array([7, 7.1]), counts=np.ones(1), saturated=0, top=None, constant=True)
    (said,) = warnings(look(histograms=(dark,)))
    assert said.startswith("Channel 'ER' has the value 7 in every pixel that was looked at, so it shows nothing.")
