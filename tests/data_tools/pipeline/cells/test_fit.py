"""Crops of any size become tiles; expected pixels are written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from data_tools.pipeline.cells.fit import CellTilesConfig, IntensityConfig, fit_crop, fitting_problem, scale_tile

IMAGE = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint16)


def tiles(fit: str, size: int = 4, fill: str = "zero", dtype: str = "uint16") -> CellTilesConfig:
    return CellTilesConfig.from_plain({"size_px": size, "fit": fit, "fill": fill, "dtype": dtype})


def test_a_small_crop_is_padded_about_its_centre() -> None:
    tile = fit_crop([IMAGE], tiles("pad"))
    assert tile.dtype == np.uint16
    np.testing.assert_array_equal(tile[0], [[0, 0, 0, 0], [1, 2, 3, 0], [4, 5, 6, 0], [0, 0, 0, 0]])


def test_edges_and_borders_fill_with_what_is_there() -> None:
    edge = fit_crop([IMAGE], tiles("pad", fill="edge"))[0]
    np.testing.assert_array_equal(edge, [[1, 2, 3, 3], [1, 2, 3, 3], [4, 5, 6, 6], [4, 5, 6, 6]])
    square = np.array([[2, 2, 2], [2, 9, 2], [2, 4, 4]], dtype=np.uint16)
    border = fit_crop([square], tiles("pad", size=5, fill="border"))[0]
    assert border[0, 0] == 2
    assert border[2, 2] == 9
    assert (border == 2).sum() == 25 - 3


def test_a_large_crop_is_cut_at_its_centre() -> None:
    image = np.arange(36, dtype=np.uint16).reshape(6, 6)
    np.testing.assert_array_equal(fit_crop([image], tiles("crop"))[0], image[1:5, 1:5])
    wide = np.arange(5 * 2, dtype=np.uint16).reshape(2, 5)
    tile = fit_crop([wide], tiles("pad_or_crop"))[0]
    np.testing.assert_array_equal(tile[1:3], wide[:, 0:4])
    assert not tile[[0, 3]].any()


def test_resizing_averages_areas_and_keeps_the_shape_of_the_cell() -> None:
    image = np.kron(np.array([[1, 2], [3, 4]]), np.ones((4, 4))).astype(np.uint16)
    np.testing.assert_array_equal(fit_crop([image], tiles("resize"))[0], np.kron([[1, 2], [3, 4]], np.ones((2, 2))))
    tall = np.full((8, 4), 7, np.uint16)
    tile = fit_crop([tall], tiles("resize"))[0]
    np.testing.assert_array_equal(tile, [[0, 7, 7, 0]] * 4)


def test_every_channel_is_fitted_alike() -> None:
    tile = fit_crop([IMAGE, IMAGE * 10], tiles("pad"))
    np.testing.assert_array_equal(tile[1], tile[0] * 10)


@pytest.mark.parametrize(
    ("fit", "shape", "words"),
    [
        ("exact", (3, 4), "3 x 4 px, tiles have 4 x 4"),
        ("exact", (4, 5), "set 'tiles.fit'"),
        ("pad", (5, 2), "pad_or_crop"),
        ("crop", (3, 9), "lower 'tiles.size_px'"),
        ("exact", (4, 4), None),
        ("pad", (3, 4), None),
        ("crop", (9, 4), None),
        ("pad_or_crop", (1, 9), None),
        ("resize", (1, 9), None),
    ],
)
def test_sizes_a_rule_does_not_allow_are_named(fit: str, shape: tuple[int, int], words: str | None) -> None:
    found = fitting_problem(shape, tiles(fit))
    assert (found is None) == (words is None)
    assert words is None or (found is not None and words in found)


def test_intensities_by_channel_in_the_written_order() -> None:
    tile = np.stack([np.array([[0.0, 50.0], [100.0, 200.0]])] * 3).astype(np.float32)
    rules = {
        "protein": IntensityConfig(min_max=True),
        "nucleus": IntensityConfig(divide_by=200, floor=0.5),
    }
    scale_tile(tile, ("nucleus", "other", "protein"), rules)
    np.testing.assert_allclose(tile[0], [[0, 0], [0, 1]], atol=1e-6)
    np.testing.assert_allclose(tile[1], [[0, 50], [100, 200]])
    np.testing.assert_allclose(tile[2], [[0, 0.25], [0.5, 1]])


def test_lus_rule_hides_a_dim_background() -> None:
    tile = np.array([[[0.0, 0.05, 0.525, 1.0]]], dtype=np.float32)
    scale_tile(tile, ("nucleus",), {"nucleus": IntensityConfig(floor=0.05)})
    np.testing.assert_allclose(tile[0, 0], [0, 0, 0.5, 1], atol=1e-6)


def test_a_flat_tile_becomes_zero() -> None:
    tile = np.full((1, 2, 2), 3.0, dtype=np.float32)
    scale_tile(tile, ("a",), {"a": IntensityConfig(min_max=True)})
    assert not tile.any()


def test_a_rule_that_does_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="leave the channel out"):
        IntensityConfig()
